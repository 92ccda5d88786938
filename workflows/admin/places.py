"""Where steps stand in a run: how deep in blocks, in which iteration, and in which order they are shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

DEEPEST = 6  # levels that are indented; what lies deeper stands there, too


@dataclass(frozen=True, slots=True)
class Place:
    """A path, as people read it."""

    path: str

    @property
    def depth(self) -> int:
        """Blocks around the step."""
        return self.path.count(".")

    @property
    def indent(self) -> range:
        return range(min(self.depth, DEEPEST))

    @property
    def iterations(self) -> str:
        """`[2][0]`: the numbers of the iterations that it stands in, from 0, of the outermost loop first."""
        return "".join(re.findall(r"\[[0-9]+\]", self.path))


def in_tree_order(rows: Mapping[str, int]) -> list[str]:
    """Paths in the order of the tree: steps of a block under it, by iteration and then as they began.

    ``rows``: path → a number that grows in the order in which they began.
    """
    return sorted(rows, key=lambda path: _ranks(path, rows))


def _ranks(path: str, rows: Mapping[str, int]) -> list[int]:
    """The ranks of the blocks around a step and of itself, outermost first, those of iterations being their numbers."""
    ranks, place = [], ""
    for part in path.split("."):
        name, _, index = part.partition("[")
        place += name
        ranks.append(rows.get(place, 0))
        if index:
            ranks.append(int(index[:-1]))
            place += f"[{index}"
        place += "."
    return ranks
