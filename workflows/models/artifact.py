"""Files that functions made."""

from typing import Self

from django.db import models

from workflows.models.run import Run


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    def without_content(self) -> Self:
        return self.defer("content")


class Artifact(models.Model):
    """A file of one attempt of a step, written in the commit that ends the attempt.

    In the database and not in a folder, since that is all that the machines of a site share.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="artifacts")
    path = models.CharField(max_length=500)
    attempt = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    media_type = models.CharField(max_length=150)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    is_picture = models.BooleanField()  # pages may show it: see `agents.artifacts.Artifact`
    superseded = models.BooleanField(default=False)  # with the result of its step
    created_at = models.DateTimeField()
    content = models.BinaryField()  # last, so that the store need not pass it on the way to the others

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        ordering = ["run", "id"]

    def __str__(self) -> str:
        return f"{self.run_id}:{self.path}:{self.name}"
