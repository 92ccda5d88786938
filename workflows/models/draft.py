"""Definitions that somebody is still writing."""

from django.conf import settings
from django.db import models

from workflows.models.fields import JSONText
from workflows.models.workflow import Workflow


class Draft(models.Model):
    """What a person has in the editor and has not stored yet. It need not check, and no run starts with it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts")
    workflow = models.ForeignKey(
        Workflow, null=True, on_delete=models.CASCADE, related_name="drafts"
    )  # null: a new one
    title = models.CharField(max_length=200, blank=True, default="")
    sent = JSONText()  # the fields of the editor's form
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-updated_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.title or "no name yet"
