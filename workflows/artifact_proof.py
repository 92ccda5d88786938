"""Proving artifacts: each is the file whose SHA-256 an event of its run names, and none is missing or slipped in."""

import contextlib
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator

from workflows.audit import EventRow
from workflows.examination import Broken, Rule
from workflows.models import Artifact

File = tuple[str, str, str]
"""Path, name and SHA-256 of an artifact."""

AT_ONCE = 4  # files in memory, which may be large


class ArtifactProof:
    """Reads the events of some runs, then compares what they name with what is stored."""

    def __init__(self, run_ids: Iterable[uuid.UUID]) -> None:
        self._named: dict[uuid.UUID, Counter[File]] = {run_id: Counter() for run_id in run_ids}

    def read(self, event: EventRow) -> None:
        assert event.run_id is not None
        self._named[event.run_id].update(_named(event))

    def differing(self) -> Iterator[Broken]:
        stored = self._stored()
        for run_id, named in self._named.items():
            for path, name, _ in named - stored[run_id]:
                yield Broken(run_id, Rule.ARTIFACTS, f"artifact {name!r} of step {path} was changed, or is missing")
            told = {(path, name) for path, name, _ in named}
            for path, name, _ in stored[run_id] - named:
                if (path, name) not in told:
                    fault = f"artifact {name!r} of step {path} is there, and no event names it"
                    yield Broken(run_id, Rule.ARTIFACTS, fault)

    def _stored(self) -> dict[uuid.UUID, Counter[File]]:
        stored: dict[uuid.UUID, Counter[File]] = {run_id: Counter() for run_id in self._named}
        rows = Artifact.objects.filter(run__in=self._named).order_by()
        columns = rows.values_list("run_id", "path", "name", "content")
        for run_id, path, name, content in columns.iterator(chunk_size=AT_ONCE):
            stored[run_id][path, name, hashlib.sha256(content).hexdigest()] += 1
        return stored


def _named(event: EventRow) -> Iterator[File]:
    """The files that the event says an attempt has made."""
    if event.type not in {"step_complete", "step_retry"} or '"artifacts"' not in event.data:
        return
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):  # the chain tells of a changed event
        for told in json.loads(event.data).get("artifacts", ()):
            yield event.path, told["name"], told["sha256"]
