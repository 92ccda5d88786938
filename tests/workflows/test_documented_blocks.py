"""Every example of docs/definition.md, run by an engine to its end, has the results that stand there."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from agents.sync import sync
from tests import examples
from tests.engines import and_close, in_engine, until
from tests.factories import results, statuses
from workflows import publishing, runs
from workflows.catalog import Catalog
from workflows.definitions import check, read_yaml
from workflows.engine import Engine
from workflows.models import Run, Workflow
from workflows.results import context_at

Signal = Callable[[Run], object]

WIND = "The wind turns a wheel. The wheel turns a generator."


@pytest.fixture(autouse=True)
def _agents(agent: None) -> None:
    sync(settings.AGENTS_FILE)


def carried_out(workflow_id: str, *signals: Signal, change: tuple[str, str] = ("", ""), **input: Any) -> Run:
    """The example's run, at its end; each signal is given when the run waits. Examples before it are stored too."""
    for name, text in examples.shown().items():
        written = text.replace(*change) if name == workflow_id else text
        publishing.create(check(read_yaml(written), Catalog()).definition_or_raise(), actor="tester")
        if name == workflow_id:
            break
    run = runs.start(Workflow.objects.named(workflow_id), input, trigger="api", actor="tester")

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        for signal in signals:
            await until(lambda: Run.objects.get(pk=run.pk).status == "waiting", 30)
            await asyncio.to_thread(and_close, partial(sent, signal, run))
        await until(lambda: Run.objects.get(pk=run.pk).has_ended, 30)

    in_engine(script)
    return Run.objects.get(pk=run.pk)


def sent(signal: Signal, run: Run) -> bool:
    signal(run)
    return True


def answering(answer: str, comment: str = "") -> Signal:
    return lambda run: runs.answer(run.pk, "release", answer, actor="ada", comment=comment)


def sending(event: str, data: Any) -> Signal:
    return lambda run: runs.send_event(run.pk, event, data, actor="shop")


def echoes(run: Run) -> dict[str, str]:
    """Path → what its `echo` said."""
    return {path: found["echo"] for path, found in results(run).items() if isinstance(found, dict) and "echo" in found}


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in examples.shown() if f'carried_out("{name}"' not in source] == []


def test_review_an_article() -> None:
    run = carried_out("review_an_article", topic="solar power")
    assert statuses(run) == {
        "write": "completed",
        "measure": "completed",
        "shorten": "skipped",
        "report": "completed",
    }
    assert results(run)["measure"].keys() == {"words", "long"}
    assert "Mention SOLAR POWER in the title" in results(run)["write"]["text"]
    assert echoes(run)["report"] == results(run)["write"]["text"]


@pytest.mark.parametrize(
    ("input", "branch", "path", "said"),
    [
        ({}, "then", "too_long.shorten", "The wind turns a wheel."),
        ({"text": "Short."}, "else", "too_long.keep", "Short."),
    ],
)
def test_one_of_two_branches(input: dict[str, Any], branch: str, path: str, said: str) -> None:
    run = carried_out("example_if", **input)
    assert results(run)["too_long"] == {"branch": branch}
    assert statuses(run).keys() == {"measure", "too_long", path, "report"}
    assert echoes(run)["report"] == said


@pytest.mark.parametrize(
    ("level", "case", "path", "said"),
    [
        (1, "1", "by_level.quiet", "all is well"),
        (2, "2", "by_level.loud", "LOOK"),
        (7, "default", "by_level.odd", "level 7"),
    ],
)
def test_one_of_many_branches(level: int, case: str, path: str, said: str) -> None:
    run = carried_out("example_switch", level=level)
    assert results(run)["by_level"] == {"branch": case}
    assert echoes(run) == {path: said}


def test_a_loop_over_items() -> None:
    run = carried_out("example_for_each")
    told = ["1. About wind", "2. About sun", "3. About water"]
    assert [item["echo"] for item in results(run)["chapters"]] == told
    assert context_at(run)["chapters"] == results(run)["chapters"]
    assert echoes(run) == {**{f"chapters[{i}].write": said for i, said in enumerate(told)}, "book": "; ".join(told)}


