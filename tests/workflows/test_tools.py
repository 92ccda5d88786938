"""A model that calls tools, through the whole engine: plain ones in helper processes, async ones in the loop."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents import catalog
from agents.functions import registry
from agents.functions.base import Call
from agents.models import Agent
from tests.agents.scripted_server import ScriptedServer, asked, asks, delta, scripted_server, turns, usage
from tests.engines import and_close, in_engine, until
from tests.factories import make_definition, make_workflow, results, run_to_end, step
from tests.workflows.test_helper_processes import children
from workflows import calling, runs
from workflows.catalog import Catalog
from workflows.definitions import check, read_object
from workflows.engine import Engine
from workflows.errors import LeaseLost
from workflows.helper_processes import HelperPool
from workflows.models import Run

DONE = (delta("Done", finish="stop"), usage(20, 3))
SECRET = "s3cr3t-of-the-site"


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    processes = children()
    yield
    assert children() <= processes


@pytest.fixture
def model() -> Iterator[Callable[..., ScriptedServer]]:
    """Connects the agent to a server that streams these answers, one after the other."""
    servers = []

    def connect(*answers: tuple[Any, ...]) -> ScriptedServer:
        served = scripted_server(turns(*answers))
        servers.append(served)
        server = served.__enter__()
        Agent.objects.update(llm_config={"model_name": "scripted", "api_endpoint": server.url})
        catalog.forget()
        return server

    yield connect
    for served in servers:
        served.__exit__(None, None, None)


def calls(*named: tuple[str, Any]) -> tuple[Any, ...]:
    """The answer of a model that asks for these calls of tools."""
    pieces = [asked(name, json.dumps(given), index=n, id=f"c{n}") for n, (name, given) in enumerate(named)]
    return asks(*pieces), delta(finish="tool_calls"), usage(10, 2)


def ask(*tools: str, **fields: Any) -> dict[str, Any]:
    parameters = {"prompt": "Do it", "tools": list(tools), **fields.pop("parameters", {})}
    return step("ask", "inference", parameters, **{"max_retries": 0, **fields})


def test_a_model_calls_a_plain_tool_in_a_helper_process_and_an_async_one_in_the_loop(
    model: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    file = tmp_path / "noted"
    server = model(calls(("measure", {"megabytes": 2}), ("note", {"file": str(file)})), DONE)
    run = run_to_end(ask("measure", "note"))
    row = run.steps.get()
    assert (row.status, row.result["text"]) == ("completed", "Done")
    assert [(use["name"], use["result"]) for use in row.result["tool_calls"]] == [
        ("measure", {"bytes": 2 * 1024 * 1024}), ("note", {"noted": "x"}),
    ]  # fmt: skip
    assert json.loads(server.seen[1].json["messages"][-2]["content"]) == {"bytes": 2 * 1024 * 1024}
    told = [line["message"].partition(" took ")[0] for line in row.logs]
    assert told == ["used 2 MiB", "tool measure", "noted x", "tool note"]
    assert (row.input_tokens, row.output_tokens, run.input_tokens, run.output_tokens) == (30, 5, 30, 5)
    assert file.read_text().split()[1].startswith(f"{run.pk}:ask:note:")


def test_a_helper_that_dies_of_a_tool_is_told_to_the_model(model: Callable[..., ScriptedServer]) -> None:
    model(calls(("die", {})), DONE)
    (use,) = results(run_to_end(ask("die")))["ask"]["tool_calls"]
    assert "SIGSEGV" in use["error"]


def test_cancelling_kills_the_helper_of_the_tool_that_is_under_way(
    model: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    model(calls(("spawn", {"file": str(file)})), DONE)
    run = runs.start(make_workflow(ask("spawn")), {}, trigger="api", actor="tester", wake=False)

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: file.exists() and bool(file.read_text()))
        await asyncio.to_thread(and_close, lambda: runs.cancel(run.pk, actor="ann"))
        await until(lambda: Run.objects.get(pk=run.pk).status == "cancelled")
        await until(lambda: int(file.read_text()) not in children())

    in_engine(script)
    assert run.steps.get().status == "cancelled"


@pytest.mark.parametrize("tool", [("spin", {}), ("nap", {"seconds": 300})])
def test_the_steps_timeout_stops_a_tool_and_what_was_used_is_counted(
    model: Callable[..., ScriptedServer], tool: tuple[str, Any]
) -> None:
    model(calls(tool), DONE)
    row = run_to_end(ask(tool[0], timeout_seconds=1)).steps.get()
    assert (row.status, row.error_code) == ("timed_out", "StepTimeout")
    assert (row.input_tokens, row.output_tokens) == (10, 2)


def test_too_many_calls_fail_the_step_with_the_bound(model: Callable[..., ScriptedServer]) -> None:
    model(calls(("echo", {"message": "again"})))
    row = run_to_end(ask("echo", parameters={"max_tool_calls": 2}, max_retries=3)).steps.get()
    assert (row.status, row.error_code, row.attempt) == ("failed", "TooManyToolCalls", 1)
    assert "max_tool_calls allows: 2" in row.error_message
    assert row.input_tokens == 30
    assert [line["message"].partition(" took ")[0] for line in row.logs] == ["tool echo", "tool echo"]


def test_secrets_are_masked_in_what_is_recorded_of_tools(
    model: Callable[..., ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLOSAL_SECRET_SITE", SECRET)
    long = "x" * 16_360 + SECRET  # its record is cut within the secret
    server = model(
        calls(("echo", {"message": SECRET}), ("echo", {"message": long}), ("raise_text", {"text": SECRET})), DONE
    )
    run = run_to_end(ask("echo", "raise_text", parameters={"prompt": "It is ${secrets.SITE}"}))
    row = run.steps.get()
    short, cut, failed = row.result["tool_calls"]
    assert (short["arguments"], short["result"]["echo"]) == ({"message": "***"}, "***")
    assert "bytes in all]" in cut["result"]
    assert failed["error"] == "RuntimeError: ***"
    assert SECRET[:6] not in json.dumps([row.result, row.logs, row.parameters])
    assert SECRET in server.seen[1].json["messages"][-3]["content"]


def test_an_answer_that_breaks_the_schema_after_tools_is_tried_again(model: Callable[..., ScriptedServer]) -> None:
    wanted = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    call = calls(("echo", {"message": "hi"}))
    good = delta('{"n": 3}', finish="stop"), usage(20, 3)
    model(call, DONE, call, good)
    retry = {"initial_delay_seconds": 0.01, "jitter": "none"}
    row = run_to_end(ask("echo", output_schema=wanted, max_retries=1, retry=retry)).steps.get()
    assert [attempt.get("error_code") for attempt in row.attempts] == ["MalformedAnswer", None]
    assert row.result["object"] == {"n": 3}
    assert (row.input_tokens, row.output_tokens) == (60, 10)


def test_offline_no_tool_is_called_and_the_result_says_so() -> None:
    result = results(run_to_end(ask("echo")))["ask"]
    assert (result["tools"], result["tool_calls"]) == ("not called: no model is connected", [])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ecko", "does not offer 'ecko'"),
        ("web_search", "does not offer 'web_search'"),
        ("inference", "'inference' asks a model itself, and can't be a tool"),
    ],
)
def test_what_can_be_no_tool_is_refused_when_it_is_saved_and_else_when_it_runs(name: str, told: str) -> None:
    source = read_object(make_definition(ask("echo", name, "${context.more}")).model_dump(mode="json"))
    (problem,) = check(source, Catalog()).problems
    assert (problem.path, problem.code) == ("steps[0].parameters.tools[1]", "invalid_parameter")
    assert told in problem.message
    row = run_to_end(ask("echo", "${context.more}"), input={"more": name}).steps.get()
    assert (row.error_code, row.attempt) == ("InvalidParameters", 1)
    assert told in row.error_message


@pytest.mark.parametrize("tool", ["note", "spawn"])  # in the loop, and in a helper process
def test_no_tool_is_called_once_the_lease_is_over(
    model: Callable[..., ScriptedServer], tool: str, tmp_path: Path
) -> None:
    """The model is not told of it: whoever holds the run now does the step anew."""
    file = tmp_path / "called"
    server = model(calls((tool, {"file": str(file)})), DONE)
    spec, looks = catalog.agent("tester"), iter(["in time"])

    def require_lease() -> None:
        if not next(looks, ""):
            raise LeaseLost("it is over")

    async def main() -> None:
        pool = HelperPool(1)
        try:
            with pytest.raises(LeaseLost):
                await calling.run_function(
                    registry.get("inference"), Call(agent=spec), ask(tool)["parameters"], 30, pool, require_lease
                )
        finally:
            await pool.close()

    asyncio.run(main())
    assert not file.exists()
    assert len(server.seen) == 1
