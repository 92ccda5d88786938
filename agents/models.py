"""Rows of what `config/agents.yaml` and the admin say: agents, inference engines, configured functions."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from agents.functions.base import AgentSpec, LLMConfig

# Agents get the same UUID wherever a file with their name is read. Never change it.
AGENT_NAMESPACE = uuid.UUID("5b3f6f0e-6c0c-5d0e-9d5a-6f3c1c1f7c2e")


def agent_uuid(name: str) -> uuid.UUID:
    """The UUID of an agent by its name: the same over syncs, machines and stores."""
    return uuid.uuid5(AGENT_NAMESPACE, name)


class Agent(models.Model):
    """Who does a step. `retired`: it was in the file once and is no more; coming back enables it again."""

    class Source(models.TextChoices):
        CONFIG = "config", "config/agents.yaml"
        ADMIN = "admin", "admin"

    id = models.UUIDField(primary_key=True, editable=False)
    name = models.CharField(max_length=100, unique=True)
    type = models.CharField(max_length=100, default="general")
    role = models.CharField(max_length=500, blank=True, default="")
    system_prompt = models.TextField(blank=True, default="")
    capabilities = models.JSONField(blank=True, default=list)
    functions = models.JSONField(blank=True, default=list, help_text="Names of the functions that it offers.")
    auto_start = models.BooleanField(default=True, help_text="Off: it starts at its first use.")
    enabled = models.BooleanField(default=True)
    max_concurrent_jobs = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: no limit.")
    heartbeat_interval_seconds = models.FloatField(null=True, blank=True)
    custom_settings = models.JSONField(blank=True, default=dict)
    llm_config = models.JSONField(null=True, blank=True)
    extra = models.JSONField(blank=True, default=dict, help_text="Keys of the file that have no effect here.")
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.ADMIN)
    retired = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.id = self.id or agent_uuid(self.name)
        super().save(*args, **kwargs)

    def spec(self) -> AgentSpec:
        """The agent as its functions see it."""
        return AgentSpec(
            id=str(self.id),
            name=self.name,
            type=self.type,
            role=self.role,
            system_prompt=self.system_prompt,
            capabilities=tuple(self.capabilities),
            functions=tuple(self.functions),
            llm=LLMConfig.from_json(self.llm_config) if self.llm_config else None,
            settings=self.custom_settings,
            max_concurrent_jobs=self.max_concurrent_jobs,
        )


class InferenceEngine(models.Model):
    """An engine that the file names. This server loads no model; it tells clients what is configured."""

    name = models.CharField(max_length=100, unique=True)
    type = models.CharField(max_length=100, default="llama_cpp")
    model_path = models.CharField(max_length=1000, blank=True, default="")
    settings = models.JSONField(blank=True, default=dict)
    auto_load = models.BooleanField(default=False)
    extra = models.JSONField(blank=True, default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ConfiguredFunction(models.Model):
    """A function as the file describes it; `llm` and `external_api` ones need no code of ours."""

    class Type(models.TextChoices):
        BUILTIN = "builtin", "built-in"
        LLM = "llm", "prompt for a model"
        EXTERNAL_API = "external_api", "HTTP endpoint"

    name = models.CharField(max_length=100, unique=True)
    type = models.CharField(max_length=20, choices=Type.choices, default=Type.BUILTIN)
    description = models.TextField(blank=True, default="")
    parameters = models.JSONField(blank=True, default=dict, help_text="Name → what it means.")
    endpoint = models.CharField(max_length=500, blank=True, default="")
    timeout_ms = models.PositiveIntegerField(null=True, blank=True)
    extra = models.JSONField(blank=True, default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
