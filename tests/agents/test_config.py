from __future__ import annotations

from pathlib import Path

import pytest

from agents.config import AgentsFile, AgentsFileError, load, parse

SHIPPED = Path(__file__).parents[2] / "config" / "agents.yaml"

FULL = """\
system:
  worker_threads: 8
  health_check_interval_seconds: 30
  log_level: debug
  global_settings: {default_timeout_ms: 60000, max_retries: 3, enable_metrics: true}
inference_engines:
  - {name: default, type: llama_cpp, model_path: models/x.gguf, auto_load: true, settings: {context: 4096}}
functions:
  - {name: inference, type: builtin, description: d, parameters: {prompt: what to ask}, timeout_ms: 60000}
  - {name: translate, type: llm, description: Translate into French}
  - {name: weather, type: external_api, endpoint: "https://api.example/v1", timeout_ms: 5000}
agents:
  - name: helper
    type: research
    role: helps
    system_prompt: >
      You help.
    capabilities: [a, b]
    functions: [inference, translate]
    llm_config:
      {model_name: m, api_endpoint: "http://localhost:8080/v1", instruction: i, temperature: 0.3,
       max_tokens: 5, timeout_seconds: 60, max_retries: 2}
    auto_start: false
    max_concurrent_jobs: 3
    heartbeat_interval_seconds: 10
    custom_settings: {depth: deep, nested: {x: 1}}
"""


def problems(text: str | bytes) -> list[tuple[int | None, int | None, str, str]]:
    with pytest.raises(AgentsFileError) as raised:
        parse(text if isinstance(text, bytes) else text.encode())
    return [(p.line, p.column, p.path, p.message) for p in raised.value.problems]


def parsed(text: str) -> AgentsFile:
    return parse(text.encode())


def test_all_keys_of_the_original_are_read() -> None:
    file = parsed(FULL)
    assert file.warnings == []
    agent = file.agents[0]
    assert agent.llm_config is not None
    assert (agent.llm_config.model_name, agent.llm_config.timeout_seconds) == ("m", 60)
    assert agent.auto_start is False
    assert agent.custom_settings == {"depth": "deep", "nested": {"x": 1}}
    assert file.system.global_settings.default_timeout_ms == 60_000
    assert file.functions[2].endpoint == "https://api.example/v1"
    assert file.inference_engines[0].settings == {"context": 4096}


def test_the_shipped_file_is_clean() -> None:
    file = load(SHIPPED)
    assert file.warnings == []
    assert [a.name for a in file.agents] == [
        "research_assistant", "code_assistant", "data_analyst", "content_creator", "project_manager",
        "qa_specialist",
    ]  # fmt: skip
    assert all(a.llm_config and a.llm_config.api_endpoint is None for a in file.agents)
    assert [a.name for a in file.agents if not a.auto_start] == ["qa_specialist"]


def test_an_empty_section_counts_as_absent() -> None:
    assert parsed("agents:\nfunctions:\n").agents == []


def test_all_problems_come_at_once_with_their_places() -> None:
    found = problems(
        "agents:\n  - name: a/b\n    max_concurrent_jobs: many\n  - type: x\nfunctions:\n  - {name: f, type: magic}\n"
    )
    assert [(line, column, path) for line, column, path, _ in found] == [
        (2, 11, "agents[0].name"),
        (3, 26, "agents[0].max_concurrent_jobs"),
        (4, 5, "agents[1].name"),
        (6, 21, "functions[0].type"),
    ]
    messages = [message for *_, message in found]
    assert "no slash" in messages[0]
    assert messages[1:] == [
        "must be a whole number, not 'many'",
        "is required",
        "must be 'builtin', 'llm' or 'external_api', not 'magic'",
    ]


def test_unknown_keys_are_kept_and_warned_about() -> None:
    file = parsed("agents:\n  - name: a\n    sytem_prompt: x\nextra_section: {b: 1}\n")
    assert [(w.line, w.path, w.severity) for w in file.warnings] == [
        (4, "extra_section", "warning"),
        (3, "agents[0].sytem_prompt", "warning"),
    ]
    assert "did you mean 'system_prompt'" in file.warnings[1].message
    assert file.agents[0].model_extra == {"sytem_prompt": "x"}


def test_names_are_taken_once() -> None:
    assert problems("agents:\n  - name: a\n  - name: a\n") == [
        (3, 11, "agents[1].name", "the name 'a' is taken by agents[0]")
    ]


def test_a_key_that_stands_twice_is_told() -> None:
    assert problems("agents:\n  - name: a\n    role: x\n    role: y\n")[0] == (
        4, 5, "agents[0].role", "the key 'role' stands here a second time",
    )  # fmt: skip


def test_a_uuid_is_no_name() -> None:
    assert "UUID" in problems("agents: [{name: 00000000-0000-0000-0000-000000000001}]")[0][3]


@pytest.mark.parametrize(
    ("text", "line", "column", "told"),
    [
        ("agents: [", 1, 10, "no valid YAML"),
        ("agents:\n\t- name: a", 2, 1, "no valid YAML"),
        ("- a\n- b", 1, 1, "should be a mapping"),
        ("", 1, 1, "should be a mapping"),
        (b"agents:\n  - name: \xff", 2, 11, "not valid UTF-8"),
        ("? [a, b]\n: c\n", 1, 3, "a key should be text"),
        ("agents: [{name: a, custom_settings: {x: .nan}}]", 1, 41, "no number that can be used"),
        ("agents: *nowhere", 1, 9, "undefined alias"),
        ("agents: !!python/object:os.system {}", 1, 9, "no valid YAML"),
        ("a: 1\n---\nb: 2", 2, 1, "no valid YAML"),
    ],
)
def test_what_is_no_such_file_is_told_with_its_place(text: str | bytes, line: int, column: int, told: str) -> None:
    found = problems(text)[0]
    assert found[:2] == (line, column)
    assert told in found[3]


def test_a_bomb_of_aliases_is_refused() -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 9))
    assert "too many" in problems(f"l0: &l0 [x]\n{levels}\n")[0][3]


def test_a_huge_file_is_refused() -> None:
    assert "at most" in problems(b"#" * 2_000_000)[0][3]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(AgentsFileError, match="can't be read"):
        load(tmp_path / "none.yaml")
