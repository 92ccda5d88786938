"""The built-in sets: made up by a seeded generator, the same at each call, and labelled synthetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import Any

Rows = list[dict[str, Any]]


def _normal(random: Random, mean: float, deviation: float) -> float:
    # Box-Muller over random(), whose sequence is the one that Python promises to keep.
    return mean + deviation * math.sqrt(-2 * math.log(1 - random.random())) * math.cos(2 * math.pi * random.random())


def _one_of(random: Random, values: tuple[str, ...]) -> str:
    return values[int(random.random() * len(values))]


def sample_dataset() -> Rows:
    """120 made-up days of sales, slowly growing, with three missing values and two outliers."""
    random = Random(20240101)  # noqa: S311 - not for secrets
    rows = []
    for day in range(120):
        units = max(1, round(_normal(random, 40 + day / 6, 6)))
        price = round(_normal(random, 20, 2), 2)
        rows.append(
            {
                "date": (date(2024, 1, 1) + timedelta(days=day)).isoformat(),
                "region": _one_of(random, ("north", "south", "east", "west")),
                "product": _one_of(random, ("basic", "standard", "premium")),
                "units": units,
                "price": price,
                "revenue": round(units * price, 2),
            }
        )
    for day in (17, 58, 93):
        rows[day]["price"] = None
    rows[40]["units"], rows[77]["revenue"] = 260, 9_800.0
    return rows


def synthetic_healthcare_metrics() -> Rows:
    """400 made-up hospital stays: department, age, waiting time, length, cost, satisfaction, readmission."""
    random = Random(7)  # noqa: S311 - not for secrets
    return [_stay(random, number) for number in range(400)]


def _stay(random: Random, number: int) -> dict[str, Any]:
    department = _one_of(random, ("cardiology", "emergency", "oncology", "orthopedics", "pediatrics"))
    age = (
        round(random.random() * 16) if department == "pediatrics" else round(min(max(_normal(random, 58, 17), 18), 97))
    )
    wait = max(2, round(_normal(random, 70 if department == "emergency" else 35, 15)))
    days = max(1, round(_normal(random, 2.5 + age / 22, 1.6)))
    return {
        "admitted": (date(2024, 1, 1) + timedelta(days=number * 364 // 399)).isoformat(),
        "department": department,
        "age": age,
        "wait_minutes": wait,
        "length_of_stay_days": days,
        "cost": round(days * _normal(random, 900, 80) + 300, 2),
        "satisfaction": None if number % 37 == 5 else round(min(max(_normal(random, 9 - wait / 25, 0.8), 1), 10), 1),
        "readmitted": random.random() < 0.06 + age / 900,
    }


BUILTIN: dict[str, Callable[[], Rows]] = {
    "sample_dataset": sample_dataset,
    "synthetic_healthcare_metrics": synthetic_healthcare_metrics,
}
