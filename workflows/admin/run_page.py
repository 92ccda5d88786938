"""The page of one run: as a whole, in parts, as a stream of what happens, and a step's context on demand."""

import uuid

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.views.decorators.http import require_GET

from workflows import follow
from workflows.admin.run_parts import PARTS, Seen, sections
from workflows.admin.run_verbs import found
from workflows.admin.step_context import context_of
from workflows.api.stream import streamed
from workflows.models import Run
from workflows.streaming import Position, PositionInvalid
from workflows.watching import watch

PAGE = "admin/workflows/run/page.html"
SECTIONS = "admin/workflows/run/sections.html"
CONTEXT = "admin/workflows/run/context.html"


def page(request: HttpRequest, model_admin: "ModelAdmin[Run]", run_id: str) -> HttpResponse:
    """All of it."""
    run = visible(request, run_id)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": run.workflow.name,
        "opts": model_admin.opts,
        "run": run,
        "sections": sections(Seen(request, run)),
    }
    return TemplateResponse(request, PAGE, context)


@require_GET
def parts(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Those of ``?part=…&part=…`` as they are now; what else is in the address is as on the page."""
    seen = Seen(request, visible(request, run_id))
    names = request.GET.getlist("part") or [part.name for part in PARTS if part.live]
    response = TemplateResponse(request, SECTIONS, {"run": seen.run, "sections": sections(seen, names)})
    response.headers["Cache-Control"] = "no-store"
    return response


@require_GET
def stream(request: HttpRequest, run_id: uuid.UUID) -> HttpResponseBase:
    """What happens behind ``?after=<seq>``, or behind ``Last-Event-ID`` where a browser comes again.

    204, at which browsers give up, where the run has ended and the page shows it.
    """
    run = visible(request, run_id)
    try:
        after = Position.parse(request.headers.get("Last-Event-ID") or request.GET.get("after", ""))
    except PositionInvalid as invalid:
        return HttpResponseBadRequest(str(invalid))
    if run.has_ended and after.event >= run.event_seq:
        return HttpResponse(status=204)
    return streamed(follow.told(run.pk, watch(run, after)), {})


@require_GET
def step_context(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """The context before and after the step at ``?path=``."""
    run = visible(request, run_id)
    path = request.GET.get("path", "")
    if not run.steps.filter(superseded=False, path=path).exists():
        raise Http404("the run has no such step")
    return TemplateResponse(request, CONTEXT, {"run": run, "path": path, "context": context_of(run, path)})


def visible(request: HttpRequest, run_id: str | uuid.UUID) -> Run:
    """The run, or 404; refused to whoever may not see runs."""
    if not request.user.has_perm("workflows.view_run"):
        raise PermissionDenied
    return found(run_id)
