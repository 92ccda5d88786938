"""Fill an empty store with a recording, under the schema that it was recorded with; run by the test of upgrades.

DATABASE_URL=… python -m tests.upgrade.load tests/upgrade/release_0_1.json WITNESS_FOLDER
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.management.color import no_style  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.migrations.executor import MigrationExecutor  # noqa: E402
from django.utils import timezone  # noqa: E402

from tests.upgrade import recording  # noqa: E402


def main(file: Path, witness: Path) -> None:
    content = recording.read(file, witness)
    for app, migration in content["migrations"].items():
        call_command("migrate", app, migration, verbosity=0)
    for name, text in content["files"].items():
        (witness / name).write_text(text)
    insert(content)


def insert(content: dict[str, Any]) -> None:
    """Insert the rows by the models as they were then; their keys are kept."""
    recorded_at = list(content["migrations"].items())
    models = recording.models(MigrationExecutor(connection).loader.project_state(recorded_at).apps)
    with transaction.atomic():  # foreign keys are checked at its end: a workflow and its version name each other
        for name, model in models.items():
            for row in content[name]:
                model(**row | as_of_now(name, row)).save_base(raw=True, force_insert=True)
        resets = connection.ops.sequence_reset_sql(no_style(), list(models.values()))
        with connection.cursor() as cursor:
            for statement in resets:
                cursor.execute(statement)


def as_of_now(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """What hangs on the clock, whenever the test runs: leases are over, waits too, deadlines are not."""
    now = timezone.now()
    if name == "workflows.Worker":
        return {"expires_at": now - timedelta(minutes=1)}
    if name == "workflows.Run" and row["ended_at"] is None:
        return {"due_at": row["due_at"] and now, "deadline_at": row["deadline_at"] and now + timedelta(hours=1)}
    return {}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
