"""Agents, engines and functions, as `config/agents.yaml` says; an agent can be switched off here."""

from django.contrib import admin
from django.contrib.admin import action, display
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from agents.models import Agent, ConfiguredFunction, InferenceEngine


class FromFileAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that the file decides on: shown, not edited."""

    list_fullwidth = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


@admin.register(Agent)
class AgentAdmin(FromFileAdmin):
    list_display = ["name", "role", "offered", "enabled", "max_concurrent_jobs", "updated_at"]
    list_filter = ["enabled", "type", "source"]
    search_fields = ["name", "role", "type", "functions", "system_prompt"]
    fields = [
        "enabled", "name", "id", "type", "role", "system_prompt", "capabilities", "functions", "auto_start",
        "max_concurrent_jobs", "heartbeat_interval_seconds", "custom_settings", "llm_config", "extra",
        "source", "created_at", "updated_at",
    ]  # fmt: skip
    readonly_fields = fields[1:]
    actions = ["enable", "disable"]

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return request.user.has_perm("agents.change_agent")

    @action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        self._switch(request, queryset, on=True)

    @action(description="Disable: steps that name it fail", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        self._switch(request, queryset, on=False)

    @transaction.atomic
    def _switch(self, request: HttpRequest, queryset: QuerySet[Agent], *, on: bool) -> None:
        changed = list(queryset.exclude(enabled=on))
        for agent in changed:
            agent.enabled = on
            agent.save(update_fields=["enabled", "updated_at"])
        names = ", ".join(agent.name for agent in changed) or "none"
        self.message_user(request, f"{'Enabled' if on else 'Disabled'}: {names}.")

    @display(description="functions")
    def offered(self, agent: Agent) -> str:
        return ", ".join(agent.functions)


@admin.register(InferenceEngine)
class InferenceEngineAdmin(FromFileAdmin):
    list_display = ["name", "type", "model_path", "auto_load", "updated_at"]
    search_fields = ["name", "type", "model_path"]


@admin.register(ConfiguredFunction)
class ConfiguredFunctionAdmin(FromFileAdmin):
    list_display = ["name", "type", "description", "endpoint", "timeout_ms"]
    list_filter = ["type"]
    search_fields = ["name", "description", "endpoint"]
