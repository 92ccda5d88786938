from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents import catalog, configured
from agents.config import AgentsFileError
from agents.errors import AgentDisabled, AgentNotFound, FunctionNotFound, RateLimited
from agents.functions import registry
from agents.models import Agent, ConfiguredFunction, InferenceEngine, agent_uuid
from agents.network import AllowList
from agents.sync import sync
from tests.agents.factories import make_call
from tests.agents.scripted_server import scripted_server
from tests.agents.test_config import FULL, SHIPPED

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    catalog.forget()
    yield
    catalog.forget()


@pytest.fixture
def this_machine_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AllowList, "from_settings", classmethod(lambda cls: cls(["127.0.0.1"])))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agents.yaml"
    path.write_text(FULL)
    return path


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_shipped_agents_can_be_called_by_name_and_uuid() -> None:
    report = sync(SHIPPED)
    assert len(report.created) == 6
    assert report.warnings == []
    spec = catalog.agent("data_analyst")
    assert catalog.agent(spec.id) == catalog.agent(spec.id.upper()) == spec
    assert spec.id == str(agent_uuid("data_analyst"))
    assert catalog.function(spec, "data_analysis").name == "data_analysis"


def test_a_second_sync_writes_nothing(file: Path) -> None:
    sync(file)
    before = list(Agent.objects.values_list("id", "updated_at"))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        report = sync(file)
    assert (report.created, report.updated, report.unchanged) == ([], [], ["helper"])
    assert list(Agent.objects.values_list("id", "updated_at")) == before
    written = [q["sql"] for q in queries if q["sql"].split()[0] in {"INSERT", "UPDATE", "DELETE"}]
    assert written == []


def test_a_change_keeps_the_uuid(file: Path) -> None:
    sync(file)
    before = Agent.objects.get(name="helper")
    rewrite(file, "role: helps", "role: helps more")
    assert sync(file).updated == ["helper"]
    after = Agent.objects.get(name="helper")
    assert (after.id, after.role) == (before.id, "helps more")


def test_an_agent_gone_from_the_file_is_disabled_and_comes_back(file: Path) -> None:
    sync(file)
    rewrite(file, "name: helper", "name: other")
    report = sync(file)
    assert (report.created, report.disabled) == (["other"], ["helper"])
    with pytest.raises(AgentDisabled):
        catalog.agent("helper")
    assert sync(file).disabled == []
    rewrite(file, "name: other", "name: helper")
    sync(file)
    assert catalog.agent("helper").name == "helper"


def test_an_agent_that_the_admin_disabled_stays_so(file: Path) -> None:
    sync(file)
    Agent.objects.update(enabled=False)
    sync(file)
    rewrite(file, "name: helper", "name: other")
    sync(file)
    rewrite(file, "name: other", "name: helper")
    sync(file)
    assert not Agent.objects.get(name="helper").enabled


def test_an_agent_made_in_the_admin_is_left_alone(file: Path) -> None:
    Agent.objects.create(name="by_hand")
    sync(file)
    assert Agent.objects.get(name="by_hand").enabled


def test_a_bad_file_changes_nothing(file: Path) -> None:
    sync(file)
    rewrite(file, "role: helps", "role: [1]\n  - name: 7/7")
    with pytest.raises(AgentsFileError):
        sync(file)
    assert Agent.objects.get().role == "helps"


def test_engines_and_functions_follow_the_file(file: Path) -> None:
    sync(file)
    assert InferenceEngine.objects.get().model_path == "models/x.gguf"
    names = ConfiguredFunction.objects.values_list("name", flat=True)
    assert set(names) == {"inference", "translate", "weather"}
    rewrite(file, "name: default", "name: main")
    rewrite(file, "  - {name: translate, type: llm, description: Translate into French}\n", "")
    report = sync(file)
    assert InferenceEngine.objects.get().name == "main"
    assert not ConfiguredFunction.objects.filter(name="translate").exists()
    assert "translate" in str(report.warnings[0])


