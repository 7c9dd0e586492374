"""The workflow of suicide risk under any history: total, independent of order, and impossible to close by accident."""

from __future__ import annotations

from functools import reduce

import hypothesis.strategies as st
from hypothesis import assume, given

from adjunct.followup.cover import Cover, Hours
from adjunct.followup.risk import ITEMS, LIFETIME, SINCE, Clock, Level, triage
from adjunct.followup.workflow import Event, advance, replay, start
from adjunct.followup.worklist import worklist
from adjunct.knowledge import Knowledge

KNOWLEDGE = Knowledge.load()
TRIGGERS = sorted(t["id"] for t in KNOWLEDGE.content["workflow"]["trigger"])
OUTCOMES = {o["id"]: o["closes"] for o in KNOWLEDGE.content["workflow"]["outcome"]}
T0 = 1_795_000_000_000
HOUR = 3_600_000
LATER = T0 + 1000 * HOUR
COVER = Cover(
    zone="America/Chicago", hours=(Hours(day="monday", opens="08:00", closes="17:00"),), chain=("a", "b"), on_call="c"
)

said = st.sampled_from(("yes", "no", "unknown"))
answers = st.dictionaries(st.sampled_from(ITEMS), said, max_size=len(ITEMS))
names = st.sampled_from(("", " ", "Iris", "Okoro"))
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
data = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(TRIGGERS)}),
    st.fixed_dictionaries(
        {"screen": st.sampled_from(("s1", "s2")), "answers": answers},
        optional={"asked": st.sampled_from((LIFETIME, SINCE)), "first_known": said},
    ),
    st.fixed_dictionaries({"outcome": st.sampled_from((*OUTCOMES, "other"))}),
    st.fixed_dictionaries({"result": st.sampled_from(("made", "failed", "?"))}),
    st.fixed_dictionaries({"level": st.sampled_from([*Level, "?"])}),
    st.fixed_dictionaries({"of": st.sampled_from("abcdef"), "withdrawn": st.booleans()}),
    st.fixed_dictionaries({"of": st.sampled_from("abcdef"), "data": st.fixed_dictionaries({"answers": answers})}),
    st.dictionaries(
        st.sampled_from(("kind", "answers", "screen", "outcome", "of", "data", "level", "decision", "reason")), junk
    ),
)
types = st.sampled_from(
    "trigger screen level acknowledged notified escalated not-alone means evaluated contact plan decision closed "
    "correction nonsense".split()
)
times = st.integers(0, 200).map(lambda h: T0 + h * HOUR)


@st.composite
def events(draw: st.DrawFn) -> Event:
    at = draw(times)
    return Event(
        id=draw(st.sampled_from("abcdefgh")),
        at=at,
        received=at + draw(st.integers(-2, 20)) * HOUR,
        type=draw(types),
        by=draw(names),
        source=draw(st.sampled_from(("person", "clinician", "supporter"))),
        data=draw(data),
    )


histories = st.lists(events(), max_size=12)


@given(histories, st.randoms(use_true_random=False))
def test_the_order_and_the_number_of_arrivals_do_not_matter(history: list[Event], random) -> None:
    shuffled = history + history[: len(history) // 2]
    random.shuffle(shuffled)
    one_by_one = reduce(advance, shuffled, start(KNOWLEDGE))
    assert one_by_one == replay(KNOWLEDGE, history)


@given(histories, times)
def test_nothing_that_is_recorded_can_break_it_or_get_lost(history: list[Event], now: int) -> None:
    state = replay(KNOWLEDGE, history)
    worklist(state, COVER, now=now)
    # every event is kept, whatever it is
    assert {(e.id, e.at, e.type) for e in state.events} == {(e.id, e.at, e.type) for e in history}


@given(answers, st.sampled_from(ITEMS), st.sampled_from((LIFETIME, SINCE)), st.sampled_from((None, True, False)))
def test_one_more_yes_never_lowers_the_level(given_: dict[str, str], item: str, asked: str, first: bool | None) -> None:
    def rank(said_: dict[str, str]) -> int:
        found = triage(said_, KNOWLEDGE, asked=asked, first_known=first)
        return max(found.level.rank, found.at_least.rank)

    assume(not (item == "q6" and given_.get("q6_recent") == "no" and first is False))  # there it is known history
    assert rank(given_ | {item: "yes"}) >= rank(given_)


@given(answers, st.sampled_from(ITEMS))
def test_an_answer_that_comes_in_never_proves_less(given_: dict[str, str], item: str) -> None:
    assume(given_.get(item, "unknown") == "unknown")
    before = triage(given_, KNOWLEDGE)
    for value in ("yes", "no"):
        after = triage(given_ | {item: value}, KNOWLEDGE)
        assert max(after.level.rank, after.at_least.rank) >= min(before.at_least.rank, after.level.rank)
    assert Clock.HIGH not in before.clocks or Clock.HIGH in triage(given_ | {item: "yes"}, KNOWLEDGE).clocks


def answered_for(history: list[Event], received: int) -> bool:
    """A named person recorded an outcome that closes, after receipt, in the original or in a correction."""
    return any(
        e.by.strip()
        and min(e.at, e.received) >= received
        and (e.type == "evaluated" and OUTCOMES.get(str(e.data.get("outcome"))) is True)
        for e in history
    )


@given(histories)
def test_no_history_closes_high_without_an_outcome(history: list[Event]) -> None:
    high = Event(
        id="high",
        at=T0,
        received=T0 + HOUR,
        type="screen",
        by="Iris",
        source="clinician",
        data={"screen": "apart", "answers": {"q2": "yes", "q4": "yes"}},
    )
    assume(not answered_for(history, high.received))
    assume(not any(e.type == "correction" and "outcome" in str(e.data) for e in history))
    state = replay(KNOWLEDGE, [*history, high])
    assert state.level == Level.HIGH
    waiting = {d.step.id for d in worklist(state, COVER, now=LATER)}
    assert {"screen:apart/evaluate", "screen:apart/never-closed"} <= waiting


@given(histories, st.sampled_from(TRIGGERS))
def test_every_alarm_keeps_somebody_asked_until_it_is_confirmed(history: list[Event], kind: str) -> None:
    alarm = Event(id="alarm", at=T0, received=T0 + HOUR, type="trigger", source="supporter", data={"kind": kind})
    assume(
        not any(e.type == "acknowledged" and e.by.strip() and min(e.at, e.received) >= alarm.received for e in history)
    )
    state = replay(KNOWLEDGE, [*history, alarm])
    waiting = {d.step.id for d in worklist(state, COVER, now=alarm.received)}
    assert any(name.startswith("trigger:alarm/acknowledge-") for name in waiting)
