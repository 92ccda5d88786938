"""Results of functions that steps with ``cache`` may reuse."""

from django.db import models

from workflows.models.fields import JSONText
from workflows.models.run import Run


class CachedResult(models.Model):
    """What a function gave, before the checks of the step that called it; good until ``expires_at``."""

    digest = models.CharField(max_length=64, unique=True)  # see `workflows.cached_results.digest`
    result = JSONText()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    # The run and step that called the function; the result outlives the run.
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="cached_results")
    path = models.CharField(max_length=500)

    def __str__(self) -> str:
        return self.digest
