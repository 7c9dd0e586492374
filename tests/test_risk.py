"""The suicide screener's answers, and what is done about them: who must act until when, and what nobody can skip."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from adjunct.base import NO, YES, BadInput, Events, Row, instant
from adjunct.due import State as Standing
from adjunct.followup.cover import Cover, Hours, supporter_reply, told, who_reads
from adjunct.followup.risk import ITEMS, Clock, Level, triage
from adjunct.followup.workflow import Event, State, advance, replay, start, triggers_of
from adjunct.followup.worklist import steps, worklist
from adjunct.instruments import instrument, score
from adjunct.knowledge import Knowledge
from adjunct.knowledge.cases import NOW as CASES_NOW

CASES = list(
    csv.DictReader((Path(__file__).parent / "cases" / "suicide_triage.csv").read_text(encoding="utf-8").splitlines())
)
EVERY = list(itertools.product(("yes", "no", "unknown"), repeat=len(ITEMS)))
KNOWLEDGE = Knowledge.load()
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WEEK = [Hours(day=d, opens="08:00", closes="17:00") for d in ("monday", "tuesday", "wednesday", "thursday", "friday")]
CLINIC = Cover(
    zone="Europe/Berlin",
    hours=tuple(WEEK),
    chain=("Nurse Iris", "Dr Okoro", "Head of clinic"),
    owners={"prescriber": "Dr Okoro", "clinician": "Nurse Iris"},
)
MONDAY = instant("2026-11-23T10:00:00+01:00").ms
SUNDAY_NIGHT = instant("2026-11-22T03:00:00+01:00").ms


def at(text: str) -> int:
    return instant(text).ms


def event(
    name: str, type_: str, when: int = MONDAY, /, *, received: int | None = None, by: str = "Iris", **data: object
):
    source = str(data.pop("source", "clinician" if by else "person"))
    return Event(
        id=name, at=when, received=when if received is None else received, type=type_, by=by, source=source, data=data
    )


def screen(
    name: str = "s1", when: int = MONDAY, *, received: int | None = None, part: str = "", source="clinician", **said
):
    return event(part or f"answers-{name}", "screen", when, received=received, screen=name, answers=said, source=source)


ALL_NO = dict.fromkeys(("q1", "q2", "q6"), "no")
HIGH = {"q1": "yes", "q2": "yes", "q3": "yes", "q4": "yes", "q5": "no", "q6": "no"}
METHOD = HIGH | {"q4": "no"}


def after(*events: Event) -> State:
    return replay(KNOWLEDGE, events)


def open_ids(state: State, now: int, cover: Cover = CLINIC) -> dict[str, str]:
    return {d.step.id.rpartition("/")[2]: d.state.value for d in worklist(state, cover, now=now)}


def window(state: State, name: str, cover: Cover = CLINIC):
    (step,) = (s for s in steps(state, cover) if s.id.endswith(f"/{name}"))
    return step


# --- triage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=[c["who"] for c in CASES])
def test_triage_as_the_table_says(case: dict[str, str]) -> None:
    first = {"yes": True, "no": False}.get(case["first_known"])
    found = triage({i: case[i] for i in ITEMS}, KNOWLEDGE, asked=case["asked"], first_known=first)
    assert (found.level.value, found.at_least.value) == (case["level"], case["at_least"])
    assert (found.clocks[0].value if found.clocks else "") == case["clock"]
    assert found.history is (case["history"] == "yes")
    assert " ".join(found.ask) == case["ask"]


def oracle(said: dict[str, str]) -> str:
    """Section 8.2 of the protocol, read slowly."""
    yes = {i for i in ITEMS if said[i] == "yes"}
    open_ = {i for i in ITEMS if said[i] == "unknown"}
    recent_open = "q6_recent" in open_ and said["q6"] != "no"
    if yes & {"q4", "q5", "q6_recent"}:
        return "HIGH"
    if (yes & {"q2", "q3"} and (open_ & {"q4", "q5"} or recent_open)) or ("q6" in yes and recent_open):
        return "UNFINISHED"
    asked = (
        {"q1", "q2", "q6"} | ({"q3", "q4", "q5"} if "q2" in yes else set()) | ({"q6_recent"} if "q6" in yes else set())
    )
    if open_ & asked:
        return "UNKNOWN"
    return "MODERATE" if yes & {"q3", "q6"} else "LOW" if yes & {"q1", "q2"} else "NONE"


def test_every_combination_of_answers_and_recency() -> None:
    """3^6 answers to the items, times three for how long ago: 2187 of 2187."""
    for answers in EVERY:
        said = dict(zip(ITEMS, answers, strict=True))
        assert triage(said, KNOWLEDGE).level == oracle(said), said


def test_known_history_is_triaged_as_if_it_were_not_asked() -> None:
    for answers in EVERY:
        said = dict(zip(ITEMS, answers, strict=True))
        found = triage(said, KNOWLEDGE, first_known=False)
        history = said["q6"] == "yes" and said["q6_recent"] == "no"
        assert found.history is history
        assert found.level == oracle(said | ({"q6": "no"} if history else {})), said


BAND_OF_RULE = {
    "suicide-high": "HIGH",
    "suicide-unfinished": "UNFINISHED",
    "suicide-behaviour-undated": "UNFINISHED",
    "suicide-answers-contradict": "UNFINISHED",
    "suicide-moderate": "MODERATE",
    "suicide-moderate-history": "MODERATE",
    "suicide-low": "LOW",
    "suicide-low-so-far": "LOW",
    "suicide-intent-denied": "LOW",
    "suicide-none": "NONE",
}


def test_the_assessment_comes_to_the_same_level() -> None:
    """The rules of `rules/suicide.toml`, over one table of 2187 people, against the band of the instrument."""
    concept, code = KNOWLEDGE.vocabulary.concepts, KNOWLEDGE.vocabulary.codes
    now = CASES_NOW.ms
    rows = [
        Row(concept[f"cssrs_{i}"], now, now, code=code[a], status=YES if a == "yes" else NO, person=number)
        for number, answers in enumerate(EVERY)
        for i, a in zip(ITEMS, answers, strict=True)
        if a != "unknown"
    ]
    silent = np.repeat(KNOWLEDGE.absent_column([])[:, np.newaxis], len(EVERY), axis=1)
    truths = KNOWLEDGE.program("follow-up").run(Events.of(rows, now=[now] * len(EVERY), absent=silent)).truths
    ids = list(KNOWLEDGE.rules)
    for number, answers in enumerate(EVERY):
        fired = {r for r in BAND_OF_RULE if truths[ids.index(r), number] == YES}
        shown = fired - {other for r in fired for other in KNOWLEDGE.rules[r].instead_of}
        level = max((Level(BAND_OF_RULE[r]) for r in shown), key=lambda v: v.rank, default=Level.UNKNOWN)
        asked = truths[ids.index("suicide-screen-missing"), number] == NO
        found = triage(dict(zip(ITEMS, answers, strict=True)), KNOWLEDGE)
        if level in (Level.HIGH, Level.UNFINISHED) or asked:
            assert found.level == level, answers
        else:
            assert (found.level, found.at_least) == (Level.UNKNOWN, level), answers


# --- the workflow -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answers", "kind"),
    [
        ("phq-9", "1,1,1,1,1,0,0,0,1", "phq9-item9"),  # a total of 6
        ("phq-9", "3,3,3,3,3,3,3,3,0", None),
        ("phq-9", "-,-,-,-,-,-,-,-,1", "phq9-item9"),  # no total at all
        ("madrs", "0,0,0,0,0,0,0,0,0,3", "madrs-item10"),
        ("madrs", "6,6,6,6,6,6,6,6,6,2", None),
        ("c-ssrs", "Y,Y,Y,Y,N,N,na", None),  # the screener itself is no trigger
    ],
)
def test_a_score_triggers_by_its_item_and_not_by_its_total(name: str, answers: str, kind: str | None) -> None:
    scored = score(instrument(KNOWLEDGE, name), answers.split(","))
    found = triggers_of(scored, KNOWLEDGE, name="answers-1", at=MONDAY, received=MONDAY)
    assert [e.data["kind"] for e in found] == ([kind] if kind else [])
    assert after(*found).flags == ()


def test_phq9_of_six_with_item_nine_one_asks_the_screener_and_a_person() -> None:
    alarm = event("a", "trigger", by="", kind="phq9-item9")
    state = after(alarm)
    assert state.level == Level.UNKNOWN  # a trigger is never a level
    assert open_ids(state, MONDAY) == {"acknowledge-0": "due", "screen": "due"}


@pytest.mark.parametrize(
    "kind", ["phq9-item9", "qids-item12", "madrs-item10", "free-text", "check-in", "supporter", "new"]
)
def test_every_kind_of_alarm_is_open_until_somebody_confirms_it(kind: str) -> None:
    state = after(event("a", "trigger", by="", kind=kind), screen(when=MONDAY + MINUTE, **ALL_NO))
    assert open_ids(state, MONDAY + HOUR)["acknowledge-0"] == "overdue"
    assert state.open
    state = advance(state, event("b", "acknowledged", MONDAY + HOUR))
    assert open_ids(state, MONDAY + 2 * HOUR) == {}
    assert state.level == Level.NONE


def test_high_asks_for_everything_with_its_clock_and_its_owner() -> None:
    state = after(screen(**HIGH))
    found = {s.id.rpartition("/")[2]: s for s in steps(state, CLINIC)}
    late = {name: (s.window.overdue - MONDAY) / HOUR for name, s in found.items()}
    assert late == {
        "stay": 0.25,
        "notify": 0.25,
        "evaluate": 14,  # the end of that Monday
        "means": 14,
        "plan": 24,
        "contact-1": 24,
        "contact-2": 72,
        "contact-3": 168,
        "never-closed": 168,
        "acknowledge-0": 0.25,
        "acknowledge-1": 0.5,
        "acknowledge-2": 0.75,
    }
    assert found["notify"].owner == found["evaluate"].owner == "Dr Okoro"
    assert found["contact-1"].owner == "Nurse Iris"


def test_moderate_and_low_ask_for_less_and_later() -> None:
    moderate = {s.id.rpartition("/")[2]: s.window.overdue for s in steps(after(screen(**METHOD)), CLINIC)}
    assert moderate["contact-moderate"] == MONDAY + DAY
    assert {"plan", "contact-2", "contact-3"} <= moderate.keys()
    low = {s.id.rpartition("/")[2]: s.window.overdue for s in steps(after(screen(**ALL_NO | {"q1": "yes"})), CLINIC)}
    assert low == {"plan-offer": MONDAY + 7 * DAY, "follow-up": MONDAY + 7 * DAY}
    assert steps(after(screen(**ALL_NO)), CLINIC) == ()


def test_unfinished_carries_the_clock_of_high_and_finishing_it_ends_that() -> None:
    part = screen(**METHOD | {"q4": "unknown"})
    state = after(part)
    assert state.level == Level.UNFINISHED
    assert {"ask-rest", "notify", "evaluate", "contact-1"} <= open_ids(state, MONDAY).keys()
    rest = screen(when=MONDAY + 5 * MINUTE, part="rest", q4="no")
    assert after(part, rest).level == Level.MODERATE
    assert window(after(part, rest), "contact-moderate").window.opens == MONDAY
    worse = screen(when=MONDAY + 5 * MINUTE, part="rest", q4="yes")
    state = after(part, worse)
    assert state.level == Level.HIGH
    assert window(state, "notify").window.opens == MONDAY  # the clock has been running since the first part


def test_all_no_by_oneself_does_not_take_back_an_unfinished_yes() -> None:
    part = screen(source="person", **METHOD | {"q4": "unknown"})
    again = screen("s2", MONDAY + MINUTE, source="person", **ALL_NO)
    assert after(part, again).level == Level.UNFINISHED
    asked = screen("s2", MONDAY + MINUTE, source="clinician", **ALL_NO)
    assert after(part, asked).level == Level.MODERATE  # a method was named: proven, and asked by a person
    agrees = screen("s2", MONDAY + MINUTE, source="person", **METHOD)
    assert after(part, agrees).level == Level.MODERATE


def test_the_clock_starts_at_receipt_not_when_the_person_wrote() -> None:
    state = after(event("a", "trigger", MONDAY - 5 * HOUR, received=MONDAY, by="", kind="free-text"))
    assert window(state, "acknowledge-0").window.opens == MONDAY


def test_nobody_answers_for_what_had_not_arrived() -> None:
    """A message of Sunday evening arrives on Monday: an evaluation of Sunday night does not answer it."""
    late = screen(when=MONDAY - 10 * HOUR, received=MONDAY, **HIGH)
    night = [
        event("e", "evaluated", MONDAY - 9 * HOUR, outcome="no-current-risk"),
        event("c", "acknowledged", MONDAY - 9 * HOUR),
        event("d", "closed", MONDAY - 8 * HOUR),
    ]
    state = after(late, *night)
    assert state.level == Level.HIGH
    assert {"acknowledge-0", "evaluate"} <= open_ids(state, MONDAY).keys()
    assert state.flags == ()  # closing on Sunday was right, and was about something else
    morning = [event("c2", "acknowledged", MONDAY + MINUTE), event("d2", "closed", MONDAY + HOUR)]
    assert after(late, *night, *morning).level == Level.HIGH


def test_an_answer_that_raises_the_level_needs_to_be_answered_for_anew() -> None:
    """Unfinished, confirmed and evaluated by eleven; the plan that the person then owns up to is another matter."""
    early = [
        event("b", "acknowledged", MONDAY + MINUTE),
        event("e", "evaluated", MONDAY + HOUR, outcome="no-current-risk"),
        event("z", "closed", MONDAY + 2 * HOUR),
    ]
    part = screen(**METHOD | {"q4": "unknown"})
    assert after(part, *early).open == ()
    state = after(part, *early, screen(when=MONDAY + 5 * HOUR, part="rest", q5="yes"))
    assert state.level == Level.HIGH
    assert {"acknowledge-0", "evaluate", "notify"} <= open_ids(state, MONDAY + 5 * HOUR).keys()


def test_a_due_session_never_delays_the_evaluation() -> None:
    plain = after(screen(**HIGH))
    session = after(screen(**HIGH), event("x", "session-due", MONDAY))
    assert steps(plain, CLINIC) == steps(session, CLINIC)
    assert [f.event for f in session.flags] == ["x"]


def test_an_alarm_nobody_confirms_goes_up_the_chain() -> None:
    state = after(screen(**HIGH))

    def asked(minutes: int) -> list[str]:
        found = worklist(state, CLINIC, now=MONDAY + minutes * MINUTE)
        return [d.step.owner for d in found if d.step.what == "acknowledged"]

    assert asked(14) == ["Nurse Iris"]
    assert asked(15) == ["Nurse Iris", "Dr Okoro"]
    assert asked(30) == ["Nurse Iris", "Dr Okoro", "Head of clinic"]
    state = advance(state, event("b", "acknowledged", MONDAY + 16 * MINUTE, by="Dr Okoro"))
    assert asked(31) == []
    assert not [s for s in steps(state, CLINIC) if s.id.endswith("acknowledge-2")]  # never came to be


def test_a_confirmation_needs_a_name() -> None:
    state = after(screen(**HIGH), event("b", "acknowledged", MONDAY + MINUTE, by=" "))
    assert "acknowledge-0" in open_ids(state, MONDAY + MINUTE)
    assert state.flags[0].event == "b"


def test_contacts_cover_one_step_each_and_a_failed_one_none() -> None:
    state = after(screen(**HIGH), event("f", "contact", MONDAY + 20 * HOUR, result="failed"))
    waiting = open_ids(state, MONDAY + 23 * HOUR)
    assert waiting["contact-1"] == "open"
    assert waiting["unreachable:f"] == "overdue"
    state = advance(state, event("g", "contact", MONDAY + 30 * HOUR, result="made"))
    waiting = open_ids(state, MONDAY + 31 * HOUR)
    assert "contact-1" not in waiting  # made late, but made
    assert waiting["contact-2"] == "open"  # its own contact is still to come
    assert "unreachable:f" not in waiting
    state = advance(state, event("h", "contact", MONDAY + 70 * HOUR, result="made"))
    assert "contact-2" not in open_ids(state, MONDAY + 71 * HOUR)


def test_high_is_closed_by_an_outcome_and_by_nothing_else() -> None:
    confirmed = event("b", "acknowledged", MONDAY + MINUTE)
    closed = event("z", "closed", MONDAY + 3 * HOUR)
    state = after(screen(**HIGH), confirmed, closed)
    assert state.level == Level.HIGH
    assert state.flags[0].event == "z"
    for outcome in ("declined", "not-reached", "fine", None):
        tried = event("e", "evaluated", MONDAY + 2 * HOUR, outcome=outcome)
        assert after(screen(**HIGH), confirmed, tried, closed).level == Level.HIGH
    evaluated = event("e", "evaluated", MONDAY + 2 * HOUR, outcome="home-with-plan")
    assert after(screen(**HIGH), evaluated, closed).level == Level.HIGH  # nobody confirmed the alarm
    too_early = event("y", "closed", MONDAY + HOUR)
    assert after(screen(**HIGH), confirmed, too_early, evaluated).level == Level.HIGH
    state = after(screen(**HIGH), confirmed, evaluated, closed)
    assert state.open == ()
    assert state.level == Level.UNKNOWN  # answered for; how it is now only asking can tell
    assert set(open_ids(state, MONDAY + 80 * HOUR)) == {"contact-1", "contact-2", "contact-3"}  # contacts go on
    admitted = event("e", "evaluated", MONDAY + 2 * HOUR, outcome="admitted")
    assert open_ids(after(screen(**HIGH), confirmed, admitted, closed), MONDAY + 80 * HOUR) == {}


@pytest.mark.parametrize(("hours", "top"), [(167, False), (168, True), (24 * 400, True)])
def test_high_without_outcome_is_on_top_of_the_list_after_a_week(hours: int, top: bool) -> None:
    state = after(screen(**HIGH), screen("s2", MONDAY + HOUR, **ALL_NO), event("b", "acknowledged", MONDAY + MINUTE))
    first = worklist(state, CLINIC, now=MONDAY + hours * HOUR)[0]
    assert first.step.id.endswith("/never-closed") is top
    assert state.level == Level.HIGH  # a later screen of no does not close it


def test_a_correction_keeps_the_original_and_does_not_take_back_high() -> None:
    wrong = screen(**HIGH)
    fix = event("c", "correction", MONDAY + HOUR, of=wrong.id, data={"screen": "s1", "answers": METHOD})
    state = after(wrong, fix)
    assert wrong in state.events
    (concern,) = state.concerns
    assert concern.level == Level.HIGH
    assert concern.originals[0]["answers"] == HIGH
    checked = event("e", "evaluated", MONDAY + 2 * HOUR, outcome="entered-in-error")
    done = after(
        wrong, fix, checked, event("b", "acknowledged", MONDAY + HOUR), event("z", "closed", MONDAY + 3 * HOUR)
    )
    assert done.open == ()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (screen(**ALL_NO | {"q6": "yes", "q6_recent": "yes"}), {"answers": ALL_NO}),
        (event("s", "level", level="HIGH"), {"level": "LOW"}),
        (event("s", "level", level="HIGH"), None),
    ],
)
def test_whatever_made_it_high_is_answered_for_and_not_corrected_away(wrong: Event, right) -> None:
    change = {"withdrawn": True} if right is None else {"data": right}
    state = after(wrong, event("c", "correction", MONDAY + HOUR, of=wrong.id, **change))
    assert state.level == Level.HIGH
    assert "evaluate" in open_ids(state, MONDAY + HOUR)


def test_a_decision_from_before_the_failed_contact_does_not_answer_it() -> None:
    early = event("d", "decision", MONDAY, decision="wait", reason="asleep")
    failed = event("f", "contact", MONDAY + HOUR, result="failed")
    later = event("g", "contact", MONDAY + 2 * HOUR, result="made")
    assert "unreachable:f" in open_ids(after(screen(**HIGH), early, failed), MONDAY + HOUR)
    assert "unreachable:f" not in open_ids(after(screen(**HIGH), early, failed, later), MONDAY + 2 * HOUR)


def test_a_correction_reopens_what_was_done_in_error() -> None:
    alarm = screen(**METHOD)
    made = event("k", "contact", MONDAY + HOUR, result="made")
    assert "contact-moderate" not in open_ids(after(alarm, made), MONDAY + 2 * HOUR)
    not_made = event("c", "correction", MONDAY + 2 * HOUR, of="k", withdrawn=True)
    assert "contact-moderate" in open_ids(after(alarm, made, not_made), MONDAY + 2 * HOUR)


def test_the_same_event_counts_once_and_two_events_under_one_id_both_count() -> None:
    one = event("a", "trigger", by="", kind="free-text")
    again = event("a", "trigger", received=MONDAY + HOUR, by="", kind="free-text")
    state = after(again, one)
    assert len(state.events) == len(state.concerns) == 1
    assert window(state, "screen").window.opens == MONDAY
    other = event("a", "trigger", MONDAY + MINUTE, by="", kind="supporter")
    state = after(one, other)
    assert len(state.concerns) == 2
    assert "the id was used" in state.flags[0].why


def test_an_event_dated_after_its_receipt_is_read_as_of_its_receipt() -> None:
    state = after(event("a", "trigger", MONDAY + DAY, received=MONDAY, by="", kind="check-in"))
    assert state.concerns[0].at == MONDAY
    assert "dated after" in state.flags[0].why


def test_answers_that_disagree_run_on_the_high_clock_until_asked_again() -> None:
    state = after(screen(**METHOD), screen(when=MONDAY + MINUTE, part="again", q3="no"))
    (concern,) = state.concerns
    assert concern.contradictions == ("q3",)
    assert Clock.HIGH in concern.clocks
    assert "ask-rest" in open_ids(state, MONDAY + MINUTE)
    state = advance(state, screen("s2", MONDAY + 10 * MINUTE, **METHOD | {"q3": "no"}))
    assert "evaluate" not in open_ids(state, MONDAY + 10 * MINUTE)


def test_a_lifetime_attempt_counts_once() -> None:
    old = ALL_NO | {"q6": "yes", "q6_recent": "no"}
    first = after(screen(**old))
    assert first.level == Level.MODERATE
    handled = [
        event("b", "acknowledged", MONDAY + MINUTE),
        event("k", "contact", MONDAY + HOUR, result="made"),
        event("p", "plan", MONDAY + HOUR),
        event("z", "closed", MONDAY + DAY),
    ]
    later = after(screen(**old), *handled, screen("s2", MONDAY + 30 * DAY, **old))
    assert later.level == Level.NONE
    assert later.history  # it stands


def test_a_stated_level_raises_and_never_lowers() -> None:
    state = after(screen(**METHOD), event("l", "level", MONDAY + MINUTE, level="HIGH"))
    assert state.level == Level.HIGH
    state = after(screen(**HIGH), event("l", "level", MONDAY + MINUTE, level="NONE"))
    assert state.level == Level.HIGH
    assert state.flags[0].event == "l"


@pytest.mark.parametrize(
    ("by", "data", "counts"),
    [
        ("Dr Okoro", {"decision": "call-supporter", "consent": False, "reason": "not reached twice, HIGH"}, True),
        ("Dr Okoro", {"decision": "call-supporter", "consent": True}, True),
        ("Dr Okoro", {"decision": "call-supporter"}, False),
        ("Dr Okoro", {"decision": "call-supporter", "consent": False, "reason": " "}, False),
        ("", {"decision": "call-supporter", "consent": False, "reason": "HIGH"}, False),
        ("Dr Okoro", {"decision": "wait for better weather", "reason": "x"}, False),
    ],
)
def test_calling_a_supporter_against_consent_is_the_recorded_decision_of_a_named_person(by, data, counts) -> None:
    failed = event("f", "contact", MONDAY + HOUR, result="failed")
    state = after(screen(**HIGH), failed, event("d", "decision", MONDAY + 2 * HOUR, by=by, **data))
    assert ("unreachable:f" not in open_ids(state, MONDAY + 3 * HOUR)) is counts
    assert any(a.kind == "decision" for a in state.acts) is counts
    assert not counts or state.acts[-1].by == "Dr Okoro"


# --- who reads this, and what is said meanwhile -----------------------------------------------------------------------


def test_a_high_answer_at_three_in_the_morning_gets_numbers_and_the_truth() -> None:
    said = told("HIGH", KNOWLEDGE, CLINIC, country="DE", now=SUNDAY_NIGHT)
    text = " ".join(said.lines)
    assert "112" in text
    assert "Nobody here reads this before 2026-11-23 08:00 (Europe/Berlin time)" in text
    assert any("0800 111 0 111" in c.text and "2026-06-02" in c.text for c in said.contacts)
    for promise in ("will call", "call you", "ring you", "on call", "someone will"):
        assert promise not in text.lower()


def test_the_person_on_call_is_named_only_where_there_is_one() -> None:
    with_on_call = Cover(zone="Europe/Berlin", hours=tuple(WEEK), on_call="Dr Adeyemi")
    told_ = told("HIGH", KNOWLEDGE, with_on_call, country="DE", now=SUNDAY_NIGHT)
    assert "on call is being paged" in " ".join(told_.lines)
    by_day = told("HIGH", KNOWLEDGE, with_on_call, country="DE", now=MONDAY)
    assert "on call" not in " ".join(by_day.lines)
    state = after(screen(when=SUNDAY_NIGHT, **HIGH))
    assert window(state, "acknowledge-on-call", with_on_call).owner == "Dr Adeyemi"
    assert window(state, "acknowledge-on-call", with_on_call).window.opens == SUNDAY_NIGHT
    assert not [s for s in steps(state, CLINIC) if "on-call" in s.id]
    by_day = after(screen(**HIGH))
    closing = at("2026-11-23T17:00:00+01:00")
    assert window(by_day, "acknowledge-on-call", with_on_call).window.opens == closing  # if nobody confirmed by then
    assert "acknowledge-on-call" not in open_ids(by_day, closing - 1, with_on_call)


@pytest.mark.parametrize("country", ["", "XX", "zz"])
def test_country_unknown_is_never_the_number_of_some_country(country: str) -> None:
    said = told("HIGH", KNOWLEDGE, CLINIC, country=country, now=MONDAY)
    text = " ".join((*said.lines, *(c.text for c in said.contacts)))
    assert "your local emergency number (112 works from mobiles in many countries)" in text
    assert "911" not in text
    assert "988" not in text


def test_an_expired_line_is_shown_with_its_date_and_the_emergency_number() -> None:
    said = told("HIGH", KNOWLEDGE, CLINIC, country="CH", now=MONDAY)
    (line,) = (c.text for c in said.contacts if "143" in c.contact)
    assert "2023-09-06" in line
    assert "call 112" in line


TELL = KNOWLEDGE.content["workflow"]["tell"]["en"]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ("2026-11-23T07:59:59+01:00", "Nobody here reads this before 08:00"),
        ("2026-11-23T08:00:00+01:00", "Someone here reads messages until 17:00"),
        ("2026-11-23T16:59:59+01:00", "Someone here reads messages until 17:00"),
        ("2026-11-23T17:00:00+01:00", "Nobody here reads this before 2026-11-24 08:00"),
        ("2026-11-27T18:00:00+01:00", "Nobody here reads this before 2026-11-30 08:00"),
        ("2027-03-26T18:00:00+01:00", "Nobody here reads this before 2027-03-29 08:00"),  # summer time in between
        ("2026-10-23T18:00:00+02:00", "Nobody here reads this before 2026-10-26 08:00"),  # and back
    ],
)
def test_reading_hours_are_wall_clock_hours(now: str, words: str) -> None:
    assert who_reads(CLINIC, TELL, KNOWLEDGE, now=at(now)).startswith(words)


def test_over_the_change_of_clocks_a_day_is_an_hour_shorter_or_longer() -> None:
    friday = at("2027-03-26T18:00:00+01:00")
    assert CLINIC.next_opening(friday) == at("2027-03-29T08:00:00+02:00")
    assert CLINIC.next_opening(at("2027-03-29T08:00:00+02:00")) == at("2027-03-30T08:00:00+02:00")
    assert CLINIC.day_end(at("2027-03-28T00:30:00+01:00")) - at("2027-03-28T00:00:00+01:00") == 23 * HOUR
    assert CLINIC.day_end(at("2026-10-25T00:30:00+02:00")) - at("2026-10-25T00:00:00+02:00") == 25 * HOUR


def test_a_holiday_is_not_an_opening_and_no_opening_promises_nothing() -> None:
    holiday = Cover(zone="Europe/Berlin", hours=tuple(WEEK), closed=frozenset({"2026-11-23"}))
    assert holiday.attended_until(MONDAY) is None
    assert "2026-11-24 08:00" in who_reads(holiday, TELL, KNOWLEDGE, now=MONDAY)
    never = Cover(zone="UTC")
    assert who_reads(never, TELL, KNOWLEDGE, now=MONDAY) == "We cannot say when someone here reads this next."


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"zone": "Mars/Olympus"}, "no such time zone"),
        ({"zone": ""}, "no such time zone"),
        ({"zone": "UTC", "hours": (Hours(day="someday", opens="08:00", closes="17:00"),)}, "not a day of the week"),
        ({"zone": "UTC", "hours": (Hours(day="monday", opens="8", closes="17:00"),)}, "not a time of day"),
        ({"zone": "UTC", "hours": (Hours(day="monday", opens="25:00", closes="26:00"),)}, "not a time of day"),
        ({"zone": "UTC", "hours": (Hours(day="monday", opens="17:00", closes="08:00"),)}, "end before they begin"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_the_night(settings, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Cover(**settings)


# --- supporters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("consent", [None, False])
def test_without_consent_a_supporter_learns_nothing_and_always_gets_help(consent) -> None:
    replies = {
        supporter_reply(KNOWLEDGE, CLINIC, country="DE", now=SUNDAY_NIGHT, consent=consent, seen=seen)
        for seen in (True, False)
    }
    (reply,) = replies  # the same whether or not anybody has seen it, or is known
    text = " ".join(reply.lines)
    assert "112" in text
    assert "not even whether we know them" in text
    assert "our team has seen" not in text
    assert reply.contacts


def test_with_consent_a_supporter_learns_whether_it_was_seen() -> None:
    def said(seen: bool) -> str:
        reply = supporter_reply(KNOWLEDGE, CLINIC, country="DE", now=MONDAY, consent=True, seen=seen)
        return " ".join(reply.lines)

    assert "has seen your message" in said(True)
    assert "has not confirmed" in said(False)


def test_a_supporters_alarm_opens_the_same_work_with_or_without_consent() -> None:
    for consent in (True, False):
        state = after(event("a", "trigger", by="", kind="supporter", consent=consent))
        assert open_ids(state, MONDAY).keys() == {"acknowledge-0", "screen"}


# --- the knowledge behind it ------------------------------------------------------------------------------------------


def test_every_action_has_a_window_that_can_be() -> None:
    for level in ("HIGH", "MODERATE", "LOW"):
        for step in steps(after(event("l", "level", level=level)), CLINIC):
            assert step.window.opens <= step.window.due <= step.window.overdue


def test_no_text_for_the_person_promises_a_call_or_says_safe() -> None:
    for texts in KNOWLEDGE.content["workflow"]["tell"].values():
        for text in texts.values():
            assert "we will call" not in text.lower()
            assert "you are safe" not in text.lower()


def test_nothing_recorded_is_not_no_risk() -> None:
    assert start(KNOWLEDGE).level == Level.UNKNOWN
    assert worklist(start(KNOWLEDGE), CLINIC, now=MONDAY) == ()
    assert Standing.DONE not in {d.state for d in worklist(after(screen(**HIGH)), CLINIC, now=MONDAY)}
