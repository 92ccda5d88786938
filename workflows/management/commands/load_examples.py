"""``manage.py load_examples``: what ships under ``config/workflows`` and ``config/templates``, as far as it is new."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workflows import publishing, templates
from workflows.catalog import Catalog
from workflows.definitions import Definition, Source, TemplateDocument, check, check_template, read_yaml
from workflows.errors import DefinitionError
from workflows.models import Event, Template, Workflow

ACTOR = "example"
Read = TypeVar("Read")


class Command(BaseCommand):
    help = (
        "Publish the example workflows and store the templates whose names were never used here; changed, archived and "
        "deleted ones stay as they are."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for definition in _read(settings.EXAMPLES_DIR, _definition):
            if not Workflow.objects.filter(workflow_id=definition.workflow_id).exists():
                publishing.create(definition, actor=ACTOR)
                self._tell(f"{definition.workflow_id} published", options)
        for document in _read(settings.TEMPLATES_DIR, _template):
            if not _was_there(document.name):
                templates.create(document, actor=ACTOR)
                self._tell(f"template {document.name} stored", options)

    def _tell(self, said: str, options: dict[str, Any]) -> None:
        if options["verbosity"]:
            self.stdout.write(said)


def _read(folder: Path, checked: Callable[[Source], Read]) -> Iterator[Read]:
    for path in sorted(folder.glob("*.yaml")):
        try:
            yield checked(read_yaml(path.read_bytes()))
        except DefinitionError as error:
            told = "; ".join(f"line {problem.line}: {problem.message}" for problem in error.problems)
            raise CommandError(f"{path.name}: {told}") from None


def _definition(source: Source) -> Definition:
    return check(source, Catalog()).definition_or_raise()


def _template(source: Source) -> TemplateDocument:
    return check_template(source, Catalog())


def _was_there(name: str) -> bool:
    """Whether the template is there, or somebody has deleted it."""
    deleted = Event.objects.filter(run=None, type="template_deleted", path=name)
    return Template.objects.filter(name=name).exists() or deleted.exists()
