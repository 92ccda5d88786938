"""Who may come in: the local operator, tokens, sessions; and nobody else."""

import time
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests.api.client import Api
from tests.api.routes import CALLS, Call
from tests.api.shape import BASE, data_of, refused, sample


@pytest.mark.parametrize(
    "changes",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "::ffff:192.0.2.7"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_FORWARDED_HOST": "localhost"},
        {"HTTP_X_FORWARDED_PROTO": "http"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_X_ORIGINAL_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_CF_CONNECTING_IP": "127.0.0.1"},
        {"HTTP_TRUE_CLIENT_IP": "127.0.0.1"},
        {"HTTP_X_CLIENT_IP": "127.0.0.1"},
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "http://localhost:3000"},
        {"HTTP_ORIGIN": "https://localhost"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": ""},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
        {"HTTP_SEC_FETCH_SITE": "Cross-Site"},
    ],
)
def test_a_stranger_gets_401(api: Api, changes: Any) -> None:
    answer = api.get(BASE, **changes)
    refused(answer, 401, "NotAuthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    refused(api.generic("POST", f"{BASE}/validate", **changes), 401)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"REMOTE_ADDR": "127.8.9.1"},
        {"REMOTE_ADDR": "::1"},
        {"REMOTE_ADDR": "::ffff:127.0.0.1"},
        {"HTTP_ORIGIN": "http://localhost"},
        {"HTTP_HOST": "127.0.0.1:8080", "HTTP_ORIGIN": "http://127.0.0.1:8080"},
        {"HTTP_HOST": "[::1]:8080"},
        {"HTTP_SEC_FETCH_SITE": "none"},
        {"HTTP_SEC_FETCH_SITE": "same-origin"},
    ],
)
def test_the_local_operator_comes_in(api: Api, changes: Any) -> None:
    data_of(api.get(BASE, **changes))


def test_a_name_that_is_only_allowed_by_a_wildcard_does_not_come_in(api: Api, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*", ".example.org"]
    refused(api.get(BASE, HTTP_HOST="evil.example"), 401)
    refused(api.get(BASE, HTTP_HOST="a.example.org"), 401)


def test_a_host_that_is_not_ours_is_400(api: Api) -> None:
    refused(api.get(BASE, HTTP_HOST="evil.example"), 400)
    refused(api.get(BASE, HTTP_HOST=""), 400)


def test_nobody_comes_in_where_our_command_did_not_start_the_server(api: Api, settings: Settings) -> None:
    settings.LOCAL_ANONYMOUS = False
    refused(api.get(BASE), 401, "NotAuthenticated")


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_route_refuses_strangers_and_accounts_without_permission(api: Api, call: Call) -> None:
    stranger = api.generic(call.verb, call.address, REMOTE_ADDR="192.0.2.7")
    nobody = User.objects.create_user("nobody")
    api.force_login(nobody)
    api.handler.enforce_csrf_checks = False
    account = api.generic(call.verb, call.address, REMOTE_ADDR="192.0.2.7")
    if call.public:
        assert stranger.status_code not in {401, 403}
    else:
        refused(stranger, 401, "NotAuthenticated")
        refused(account, 403, "PermissionDenied")


def token_for(user: User, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    call_command("create_token", user.username, *options)
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "bearer"])
def test_a_token_comes_in_from_anywhere_and_may_do_what_its_account_may(
    scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    user = User.objects.create_user("reader")
    user.user_permissions.add(Permission.objects.get(codename="view_workflow"))
    api = Api(Authorization=f"{scheme} {token_for(user, capsys)}")
    data_of(api.get(BASE, REMOTE_ADDR="192.0.2.7"))
    refused(api.post(BASE, sample(), REMOTE_ADDR="192.0.2.7"), 403, "PermissionDenied")
    user.user_permissions.add(Permission.objects.get(codename="add_workflow"))
    data_of(api.post(BASE, sample(), REMOTE_ADDR="192.0.2.7"), 201)


def test_a_superusers_token_may_do_everything_and_its_runs_bear_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = User.objects.create_superuser("root")
    api = Api(Authorization=f"Bearer {token_for(root, capsys)}")
    data_of(api.post(BASE, sample()), 201)
    run = data_of(api.post(f"{BASE}/sample/execute-async"), 202)["execution_id"]
    assert data_of(api.get(f"/api/v1/runs/{run}"))["actor"] == "root"


@pytest.mark.parametrize("value", ["Bearer", "Bearer nonsense", "Bearer a b", "Bearer \u00e9", "Basic YTpi", "x"])
def test_a_wrong_token_is_refused_even_from_this_machine(value: str) -> None:
    refused(Api(Authorization=value).get(BASE), 401, "AuthenticationFailed")


def test_a_token_ends_after_its_days(capsys: pytest.CaptureFixture[str]) -> None:
    user = User.objects.create_superuser("root")
    api = Api(Authorization=f"Bearer {token_for(user, capsys, '--days', '2')}")
    data_of(api.get(BASE))
    with time_machine.travel(time.time() + 2.1 * 86_400, tick=False):
        refused(api.get(BASE), 401, "AuthenticationFailed")


def test_the_token_of_a_switched_off_account_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    user = User.objects.create_superuser("root")
    api = Api(Authorization=f"Bearer {token_for(user, capsys)}")
    user.is_active = False
    user.save()
    refused(api.get(BASE), 401, "AuthenticationFailed")


def test_create_token_names_the_accounts_there_are() -> None:
    User.objects.create_user("anna")
    with pytest.raises(CommandError, match="anna"):
        call_command("create_token", "ana")
    with pytest.raises(CommandError, match="--days"):
        call_command("create_token", "anna", "--days", "0")


def test_a_session_needs_csrf_for_what_changes() -> None:
    from django.test import Client

    client = Client(enforce_csrf_checks=True, headers={"Host": "localhost"})
    client.force_login(User.objects.create_superuser("root"))
    data_of(client.get(BASE))
    refused(client.post(BASE, sample(), content_type="application/json"), 403)
