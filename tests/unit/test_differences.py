"""What differs between two definitions."""

import json
from itertools import combinations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.test_blocks import NESTS
from workflows.definitions import check, checksum, read_object, tree
from workflows.definitions.differences import ABSENT, Differences, FieldChange, compare
from workflows.definitions.problems import written


def step(step_id: str, **fields: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": "writer", "function_name": "echo", **fields}


def workflow(*steps: dict[str, Any] | str, **fields: Any) -> dict[str, Any]:
    return {"workflow_id": "w", **fields, "steps": [step(each) if isinstance(each, str) else each for each in steps]}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, "a", "", "b c"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from(["description", "metadata", "parameters", "my key"]), VALUES, max_size=3)
STEPS = st.lists(st.builds(step, st.sampled_from("abcdefg")), max_size=7, unique_by=lambda each: each["step_id"])


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    return workflow(*({**each, **draw(FIELDS)} for each in draw(STEPS)), **draw(FIELDS))


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def put(part: dict[str, Any], change: FieldChange) -> None:
    *above, last = change.path
    for key in above:
        part = part[key]
    assert text(part[last]) == text(change.before) if change.before is not ABSENT else last not in part
    if change.after is ABSENT:
        del part[last]
    else:
        part[last] = change.after


def applied(found: Differences, before: dict[str, Any]) -> dict[str, Any]:
    """The earlier definition with the differences carried out."""
    after = json.loads(json.dumps(before))
    for change in found.fields:
        put(after, change)
    steps = {each["step_id"]: each for each in after.pop("steps")}
    for changed in found.changed:
        for change in changed.fields:
            put(steps[changed.step_id], change)
    taken = {place.step_id for place in found.removed} | {move.step_id for move in found.moved}
    order = [step_id for step_id in steps if step_id not in taken]
    places = {place.index: place.step_id for place in found.added} | {move.after: move.step_id for move in found.moved}
    for index in sorted(places):
        order.insert(index, places[index])
    steps |= {entry.step_id: dict(entry.step) for entry in found.added}
    return {**after, "steps": [steps[step_id] for step_id in order]}


@given(definitions())
def test_nothing_differs_from_itself_in_whatever_order_its_keys_are(one: dict[str, Any]) -> None:
    assert not compare(one, json.loads(text(one)))


