"""The command that fills a store with runs for measurements: what it makes holds under every rule of the product."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def _call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {"KOLOSAL_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "kolosal.settings"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a store with 60 seeded runs that have ended, and those that have not."""
    folder = tmp_path_factory.mktemp("seeded")
    done = _call(folder, "-m", "benchmarks.seed", "--runs", "60", "--events", "600")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("command", ["verify_runs", "verify_audit"])
def test_seeded_rows_hold_under_every_rule(seeded: Path, command: str) -> None:
    done = _call(seeded, "manage.py", command)
    assert done.returncode == 0, done.stdout


def test_a_store_with_runs_is_refused(seeded: Path) -> None:
    done = _call(seeded, "-m", "benchmarks.seed", "--runs", "60", "--events", "600")
    assert done.returncode != 0
    assert "--add" in done.stderr


def test_figures_that_no_run_has_are_refused(tmp_path: Path) -> None:
    done = _call(tmp_path, "-m", "benchmarks.seed", "--runs", "10", "--events", "1000")
    assert done.returncode != 0
    assert "5 to 17 events" in done.stderr
