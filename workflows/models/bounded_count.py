"""Counting rows at a cost that does not grow with them."""

import json
from typing import Any

from django.db import connection
from django.db.models import QuerySet


def bounded_count(rows: "QuerySet[Any]", exactly: int) -> tuple[int, bool]:
    """How many rows there are, and whether that was counted.

    ``exactly`` so many are. Beyond, on PostgreSQL, it is what the planner expects; on SQLite all are counted.
    """
    keys = rows.order_by().values("pk")
    counted = keys[: exactly + 1].count()
    if counted <= exactly:
        return counted, True
    if connection.vendor != "postgresql":
        return keys.count(), True
    plan = json.loads(keys.explain(format="json"))[0]["Plan"]
    return max(counted, int(plan["Plan Rows"])), False