def test_a_list_that_is_too_long_fails_before_any_item() -> None:
    run = carried_out("example_for_each", topics=["x"] * 1001)
    assert run.error_code == "LoopLimitExceeded"
    assert statuses(run) == {"chapters": "failed"}


def test_a_loop_with_a_condition() -> None:
    run = carried_out("example_while")
    assert results(run)["grow"] == {"iterations": 6}
    assert [results(run)[f"grow[{i}].double"]["result"] for i in range(6)] == [2, 4, 8, 16, 32, 64]


def test_a_condition_that_holds_too_long_fails() -> None:
    run = carried_out("example_while", change=("< 50", "< 5000"))
    assert run.error_code == "LoopLimitExceeded"
    assert statuses(run) == {"grow": "failed", **{f"grow[{i}].double": "completed" for i in range(10)}}


def test_branches_at_once() -> None:
    run = carried_out("example_parallel")
    assert results(run)["looks"].keys() == {"measures", "shout"}
    assert results(run)["looks"]["measures"] == results(run)["looks.measure"]
    assert echoes(run)["report"] == f"10 words: {WIND.upper()}"


@pytest.mark.parametrize(("topics", "said"), [(["wind", "sun"], "About wind"), (["sun"], "nothing about the wind")])
def test_generated_steps(topics: list[str], said: str) -> None:
    run = carried_out("example_generate", topics=topics)
    assert echoes(run) == {**{f"outline.about_{topic}": f"About {topic}" for topic in topics}, "report": said}


def test_another_workflow() -> None:
    run = carried_out("example_workflow")
    child = run.children.get()
    assert (child.workflow.workflow_id, child.status, child.parent_path) == ("example_if", "completed", "summary")
    assert results(run)["summary"]["echo"] == echoes(child)["report"]
    assert echoes(run)["report"] == "The other one said: Water is stored behind a dam."


def test_another_workflow_that_refuses_its_input() -> None:
    water = '"Water is stored behind a dam. It falls through a pipe, and turns a wheel."'
    run = carried_out("example_workflow", change=(water, "5"))
    assert (run.status, run.error_code, statuses(run)) == ("failed", "InputInvalid", {"summary": "failed"})
    assert "input_context.text" in run.error_message
    assert not run.children.exists()


def test_a_wait() -> None:
    run = carried_out("example_wait", seconds=0.1)
    assert results(run)["until_midnight"] == {"until": "2026-01-01T00:00:00+01:00"}
    assert run.steps.get(path="pause").duration_ms > 90  # it is due 0.1 s from just before its start
    assert echoes(run) == {"go_on": "waited"}


@pytest.mark.parametrize("answer", ["approve", "later"])
def test_an_answer_of_a_person(answer: str) -> None:
    run = carried_out("example_approval", answering(answer, "well done"))
    assert results(run)["release"] == {"answer": answer, "comment": "well done", "answered_by": "ada"}
    assert context_at(run)["comment"] == "well done"
    assert run.steps.get(path="release").parameters["prompt"] == "Publish this? We open at nine."
    assert statuses(run)["publish"] == ("completed" if answer == "approve" else "skipped")


def test_a_question_that_nobody_answers() -> None:
    run = carried_out("example_approval", change=("86400", "0.1"))
    assert results(run)["release"] == {"answer": "reject", "comment": "", "answered_by": None}
    assert statuses(run)["publish"] == "skipped"


def test_an_event_from_outside() -> None:
    run = carried_out("example_wait_for", sending("paid-B-4", {"amount": 30}), order="B-4")
    assert results(run)["payment"] == {"event": "paid-B-4", "data": {"amount": 30}}
    assert echoes(run) == {"thanks": "Thanks for 30"}


def test_an_event_that_does_not_come() -> None:
    run = carried_out("example_wait_for", change=("3600", "0.1"))
    assert (run.status, run.error_code) == ("failed", "EventTimeout")
