"""A page of the browser that keeps what went wrong on it."""

from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

from tests.browser.site import PASSWORD, Site

SERIOUS = {"serious", "critical"}


@dataclass
class Watched:
    """``page`` of a person who is signed in. ``wrong``: errors in the console, in scripts, of the server, and requests
    to other hosts, since the start. A test that provokes one takes it out.
    """

    site: Site
    context: BrowserContext
    page: Page
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda told: self.wrong.append(told.text) if told.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(error.stack or str(error)))
        self.page.on("request", self._requested)
        self.page.on("response", self._answered)

    def go(self, path: str) -> Page:
        """Open an address of the site."""
        self.page.goto(f"{self.site.address}{path}")
        return self.page

    def inaccessible(self) -> list[str]:
        """What axe finds serious: rule, why, and the elements."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']][:3]}"
            for one in found
            if one["impact"] in SERIOUS
        ]

    def too_wide(self) -> int:
        """By how many pixels the page is wider than the window."""
        root = "document.documentElement"
        return int(self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.site.address, "data:", "blob:")):
            self.wrong.append(f"a request to another host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status} of {response.url}")


def sign_in(site: Site, browser: Browser, username: str = "admin") -> str:
    """The cookies of a session, as a file that new contexts begin with."""
    kept = str(site.folder / f"{username}.json")
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.address}/admin/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{site.address}/admin/")
    context.storage_state(path=kept)
    context.close()
    return kept


def open_page(site: Site, browser: Browser, session: str, width: int = 1280, scheme: str = "light") -> Watched:
    """A window of a person with these cookies; ``scheme``: light or dark."""
    size = {"width": width, "height": 900 if width > 800 else 844}
    context = browser.new_context(
        storage_state=session,
        viewport=size,  # type: ignore[arg-type, unused-ignore]
        color_scheme=scheme,  # type: ignore[arg-type, unused-ignore]
        reduced_motion="reduce",
    )
    return Watched(site, context, context.new_page())
