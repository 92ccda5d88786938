"""Many workflows from one template: the workers make them, a row at a time, each in a transaction of its own."""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Max, Min

from agents.errors import AgentError
from workflows import audit, dispatch, faults, publishing, templates, workers
from workflows.definitions import Definition
from workflows.errors import TemplateNotFound
from workflows.models import Template, TemplateBatch, TemplateBatchRow
from workflows.states import RowStatus

logger = logging.getLogger(__name__)

MOST_ROWS = 10_000
SLICE = 2.0  # seconds after which a worker hears other messages before it goes on
LOST_AFTER = timedelta(seconds=5)  # a worker that has begun a slice and not ended it by then is gone

LOOK_AGAIN = timedelta(seconds=1)

Made = TypeVar("Made")
Columns = dict[str, Any]


@transaction.atomic
def begin(template: Template, rows: Iterable[Mapping[str, Any]], *, actor: str) -> TemplateBatch:
    """Have the workers make a workflow of each row: `{parameters?, workflow_id?}`."""
    batch = TemplateBatch(
        template=template.name, parameters=template.parameters, definition=template.definition, actor=actor
    )
    made = [
        TemplateBatchRow(
            batch=batch, number=number, parameters=row.get("parameters") or {}, workflow_id=row.get("workflow_id") or ""
        )
        for number, row in enumerate(rows, 1)
    ]
    batch.total, batch.due_at = len(made), workers.database_now()
    batch.save(force_insert=True)
    TemplateBatchRow.objects.bulk_create(made, batch_size=500)
    audit.record("template_batch_started", actor=actor, subject=template.name, batch=str(batch.pk), rows=batch.total)
    dispatch.wake(dispatch.TEMPLATE_ROWS)
    return batch


def get(batch_id: uuid.UUID | str) -> TemplateBatch:
    """Raises `TemplateNotFound`, for what is no UUID too."""
    try:
        key = uuid.UUID(str(batch_id))
    except ValueError:
        key = uuid.UUID(int=0)
    batch = TemplateBatch.objects.filter(pk=key).first()
    if batch is None:
        raise TemplateNotFound(f"there is no batch {str(batch_id)!r}")
    return batch


def work() -> None:
    """Make workflows of rows for a while, then ring for whoever goes on. Does nothing while another is at it.

    One at a time in the whole site: however many batches there are, the other processes hear of due runs.
    """
    until = time.monotonic() + SLICE
    while time.monotonic() < until and (batch := _taken()):
        _make_rows(batch, until)
    if _is_due(workers.database_now()):
        dispatch.ring(dispatch.TEMPLATE_ROWS)


def ring_if_due(now: datetime) -> None:
    """Ring where a batch waits and nobody is at work, since a bell was lost or a worker is."""
    if _is_due(now):
        dispatch.ring(dispatch.TEMPLATE_ROWS)


def unheard(since: datetime) -> bool:
    """Whether batches wait, and since then nobody has taken up, let go or begun one."""
    newest = TemplateBatch.objects.unfinished().aggregate(at=Max("due_at"))["at"]
    return newest is not None and newest <= since


def _is_due(now: datetime) -> bool:
    found = TemplateBatch.objects.unfinished().aggregate(first=Min("due_at"), last=Max("due_at"))
    return found["first"] is not None and found["last"] <= now


def _taken() -> TemplateBatch | None:
    """The batch that has waited longest, taken up by this process; None while another works on any."""
    now = workers.database_now()
    if not _is_due(now):
        return None
    batch = TemplateBatch.objects.due(now).first()
    # Two that come at the same time may both take one up, each a different one or the same: rows are guarded.
    if batch is None or not TemplateBatch.objects.filter(pk=batch.pk, due_at=batch.due_at).update(
        due_at=now + LOST_AFTER
    ):
        return None
    return batch


def _make_rows(batch: TemplateBatch, until: float) -> None:
    waiting = batch.rows.filter(status=RowStatus.PENDING).order_by("number")
    made = after = 0
    while time.monotonic() < until and (row := waiting.filter(number__gt=after).first()):
        made += _has_done(batch, row)
        after = row.number
    now = workers.database_now()
    if waiting.exists():
        # What is left is with somebody else, who may be stalled: looking again at once would be a busy loop.
        TemplateBatch.objects.filter(pk=batch.pk).update(due_at=now if made else now + LOOK_AGAIN)
    else:
        TemplateBatch.objects.unfinished().filter(pk=batch.pk).update(due_at=None, ended_at=now)


def _has_done(batch: TemplateBatch, row: TemplateBatchRow) -> bool:
    """Store the row's workflow, or write what is wrong with it. False where another process does."""
    # Checked before the transaction begins: on SQLite it keeps all other writers waiting.
    planned = _tried(row, lambda: templates.plan(batch, row.parameters, row.workflow_id or None))
    with transaction.atomic():
        if not _is_ours(row):
            return False
        outcome = planned if isinstance(planned, dict) else _tried(row, lambda: _stored(batch, row, planned))
        TemplateBatchRow.objects.filter(pk=row.pk).update(**outcome)
        faults.point("before-row-commit")
    faults.point("after-row-commit")
    return True


def _is_ours(row: TemplateBatchRow) -> bool:
    """Take the row for this transaction, unless it is done or taken."""
    rows = TemplateBatchRow.objects.filter(pk=row.pk, status=RowStatus.PENDING)
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    return rows.first() is not None


@transaction.atomic
def _stored(batch: TemplateBatch, row: TemplateBatchRow, definition: Definition) -> Columns:
    note = f"row {row.number} of a batch from template {batch.template}"
    workflow = publishing.create(definition, actor=batch.actor, note=note)
    return {"status": RowStatus.DONE, "workflow_id": workflow.workflow_id}


def _tried(row: TemplateBatchRow, attempt: Callable[[], Made]) -> Made | Columns:
    """What the attempt makes, or the columns of a row that has failed."""
    try:
        return attempt()
    except AgentError as error:
        problems = [problem.to_json() for problem in getattr(error, "problems", ())]
        return {"status": RowStatus.FAILED, "error_code": error.code, "message": str(error), "problems": problems}
    except (OperationalError, InterfaceError):  # the database's trouble says nothing of the row
        raise
    except Exception:
        reference = uuid.uuid4().hex[:12]
        logger.exception("Crash %s at row %s", reference, row)
        message = f"an internal error; its trace is in the worker's log under {reference}"
        return {"status": RowStatus.FAILED, "error_code": "InternalError", "message": message}
