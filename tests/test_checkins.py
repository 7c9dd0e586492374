"""Check-ins: what is asked, in which order, what an answer starts, and what happens when nobody answers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from adjunct.base import instant
from adjunct.due import Done, due
from adjunct.followup.checkins import (
    DECLINED,
    Answer,
    CheckIn,
    alert_steps,
    alerts,
    begin,
    events,
    next_question,
    receive,
    results,
    risk,
    shown_now,
)
from adjunct.followup.cover import Cover, Hours
from adjunct.followup.risk import Clock, Level
from adjunct.followup.schedule import missed, schedule
from adjunct.followup.worklist import worklist
from adjunct.knowledge import Knowledge

KNOWLEDGE = Knowledge.load()
HOUR, DAY = 3_600_000, 86_400_000
CLINIC = Cover(
    zone="Europe/Berlin",
    hours=(Hours(day="monday", opens="08:00", closes="17:00"),),
    chain=("Nurse Iris",),
    owners={"clinician": "Nurse Iris"},
)


def at(text: str) -> int:
    return instant(text).ms


DOSE = at("2026-11-23T10:00:00+01:00")  # a Monday
NIGHT = at("2026-11-24T03:00:00+01:00")
DAILY, WEEKLY = (
    next(s for s in schedule([DOSE], KNOWLEDGE, CLINIC, until=DOSE + 30 * DAY) if s.id.endswith(kind))
    for kind in ("daily", "weekly")
)


def checkin(weekly: bool = False, **settings) -> CheckIn:
    return begin(KNOWLEDGE, WEEKLY if weekly else DAILY, last_phq9=settings.pop("last", None), cover=CLINIC, **settings)


def answered(
    state: CheckIn, given_: Mapping[str, object], *, start: int = NIGHT, received: int | None = None
) -> CheckIn:
    for number, (question, value) in enumerate(given_.items()):
        when = start + number * 1000
        state = receive(
            state,
            Answer(id=f"{question}-{number}", question=question, value=value, at=when, received=received or when),
        )
    return state


WHERE = {"country": "de", "place": "Berlin", "call-back": "+49 30 1234567"}
QUIET = WHERE | {
    "mood": 6,
    "suicide": "no",
    "side-effects": ["none"],
    "ketamine-elsewhere": "no",
    "anything-else": None,
}
ALL_NO = {"cssrs.q1": "no", "cssrs.q2": "no", "cssrs.q6": "no"}


def walk(state: CheckIn, given_: Mapping[str, object]) -> list[str]:
    """The questions in the order in which they come, answered as given; the first without an answer ends it."""
    asked = []
    for number in itertools.count():
        question = next_question(state)
        if question is None or question.id not in given_:
            return [*asked, question.id if question else "end"]
        asked.append(question.id)
        when = NIGHT + number * 1000
        state = receive(
            state, Answer(id=str(number), question=question.id, value=given_[question.id], at=when, received=when)
        )
    raise AssertionError


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_where_the_person_is_comes_first_and_the_suicide_question_every_time() -> None:
    assert walk(checkin(), QUIET) == [
        "country",
        "place",
        "call-back",
        "mood",
        "suicide",
        "side-effects",
        "ketamine-elsewhere",
        "anything-else",
        "end",
    ]
    low = {"phq9.i1": "0", "phq9.i2": "1"}
    assert "suicide" in walk(checkin(weekly=True), QUIET | low)  # whatever PHQ-2 says


@pytest.mark.parametrize(
    ("country", "number"),
    [("de", "112"), ("US", "911"), (DECLINED, "112 works from mobiles"), ("ZZ", "112 works from")],
)
def test_every_question_shows_the_emergency_number_of_where_the_person_is(country: str, number: str) -> None:
    state = answered(checkin(), {"country": country})
    assert number in next_question(state).notice
    assert "112 works from mobiles" in next_question(checkin()).notice  # nothing known yet: no country is a default


@pytest.mark.parametrize(
    ("first", "second", "goes_on"),
    [("0", "1", False), ("1", "1", True), ("0", "2", True), (DECLINED, "0", True), ("0", DECLINED, True)],
)
def test_phq9_goes_on_from_its_first_two_items(first: str, second: str, goes_on: bool) -> None:
    asked = walk(checkin(weekly=True), QUIET | {"phq9.i1": first, "phq9.i2": second})
    assert ("phq9.i3" in asked) is goes_on


@pytest.mark.parametrize(
    ("last", "asked"),
    [
        (None, True),
        ("2026-11-23T20:00:00+01:00", True),  # a week ago by the calendar, though not by the clock
        ("2026-11-24T08:00:00+01:00", False),
        ("2026-11-01T08:00:00+01:00", True),
    ],
)
def test_phq9_is_asked_at_most_weekly(last: str | None, asked: bool) -> None:
    state = checkin(weekly=True, last=at(last) if last else None)
    assert WEEKLY.id == "checkin:2026-11-30:weekly"
    assert any(q.startswith("phq9") for q in walk(state, QUIET)) is asked
    assert not any(q.startswith("phq9") for q in walk(checkin(last=None), QUIET))  # never in a daily one


def test_items_are_shown_in_the_publishers_words_or_not_at_all() -> None:
    state = answered(checkin(), WHERE | {"mood": 3, "suicide": "yes"})
    question = next_question(state)
    assert question.text == KNOWLEDGE.instruments["cssrs"]["item"][0]["text"]
    assert question.intro == "In the past month:"
    assert "Posner" in question.credit
    without = Knowledge(
        {
            **KNOWLEDGE.content,
            "instruments": [
                i | {"licence": i["licence"] | {"text": "clinic"}} if i["id"] == "cssrs" else i
                for i in KNOWLEDGE.content["instruments"]
            ],
        }
    )
    state = replace(state, knowledge=without)
    assert next_question(state).id == "side-effects"
    assert "needs to ask you some more questions" in " ".join(shown_now(state, CLINIC, now=NIGHT).lines)
    assert [e.type for e in events(state)] == ["trigger"]  # a person asks the screener


# --- suicide ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["yes", "unsure", DECLINED, "hm, perhaps"])
def test_anything_but_no_leads_to_the_screener_and_to_a_person(value: str) -> None:
    state = answered(checkin(), WHERE | {"mood": 3, "suicide": value})
    assert next(e.data["kind"] for e in events(state) if e.type == "trigger") == "check-in"
    expected = "suicide" if value == "hm, perhaps" else "cssrs.q1"  # what cannot be read is asked again, and counts
    assert next_question(state).id == expected
    waiting = {d.step.id.rpartition("/")[2] for d in worklist(risk(state), CLINIC, now=NIGHT + HOUR)}
    assert waiting >= {"acknowledge-0", "screen"}


def test_no_asks_no_screener_and_starts_nothing() -> None:
    state = answered(checkin(), QUIET)
    assert events(state) == ()
    assert next_question(state) is None


def test_item_nine_asks_at_once_whatever_the_total_and_whatever_was_said_before() -> None:
    given_ = QUIET | {"phq9.i1": "1", "phq9.i2": "1"} | {f"phq9.i{n}": "0" for n in range(3, 9)} | {"phq9.i9": "1"}
    asked = walk(checkin(weekly=True), given_)
    assert asked[-1] == "cssrs.q1"
    state = answered(checkin(weekly=True), given_)
    assert [e.data["kind"] for e in events(state)] == ["phq9-item9"]
    alone = answered(checkin(weekly=True), {"phq9.i9": "3"})  # nothing else arrived
    assert [e.data["kind"] for e in events(alone)] == ["phq9-item9"]
    declined = answered(checkin(weekly=True), {"phq9.i9": DECLINED})
    assert [e.data["kind"] for e in events(declined)] == ["phq9-item9"]
    assert events(answered(checkin(weekly=True), {"phq9.i9": "0", "phq9.i8": "3"})) == ()


def test_the_screener_skips_what_it_skips_and_stops_at_high() -> None:
    yes = WHERE | {"mood": 1, "suicide": "yes", "cssrs.q1": "yes"}
    asked = walk(checkin(), yes | {"cssrs.q2": "no", "cssrs.q6": "no"} | QUIET | {"suicide": "yes"})
    assert [q for q in asked if q.startswith("cssrs")] == ["cssrs.q1", "cssrs.q2", "cssrs.q6"]
    assert asked[-2:] == ["anything-else", "end"]
    high = yes | {f"cssrs.q{n}": "yes" for n in range(2, 6)} | {"cssrs.q6": "yes", "cssrs.q6_recent": "no"}
    assert walk(checkin(), high)[-2:] == ["cssrs.q6_recent", "end"]  # no questionnaire after that
    state = answered(checkin(), high)
    assert risk(state).level == Level.HIGH
    open_ = yes | {"cssrs.q2": "yes", "cssrs.q3": "no", "cssrs.q4": DECLINED, "cssrs.q5": "no", "cssrs.q6": "no"}
    assert walk(checkin(), open_)[-1] == "end"
    assert risk(answered(checkin(), open_)).level == Level.UNFINISHED  # not said is not no


def test_high_at_night_reads_the_numbers_and_who_reads_when() -> None:
    state = answered(checkin(), WHERE | {"suicide": "yes", "cssrs.q2": "yes", "cssrs.q4": "yes"})
    lines = " ".join(shown_now(state, CLINIC, now=NIGHT).lines)
    assert "112" in lines
    assert "Nobody here reads this before 2026-11-30 08:00 (Europe/Berlin time)" in lines
    assert "call you" not in lines
    assert any("0800 111 0 111" in c.text for c in shown_now(state, CLINIC, now=NIGHT).contacts)


def test_an_alarm_cannot_be_taken_back_by_another_answer() -> None:
    state = answered(checkin(), {"suicide": "yes"})
    state = receive(state, Answer(id="again", question="suicide", value="no", at=NIGHT + HOUR, received=NIGHT + HOUR))
    assert results(state)["suicide"] == "no"
    assert [e.type for e in events(state)] == ["trigger"]
    assert next_question(answered(state, QUIET | {"suicide": "no"}, start=NIGHT + 2 * HOUR)).id == "cssrs.q1"


@pytest.mark.parametrize(
    "text",
    [
        "I want to die",
        "I do not want to kill myself",  # negation never silences the question
        "my sister says she will kill herself tonight",
    ],
)
def test_words_about_suicide_ask_and_alert_and_are_never_a_level(text: str) -> None:
    state = answered(checkin(), QUIET | {"anything-else": text})
    found = [e for e in events(state) if e.data.get("kind") == "free-text"]
    assert len(found) == 1
    assert risk(state).level == Level.UNKNOWN
    assert Clock.HIGH not in risk(state).concerns[0].clocks
    assert next_question(state).id == "cssrs.q1"
    assert alert_steps(state, CLINIC)[0].owner == "Nurse Iris"


def test_words_are_read_even_where_they_do_not_belong() -> None:
    for question in ("mood", "side-effects", "a question that does not exist", "phq9.i3"):
        state = answered(checkin(weekly=True), {question: "I want to kill myself"})
        assert any(e.data.get("kind") == "free-text" for e in events(state)), question


def test_another_emergency_is_told_at_once_and_is_a_named_persons_task() -> None:
    state = answered(checkin(), QUIET | {"side-effects": ["chest", "dizzy"]}, received=NIGHT + HOUR)
    (alert,) = alerts(state)
    assert alert.level == "emergency"
    assert "Call 112" in shown_now(state, CLINIC, now=NIGHT).lines[0]
    (step,) = alert_steps(state, CLINIC)
    assert step.window.opens == NIGHT + HOUR  # the clock starts at receipt
    assert step.window.overdue == NIGHT + HOUR + 15 * 60_000
    assert events(state) == ()


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "bad", "good", "read"),
    [
        ("mood", 11, 10, 10),
        ("mood", -1, "0", 0),
        ("mood", "6.5", "6", 6),
        ("mood", "٣", 3, 3),
        ("country", "Germany", " de ", "DE"),
        ("call-back", "later", "030 123 456", "030 123 456"),
        ("side-effects", ["wings"], ["dizzy", "nausea"], ("dizzy", "nausea")),
        ("side-effects", [], "none", ("none",)),
    ],
)
def test_what_cannot_be_read_is_asked_again_and_is_not_the_nearest_value(question, bad, good, read) -> None:
    before = {q: QUIET[q] for q in itertools.takewhile(lambda q: q != question, QUIET)}
    state = answered(checkin(), before | {question: bad})
    assert results(state)[question] is None
    again = next_question(state)
    assert (again.id, bool(again.problem)) == (question, True)
    state = receive(state, Answer(id="again", question=question, value=good, at=NIGHT + HOUR, received=NIGHT + HOUR))
    assert results(state)[question] == read


def test_i_would_rather_not_say_is_unknown_and_goes_on() -> None:
    asked = walk(checkin(), dict.fromkeys([*QUIET, *(f"cssrs.q{n}" for n in range(1, 7)), "cssrs.q6_recent"], DECLINED))
    assert asked[-1] == "end"
    state = answered(checkin(), dict.fromkeys(QUIET, DECLINED))
    assert results(state)["mood"] == DECLINED
    assert risk(state).level == Level.UNKNOWN
    assert results(state)["phq9"] == {}


def test_a_late_answer_keeps_its_true_time_and_counts_once() -> None:
    late = Answer(id="x", question="suicide", value="yes", at=NIGHT, received=NIGHT + 40 * HOUR)
    state = receive(receive(checkin(), late), replace(late, received=NIGHT + 50 * HOUR))
    (trigger,) = events(state)
    assert (trigger.at, trigger.received) == (NIGHT, NIGHT + 40 * HOUR)
    future = receive(checkin(), replace(late, at=NIGHT + 60 * HOUR))
    assert future.answers[0].at == NIGHT + 40 * HOUR  # nothing is true after it arrived


values = st.one_of(
    st.sampled_from(("yes", "no", "unsure", DECLINED, "DE", "030 1234", "0", "1", "3")),
    st.integers(-2, 12),
    st.none(),
    st.text(max_size=8),
    st.lists(st.sampled_from(("dizzy", "chest", "x")), max_size=2),
    st.floats(),
)
names = st.sampled_from((*QUIET, *(f"cssrs.q{n}" for n in range(1, 7)), "cssrs.q6_recent", "phq9.i1", "phq9.i9", "?"))
sent = st.builds(
    Answer,
    id=st.sampled_from("abcdef"),
    question=names,
    value=values,
    at=st.integers(0, 20).map(lambda h: NIGHT + h * HOUR),
    received=st.integers(0, 40).map(lambda h: NIGHT + h * HOUR),
)


@given(st.lists(sent, max_size=10), st.randoms(use_true_random=False))
def test_any_answers_in_any_order_any_number_of_times(history: list[Answer], random) -> None:
    def after(answers: list[Answer]) -> CheckIn:
        state = checkin(weekly=True)
        for one in answers:
            state = receive(state, one)
        return state

    shuffled = history + history[:3]
    random.shuffle(shuffled)
    one, other = after(history), after(shuffled)
    assert repr(one.answers) == repr(other.answers)
    assert repr(next_question(one)) == repr(next_question(other))
    shown_now(one, CLINIC, now=NIGHT + 50 * HOUR)
    alarmed = any(a.question == "suicide" and a.value in ("yes", "unsure", DECLINED) for a in history)
    waiting = worklist(risk(one), CLINIC, now=NIGHT + 50 * HOUR)
    assert not alarmed or any(d.step.what == "acknowledged" for d in waiting)


# --- when -------------------------------------------------------------------------------------------------------------


def days(steps) -> list[str]:
    return [step.id.removeprefix("checkin:") for step in steps]


def test_the_evening_and_days_one_three_seven_and_weekly() -> None:
    assert days(schedule([DOSE], KNOWLEDGE, CLINIC, until=DOSE + 22 * DAY)) == [
        "2026-11-23:daily",
        "2026-11-24:daily",
        "2026-11-26:daily",
        "2026-11-30:weekly",
        "2026-12-07:weekly",
        "2026-12-14:weekly",
    ]


def test_two_doses_a_week_make_one_check_in_a_day() -> None:
    found = schedule([DOSE, DOSE + 3 * DAY], KNOWLEDGE, CLINIC, until=DOSE + 8 * DAY)
    assert days(found) == [
        "2026-11-23:daily",
        "2026-11-24:daily",
        "2026-11-26:daily",
        "2026-11-27:daily",
        "2026-11-29:daily",
        "2026-11-30:weekly",
    ]
    assert found == schedule([DOSE + 3 * DAY, DOSE], KNOWLEDGE, CLINIC, until=DOSE + 8 * DAY)
    assert schedule([], KNOWLEDGE, CLINIC, until=DOSE) == ()


def test_check_ins_open_by_the_wall_clock_also_when_it_changes() -> None:
    before = at("2027-03-26T10:00:00+01:00")
    opens = [s.window.opens for s in schedule([before], KNOWLEDGE, CLINIC, until=before + 3 * DAY)]
    assert opens == [
        at("2027-03-26T18:00:00+01:00"),
        at("2027-03-27T08:00:00+01:00"),
        at("2027-03-29T08:00:00+02:00"),
    ]


def test_an_unanswered_evening_becomes_the_task_of_a_named_person() -> None:
    steps_ = schedule([DOSE], KNOWLEDGE, CLINIC, until=DOSE + 2 * DAY)
    morning = at("2026-11-24T10:00:00+01:00")
    assert missed(due(steps_, [], now=morning - 1), KNOWLEDGE, CLINIC) == ()
    (task,) = missed(due(steps_, [], now=morning), KNOWLEDGE, CLINIC)
    assert (task.owner, task.window.opens) == ("Nurse Iris", morning)
    done = [Done(what="checkin", at=DOSE + 9 * HOUR, step=steps_[0].id)]
    assert missed(due(steps_, done, now=morning), KNOWLEDGE, CLINIC) == ()


def test_the_last_act_of_a_check_in_thanks_and_promises_nothing() -> None:
    said = " ".join(shown_now(answered(checkin(), QUIET), CLINIC, now=NIGHT).lines)
    assert "Thank you" in said
    assert "Nobody here reads this before" in said
