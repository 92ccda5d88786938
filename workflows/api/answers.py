"""Answers that are no rows, for the OpenAPI schema; `workflows.results` and the views make the values."""

from rest_framework import serializers

from workflows.states import RunStatus


class Answer(serializers.Serializer[object]):
    """The shape of an answer."""


class Usage(Answer):
    """Tokens of model calls, and their cost in US dollars (0 where unknown)."""

    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost = serializers.FloatField()


class WorkflowUsage(Usage):
    """What the models of a workflow's runs have used."""

    workflow_id = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    runs = serializers.IntegerField(help_text="Runs that count here.")


class AgentUsage(Usage):
    """What the models of an agent's steps have used."""

    agent = serializers.CharField(help_text="Its name.")
    since = serializers.DateTimeField(allow_null=True)
    steps = serializers.IntegerField(help_text="Steps that count here: those that asked a model.")


class RunStatusAnswer(Answer):
    """How far a run is."""

    status = serializers.CharField(help_text="A run's status, or registered where the workflow never ran.")
    workflow_id = serializers.CharField()
    workflow_name = serializers.CharField()
    execution_id = serializers.UUIDField(allow_null=True)
    total_steps = serializers.IntegerField()
    executed_steps = serializers.IntegerField()
    successful_steps = serializers.IntegerField()
    failed_steps = serializers.IntegerField()
    execution_time_ms = serializers.FloatField()
    current_step = serializers.CharField(allow_blank=True)
    progress = serializers.FloatField(help_text="0 to 1.")
    error = serializers.CharField(required=False)


class StepOutcome(Answer):
    """What a step came to."""

    success = serializers.BooleanField()
    status = serializers.CharField()
    error_message = serializers.CharField(allow_blank=True)
    execution_time_ms = serializers.FloatField()
    attempts = serializers.IntegerField()
    result_data = serializers.JSONField(help_text="An object; of a for_each a list, one of each item.")
    reason = serializers.CharField(required=False)


class RunResult(Answer):
    """The result of a run."""

    workflow_id = serializers.CharField()
    workflow_name = serializers.CharField()
    execution_id = serializers.UUIDField()
    status = serializers.CharField()
    success = serializers.BooleanField()
    partial = serializers.BooleanField()  # type: ignore[assignment]  # a field, not the argument
    error_message = serializers.CharField(allow_blank=True)
    total_execution_time_ms = serializers.FloatField()
    total_steps = serializers.IntegerField()
    successful_steps = serializers.IntegerField()
    failed_steps = serializers.IntegerField()
    skipped_steps = serializers.IntegerField()
    retried_steps = serializers.IntegerField()
    executed_steps = serializers.ListField(child=serializers.CharField(), help_text="Paths, in order of ending.")
    step_results = serializers.DictField(child=StepOutcome())
    step_execution_times = serializers.DictField(child=serializers.FloatField())
    step_errors = serializers.DictField(child=serializers.CharField())
    usage = Usage()


class Accepted(Answer):
    """A run that goes on without the request."""

    execution_id = serializers.UUIDField()
    workflow_id = serializers.CharField()
    message = serializers.CharField()
    status_url = serializers.CharField()
    stream_url = serializers.CharField()


class WorkflowStored(Answer):
    """A definition was stored."""

    workflow_id = serializers.CharField()
    version = serializers.IntegerField()
    message = serializers.CharField()


class VersionRestored(WorkflowStored):
    """An earlier definition is in force again."""

    restored = serializers.BooleanField(help_text="False where it was in force already, and nothing was made.")


class FieldChanged(Answer):
    """A field that was added, removed or changed."""

    path = serializers.CharField(help_text="In the workflow or the step, such as parameters.prompt.")
    before = serializers.JSONField(required=False, help_text="Left out where the field is new.")
    after = serializers.JSONField(required=False, help_text="Left out where the field is gone.")


class StepOfOne(Answer):
    """A step that one of the two versions lacks."""

    step_id = serializers.CharField()
    index = serializers.IntegerField(help_text="From 0, in the version that has it.")
    inside = serializers.CharField(required=False, help_text="The list of a block, such as gate.then.")
    step = serializers.DictField(help_text="Without the steps inside it, which have entries of their own.")


class StepMoved(Answer):
    """A step that stands elsewhere among those that both versions have; as few as explain the new order."""

    step_id = serializers.CharField()
    before = serializers.IntegerField(help_text="Its index, from 0.")
    after = serializers.IntegerField(help_text="Its index, from 0.")
    inside_before = serializers.CharField(required=False, help_text="The list of a block, such as gate.then.")
    inside_after = serializers.CharField(required=False, help_text="The list of a block, such as gate.then.")


class StepChanged(Answer):
    """A step that both versions have, with the fields that differ."""

    step_id = serializers.CharField()
    fields = FieldChanged(many=True)  # type: ignore[assignment]  # a field, not the property


class StepsCompared(Answer):
    """What became of the steps, told apart by their ids."""

    added = StepOfOne(many=True)
    removed = StepOfOne(many=True)
    moved = StepMoved(many=True)
    changed = StepChanged(many=True)


class VersionDiff(Answer):
    """What leads from one version to another."""

    workflow_id = serializers.CharField()
    before = serializers.IntegerField(help_text="Number of the version that is compared with.")
    after = serializers.IntegerField(help_text="Number of the version that was asked for.")
    fields = FieldChanged(many=True)  # type: ignore[assignment]  # a field, not the property
    steps = StepsCompared()


class WorkflowArchived(Answer):
    """A workflow was archived."""

    workflow_id = serializers.CharField()
    message = serializers.CharField()


