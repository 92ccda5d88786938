"""Agents with their load, which only workflows know."""

import uuid
from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from unfold.decorators import action as page_action

from agents.admin import AgentAdmin as PlainAgentAdmin
from agents.models import Agent
from workflows import metrics
from workflows.admin.agent_pages import connections, functions, reload, try_function
from workflows.admin.base import used
from workflows.catalog import Catalog
from workflows.models import StepResult
from workflows.states import RunStatus, StepStatus

SHOWN = frozenset({"enabled", "name", "functions"})

admin.site.unregister(Agent)


@admin.register(Agent)
class AgentAdmin(PlainAgentAdmin):
    list_display = ["name", "role", "offered", "load", "enabled", "updated_at"]
    readonly_fields = [*PlainAgentAdmin.readonly_fields, "used", "what_they_take"]
    actions_list = ["read_file", "model_servers"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.try_view)
        return [path("<uuid:agent>/try/", view, name="agents_agent_try"), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Agent | None = None) -> list[str]:
        used = ["used"] if request.user.has_perm("workflows.view_run") else []
        tried = "functions" if not self._may_try(request) else "what_they_take"
        return ["enabled", "name", tried, *used, *(field for field in PlainAgentAdmin.fields if field not in SHOWN)]

    def try_view(self, request: HttpRequest, agent: uuid.UUID) -> HttpResponse:
        if not self._may_try(request):
            raise PermissionDenied
        return try_function(request, self, get_object_or_404(Agent, pk=agent))

    @page_action(description="Read the file anew", url_path="reload", permissions=["change"])  # type: ignore[untyped-decorator]
    def read_file(self, request: HttpRequest) -> HttpResponse:
        return reload(request, self)

    @page_action(description="Model servers", url_path="connections", permissions=["change"])  # type: ignore[untyped-decorator]
    def model_servers(self, request: HttpRequest) -> HttpResponse:
        return connections(request, self)

    def _may_try(self, request: HttpRequest) -> bool:
        """A function may do anything with its parameters, as a workflow may."""
        return request.user.has_perms(["workflows.add_run", "workflows.add_workflow"])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        # By way of the runs under way, which are few: step results are many, and have no index for this.
        running = StepResult.objects.filter(run__status=RunStatus.RUNNING, status=StepStatus.RUNNING, superseded=False)
        of_agent = running.filter(agent=OuterRef("name")).order_by().values("agent")
        counted = of_agent.annotate(number=Count("pk")).values("number")
        rows: QuerySet[Agent] = super().get_queryset(request)
        return rows.annotate(running=Coalesce(Subquery(counted), 0))

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        if form.changed_data:
            super().save_model(request, obj, form, change)

    @display(description="steps under way", ordering="running")
    def load(self, agent: Agent) -> str:
        return f"{getattr(agent, 'running', 0)} of {agent.max_concurrent_jobs}"

    @display(description="functions")
    def what_they_take(self, agent: Agent) -> str:
        names = sorted(Catalog().agent_functions(agent.name)) if agent.enabled else []
        address = reverse("admin:agents_agent_try", args=[agent.pk])
        return render_to_string("admin/agents/agent/functions.html", {"functions": functions(names), "try": address})

    @display(description="used by its models")
    def used(self, agent: Agent) -> str:
        return used(metrics.agent_usage(agent.name), "steps")
