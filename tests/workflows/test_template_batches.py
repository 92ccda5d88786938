"""Who works on a batch, for how long, and who goes on."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from tests.factories import step
from workflows import dispatch, template_batches, workers
from workflows.models import Template, TemplateBatch, Workflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was rung for."""
    heard: list[str] = []
    monkeypatch.setattr(dispatch, "ring", heard.append)
    return heard


def batch(name: str, rows: int) -> TemplateBatch:
    definition = {"workflow_id": f"{name}_${{params.n}}", "steps": [step("a")]}
    template = Template(name=name, parameters={}, definition=definition)
    return template_batches.begin(template, [{"parameters": {"n": n}} for n in range(rows)], actor="tester")


def test_a_batch_is_rung_for_when_it_begins_and_ends_by_itself(agent: None, rung: list[str]) -> None:
    made = batch("a", 3)
    assert rung == [dispatch.TEMPLATE_ROWS]
    template_batches.work()
    made.refresh_from_db()
    assert made.counts() == {"pending": 0, "done": 3, "failed": 0}
    assert made.ended_at
    assert made.due_at is None
    assert rung == [dispatch.TEMPLATE_ROWS]
    assert Workflow.objects.count() == 3


def test_who_has_worked_for_long_rings_for_the_next_and_batches_take_turns(
    agent: None, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = batch("a", 6), batch("b", 6)
    rung.clear()
    clock = iter(range(1000))  # a second passes between two looks
    monkeypatch.setattr(template_batches, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(template_batches, "SLICE", 3.5)
    template_batches.work()
    template_batches.work()
    assert (first.counts()["done"], second.counts()["done"]) == (2, 2)
    assert rung == [dispatch.TEMPLATE_ROWS] * 2


def test_one_works_at_a_time_and_a_lost_one_is_followed(agent: None, rung: list[str]) -> None:
    made = batch("a", 2)
    now = workers.database_now()
    TemplateBatch.objects.update(due_at=now + template_batches.LOST_AFTER)  # somebody has begun a slice
    other = batch("b", 1)
    rung.clear()
    template_batches.work()
    template_batches.ring_if_due(now)
    assert not Workflow.objects.exists()
    assert rung == []
    later = now + template_batches.LOST_AFTER + timedelta(seconds=1)
    template_batches.ring_if_due(later)
    assert rung == [dispatch.TEMPLATE_ROWS]
    TemplateBatch.objects.filter(pk=made.pk).update(due_at=now)  # as that time has passed
    template_batches.work()
    assert (made.counts()["done"], other.counts()["done"]) == (2, 1)


def test_a_deaf_cluster_is_told_from_a_busy_one(agent: None, rung: list[str]) -> None:
    now = timezone.now()
    assert not template_batches.unheard(now)
    batch("a", 1)
    TemplateBatch.objects.update(due_at=now - timedelta(seconds=5))
    assert template_batches.unheard(now - timedelta(seconds=2))
    batch("b", 1)
    assert not template_batches.unheard(now - timedelta(seconds=2))
