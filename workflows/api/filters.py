"""Filters of lists, as query parameters."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import django_filters
from django import forms
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django_filters.fields import IsoDateTimeField

from workflows import approvals
from workflows.definitions.models import YEAR
from workflows.models import Run, StepResult, TemplateBatchRow, Workflow
from workflows.models.run import first_run_id
from workflows.models.run_search import search
from workflows.states import RowStatus, RunStatus, WorkflowStatus

TEXT_CHARACTERS = 200  # SQLite refuses longer patterns of LIKE, at 50,000


class _TimeField(IsoDateTimeField):
    """A time that is one in UTC too, where rows are compared."""

    def clean(self, value: Any) -> Any:
        time = super().clean(value)
        try:
            return time and time.astimezone(UTC)
        except OverflowError:
            raise DjangoValidationError("This lies outside of the years 1 to 9999 in UTC.", code="overflow") from None


class Time(django_filters.IsoDateTimeFilter):
    """An ISO 8601 time."""

    field_class = _TimeField


class Text(django_filters.CharFilter):
    """A text of bounded length."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, max_length=TEXT_CHARACTERS, **kwargs)


class Seconds(django_filters.NumberFilter):
    """A length of time, from 0 to a year."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=0, max_value=YEAR, **kwargs)


TOOK = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
"""As the index of migration `0010_lists` has it."""

MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"})


class RunFilter(django_filters.FilterSet):
    """Which runs: those of the API's lists, and of the admin's."""

    search = Text(
        label="Search",
        method="with_text",
        help_text="The beginning of its id; its workflow; words of its error or input.",
    )
    status = django_filters.MultipleChoiceFilter(
        label="State",
        choices=RunStatus.choices,
        distinct=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="May be repeated.",
    )
    workflow = Text(label="Workflow", field_name="workflow__workflow_id", help_text="Its workflow_id.")
    trigger = Text(label="Trigger", help_text="What started it: api, admin, …")
    person = Text(label="Person", field_name="actor", help_text="Who started it.")
    tag = Text(label="Tag", method="with_tag", help_text="Tag of its workflow.")
    agent = Text(label="Agent", method="with_agent", help_text="Name of an agent that took part.")
    error_code = Text(label="Error", method="with_error", help_text="Error of the run or of a step.")
    created_after = Time(label="Created from", method="not_before", widget=MOMENT)
    created_before = Time(label="Created before", method="before", widget=MOMENT)
    started_after = Time(label="Started from", field_name="started_at", lookup_expr="gte", widget=MOMENT)
    started_before = Time(label="Started before", field_name="started_at", lookup_expr="lt", widget=MOMENT)
    longer_than = Seconds(
        label="Longer than (s)", method="with_more_time", help_text="Seconds that it took, of runs that have ended."
    )
    shorter_than = Seconds(
        label="Shorter than (s)", method="with_less_time", help_text="Seconds that it took, of runs that have ended."
    )
    parent = django_filters.UUIDFilter(help_text="The execution_id of the run that started them.")

    class Meta:
        model = Run
        fields: ClassVar[list[str]] = []

    def with_text(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        return search(queryset, value)

    def with_agent(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        return queryset.filter(Exists(StepResult.objects.filter(run=OuterRef("pk"), agent=value)))

    def with_error(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        # Two looks into an index each; "this or that" in one condition would read every run.
        own = Run.objects.filter(error_code=value).order_by().values("pk")
        of_steps = StepResult.objects.filter(error_code=value).order_by().values("run")
        return queryset.filter(pk__in=own.union(of_steps))

    def with_tag(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        return queryset.filter(workflow__tags__contains=_quoted(value))

    # Ids sort by time, so a range of them spares an index of times. An id may be older than its run: a parent writes
    # down what its child will be called before it starts it.
    def not_before(self, queryset: QuerySet[Run], name: str, value: datetime) -> QuerySet[Run]:
        return queryset.filter(pk__gte=first_run_id(value - timedelta(hours=1)), created_at__gte=value)

    def before(self, queryset: QuerySet[Run], name: str, value: datetime) -> QuerySet[Run]:
        return queryset.filter(pk__lt=first_run_id(value), created_at__lt=value)

    def with_more_time(self, queryset: QuerySet[Run], name: str, value: Decimal) -> QuerySet[Run]:
        return queryset.alias(took=TOOK).filter(took__gt=timedelta(seconds=float(value)))

    def with_less_time(self, queryset: QuerySet[Run], name: str, value: Decimal) -> QuerySet[Run]:
        return queryset.alias(took=TOOK).filter(took__lt=timedelta(seconds=float(value)))


class ApprovalFilter(django_filters.FilterSet):
    """Which approvals."""

    workflow = Text(field_name="run__workflow__workflow_id", help_text="Its workflow_id.")
    assignee = Text(method="with_assignee", help_text="A user name, or group:<name>, among those who are asked.")
    mine = django_filters.ChoiceFilter(
        method="for_me",
        choices=[("true", "true"), ("false", "false")],
        help_text="true: those that the caller may answer.",
    )

    class Meta:
        model = StepResult
        fields: ClassVar[list[str]] = []

    def with_assignee(self, queryset: QuerySet[StepResult], name: str, value: str) -> QuerySet[StepResult]:
        return queryset.filter(approvals.naming(value))

    def for_me(self, queryset: QuerySet[StepResult], name: str, value: str) -> QuerySet[StepResult]:
        assert self.request is not None
        return queryset.filter(approvals.asking(self.request.user)) if value == "true" else queryset


class RowFilter(django_filters.FilterSet):
    """Which rows of a batch."""

    status = django_filters.MultipleChoiceFilter(
        choices=RowStatus.choices, distinct=False, help_text="May be repeated."
    )

    class Meta:
        model = TemplateBatchRow
        fields: ClassVar[list[str]] = []


class WorkflowFilter(django_filters.FilterSet):
    """Which workflows. ``status`` is that of the newest run, or ``registered``."""

    search = Text(method="with_text", help_text="Id, name, description.")
    tag = Text(method="with_tag")
    status = django_filters.MultipleChoiceFilter(
        method="with_status",
        choices=[*WorkflowStatus.choices, *RunStatus.choices],
        distinct=False,
        help_text="Status of the newest run, or registered. May be repeated.",
    )
    ordering = django_filters.OrderingFilter(
        fields=(
            ("workflow_id", "workflow_id"),
            ("name", "workflow_name"),
            ("created_at", "created_at"),
            ("updated_at", "updated_at"),
        ),
        help_text="With a minus in front: descending.",
    )

    class Meta:
        model = Workflow
        fields: ClassVar[list[str]] = []

    def with_text(self, queryset: QuerySet[Workflow], name: str, value: str) -> QuerySet[Workflow]:
        return queryset.filter(
            Q(workflow_id__icontains=value) | Q(name__icontains=value) | Q(description__icontains=value)
        )

    def with_tag(self, queryset: QuerySet[Workflow], name: str, value: str) -> QuerySet[Workflow]:
        return queryset.filter(tags__contains=_quoted(value))

    def with_status(self, queryset: QuerySet[Workflow], name: str, value: list[str]) -> QuerySet[Workflow]:
        if not value:
            return queryset
        newest = Run.objects.filter(workflow=OuterRef("pk")).order_by("-id").values("status")[:1]
        shown = Coalesce(Subquery(newest), Value(WorkflowStatus.REGISTERED.value))
        return queryset.annotate(shown_status=shown).filter(shown_status__in=value)


def _quoted(tag: str) -> str:
    """The tag as it stands in the JSON text of a list of tags."""
    return json.dumps(tag)
