"""What a person does in the editor of definitions."""

import re
import sqlite3
from contextlib import closing

from playwright.sync_api import Locator, Page, expect

from tests.browser.site import Site

NEW = "/admin/workflows/workflow/add/"


class EditorPage:
    """The editor, with one of its views open."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.panel = page.locator(".k-panel")
        self.count = page.locator("[data-count]")
        self.yaml = page.locator(".k-yaml .cm-content")

    def open(self, view: str) -> None:
        self.page.get_by_role("tab", name=view).click()
        expect(self.page.locator(f"#view-{view.lower()}")).to_be_visible()

    def drag(self, name: str, group: str, place: int = -1) -> None:
        """Drag a step from the toolbox to a place of the drawing, by number from the top."""
        title = f'//div[contains(@class, "sqd-toolbox-group-title")][text()="{group}"]'
        self._drag_from(self.page.locator(f'xpath={title}/following-sibling::div[@title="{name}"]').first, place)

    def _drag_from(self, box: Locator, place: int) -> None:
        found = box.bounding_box()
        assert found
        mouse = self.page.mouse
        mouse.move(found["x"] + 20, found["y"] + 10)
        mouse.down()
        mouse.move(found["x"] + 60, found["y"] + 30, steps=4)
        target = self.page.locator(".sqd-workspace .sqd-placeholder-rect").nth(place).bounding_box()
        assert target
        mouse.move(target["x"] + target["width"] / 2, target["y"] + target["height"] / 2, steps=8)
        mouse.up()

    def add(self, name: str, group: str, where: str = "After this step") -> None:
        """Add a step by the panel's own lists."""
        what = self.panel.get_by_label("Which step to add")
        index = what.evaluate(
            "(list, [group, name]) => [...list.options].findIndex((option) =>"
            " option.label === name && option.parentElement.label === group)",
            [group, name],
        )
        what.select_option(index=index)
        self.panel.get_by_label("Where to add it").select_option(where)
        self.panel.get_by_role("button", name="Add", exact=True).click()

    def field(self, *keys: str) -> Locator:
        """A field of the panel, by the names on the way to it."""
        found = self.panel
        for key in keys:
            found = found.locator(f'[data-field="{key}"]')
        found.first.evaluate("field => field.closest('details')?.setAttribute('open', '')")
        return found.first

    def write(self, text: str, *keys: str) -> None:
        """Replace what a text field of the panel holds."""
        field = self.field(*keys).locator(".cm-content, input").first
        field.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Escape")  # a list of completions

    def to_workflow(self) -> None:
        """Choose no step, so that the panel is the workflow's."""
        back = self.panel.get_by_role("button", name="Back to the workflow")
        if back.count():
            back.click()

    def has_steps(self, *step_ids: str) -> None:
        """Wait until the drawing has these, in this order."""
        self.to_workflow()
        expect(self.panel.locator(".k-outline li button")).to_have_text(list(step_ids))

    def select(self, step_id: str) -> None:
        """Choose a step in the list of the workflow's panel."""
        self.to_workflow()
        name = re.compile(rf"^{re.escape(step_id)}$")
        self.panel.get_by_role("navigation", name="Steps").get_by_role("button", name=name).click()

    def has(self, problems: str) -> None:
        """Wait for what the server's checks say in sum: ``no problems``, ``2 problems`` …"""
        expect(self.count).to_have_text(problems)

    def text(self) -> str:
        """The YAML as it stands in its view."""
        lines = self.page.evaluate("[...document.querySelectorAll('.k-yaml .cm-line')].map((line) => line.textContent)")
        return "\n".join(lines)

    def type(self, text: str) -> None:
        """Replace the whole YAML."""
        self.yaml.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)

    def save(self, button: str = "Save", note: str = "") -> None:
        if note:
            self.page.get_by_label("Note").fill(note)
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.wait_for_load_state()


def path_of_workflow(site: Site, workflow_id: str) -> str:
    """Read from the site's own store: a command of `manage.py` would take a second."""
    with closing(sqlite3.connect(site.folder / "kolosal.sqlite3")) as store:
        asked = "SELECT id FROM workflows_workflow WHERE workflow_id = ? AND archived_at IS NULL"
        (key,) = store.execute(asked, [workflow_id]).fetchone()
    return f"/admin/workflows/workflow/{key}/change/"