def test_functions_that_nothing_carries_out_are_warned_about_and_refused(file: Path) -> None:
    rewrite(file, "functions: [inference, translate]", "functions: [inference, retrieval, foo]")
    warnings = [str(warning) for warning in sync(file).warnings]
    assert "'retrieval' is known but not available in this version (named by helper)" in warnings[0]
    assert "there is no function 'foo'" in warnings[1]
    with pytest.raises(FunctionNotFound, match="known but not available"):
        catalog.function(catalog.agent("helper"), "retrieval")


def test_a_function_that_the_agent_does_not_offer_is_refused(file: Path) -> None:
    sync(file)
    with pytest.raises(FunctionNotFound, match=r"does not offer 'web_search'; it offers .*inference"):
        catalog.function(catalog.agent("helper"), "web_search")


def test_small_functions_are_offered_by_every_agent(file: Path) -> None:
    sync(file)
    agent = catalog.agent("helper")
    assert [catalog.function(agent, name).name for name in ("echo", "delay", "add", "list_tools")] == [
        "echo", "delay", "add", "list_tools",
    ]  # fmt: skip


def test_aliases_count(file: Path) -> None:
    rewrite(file, "functions: [inference, translate]", "functions: [text_processing]")
    sync(file)
    assert catalog.function(catalog.agent("helper"), "text_analysis").name == "text_processing"


def test_unknown_agents_are_answered_with_the_nearest(file: Path) -> None:
    sync(file)
    with pytest.raises(AgentNotFound, match="did you mean 'helper'"):
        catalog.agent("helpr")
    with pytest.raises(AgentNotFound, match="known: helper"):
        catalog.agent("00000000-0000-0000-0000-000000000000")


