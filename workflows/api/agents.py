"""Agents, and single calls of their functions."""

import time
import uuid
from collections.abc import Collection, Set
from typing import Any, ClassVar

from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import catalog
from agents.errors import AgentError, FunctionNotFound, InvalidParameters
from agents.functions import registry
from agents.functions.base import ALWAYS_OFFERED, AgentSpec
from agents.inference import model_connected
from agents.models import Agent
from workflows import engine_thread, metrics
from workflows.api.answers import AgentAnswer, AgentSystem, AgentUsage, CallAnswer
from workflows.api.base import Endpoint
from workflows.api.pagination import Listing
from workflows.api.requests import CallRequest, UsageQuery
from workflows.errors import Stopping
from workflows.models import StepResult

CALL_SECONDS = 60.0
RECENT_STEPS = 1000  # as far as `running` looks back: the whole table has no index by agent
AGENT = OpenApiParameter("agent", str, OpenApiParameter.PATH, description="Name or UUID.")

_called: set[str] = set()


class AgentViewSet(Endpoint):
    """Agents by name or UUID."""

    queryset = Agent.objects.all()
    serializer_class = AgentAnswer
    lookup_field = "agent"
    lookup_value_regex = "[^/\x00]{1,100}"
    pagination_class = None
    permissions: ClassVar[dict[str, str]] = {
        "list": "agents.view_agent",
        "retrieve": "agents.view_agent",
        "system_status": "agents.view_agent",
        "execute": "workflows.add_run",
        "usage": "workflows.view_run",
    }
    query_names: ClassVar[dict[str, Collection[str]]] = {"usage": ("since",)}

    def list(self, request: Request) -> Response:
        """All agents, disabled ones too; those that the file no longer has are left out."""
        used = recently_used()
        agents = [agent_body(agent, used) for agent in Agent.objects.filter(retired=False)]
        return Listing(agents, len(agents))

    @extend_schema(parameters=[AGENT])
    def retrieve(self, request: Request, agent: str) -> Response:
        """One agent."""
        return Response(agent_body(_agent(agent), recently_used()))

    @extend_schema(responses=AgentSystem)
    @action(detail=False, url_path="system/status")
    def system_status(self, request: Request) -> Response:
        """All agents together."""
        used = recently_used()
        agents = list(Agent.objects.filter(retired=False))
        body = {
            "running": True,
            "total_agents": len(agents),
            "running_agents": sum(is_running(agent, used) for agent in agents),
            "total_functions": len(registry.all_functions()),
            "model_connected": model_connected(),
        }
        return Response(body)

    @extend_schema(parameters=[AGENT, UsageQuery], responses=AgentUsage)
    @action(detail=True)
    def usage(self, request: Request, agent: str) -> Response:
        """Tokens and cost of its steps in all workflows, all together; those of failed attempts too."""
        name, since = _agent(agent).name, self.query(UsageQuery).get("since")
        return Response({"agent": name, "since": since, **metrics.agent_usage(name, since)})

    @extend_schema(parameters=[AGENT], request=CallRequest, responses=CallAnswer)
    @action(detail=True, methods=["post"])
    def execute(self, request: Request, agent: str) -> Response:
        """Call one function of the agent, outside any workflow; it is stopped after 60 s."""
        asked = self.body(CallRequest)
        return Response(_call(catalog.agent(agent), asked["function"], asked.get("parameters") or {}))


def recently_used() -> set[str]:
    """Names of the agents of the newest steps, and of those that this process was asked to call."""
    newest = StepResult.objects.order_by("-pk")[:RECENT_STEPS].values_list("agent", flat=True)
    return {*newest, *_called}


def is_running(agent: Agent, used: Set[str]) -> bool:
    """Whether it is enabled and has started: at once, or, without `auto_start`, when it came into use."""
    return agent.enabled and (agent.auto_start or agent.name in used)


def agent_body(agent: Agent, used: Set[str]) -> dict[str, Any]:
    """An agent as clients see it. ``used``: names of agents that are in use."""
    spec = agent.spec()
    return {
        "id": str(agent.pk),
        "uuid": str(agent.pk),
        "name": agent.name,
        "type": agent.type,
        "role": agent.role,
        "capabilities": agent.capabilities,
        "functions": sorted({*agent.functions, *ALWAYS_OFFERED}),
        "running": is_running(agent, used),
        "auto_start": agent.auto_start,
        "max_concurrent_jobs": agent.max_concurrent_jobs,
        "model": spec.llm.model_name if spec.llm else None,
    }


def _agent(name_or_uuid: str) -> Agent:
    try:
        named = Q(pk=uuid.UUID(name_or_uuid))
    except ValueError:
        named = Q(name=name_or_uuid)
    found = Agent.objects.filter(named).first()
    return found or Agent.objects.get(pk=catalog.agent(name_or_uuid).id)  # the catalog says what there is


def _call(agent: AgentSpec, function: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The call's end as an answer: a function that fails is one, a request that makes no sense is refused."""
    _called.add(agent.name)
    began = time.perf_counter()
    outcome: dict[str, Any]
    try:
        result = engine_thread.call_function(agent, function, parameters, CALL_SECONDS)
        outcome = {"success": True, "result": result}
    except (FunctionNotFound, InvalidParameters, Stopping):
        raise
    except AgentError as error:
        outcome = {"success": False, "result": {}, "error": str(error), "code": error.code}
    took = round((time.perf_counter() - began) * 1000, 3)
    return {"agent_id": agent.id, "function": function, "execution_time_ms": took, **outcome}
