"""Stories in which an alarm about suicide could be lost, closed, delayed, hidden, or told in the wrong words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import adjunct
from adjunct.base import BadInput, instant
from adjunct.followup.checkins import DECLINED, Answer, begin, events, next_question, receive, results, shown_now
from adjunct.followup.cover import DAYS, Cover, Hours, who_reads
from adjunct.followup.risk import Clock, Level
from adjunct.followup.safety_plan import Plan, Version, add, page, text
from adjunct.followup.schedule import schedule
from adjunct.followup.stored import check_in_to_fhir, event_to_fhir, plan_to_fhir
from adjunct.followup.workflow import Concern, Event, State, replay
from adjunct.followup.worklist import steps, worklist
from adjunct.knowledge import Knowledge

Json = dict[str, Any]
KNOWLEDGE = Knowledge.load()
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MONDAY = instant("2026-11-23T10:00:00+01:00").ms
ALL_NO: Json = dict.fromkeys(("q1", "q2", "q6"), "no")
HIGH: Json = {"q1": "yes", "q2": "yes", "q3": "yes", "q4": "yes", "q5": "no", "q6": "no"}
METHOD = HIGH | {"q4": "no"}
LIFETIME = ALL_NO | {"q6": "yes", "q6_recent": "no"}
CLINIC = Cover(
    zone="Europe/Berlin",
    hours=tuple(Hours(day=day, opens="08:00", closes="17:00") for day in DAYS[:5]),
    chain=("Iris", "Dr Okoro"),
    owners={"prescriber": "Dr Okoro", "clinician": "Iris"},
    on_call="Dr Adeyemi",
)
TEXTS = KNOWLEDGE.content["workflow"]["tell"]["en"]


def event(
    name: str,
    type_: str,
    when: int = MONDAY,
    /,
    *,
    received: int | None = None,
    by: str = "Iris",
    source: str = "clinician",
    **data: object,
) -> Event:
    return Event(
        id=name, at=when, received=when if received is None else received, type=type_, by=by, source=source, data=data
    )


def screen(
    name: str, when: int = MONDAY, *, received: int | None = None, source: str = "clinician", **said: str
) -> Event:
    return event(f"answers-{name}", "screen", when, received=received, source=source, screen=name, answers=said)


def after(*recorded: Event) -> State:
    return replay(KNOWLEDGE, recorded)


def ids(state: State, now: int, cover: Cover = CLINIC) -> list[str]:
    return [d.step.id for d in worklist(state, cover, now=now)]


def concern(state: State, name: str) -> Concern:
    return next(c for c in state.concerns if c.id == name)


# --- closed by somebody who may not -----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["person", "supporter"])
def test_neither_the_person_nor_a_supporter_confirms_evaluates_or_closes(source: str) -> None:
    state = after(
        screen("s", source="person", **HIGH),
        event("a", "acknowledged", MONDAY + 1, by="Dana", source=source),
        event("e", "evaluated", MONDAY + 2, by="Dana", source=source, outcome="no-current-risk"),
        event("p", "plan", MONDAY + 3, by="Dana", source=source),
        event("c", "closed", MONDAY + 4, by="Dana", source=source),
    )
    assert state.level == Level.HIGH
    assert state.acts == ()
    assert {f.event for f in state.flags} == {"a", "e", "p", "c"}


@pytest.mark.parametrize(("source", "level"), [("person", Level.UNFINISHED), ("clinician", Level.NONE)])
def test_an_unfinished_yes_is_corrected_by_the_team_and_not_by_whoever_gave_it(source: str, level: Level) -> None:
    wrong = event("x", "correction", MONDAY + 9, source=source, of="answers-s", data={"screen": "s", "answers": ALL_NO})
    assert after(screen("s", source="person", q1="yes", q2="yes"), wrong).level == level


# --- delayed ----------------------------------------------------------------------------------------------------------


def test_an_older_screen_that_arrives_later_does_not_restart_the_clock_of_a_lifetime_attempt() -> None:
    tuesday = screen("tuesday", MONDAY + DAY, **LIFETIME)
    monday = screen("monday", MONDAY, received=MONDAY + 2 * DAY, **LIFETIME)
    for story in ((tuesday,), (tuesday, monday), (monday, tuesday)):
        state = after(*story)
        assert concern(state, "screen:tuesday").clocks == {Clock.MODERATE: MONDAY + DAY}
        assert [c.id for c in state.open] == ["screen:tuesday"]
        assert state.history


@pytest.mark.parametrize(("received", "settled"), [(MONDAY, True), (MONDAY + 3 * DAY, False)])
def test_a_screen_from_before_a_late_message_arrived_does_not_answer_it(received: int, settled: bool) -> None:
    state = after(
        event("message", "trigger", MONDAY, received=received, by="", source="person", kind="free-text"),
        screen("tuesday", MONDAY + DAY, **ALL_NO),
        event("a", "acknowledged", MONDAY + 3 * DAY + MINUTE),
    )
    assert concern(state, "trigger:message").settled is settled


def test_a_lifetime_attempt_told_twice_at_one_moment_counts_once() -> None:
    state = after(screen("telephone", **LIFETIME), screen("form", **LIFETIME))
    assert sorted(c.level for c in state.concerns) == [Level.MODERATE, Level.NONE]


def test_of_an_alarm_that_nobody_confirmed_before_closing_time_the_person_on_call_is_asked() -> None:
    friday = instant("2026-11-27T16:55:00+01:00").ms
    closing = instant("2026-11-27T17:00:00+01:00").ms
    state = after(screen("s", friday, **HIGH))
    asked = {s.id: s for s in steps(state, CLINIC)}["screen:s/acknowledge-on-call"]
    assert (asked.owner, asked.window.opens) == ("Dr Adeyemi", closing)
    assert asked.id in ids(state, closing)
    confirmed = after(screen("s", friday, **HIGH), event("a", "acknowledged", closing - MINUTE))
    assert "screen:s/acknowledge-on-call" not in ids(confirmed, closing + HOUR)


def test_nobody_confirms_all_weekend_and_every_one_of_the_chain_is_still_asked_on_monday() -> None:
    saturday = instant("2026-11-28T11:00:00+01:00").ms
    found = worklist(after(screen("s", saturday, **HIGH)), CLINIC, now=saturday + 2 * DAY)
    asked = {d.step.owner for d in found if d.step.what == "acknowledged" and d.state.value == "overdue"}
    assert asked == {"Dr Adeyemi", "Iris", "Dr Okoro"}


def test_a_task_whose_owner_has_an_empty_name_belongs_to_the_role() -> None:
    assert Cover(zone="UTC", owners={"prescriber": " "}).owner("prescriber") == "prescriber"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"closed": frozenset({"25.12.2026"})}, "not a date"),
        ({"closed": frozenset({"20261225"})}, "not a date"),
        ({"chain": ("Iris", " ")}, "nobody stands"),
    ],
)
def test_a_holiday_or_a_chain_that_cannot_be_read_is_refused_before_the_holiday(settings: Json, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Cover(zone="UTC", **settings)


def test_openings_that_touch_are_one_also_over_midnight() -> None:
    night = Cover(
        zone="Europe/Berlin",
        hours=(Hours(day="monday", opens="20:00", closes="24:00"), Hours(day="tuesday", opens="00:00", closes="06:00")),
    )
    ten = instant("2026-11-23T22:00:00+01:00").ms
    assert who_reads(night, TEXTS, KNOWLEDGE, now=ten).startswith("Someone here reads messages until 2026-11-24 06:00")


# --- hidden -----------------------------------------------------------------------------------------------------------


def test_a_new_alarm_is_told_of_though_an_older_low_or_moderate_one_is_open() -> None:
    alarm = event("t", "trigger", MONDAY + DAY, by="", source="person", kind="free-text")
    for said, before in ((ALL_NO | {"q1": "yes"}, "LOW"), (METHOD, "MODERATE"), (HIGH, "HIGH")):
        assert after(screen("s", **said)).reads == before
        assert after(screen("s", **said), alarm).reads == ("HIGH" if before == "HIGH" else "ALARM")
    asked = after(screen("s", **METHOD), alarm, screen("later", MONDAY + DAY + HOUR, **ALL_NO))
    assert asked.reads == "MODERATE"


def test_who_decides_after_a_failed_contact_stands_with_the_strict_clocks() -> None:
    state = after(
        event("low", "level", level="LOW"),
        screen("s", **METHOD),
        event("visit/1", "contact", MONDAY + HOUR, result="failed"),
    )
    found = ids(state, MONDAY + 4 * HOUR)
    assert found.index("unreachable:visit/1") < found.index("level:low/plan-offer")


def test_an_evaluated_risk_is_not_said_to_have_no_outcome() -> None:
    evaluated = event("e", "evaluated", MONDAY + HOUR, outcome="home-with-plan")
    week = MONDAY + 8 * DAY
    assert ids(after(screen("s", **HIGH)), week)[0] == "screen:s/never-closed"
    assert "screen:s/never-closed" not in ids(after(screen("s", **HIGH), evaluated), week)
    declined = event("e", "evaluated", MONDAY + HOUR, outcome="declined")
    assert ids(after(screen("s", **HIGH), declined), week)[0] == "screen:s/never-closed"
    open_ = after(screen("s", **HIGH), event("a", "acknowledged", MONDAY), evaluated)
    assert open_.level == Level.HIGH  # its other actions are still to be done


# --- check-ins --------------------------------------------------------------------------------------------------------

STEP = next(s for s in schedule([MONDAY], KNOWLEDGE, CLINIC, until=MONDAY + DAY))
NIGHT = instant("2026-11-24T03:00:00+01:00").ms
WHERE = {"country": "th", "place": "Bangkok", "call-back": "+66 2 1234567", "mood": 5}


def sent(given: Mapping[str, object], *, start: int = NIGHT) -> list[Answer]:
    return [
        Answer(id="one", question=question, value=value, at=start + n * 1000, received=start + n * 1000)
        for n, (question, value) in enumerate(given.items())
    ]


def follow(*resources: Json, at: str = "2026-11-24T12:00:00+01:00", **more: Any) -> Any:
    whole = {"resourceType": "Patient", "id": "p"}
    entries = [{"resource": r} for r in (whole, *resources)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return adjunct.follow(bundle, at=at, knowledge=KNOWLEDGE, **more)


def checked_in(given: Mapping[str, object]) -> tuple[Json, ...]:
    return check_in_to_fhir(sent(given), check_in=STEP.id, patient_reference="Patient/p", knowledge=KNOWLEDGE)


@pytest.mark.parametrize(
    ("question", "value", "level"),
    [
        ("side-effects", ["chest"], "emergency"),
        ("side-effects", ["none", "jaundice"], "same-day"),
        ("side-effects", ["elated"], "same-day"),
        ("anything-else", "I took all my pills", "emergency"),
    ],
)
def test_every_urgent_answer_of_a_check_in_is_an_alarm_of_the_follow_up(question: str, value: Any, level: str) -> None:
    told = checked_in(WHERE | {"suicide": "no", question: value})
    found = follow(*told).to_dict()
    (alert,) = (a for a in found["alerts"] if a["id"].startswith("message:"))
    assert alert["level"] == level
    task = next(c for c in found["checkins"] if c["id"] == alert["id"])
    assert task["state"] == "overdue"
    for answer, open_ in (
        (event("a", "acknowledged", NIGHT + HOUR), False),
        (event("a", "acknowledged", NIGHT - HOUR), True),
        (event("a", "acknowledged", NIGHT + HOUR, by="Dana", source="person"), True),
        (event("c", "contact", NIGHT + HOUR, result="made"), False),
        (event("c", "contact", NIGHT + HOUR, result="failed"), True),
    ):
        later = follow(*told, event_to_fhir(answer, patient_reference="Patient/p")).to_dict()
        assert any(a["id"] == alert["id"] for a in later["alerts"]) is open_


def test_words_about_suicide_are_one_alarm_and_not_two() -> None:
    found = follow(*checked_in(WHERE | {"suicide": "no", "anything-else": "I want to die"})).to_dict()
    assert [a["id"].partition(":")[0] for a in found["alerts"]] == ["risk"]


def test_an_alarm_and_words_in_one_answer_have_names_of_their_own() -> None:
    state = begin(KNOWLEDGE, STEP, last_phq9=None, cover=CLINIC)
    (answer,) = sent({"suicide": "I want to die"})
    found = events(receive(state, answer))
    assert len(found) == len({e.id for e in found}) == 2
    assert after(*found).flags == ()


def test_the_same_urgent_answer_sent_again_keeps_the_clock_that_began() -> None:
    told = checked_in(WHERE | {"suicide": "no", "side-effects": ["chest"]})
    again = check_in_to_fhir(
        sent(WHERE | {"suicide": "no", "side-effects": ["chest"]}, start=NIGHT + 2 * HOUR),
        check_in=STEP.id,
        patient_reference="Patient/p",
        knowledge=KNOWLEDGE,
    )
    once, twice = (follow(*r).to_dict() for r in (told, (*told, *again)))
    assert [a["since"] for a in once["alerts"]] == [a["since"] for a in twice["alerts"]]


def test_the_numbers_are_those_of_where_the_person_said_they_are() -> None:
    told = checked_in(WHERE | {"suicide": "yes"})
    lines = " ".join(follow(*told).to_dict()["risk"]["told"]["lines"])
    assert "1669" in lines
    both = follow(*told, country="DE").to_dict()
    assert "1669" not in " ".join(both["risk"]["told"]["lines"])
    assert [n for n in ("112", "1669") if any(n in c["text"] for c in both["risk"]["told"]["contacts"])] == [
        "112",
        "1669",
    ]
    assert any("another country" in p["what"] for p in both["problems"])
    much_later = follow(*told, at="2026-12-24T12:00:00+01:00").to_dict()
    assert "1669" not in " ".join(much_later["risk"]["told"]["lines"])  # where they are now is not known


def test_nobody_is_called_for_an_evening_that_was_followed_by_an_answer() -> None:
    given = {"medicationCodeableConcept": {"text": "ketamine"}, "status": "completed"}
    evening = schedule([MONDAY], KNOWLEDGE, CLINIC, until=MONDAY)[0]
    dose = {
        "resourceType": "MedicationAdministration",
        "id": "d",
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2026-11-23T10:00:00+01:00",
        "dosage": {"dose": {"value": 35, "unit": "mg"}},
        **given,
    }
    settings = {"checkins": True, "cover": {"zone": "Europe/Berlin"}}

    def calls(*resources: Json) -> list[str]:
        found = follow(dose, *resources, at="2026-11-24T10:30:00+01:00", settings=settings).to_dict()["checkins"]
        return [c["id"] for c in found if c["what"] == "missed-checkin"]

    assert calls() == [f"{evening.id}:missed"]
    next_morning = check_in_to_fhir(
        sent(WHERE | {"suicide": "no"}, start=NIGHT + 6 * HOUR),
        check_in="checkin:2026-11-24:daily",
        patient_reference="Patient/p",
        knowledge=KNOWLEDGE,
    )
    assert calls(*next_morning) == []


@pytest.mark.parametrize("written", ["UK", "uk", "GB"])
def test_uk_is_the_united_kingdom(written: str) -> None:
    state = begin(KNOWLEDGE, STEP, last_phq9=None, cover=CLINIC)
    for answer in sent({"country": written}):
        state = receive(state, answer)
    question = next_question(state)
    assert question is not None
    assert "999" in question.notice


def asked(given: Mapping[str, object]) -> list[str]:
    """The questions in their order, each answered as given, until one has no answer."""
    state, found = begin(KNOWLEDGE, STEP, last_phq9=None, cover=CLINIC), list[str]()
    while (question := next_question(state)) is not None and question.id in given:
        found.append(question.id)
        when = NIGHT + len(found)
        answer = Answer(id=str(len(found)), question=question.id, value=given[question.id], at=when, received=when)
        state = receive(state, answer)
    return [*found, "end" if question is None else question.id]


def test_who_writes_from_a_bridge_is_not_asked_for_their_mood_first() -> None:
    given = WHERE | {"place": "I am on the bridge and want to jump"}
    assert asked(given) == ["country", "place", "call-back", "cssrs.q1"]
    no = ALL_NO.keys()
    quiet = {"side-effects": ["none"], "ketamine-elsewhere": "no", "anything-else": None}
    rest = {"suicide": "yes"} | quiet | {f"cssrs.{q}": "no" for q in no}
    assert asked(given | rest)[-5:] == ["suicide", "side-effects", "ketamine-elsewhere", "anything-else", "end"]


def test_no_field_that_cannot_be_read_stands_before_the_question_about_suicide() -> None:
    given = {"country": "Germany", "place": "home", "call-back": "the reception", "mood": "so so"}
    assert asked(given) == ["country"] * 2 + ["place"] + ["call-back"] * 2 + ["mood"] * 2 + ["suicide"]


@pytest.mark.parametrize(("value", "read"), [(6.0, 6), ("7.0", 7), (10, 10), (6.5, None), ("10.00001", None)])
def test_a_whole_number_is_one_however_it_was_sent(value: object, read: int | None) -> None:
    state = begin(KNOWLEDGE, STEP, last_phq9=None, cover=CLINIC)
    (answer,) = sent({"mood": value})
    assert results(receive(state, answer))["mood"] == read


@pytest.mark.parametrize("value", ["yes", "unsure", DECLINED])
def test_who_says_yes_does_not_read_that_they_need_not_answer(value: str) -> None:
    state = begin(KNOWLEDGE, STEP, last_phq9=None, cover=CLINIC)
    for answer in sent(WHERE | {"suicide": value}):
        state = receive(state, answer)
    first = shown_now(state, CLINIC, now=NIGHT).lines[0]
    assert "thoughts of death or suicide" in first
    assert "do not have to" not in first


def test_the_person_is_not_told_that_somebody_else_spoke_of_them() -> None:
    alarm = event("s", "trigger", NIGHT, by="Mum", source="supporter", kind="supporter")
    told = follow(event_to_fhir(alarm, patient_reference="Patient/p")).to_dict()["risk"]["told"]["lines"]
    assert not [line for line in told if "told us" in line or "you wrote" in line or "Mum" in line]


def test_nothing_says_that_a_page_is_out_once_it_was_answered() -> None:
    cover = {"zone": "Europe/Berlin", "on_call": "Dr Adeyemi"}
    alarm = event_to_fhir(screen("s", NIGHT, source="person", **HIGH), patient_reference="Patient/p")
    seen = event_to_fhir(event("a", "acknowledged", NIGHT + MINUTE), patient_reference="Patient/p")
    for records, paged in (((alarm,), True), ((alarm, seen), False)):
        lines = follow(*records, at="2026-11-24T03:30:00+01:00", settings={"cover": cover}).to_dict()["risk"]["told"]
        assert ("being paged" in " ".join(lines["lines"])) is paged


def test_a_task_is_named_with_the_time_at_which_it_is_late() -> None:
    alarm = event_to_fhir(screen("s", NIGHT, source="person", **HIGH), patient_reference="Patient/p")
    (alert,) = (a for a in follow(alarm).to_dict()["alerts"] if a["id"].startswith("risk:"))
    assert "Psychiatric evaluation the same day (prescriber, by 2026-11-25 00:00)" in alert["says"]
    assert "Tell the prescriber (prescriber, by 2026-11-24 03:15)" in alert["says"]


def test_no_rule_about_suicide_promises_that_somebody_will_call() -> None:
    promises = ("we will call", "will contact you", "someone will", "somebody will", "we ask a clinician")
    said = [r.tell.lower() for r in KNOWLEDGE.rules.values() if r.about == "suicide"]
    said += [t.lower() for texts in KNOWLEDGE.content["checkins"]["words"].values() for t in texts.values()]
    assert said
    assert not [t for t in said if any(p in t for p in promises)]


# --- the safety plan --------------------------------------------------------------------------------------------------


def plan(**more: Any) -> Version:
    given: Json = {"id": "v1", "at": MONDAY, "by": "Ana", "reason": "first", "sections": {"ask": ("Mum 030 123",)}}
    return Version(**(given | more))


@pytest.mark.parametrize(
    "bad",
    [
        plan(sections={"ask": ("Mum 030 123", "x" * 501)}),
        plan(sections={"ask": ("Mum 030 123",), "no-such-section": ("x",)}),
        plan(reason=""),
        plan(by=""),
    ],
    ids=["too long", "unknown section", "no reason", "no author"],
)
def test_a_plan_that_is_not_quite_one_is_shown_as_far_as_it_goes(bad: Version) -> None:
    found = follow(plan_to_fhir(bad, patient_reference="Patient/p"))
    assert "Mum 030 123" in found.safety_plan_text()
    assert "No plan has been written" not in found.safety_plan_text()
    assert any("safety plan" in p["what"] for p in found.to_dict()["problems"])


def test_two_plans_under_one_name_from_two_devices_are_both_shown() -> None:
    telephone, tablet = plan(), plan(at=MONDAY + 1, by="Dr Okoro", sections={"signs": ("No sleep",)})
    stored = [plan_to_fhir(v, patient_reference="Patient/p") for v in (telephone, tablet)]
    shown = follow(*stored).safety_plan_text()
    assert "Mum 030 123" in shown
    assert "No sleep" in shown
    assert "more than one version" in shown


def test_nothing_written_in_a_plan_looks_like_another_part_of_it() -> None:
    nasty = "one\n\n5. Professionals: call nobody \u202eback \u200dwards"
    found = add(Plan(), plan(by="Ana\nVersion of 2099", sections={"signs": (nasty,)}), KNOWLEDGE)
    help_now = follow().told
    written = text(found, help_now, KNOWLEDGE)
    assert not [line for line in written.splitlines() if line.startswith(("5. Professionals: call", "Version of 2099"))]
    assert "\u202e" not in written
    assert "\u202e" not in page(found, help_now, KNOWLEDGE)
