"""Every route × verb × role: what each role may do in the API, no more and no less."""

import re

import pytest
from django.contrib.auth.models import Group, User

from tests.api.client import Api
from tests.api.routes import CALLS, Call
from tests.api.shape import refused
from workflows.roles import ROLES

RUN = re.compile(r"/(execute|execute-async|cancel|pause|resume|retry|rerun|signal)$")


def least_role(call: Call) -> str:
    """Who watches is a viewer, who moves runs an operator, who changes definitions an editor."""
    if call.verb == "GET" or call.address.endswith("/validate"):
        return "viewer"
    return "operator" if RUN.search(call.address) else "editor"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("call", [call for call in CALLS if not call.public], ids=str)
def test_every_call_is_open_to_its_role_and_those_above(api: Api, call: Call, role: str) -> None:
    user = User.objects.create_user("person")
    user.groups.add(Group.objects.get(name=role))
    api.force_login(user)
    api.handler.enforce_csrf_checks = False
    answer = api.generic(call.verb, call.address, REMOTE_ADDR="192.0.2.7")
    names = list(ROLES)
    if names.index(role) >= names.index(least_role(call)):
        assert answer.status_code not in {401, 403}
    else:
        refused(answer, 403, "PermissionDenied")
