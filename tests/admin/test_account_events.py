"""Log-ins, accounts, rights, tokens and agents in the audit trail: who did what, and no secret among it."""

import json
import time

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import reverse
from knox.models import AuthToken

from agents.models import Agent
from agents.sync import sync
from tests.api.client import Api
from tests.factories import make_agent
from workflows import account_events, acting, audit
from workflows.models import Event

pytestmark = pytest.mark.django_db
CANARY = "canary-pass-7391"


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    account_events._beyond.take()


def events(type: str) -> list[Event]:
    return list(Event.objects.filter(type=type).order_by("seq"))


def the(type: str) -> Event:
    (event,) = events(type)
    return event


def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def log_in(name: str, password: str) -> Client:
    client = Client()
    client.post("/admin/login/", {"username": name, "password": password}, REMOTE_ADDR="192.0.2.7")
    return client


def test_logging_in_and_out_is_recorded_with_the_address() -> None:
    User.objects.create_superuser("root", password=CANARY)
    client = log_in("root", CANARY)
    client.post("/admin/logout/")
    told = the("logged_in")
    assert (told.actor, told.path, told.data) == ("root", "root", {"address": "192.0.2.7"})
    assert the("logged_out").actor == "root"


def test_a_failed_log_in_names_the_account_only_if_there_is_one() -> None:
    User.objects.create_user("ann", password=CANARY)
    log_in("ann", "wrong-" + CANARY)
    log_in(CANARY, "ann")  # the fields mixed up
    first, second = events("login_failed")
    assert (first.actor, first.path, first.data["known_account"]) == ("anonymous", "ann", True)
    assert (second.path, second.data["known_account"]) == ("", False)
    assert CANARY not in json.dumps(list(Event.objects.values()), default=str)


def test_many_failed_log_ins_don_t_flood_the_chain_and_are_counted() -> None:
    for _ in range(account_events.FAILURES_A_MINUTE + 7):
        log_in("ann", "no")
    assert len(events("login_failed")) == account_events.FAILURES_A_MINUTE
    with time_machine.travel(time.time() + 61):
        log_in("ann", "no")
    assert events("login_failed")[-1].data["more_before"] == 7


