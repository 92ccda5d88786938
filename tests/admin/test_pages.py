"""What holds for every page: registered models, searching, policy, read-only rows, tokens, home."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken

from agents.models import Agent
from kolosal.csp import POLICY
from tests.admin.factories import begin, end, held, run_of, signed_in, step, succeed, sync_agents, workflow
from workflows.models import Artifact, Draft, Event, Run, StepResult, Worker

pytestmark = pytest.mark.django_db

OURS = [
    model
    for app in ("workflows", "agents")
    for model in apps.get_app_config(app).get_models()
    if model not in (Draft, Artifact)  # its owner alone sees the one, in the editor; the other is on the run's page
]
ENGINE = [
    "run",
    "step",
    "stepresult",
    "event",
    "worker",
    "runrequest",
    "startkey",
    "agentshare",
    "workflowversion",
    "sitechain",
    "streamtext",
    "template",
    "templatebatch",
    "templatebatchrow",
]


def finished() -> Run:
    hold = held(run_of(workflow(step("a"))))
    begin(hold, "a")
    succeed(hold, "a", {"x": 1})
    return end(hold)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_model_of_ours_is_registered_and_searchable(model: type) -> None:
    client = signed_in(superuser=True)
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")  # type: ignore[attr-defined]
    for query in ("", "?q=word", "?q=019ab12345"):
        assert client.get(address + query).status_code == 200


@pytest.mark.parametrize("name", ENGINE)
def test_rows_of_the_engine_are_not_added_or_changed_even_by_a_superuser(name: str) -> None:
    run = finished()
    client = signed_in(superuser=True)
    model = apps.get_model("workflows", name)
    row = model._default_manager.first()
    assert client.post(f"/admin/workflows/{name}/add/", {}).status_code == 403
    if row is not None and name != "run":
        for page in ("change", "delete"):
            address = reverse(f"admin:workflows_{name}_{page}", args=[row.pk])
            assert client.post(address, {"post": "yes"}).status_code == 403
    assert Run.objects.filter(pk=run.pk).exists()


def test_pages_that_would_unpickle_rows_are_not_there() -> None:
    assert not [model for model in admin.site._registry if model._meta.app_label == "django_q"]


def test_a_run_is_found_by_the_beginning_of_its_id() -> None:
    run = finished()
    client = signed_in(superuser=True)
    for model in (Run, StepResult):
        address = reverse(f"admin:workflows_{model._meta.model_name}_changelist")
        found = client.get(address, {"q": str(run.pk)[:23]}).context["cl"].queryset
        assert found.count() >= 1
        assert client.get(address, {"q": "ffffffff"}).context["cl"].queryset.count() == 0


def test_lists_stay_at_few_queries_with_many_rows(django_assert_max_num_queries: Any) -> None:
    stored = workflow()
    for _ in range(30):
        run_of(stored)
    client = signed_in(superuser=True)
    for model in ("run", "event", "workflow"):
        with django_assert_max_num_queries(14):
            client.get(reverse(f"admin:workflows_{model}_changelist"))


def test_every_page_bears_the_policy_and_no_inline_script() -> None:
    sync_agents()
    run = finished()
    client = signed_in(superuser=True)
    addresses = ["/admin/", "/admin/workflows/workflow/add/", "/admin/workflows/run/"]
    addresses += [
        "/admin/auth/user/add/",
        reverse("admin:workflows_run_change", args=[run.pk]),
        "/admin/nothing/here/",
    ]
    addresses += [reverse("admin:workflows_workflow_change", args=[run.workflow_id])]
    addresses += [
        reverse(f"admin:workflows_workflow_{name}", args=[run.workflow_id, 1]) for name in ("compare", "restore")
    ]
    for answer in [*map(client.get, addresses), Client(headers={"host": "localhost"}).get("/admin/login/")]:
        shown = answer.content.decode()
        assert answer.headers["Content-Security-Policy"] == POLICY
        scripts = re.findall(r"<script\b([^>]*)>", shown)
        assert all("src=" in script or 'type="application/json"' in script for script in scripts)
        assert not re.search(r'\son[a-z]+="|https?://(?!localhost)[^"]+\.(?:js|css)', shown)


def test_a_token_is_shown_once_and_kept_as_a_digest() -> None:
    client = signed_in(superuser=True)
    user = User.objects.get()
    answer = client.post("/admin/knox/authtoken/add/", {"user": user.pk, "days": "30"})
    token = answer.context["token"]
    assert token in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    stored = AuthToken.objects.get()
    assert token not in (stored.digest, stored.token_key)
    assert token not in client.get("/admin/knox/authtoken/").content.decode()
    assert Event.objects.get(type="token_created").data["token"] == token[:8]


def test_a_token_is_revoked() -> None:
    client = signed_in(superuser=True)
    made, _ = AuthToken.objects.create(User.objects.get())
    client.post(reverse("admin:knox_authtoken_delete", args=[made.pk]), {"post": "yes"})
    assert not AuthToken.objects.exists()
    assert Event.objects.filter(type="token_revoked", actor="person").exists()


def test_nobody_but_a_superuser_makes_tokens_of_others() -> None:
    other = User.objects.create(username="other", is_superuser=True)
    client = signed_in("knox.add_authtoken")
    assert client.post("/admin/knox/authtoken/add/", {"user": other.pk, "days": "30"}).context["form"].errors
    own = User.objects.get(username="person")
    assert client.post("/admin/knox/authtoken/add/", {"user": own.pk, "days": "30"}).context["token"]


def test_tokens_are_for_those_who_may() -> None:
    client = signed_in("workflows.view_run")
    assert client.get("/admin/knox/authtoken/add/").status_code == 403
    assert client.get("/admin/knox/authtoken/").status_code == 403


def test_an_agent_is_switched_off_and_on_and_nothing_else_is_changed() -> None:
    sync_agents()
    client = signed_in("agents.view_agent", "agents.change_agent")
    agent = Agent.objects.get(name="content_creator")
    client.post("/admin/agents/agent/", {"action": "disable", "_selected_action": [str(agent.pk)]})
    agent.refresh_from_db()
    assert not agent.enabled
    assert Event.objects.get(type="agent_disabled").path == "content_creator"
    client.post(reverse("admin:agents_agent_change", args=[agent.pk]), {"enabled": "on", "name": "renamed"})
    agent.refresh_from_db()
    assert (agent.enabled, agent.name) == (True, "content_creator")


def test_home_says_what_is_missing_and_counts_runs() -> None:
    finished()
    run_of(workflow(workflow_id="other"))
    Worker.objects.all().delete()
    client = signed_in(superuser=True)
    with override_settings(INFERENCE_URL=""):
        answer = client.get("/admin/")
    assert "KOLOSAL_INFERENCE_URL" in answer.content.decode()
    assert "manage.py worker" in answer.content.decode()
    assert answer.context["line"].number == "1"


def test_home_is_quiet_when_nothing_is_missing() -> None:
    now = timezone.now()
    Worker.objects.create(kind="worker", host="h", pid=1, started_at=now, expires_at=now + timedelta(seconds=15))
    with override_settings(INFERENCE_URL="http://localhost:1/v1"):
        shown = signed_in(superuser=True).get("/admin/").content.decode()
    assert "No model server" not in shown
    assert "No worker is alive" not in shown


@pytest.mark.parametrize("permitted", [True, False])
def test_workflow_and_agent_say_what_their_models_have_used_to_those_who_may_see_runs(permitted: bool) -> None:
    sync_agents()
    run = finished()
    used = {"input_tokens": 1200, "output_tokens": 34, "cost": 0.0042}
    Run.objects.update(**used)
    StepResult.objects.update(**used)
    pages = [
        reverse("admin:workflows_workflow_change", args=[run.workflow_id]),
        reverse("admin:agents_agent_change", args=[Agent.objects.get(name="content_creator").pk]),
    ]
    client = signed_in("workflows.view_workflow", "agents.view_agent", *(["workflows.view_run"] if permitted else []))
    for page, counted in zip(pages, ("runs", "steps"), strict=True):
        answer = client.get(page)
        assert answer.status_code == 200
        assert (f"1,234 tokens in 1 {counted}, $0.0042" in answer.content.decode()) is permitted
