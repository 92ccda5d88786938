"""Addresses of the API; none ends in a slash."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from workflows.api.agents import AgentViewSet
from workflows.api.approvals import ApprovalViewSet
from workflows.api.engines import EngineViewSet
from workflows.api.functions import FunctionViewSet
from workflows.api.runs import RunViewSet
from workflows.api.template_batches import TemplateBatchViewSet
from workflows.api.templates import TemplateViewSet
from workflows.api.versions import VersionViewSet
from workflows.api.workflows import WorkflowViewSet

router = SimpleRouter(trailing_slash=False)
router.register("api/v1/sequential-workflows", WorkflowViewSet, basename="workflows")
router.register(
    f"api/v1/sequential-workflows/(?P<workflow_id>{WorkflowViewSet.lookup_value_regex})/versions",
    VersionViewSet,
    basename="versions",
)
router.register("api/v1/workflow-templates/batches", TemplateBatchViewSet, basename="template-batches")
router.register("api/v1/workflow-templates", TemplateViewSet, basename="templates")
router.register("api/v1/approvals", ApprovalViewSet, basename="approvals")
router.register("api/v1/runs", RunViewSet, basename="runs")
router.register("api/v1/agents", AgentViewSet, basename="agents")
router.register("api/v1/functions", FunctionViewSet, basename="functions")

urlpatterns = [
    *router.urls,
    path("engines", EngineViewSet.as_view({"get": "list"}), name="engines-list"),
    path("engines/<str:engine_id>", EngineViewSet.as_view({"get": "retrieve"}), name="engines-detail"),
]