@override_settings(
    PASSWORD_HASHERS=[
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
)
def test_a_password_that_is_hashed_anew_at_a_log_in_is_not_called_changed() -> None:
    user = User.objects.create(username="root", is_staff=True, password=make_password(CANARY, hasher="md5"))
    log_in("root", CANARY)
    user.refresh_from_db()
    assert user.password.startswith("pbkdf2")
    assert the("logged_in")
    assert events("user_changed") == []


def test_accounts_made_changed_and_deleted_in_the_admin() -> None:
    client = admin()
    form = {"username": "ann", "password1": CANARY, "password2": CANARY, "usable_password": "true"}
    client.post("/admin/auth/user/add/", form)
    ann = User.objects.get(username="ann")
    made = [event for event in events("user_created") if event.path == "ann"]
    assert [(event.actor, event.data["private"]) for event in made] == [("root", ["password"])]

    address = reverse("admin:auth_user_change", args=[ann.pk])
    times = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    client.post(address, {"username": "ann", "email": "ann@example.org", "is_staff": "on", **times})
    assert the("user_changed").data == {
        "changed": {"is_active": [True, False], "is_staff": [False, True]},
        "private": ["email"],
    }
    client.post(reverse("admin:auth_user_password_change", args=[ann.pk]), form)
    assert events("user_changed")[-1].data == {"changed": {}, "private": ["password"]}
    client.post(reverse("admin:auth_user_delete", args=[ann.pk]), {"post": "yes"})
    assert (the("user_deleted").actor, the("user_deleted").path) == ("root", "ann")
    stored = json.dumps(list(Event.objects.values()), default=str)
    assert CANARY not in stored
    assert "ann@example.org" not in stored


def test_groups_and_permissions_say_what_was_added_and_removed() -> None:
    client = admin()
    view, add = (Permission.objects.get(codename=f"{verb}_workflow") for verb in ("view", "add"))
    client.post("/admin/auth/group/add/", {"name": "readers", "permissions": [view.pk]})
    readers = Group.objects.get(name="readers")
    assert the("group_created").path == "readers"
    assert the("group_permissions_changed").data == {"added": ["workflows.view_workflow"]}
    client.post(reverse("admin:auth_group_change", args=[readers.pk]), {"name": "readers", "permissions": [add.pk]})
    removed, added = events("group_permissions_changed")[1:]
    assert (removed.data, removed.actor) == ({"removed": ["workflows.view_workflow"]}, "root")
    assert added.data == {"added": ["workflows.add_workflow"]}

    ann = User.objects.create_user("ann")
    ann.groups.add(readers)
    readers.user_set.remove(ann)
    assert [event.data for event in events("user_groups_changed")] == [{"added": ["readers"]}, {"removed": ["readers"]}]
    readers.user_set.set([ann])
    ann.groups.clear()
    assert [(event.path, event.data) for event in events("user_groups_changed")[2:]] == [
        ("ann", {"added": ["readers"]}),
        ("ann", {"removed": ["readers"]}),
    ]
    ann.user_permissions.set([view])
    view.user_set.clear()
    view.group_set.add(readers)
    add.group_set.clear()
    assert [(event.path, event.data) for event in events("user_permissions_changed")] == [
        ("ann", {"added": ["workflows.view_workflow"]}),
        ("ann", {"removed": ["workflows.view_workflow"]}),
    ]
    assert [
        (event.path, event.data) for event in events("group_permissions_changed")[3:] if event.path == "readers"
    ] == [
        ("readers", {"added": ["workflows.view_workflow"]}),
        ("readers", {"removed": ["workflows.add_workflow"]}),
    ]
    ann.groups.clear()
    assert len(events("user_groups_changed")) == 4  # nothing was there


def test_tokens_are_recorded_wherever_they_are_made_or_go(capsys: pytest.CaptureFixture[str]) -> None:
    ann = User.objects.create_superuser("ann")
    call_command("create_token", "ann")
    token = capsys.readouterr().out.strip()
    made = the("token_created")
    assert (made.actor, made.path, made.data["token"]) == (acting.actor(), "ann", token[:8])
    assert made.actor.startswith("command:")
    AuthToken.objects.get().delete()
    assert the("token_revoked").path == "ann"
    AuthToken.objects.create(ann)
    ann.delete()
    assert len(events("token_revoked")) == 2
    assert token not in json.dumps(list(Event.objects.values()), default=str)


def test_a_token_that_ran_out_is_told_from_a_revoked_one(capsys: pytest.CaptureFixture[str]) -> None:
    User.objects.create_superuser("ann")
    call_command("create_token", "ann", "--days", "1")
    api = Api(Authorization=f"Bearer {capsys.readouterr().out.strip()}")
    with time_machine.travel(time.time() + 2 * 86_400):
        assert api.get("/api/v1/runs").status_code == 401
    assert the("token_expired").path == "ann"
    assert events("token_revoked") == []


def test_agents_that_the_file_or_a_person_changes() -> None:
    sync(settings.AGENTS_FILE)
    assert len(events("agent_created")) == Agent.objects.count()
    number = Event.objects.count()
    sync(settings.AGENTS_FILE)
    assert Event.objects.count() == number  # nothing changed

    agent = Agent.objects.get(name="content_creator")
    agent.custom_settings = {"api_key": CANARY, "tone": "dry"}
    agent.system_prompt = "x" * 5000
    agent.save()
    changed = the("agent_changed").data["changed"]
    assert changed["custom_settings"][1] == {"api_key": "***", "tone": "dry"}
    assert len(changed["system_prompt"][1]) == 2001
    client = admin()
    form = {"action": "disable", "_selected_action": [str(agent.pk)]}
    client.post("/admin/agents/agent/", form)
    assert (the("agent_disabled").actor, the("agent_disabled").path) == ("root", "content_creator")
    agent.refresh_from_db()
    agent.delete()
    assert the("agent_deleted").path == "content_creator"
    assert CANARY not in json.dumps(list(Event.objects.values()), default=str)


def test_who_acts_is_known_within_the_request_only() -> None:
    assert acting.actor().startswith("command:")
    admin().get("/admin/")
    assert acting.actor().startswith("command:")


def test_the_chain_holds_over_all_of_it() -> None:
    make_agent()
    ann = User.objects.create_user("ann", password=CANARY)
    log_in("ann", "no")
    ann.groups.add(Group.objects.create(name="x"))
    ann.delete()
    assert audit.first_broken(None) is None
