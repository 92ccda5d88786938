"""Questions that wait for a person: their page, the form that answers one, and how many there are."""

import copy
import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from kolosal.theme import APPROVALS, NAVIGATION
from workflows import approvals, runs
from workflows.errors import AnswerRefused, ApprovalNotFound, NotAsked, RunNotFound, RunStateConflict
from workflows.models import StepResult

ON_A_PAGE = 25
BACK = {"home": "admin:index", "approvals": "approvals"}
"""Where a form is, if not on the page of its run → the name of that page's address."""


class AnswerForm(forms.Form):
    """What a person answers."""

    path = forms.CharField(max_length=500, strip=False)
    answer = forms.CharField(max_length=200, strip=False)
    comment = forms.CharField(max_length=runs.LONGEST_COMMENT, strip=False, required=False)


def waiting_for(request: HttpRequest) -> QuerySet[StepResult]:
    """What the person may answer, the longest waiting first."""
    return approvals.waiting().filter(approvals.asking(request.user))


def page(request: HttpRequest) -> HttpResponse:
    """All that waits for the person."""
    if not request.user.has_perm("workflows.view_run"):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Waiting for you",
        "questions": Paginator(waiting_for(request), ON_A_PAGE).get_page(request.GET.get("page")),
    }
    return TemplateResponse(request, "admin/workflows/run/approvals.html", context)


@require_POST
def answer(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Answer a step of the run, and go back to where the form was."""
    form = AnswerForm(request.POST)
    if form.is_valid():
        _answer(request, run_id, **form.cleaned_data)
    else:
        messages.error(request, "; ".join(f"{name}: {told[0]}" for name, told in form.errors.items()))
    back = BACK.get(request.POST.get("back", ""))
    return HttpResponseRedirect(reverse(back) if back else reverse("admin:workflows_run_change", args=[run_id]))


def _answer(request: HttpRequest, run_id: uuid.UUID, path: str, answer: str, comment: str) -> None:
    try:
        approvals.answer(run_id, path, answer, person=request.user, comment=comment)
    except NotAsked as refused:
        raise PermissionDenied(str(refused)) from None
    except (AnswerRefused, ApprovalNotFound, RunNotFound, RunStateConflict) as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Your answer to step {path} is “{answer}”.")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar, with how many questions wait for the person."""
    groups = copy.deepcopy(NAVIGATION)
    if count := waiting_for(request).count():
        entry = next(item for group in groups for item in group["items"] if item["title"] == APPROVALS)
        entry |= {"badge": count, "badge_variant": "warning"}
    return groups
