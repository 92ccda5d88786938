"""Templates: the list, the form that makes a workflow from one, and how far batches are."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import display
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from workflows import templates
from workflows.admin.base import ReadOnlyAdmin, actor_of, badge, readable
from workflows.admin.forms import InstantiateForm
from workflows.admin.many import make_many
from workflows.admin.start import blank_input, tell_input_errors
from workflows.definitions import yaml_text
from workflows.errors import DefinitionError, InputInvalid, WorkflowExists
from workflows.models import Template, TemplateBatch, TemplateBatchRow, Workflow


@admin.register(Template)
class TemplateAdmin(ReadOnlyAdmin):
    """Templates are written by the API or under ``config/templates``; workflows are made from them here too."""

    list_display = ["name", "description", "author", "updated_at", "instantiate_link"]
    search_fields = ["name", "description"]
    fields = ["name", "description", "author", "created_at", "updated_at", "yaml", "instantiate_link"]
    readonly_fields = ["yaml", "instantiate_link"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:template>/instantiate/", view(self.instantiate_view), name="workflows_template_instantiate"),
            path("<int:template>/many/", view(self.many_view), name="workflows_template_many"),
            *super().get_urls(),
        ]

    def many_view(self, request: HttpRequest, template: int) -> HttpResponse:
        if not request.user.has_perm("workflows.add_workflow"):
            raise PermissionDenied
        return make_many(request, self, get_object_or_404(Template, pk=template))

    def instantiate_view(self, request: HttpRequest, template: int) -> HttpResponse:
        if not request.user.has_perm("workflows.add_workflow"):
            raise PermissionDenied
        found = Template.objects.filter(pk=template).first()
        if found is None:
            raise Http404("no such template")
        sent = request.POST if request.method == "POST" else None
        form = InstantiateForm(sent, initial={"input": blank_input(found.parameters)})
        if form.is_valid() and (made := _make(form, found, actor_of(request.user))):
            messages.success(request, f"{made.workflow_id} is made from template {found.name}.")
            return HttpResponseRedirect(reverse("admin:workflows_workflow_change", args=[made.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Make a workflow from {found.name}",
            "opts": self.opts,
            "form": form,
            "about": found.description,
            "schema": found.parameters,
            "button": "Make the workflow",
        }
        return TemplateResponse(request, "admin/workflows/workflow/start.html", context)

    @display(description="document")
    def yaml(self, template: Template) -> str:
        text = yaml_text(templates.as_document(template))
        return format_html('<pre class="k-text k-mono" tabindex="0">{}</pre>', text)

    @display(description="")
    def instantiate_link(self, template: Template) -> str:
        one, many = (
            reverse(f"admin:workflows_template_{verb}", args=[template.pk]) for verb in ("instantiate", "many")
        )
        links = (
            '<span class="k-buttons"><a class="k-button is-small" href="{}">Make a workflow</a>'
            '<a class="k-button is-small" href="{}">Make many</a></span>'
        )
        return format_html(links, one, many)


@admin.register(TemplateBatch)
class TemplateBatchAdmin(ReadOnlyAdmin):
    """How far the workers are with each batch."""

    list_display = ["template", "total", "progress", "actor", "created_at", "ended_at"]
    search_fields = ["template", "actor"]
    fields = ["template", "actor", "created_at", "ended_at", "total", "live_progress", "rows_link"]
    readonly_fields = ["live_progress", "rows_link"]

    @display(description="progress")
    def progress(self, batch: TemplateBatch) -> str:
        return ", ".join(f"{number} {status}" for status, number in batch.counts().items() if number)

    @display(description="progress")
    def live_progress(self, batch: TemplateBatch) -> str:
        counts = batch.counts()
        ended = counts["done"] + counts["failed"]
        shown = {"batch": batch, "ended": ended, "told": self.progress(batch)}
        return render_to_string("admin/workflows/template/progress.html", shown)

    @display(description="rows")
    def rows_link(self, batch: TemplateBatch) -> str:
        address = f"{reverse('admin:workflows_templatebatchrow_changelist')}?batch__id__exact={batch.pk}"
        text = '<a class="k-link" href="{0}">all</a>, <a class="k-link" href="{0}&status__exact=failed">failed ones</a>'
        return format_html(text, address)


@admin.register(TemplateBatchRow)
class TemplateBatchRowAdmin(ReadOnlyAdmin):
    """What came of each row."""

    list_display = ["number", "batch", "shown_status", "workflow_id", "message"]
    list_filter = ["status", ("batch", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["batch"]
    search_fields = ["workflow_id", "message", "batch__template"]
    fields = ["batch", "number", "shown_status", "workflow_id", "shown_parameters", "message"]
    readonly_fields = ["shown_status", "shown_parameters"]

    @display(description="status", ordering="status")
    def shown_status(self, row: TemplateBatchRow) -> str:
        return badge(row.status)

    @display(description="parameters")
    def shown_parameters(self, row: TemplateBatchRow) -> str:
        return format_html('<pre class="k-text k-mono" tabindex="0">{}</pre>', readable(row.parameters))


def _make(form: InstantiateForm, template: Template, actor: str) -> Workflow | None:
    given: dict[str, Any] = form.cleaned_data["input"]
    workflow_id = form.cleaned_data["workflow_id"] or None
    note = f"from template {template.name}"
    try:
        return templates.instantiate(template, given, workflow_id=workflow_id, actor=actor, note=note)
    except (InputInvalid, DefinitionError) as error:
        tell_input_errors(form, error)
    except WorkflowExists as refused:
        form.add_error("workflow_id", str(refused))
    return None
