"""What must hold of `due` for every plan and every history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adjunct.due import Done, State, Step, Window, after, due

TIMES = st.integers(0, 40)
KINDS = st.sampled_from(["phq9", "lft"])
RANK = {State.WAITING: 0, State.OPEN: 1, State.DUE: 2, State.OVERDUE: 3, State.MISSED: 4, State.DONE: 5}


@st.composite
def plans(draw: st.DrawFn) -> list[Step]:
    found = []
    for number in range(draw(st.integers(0, 5))):
        opens, at, late, closes = sorted(draw(st.tuples(TIMES, TIMES, TIMES, TIMES)))
        window = Window(opens=opens, due=at, overdue=late, closes=closes)
        what = draw(KINDS)
        found.append(Step(id=f"s{number}", what=what, title="t", domain="d", owner="o", window=window))
    return found


ACTS = st.lists(
    st.builds(
        Done,
        what=KINDS,
        at=TIMES,
        step=st.sampled_from(["", "", "s0", "s1", "gone"]),
        reference=st.sampled_from(["", "a", "b"]),
    ),
    max_size=6,
)


@given(plans(), ACTS, TIMES, st.randoms())
def test_the_order_of_plan_and_history_changes_nothing(plan, acts, now, random) -> None:  # type: ignore[no-untyped-def]
    expected = due(plan, acts, now=now)
    random.shuffle(plan)
    shuffled = random.sample(acts, len(acts))
    assert due(plan, shuffled, now=now) == expected
    assert due(plan, [*shuffled, *acts], now=now) == expected  # replayed after a crash: every act arrives again


@given(plans(), ACTS, TIMES, TIMES)
def test_a_state_never_goes_back_as_time_passes(plan: list[Step], acts: list[Done], one: int, other: int) -> None:
    earlier, later = (due(plan, acts, now=t) for t in sorted((one, other)))
    before = {d.step.id: RANK[d.state] for d in earlier}
    assert all(RANK[d.state] >= before[d.step.id] for d in later)


@given(plans(), ACTS, TIMES)
def test_one_act_covers_one_step_of_its_kind_and_never_before_it_opens(
    plan: list[Step], acts: list[Done], now: int
) -> None:
    found = due(plan, acts, now=now)
    used = [d.done for d in found if d.done]
    assert len(used) == len(set(used))
    assert set(used) <= set(acts)
    for d in found:
        assert (d.state is State.DONE) == (d.done is not None)
        if d.done:
            assert d.done.what == d.step.what
            assert d.step.window.opens <= d.done.at <= now
            assert d.step.window.holds(d.done.at) or d.done.step == d.step.id


@given(plans(), ACTS, TIMES, st.data())
def test_taking_an_act_away_never_reduces_what_is_due(
    plan: list[Step], acts: list[Done], now: int, data: st.DataObject
) -> None:
    kept = [a for a in acts if data.draw(st.booleans())]
    covered = {d.step.id for d in due(plan, acts, now=now) if d.done}
    assert {d.step.id for d in due(plan, kept, now=now) if d.done} <= covered


@given(plans(), ACTS, TIMES)
def test_no_act_is_wasted_while_a_step_could_take_it(plan: list[Step], acts: list[Done], now: int) -> None:
    found = due(plan, acts, now=now)
    used = {d.done for d in found if d.done}
    left = {a for a in acts if a.at <= now and not a.step} - used
    for d in found:
        if d.state is not State.DONE:
            assert not any(a.what == d.step.what and d.step.window.holds(a.at) for a in left)


@given(plans(), TIMES)
def test_with_no_history_every_step_stands_where_its_window_says(plan: list[Step], now: int) -> None:
    found = due(plan, [], now=now)
    assert {d.step.id for d in found} == {s.id for s in plan}
    assert all(d.state is d.step.window.state(now) for d in found)


@given(st.lists(TIMES, max_size=6), st.integers(1, 20), st.integers(0, 25), st.integers(0, 10), TIMES, st.data())
def test_what_counts_from_the_last_time_is_not_covered_by_it_and_less_history_is_never_due_later(
    times: list[int], every: int, early: int, grace: int, now: int, data: st.DataObject
) -> None:
    def next_of(history: list[int]) -> Step:
        last = max(history, default=None)
        return after(
            "n", "lft", last=last, every=every, first=0, early=early, grace=grace, title="", domain="", owner=""
        )

    acts = [Done(what="lft", at=t) for t in times]
    if times:
        assert all(d.done is None for d in due([next_of(times)], acts, now=max(times)))
    kept = [t for t in times if data.draw(st.booleans())]
    assert next_of(kept).window.due <= next_of(times).window.due
