"""What waits for a person."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import approvals
from workflows.api.base import Endpoint
from workflows.api.filters import ApprovalFilter
from workflows.api.pagination import ApprovalCursors
from workflows.api.serializers import ApprovalBody
from workflows.models import StepResult


class ApprovalViewSet(Endpoint):
    """Steps that wait for a person's answer."""

    queryset = StepResult.objects.none()
    serializer_class = ApprovalBody
    pagination_class = ApprovalCursors
    filter_backends = (DjangoFilterBackend,)
    filterset_class = ApprovalFilter
    permissions: ClassVar[dict[str, str]] = {"list": "workflows.view_run"}
    query_names: ClassVar[dict[str, Collection[str]]] = {
        "list": (*ApprovalFilter.base_filters, *ApprovalCursors.names),
    }

    def get_queryset(self) -> QuerySet[StepResult]:
        return approvals.waiting()

    def list(self, request: Request) -> Response:
        """Questions that can be answered now, the longest waiting first; those with an answer are left out."""
        page: Any = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(ApprovalBody(page, many=True).data)
