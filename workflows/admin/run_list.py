"""The list of runs: its filters, which are the API's, and its rows as a file."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from workflows.admin.paginator import BoundedList
from workflows.api.filters import RunFilter
from workflows.models import Run
from workflows.models.run_search import search

EXPORTED = [
    "id", "workflow_id", "version", "status", "trigger", "person", "created_at", "started_at", "ended_at", "seconds",
    "attempt", "steps", "failed_steps", "error_code", "error_message", "input_tokens", "output_tokens", "cost", "input",
]  # fmt: skip
CHUNK = 200
PLACES = ("p", "o", "all", "id__lt")
"""Keys of an address that say where in the list somebody is, not what it shows."""


class RunList(BoundedList):
    """Asks as `RunFilter` does, in the list's address: an address that is kept is a filter that is kept."""

    asked: RunFilter

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        left: dict[str, Any] = super().get_filters_params(params)
        return {key: value for key, value in left.items() if key not in RunFilter.base_filters}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Run]:
        rows: QuerySet[Run] = super().get_queryset(request, exclude_parameters)
        self.asked = RunFilter(request.GET, queryset=rows, request=request)
        return self.asked.qs if self.asked.is_valid() else rows.none()

    @property
    def address(self) -> str:
        """What the list asks for, for links beside it."""
        return str(self.get_query_string(remove=[*PLACES])).removeprefix("?")

    @property
    def is_asked(self) -> bool:
        """Whether any filter is set."""
        return any(value for key, value in self.params.items() if key in RunFilter.base_filters)


def asked_for(request: HttpRequest) -> QuerySet[Run] | None:
    """All runs that a list's address asks for, newest first; None where it can't be read.

    A key that is not known is refused: what was meant to be few runs would be all of them.
    """
    given = request.GET
    asked = RunFilter(given, queryset=Run.objects.order_by("-pk"), request=request)
    if not asked.is_valid() or set(given) - {*RunFilter.base_filters, *PLACES, "q"}:
        return None
    text = given.get("q", "")
    return search(asked.qs, text) if text else asked.qs


def exported(runs: QuerySet[Run]) -> Iterator[dict[str, Any]]:
    """The runs as rows, newest first, read a few at a time by key: no cursor is held while the client takes them."""
    rows = runs.select_related("workflow", "version").defer("version__definition", "version__source")
    some = list(rows[:CHUNK])
    while some:
        yield from map(_exported, some)
        some = list(rows.filter(pk__lt=some[-1].pk)[:CHUNK])


def _exported(run: Run) -> dict[str, Any]:
    own = {name: getattr(run, name) for name in EXPORTED if hasattr(run, name)}
    took = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else None
    return own | {
        "id": str(run.pk),
        "workflow_id": run.workflow.workflow_id,
        "version": run.version.number,
        "person": run.actor,
        "seconds": took,
        "steps": run.executed_steps,
    }
