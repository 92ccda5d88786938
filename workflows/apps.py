from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Workflows"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from workflows import system_checks  # noqa: F401  (registers the checks)

        # Functions and callables of people's own must be known in every process before a definition names them.
        for module in settings.FUNCTION_MODULES:
            import_module(module)
