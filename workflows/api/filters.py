"""Filters of lists, as query parameters. An unknown one is refused: ignored, it would list everything."""

import json
from typing import Any, ClassVar

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError

from workflows.definitions.problems import did_you_mean
from workflows.models import Run, StepResult, Workflow
from workflows.states import RunStatus, WorkflowStatus

PAGING = ("page", "page_size", "cursor")


class StrictFilters(DjangoFilterBackend):
    """django-filter's backend, refusing parameters that neither filter nor page."""

    def filter_queryset(self, request: Any, queryset: Any, view: Any) -> Any:
        filterset = self.get_filterset_class(view, queryset)
        known = [*(filterset.base_filters if filterset else ()), *PAGING]
        unknown = {
            name: f"there is no such parameter{did_you_mean(name, known)}; known: {', '.join(known)}"
            for name in request.query_params
            if name not in known
        }
        if unknown:
            raise ValidationError(unknown, code="unknown_parameter")
        return super().filter_queryset(request, queryset, view)


class RunFilter(django_filters.FilterSet):
    """Which runs. ``search`` looks into ids, the workflow's name and the error message."""

    workflow = django_filters.CharFilter(field_name="workflow__workflow_id", help_text="Its workflow_id.")
    status = django_filters.MultipleChoiceFilter(choices=RunStatus.choices, help_text="May be repeated.")
    trigger = django_filters.CharFilter(help_text="What started it: api, admin, …")
    agent = django_filters.CharFilter(method="with_agent", help_text="Name of an agent that took part.")
    error_code = django_filters.CharFilter(method="with_error", help_text="Error of the run or of a step.")
    tag = django_filters.CharFilter(method="with_tag", help_text="Tag of its workflow.")
    started_after = django_filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="gte")
    started_before = django_filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="lt")
    search = django_filters.CharFilter(method="with_text", help_text="Ids, workflow name, error message.")

    class Meta:
        model = Run
        fields: ClassVar[list[str]] = []

    def with_agent(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        return queryset.filter(Exists(StepResult.objects.filter(run=OuterRef("pk"), agent=value)))

    def with_error(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        in_step = Exists(StepResult.objects.filter(run=OuterRef("pk"), error_code=value))
        return queryset.filter(Q(error_code=value) | in_step)

    def with_tag(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        return queryset.filter(workflow__tags__contains=_quoted(value))

    def with_text(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        return queryset.filter(
            Q(workflow__workflow_id__icontains=value)
            | Q(workflow__name__icontains=value)
            | Q(error_message__icontains=value)
            | Q(id__icontains=value.replace("-", ""))
            | Q(id__icontains=value)
        )


class WorkflowFilter(django_filters.FilterSet):
    """Which workflows. ``status`` is that of the newest run, or ``registered``."""

    search = django_filters.CharFilter(method="with_text", help_text="Id, name, description.")
    tag = django_filters.CharFilter(method="with_tag")
    status = django_filters.MultipleChoiceFilter(
        method="with_status",
        choices=[*WorkflowStatus.choices, *RunStatus.choices],
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
