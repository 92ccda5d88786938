"""Pages beside an agent's row: trying one of its functions, reading the file anew, asking the model servers."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from agents.config import AgentsFileError
from agents.errors import AgentError
from agents.functions import registry
from agents.functions.base import LLMConfig
from agents.inference import complete, server_for
from agents.models import Agent
from agents.sync import preview, sync
from workflows.admin.base import actor_of, duration, readable
from workflows.admin.forms import FunctionForm
from workflows.admin.start import tell_input_errors
from workflows.catalog import Catalog
from workflows.definitions import check, read_object
from workflows.errors import DefinitionError, InputInvalid
from workflows.models import Run
from workflows.trying import try_out

TEST_PROMPT = "Answer with the one word: ready"
TEST_SECONDS = 15.0


def try_function(request: HttpRequest, model_admin: "ModelAdmin[Agent]", agent: Agent) -> HttpResponse:
    """Ask for a function and its parameters, and start a run of just that."""
    names = sorted(Catalog().agent_functions(agent.name)) if agent.enabled else []
    sent = request.POST if request.method == "POST" else None
    chosen = request.GET.get("function", "")
    form = FunctionForm(sent, functions=names, initial={"function": chosen, "offline": not settings.INFERENCE_URL})
    if form.is_valid() and (run := _started(form, agent, actor_of(request.user))):
        return HttpResponseRedirect(reverse("admin:workflows_run_change", args=[run.pk]))
    return _page(request, model_admin, "try", f"Try {agent.name}", agent=agent, form=form, functions=functions(names))


def _started(form: FunctionForm, agent: Agent, actor: str) -> Run | None:
    values = form.cleaned_data
    step = {
        "step_id": "try",
        "agent_id": agent.name,
        "function_name": values["function"],
        "parameters": values["input"],
        "max_retries": 0,
    }
    name = f"{agent.name}: {values['function']}"[:200]
    written = {"workflow_id": "try_function", "workflow_name": name, "steps": [step]}
    try:
        definition = check(read_object(written), Catalog()).definition_or_raise()
        return try_out(definition, {}, actor=actor, series=f"{time.time_ns()}", offline=values["offline"])
    except (DefinitionError, InputInvalid) as error:
        tell_input_errors(form, error)
    return None


@dataclass(frozen=True, slots=True)
class Described:
    """A function as a page shows it: each parameter as name, type, whether it is required, and meaning."""

    name: str
    about: str
    parameters: list[tuple[str, str, bool, str]]


def functions(names: Iterable[str]) -> list[Described]:
    """What functions of these names do and take; of those that only the file describes the name alone."""
    return [_described(name) for name in names]


def _described(name: str) -> Described:
    function = registry.find(name)
    if function is None:
        return Described(name, "", [])
    return Described(name, function.description, _parameters(function.parameters.model_json_schema()))


def _parameters(schema: dict[str, Any]) -> list[tuple[str, str, bool, str]]:
    required = schema.get("required", [])
    return [
        (name, _type(part), name in required, part.get("description", ""))
        for name, part in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"] if part.get("type") != "null")
    return str(schema.get("type", "any"))


def reload(request: HttpRequest, model_admin: "ModelAdmin[Agent]") -> HttpResponse:
    """Show what reading the file anew would change; read it, where that was asked for."""
    path = Path(settings.AGENTS_FILE)
    told: dict[str, Any] = {"file": path.name, "problems": [], "report": None}
    try:
        if request.method == "POST":
            report = sync(path)
            count = len(report.created) + len(report.updated) + len(report.disabled)
            messages.success(request, f"{path.name} is read: {count} agent{'' if count == 1 else 's'} changed.")
            return HttpResponseRedirect(reverse("admin:agents_agent_changelist"))
        told["report"] = report = preview(path)
        told["changes"] = [
            (agent, field, readable(before), readable(after))
            for agent, fields in report.changes.items()
            for field, (before, after) in fields.items()
        ]
    except AgentsFileError as error:
        told["problems"] = error.problems
    except OSError as error:
        told["problems"] = [f"{path.name} can't be read: {error.strerror}"]
    return _page(request, model_admin, "reload", f"Read {path.name} anew", **told)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking a model server."""

    server: str
    model: str
    agents: list[str]
    text: str = ""
    error: str = ""
    length: str = ""


def connections(request: HttpRequest, model_admin: "ModelAdmin[Agent]") -> HttpResponse:
    """The model servers that agents ask, and what each says when it is asked."""
    asks = request.method == "POST"
    answers = asyncio.run(_asked(_servers())) if asks else [found for found, _ in _servers()]
    return _page(request, model_admin, "connections", "Model servers", answers=answers, asked=asks)


def _servers() -> list[tuple[Answer, LLMConfig]]:
    """Each server and model once, with the agents that ask it."""
    found: dict[tuple[str, str], tuple[Answer, LLMConfig]] = {}
    for agent in Agent.objects.filter(enabled=True).order_by("name"):
        llm = agent.spec().llm or LLMConfig()
        server = server_for(llm)
        key = (server.url, server.model) if server else ("", "offline")
        found.setdefault(key, (Answer(*key, []), llm))[0].agents.append(agent.name)
    return list(found.values())


async def _asked(servers: list[tuple[Answer, LLMConfig]]) -> list[Answer]:
    return list(await asyncio.gather(*(_ask(answer, llm) for answer, llm in servers)))


async def _ask(asked: Answer, llm: LLMConfig) -> Answer:
    begun = time.monotonic()
    text = error = ""
    try:
        async with asyncio.timeout(TEST_SECONDS):
            text = (await complete(TEST_PROMPT, llm=llm)).text
    except TimeoutError:
        error = f"no answer within {TEST_SECONDS:g} s"
    except AgentError as failed:
        error = str(failed)
    length = duration((time.monotonic() - begun) * 1000)
    return Answer(asked.server, asked.model, asked.agents, text[:200], error, length)


def _page(request: HttpRequest, model_admin: "ModelAdmin[Agent]", name: str, title: str, **more: Any) -> HttpResponse:
    context = {**model_admin.admin_site.each_context(request), "title": title, "opts": model_admin.opts, **more}
    return TemplateResponse(request, f"admin/agents/agent/{name}.html", context)
