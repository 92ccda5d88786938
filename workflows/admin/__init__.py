"""The admin's pages, split by subject; importing this registers them."""

from workflows.admin import account, agent, event, queue, run, template, worker, workflow

__all__ = ["account", "agent", "event", "queue", "run", "template", "worker", "workflow"]
