"""Lives of runs that have ended, as rows: the run, its events with a chain that holds, and the results of its steps."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from benchmarks.fifty import Plan
from workflows.audit import EventRow, make_event
from workflows.models import Event, Run, StepResult
from workflows.models.fields import dumps

PERSONS = ("ann", "ben", "carla", "dmitri", "elif", "farid", "grace", "hugo")
TRIGGERS = ("api", "api", "api", "api", "admin", "admin", "schedule", "webhook")
TOPICS = ("AI in healthcare", "remote work", "solar power", "freight rates", "data privacy", "batteries", "onboarding")
TROUBLES = (
    ("ServerTimeout", "the model server did not answer within 120 s"),
    ("RateLimited", "the model server answered HTTP 429: too many requests"),
    ("ServerUnreachable", "the model server can't be reached: connection refused"),
    ("OutputSchemaMismatch", "result.title: a text is needed"),
    ("FunctionFailed", "ValueError: could not convert string to float: 'n/a'"),
    ("StepTimeout", "the step took longer than 60 s"),
)
ENDINGS = {"": "completed", "StepTimeout": "timed_out", "Cancelled": "cancelled"}
"""Code of a step's error → its status; with any other it has failed."""
Row = dict[str, Any]


def blank(model: Any) -> Row:
    """Column → default, as it is stored; without the numbers that the store gives."""
    fields = [field for field in model._meta.concrete_fields if field.attname != "id" or model is Run]
    return {field.attname: None if field.primary_key else field.get_prep_value(field.get_default()) for field in fields}


RUN, STEP, EVENT = blank(Run), blank(StepResult), blank(Event)


