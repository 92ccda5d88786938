"""What waits for a person's answer, and who may give it."""

import re
import uuid
from collections.abc import Sequence
from functools import partial

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat, StrIndex
from django.utils import timezone

from workflows import runs
from workflows.models import RunRequest, StepResult
from workflows.models.fields import dumps
from workflows.states import RUN_ACTIVE, StepStatus

PERMISSION = "workflows.change_run"
GROUP = "group:"

Person = AbstractBaseUser | AnonymousUser
"""Whoever asks: an account, or the local operator."""


def is_asked(person: Person, assignees: Sequence[str]) -> bool:
    """Whether the person may answer what ``assignees`` are asked: user names, and groups as ``group:<name>``.

    Whoever may steer runs, where nobody is named; else only those named. A superuser always may.
    """
    if not _account(person).has_perm(PERMISSION):
        return False
    return _account(person).is_superuser or not assignees or not _names(person).isdisjoint(assignees)


def waiting() -> QuerySet[StepResult]:
    """Steps that a person can answer now, the longest waiting first: not answered yet, in time, of runs that go on."""
    # No part of an answer can look like this key: quotation marks inside of JSON's strings are escaped.
    of_step = StrIndex("arguments", Concat(Value('"path":"'), OuterRef("path"), Value('"')))
    answers = RunRequest.objects.annotate(of_step=of_step).filter(
        run=OuterRef("run"), verb=RunRequest.Verb.ANSWER, of_step__gt=0
    )
    asked = StepResult.objects.filter(kind="approval", status=StepStatus.WAITING, superseded=False)
    in_time = Q(due_at__isnull=True) | Q(due_at__gt=timezone.now())
    found = asked.filter(in_time, ~Exists(answers), run__status__in=RUN_ACTIVE)
    return found.select_related("run__workflow").order_by("pk")


def asking(person: Person) -> Q:
    """Of `waiting`, those that the person may answer: where `is_asked` holds."""
    if not _account(person).has_perm(PERMISSION):
        return Q(pk__in=[])
    if _account(person).is_superuser:
        return Q()
    return Q(parameters__contains='"assignees":[]') | naming(*_names(person))


def naming(*names: str) -> Q:
    """Approvals among whose assignees one of the names stands."""
    one = "|".join(re.escape(dumps(name)) for name in names)
    # The list as JSON, in a column of text: any strings, one of these, the rest. The key can stand nowhere else.
    return Q(parameters__regex=rf'"assignees":\[("([^"\\]|\\.)*",)*({one})[],]')


def answer(run_id: uuid.UUID, path: str, answer: str, *, person: Person, comment: str = "") -> None:
    """`runs.answer` in the person's name. Raises `NotAsked` if others are asked, and what that raises."""
    runs.answer(
        run_id, path, answer, actor=person.get_username(), comment=comment, may_answer=partial(is_asked, person)
    )


def _names(person: Person) -> set[str]:
    """As assignees name the person. A user name that looks like a group is none here."""
    groups = {f"{GROUP}{name}" for name in _account(person).groups.values_list("name", flat=True)}
    return groups | {name for name in [person.get_username()] if not name.startswith(GROUP)}


def _account(person: Person) -> PermissionsMixin | AnonymousUser:
    assert isinstance(person, PermissionsMixin | AnonymousUser)
    return person
