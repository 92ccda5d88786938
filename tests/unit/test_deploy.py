"""The files of ``deploy/`` name what the program has: variables, commands, folders, and time enough to stop."""

import re
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from kolosal import settings
from kolosal.settings import ENVIRONMENT
from workflows.engine import SWALLOWED
from workflows.pacemaker import STOP_MARGIN

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted(path for path in DEPLOY.iterdir() if path.name != "kolosal.env")  # the last is somebody's own
UNITS = [path for path in FILES if path.suffix == ".service"]
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
OURS = [name for name in SERVICES if "build" in SERVICES[name]]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (DEPLOY / "kolosal.env.example").read_text().splitlines()
    if line and not line.startswith("#")
)
GRACE = float(EXAMPLE["KOLOSAL_GRACE_SECONDS"])
# From SIGTERM to the end, at most: a worker's attempts; the web server's open requests, then its runs.
STOPS_WITHIN = {"worker": GRACE + STOP_MARGIN, "web": 2 * GRACE + SWALLOWED}

Unit = dict[str, list[str]]


def unit(path: Path) -> Unit:
    """Key → values, of all sections."""
    found: Unit = defaultdict(list)
    for key, value in re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE):
        found[key].append(value)
    return found


def lasting(name: str) -> Unit:
    return unit(DEPLOY / f"kolosal-{name}.service")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_variables_named_are_read_by_the_program(path: Path) -> None:
    text = re.sub(r"\$\{(\w+)[^}]*\}", r"\1", path.read_text())
    named = set(re.findall(r"\b(KOLOSAL_[A-Z_]+|DATABASE_URL)\b", text))
    assert named <= ENVIRONMENT.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_named_are_there(path: Path) -> None:
    text = path.read_text()
    commands = set(re.findall(r"manage\.py,? (\w+)", text))
    modules = set(re.findall(r"python[\",]* \"?-m[\",]* \"?([\w.]+)", text))
    assert commands <= get_commands().keys()
    assert all(find_spec(module) for module in modules)
    assert commands | modules or path not in UNITS


def test_the_example_leaves_secrets_open_and_closes_the_door() -> None:
    assert EXAMPLE["KOLOSAL_SECRET_KEY"] == EXAMPLE["POSTGRES_PASSWORD"] == ""
    assert EXAMPLE["KOLOSAL_REQUIRE_TOKEN"] == "1"
    assert "localhost" in EXAMPLE["KOLOSAL_ALLOWED_HOSTS"]  # whom the health check of compose.yaml asks for
    assert float(ENVIRONMENT["KOLOSAL_GRACE_SECONDS"][0].split()[0]) == GRACE


# --- compose.yaml ----------------------------------------------------------------------------------------------------


def test_services_wait_for_services_that_are_there_and_can_tell() -> None:
    told = {"service_healthy": "healthcheck", "service_completed_successfully": "command"}
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert told[wanted["condition"]] in SERVICES[name]


def test_all_of_our_services_are_one_image_without_privileges() -> None:
    assert OURS == ["migrate", "web", "worker"]
    for service in (SERVICES[name] for name in OURS):
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert service["image"] == "kolosal-workflows"
        assert service["env_file"] == "kolosal.env"
        assert service["environment"]["DATABASE_URL"].startswith("postgres://")
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])


def test_containers_get_time_to_stop() -> None:
    for name, seconds in STOPS_WITHIN.items():
        assert float(SERVICES[name]["stop_grace_period"].removesuffix("s")) > max(seconds, GRACE + 5)


def test_the_schema_is_made_before_anything_works_and_by_one_only() -> None:
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert SERVICES["migrate"]["restart"] == "no"
    assert "manage.py migrate && python manage.py sync_agents" in SERVICES["migrate"]["command"][2]
    for name in ("web", "worker"):
        assert "migrate" in SERVICES[name]["depends_on"]
        assert SERVICES[name]["restart"] == "unless-stopped"


def test_ports_are_open_to_the_host_only() -> None:
    assert [port for service in SERVICES.values() for port in service.get("ports", [])] == ["127.0.0.1:8080:8080"]


# --- Dockerfile ------------------------------------------------------------------------------------------------------


def test_the_image_is_made_of_what_the_program_needs_with_hashes_and_runs_without_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [words.split() for words in re.findall(r"^COPY (.+)$", text, re.MULTILINE)]
    sources = {source for *sources, _ in copied for source in sources}
    assert all((settings.BASE_DIR / source).exists() for source in sources)
    packages = {app.partition(".")[0] for app in settings.INSTALLED_APPS}
    assert sources >= {name for name in packages if (settings.BASE_DIR / name).is_dir()} | {"kolosal", "config"}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text()
    assert sources == {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    assert "--require-hashes --only-binary :all: -r requirements/run.txt" in text
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "kolosal"


def test_the_programs_for_backups_are_as_new_as_the_server() -> None:
    server = SERVICES["postgres"]["image"].removeprefix("postgres:")
    assert f"postgresql-client-{server}" in (DEPLOY / "Dockerfile").read_text()


# --- systemd ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STOPS_WITHIN)
def test_units_are_kept_alive_and_get_time_to_stop(name: str) -> None:
    keys = lasting(name)
    assert keys["Restart"] == ["always"]
    assert keys["StartLimitIntervalSec"] == ["0"]
    assert keys["KillMode"] == ["mixed"]  # SIGTERM to the one that stops the others in order
    assert float(keys["TimeoutStopSec"][0]) > max(STOPS_WITHIN[name], GRACE + 5)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_are_closed_in(path: Path) -> None:
    keys = unit(path)
    assert keys["User"] == ["kolosal"]
    assert keys["EnvironmentFile"] == ["/etc/kolosal.env"]
    assert keys["NoNewPrivileges"] == keys["PrivateTmp"] == keys["ProtectHome"] == ["yes"]
    assert keys["ProtectSystem"] == ["strict"]
    assert keys["StateDirectory"] == ["kolosal"]  # what it may write to
    assert "KOLOSAL_DATA_DIR=/var/lib/kolosal" in keys["Environment"][0]
    assert "ProtectProc" not in keys  # a hidden process would be taken for one that has ended
