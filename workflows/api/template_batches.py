"""How far the workers are with a batch of workflows from a template, and what came of each row."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.urls import reverse
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import template_batches
from workflows.api.answers import BatchProgress
from workflows.api.base import Endpoint
from workflows.api.filters import RowFilter
from workflows.api.pagination import Pages
from workflows.api.serializers import BatchRow
from workflows.models import TemplateBatchRow

BATCH_ID = OpenApiParameter("batch_id", str, OpenApiParameter.PATH, description="The batch's UUID.")


@extend_schema(parameters=[BATCH_ID])
class TemplateBatchViewSet(Endpoint):
    """Batches by their `batch_id`."""

    queryset = TemplateBatchRow.objects.all()
    serializer_class = BatchRow
    pagination_class = Pages
    filter_backends = (DjangoFilterBackend,)
    filterset_class = RowFilter
    lookup_field = "batch_id"
    lookup_value_regex = "[^/]{1,100}"
    permissions: ClassVar[dict[str, str]] = {
        "retrieve": "workflows.view_templatebatch",
        "rows": "workflows.view_templatebatch",
    }
    query_names: ClassVar[dict[str, Collection[str]]] = {"rows": (*RowFilter.base_filters, *Pages.names)}

    @extend_schema(responses=BatchProgress)
    def retrieve(self, request: Request, batch_id: str) -> Response:
        """How many rows are done, failed and pending."""
        batch = template_batches.get(batch_id)
        body = {
            "batch_id": str(batch.pk),
            "template": batch.template,
            "actor": batch.actor,
            "created_at": batch.created_at,
            "ended_at": batch.ended_at,
            "total": batch.total,
            **batch.counts(),
            "rows_url": reverse("template-batches-rows", args=[batch.pk]),
        }
        return Response(body)

    @extend_schema(responses=BatchRow(many=True))
    @action(detail=True)
    def rows(self, request: Request, batch_id: str) -> Response:
        """The rows in order, or those of a `status`: each with its workflow, or with what is wrong."""
        rows = template_batches.get(batch_id).rows.all()
        page: Any = self.paginate_queryset(self.filter_queryset(rows))
        return self.get_paginated_response(BatchRow(page, many=True).data)
