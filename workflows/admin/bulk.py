"""Cancelling or retrying all runs that a list shows: the browser asks for one piece after the other."""

import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse

from workflows import runs
from workflows.admin.base import actor_of
from workflows.admin.run_list import asked_for
from workflows.errors import RunStateConflict
from workflows.models import Run
from workflows.states import RUN_ACTIVE, RUN_ENDED, RunStatus

PIECE = 50
COUNTED = 10_000


def _cancel(run_id: uuid.UUID, actor: str) -> None:
    if not runs.cancel(run_id, actor=actor):
        raise RunStateConflict("it has ended meanwhile")


def _retry(run_id: uuid.UUID, actor: str) -> None:
    runs.retry(run_id, actor=actor)


VERBS: dict[str, tuple[str, Q, Callable[[uuid.UUID, str], None]]] = {
    "cancel": ("Cancel", Q(status__in=RUN_ACTIVE), _cancel),
    "retry": ("Retry", Q(status__in=RUN_ENDED) & ~Q(status=RunStatus.COMPLETED), _retry),
}
"""Name → what the button says, the runs that it is for, and what it does to each."""


class PieceForm(forms.Form):
    """``before``: the run behind which the piece begins; nothing for the first one."""

    verb = forms.ChoiceField(choices=[(verb, verb) for verb in VERBS])
    before = forms.UUIDField(required=False)


def bulk(request: HttpRequest, model_admin: "ModelAdmin[Run]") -> HttpResponse:
    """Say how many runs each verb is for, and let a person choose."""
    asked = asked_for(request)
    if asked is None:
        raise Http404("no such list")
    counts = [(verb, label, asked.filter(fits)[: COUNTED + 1].count()) for verb, (label, fits, _) in VERBS.items()]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Cancel or retry many runs",
        "opts": model_admin.opts,
        "counts": [(verb, label, min(count, COUNTED), count > COUNTED) for verb, label, count in counts],
        "asked": request.GET.urlencode(),
    }
    return TemplateResponse(request, "admin/workflows/run/bulk.html", context)


def piece(request: HttpRequest) -> HttpResponse:
    """JSON ``{done, refused: [{run, why}], next}``; ``next`` is null at the end."""
    form, asked = PieceForm(request.POST), asked_for(request)
    if asked is None or not form.is_valid():
        return JsonResponse({"error": "no list, or no verb of it"}, status=400)
    _, fits, do = VERBS[form.cleaned_data["verb"]]
    before = form.cleaned_data["before"]
    some = asked.filter(fits, **({"pk__lt": before} if before else {}))
    ids = list(some.values_list("pk", flat=True)[:PIECE])
    refused = [told for run_id in ids if (told := _refusal(do, run_id, actor_of(request.user)))]
    return JsonResponse(
        {"done": len(ids) - len(refused), "refused": refused, "next": str(ids[-1]) if len(ids) == PIECE else None}
    )


def _refusal(do: Callable[[uuid.UUID, str], None], run_id: uuid.UUID, actor: str) -> dict[str, Any] | None:
    try:
        do(run_id, actor)
    except RunStateConflict as refused:
        return {"run": str(run_id), "why": str(refused)}
    return None
