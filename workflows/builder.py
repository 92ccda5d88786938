"""Definitions written in Python: the same definition, refused by the same checks, as from YAML or JSON."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from workflows.definitions import writing
from workflows.definitions.building import Steps
from workflows.definitions.catalog import Catalog
from workflows.definitions.checks import check
from workflows.definitions.models import Definition
from workflows.definitions.reading import read_object, read_yaml

if TYPE_CHECKING:
    from workflows.models import Run, Workflow
    from workflows.outcomes import ErrorRecord

logger = logging.getLogger(__name__)

OnStepComplete = Callable[[str, dict[str, Any]], None]
OnStepError = Callable[[str, "ErrorRecord"], None]
OnWorkflowComplete = Callable[[dict[str, Any]], None]


class WorkflowBuilder(Steps):
    """Builds a definition step by step. Blocks take their branches as lists of steps.

    >>> review = (
    ...     WorkflowBuilder("review", "Review an article")
    ...     .step("write", agent="content_creator", function="inference", prompt="Write about ${input.topic}")
    ...     .parallel(
    ...         "looks",
    ...         {
    ...             "facts": Steps().step("facts", agent="qa_specialist", function="echo", message="checked"),
    ...             "style": Steps().step("style", agent="content_creator", function="echo", message="fine"),
    ...         },
    ...     )
    ...     .approval("release", "Publish ${steps.write.result.text}?", assignees=["group:editors"])
    ...     .if_(
    ...         "decide",
    ...         'steps.release.result.answer == "approve"',
    ...         then=Steps().step("publish", agent="content_creator", function="echo", message="out"),
    ...         else_=Steps().workflow("again", "rewrite", input={"comment": "${steps.release.result.comment}"}),
    ...     )
    ...     .build()
    ... )

    Further fields of the workflow are keywords, or methods of their names: `tags`, `retry` ….
    """

    def __init__(self, workflow_id: str, workflow_name: str | None = None, **fields: Any) -> None:
        super().__init__()
        self._fields: dict[str, Any] = {"workflow_id": workflow_id}
        if workflow_name is not None:
            self._fields["workflow_name"] = workflow_name
        self._fields |= fields

    @classmethod
    def from_yaml(cls, text: str | bytes) -> Self:
        """A builder that goes on from a definition in YAML. Raises `DefinitionError`."""
        return cls.from_definition(check(read_yaml(text)).definition_or_raise())

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """A builder that goes on from a definition."""
        fields = writing.to_dict(definition)
        builder = cls(fields.pop("workflow_id"))
        builder._steps = fields.pop("steps")
        builder._fields |= fields
        return builder

    def description(self, text: str) -> Self:
        return self.options(description=text)

    def global_context(self, **values: Any) -> Self:
        """Values that every step sees, added to those given before."""
        return self.options(global_context={**self._fields.get("global_context", {}), **values})

    def metadata(self, **values: Any) -> Self:
        """Free values, added to those given before."""
        return self.options(metadata={**self._fields.get("metadata", {}), **values})

    def tags(self, *tags: str) -> Self:
        return self.options(tags=list(tags))

    def input_schema(self, schema: Mapping[str, Any]) -> Self:
        """The JSON Schema that a run's input must match."""
        return self.options(parameters=dict(schema))

    def retry(self, **policy: Any) -> Self:
        """The default retry policy of all steps."""
        return self.options(retry=policy)

    def concurrency(self, limit: int, on_limit: str = "queue") -> Self:
        return self.options(concurrency={"limit": limit, "on_limit": on_limit})

    def options(self, **fields: Any) -> Self:
        """Any fields of the workflow, by their names: `stop_on_failure`, `max_execution_time_seconds` …"""
        self._fields |= fields
        return self

    def build(self) -> Definition:
        """The definition. Raises `DefinitionError` with all that is wrong; `save` checks agents as well."""
        source = read_object({**self._fields, "steps": self._steps})
        return check(source, callables=self.callables).definition_or_raise()

    def to_yaml(self) -> str:
        """The definition in YAML. Raises `DefinitionError`, also for lambdas, which no text can hold."""
        return writing.to_yaml(self._portable())

    def _portable(self, catalog: Catalog | None = None) -> Definition:
        self.build()  # first, so that a fault in a definition with lambdas is told before the lambdas are
        source = read_object({**self._fields, "steps": self._steps})
        return check(source, catalog).definition_or_raise()

    def save(self, actor: str = "python") -> Workflow:
        """Store the definition, as a new workflow or a new version, and return the stored workflow.

        Raises `DefinitionError`, also for lambdas and for agents and functions that are not there.
        """
        _set_up_django()
        from workflows import publishing
        from workflows.catalog import Catalog as StoredCatalog

        return publishing.save(self._portable(StoredCatalog()), actor=actor)

    def run(
        self,
        input: Mapping[str, Any] | None = None,
        *,
        on_step_complete: OnStepComplete | None = None,
        on_step_error: OnStepError | None = None,
        on_workflow_complete: OnWorkflowComplete | None = None,
    ) -> Run:
        """Run it in this process, wait for the end, and return the run as it was stored.

        `on_step_complete(step_id, result)` and `on_step_error(step_id, error)`, whose error has `code` and `message`,
        are called in another thread as each step has ended, `on_workflow_complete(result)` at the end, with the body
        of the API's result. What they raise is logged. Raises `DefinitionError`, and `InputInvalid` where the input
        does not match the workflow's schema.
        """
        _set_up_django()
        from workflows import inprocess, signals
        from workflows.results import result_body

        def tell(change: Any) -> None:
            for signal, told in signals.moments(change):
                if signal is signals.step_completed:
                    _call(on_step_complete, told["path"], told["result"])
                elif signal is signals.step_failed:
                    _call(on_step_error, told["path"], told["error"])

        run = inprocess.run(self.build(), input, callables=self.callables, on_written=tell)
        if on_workflow_complete is not None:
            _call(on_workflow_complete, result_body(run))
        return run


def _call(callback: Callable[..., None] | None, *arguments: Any) -> None:
    if callback is None:
        return
    try:
        callback(*arguments)
    except Exception:
        logger.exception("A callback failed; the run goes on")


def _set_up_django() -> None:
    """For scripts that are not started by `manage.py`."""
    import django
    from django.apps import apps

    if not apps.ready:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kolosal.settings")
        django.setup()
