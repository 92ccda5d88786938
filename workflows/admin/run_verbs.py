"""The verbs of runs: buttons on the page of one, actions of the list, and the form that runs one again."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin import action
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from workflows import runs
from workflows.admin import approvals
from workflows.admin.base import ReadOnlyAdmin, actor_of
from workflows.admin.forms import RerunForm
from workflows.admin.start import tell_input_errors
from workflows.admin.telling import is_fetched, tell
from workflows.errors import ConcurrencyLimitReached, InputInvalid, RunNotFound, RunStateConflict, StepNotFound
from workflows.models import Run, RunRequest
from workflows.states import RunStatus


@dataclass(frozen=True, slots=True)
class Button:
    """A verb as a button: ``confirm`` is what is asked before, ``yes`` the answer that carries it out."""

    name: str
    label: str
    confirm: str
    yes: str


BUTTONS = {
    button.name: button
    for button in (
        Button("pause", "Pause", "Pause this run? An attempt under way goes on to its end first.", "Pause it"),
        Button("resume", "Resume", "Go on with this run?", "Go on"),
        Button("retry", "Retry", "Go on with this run from its first unfinished step?", "Retry it"),
        Button("cancel", "Cancel", "Cancel this run? Steps under way are stopped.", "Yes, end it"),
    )
}

Told = tuple[str, int]
"""What a person is told, and its level (of `django.contrib.messages`)."""


def found(run_id: uuid.UUID | str) -> Run:
    """The run, or 404."""
    try:
        return runs.get(run_id)
    except RunNotFound as error:
        raise Http404(str(error)) from None


def verbs_for(run: Run) -> list[Button]:
    """The verbs that apply to the run as it is."""
    if run.has_ended:
        names = [] if run.status == RunStatus.COMPLETED else ["retry"]
    else:
        names = ["resume" if _is_pausing(run) else "pause", "cancel"]
    return [BUTTONS[name] for name in names]


class RunVerbs(ReadOnlyAdmin):
    """Nobody edits a run, but whoever may change one may steer it, and whoever may add one may run it again."""

    actions = ["retry_selected", "cancel_selected"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        steer = view(require_POST(self.steer_view))
        verbs = [
            path(f"<uuid:run_id>/{verb}/", steer, {"verb": verb}, name=f"workflows_run_{verb}") for verb in BUTTONS
        ]
        rerun = path("<uuid:run_id>/rerun/", view(self.rerun_view), name="workflows_run_rerun")
        answer = path("<uuid:run_id>/answer/", view(approvals.answer), name="workflows_run_answer")
        return [*verbs, rerun, answer, *super().get_urls()]

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("workflows.change_run")

    def has_rerun_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("workflows.add_run")

    def steer_view(self, request: HttpRequest, run_id: uuid.UUID, verb: str) -> HttpResponse:
        if not self.has_steer_permission(request):
            raise PermissionDenied
        try:
            told = STEER[verb](found(run_id).pk, actor_of(request.user), request.POST)
        except (RunStateConflict, StepNotFound) as refused:  # the page was older than the run
            told = str(refused), messages.ERROR
        return tell(request, *told, _place(run_id))

    def rerun_view(self, request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
        if not self.has_rerun_permission(request):
            raise PermissionDenied
        run = found(run_id)
        given = json.dumps(run.input, indent=2, ensure_ascii=False)  # JSON brings every value back as it was
        form = RerunForm(
            request.POST if request.method == "POST" else None,
            initial={"input": given, "profile": run.profile},
            run=run,
        )
        if form.is_valid() and (new := _rerun(form, run, actor_of(request.user))):
            return tell(
                request,
                f"A new run of {run.workflow.name} is in line.",
                messages.SUCCESS,
                reverse("admin:workflows_run_change", args=[new.pk]),
            )
        context = {
            **self.admin_site.each_context(request),
            "title": f"Run {run.workflow.name} again",
            "opts": self.opts,
            "form": form,
            "workflows": [run.workflow],
            "schema": run.version.definition.get("parameters"),
        }
        template = "admin/workflows/run/again.html" if is_fetched(request) else "admin/workflows/workflow/start.html"
        return TemplateResponse(request, template, context)

    @action(description="Retry the selected runs", permissions=["steer"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        retried = sum(_has_retried(run_id, actor_of(request.user)) for run_id in ids)
        told = f"{retried} of {len(ids)} runs are queued again; the others have not failed."
        self.message_user(request, told, messages.SUCCESS)

    @action(description="Cancel the selected runs", permissions=["steer"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        cancelled = sum(runs.cancel(run_id, actor=actor_of(request.user)) for run_id in ids)
        told = f"{cancelled} of {len(ids)} runs are being cancelled; the others had ended."
        self.message_user(request, told, messages.SUCCESS)


def _place(run_id: uuid.UUID) -> str:
    return reverse("admin:workflows_run_change", args=[run_id])


def _cancel(run_id: uuid.UUID, actor: str, sent: Mapping[str, Any]) -> Told:
    if runs.cancel(run_id, actor=actor):
        return "The run is being cancelled.", messages.SUCCESS
    return "The run had ended already.", messages.WARNING


def _pause(run_id: uuid.UUID, actor: str, sent: Mapping[str, Any]) -> Told:
    if runs.pause(run_id, actor=actor):
        return "The run pauses, at the latest before its next attempt.", messages.SUCCESS
    return "The run is paused already, or about to be.", messages.WARNING


def _resume(run_id: uuid.UUID, actor: str, sent: Mapping[str, Any]) -> Told:
    runs.resume(run_id, actor=actor)
    return "The run goes on.", messages.SUCCESS


def _retry(run_id: uuid.UUID, actor: str, sent: Mapping[str, Any]) -> Told:
    start_at = sent.get("from") or None
    runs.retry(run_id, actor=actor, start_at=start_at)
    place = f"step {start_at}" if start_at else "its first unfinished step"
    return f"The run is queued again, from {place} on.", messages.SUCCESS


STEER: dict[str, Callable[[uuid.UUID, str, Mapping[str, Any]], Told]] = {
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
    "cancel": _cancel,
}


def _is_pausing(run: Run) -> bool:
    """Whether it is paused, or its holder was asked to pause it."""
    if run.worker_id is None:
        return run.status == RunStatus.PAUSED
    asked = run.requests.filter(verb__in=(RunRequest.Verb.PAUSE, RunRequest.Verb.RESUME)).order_by("-pk").first()
    return asked is not None and asked.verb == RunRequest.Verb.PAUSE


def _has_retried(run_id: uuid.UUID, actor: str) -> bool:
    try:
        runs.retry(run_id, actor=actor)
    except RunStateConflict:
        return False
    return True


def _rerun(form: RerunForm, run: Run, actor: str) -> Run | None:
    given = form.cleaned_data
    version = run.workflow.current if given.get("current") else None
    try:
        return runs.rerun(run.pk, actor=actor, input=given["input"], version=version, profile=given["profile"])
    except InputInvalid as error:
        tell_input_errors(form, error)
    except (RunStateConflict, ConcurrencyLimitReached) as refused:
        form.add_error("input", str(refused))
    return None
