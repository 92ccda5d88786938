"""The admin's pages, split by subject; importing this registers them."""

from workflows.admin import account, agent, event, queue, run, worker, workflow

__all__ = ["account", "agent", "event", "queue", "run", "worker", "workflow"]
