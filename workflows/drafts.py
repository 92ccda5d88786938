"""Drafts of definitions: each is seen by the person who keeps it, and by nobody else."""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from workflows.models import Draft, Workflow

MOST = 100
"""Drafts of one person; the oldest make way."""

Person = AbstractBaseUser | AnonymousUser


def of(owner: Person, workflow: Workflow | None) -> QuerySet[Draft]:
    """Their drafts of this workflow, or of workflows that are not there yet; the newest first."""
    return Draft.objects.filter(owner=owner.pk, workflow=workflow)


def find(owner: Person, workflow: Workflow | None, number: str | int | None) -> Draft | None:
    """The draft of that number, if it is theirs and of this workflow."""
    text = str(number or "")
    is_number = text.isascii() and text.isdigit() and len(text) < 19
    return of(owner, workflow).filter(pk=text).first() if is_number else None


def keep(owner: Person, workflow: Workflow | None, title: str, sent: dict[str, str], number: int | None) -> Draft:
    """Keep what was sent, in the place of the draft of that number if there is one."""
    draft = find(owner, workflow, number) or Draft(owner_id=owner.pk, workflow=workflow)
    draft.title, draft.sent = title[:200], sent
    draft.save()
    too_many = Draft.objects.filter(owner=owner.pk).values_list("pk", flat=True)[MOST : 2 * MOST]
    Draft.objects.filter(pk__in=list(too_many)).delete()
    return draft
