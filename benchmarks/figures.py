"""What is measured: meaning, unit, goal, and what it is compared with."""

from dataclasses import dataclass
from typing import Literal

SQLITE, NORMAL, POSTGRESQL = "SQLite", "SQLite NORMAL", "PostgreSQL, Redis"


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    meaning: str
    unit: Literal["ms", "s", "/s", "MiB", "%", "×", "B"]
    goals: tuple[tuple[str, float], ...] = ()

    def shown(self, value: float) -> str:
        digits = 0 if self.unit in ("/s", "MiB", "B") else 2
        return f"{value:,.{digits}f} {self.unit}"

    def goal(self, store: str) -> float | None:
        return dict(self.goals).get(store)

    def share(self, store: str, figures: dict[str, float]) -> float | None:
        """What was measured as a share of the goal: at most 1 if it is met."""
        goal, value = self.goal(store), figures[self.name]
        if goal is None or not value:
            return None
        return goal / value if self.unit == "/s" else value / goal

    def ratio(self, figures: dict[str, float]) -> float | None:
        """How many times the limit it takes; of a rate, each one. See `benchmarks.limit`."""
        return figures.get(f"{self.name}_by_limit")

    def written_ratio(self, figures: dict[str, float]) -> str:
        ratio = self.ratio(figures)
        return "" if ratio is None else f"{ratio:.2f} ×"

    def change(self, figures: dict[str, float], earlier: dict[str, float]) -> float | None:
        """Of the ratio, against an earlier one."""
        now, before = self.ratio(figures), self.ratio(earlier)
        return None if now is None or before is None else now / before - 1


FIGURES = (
    Figure("insert_ms", "the limit: one committed INSERT", "ms"),
    Figure("work_ms", "the limit: a fixed piece of work in Python", "ms"),
    Figure("step_ms", "a step: 100 no-op steps, in process", "ms",
           ((SQLITE, 0.7), (NORMAL, 0.5), (POSTGRESQL, 0.8))),
    Figure("step_1000_by_step_10", "step 1,000 against step 10", "×",
           ((SQLITE, 1.2), (NORMAL, 1.2), (POSTGRESQL, 1.2))),
    Figure("bytes_of_a_step", "stored for a step, of 100", "B"),
    Figure("bytes_1000_by_100", "stored for a step, of 1,000 against 100", "×"),
    Figure("plain_step_ms", "a step whose parameter is an expression", "ms"),
    Figure("for_each_step_ms", "the same in a for_each", "ms"),
    Figure("while_step_ms", "the same in a while", "ms"),
    Figure("iterations_10000_s", "a loop of 10,000 iterations", "s"),
    Figure("branches_100_s", "100 branches of 1 s", "s", ((SQLITE, 2), (POSTGRESQL, 2))),
    Figure("run_p50_ms", "3 no-op steps through a worker, p50", "ms",
           ((SQLITE, 30), (POSTGRESQL, 8))),
    Figure("run_p95_ms", "3 no-op steps through a worker, p95", "ms",
           ((SQLITE, 60), (POSTGRESQL, 15))),
    Figure("cold_p50_ms", "the same after 15 s of rest, p50", "ms"),
    Figure("submitted_runs_per_s", "500 such, submitted one by one to two loops", "/s"),
    Figure("queued_runs_per_s", "500 such that wait when two loops begin", "/s",
           ((SQLITE, 250), (POSTGRESQL, 500))),
    Figure("naps_500_s", "500 runs of 3 steps that wait for 1 s", "s", ((SQLITE, 4.5), (POSTGRESQL, 3.6))),
    Figure("naps_500_mib", "memory (PSS) of all worker processes then", "MiB", ((POSTGRESQL, 130),)),
    Figure("waits_5000_s", "5,000 runs that wait for 60 s in a block", "s"),
    Figure("waits_5000_late_s", "how late the latest went on", "s", ((SQLITE, 2), (POSTGRESQL, 2))),
    Figure("waits_5000_mib", "memory (PSS) of all worker processes then", "MiB", ((SQLITE, 400), (POSTGRESQL, 400))),
    Figure("rest_mib", "memory (PSS) of all worker processes at rest", "MiB"),
    Figure("rest_cpu_percent", "processor time of all worker processes at rest", "%", ((SQLITE, 2), (POSTGRESQL, 2))),
    Figure("execute_async_per_s", "execute-async, two web processes", "/s", ((POSTGRESQL, 200),)),
    Figure("status_per_s", "status, two web processes", "/s", ((POSTGRESQL, 400),)),
    Figure("web_mib", "memory (PSS) of two web processes then", "MiB"),
)  # fmt: skip