@given(definitions(), definitions())
def test_carrying_the_differences_out_makes_the_later_definition(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = compare(one, other)
    assert text(applied(found, one)) == text(other)
    assert bool(found) == (text(one) != text(other))
    json.dumps(found.to_json())


@given(STEPS, STEPS)
def test_no_smaller_set_of_moves_explains_the_new_order(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    old, new = ([each["step_id"] for each in steps] for steps in (one, other))
    moved = [move.step_id for move in compare(workflow(*one), workflow(*other)).moved]
    kept = [step_id for step_id in old if step_id in new]

    def explains(moves: tuple[str, ...]) -> bool:
        stay = [step_id for step_id in kept if step_id not in moves]
        return stay == [step_id for step_id in new if step_id in stay]

    assert explains(tuple(moved))
    assert not any(explains(fewer) for size in range(len(moved)) for fewer in combinations(kept, size))


def test_one_step_that_goes_to_the_front_has_moved_alone() -> None:
    found = compare(workflow("a", "b", "c"), workflow("c", "a", "b"))
    assert found.to_json()["steps"] == {
        "added": [],
        "removed": [],
        "moved": [{"step_id": "c", "before": 2, "after": 0}],
        "changed": [],
    }


def test_steps_that_others_push_on_have_not_moved() -> None:
    found = compare(workflow("a", "b"), workflow("new", "b"))
    assert found.to_json()["steps"] == {
        "added": [{"step_id": "new", "index": 0, "step": step("new")}],
        "removed": [{"step_id": "a", "index": 0, "step": step("a")}],
        "moved": [],
        "changed": [],
    }


def test_a_field_is_told_by_its_path_with_both_values_and_left_out_where_it_was_absent() -> None:
    one = workflow(step("a", parameters={"prompt": "x", "deep": {"my key": 1}}), tags=["a"])
    other = workflow(step("a", parameters={"prompt": "y", "deep": {}}, max_retries=None), tags=["a", "b"])
    found = compare(one, other).to_json()
    assert found["fields"] == [{"path": "tags", "before": ["a"], "after": ["a", "b"]}]
    (changed,) = found["steps"]["changed"]
    assert changed["fields"] == [
        {"path": "parameters.prompt", "before": "x", "after": "y"},
        {"path": 'parameters.deep["my key"]', "before": 1},
        {"path": "max_retries", "after": None},
    ]


def test_one_true_and_one_point_zero_are_three_values() -> None:
    values = (1, True, 1.0)
    for one, other in combinations(values, 2):
        assert compare(workflow(default=[one]), workflow(default=[other]))


def test_a_thousand_steps_are_compared_at_once() -> None:
    ids = [f"s{number}" for number in range(1000)]
    assert len(compare(workflow(*ids), workflow(*reversed(ids))).moved) == 999


def lists_of(definition: dict[str, Any]) -> dict[str, list[str]]:
    """Every list of steps, as ids, by the name that differences give it."""
    found = {"": [each["step_id"] for each in definition["steps"]]}
    for _, each in tree.walk(definition["steps"]):
        for below, inner in tree.branches(each):
            found[written((each["step_id"], *below))] = [one["step_id"] for one in inner]
    return found


def own_of(definition: dict[str, Any]) -> dict[str, Any]:
    """Every step by its id, without those inside it."""
    own = {}
    for _, each in tree.walk(definition["steps"]):
        lists = {below[0] for below, _ in tree.branches(each)}
        names = {"parallel": list(each["parallel"])} if "parallel" in each else {}
        own[each["step_id"]] = {key: value for key, value in each.items() if key not in lists} | names
    return own


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(NESTS, NESTS)
def test_carrying_the_differences_of_blocks_out_makes_the_later_steps(one: list[Any], other: list[Any]) -> None:
    before, after = workflow(*one), workflow(*other)
    found = compare(before, after)
    own, lists = json.loads(json.dumps(own_of(before))), lists_of(before)
    taken = {place.step_id for place in found.removed} | {move.step_id for move in found.moved}
    lists = {name: [step_id for step_id in ids if step_id not in taken] for name, ids in lists.items()}
    for changed in found.changed:
        for change in changed.fields:
            put(own[changed.step_id], change)
    for place in found.added:
        own[place.step_id] = dict(place.step)
    places = [(place.inside, place.index, place.step_id) for place in found.added]
    places += [(move.inside_after, move.after, move.step_id) for move in found.moved]
    for inside, index, step_id in sorted(places):
        lists.setdefault(inside, []).insert(index, step_id)
    for place in found.removed:
        del own[place.step_id]
    assert text(own) == text(own_of(after))
    assert {name: ids for name, ids in lists.items() if ids} == lists_of(after)
    assert not compare(before, json.loads(text(before))) or "parallel" in text(before)
    json.dumps(found.to_json())


def test_a_step_that_goes_into_a_block_has_moved_and_both_lists_are_told() -> None:
    gate: dict[str, Any] = {"step_id": "gate", "if": "input.x", "then": [step("a")]}
    one = workflow("b", gate, "c")
    other = workflow(gate | {"then": [step("c"), step("a")], "else": [step("new")], "if": "input.y"}, "b")
    assert compare(one, other).to_json()["steps"] == {
        "added": [{"step_id": "new", "index": 0, "inside": "gate.else", "step": step("new")}],
        "removed": [],
        "moved": [
            {"step_id": "c", "before": 2, "after": 0, "inside_after": "gate.then"},
            {"step_id": "b", "before": 0, "after": 1},
        ],
        "changed": [{"step_id": "gate", "fields": [{"path": "if", "before": "input.x", "after": "input.y"}]}],
    }


def test_the_order_of_parallel_branches_counts_and_that_of_cases_does_not() -> None:
    def definition(key: str, *names: str) -> dict[str, Any]:
        branches = {name: [step(f"in-{name}")] for name in names}
        return workflow({"step_id": "s", key: "input.x" if key == "switch" else branches, "cases": branches}
                        if key == "switch" else {"step_id": "s", key: branches})  # fmt: skip

    def told(key: str) -> tuple[bool, bool]:
        one, other = definition(key, "a", "b"), definition(key, "b", "a")
        sums = [checksum(check(read_object(each)).definition_or_raise()) for each in (one, other)]
        return bool(compare(one, other)), sums[0] != sums[1]

    assert (told("parallel"), told("switch")) == ((True, True), (False, False))
