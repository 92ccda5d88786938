"""``manage.py run_workflow``: what a terminal shows of a run while it goes on, and at its end."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from rich.console import Console

from tests.factories import make_definition, step
from workflows import inprocess
from workflows.changes import Change
from workflows.management.commands.run_workflow import _Board

ASK = {"prompt": "Publish?", "timeout_seconds": 0.2, "on_timeout": "approve"}


def test_a_step_that_waits_says_for_what_and_where_to_answer() -> None:
    waits: list[dict[str, Any]] = [
        {"step_id": "pause", "wait": {"seconds": 0.1}},
        {"step_id": "ask", "approval": ASK},
        {"step_id": "event", "wait_for": {"event": "paid", "timeout_seconds": 0.2}, "continue_on_failure": True},
    ]
    board = _Board(make_definition(*waits, step("end")))
    shown = []

    def follow(change: Change) -> None:
        board.follow(change)
        shown.append(drawn(board))

    run = inprocess.run(make_definition(*waits, step("end")), on_written=follow)
    assert any("waiting" in text and "until 20" in text and "answered in" not in text for text in shown)
    assert any("Publish? (approve, reject)" in text and f"/api/v1/runs/{run.pk}/signal" in text for text in shown)
    assert any("for the event paid" in text and f"/api/v1/runs/{run.pk}/signal" in text for text in shown)
    assert "/signal" not in shown[-1]


def test_what_another_process_did_is_shown_at_the_end() -> None:
    definition = make_definition(
        {"step_id": "gate", "if": "true", "then": [step("a")]}, step("b", precondition="false")
    )
    board = _Board(definition)
    board.take(inprocess.run(definition))
    text = drawn(board)
    assert text.count("completed") == 2
    assert "gate.a" in text
    assert "skipped" in text
    assert "pending" not in text


def drawn(board: _Board) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(board.table())
    return text.getvalue()


def test_a_file_with_blocks_is_run_and_its_end_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("""\
workflow_id: w
steps:
  - step_id: each
    for_each: input.list
    steps: [{step_id: say, agent_id: tester, function_name: echo, parameters: {message: "${item}"}}]
""")
    call_command("run_workflow", str(file), "--input", 'list=["a", "b"]')
    told = capsys.readouterr().out
    assert "each[1].say" in told
    assert '"echo": "b"' in told
