"""Agents with their load, which only workflows know."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from agents.admin import AgentAdmin as PlainAgentAdmin
from agents.models import Agent
from workflows import metrics
from workflows.admin.base import used
from workflows.models import StepResult
from workflows.states import StepStatus

admin.site.unregister(Agent)


@admin.register(Agent)
class AgentAdmin(PlainAgentAdmin):
    list_display = ["name", "role", "offered", "load", "enabled", "max_concurrent_jobs", "updated_at"]
    readonly_fields = [*PlainAgentAdmin.readonly_fields, "used"]

    def get_fields(self, request: HttpRequest, obj: Agent | None = None) -> list[str]:
        return [*PlainAgentAdmin.fields, *(["used"] if request.user.has_perm("workflows.view_run") else [])]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        running = StepResult.objects.filter(status=StepStatus.RUNNING, superseded=False)
        of_agent = running.filter(agent=OuterRef("name")).order_by().values("agent")
        counted = of_agent.annotate(number=Count("pk")).values("number")
        rows: QuerySet[Agent] = super().get_queryset(request)
        return rows.annotate(running=Coalesce(Subquery(counted), 0))

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        if form.changed_data:
            super().save_model(request, obj, form, change)

    @display(description="steps under way", ordering="running")
    def load(self, agent: Agent) -> int:
        return getattr(agent, "running", 0)

    @display(description="used by its models")
    def used(self, agent: Agent) -> str:
        return used(metrics.agent_usage(agent.name), "steps")
