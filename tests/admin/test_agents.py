"""Agents in the admin: what they take, trying it, reading their file anew, asking their model servers."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from agents import catalog
from agents.models import Agent
from tests.admin.factories import signed_in, sync_agents
from tests.agents.scripted_server import delta, scripted_server, usage
from workflows.models import Run

pytestmark = pytest.mark.django_db
LIST = "/admin/agents/agent/"
RELOAD = "/admin/agents/agent/reload/"
SERVERS = "/admin/agents/agent/connections/"


@pytest.fixture
def client() -> Client:
    sync_agents()
    return signed_in(superuser=True)


def page(name: str = "content_creator") -> str:
    return f"{LIST}{Agent.objects.get(name=name).pk}/"


def test_an_agents_page_says_what_its_functions_take(client: Client) -> None:
    shown = client.get(f"{page()}change/").content.decode()
    assert "Gives the message back" in shown
    assert f'href="{page()}try/?function=echo"' in shown


def test_a_function_is_tried_as_a_run(client: Client) -> None:
    answer = client.post(f"{page()}try/", {"function": "echo", "input": "message: hello"})
    run = Run.objects.get()
    assert answer["Location"] == f"/admin/workflows/run/{run.pk}/change/"
    assert (run.trigger, run.version.definition["steps"][0]["parameters"]) == ("try", {"message": "hello"})


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({"function": "echo", "input": "uppercase: perhaps"}, "input", "uppercase"),
        ({"function": "nothing", "input": ""}, "function", "not one of the available"),
        ({"function": "echo", "input": "a: ["}, "input", "line 2"),
    ],
)
def test_a_function_that_can_not_be_tried_says_why(client: Client, sent: Any, field: str, said: str) -> None:
    answer = client.post(f"{page()}try/", sent)
    assert said in str(answer.context["form"].errors[field])
    assert not Run.objects.exists()


def test_only_who_may_write_and_run_workflows_may_try() -> None:
    sync_agents()
    client = signed_in("agents.view_agent", "workflows.add_run")
    assert client.get(f"{page()}try/").status_code == 403
    assert "Try it" not in client.get(f"{page()}change/").content.decode()


def written(path: Path, **fields: Any) -> Path:
    lines = "".join(f"    {key}: {value}\n" for key, value in fields.items())
    path.write_text(f"agents:\n  - name: content_creator\n    type: writer\n    functions: [echo]\n{lines}")
    return path


def test_what_the_file_would_change_is_shown_before_it_is_read(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.AGENTS_FILE = written(tmp_path / "agents.yaml", max_concurrent_jobs=77)
    limit = Agent.objects.get(name="content_creator").max_concurrent_jobs
    shown = client.get(RELOAD)
    assert ("content_creator", "max_concurrent_jobs", str(limit), "77") in shown.context["changes"]
    assert "data_analyst" in shown.context["report"].disabled
    assert Agent.objects.get(name="content_creator").max_concurrent_jobs == limit
    client.post(RELOAD)
    assert Agent.objects.get(name="content_creator").max_concurrent_jobs == 77
    assert not Agent.objects.get(name="data_analyst").enabled


def test_a_file_that_is_wrong_changes_nothing_and_says_where(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.AGENTS_FILE = written(tmp_path / "agents.yaml", max_concurrent_jobs="many")
    for answer in (client.get(RELOAD), client.post(RELOAD)):
        assert "line 5" in answer.content.decode()
    settings.AGENTS_FILE = tmp_path / "missing.yaml"
    assert "can&#x27;t be read" in client.get(RELOAD).content.decode()
    assert Agent.objects.filter(enabled=True).count() == 6


def test_model_servers_are_asked(client: Client, settings: Any) -> None:
    offline = client.post(SERVERS).context["answers"]
    assert [answer.server for answer in offline] == [""]
    with scripted_server(lambda exchange: exchange.stream(delta("ready", "stop"), usage(5, 1), "[DONE]")) as server:
        settings.INFERENCE_URL = server.url
        catalog.forget()
        [answer] = client.post(SERVERS).context["answers"]
    assert (answer.error, answer.text, len(answer.agents)) == ("", "ready", 6)
    [gone] = client.post(SERVERS).context["answers"]
    assert gone.error
