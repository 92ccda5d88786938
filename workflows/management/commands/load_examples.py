"""``manage.py load_examples``: publish the workflows under ``config/workflows``, as far as their ids are free."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.catalog import Catalog
from workflows import publishing
from workflows.definitions import check, read_yaml
from workflows.models import Workflow


class Command(BaseCommand):
    help = "Publish the example workflows whose ids were never used here; changed or archived ones stay as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        for path in sorted(settings.EXAMPLES_DIR.glob("*.yaml")):
            checked = check(read_yaml(path.read_bytes()), Catalog())
            if checked.definition is None:
                told = "; ".join(f"line {problem.line}: {problem.message}" for problem in checked.problems)
                raise CommandError(f"{path.name}: {told}")
            if not Workflow.objects.filter(workflow_id=checked.definition.workflow_id).exists():
                publishing.create(checked.definition, actor="example")
                if options["verbosity"]:
                    self.stdout.write(f"{checked.definition.workflow_id} published")