class TemplateStored(Answer):
    """A template was stored."""

    name = serializers.CharField()
    message = serializers.CharField()


class TemplateDeleted(TemplateStored):
    """A template was deleted."""


class BatchAccepted(Answer):
    """Workflows that the workers make."""

    batch_id = serializers.UUIDField()
    template = serializers.CharField()
    total = serializers.IntegerField()
    message = serializers.CharField()
    status_url = serializers.CharField()


class BatchProgress(Answer):
    """How far a batch is."""

    batch_id = serializers.UUIDField()
    template = serializers.CharField()
    actor = serializers.CharField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    pending = serializers.IntegerField()
    rows_url = serializers.CharField()


class Cancelled(Answer):
    """Whether there was something to cancel."""

    workflow_id = serializers.CharField()
    execution_id = serializers.UUIDField(allow_null=True)
    cancelled = serializers.BooleanField()
    message = serializers.CharField()


class RunChanged(Answer):
    """What came of a verb."""

    execution_id = serializers.UUIDField()
    workflow_id = serializers.CharField()
    status = serializers.ChoiceField(choices=RunStatus.choices, help_text="The run's status now.")
    message = serializers.CharField()


class AnswerTaken(Answer):
    """An answer that counts; the run goes on with it."""

    execution_id = serializers.UUIDField()
    path = serializers.CharField()
    answer = serializers.CharField()


class EventTaken(Answer):
    """An event that the run has, and gives to the first step that waits for it."""

    execution_id = serializers.UUIDField()
    event = serializers.CharField()


class ProblemAnswer(Answer):
    """One thing that is wrong with a definition."""

    path = serializers.CharField(allow_blank=True)
    line = serializers.IntegerField(required=False)
    column = serializers.IntegerField(required=False)
    message = serializers.CharField()
    code = serializers.CharField()
    severity = serializers.CharField()


class Validation(Answer):
    """What the checks of a definition found."""

    valid = serializers.BooleanField()
    problems = ProblemAnswer(many=True)
    warnings = ProblemAnswer(many=True)


class ExecutorMetrics(Answer):
    """Counts over all runs."""

    active_workflows = serializers.IntegerField()
    completed_workflows = serializers.IntegerField()
    failed_workflows = serializers.IntegerField()
    cancelled_workflows = serializers.IntegerField()
    timed_out_workflows = serializers.IntegerField()
    total_registered_workflows = serializers.IntegerField()
    total_runs = serializers.IntegerField()
    queue_depth = serializers.IntegerField()
    running_workflows = serializers.IntegerField()
    workers = serializers.IntegerField()


class ContextAnswer(Answer):
    """A run's context."""

    execution_id = serializers.UUIDField()
    at = serializers.CharField(allow_null=True)
    context = serializers.DictField()  # type: ignore[assignment]  # a field, not the argument


class TimeParts(Answer):
    """Milliseconds by what they went to: together the whole. A moment at which branches overlap counts once."""

    functions = serializers.FloatField(help_text="Attempts that decided a step.")
    retries = serializers.FloatField(help_text="Attempts that another one followed, and the waits between.")
    children = serializers.FloatField(help_text="Waiting for runs of other workflows.")
    paused = serializers.FloatField()
    line = serializers.FloatField(help_text="Waiting for a worker, or for a job of an agent.")
    people = serializers.FloatField(help_text="Waiting for an answer.")
    events = serializers.FloatField(help_text="Waiting for an event from outside.")
    time = serializers.FloatField(help_text="Waiting until a time that was set.")
    overhead = serializers.FloatField(help_text="All else.")


class TimesAnswer(Answer):
    """Where the time of a run's newest attempt went."""

    execution_id = serializers.UUIDField()
    begin = serializers.DateTimeField(help_text="When it was created, or last retried.")
    end = serializers.DateTimeField(help_text="When it ended, or now.")
    total_ms = serializers.FloatField()
    parts = TimeParts()


class AgentAnswer(Answer):
    """An agent."""

    id = serializers.UUIDField()
    uuid = serializers.UUIDField()
    name = serializers.CharField()
    type = serializers.CharField()
    role = serializers.CharField(allow_blank=True)
    capabilities = serializers.ListField(child=serializers.CharField())
    functions = serializers.ListField(child=serializers.CharField())
    running = serializers.BooleanField(
        help_text="Enabled; without auto_start only once it is in use: a call, or one of the newest 1,000 steps."
    )
    auto_start = serializers.BooleanField()
    max_concurrent_jobs = serializers.IntegerField(allow_null=True)
    model = serializers.CharField(allow_null=True)


class AgentSystem(Answer):
    """All agents together."""

    running = serializers.BooleanField()
    total_agents = serializers.IntegerField()
    running_agents = serializers.IntegerField()
    total_functions = serializers.IntegerField()
    model_connected = serializers.BooleanField(help_text="False: the offline provider answers.")


class CallAnswer(Answer):
    """What one call came to."""

    agent_id = serializers.UUIDField()
    function = serializers.CharField()
    success = serializers.BooleanField()
    execution_time_ms = serializers.FloatField()
    result = serializers.DictField()
    error = serializers.CharField(required=False)
    code = serializers.CharField(required=False)


class FunctionAnswer(Answer):
    """A function that agents may offer."""

    name = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    type = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    parameters = serializers.DictField(help_text="JSON Schema.")


class Engine(Answer):
    """A configured inference engine."""

    engine_id = serializers.CharField()
    type = serializers.CharField()
    status = serializers.CharField()
    model = serializers.CharField(allow_null=True)
    settings = serializers.DictField()


class Health(Answer):
    """The process answers."""

    status = serializers.CharField()
    service = serializers.CharField()
    version = serializers.CharField()
