"""The roles in the admin: which pages each may open and use, and that nobody gives himself more."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import models
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from knox.models import AuthToken

from tests.admin.factories import run_of, sync_agents, workflow
from workflows import approvals, roles
from workflows.models import Event, Run
from workflows.roles import ROLES

pytestmark = pytest.mark.django_db
NAMES = list(ROLES)
MODELS = list(admin.site._registry)


def person(role: str = "", name: str = "person", **fields: object) -> User:
    user = User.objects.create(username=name, is_staff=True, **fields)
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def client_of(user: User) -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    return client


def may(role: str, least: str | None) -> bool:
    return least is not None and bool(role) and NAMES.index(role) >= NAMES.index(least)


# --- Pages × roles ---------------------------------------------------------------------------------------------------

ACCOUNTS = {"user", "group", "authtoken"}
WRITERS = {
    ("workflow", "add"): "editor",
    ("user", "add"): "admin",
    ("group", "add"): "admin",
    ("authtoken", "add"): "admin",
    ("user", "delete"): "admin",
    ("group", "delete"): "admin",
    ("authtoken", "delete"): "admin",
}
"""Model and page → the least role that may use it. No other model has such a page for anybody."""


def name_of(model: type[models.Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


@pytest.mark.parametrize("role", ["", *ROLES])
@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_lists_and_forms_are_open_to_their_role_and_those_above(model: type[models.Model], role: str) -> None:
    client, short = client_of(person(role)), str(model._meta.model_name)
    seen = may(role, "admin" if short in ACCOUNTS else "viewer")
    assert client.get(reverse(f"admin:{name_of(model)}_changelist")).status_code == (200 if seen else 403)
    added = may(role, WRITERS.get((short, "add")))
    assert client.get(reverse(f"admin:{name_of(model)}_add")).status_code == (200 if added else 403)


@pytest.mark.parametrize("role", ["", *ROLES])
def test_rows_are_seen_changed_and_deleted_by_their_role_and_those_above(role: str) -> None:
    sync_agents()
    run = run_of(workflow())
    other = User.objects.create(username="other")
    group = Group.objects.create(name="own")
    AuthToken.objects.create(other)
    client = client_of(person(role))
    rows = [model._default_manager.first() for model in MODELS]
    for row in [*filter(None, rows), other, group]:
        short = str(row._meta.model_name)
        place = f"admin:{name_of(type(row))}"
        seen = may(role, "admin" if short in ACCOUNTS else "viewer")
        assert client.get(reverse(f"{place}_change", args=[row.pk])).status_code == (200 if seen else 403), place
        if row not in (Group.objects.first(), User.objects.get(username="person")):
            deleted = may(role, WRITERS.get((short, "delete")))
            assert client.get(reverse(f"{place}_delete", args=[row.pk])).status_code == (200 if deleted else 403), place
    assert Run.objects.filter(pk=run.pk).exists()


@pytest.mark.parametrize("role", ["", *ROLES])
def test_runs_are_started_and_steered_by_operators_and_definitions_changed_by_editors(role: str) -> None:
    stored = workflow()
    run = run_of(stored)
    client = client_of(person(role))
    operates, edits = may(role, "operator"), may(role, "editor")
    start = reverse("admin:workflows_workflow_run", args=[stored.pk])
    assert client.post(start, {"input": "{}"}).status_code == (302 if operates else 403)
    for verb in ("pause", "resume", "cancel", "retry"):
        code = client.post(reverse(f"admin:workflows_run_{verb}", args=[run.pk])).status_code
        assert code == (302 if operates else 403), verb
    run.refresh_from_db()
    assert run.actor == "tests"
    assert (Event.objects.filter(run=run, actor="person").exists()) is operates
    restore = reverse("admin:workflows_workflow_restore", args=[stored.pk, 1])
    assert client.get(restore).status_code == (200 if edits else 403)
    archive = {"action": "archive_selected", "_selected_action": [stored.pk]}
    client.post(reverse("admin:workflows_workflow_changelist"), archive)
    stored.refresh_from_db()
    assert (stored.archived_at is not None) is edits
    assert approvals.is_asked(User.objects.get(username="person"), []) is operates


def pages(found: list[URLPattern | URLResolver], before: str = "/admin/") -> Iterator[str]:
    """The addresses of every page of the admin, whoever has added it."""
    for pattern in found:
        place = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from pages(pattern.url_patterns, place)
        else:
            yield place


def filled(address: str, run: Run) -> str:
    for written, value in {
        "<path:object_id>": "1", "<int:workflow>": str(run.workflow_id), "<int:number>": "1", "<int:template>": "1",
        "<uuid:run_id>": str(run.pk), "<id>": "1", "<path:url>": "x", "<str:ending>": "csv",
        "<int:content_type_id>": "1",
    }.items():  # fmt: skip
        address = address.replace(written, value)
    return address


OF_EVERYBODY = {"/admin/", "/admin/login/", "/admin/logout/", "/admin/password_change/", "/admin/password_change/done/",
                "/admin/jsi18n/", "/admin/autocomplete/", "/admin/search/"}  # fmt: skip


def test_no_page_of_the_admin_is_forgotten() -> None:
    """A page that somebody adds is closed to staff without rights, and changes nothing for a viewer."""
    run = run_of(workflow())
    nobody, viewer = client_of(person(name="nobody")), client_of(person("viewer"))
    before = list(Event.objects.order_by("pk").values())
    checked = 0
    for address in pages(admin.site.urls[0]):
        address = filled(address, run)
        if address in OF_EVERYBODY or "(?P" in address or "<" in address:
            continue
        checked += 1
        assert nobody.get(address).status_code in {403, 404, 405, 302}, address
        assert nobody.post(address).status_code in {403, 404, 405, 302}, address
        assert viewer.post(address).status_code in {200, 302, 400, 403, 404, 405}, address
    assert checked > 60
    assert list(Event.objects.order_by("pk").values()) == before
    run.refresh_from_db()
    assert run.status == "queued"


# --- The groups themselves -------------------------------------------------------------------------------------------


def permissions(role: str) -> set[str]:
    rows = Group.objects.get(name=role).permissions.select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


def test_each_role_has_what_the_one_before_has_and_more() -> None:
    for less, more in pairwise(NAMES):
        assert permissions(less) < permissions(more)
    assert "workflows.view_event" in permissions("viewer")
    assert not {name for name in permissions("viewer") if ".view_" not in name}
    changing = {
        name for role in NAMES for name in permissions(role) if name.endswith("_event") and ".view_" not in name
    }
    assert changing == set()


def test_roles_are_brought_back_to_what_is_declared_and_the_trail_tells() -> None:
    viewer = Group.objects.get(name="viewer")
    own = Group.objects.create(name="own")
    stray = Permission.objects.get(codename="delete_workflow")
    viewer.permissions.remove(Permission.objects.get(codename="view_run"))
    for group in (viewer, own):
        group.permissions.add(stray)
    Group.objects.get(name="editor").delete()
    call_command("migrate", verbosity=0)
    assert "workflows.view_run" in permissions("viewer")
    assert "workflows.delete_workflow" not in permissions("viewer")
    assert permissions("own") == {"workflows.delete_workflow"}
    assert "workflows.add_workflow" in permissions("editor")
    told = Event.objects.filter(type="group_permissions_changed", path="viewer").order_by("-seq")[:2]
    assert {tuple(event.data) for event in told} == {("added",), ("removed",)}


def test_roles_are_nobody_s_to_change_not_even_a_superuser_s() -> None:
    role = Group.objects.get(name="operator")
    client = client_of(person(is_superuser=True))
    address = reverse("admin:auth_group_change", args=[role.pk])
    assert client.get(address).status_code == 200
    assert client.post(address, {"name": "operator", "permissions": []}).status_code == 403
    assert client.post(reverse("admin:auth_group_delete", args=[role.pk]), {"post": "yes"}).status_code == 403
    bulk = {"action": "delete_selected", "_selected_action": [role.pk], "post": "yes"}
    assert client.post(reverse("admin:auth_group_changelist"), bulk).status_code == 403
    assert "workflows.add_run" in permissions("operator")


# --- Nobody gives himself more ---------------------------------------------------------------------------------------

TIMES = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}


def change(client: Client, user: User, **fields: object) -> int:
    sent = {"username": user.username, "is_active": "on", "is_staff": "on", **TIMES, **fields}
    return client.post(reverse("admin:auth_user_change", args=[user.pk]), sent).status_code


@pytest.fixture
def manager() -> User:
    return person("admin", "manager")


def test_an_admin_brings_people_into_roles_and_makes_their_tokens(manager: User) -> None:
    client = client_of(manager)
    ann = person(name="ann")
    editor = Group.objects.get(name="editor")
    assert change(client, ann, groups=[editor.pk]) == 302
    assert list(ann.groups.all()) == [editor]
    assert client.post("/admin/knox/authtoken/add/", {"user": ann.pk, "days": "30"}).context["token"]
    token = AuthToken.objects.get()
    assert client.post(reverse("admin:knox_authtoken_delete", args=[token.pk]), {"post": "yes"}).status_code == 302
    assert not AuthToken.objects.exists()


def test_an_admin_can_t_make_himself_or_others_a_superuser(manager: User) -> None:
    client, ann = client_of(manager), person(name="ann")
    for user in (manager, ann):
        change(client, user, is_superuser="on", groups=[group.pk for group in user.groups.all()])
        user.refresh_from_db()
        assert not user.is_superuser


def test_an_admin_can_t_give_rights_that_he_lacks(manager: User) -> None:
    client, ann = client_of(manager), person(name="ann")
    lacking = Permission.objects.get(codename="add_permission")
    above = Group.objects.create(name="above")
    above.permissions.add(lacking)
    assert change(client, ann, user_permissions=[lacking.pk]) == 200  # the form again, with its error
    assert change(client, ann, groups=[above.pk]) == 200
    assert change(client, manager, user_permissions=[lacking.pk]) == 200
    assert client.post("/admin/auth/group/add/", {"name": "new", "permissions": [lacking.pk]}).status_code == 200
    assert client.post(reverse("admin:auth_group_change", args=[above.pk]), {"name": "x"}).status_code == 403
    assert not ann.user_permissions.exists()
    assert not ann.groups.exists()
    assert not Group.objects.filter(name="new").exists()
    own = Group.objects.create(name="own")
    address = reverse("admin:auth_group_change", args=[own.pk])
    assert client.post(address, {"name": "own", "permissions": [lacking.pk]}).status_code == 200
    assert not own.permissions.exists()


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("how", ["superuser", "permission", "group"])
def test_an_admin_can_t_touch_accounts_that_may_do_more(manager: User, how: str, active: bool) -> None:
    boss = person(name="boss", is_superuser=how == "superuser", is_active=active)
    lacking = Permission.objects.get(codename="add_permission")
    if how == "permission":
        boss.user_permissions.add(lacking)
    elif how == "group":
        above = Group.objects.create(name="above")
        above.permissions.add(lacking)
        boss.groups.add(above)
    AuthToken.objects.create(boss)
    client, password = client_of(manager), boss.password
    assert change(client, boss, email="x@example.org") == 403
    new = {"password1": "long-and-new-71", "password2": "long-and-new-71", "usable_password": "true"}
    assert client.post(reverse("admin:auth_user_password_change", args=[boss.pk]), new).status_code == 403
    assert client.post(reverse("admin:auth_user_delete", args=[boss.pk]), {"post": "yes"}).status_code == 403
    bulk = {"action": "delete_selected", "_selected_action": [boss.pk], "post": "yes"}
    assert client.post(reverse("admin:auth_user_changelist"), bulk).status_code == 403
    assert not client.post("/admin/knox/authtoken/add/", {"user": boss.pk, "days": "30"}).context["token"]
    token = AuthToken.objects.get()
    assert client.post(reverse("admin:knox_authtoken_delete", args=[token.pk]), {"post": "yes"}).status_code == 403
    bulk["_selected_action"] = [token.pk]
    assert client.post(reverse("admin:knox_authtoken_changelist"), bulk).status_code == 403
    boss.refresh_from_db()
    assert (boss.password, boss.email, AuthToken.objects.count()) == (password, "", 1)


def test_who_may_only_make_tokens_makes_none_in_another_name() -> None:
    maker, ann = person(name="maker"), person(name="ann")
    maker.user_permissions.add(Permission.objects.get(codename="add_authtoken"))
    client = client_of(maker)
    assert not client.post("/admin/knox/authtoken/add/", {"user": ann.pk, "days": "30"}).context["token"]
    assert client.post("/admin/knox/authtoken/add/", {"user": maker.pk, "days": "30"}).context["token"]


def test_what_a_person_may_give_is_what_he_has() -> None:
    assert set(roles.joinable(person("operator")).values_list("name", flat=True)) == {"viewer", "operator"}
    assert roles.manageable(person("viewer", "v")).filter(username="person").count() == 0
    assert roles.grantable(person(name="root", is_superuser=True)).count() == Permission.objects.count()
