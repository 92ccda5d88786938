"""The page of what waits for a person, and the form that answers a question."""

import uuid

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from workflows import approvals, runs
from workflows.admin import failures, waiting
from workflows.admin.telling import tell
from workflows.errors import AnswerRefused, ApprovalNotFound, NotAsked, RunNotFound, RunStateConflict

ON_A_PAGE = 25
BACK = {"home": "admin:index", "approvals": "approvals"}
"""Where a form is, if not on the page of its run → the name of that page's address."""


class AnswerForm(forms.Form):
    """What a person answers."""

    path = forms.CharField(max_length=500, strip=False)
    answer = forms.CharField(max_length=200, strip=False)
    comment = forms.CharField(max_length=runs.LONGEST_COMMENT, strip=False, required=False)


def page(request: HttpRequest) -> HttpResponse:
    """All that waits for the person."""
    if not request.user.has_perm("workflows.view_run"):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Waiting for you",
        "questions": Paginator(waiting.questions(request), ON_A_PAGE).get_page(request.GET.get("page")),
        "failures": failures.told(list(waiting.failed_runs(request)[:ON_A_PAGE])),
    }
    return TemplateResponse(request, "admin/workflows/run/approvals.html", context)


@require_POST
def answer(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Answer a step of the run, and go back to where the form was."""
    form = AnswerForm(request.POST)
    back = BACK.get(request.POST.get("back", ""))
    place = reverse(back) if back else reverse("admin:workflows_run_change", args=[run_id])
    if form.is_valid():
        return tell(request, *_answer(request, run_id, **form.cleaned_data), place)
    wrong = "; ".join(f"{name}: {told[0]}" for name, told in form.errors.items())
    return tell(request, wrong, messages.ERROR, place)


def _answer(request: HttpRequest, run_id: uuid.UUID, path: str, answer: str, comment: str) -> tuple[str, int]:
    try:
        approvals.answer(run_id, path, answer, person=request.user, comment=comment)
    except NotAsked as refused:
        raise PermissionDenied(str(refused)) from None
    except (AnswerRefused, ApprovalNotFound, RunNotFound, RunStateConflict) as refused:
        return str(refused), messages.ERROR
    return f"Your answer to step {path} is “{answer}”.", messages.SUCCESS
