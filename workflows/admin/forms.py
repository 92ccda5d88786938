"""The forms of a definition: one for the workflow, one for each of its steps, one for starting a run."""

from typing import Any

from django import forms

from workflows.admin.fields import OpenChoice, StructureField
from workflows.definitions import Definition, FunctionStep
from workflows.definitions.models import BLOCKS
from workflows.models import Run

Choices = list[tuple[str, str]]
VIEWS = {"designer": "Designer", "yaml": "YAML", "form": "Form"}
"""The views of the editor, by the names that they are sent under."""


def _help(model: type[Definition] | type[FunctionStep], field: str) -> str:
    """The field's description in the definition's own models."""
    return model.model_fields[field].description or ""


def _lines(rows: int, **attrs: Any) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "spellcheck": "false", **attrs})


class WorkflowForm(forms.Form):
    """What holds for the whole workflow. What is right is decided by ``definitions.check``, not here."""

    workflow_id = forms.CharField(required=False, label="Id", help_text=_help(Definition, "workflow_id"))
    workflow_name = forms.CharField(required=False, label="Name", help_text=_help(Definition, "workflow_name"))
    description = forms.CharField(required=False, widget=_lines(2), help_text=_help(Definition, "description"))
    tags = forms.CharField(required=False, help_text="Words with commas between them.")
    max_execution_time_seconds = forms.FloatField(
        initial=600, label="Time limit (seconds)", help_text=_help(Definition, "max_execution_time_seconds")
    )
    stop_on_failure = forms.BooleanField(required=False, initial=True, help_text=_help(Definition, "stop_on_failure"))
    global_context = StructureField(widget=_lines(5), help_text="YAML or JSON. Values that every step sees.")
    parameters = StructureField(
        widget=_lines(5), label="Input schema", help_text=f"YAML or JSON. {_help(Definition, 'parameters')}"
    )
    other = StructureField(
        widget=_lines(4),
        label="Other fields",
        help_text="YAML or JSON: default_llm, retry, concurrency, save_intermediate_results, metadata.",
    )

    def clean_tags(self) -> list[str]:
        return [tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]


class SaveForm(forms.Form):
    """What is sent whichever view is open: which one, and what it was made from.

    ``written`` is the definition that the form's fields were made from, as JSON: keys that have no field are kept from
    it. ``version`` is the number of the current version when the page was made.
    """

    view = forms.ChoiceField(required=False, choices=list(VIEWS.items()), widget=forms.HiddenInput)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    written = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    definition = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    text = forms.CharField(required=False, strip=False, label="YAML", widget=_lines(24))
    draft = forms.IntegerField(required=False, widget=forms.HiddenInput)
    over = forms.IntegerField(required=False, widget=forms.HiddenInput)  # the version that theirs is stored over
    note = forms.CharField(required=False, max_length=1000, label="Note", help_text="What this version changes.")


class StepForm(forms.Form):
    """One step. ``origin`` is its index in the definition that the form was made from, -1 for a new one."""

    origin = forms.IntegerField(initial=-1, widget=forms.HiddenInput(attrs={"data-origin": ""}))
    position = forms.FloatField(
        required=False, widget=forms.NumberInput(attrs={"step": "any"}), help_text="Steps run in this order."
    )
    remove = forms.BooleanField(required=False, label="Remove this step")
    step_id = forms.CharField(required=False, label="Id", help_text="Letters, digits, _ and -.")
    step_name = forms.CharField(required=False, label="Name", help_text=_help(FunctionStep, "step_name"))
    agent_id = OpenChoice(label="Agent", help_text="Who does it.")
    function_name = OpenChoice(label="Function", help_text="What it does.")
    parameters = StructureField(widget=_lines(5), help_text="YAML or JSON; may contain ${…}.")
    precondition = forms.CharField(
        required=False, widget=_lines(1), help_text="Expression; false: the step is skipped."
    )
    timeout_seconds = forms.FloatField(initial=60, label="Timeout (seconds)", help_text="For one attempt.")
    max_retries = forms.IntegerField(initial=3, label="Retries", help_text=_help(FunctionStep, "max_retries"))
    continue_on_failure = forms.BooleanField(
        required=False, label="Go on if it fails", help_text=_help(FunctionStep, "continue_on_failure")
    )
    other = StructureField(
        widget=_lines(3),
        label="Other fields",
        help_text="YAML or JSON: description, depends_on, validation, result_processor, fallback, retry, "
        "cache, output_schema, llm_name, generate, metadata. A block has its keys here, and no agent: "
        f"{', '.join(BLOCKS)}.",
    )

    def __init__(self, *args: Any, agents: Choices, functions: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("agent_id", agents), ("function_name", functions)):
            field = self.fields[name]
            assert isinstance(field, OpenChoice)
            field.offer(choices, str(self[name].value() or ""))

    @property
    def block(self) -> str:
        """The key that makes the step a block, as it was stored; empty for a function."""
        return next((key for key in self.initial.get("other", ()) if key in BLOCKS), "")

    @property
    def starts_open(self) -> bool:
        """New rows and rows with errors are shown unfolded."""
        return bool(self.errors) or not self["step_id"].value()


StepForms = forms.formset_factory(StepForm, extra=0, max_num=1000, absolute_max=1000, validate_max=True)


class RestoreForm(forms.Form):
    """What an earlier version is restored with. ``version`` is the current one, as the page showed it."""

    version = forms.IntegerField()
    note = forms.CharField(required=False, max_length=1000, help_text="Why. The new version keeps it.")


class StartForm(forms.Form):
    """The input of a run."""

    input = StructureField(
        widget=_lines(10), label="Input context", help_text="YAML or JSON; empty is an empty context."
    )


class RunForm(StartForm):
    """…and how it is carried out."""

    profile = forms.BooleanField(
        required=False,
        label="Profile",
        help_text="Keep a flame graph of each call of a function that runs in a process of its own; slower.",
    )


class TrialForm(StartForm):
    """With what a definition is tried. Tries of one ``series`` take over the results of steps that did not change."""

    offline = forms.BooleanField(
        required=False, label="Offline", help_text="Ask no model: the offline provider answers by extraction."
    )
    series = forms.CharField(max_length=64, widget=forms.HiddenInput)


class FunctionForm(forms.Form):
    """One function of an agent, and what it is called with."""

    function = forms.ChoiceField()
    input = StructureField(widget=_lines(8), label="Parameters", help_text="YAML or JSON.")
    offline = forms.BooleanField(
        required=False, label="Offline", help_text="Ask no model: the offline provider answers by extraction."
    )

    def __init__(self, *args: Any, functions: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["function"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(name, name) for name in functions]


class InstantiateForm(StartForm):
    """What a workflow is made with from a template."""

    workflow_id = forms.CharField(
        required=False, label="Id of the workflow", help_text="Empty: the one that the template gives."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["input"].label = "Parameters"
        self.fields["input"].help_text = "YAML or JSON; what is left out gets the template's default."


class RerunForm(RunForm):
    """The input of a run that repeats another; the version too, where the workflow has moved on."""

    current = forms.BooleanField(required=False)

    def __init__(self, *args: Any, run: Run, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = run.workflow.current
        if newest is None or newest.pk == run.version_id:
            del self.fields["current"]
        else:
            self.fields["current"].label = f"Use the current version {newest.number}, not {run.version.number}"
