"""The page of a run with blocks: its steps as a tree, however many; its parent and its children."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from agents import catalog
from tests.admin.factories import signed_in
from tests.factories import make_agent, make_definition, make_workflow, run_to_end, step
from workflows import publishing, runs
from workflows.admin.places import Place
from workflows.admin.run_parts import LONGEST_TIMELINE, Seen, steps, timeline
from workflows.admin.step_tree import Tree, Windows, outline, parent_of
from workflows.admin.unfolding import Branch
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


def seen(run: Run, query: str = "") -> Seen:
    request = RequestFactory().get(f"/?{query}")
    request.user = AnonymousUser()
    return Seen(request, run)


def lines(run: Run, query: str = "") -> list[Branch]:
    """The steps that the page shows, in the order of the tree."""

    def below(branch: Branch) -> Iterator[Branch]:
        for child in branch.children:
            yield child
            yield from below(child)

    return list(below(steps(seen(run, query))["root"]))


def html(client: Client, run: Run, query: str = "") -> str:
    return client.get(reverse("admin:workflows_run_change", args=[run.pk]) + query).content.decode()


def test_blocks_are_shown_as_a_tree_with_what_they_decided(blocks: Run) -> None:
    shown = [(line.node.path, line.row.kind if line.row else "", line.decided) for line in lines(blocks)]
    assert shown[:12] == [
        ("long", "if", "branch then"),
        ("long.outline", "function", ""),
        ("chapters", "for_each", "2 items"),
        ("chapters[0]", "", ""),
        ("chapters[0].write", "function", ""),
        ("chapters[0].improve", "while", "1 iteration"),
        ("chapters[0].improve[0]", "", ""),
        ("chapters[0].improve[0].check", "function", ""),
        ("chapters[1]", "", ""),
        ("chapters[1].write", "function", ""),
        ("chapters[1].improve", "while", "1 iteration"),
        ("chapters[1].improve[0]", "", ""),
    ]
    assert {path for path, _, _ in shown[13:16]} == {"both", "both.web", "both.nap"}
    assert [(line.node.path, line.status) for line in lines(blocks)[16:]] == [
        ("tone", "failed"), ("tone.warm", "failed"), ("never", "skipped"),
    ]  # fmt: skip
    rows = timeline(seen(blocks))["rows"]
    assert [row.place.path for row in rows] == [line.node.path for line in lines(blocks) if line.row]
    assert all(row.bars for row in rows if row.status == "completed")
    text = html(signed_in("workflows.view_run"), blocks)
    assert "<b>[0]</b>" in text
    assert '<span class="k-kind">for_each</span>' in text
    assert "branch then" in text


def test_of_a_block_that_has_not_begun_only_itself_is_shown(transactional_db: None) -> None:
    run = runs.start(make_workflow(*BLOCKS), {}, trigger="api", actor="tests", wake=False)
    rows = [(row.place.path, row.kind, row.status) for row in timeline(seen(run))["rows"]]
    assert rows == [
        ("long", "if", "pending"),
        ("chapters", "for_each", "pending"),
        ("both", "parallel", "pending"),
        ("tone", "switch", "pending"),
        ("never", "if", "pending"),
    ]


def test_a_tree_stands_in_the_order_in_which_steps_began_and_loops_by_number() -> None:
    began = ["a", "p", "p.x", "p.y", "p.y[10].b", "p.x.c", "p.y[2].b", "p.y[2].d", "p.y[10].d", "e"]
    kinds = {"p.y": "for_each"}
    tree = Tree((path, number, kinds.get(path, "function"), "completed") for number, path in enumerate(began, 1))
    shown = [node.path for node in outline(tree, Windows(tree, {}), 100) if node.pk]
    assert shown == ["a", "p", "p.x", "p.x.c", "p.y", "p.y[2].b", "p.y[2].d", "p.y[10].b", "p.y[10].d", "e"]


@pytest.mark.parametrize(
    ("path", "parent"),
    [("a", ""), ("a.b", "a"), ("a[3]", "a"), ("a[3].b", "a[3]"), ("a[3].b[0].c.d", "a[3].b[0].c")],
)
def test_a_step_stands_in_its_block_or_its_iteration(path: str, parent: str) -> None:
    assert parent_of(path) == parent


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
    with django_assert_max_num_queries(20):
        text = html(client, run, "?at=loop[9999].inner")
    assert text.count('class="k-row"') == 2 + 50  # the outer ones, and the iterations around what is looked for
    assert text.count('id="step-') == 2 + 50 + 1
    assert 'id="step-loop[9999].inner"' in text
    assert "9951 to 10000 of 10000" in text
    assert "9950 steps are left out here" in text
    assert len(text) < 250_000


@pytest.mark.django_db
def test_a_timeline_that_fits_is_whole() -> None:
    shown = timeline(seen(many(LONGEST_TIMELINE // 2 - 2)))
    assert (len(shown["rows"]), shown["left_out"]) == (LONGEST_TIMELINE // 2, 0)


@pytest.mark.django_db
def test_of_a_large_tree_only_what_is_unfolded_is_loaded() -> None:
    run = many(60)
    assert [line.node.path for line in lines(run)] == ["a", "loop"]
    opened = lines(run, "open=loop&from=loop:50")
    assert [line.node.path for line in opened[2:]] == [f"loop[{n}]" for n in range(50, 60)]
    assert [line.node.path for line in lines(run, "open=loop&open=loop[3]")][5:7] == ["loop[3]", "loop[3].inner"]
    assert [line.node.path for line in lines(run, "at=loop[3].inner&shut=loop")] == ["a", "loop"]


@pytest.mark.django_db
def test_a_loop_is_shown_from_where_something_is_not_as_it_should_be() -> None:
    run = many(300)
    run.steps.filter(path="loop[123].inner").update(status="failed")
    shown = lines(run, "open=loop")
    assert (shown[1].start, shown[1].end, shown[1].status) == (101, 150, "completed")
    assert next(line.status for line in shown if line.node.path == "loop[123]") == "failed"


@pytest.mark.parametrize("start", ["loop:-1", "loop:99999999999999", "loop", ":", "loop:x", "loop:70"])
@pytest.mark.django_db
def test_whatever_part_is_asked_for_there_is_one(start: str) -> None:
    assert lines(many(60), f"open=loop&from={start}")


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
