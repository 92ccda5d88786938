from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Workflows"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from workflows import account_events, append_only, compaction, roles, row_events, system_checks, workers  # noqa: F401  (registers the checks)

        pre_migrate.connect(compaction.prepare_new_file, sender=self)
        post_migrate.connect(append_only.install, sender=self)
        post_migrate.connect(roles.keep, sender=self)  # after Django's own, which makes the permissions
        connection_created.connect(workers.name_connection)
        row_events.connect()
        account_events.connect()

        # Functions and callables of people's own must be known in every process before a definition names them.
        for module in settings.FUNCTION_MODULES:
            import_module(module)
