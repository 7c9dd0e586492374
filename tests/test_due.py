"""What is due: a table of states, what an act covers, and the steps that repeat. Small numbers stand for instants."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adjunct.base import FAR, BadInput
from adjunct.due import Done, Due, State, Step, Window, after, due, repeating


def step(
    name: str = "a", what: str = "score", *, opens: int = 10, at: int = 20, late: int = 30, closes: int = 40
) -> Step:
    window = Window(opens=opens, due=at, overdue=late, closes=closes)
    return Step(id=name, what=what, title=name, domain="mood", owner="person", window=window)


def done(at: int, what: str = "score", *, step: str = "", reference: str = "") -> Done:
    return Done(what=what, at=at, step=step, reference=reference)


def states(steps: list[Step], acts: list[Done], now: int) -> dict[str, str]:
    return {d.step.id: d.state.value for d in due(steps, acts, now=now)}


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (9, "waiting"),
        (10, "open"),
        (19, "open"),
        (20, "due"),
        (29, "due"),
        (30, "overdue"),
        (39, "overdue"),
        (40, "missed"),
        (400, "missed"),
    ],
)
def test_a_step_that_nothing_covers_moves_through_its_window(now: int, state: str) -> None:
    assert states([step()], [], now) == {"a": state}


@pytest.mark.parametrize(
    ("at", "state"),
    [
        (9, "overdue"),  # before the window: it covers nothing
        (10, "done"),  # early, from the opening on
        (25, "done"),
        (39, "done"),
        (40, "missed"),  # the moment of closing is outside
        (45, "missed"),
    ],
)
def test_an_act_covers_a_step_inside_its_window(at: int, state: str) -> None:
    assert states([step()], [done(at)], max(at, 35)) == {"a": state}


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (done(9, step="a"), "missed"),  # named, yet before it opened
        (done(10, step="a"), "done"),
        (done(45, step="a"), "done"),  # a late answer, accepted with its true time
        (done(25, "lft", step="a"), "missed"),  # another kind of act does not answer it
        (done(25, step="gone"), "done"),  # it names a step of an earlier plan: it counts as unnamed
    ],
)
def test_an_act_that_names_a_step_covers_that_one(act: Done, state: str) -> None:
    assert states([step()], [act], 50) == {"a": state}


def test_an_act_in_the_future_has_not_happened() -> None:
    assert states([step()], [done(26)], 25) == {"a": "due"}


def test_one_act_covers_one_step_and_the_earliest_first() -> None:
    plan = [step("late", at=25), step("early", at=20), step("other", "lft")]
    assert states(plan, [done(15)], 29) == {"early": "done", "late": "due", "other": "due"}
    assert states(plan, [done(15), done(16)], 29) == {"early": "done", "late": "done", "other": "due"}


def test_the_same_act_sent_twice_is_one_act() -> None:
    plan = [step("one"), step("two", at=21)]
    assert states(plan, [done(15, reference="QR/1"), done(15, reference="QR/1")], 29) == {"one": "done", "two": "due"}


def test_a_second_answer_to_a_named_step_covers_nothing_else() -> None:
    plan = [step("one"), step("two", at=21)]
    assert states(plan, [done(15, step="one"), done(16, step="one")], 29) == {"one": "done", "two": "due"}


def test_of_several_acts_the_earliest_covers() -> None:
    for name in ("", "one"):
        acts = [done(t, step=name, reference=str(t)) for t in (24, 18, 12, 20, 16, 14, 22)]
        found = due([step("one")], acts, now=29)
        assert [d.done.at for d in found if d.done] == [12]


def test_a_named_act_goes_before_an_unnamed_one_which_then_covers_the_next() -> None:
    plan = [step("one"), step("two", at=21)]
    found = due(plan, [done(15, reference="free"), done(18, step="one", reference="named")], now=29)
    assert [(d.step.id, d.done.reference if d.done else "") for d in found] == [("one", "named"), ("two", "free")]


def test_nothing_done_leaves_everything_due_in_the_order_of_falling_due() -> None:
    plan = [step("c", at=22), step("b", at=21), step("a", at=20)]
    assert [(d.step.id, d.state) for d in due(plan, [], now=25)] == [(x, State.DUE) for x in "abc"]
    assert due([], [done(1)], now=5) == ()


def test_the_answer_keeps_step_and_act() -> None:
    assert due([step()], [done(12, reference="Observation/1")], now=15) == (
        Due(step=step(), state=State.DONE, done=done(12, reference="Observation/1")),
    )


def test_two_steps_of_one_id_are_refused() -> None:
    with pytest.raises(BadInput, match="one id"):
        due([step(), replace(step(), what="lft")], [], now=0)


@pytest.mark.parametrize("times", [(2, 1, 3, 4), (1, 3, 2, 4), (1, 2, 4, 3)])
def test_a_window_out_of_order_is_refused(times: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadInput, match="in this order"):
        Window(opens=times[0], due=times[1], overdue=times[2], closes=times[3])


def weekly(**more: int) -> tuple[Step, ...]:
    return repeating("w", "phq9", every=7, first=100, until=121, title="t", domain="d", owner="o", **more)


def test_repeating_steps_stand_on_a_grid_up_to_the_end() -> None:
    assert [(s.id, s.window.due) for s in weekly()] == [("w.1", 100), ("w.2", 107), ("w.3", 114), ("w.4", 121)]
    assert [s.window for s in weekly(early=2, grace=3)][1] == Window(opens=105, due=107, overdue=110, closes=112)
    assert weekly(closes=30, grace=3)[0].window == Window(opens=100, due=100, overdue=103, closes=130)
    assert weekly(grace=30)[0].window == Window(opens=100, due=100, overdue=107, closes=107)  # late once it is over


@pytest.mark.parametrize(("every", "until"), [(0, 10), (-1, 10), (7, FAR)])
def test_steps_that_would_repeat_for_ever_are_refused(every: int, until: int) -> None:
    with pytest.raises(BadInput, match="repeat"):
        repeating("w", "phq9", every=every, first=0, until=until, title="t", domain="d", owner="o")


def next_one(last: int | None, **more: int) -> Step:
    return after("n", "lft", last=last, every=30, first=5, title="t", domain="d", owner="o", **more)


def test_the_next_one_counts_from_the_last_and_stays_overdue() -> None:
    assert next_one(None, early=2, grace=1).window == Window(opens=3, due=5, overdue=6, closes=FAR)
    assert next_one(50, early=10, grace=4).window == Window(opens=70, due=80, overdue=84, closes=FAR)
    assert next_one(50).id != next_one(None).id != next_one(60).id
    assert states([next_one(50, grace=4)], [done(50, "lft")], 10_000) == {"n.after-50": "overdue"}


def test_the_act_it_counts_from_does_not_cover_the_next_one() -> None:
    assert next_one(50, early=500).window.opens == 51
    assert states([next_one(50, early=500)], [done(50, "lft")], 60) == {"n.after-50": "open"}
