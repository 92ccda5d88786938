"""The definitions that the documentation shows, as they stand there."""

import re
from pathlib import Path

from workflows.definitions import read_yaml

DEFINITION = Path(__file__).parents[1] / "docs" / "definition.md"
FENCED = re.compile(r"^```yaml\n(workflow_id: .*?)^```$", re.MULTILINE | re.DOTALL)


def shown() -> dict[str, str]:
    """workflow_id → YAML text, in an order in which each comes after those that it runs."""
    texts = FENCED.findall(DEFINITION.read_text(encoding="utf-8"))
    return {read_yaml(text).value["workflow_id"]: text for text in texts}
