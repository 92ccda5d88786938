"""Trying a definition that is not stored."""

from pathlib import Path
from typing import Any

from tests.engines import in_engine
from tests.factories import make_definition, make_workflow, results, step
from workflows import publishing, runs, trying
from workflows.engine import Engine
from workflows.models import Run, Workflow


def tried(*steps: dict[str, Any], series: str = "s", actor: str = "ada", offline: bool = False) -> Run:
    """A try, carried out to its end by a real engine."""
    run = trying.try_out(make_definition(*steps), {}, actor=actor, series=series, offline=offline)

    async def carry_out(engine: Engine) -> None:
        await engine.take([run.pk])
        await engine.wait()

    in_engine(carry_out)
    return runs.get(run.pk)


def noted(tmp_path: Path, step_id: str, text: str) -> dict[str, Any]:
    return step(step_id, "note", {"file": str(tmp_path / step_id), "text": text})


def executions(tmp_path: Path) -> dict[str, int]:
    return {file.name: len(file.read_text().splitlines()) for file in tmp_path.iterdir()}


def test_the_next_try_does_only_what_was_changed(tmp_path: Path) -> None:
    assert tried(noted(tmp_path, "a", "x"), noted(tmp_path, "b", "x")).success
    again = tried(noted(tmp_path, "a", "x"), noted(tmp_path, "b", "y"))
    assert executions(tmp_path) == {"a": 1, "b": 2}
    assert again.steps.get(path="a").reason == "cache"


def test_another_series_and_another_person_begin_anew(tmp_path: Path) -> None:
    for number, series in enumerate([{}, {"series": "t"}, {"actor": "bob"}], start=1):
        tried(noted(tmp_path, "a", "x"), **series)  # type: ignore[arg-type]
        assert executions(tmp_path) == {"a": number}


def test_a_try_touches_no_stored_workflow() -> None:
    stored = make_workflow(step("a"))
    run = tried(step("a"), step("b"))
    assert (run.trigger, run.actor) == ("try", "ada")
    assert run.workflow != stored
    assert run.workflow.archived_at is not None
    assert publishing.current("sample") == stored
    assert tried(step("a"), step("b")).workflow == run.workflow
    assert Workflow.objects.count() == 2


def test_offline_asks_no_model(settings: Any) -> None:
    settings.INFERENCE_URL = "http://127.0.0.1:9/v1"  # nobody listens there
    run = tried(step("a", "inference", {"prompt": "Hello."}, max_retries=0), offline=True)
    assert results(run)["a"]["provider"] == "offline"
