"""The page of a run with blocks: its steps as a tree, however many; its parent and its children."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agents import catalog
from tests.admin.factories import signed_in
from tests.factories import make_agent, make_definition, make_workflow, run_to_end, step
from workflows import publishing, runs
from workflows.admin.places import Place, in_tree_order
from workflows.admin.run_page import LONGEST_TIMELINE, RunPage, page_of
from workflows.models import Run, StepResult

BLOCKS: list[dict[str, Any]] = [
    {"step_id": "long", "if": "true", "then": [step("outline")]},
    {"step_id": "chapters", "for_each": "['a', 'b']", "max_concurrency": 2, "steps": [
        step("write"), {"step_id": "improve", "while": "!has(steps.check)", "steps": [step("check")]},
    ]},
    {"step_id": "both", "parallel": {"x": [step("web")], "y": [{"step_id": "nap", "wait": {"seconds": 0}}]}},
    {"step_id": "tone", "switch": "'warm'", "cases": {"warm": [step("warm", "gone")]}, "continue_on_failure": True},
    {"step_id": "never", "precondition": "false", "if": "true", "then": [step("unseen")]},
]  # fmt: skip


@pytest.fixture
def blocks(transactional_db: None) -> Run:
    make_agent()
    catalog.forget()
    return run_to_end(*BLOCKS)


def seen(run: Run, number: str | None = None) -> RunPage:
    return page_of(run, number, AnonymousUser())


def html(client: Client, run: Run, query: str = "") -> str:
    return client.get(reverse("admin:workflows_run_change", args=[run.pk]) + query).content.decode()


def test_blocks_are_shown_as_a_tree_with_what_they_decided(blocks: Run) -> None:
    shown = seen(blocks)
    assert [(view.row.path, view.row.kind, view.decided) for view in shown.views[:8]] == [
        ("long", "if", "branch then"),
        ("long.outline", "function", ""),
        ("chapters", "for_each", "2 items"),
        ("chapters[0].write", "function", ""),
        ("chapters[0].improve", "while", "1 iteration"),
        ("chapters[0].improve[0].check", "function", ""),
        ("chapters[1].write", "function", ""),
        ("chapters[1].improve", "while", "1 iteration"),
    ]
    assert {view.row.path for view in shown.views[9:12]} == {"both", "both.web", "both.nap"}
    assert [(view.row.path, view.row.status) for view in shown.views[12:]] == [
        ("tone", "failed"), ("tone.warm", "failed"), ("never", "skipped"),
    ]  # fmt: skip
    assert [row.place.path for row in shown.rows] == [view.row.path for view in shown.views]
    assert all(row.bars for row in shown.rows if row.status == "completed")
    text = html(signed_in("workflows.view_run"), blocks)
    assert '<span class="k-iteration">[0][0]</span>' in text
    assert '<span class="k-kind">for_each</span>' in text
    assert "branch then" in text


def test_of_a_block_that_has_not_begun_only_itself_is_shown(transactional_db: None) -> None:
    run = runs.start(make_workflow(*BLOCKS), {}, trigger="api", actor="tests", wake=False)
    rows = [(row.place.path, row.kind, row.status) for row in seen(run).rows]
    assert rows == [
        ("long", "if", "pending"),
        ("chapters", "for_each", "pending"),
        ("both", "parallel", "pending"),
        ("tone", "switch", "pending"),
        ("never", "if", "pending"),
    ]


def test_steps_stand_under_their_blocks_however_they_began() -> None:
    began = ["a", "p", "p.x", "p.y", "p.y[10].b", "p.x.c", "p.y[2].b", "p.y[2].d", "p.y[10].d", "e"]
    assert in_tree_order({path: number for number, path in enumerate(began)}) == [
        "a", "p", "p.x", "p.x.c", "p.y", "p.y[2].b", "p.y[2].d", "p.y[10].b", "p.y[10].d", "e",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "depth", "iterations"),
    [("a", 0, ""), ("gate.fix", 1, ""), ("chapters[2].write", 1, "[2]"), ("c[2].i[10].x.y", 3, "[2][10]")],
)
def test_a_path_tells_depth_and_iterations(path: str, depth: int, iterations: str) -> None:
    place = Place(path)
    assert (place.depth, len(place.indent), place.iterations) == (depth, depth, iterations)


def many(number: int) -> Run:
    """A run with so many iterations of a loop."""
    loop = {"step_id": "loop", "while": "true", "max_iterations": 100_000, "steps": [step("inner")]}
    run = runs.start(make_workflow(step("a"), loop), {}, trigger="api", actor="tests", wake=False)
    rows = [("a", "function"), ("loop", "while"), *((f"loop[{n}].inner", "function") for n in range(number))]
    now = timezone.now()
    StepResult.objects.bulk_create(
        [
            StepResult(
                run=run, path=path, step_id=path.rpartition(".")[2], kind=kind, status="completed",
                started_at=now, ended_at=now,
            )
            for path, kind in rows
        ],
        batch_size=500,
    )  # fmt: skip
    return run


@pytest.mark.django_db
def test_ten_thousand_iterations_cost_few_queries_and_a_short_page(django_assert_max_num_queries: Any) -> None:
    run = many(10_000)
    client = signed_in("workflows.view_run")
    with django_assert_max_num_queries(14):
        text = html(client, run, "?page=201")
    assert text.count('class="k-row"') == 2 + 2  # the outer ones, and those of the page
    assert text.count('class="k-step"') == 2
    assert "loop[9999].inner" in text
    assert "9998 steps inside blocks are left out here" in text
    assert len(text) < 200_000


@pytest.mark.django_db
def test_a_timeline_that_fits_is_whole() -> None:
    shown = seen(many(LONGEST_TIMELINE - 2))
    assert (len(shown.rows), shown.rows_left_out) == (LONGEST_TIMELINE, 0)


def test_parent_and_child_are_linked_both_ways(transactional_db: None) -> None:
    make_agent()
    catalog.forget()
    publishing.create(make_definition(step("a"), workflow_id="child"), actor="tests")
    parent = run_to_end({"step_id": "sub", "workflow": "child"})
    child = parent.children.get()
    client = signed_in("workflows.view_run")
    assert reverse("admin:workflows_run_change", args=[child.pk]) in html(client, parent)
    above = html(client, child)
    assert reverse("admin:workflows_run_change", args=[parent.pk]) in above
    assert "Step sub of run" in above


@pytest.mark.django_db
def test_a_wait_says_until_when() -> None:
    run = many(0)
    until = timezone.now().replace(year=2031, month=5, day=4, hour=3, minute=2, second=1)
    StepResult.objects.create(
        run=run, path="nap", step_id="nap", kind="wait", status="waiting", started_at=timezone.now(), due_at=until
    )
    text = html(signed_in("workflows.view_run"), run)
    assert "4 May, 03:02:01" in text


@pytest.mark.django_db
def test_a_child_that_never_came_to_be_is_not_linked() -> None:
    run = many(0)
    missing: Any = {"workflow": "gone", "run_id": str(uuid.UUID(int=7)), "input": {}}
    StepResult.objects.create(run=run, path="sub", step_id="sub", kind="workflow", status="failed", parameters=missing)
    text = html(signed_in("workflows.view_run"), run)
    assert f"/{uuid.UUID(int=7)}/change/" not in text
    assert "gone" in text
