"""What is due for many people at once is what `due` says of each alone. Small numbers stand for instants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import FAR, BadInput
from adjunct.due import STATES, Done, Plans, Step, Window, due, pressing_many, states_many

TIMES = st.integers(0, 30)
KINDS = st.sampled_from(["phq9", "lft", "checkin"])
Person = tuple[list[Step], list[Done]]


def step(name: str, what: str, opens: int, at: int, late: int, closes: int) -> Step:
    window = Window(opens=opens, due=at, overdue=late, closes=closes)
    return Step(id=name, what=what, title="t", domain="d", owner="o", window=window)


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    found: list[Person] = []
    for _ in range(draw(st.integers(0, 4))):
        steps = []
        for number in range(draw(st.integers(0, 6))):
            opens, at, late, closes = sorted(draw(st.tuples(TIMES, TIMES, TIMES, TIMES | st.just(FAR))))
            steps.append(step(f"s{number}", draw(KINDS), opens, at, late, closes))
        named = st.sampled_from(["", "", "", "s0", "s1", "s5", "gone"])
        act = st.builds(Done, what=KINDS, at=TIMES, step=named, reference=st.sampled_from(["", "a", "b"]))
        found.append((steps, draw(st.lists(act, max_size=9))))
    return found


def one_by_one(everybody: Sequence[Person], now: int) -> list[list[tuple[str, str, int]]]:
    """Each person alone: the id of each step, its state, and when the act happened that covers it (-1: none)."""
    return [
        sorted((d.step.id, d.state.value, d.done.at if d.done else -1) for d in due(steps, acts, now=now))
        for steps, acts in everybody
    ]


def at_once(everybody: Sequence[Person], now: int) -> list[list[tuple[str, str, int]]]:
    plans, ordered = Plans.of(everybody)
    state, covered = states_many(plans, now=now)
    found: list[list[tuple[str, str, int]]] = [[] for _ in everybody]
    names = [s.id for steps in ordered for s in steps]
    for row, person in enumerate(plans.person):
        at = int(plans.act_at[covered[row]]) if covered[row] >= 0 else -1
        found[person].append((names[row], STATES[state[row]].value, at))
    return [sorted(rows) for rows in found]


@given(people(), TIMES)
def test_many_at_once_say_what_each_alone_says(everybody: list[Person], now: int) -> None:
    assert at_once(everybody, now) == one_by_one(everybody, now)


@given(people(), TIMES)
def test_pressing_are_the_due_and_the_overdue(everybody: list[Person], now: int) -> None:
    plans, ordered = Plans.of(everybody)
    who, rows, state = pressing_many(plans, now=now)
    names = [s.id for steps in ordered for s in steps]
    found = sorted((int(p), names[r], STATES[s].value) for p, r, s in zip(who, rows, state, strict=True))
    expected = [
        (person, d.step.id, d.state.value)
        for person, (steps, acts) in enumerate(everybody)
        for d in due(steps, acts, now=now)
        if d.state.value in ("due", "overdue")
    ]
    assert found == sorted(expected)


CASES: list[tuple[str, list[Step], list[Done], dict[str, str]]] = [
    ("nothing done", [step("a", "x", 1, 2, 3, 9)], [], {"a": "overdue"}),
    ("an act covers the earliest step of its kind", [step("a", "x", 0, 2, 9, 9), step("b", "x", 0, 3, 9, 9)],
     [Done(what="x", at=1)], {"a": "done", "b": "due"}),
    ("the second act covers the next", [step("a", "x", 0, 2, 9, 9), step("b", "x", 0, 3, 9, 9)],
     [Done(what="x", at=1), Done(what="x", at=2)], {"a": "done", "b": "done"}),
    ("a named act goes first", [step("a", "x", 0, 2, 9, 9), step("b", "x", 0, 3, 9, 9)],
     [Done(what="x", at=1), Done(what="x", at=4, step="a")], {"a": "done", "b": "done"}),
    ("a named act before the opening covers nothing", [step("a", "x", 3, 4, 5, 9), step("b", "x", 0, 4, 5, 9)],
     [Done(what="x", at=1, step="a")], {"a": "overdue", "b": "overdue"}),
    ("a step that never closes stands before one that does", [step("a", "x", 5, 5, 5, FAR), step("b", "x", 0, 5, 5, 9)],
     [Done(what="x", at=1), Done(what="x", at=5)], {"a": "done", "b": "done"}),
    ("an act in the future", [step("a", "x", 0, 2, 9, 9)], [Done(what="x", at=7)], {"a": "due"}),
    ("an act of another kind", [step("a", "x", 0, 2, 9, 9)], [Done(what="y", at=1)], {"a": "due"}),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "acts", "states"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_table(steps: list[Step], acts: list[Done], states: dict[str, str]) -> None:
    for everybody in ([(steps, acts)], [([], []), (steps, acts), (steps, [])]):
        rows = at_once(everybody, 6)[0 if len(everybody) == 1 else 1]
        assert {name: state for name, state, _ in rows} == states


def test_rows_out_of_order_and_windows_out_of_order_are_refused() -> None:
    plans, _ = Plans.of([([step("a", "x", 1, 2, 3, 4), step("b", "x", 5, 6, 7, 8)], [])])
    with pytest.raises(BadInput, match="out of order"):
        replace(plans, due=plans.due[::-1].copy())
    with pytest.raises(BadInput, match="in this order"):
        replace(plans, closes=np.array([2, 8]))
    both, _ = Plans.of([([step("a", "x", 1, 2, 3, 4)], [Done(what="x", at=1, step="a")]), ([], [])])
    with pytest.raises(BadInput, match="somebody else"):
        replace(both, act_person=np.array([1], dtype=np.int32))
    with pytest.raises(BadInput, match="one id"):
        Plans.of([([step("a", "x", 1, 2, 3, 4), step("a", "y", 5, 6, 7, 8)], [])])


def test_nobody_has_nothing_due() -> None:
    plans, _ = Plans.of([])
    assert [len(column) for column in pressing_many(plans, now=5)] == [0, 0, 0]
