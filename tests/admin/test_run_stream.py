"""What the page of a run is told while it goes on, by a real server."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from agents import catalog
from tests.engines import in_engine, until
from tests.factories import make_agent, make_workflow, step
from workflows import follow, runs
from workflows.engine import Engine
from workflows.models import Run
from workflows.streaming import Position, StreamItem
from workflows.watching import watch

WORDS = ["one ", "two ", "three "]


@pytest.fixture
def run(transactional_db: None) -> Run:
    make_agent()
    catalog.forget()
    talk = step("talk", "speak", {"words": WORDS, "pause": 0.1})
    return runs.start(make_workflow(step("a"), talk), {}, trigger="api", actor="tests")


async def read(items: AsyncGenerator[StreamItem, None]) -> list[StreamItem]:
    return [item async for item in items]


def followed(run: Run, after: int) -> list[StreamItem]:
    """What is told behind an event, while an engine carries out the run."""
    told: list[StreamItem] = []

    async def script(engine: Engine) -> None:
        first = await asyncio.to_thread(watch, run, Position(after))
        await engine.take([run.pk])
        told.extend(await read(follow.told(run.pk, first)))
        await until(lambda: Run.objects.get(pk=run.pk).has_ended)

    in_engine(script)
    follow.stop()
    return told


def test_every_event_is_told_and_the_text_of_attempts(run: Run) -> None:
    told = followed(run, 0)
    types = [item.body["type"] for item in told if item.body["type"] != "llm_token"]
    assert types == list(run.events.order_by("seq").values_list("type", flat=True))
    assert "".join(item.body["token"] for item in told if item.body["type"] == "llm_token") == "".join(WORDS)
    assert told[-1].body == {"type": "workflow_complete"}


def test_behind_an_event_only_what_follows_is_told(run: Run) -> None:
    told = followed(run, 2)
    assert next(int(item.id) for item in told if "." not in item.id) == 3
