"""Pages of lists that grow without end: few of them at a time, and a count that is an estimate where it is large."""

from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.utils.functional import cached_property
from unfold.views import ChangeList

from workflows.models.bounded_count import bounded_count

PAGES = 100
"""So many are counted and numbered. Deeper ones would cost what they skip: an address leads on from the last row."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Of a QuerySet, for the admin's lists. ``template_name`` is what unfold shows below the rows."""

    template_name = "admin/pages.html"

    @cached_property
    def _counted(self) -> tuple[int, bool]:
        return bounded_count(self.object_list, PAGES * self.per_page)  # type: ignore[arg-type]

    @property
    def goes_on(self) -> bool:
        """Whether there are rows beyond the last numbered page."""
        return self.count > PAGES * self.per_page

    @cached_property
    def count(self) -> int:
        """Exact on the numbered pages; see `bounded_count`."""
        return self._counted[0]

    @property
    def told(self) -> str:
        """The count in words."""
        return f"{self.count:,}" if self._counted[1] else f"about {self.count:,}"

    @cached_property
    def num_pages(self) -> int:
        return min(PAGES, max(1, -(-self.count // self.per_page)))


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