@dataclass(slots=True)
class Story:
    """One run as it goes on. ``now`` is where it has come to."""

    plan: Plan
    now: datetime
    dice: random.Random
    has_results: bool
    run: Row = field(default_factory=RUN.copy)
    events: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)

    def tell(self) -> "Story":
        """The whole life, from its creation to its end."""
        ending = self._begin()
        at = self.dice.randrange(len(self.plan.steps))
        for number, step in enumerate(self.plan.steps):
            code, told = ending if ending and number == at else ("", "")
            self._step(*step, code, told)
            if code:
                self._end("cancelled" if code == "Cancelled" else "failed", step[0], code, told)
                return self
        self._end("completed", "", "", "")
        return self

    def _begin(self) -> tuple[str, str] | None:
        dice, plan = self.dice, self.plan
        trigger = dice.choice(TRIGGERS)
        self.run |= {
            "id": run_id(self.now, dice),
            "workflow_id": plan.workflow,
            "version_id": plan.version,
            "trigger": trigger,
            "actor": trigger if trigger in ("schedule", "webhook") else dice.choice(PERSONS),
            "input": dumps({"topic": dice.choice(TOPICS), "order": dice.randrange(10**6)}),
            "created_at": self.now,
            "total_steps": len(plan.steps),
            "planned_steps": len(plan.steps),
            "epoch": 1,
            "sealed": True,
        }
        self._event("run_created", self.run["actor"], "", trigger=trigger, version=1, priority=0)
        self._pass(dice.expovariate(4))
        self.run |= {"started_at": self.now, "deadline_at": self.now + timedelta(minutes=10)}
        self._event("run_started", self._worker, "", epoch=1)
        chance = dice.random()
        if chance < 0.01:
            return "Cancelled", f"cancelled by {dice.choice(PERSONS)}"
        return dice.choice(TROUBLES) if chance < 0.01 + plan.fails else None

    def _step(self, step_id: str, name: str, agent: str, code: str, told: str) -> None:
        started, attempts = self.now, []
        if not code and self.dice.random() < 0.03:
            attempts.append(self._failed_attempt(step_id, name, agent))
        attempt = len(attempts) + 1
        self._event("step_start", self._worker, step_id, step_name=name, agent_name=agent, attempt=attempt)
        began, seconds = self.now, self.plan.pace * self.dice.lognormvariate(0, 0.6)
        self._pass(seconds)
        outcome = {"success": False, "error": told, "code": code} if code else {"success": True}
        self._event("step_complete", self._worker, step_id, execution_time_ms=round(seconds * 1000, 3), **outcome)
        status = ENDINGS.get(code, "failed")
        self.run["successful_steps"] += status == "completed"
        self.run["failed_steps"] += status in ("failed", "timed_out")
        self.run["retried_steps"] += len(attempts)
        if self.has_results:
            attempts.append(_attempt(attempt, began, self.now, code, told))
            columns = self._result(step_id, name, agent, attempts, seconds)
            times = {"started_at": started, "ended_at": self.now, "ended_seq": self.run["event_seq"]}
            self.steps.append(columns | times | {"status": status, "error_code": code, "error_message": told})

    def _failed_attempt(self, step_id: str, name: str, agent: str) -> Row:
        began = self.now
        code, told = TROUBLES[self.dice.randrange(3)]
        self._event("step_start", self._worker, step_id, step_name=name, agent_name=agent, attempt=1)
        self._pass(self.plan.pace)
        self._event("step_retry", self._worker, step_id, attempt=1, error=told, code=code, retry_in_ms=2000.0)
        attempt = _attempt(1, began, self.now, code, told) | {"retry_in": 2.0}
        self._pass(2)
        return attempt

    def _result(self, step_id: str, name: str, agent: str, attempts: list[Row], seconds: float) -> Row:
        text = f"{name}: {self.run['input']}"
        ok = "error_code" not in attempts[-1]
        tokens = self.dice.randrange(200, 2000) if step_id == "draft" else 0
        return STEP | {
            "run_id": self.run["id"],
            "path": step_id,
            "step_id": step_id,
            "name": name,
            "agent": agent,
            "function": "echo",
            "parameters": dumps({"message": text}),
            "result": dumps({"echo": text, "original": text, "processed": True}) if ok else None,
            "attempts": dumps(attempts),
            "attempt": len(attempts),
            "duration_ms": seconds * 1000,
            "output_tokens": tokens,
            "cost": tokens * 2e-6,
        }

    def _end(self, status: str, step_id: str, code: str, told: str) -> None:
        message = f"step {step_id} failed: {told}" if status == "failed" else told
        success = status == "completed"
        outcome = {} if success else {"error": message, "code": code}
        actor = self.dice.choice(PERSONS) if status == "cancelled" else self._worker
        self._event("workflow_complete", actor, "", status=status, success=success, partial=False, **outcome)
        self.run |= {"status": status, "success": success, "ended_at": self.now}
        self.run |= {"error_code": code, "error_message": message}

    @property
    def _worker(self) -> str:
        return f"worker:host-{self.run['id'].int % 3}:{4000 + self.run['id'].int % 7}"

    def _pass(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def _event(self, type: str, actor: str, path: str, **data: Any) -> None:
        run = self.run
        event = make_event(run["event_head"], run["id"], run["event_seq"] + 1, type, self.now, actor, path, data)
        run["event_seq"], run["event_head"] = event.seq, event.hash
        self.events.append(row_of(event))


def row_of(event: EventRow) -> Row:
    """The event as its columns are stored."""
    columns = (event.run_id, event.seq, event.type, event.at, event.actor, event.path, event.data, event.hash)
    return dict(zip(EVENT, columns, strict=True))


def run_id(at: datetime, dice: random.Random) -> uuid.UUID:
    """As `new_run_id`, of another moment and by other dice."""
    value = dice.getrandbits(74)
    milliseconds = int(at.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | (value >> 62) << 64 | 2 << 62 | (value & ((1 << 62) - 1)))


def _attempt(number: int, began: datetime, ended: datetime, code: str, told: str) -> Row:
    attempt = {"number": number, "started_at": began.isoformat(), "ended_at": ended.isoformat()}
    return attempt | ({"error_code": code, "error": told, "trace": f"{code}: {told}\n"} if code else {})


def lives(plans: Sequence[Plan], times: Sequence[datetime], events: float, has_results: bool, seed: int) -> list[Story]:
    """One run begun at each of ``times``, with about ``events`` events a run."""
    dice, told, number = random.Random(seed), [], 0  # noqa: S311
    for count, at in enumerate(times, 1):
        longer = number < events * (count - 1)
        plan = dice.choice(plans[1::2] if longer else plans[::2])
        story = Story(plan, at, dice, has_results).tell()
        number += len(story.events)
        told.append(story)
    return told
