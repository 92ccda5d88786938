"""Every page of the admin, as a person sees it: wide in light, narrow in dark, by axe, and without errors."""

import pytest

from tests.browser import addresses, living
from tests.browser.conftest import OpenPage
from tests.browser.site import Site


@pytest.fixture(scope="session")
def paths(site: Site) -> dict[str, str]:
    living.live(site)
    return addresses.walk(site)


@pytest.mark.parametrize("name", addresses.names())
def test_a_page_is_whole(name: str, visit: OpenPage, paths: dict[str, str]) -> None:
    assert name in paths, "no link leads there"
    watched = visit()
    page = watched.go(paths[name])
    assert page.get_by_role("heading").count()
    found = {}
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type, unused-ignore]
        wide = watched.too_wide()
        found[width, scheme] = [f"{wide} pixels too wide"] if wide else []
        found[width, scheme] += watched.inaccessible()
    assert {at: wrong for at, wrong in found.items() if wrong} == {}
