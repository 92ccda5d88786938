"""Clients of the original system, as its documentation writes them, with the shipped agents."""

from typing import Any

import pytest
import requests
from pytest_django import Settings

from agents import catalog
from agents.sync import sync
from tests.api.live import Server, told
from tests.api.shape import BASE

CONTENT: dict[str, Any] = {
    "workflow_id": "content_creation_demo",
    "workflow_name": "Content Creation Demo",
    "description": "Demonstrate content creation workflow",
    "stop_on_failure": True,
    "global_context": {"topic": "Machine Learning Basics", "target_audience": "beginners"},
    "steps": [
        {
            "step_id": "research",
            "step_name": "Research Topic",
            "agent_id": "research_assistant",
            "function_name": "inference",
            "parameters": {
                "prompt": "Research machine learning basics for beginners",
                "max_tokens": 800,
                "temperature": 0.3,
            },
        },
        {
            "step_id": "write",
            "step_name": "Write Content",
            "agent_id": "content_creator",
            "function_name": "inference",
            "parameters": {
                "prompt": "Write beginner-friendly content about machine learning",
                "max_tokens": 1200,
                "temperature": 0.7,
            },
        },
    ],
}
DATA: dict[str, Any] = {
    "workflow_id": "data_analysis_demo",
    "workflow_name": "Data Analysis Demo",
    "description": "Demonstrate data analysis workflow",
    "steps": [
        {
            "step_id": "prepare_data",
            "step_name": "Data Preparation",
            "agent_id": "data_analyst",
            "function_name": "data_analysis",
            "parameters": {"operation": "data_validation", "data_source": "sample_dataset"},
        },
        {
            "step_id": "analyze_data",
            "step_name": "Statistical Analysis",
            "agent_id": "data_analyst",
            "function_name": "data_analysis",
            "parameters": {"operation": "statistical_summary"},
        },
        {
            "step_id": "generate_insights",
            "step_name": "Generate Insights",
            "agent_id": "research_assistant",
            "function_name": "inference",
            "parameters": {
                "prompt": "Generate insights from the data analysis",
                "max_tokens": 600,
                "temperature": 0.4,
            },
        },
    ],
}


@pytest.fixture(autouse=True)
def _shipped_agents(_local: None, settings: Settings) -> None:
    sync(settings.AGENTS_FILE)
    catalog.forget()


@pytest.mark.parametrize("workflow", [CONTENT, DATA], ids=["content", "data"])
def test_the_examples_run_as_they_stand(server: Server, workflow: dict[str, Any]) -> None:
    response = requests.post(server.url(BASE), json=workflow, timeout=30)
    assert response.status_code == 201
    address = server.url(f"{BASE}/{workflow['workflow_id']}")
    result = requests.post(f"{address}/execute", timeout=60).json()
    assert result["success"]
    assert result["data"]["success"], result["data"]["step_errors"]
    assert result["data"]["executed_steps"] == [step["step_id"] for step in workflow["steps"]]


def test_each_documented_call_answers_as_documented(server: Server) -> None:
    address = server.url(f"{BASE}/{CONTENT['workflow_id']}")
    json = {"Content-Type": "application/json"}
    with requests.Session() as session:
        assert session.post(server.url(BASE), json=CONTENT, headers=json).status_code == 201
        assert session.post(server.url(BASE), json=CONTENT, headers=json).status_code == 409
        assert [w["workflow_id"] for w in session.get(server.url(BASE)).json()["data"]] == ["content_creation_demo"]
        assert session.get(address).json()["data"]["workflow_name"] == "Content Creation Demo"
        body = {"input_context": {"additional_param": "value"}}
        assert session.post(f"{address}/execute", json=body, headers=json).status_code == 200
        started = session.post(f"{address}/execute-async", json={}, headers=json)
        assert started.status_code == 202
        assert started.json()["data"]["execution_id"]
        assert session.get(f"{address}/status").json()["data"]["status"] == "queued"
        assert session.get(f"{address}/result").json()["data"]["success"]
        assert session.post(f"{address}/cancel").json()["data"]["cancelled"]
        assert session.get(server.url(f"{BASE}/executor/metrics")).json()["data"]["completed_workflows"] == 1
        assert session.delete(address).status_code == 200
        assert session.post(server.url(BASE), json=CONTENT, headers=json).status_code == 201


def test_a_client_that_maps_agents_to_uuids_and_sends_a_model_everywhere(server: Server) -> None:
    assert requests.get(server.url("/health"), timeout=5).status_code == 200
    assert requests.get(server.url("/v1/health"), timeout=5).status_code == 200
    assert requests.get(server.url("/engines/default"), timeout=5).status_code == 200
    agents = requests.get(server.url("/api/v1/agents"), timeout=5).json()["data"]
    ids = {agent["name"]: agent["id"] for agent in agents}
    given = {
        "prompt": "Review the content for: accuracy.",
        "model": "default",
        "max_tokens": 100,
        "temperature": 0.7,
    }
    steps = [
        {"step_id": "research", "agent_id": ids["research_assistant"], "function_name": "inference"},
        {"step_id": "review", "agent_id": ids["qa_specialist"], "function_name": "text_processing"},
    ]
    extra: list[dict[str, Any]] = [{}, {"operation": "quality_review", "criteria": "accuracy, clarity"}]
    workflow: dict[str, Any] = {
        "workflow_id": "mapped",
        "steps": [{**s, "parameters": {**given, **more}} for s, more in zip(steps, extra, strict=True)],
    }
    assert requests.post(server.url(BASE), json=workflow, timeout=30).status_code == 201
    streamed = requests.post(
        server.url(f"{BASE}/mapped/execute"),
        json={},
        headers={"Accept": "text/event-stream"},
        stream=True,
        timeout=60,
    )
    with streamed:
        items = list(told(streamed))
    assert items[-1].type == "workflow_complete"
    assert items[-1].body["result"]["success"], items[-1].body["result"]["step_errors"]
