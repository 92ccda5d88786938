"""Every address of the server."""

from django.contrib import admin
from django.urls import include, path

from kolosal.health import HealthView, HomeView, MetricsView, ReadyView
from kolosal.schema import DocsView, SchemaView

admin.autodiscover()  # in the order of the apps: `workflows` has pages of its own for what others have registered

from workflows.admin import approvals, home  # noqa: E402

urlpatterns = [
    path("", HomeView.as_view(), name="home"),
    path("admin/approvals/", admin.site.admin_view(approvals.page), name="approvals"),
    path("admin/figures/", admin.site.admin_view(home.figures), name="home-figures"),
    path("admin/", admin.site.urls),
    path("v1/health", HealthView.as_view(), name="v1-health"),
    path("health", HealthView.as_view(), name="health"),
    path("status", HealthView.as_view(), name="status"),
    path("v1/ready", ReadyView.as_view(), name="ready"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(url_name="schema"), name="docs"),
    path("", include("workflows.api.urls")),
]

handler400 = "kolosal.error_handler.bad_request"
handler403 = "kolosal.error_handler.permission_denied"
handler404 = "kolosal.error_handler.not_found"
handler500 = "kolosal.error_handler.crashed"
