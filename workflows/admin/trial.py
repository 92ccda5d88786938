"""Trying what stands in the editor, without storing it as a version."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from workflows.admin.base import actor_of
from workflows.admin.forms import TrialForm
from workflows.admin.start import tell_input_errors
from workflows.admin.submission import submission
from workflows.errors import ConcurrencyLimitReached, InputInvalid
from workflows.models import Run
from workflows.trying import try_out


def trial(request: HttpRequest) -> HttpResponse:
    """Start a run of the definition that was sent: `{run, page, steps, stream}`, or `{errors}` where none can start."""
    sent = submission(request.POST, request.POST.get("stored_as", ""))
    form = TrialForm(request.POST)
    if sent.definition is None:
        return _refused(["Mend the problems first: only a definition that checks can be tried."])
    if form.is_valid():
        values = form.cleaned_data
        try:
            run = try_out(
                sent.definition,
                values["input"],
                actor=actor_of(request.user),
                series=values["series"],
                offline=values["offline"],
            )
            return JsonResponse(_told(run))
        except InputInvalid as error:
            tell_input_errors(form, error)
        except ConcurrencyLimitReached as error:
            form.add_error(None, str(error))
    return _refused([str(message) for messages in form.errors.values() for message in messages])


def _told(run: Run) -> dict[str, Any]:
    return {
        "run": str(run.pk),
        "page": reverse("admin:workflows_run_change", args=[run.pk]),
        "steps": reverse("runs-steps", args=[run.pk]),
        "stream": reverse("runs-stream", args=[run.pk]),
        "cancel": reverse("runs-cancel", args=[run.pk]),
    }


def _refused(errors: list[str]) -> HttpResponse:
    return JsonResponse({"errors": errors})
