"""What an event says, as a sentence without its subject: `cancelled the run`, `gave ann the group editor`."""

from collections.abc import Callable, Mapping
from typing import Any

from workflows.models import Event

LONGEST = 160  # characters of a value in a sentence

Data = Mapping[str, Any]


def told(event: Event) -> str:
    """In words; of a kind that this release does not know, its name and content. Never raises over old content."""
    say = WORDS.get(event.type)
    data = event.data if isinstance(event.data, dict) else {}
    return say(event.path, data) if say else f"{event.type.replace('_', ' ')} {event.path} {_rest(data)}".strip()


def _of_step(what: str) -> Callable[[str, Data], str]:
    return lambda path, data: f"{what} step {path}{_about(data)}"


def _plain(text: str) -> Callable[[str, Data], str]:
    return lambda path, data: text.format(path=path)


def _about(data: Data) -> str:
    notes = [f"attempt {data['attempt']}"] if isinstance(data.get("attempt"), int) and data["attempt"] > 1 else []
    notes += [cut(str(data[key])) for key in ("reason", "code", "error") if data.get(key)]
    return f": {', '.join(notes)}" if notes else ""


def _created(path: str, data: Data) -> str:
    origin = f", again as {data['rerun_of']}" if data.get("rerun_of") else ""
    origin += f", for step {data.get('parent_path')} of run {data['parent']}" if data.get("parent") else ""
    return f"started a run of version {data.get('version', '?')} ({data.get('trigger', '?')}){origin}"


def _ended(path: str, data: Data) -> str:
    status = str(data.get("status", "ended"))
    if status == "cancelled":
        return "cancelled the run"
    if status == "completed":
        return "completed the run" + (", partially" if data.get("partial") else "")
    return (
        f"the run {status.replace('_', ' ')}{_about(data)}"
        if status != "timed_out"
        else f"the run timed out{_about(data)}"
    )


def _step_ended(path: str, data: Data) -> str:
    return f"completed step {path}" if data.get("success", True) else f"step {path} failed{_about(data)}"


def _waiting(path: str, data: Data) -> str:
    return f"parked the run{_about(data)}" if not path else f"step {path} waits{_about(data)}"


def _answered(path: str, data: Data) -> str:
    comment = f" - {cut(str(data['comment']))}" if data.get("comment") else ""
    return f"answered “{cut(str(data.get('answer', '')))}” to step {path}{comment}"


def _retried(path: str, data: Data) -> str:
    return f"retried the run from {path or 'where it stopped'}"


def _version(what: str) -> Callable[[str, Data], str]:
    def say(path: str, data: Data) -> str:
        note = f": {cut(str(data['note']))}" if data.get("note") else ""
        return f"{what} workflow {path}, version {data.get('version', '?')}{note}"

    return say


def _row(what: str, kind: str) -> Callable[[str, Data], str]:
    def say(path: str, data: Data) -> str:
        changes = _changes(data) if what != "made" else ""
        return f"{what} {kind} {path}" + (f": {changes}" if changes else "")

    return say


def _changes(data: Data) -> str:
    changed = data.get("changed")
    parts = [f"{name} {_value(old)} → {_value(new)}" for name, (old, new) in _pairs(changed)]
    parts += [f"{name} changed" for name in data.get("private") or ()]
    return ", ".join(parts)


def _pairs(changed: Any) -> list[tuple[str, tuple[Any, Any]]]:
    found = changed.items() if isinstance(changed, dict) else ()
    return [(str(name), (pair[0], pair[1])) for name, pair in found if isinstance(pair, list) and len(pair) == 2]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "nothing" if value in ("", None) else cut(str(value), 40)


def _rights(what: str, holder: str) -> Callable[[str, Data], str]:
    def say(path: str, data: Data) -> str:
        parts = [f"{verb} {what} {_list(data[key])}" for key, verb in GIVEN if data.get(key)]
        return f"{' and '.join(parts) or 'changed nothing'} {'to' if data.get('added') else 'from'} {holder} {path}"

    return say


GIVEN = (("added", "gave"), ("removed", "took"))


def _list(names: Any) -> str:
    names = [str(name) for name in names] if isinstance(names, list) else [str(names)]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _login_failed(path: str, data: Data) -> str:
    more = f", after {data['more_before']} more that are not recorded one by one" if data.get("more_before") else ""
    return f"failed to log in as {path or 'an account that is not there'}{_address(data)}{more}"


def _address(data: Data) -> str:
    return f" from {data['address']}" if data.get("address") else ""


def _runs(what: str) -> Callable[[str, Data], str]:
    return lambda path, data: f"{what} {len(runs) if isinstance(runs := data.get('runs'), list) else '?'} runs"


def _rest(data: Data) -> str:
    return cut(", ".join(f"{key}: {value}" for key, value in data.items() if value not in ("", None)))


def cut(text: str, longest: int = LONGEST) -> str:
    """The text in one line, at most so long."""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


WORDS: dict[str, Callable[[str, Data], str]] = {
    "run_created": _created,
    "run_started": _plain("took up the run"),
    "run_taken_over": lambda path, data: f"took over the run from {data.get('lost') or 'a lost worker'}",
    "run_released": _of_step("gave the run back"),
    "run_paused": _plain("paused the run"),
    "run_resumed": _plain("resumed the run"),
    "run_retried": _retried,
    "run_waiting": _waiting,
    "run_woken": _plain("the run goes on"),
    "workflow_complete": _ended,
    "step_start": _of_step("began"),
    "step_complete": _step_ended,
    "step_retry": _of_step("is to try again"),
    "step_skipped": _of_step("skipped"),
    "step_waiting": _waiting,
    "approval_answered": _answered,
    "event_received": lambda path, data: f"sent event {data.get('event', '')} to step {path}",
    "workflow_created": _version("made"),
    "workflow_revised": _version("changed"),
    "workflow_archived": _plain("archived workflow {path}"),
    "template_created": _plain("made template {path}"),
    "template_changed": _plain("changed template {path}"),
    "template_deleted": _plain("deleted template {path}"),
    "template_batch_started": lambda path, data: f"began {data.get('rows', '?')} workflows from template {path}",
    "logged_in": lambda path, data: f"logged in{_address(data)}",
    "logged_out": lambda path, data: f"logged out{_address(data)}",
    "login_failed": _login_failed,
    "user_groups_changed": _rights("group", "account"),
    "user_permissions_changed": _rights("permission", "account"),
    "group_permissions_changed": _rights("permission", "group"),
    "token_created": lambda path, data: f"made an API token of {path} ({data.get('token', '')}…)",
    "token_revoked": lambda path, data: f"revoked an API token of {path} ({data.get('token', '')}…)",
    "token_expired": lambda path, data: f"an API token of {path} ({data.get('token', '')}…) expired",
    "agent_enabled": _row("enabled", "agent"),
    "agent_disabled": _row("disabled", "agent"),
    "runs_sealed": _runs("sealed"),
    "runs_deleted": _runs("deleted"),
} | {
    f"{kind}_{verb}": _row(what, "account" if kind == "user" else kind)
    for kind in ("user", "group", "agent", "engine", "function")
    for verb, what in (("created", "made"), ("changed", "changed"), ("deleted", "deleted"))
}
