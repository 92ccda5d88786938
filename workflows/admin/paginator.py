"""Pages of lists that grow without end: few of them at a time, and a count that is an estimate where it is large."""

import json
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.db import connection
from django.utils.functional import cached_property
from unfold.views import ChangeList

PAGES = 100
"""So many are counted and numbered. Deeper ones would cost what they skip: an address leads on from the last row."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Of a QuerySet, for the admin's lists. ``template_name`` is what unfold shows below the rows."""

    template_name = "admin/pages.html"

    @cached_property
    def numbered(self) -> int:
        """Rows of the numbered pages, and one more if there are others."""
        number: int = self._rows[: PAGES * self.per_page + 1].count()
        return number

    @property
    def goes_on(self) -> bool:
        """Whether there are rows beyond the last numbered page."""
        return self.numbered > PAGES * self.per_page

    @cached_property
    def count(self) -> int:
        """Exact on the numbered pages. Beyond, on PostgreSQL, what the planner expects; on SQLite all are counted."""
        if not self.goes_on:
            return self.numbered
        if connection.vendor != "postgresql":
            return super().count
        plan = json.loads(self._rows.explain(format="json"))[0]["Plan"]
        return max(self.numbered, int(plan["Plan Rows"]))

    @property
    def told(self) -> str:
        """The count in words."""
        is_estimate = self.goes_on and connection.vendor == "postgresql"
        return f"about {self.count:,}" if is_estimate else f"{self.count:,}"

    @cached_property
    def num_pages(self) -> int:
        return min(PAGES, max(1, -(-self.numbered // self.per_page)))

    @property
    def _rows(self) -> Any:
        rows: Any = self.object_list
        return rows.order_by().values("pk")


class BoundedList(ChangeList):  # type: ignore[misc]
    """A list whose last numbered page leads on to what is older."""

    @property
    def older(self) -> str:
        """The query string of the list from below this page on; nothing where it isn't sorted by id, newest first."""
        rows = list(self.result_list)
        last_of_many = self.paginator.goes_on and self.page_num == self.paginator.num_pages
        if not rows or not last_of_many or (self.queryset.query.order_by or [""])[0] not in ("-id", "-pk"):
            return ""
        older: str = self.get_query_string({"id__lt": str(rows[-1].pk)}, remove=[PAGE_VAR])
        return older