def test_look_ups_cost_no_query_for_a_second(file: Path) -> None:
    sync(file)
    catalog.agent("helper")
    with CaptureQueriesContext(connection) as queries:
        for _ in range(100):
            catalog.agent("helper")
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
def test_a_loop_may_ask_for_the_functions_of_an_agent_that_was_looked_up(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(file)

    agent = catalog.agent("helper")

    async def main() -> str:
        monkeypatch.setattr(catalog, "FRESH_SECONDS", 0.0)
        return catalog.function(agent, "translate").name

    assert asyncio.run(main()) == "translate"


def test_definitions_are_checked_against_the_catalog(file: Path) -> None:
    sync(file)
    checks = catalog.Catalog()
    assert checks.has_agent("helper")
    assert checks.has_agent(str(agent_uuid("helper")))
    assert not checks.has_agent("nobody")
    assert checks.agent_names() == ["helper"]
    assert {"inference", "translate", "echo"} <= checks.agent_functions("helper")
    assert "weather" not in checks.agent_functions("helper")
    assert {"weather", "translate", "text_analysis"} <= set(checks.function_names())
    assert checks.parameter_problems("delay", {"ms": "x"})[0]["code"] == "invalid_parameter"
    assert checks.parameter_problems("weather", {"anything": 1}) == []


def test_a_timeout_of_the_file_can_be_asked_for(file: Path) -> None:
    sync(file)
    assert catalog.timeout_seconds("weather") == 5.0
    assert catalog.timeout_seconds("translate") is None


def call_configured(name: str, parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    function = configured.build(ConfiguredFunction.objects.get(name=name))
    return asyncio.run(registry.arun(function, make_call(**fields), parameters))


def test_a_function_of_type_llm_prompts_the_model_with_its_description(file: Path) -> None:
    sync(file)
    result = call_configured("translate", {"text": "good morning"})
    assert result["provider"] == "offline"
    assert "Translate into French" in result["text"]


def test_a_function_of_type_external_api_posts_its_parameters(file: Path, this_machine_allowed: None) -> None:
    with scripted_server(lambda exchange: exchange.reply(200, {"degrees": 21})) as server:
        rewrite(file, "https://api.example/v1", f"http://127.0.0.1:{server.port}/weather")
        sync(file)
        result = call_configured("weather", {"city": "Jena"}, idempotency_key="k")
    assert result == {"degrees": 21, "untrusted": True}
    assert (server.seen[0].method, server.seen[0].json) == ("POST", {"city": "Jena"})
    assert server.seen[0].headers["idempotency-key"] == "k"


def test_what_an_endpoint_refuses_is_told(file: Path, this_machine_allowed: None) -> None:
    with scripted_server(lambda exchange: exchange.reply(429, b"later")) as server:
        rewrite(file, "https://api.example/v1", f"http://127.0.0.1:{server.port}/weather")
        sync(file)
        with pytest.raises(RateLimited, match="weather answered 429: later"):
            call_configured("weather", {})


def test_the_command_tells_what_it_did(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sync_agents", str(file))
    told = capsys.readouterr().out
    assert "1 created: helper" in told
    call_command("sync_agents", str(file))
    assert "1 unchanged" in capsys.readouterr().out


def test_the_command_tells_all_problems_with_places(file: Path) -> None:
    rewrite(file, "auto_start: false", "auto_start: perhaps")
    with pytest.raises(CommandError, match=r"line 23, column 17: agents\[0\]\.auto_start"):
        call_command("sync_agents", str(file))


@pytest.mark.parametrize(
    ("port", "told"),
    [(8080, "8080/v1 is this server itself: ignored"), (8123, "is not this server, which listens on port 8123")],
)
def test_the_originals_own_address_as_a_model_server_is_warned_about(
    port: int, told: str, file: Path, settings: Any
) -> None:
    settings.PORT = port
    (warning,) = sync(file).warnings
    assert told in str(warning)
    assert "(of helper)" in str(warning)


def test_an_endpoint_that_a_built_in_stands_before_is_warned_about(file: Path) -> None:
    rewrite(file, "name: weather", "name: web_search")
    assert "'web_search': its endpoint is not called" in str(sync(file).warnings[0])


def test_a_spec_carries_the_rows_fields(file: Path) -> None:
    sync(file)
    assert catalog.agent("helper").to_json() == {
        "id": ANY, "name": "helper", "type": "research", "role": "helps", "system_prompt": "You help.\n",
        "capabilities": ["a", "b"], "functions": ["inference", "translate"],
        "settings": {"depth": "deep", "nested": {"x": 1}},
        "max_concurrent_jobs": 3,
        "llm": {
            "model_name": "m", "api_endpoint": "http://localhost:8080/v1", "instruction": "i",
            "temperature": 0.3, "max_tokens": 5, "timeout_seconds": 60.0, "max_retries": 2, "models": (),
            "input_price_per_million": None, "output_price_per_million": None,
        },
    }  # fmt: skip


def test_models_to_fall_back_on_and_prices_come_from_the_file(file: Path) -> None:
    prices = "input_price_per_million: 0.5, output_price_per_million: 2"
    rewrite(file, "model_name: m,", f"model_name: m, models: [n, o], {prices},")
    assert not any("unknown key" in str(warning) for warning in sync(file).warnings)
    llm = catalog.agent("helper").llm
    assert llm is not None
    assert (llm.models, llm.input_price_per_million, llm.output_price_per_million) == (("n", "o"), 0.5, 2)


@pytest.mark.parametrize("wrong", ["models: n", "models: ['']", "output_price_per_million: -1"])
def test_senseless_models_and_prices_are_refused(file: Path, wrong: str) -> None:
    rewrite(file, "model_name: m,", f"model_name: m, {wrong},")
    with pytest.raises(AgentsFileError, match=r"agents\[0\]\.llm_config\."):
        sync(file)


def test_tools_are_checked_against_what_the_agent_offers(file: Path) -> None:
    sync(file)
    checks = catalog.Catalog()
    named = {"prompt": "x", "tools": ["echo", "weather", "translate", "${context.more}", "ad"]}
    found = {p["path"]: p["message"] for p in checks.parameter_problems("inference", named, "helper")}
    assert list(found) == ["tools[1]", "tools[2]", "tools[4]"]
    assert "does not offer 'weather'" in found["tools[1]"]
    assert "asks a model itself" in found["tools[2]"]
    assert checks.parameter_problems("inference", named, "nobody") == []
    assert checks.parameter_problems("inference", {"tools": "${context.all}"}, "helper") == []
    (problem,) = checks.parameter_problems("inference", {"tools": "echo"}, "helper")
    assert problem["path"] == "tools"
