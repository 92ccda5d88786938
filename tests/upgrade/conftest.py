"""Upgrades are tried with real workers."""

from tests.workers.conftest import start_worker

__all__ = ["start_worker"]
