"""Settings under which django-q2 would run a task twice or lose it are refused at start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

REQUIRED = {
    "queue_limit": (1, "more would be fetched ahead and run again by others"),
    "bulk": (1, "more would be fetched ahead and run again by others"),
    "max_attempts": (1, "our own rows count attempts"),
    "ack_failures": (True, "a failed message would be delivered for ever"),
    "daemonize_workers": (False, "loops start helper processes"),
}


@register("queue")
def safe_queue(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    cluster = settings.Q_CLUSTER
    problems: list[CheckMessage] = [
        Error(f"Q_CLUSTER[{key!r}] is {cluster.get(key)!r}, and must be {value!r}: {why}.", id="workflows.E001")
        for key, (value, why) in REQUIRED.items()
        if cluster.get(key) != value
    ]
    if not cluster.get("timeout") or cluster.get("retry", 0) <= cluster["timeout"]:
        problems.append(
            Error("Q_CLUSTER['retry'] must be larger than its timeout, else messages are doubled.", id="workflows.E002")
        )
    return problems
