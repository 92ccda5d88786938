"""Agents, functions, engines."""

from typing import Any

import pytest
from pytest_django import Settings

from agents import catalog
from agents.models import Agent
from agents.sync import sync
from tests.api.client import Api
from tests.api.shape import data_of, refused
from tests.factories import make_agent, run_to_end, step

AGENTS = "/api/v1/agents"
CALL = f"{AGENTS}/tester/execute"


def test_agents_are_listed_and_read_by_name_and_uuid(api: Api) -> None:
    body = api.get(AGENTS).json()
    assert body["count"] == 1
    agent = body["data"][0]
    assert agent["name"] == "tester"
    assert agent["id"] == agent["uuid"] == str(Agent.objects.get().pk)
    assert agent["running"]
    assert "echo" in agent["functions"]
    assert data_of(api.get(f"{AGENTS}/tester")) == data_of(api.get(f"{AGENTS}/{agent['id']}")) == agent
    refused(api.get(f"{AGENTS}/testr"), 404, "AgentNotFound")


def test_the_agent_system_tells_how_many_run(api: Api) -> None:
    Agent.objects.create(name="off", enabled=False)
    data = data_of(api.get(f"{AGENTS}/system/status"))
    assert (data["running"], data["total_agents"], data["running_agents"]) == (True, 2, 1)


@pytest.mark.parametrize(
    ("function", "parameters", "expected"),
    [
        ("echo", {"message": "hi"}, {"echo": "hi"}),
        ("add", {"a": 1, "b": 2}, {"result": 3}),
        ("measure", {}, {"bytes": 1024 * 1024}),  # a plain function, in a helper process
    ],
)
def test_one_call_outside_a_workflow(api: Api, function: str, parameters: Any, expected: dict[str, Any]) -> None:
    data = data_of(api.post(CALL, {"function": function, "parameters": parameters}))
    assert set(data) == {"agent_id", "function", "success", "execution_time_ms", "result"}
    assert data["success"]
    assert data["result"].items() >= expected.items()


def test_a_call_that_fails_is_an_answer(api: Api) -> None:
    data = data_of(api.post(CALL, {"function": "die"}))
    assert (data["success"], data["result"], data["code"]) == (False, {}, "HelperDied")


def test_a_call_that_hangs_is_stopped(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.api.agents.CALL_SECONDS", 0.3)
    data = data_of(api.post(CALL, {"function": "spin"}))
    assert (data["success"], data["code"]) == (False, "StepTimeout")
    assert data["execution_time_ms"] < 5000


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"function": "nothing"}, 400, "FunctionNotFound"),
        ({"function": "add", "parameters": {"a": "x", "b": 2}}, 400, "InvalidParameters"),
        ({"function": "add", "parameters": [1]}, 400, "InvalidRequest"),
        ({"function": "inference", "parameters": {"prompt": "x", "tools": ["ecko"]}}, 400, "InvalidParameters"),
        ({"function": "echo", "params": {}}, 400, "InvalidRequest"),
        ({}, 400, "InvalidRequest"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(api: Api, body: Any, status: int, code: str) -> None:
    refused(api.post(CALL, body), status, code)
    refused(api.post(f"{AGENTS}/nobody/execute", {"function": "echo"}), 404, "AgentNotFound")


def test_a_disabled_agent_is_not_called(api: Api) -> None:
    Agent.objects.update(enabled=False)
    catalog.forget()
    refused(api.post(CALL, {"function": "echo"}), 409, "AgentDisabled")
    assert not data_of(api.get(f"{AGENTS}/tester"))["running"]


def test_an_agent_without_auto_start_runs_once_it_is_used(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.api.agents._called", set())
    make_agent(name="called", auto_start=False)
    make_agent(name="worked", auto_start=False)
    make_agent(name="idle", auto_start=False)
    catalog.forget()

    def running() -> set[str]:
        return {agent["name"] for agent in data_of(api.get(AGENTS)) if agent["running"]}

    assert running() == {"tester"}
    data_of(api.post(f"{AGENTS}/called/execute", {"function": "echo", "parameters": {"message": "hi"}}))
    run_to_end({**step("a"), "agent_id": "worked"})
    assert running() == {"tester", "called", "worked"}
    assert data_of(api.get(f"{AGENTS}/worked"))["running"]
    assert not data_of(api.get(f"{AGENTS}/idle"))["running"]
    assert data_of(api.get(f"{AGENTS}/system/status"))["running_agents"] == 3


def test_functions_come_with_the_schema_of_their_parameters(api: Api) -> None:
    functions = {entry["name"]: entry for entry in data_of(api.get("/api/v1/functions"))}
    assert functions["echo"]["parameters"]["properties"]["message"]
    assert {"inference", "text_processing", "data_analysis"} <= set(functions)


def test_the_default_engine_is_always_there(api: Api, settings: Settings) -> None:
    assert data_of(api.get("/engines/default"))["status"] == "offline"
    settings.INFERENCE_URL, settings.INFERENCE_MODEL = "http://localhost:11434/v1", "small"
    assert data_of(api.get("/engines/default")) | {"status": "ready", "model": "small"} == data_of(
        api.get("/engines/default")
    )


def test_the_files_engines_are_told(api: Api, settings: Settings) -> None:
    sync(settings.AGENTS_FILE)
    listed = data_of(api.get("/engines"))
    assert listed[0]["engine_id"] == "default"
    for engine in listed:
        assert data_of(api.get(f"/engines/{engine['engine_id']}")) == engine
    refused(api.get("/engines/nothing"), 404, "EngineNotFound")
