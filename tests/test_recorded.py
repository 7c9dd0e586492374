"""What the record holds of alarms, acts, check-ins and safety plans: stored as valid R4 and read back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import fhirkit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import Instant, instant
from adjunct.due import Done
from adjunct.fhir import Bundle, read_bundle
from adjunct.followup import checkins
from adjunct.followup.checkins import DECLINED, Answer, CheckIn, next_question, results
from adjunct.followup.recorded import (
    checkin_acts,
    missed_checkin_acts,
    risk_events,
    safety_plan,
    safety_plan_problems,
)
from adjunct.followup.risk import Level
from adjunct.followup.safety_plan import Plan, Version, add, current
from adjunct.followup.stored import (
    check_in_to_fhir,
    check_ins,
    event_to_fhir,
    plan_to_fhir,
    stored_events,
    versions,
)
from adjunct.followup.workflow import Event, replay
from adjunct.instruments import instrument
from adjunct.instruments.responses import recognised
from adjunct.knowledge import Knowledge
from adjunct.record import from_bundle

Json = dict[str, Any]
KNOWLEDGE = Knowledge.load()
NOW = instant("2026-11-23T12:00:00+01:00")
HOUR, DAY = 3_600_000, 86_400_000
P = "Patient/p"
PERSON = {"resourceType": "Patient", "id": "p"}
LOCAL, LOINC = "urn:adjunct:concept", "http://loinc.org"


def bundle(*resources: Json) -> Bundle:
    whole = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (PERSON, *resources)]}
    assert [str(i) for i in fhirkit.validate(whole)] == []
    found = read_bundle(whole)
    assert [p for p in found.problems if p.blocks] == []
    return found


def recorded(*resources: Json, now: Instant = NOW) -> tuple[Event, ...]:
    read = bundle(*resources)
    return risk_events(read, from_bundle(read, KNOWLEDGE, now=now, phase="follow-up"), KNOWLEDGE)


def state(*resources: Json, now: Instant = NOW) -> Any:
    return replay(KNOWLEDGE, recorded(*resources, now=now))


def observation(code: str, at: str, id_: str = "", *, system: str = LOCAL, **value: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": id_ or f"o-{code}".replace("_", "-"),
        "status": "final",
        "subject": {"reference": P},
        "code": {"coding": [{"system": system, "code": code}]},
        "effectiveDateTime": at,
        **value,
    }


def number(value: float) -> Json:
    return {"valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "{score}"}}


def response(name: str, answers: dict[str, object], at: str = "2026-11-23T09:00:00+01:00", **more: Any) -> Json:
    items = [
        {"linkId": link, "answer": [{"valueString": str(a)} for a in (said if isinstance(said, list) else [said])]}
        for link, said in answers.items()
    ]
    return {
        "resourceType": "QuestionnaireResponse",
        "id": f"r-{name}",
        "questionnaire": f"urn:adjunct:questionnaire:{name}|1",
        "status": "completed",
        "subject": {"reference": P},
        "authored": at,
        "item": items,
    } | more


MORNING = "2026-11-23T09:00:00+01:00"
HIGH = {"q1": "Y", "q2": "Y", "q3": "N", "q4": "Y", "q5": "N", "q6": "N"}

# --- alarms from answers and single items -----------------------------------------------------------------------------

TRIGGERS = [
    # what stands in the record, the kinds of alarm
    (response("phq9", dict.fromkeys([f"i{n}" for n in range(1, 9)], 0) | {"i9": 1}), ["phq9-item9"]),
    (response("phq9", dict.fromkeys([f"i{n}" for n in range(1, 10)], 0)), []),
    (response("phq9", {"i9": 1}, status="in-progress"), ["phq9-item9"]),  # unfinished counts as far as it goes
    (response("phq9", {"i9": 1}, status="entered-in-error"), []),
    (response("phq9", {"i1": 9, "i9": 2}), ["phq9-item9"]),  # another answer is refused, the alarm is not
    (response("phq9", {"i9": [0, 2]}), ["phq9-item9"]),  # two answers: neither hides the other
    (response("phq9", {"i1": 3}), []),  # open is not a yes
    (response("qidssr16", {"i12": 1}), ["qids-item12"]),
    (response("madrs", {"i10": 2}), []),
    (response("madrs", {"i10": 3}), ["madrs-item10"]),
    (response("hamd17", {"i3": 1}), ["hamd17-suicide"]),
    (observation("44260-8", MORNING, system=LOINC, **number(1)), ["phq9-item9"]),
    (observation("44260-8", MORNING, system=LOINC, **number(0)), []),
    (observation("qids_item12", MORNING, **number(1)), ["qids-item12"]),
    (observation("madrs_item10", MORNING, **number(2)), []),
    (observation("madrs_item10", MORNING, **number(3)), ["madrs-item10"]),
    (observation("suicide_concern", MORNING, valueBoolean=True), ["free-text"]),
    (observation("suicide_concern", MORNING, valueBoolean=False), []),
    (
        observation("suicide_concern", MORNING, valueBoolean=True, performer=[{"reference": "RelatedPerson/r"}]),
        ["supporter"],
    ),
]


@pytest.mark.parametrize(("resource", "kinds"), TRIGGERS)
def test_what_raises_an_alarm(resource: Json, kinds: list[str]) -> None:
    found = recorded(resource)
    assert [e.data["kind"] for e in found] == kinds
    assert {(e.type, e.at, e.received) for e in found} <= {("trigger", instant(MORNING).ms, instant(MORNING).ms)}


def test_one_answer_is_one_alarm_and_the_screener_is_asked() -> None:
    now = state(response("phq9", {"i9": 1}))
    (concern,) = now.concerns
    assert (concern.kind, concern.source, now.level) == ("phq9-item9", "", Level.UNKNOWN)


def test_a_screen_as_a_response_and_as_single_observations_is_the_same() -> None:
    loinc = {"q1": "93246-7", "q2": "93247-5", "q3": "93248-3", "q4": "93249-1", "q5": "93250-9", "q6": "93267-3"}
    whole = state(response("cssrs", HIGH))
    single = state(*(observation(loinc[q], MORNING, system=LOINC, valueBoolean=a == "Y") for q, a in HIGH.items()))
    for found in (whole, single):
        (concern,) = found.concerns
        assert (concern.kind, concern.level, found.level) == ("screen", Level.HIGH, Level.HIGH)
    no = dict.fromkeys(("q1", "q2", "q6"), "N")
    assert state(response("cssrs", no)).level == Level.NONE
    for open_ in ("-", "7", "na", "perhaps"):
        assert state(response("cssrs", no | {"q6": open_})).level == Level.UNKNOWN
    unsure = [observation(loinc[q], MORNING, system=LOINC, valueBoolean=False) for q in no]
    assert state(*unsure).level == Level.NONE
    assert state(*unsure[1:], unsure[0] | {"status": "preliminary"}).level == Level.UNKNOWN


def test_the_codes_of_a_published_screen_are_answers() -> None:
    coded = response("cssrs", {})
    coded["item"] = [
        {"linkId": q, "answer": [{"valueCoding": {"system": LOINC, "code": "LA33-6" if a == "Y" else "LA32-8"}}]}
        for q, a in HIGH.items()
    ]
    assert state(coded).level == Level.HIGH


def test_a_yes_beside_a_no_is_a_yes_to_be_asked_again() -> None:
    (concern,) = state(response("cssrs", HIGH | {"q4": ["N", "Y"]})).concerns
    assert (concern.level, concern.contradictions) == (Level.HIGH, ("q4",))


def test_an_evaluation_counts_with_its_name_and_its_outcome() -> None:
    outcome = {"coding": [{"system": "urn:adjunct:risk-outcome", "code": "home-with-plan"}]}
    part = {"code": {"text": "outcome"}, "valueCodeableConcept": outcome}
    who = {"performer": [{"reference": "Practitioner/o", "display": "Dr Okoro"}]}
    late = "2026-11-23T10:00:00+01:00"
    full = observation("suicide_evaluation", late, valueBoolean=True, component=[part], **who)
    (concern,) = state(response("cssrs", HIGH), full).concerns
    assert concern.done["evaluate"].note == "home-with-plan"
    for lacking in (
        observation("suicide_evaluation", late, valueBoolean=True, component=[part]),
        observation("suicide_evaluation", late, valueBoolean=True, **who),
        full | {"status": "preliminary"},
    ):
        found = state(response("cssrs", HIGH), lacking)
        assert "evaluate" not in found.concerns[0].done
        assert found.flags or lacking["status"] == "preliminary"
    seen = observation("suicide_prescriber_seen", late, valueBoolean=True, **who)
    assert {"notify", "contact-1"} <= set(state(response("cssrs", HIGH), seen).concerns[0].done)


def test_a_date_without_an_hour_is_answered_by_nothing_that_was_done_before_its_end() -> None:
    day = response("cssrs", HIGH, "2026-11-22")
    (event,) = recorded(day)
    assert event.received == instant("2026-11-22T23:59:59.999+01:00").ms
    (today,) = recorded(response("cssrs", HIGH, "2026-11-23"))
    assert today.at == today.received == NOW.ms


def test_an_act_of_a_day_does_not_answer_an_alarm_of_that_day() -> None:
    alarm = event_to_fhir(act("a", "trigger", 0, kind="free-text"), patient_reference=P)
    for sent, answered in (("2026-11-23", False), ("2026-11-22", False), ("2026-11-23T10:00:00+01:00", True)):
        confirm = event_to_fhir(act("b", "acknowledged", 1), patient_reference=P) | {"sent": sent, "received": sent}
        assert (state(alarm, confirm).concerns[0].acknowledged is not None) is answered
    for day, answered in (("2026-11-23", False), ("2026-11-23T10:00:00+01:00", True)):
        who = {"performer": [{"reference": "Practitioner/o"}]}
        seen = observation("suicide_prescriber_seen", day, valueBoolean=True, **who)
        assert ("notify" in state(response("cssrs", HIGH), seen).concerns[0].done) is answered


def test_an_alarm_dated_tomorrow_counts_now_and_one_received_tomorrow_has_not_come() -> None:
    (event,) = recorded(response("phq9", {"i9": 1}, "2026-11-24T09:00:00+01:00"))
    assert event.received == NOW.ms
    tomorrow = observation("44260-8", "2026-11-24T09:00:00+01:00", system=LOINC, **number(1))
    assert [(e.data["kind"], e.received) for e in recorded(tomorrow)] == [("phq9-item9", NOW.ms)]
    seen = {"valueBoolean": True, "performer": [{"reference": "Practitioner/o", "display": "Dr Okoro"}]}
    assert recorded(observation("suicide_prescriber_seen", "2026-11-24", **seen)) == ()  # what will be done is not done
    receipt = {"url": "urn:adjunct:received", "valueDateTime": "2026-11-24T09:00:00+01:00"}
    assert recorded(response("phq9", {"i9": 1}, extension=[receipt])) == ()
    receipt["valueDateTime"] = "2026-11-23T11:00:00+01:00"
    (late,) = recorded(response("phq9", {"i9": 1}, extension=[receipt]))
    assert (late.at, late.received) == (instant(MORNING).ms, instant("2026-11-23T11:00:00+01:00").ms)


# --- the workflow's own events ----------------------------------------------------------------------------------------

MOMENTS = st.integers(min_value=0, max_value=NOW.ms)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1, max_size=12
)
PLAIN = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | WORDS
DATA = st.dictionaries(
    WORDS,
    st.recursive(
        PLAIN,
        lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(WORDS, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)
TYPES = (
    "trigger screen level acknowledged notified escalated not-alone means evaluated contact plan decision closed "
    "correction"
).split()
EVENTS = st.builds(
    Event,
    id=WORDS,
    at=MOMENTS,
    received=MOMENTS,
    type=st.sampled_from(TYPES),
    by=st.just("") | WORDS,
    source=st.just("") | WORDS,
    data=DATA,
)


@given(EVENTS)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert stored_events(bundle(event_to_fhir(event, patient_reference=P)), now=NOW) == (event,)


def act(name: str, type_: str, hour: int, /, **data: Any) -> Event:
    at = instant(MORNING).ms + hour * HOUR
    return Event(id=name, at=at, received=at, type=type_, by="Iris", source="clinician", data=data)


def test_a_stored_story_is_the_same_story() -> None:
    screen = {"q1": "yes", "q2": "yes", "q3": "no", "q4": "yes", "q5": "no", "q6": "no"}
    story = (
        act("a", "screen", 0, screen="s", answers=screen),
        act("b", "acknowledged", 1),
        act("c", "evaluated", 2, outcome="home-with-plan"),
        act("d", "correction", 2, of="c", data={"outcome": "admitted"}),
        act("e", "trigger", 2, kind="supporter"),
    )
    kept = [event_to_fhir(e, patient_reference=P) for e in story]
    assert kept[3]["inResponseTo"][0]["identifier"] == {"system": "urn:adjunct:risk-event", "value": "c"}
    assert len({k["id"] for k in kept}) == len(kept)
    again = state(*reversed(kept))
    assert again == replay(KNOWLEDGE, story)
    assert again.concerns[0].done["evaluate"].note == "admitted"
    assert state(*kept, now=Instant(story[1].received)).acts == again.acts[:1]  # what came later has not come yet


def test_an_alarm_marked_as_an_error_stays_and_an_act_does_not() -> None:
    alarm = event_to_fhir(act("a", "trigger", 0, kind="free-text"), patient_reference=P)
    confirm = event_to_fhir(act("b", "acknowledged", 1), patient_reference=P)
    assert state(alarm, confirm).concerns[0].acknowledged is not None
    wrong = state(alarm | {"status": "entered-in-error"}, confirm)
    assert [c.kind for c in wrong.open] == ["free-text"]
    assert "a correction needs a name" in wrong.flags[0].why
    assert state(alarm, confirm | {"status": "entered-in-error"}).concerns[0].acknowledged is None
    assert state(alarm, confirm | {"status": "preparation"}).concerns[0].acknowledged is None


def test_an_alarm_whose_data_cannot_be_read_is_still_one() -> None:
    alarm = event_to_fhir(act("a", "trigger", 0, kind="free-text"), patient_reference=P)
    for broken in ("bm90IGpzb24=", "WzFd"):  # "not json", "[1]"
        alarm["payload"][1]["contentAttachment"]["data"] = broken
        assert [c.level for c in state(alarm).open] == [Level.UNKNOWN]
    del alarm["payload"], alarm["sent"]
    assert len(state(alarm).open) == 1


def test_a_message_of_another_kind_is_no_event() -> None:
    other = {"resourceType": "Communication", "id": "x", "status": "completed", "subject": {"reference": P}}
    assert stored_events(bundle(other), now=NOW) == ()


# --- check-ins --------------------------------------------------------------------------------------------------------

WEEKLY = "checkin:2026-11-22:weekly"
FULL: dict[str, object] = {
    "country": "DE",
    "place": "Berlin, at home",
    "call-back": "+49 30 123",
    "mood": 4,
    "suicide": "no",
    "side-effects": ("dizzy", "nausea"),
    "ketamine-elsewhere": "no",
    "anything-else": DECLINED,
} | {f"phq9.i{n}": str(n % 3) for n in range(1, 9)} | {"phq9.i9": "0"}  # fmt: skip
LAST_NIGHT = instant("2026-11-22T20:00:00+01:00").ms


def given_answers(values: dict[str, object], name: str = "s1", at: int = LAST_NIGHT) -> list[Answer]:
    return [Answer(id=name, question=q, value=v, at=at, received=at + HOUR) for q, v in values.items()]


def stored_check_in(answers: list[Answer]) -> tuple[Json, ...]:
    return check_in_to_fhir(answers, check_in=WEEKLY, patient_reference=P, knowledge=KNOWLEDGE)


def read_again(answers: list[Answer]) -> CheckIn:
    (found,) = check_ins(bundle(*stored_check_in(answers)), KNOWLEDGE, now=NOW)
    return found


def acts_of(answers: list[Answer]) -> tuple[Done, ...]:
    read = bundle(*stored_check_in(answers))
    return checkin_acts(read, from_bundle(read, KNOWLEDGE, now=NOW, phase="follow-up"), KNOWLEDGE)


QUESTIONS = [*FULL, *(f"cssrs.{i}" for i in ("q1", "q2", "q6")), "strange"]


def value(question: str) -> st.SearchStrategy[object]:
    if question == "side-effects":
        return st.lists(st.sampled_from(["dizzy", "bladder", "none"]), min_size=1, max_size=3).map(tuple)
    return st.none() | st.just(DECLINED) | st.integers(0, 20) | WORDS | st.sampled_from(["no", "yes", "unsure", "2"])


ANSWERS = st.sampled_from(QUESTIONS).flatmap(
    lambda q: st.builds(
        Answer,
        id=st.sampled_from(["s1", "s2"]),
        question=st.just(q),
        value=value(q).map(lambda v: str(v) if isinstance(v, int) and q.startswith(("phq9", "cssrs")) else v),
        at=st.sampled_from([LAST_NIGHT, LAST_NIGHT + HOUR]),
        received=st.sampled_from([LAST_NIGHT + HOUR, LAST_NIGHT + DAY // 2]),
    )
)


@given(st.lists(ANSWERS, min_size=1, max_size=12))
def test_answers_of_a_check_in_come_back_as_they_were(answers: list[Answer]) -> None:
    fresh = CheckIn(knowledge=KNOWLEDGE, id=WEEKLY, set="weekly", phq=False)
    for answer in answers:
        fresh = checkins.receive(fresh, answer)
    again = read_again(answers)
    assert again.answers == fresh.answers
    assert (again.id, again.set) == (WEEKLY, "weekly")
    assert checkins.events(again) == checkins.events(fresh)


def test_a_full_check_in_is_over_when_read_again_and_covers_its_step() -> None:
    again = read_again(given_answers(FULL))
    assert results(again) == results(again) | {"mood": 4, "side-effects": ("dizzy", "nausea"), "suicide": "no"}
    assert next_question(again) is None
    (act_,) = acts_of(given_answers(FULL))
    assert (act_.what, act_.step, act_.at) == ("checkin", WEEKLY, LAST_NIGHT)
    for open_ in ({"country": "DE", "mood": 3}, {"suicide": "perhaps"}, {"suicide": None}):
        assert acts_of(given_answers(open_)) == ()  # the question that matters is open
    assert acts_of(given_answers(FULL, at=NOW.ms)) == ()  # received after now: it has not arrived


def test_the_questionnaire_in_a_check_in_is_a_response_of_its_own_that_every_record_reads() -> None:
    own, phq = stored_check_in(given_answers(FULL))
    assert (own["questionnaire"], phq["questionnaire"]) == (
        "urn:adjunct:questionnaire:check-in|1",
        "urn:adjunct:questionnaire:phq9|1",
    )
    assert recognised(phq, KNOWLEDGE, {}).whole == ("phq9",)
    assert phq["item"][8]["answer"][0]["valueCoding"]["code"] == "LA6568-5"
    read = bundle(own, phq)
    record = from_bundle(read, KNOWLEDGE, now=NOW, phase="follow-up")
    number_ = KNOWLEDGE.vocabulary.concepts["phq9"]
    assert [record.events.value[r] for r in range(*record.events.starts[number_ : number_ + 2])] == [
        sum(int(str(v)) for q, v in FULL.items() if q.startswith("phq9"))
    ]
    short = stored_check_in(given_answers({"phq9.i1": "0", "phq9.i2": "1"}))
    assert [s["questionnaire"] for s in short] == ["urn:adjunct:questionnaire:phq2|1"]
    assert len(instrument(KNOWLEDGE, "phq2").items) == 2


def test_a_question_answered_twice_stands_in_two_responses() -> None:
    twice = [*given_answers({"mood": 4, "phq9.i9": "0"}), *given_answers({"mood": 5, "phq9.i9": "1"})]
    for each in stored_check_in(twice):
        links = [item["linkId"] for item in each["item"]]
        assert len(links) == len(set(links)) == 1
    assert [e.data["kind"] for e in recorded(*stored_check_in(twice))] == ["phq9-item9"]


def test_alarms_of_a_check_in_reach_the_workflow_once() -> None:
    for changed, kinds in (
        ({"suicide": "yes"}, {"check-in"}),
        ({"suicide": DECLINED}, {"check-in"}),
        ({"phq9.i9": "1"}, {"phq9-item9"}),
        ({"anything-else": "I want to kill myself"}, {"free-text"}),
        ({"strange": "I want to kill myself"}, {"free-text"}),
        ({}, set()),
    ):
        found = recorded(*stored_check_in(given_answers(FULL | changed)))
        assert {e.data["kind"] for e in found if e.type == "trigger"} == kinds, changed
        assert len(found) == len(kinds)
        assert all(e.received == LAST_NIGHT + HOUR for e in found)


def test_the_screener_in_a_check_in_belongs_to_its_alarm() -> None:
    values = FULL | {"suicide": "yes", "cssrs.q1": "yes", "cssrs.q2": "yes", "cssrs.q3": "no"}
    values |= {"cssrs.q4": "yes", "cssrs.q5": "no", "cssrs.q6": "no"}
    now = state(*stored_check_in(given_answers(values)))
    assert now.level == Level.HIGH
    assert sorted(c.kind for c in now.concerns) == ["check-in", "screen"]


def test_what_was_sent_is_read_even_from_a_form_that_names_no_check_in() -> None:
    (own, *_) = stored_check_in(given_answers({"suicide": "yes"}))
    del own["identifier"], own["extension"]
    assert [e.data["kind"] for e in recorded(own)] == ["check-in"]


def test_speaking_with_the_person_answers_a_missed_check_in_and_trying_does_not() -> None:
    events = [act(name, "contact", hour, result=name) for hour, name in enumerate(("failed", "made"))]
    (found,) = missed_checkin_acts(bundle(*(event_to_fhir(e, patient_reference=P) for e in events)), KNOWLEDGE)
    assert (found.what, found.at) == ("missed-checkin", events[1].at)
    events.append(act("c", "correction", 2, of="made", withdrawn=True))
    assert missed_checkin_acts(bundle(*(event_to_fhir(e, patient_reference=P) for e in events)), KNOWLEDGE) == ()


# --- safety plan ------------------------------------------------------------------------------------------------------

FIRST = Version(
    id="v1",
    at=LAST_NIGHT,
    by="Dana",
    reason="first writing",
    sections={"signs": ("I stop answering messages", "No sleep"), "ask": ("Lena, 030 55 12",)},
)
SECOND = Version(
    id="v2",
    at=LAST_NIGHT + HOUR,
    by="Iris",
    reason="number changed",
    after=("v1",),
    sections={"ask": ("Lena, 030 55 13",), "surroundings": ("Tablets are with Lena",)},
    language="de",
)


def plan(*versions: Version) -> Plan:
    whole = Plan()
    for version in versions:
        whole = add(whole, version, KNOWLEDGE)
    return whole


def test_every_version_of_a_safety_plan_is_kept() -> None:
    kept = [plan_to_fhir(v, patient_reference=P) for v in (FIRST, SECOND)]
    assert kept[0]["id"] != kept[1]["id"]
    found, problems = versions(bundle(*reversed(kept)), KNOWLEDGE, now=NOW)
    assert (found, problems) == (plan(FIRST, SECOND), ())
    now = current(found)
    assert now is not None
    assert now.version == SECOND
    assert safety_plan(bundle(*kept), KNOWLEDGE, now=Instant(FIRST.at)) == plan(FIRST)
    assert safety_plan(bundle(*kept), KNOWLEDGE) == plan(FIRST, SECOND)
    assert json.dumps(kept[0]) == json.dumps(plan_to_fhir(FIRST, patient_reference=P))


SECTIONS = [s["id"] for s in KNOWLEDGE.content["workflow"]["safety_plan"]["section"]]


@given(
    st.builds(
        Version,
        id=WORDS,
        at=MOMENTS,
        by=WORDS,
        reason=WORDS,
        sections=st.dictionaries(st.sampled_from(SECTIONS), st.lists(WORDS, min_size=1, max_size=3).map(tuple)),
        after=st.lists(WORDS, max_size=2).map(tuple),
        language=st.sampled_from(["en", "es", "de"]),
    )
)
def test_a_version_comes_back_as_it_was(version: Version) -> None:
    found, problems = versions(bundle(plan_to_fhir(version, patient_reference=P)), KNOWLEDGE, now=NOW)
    assert (found.versions, problems) == ((version,), ())


def test_a_plan_that_cannot_be_read_is_said_and_hides_nothing() -> None:
    good, bad = plan_to_fhir(FIRST, patient_reference=P), plan_to_fhir(SECOND, patient_reference=P)
    bad["item"].append({"linkId": "no-such-section", "answer": [{"valueString": "x"}]})
    shown = safety_plan(bundle(good, bad), KNOWLEDGE, now=NOW)
    assert shown.versions == (
        FIRST,
        replace(SECOND, after=()),
    )  # what can be read stands beside it and replaces nothing
    (problem,) = safety_plan_problems(bundle(good, bad), KNOWLEDGE)
    assert "no such section" in problem.what
    withdrawn = plan_to_fhir(SECOND, patient_reference=P) | {"status": "entered-in-error"}
    assert safety_plan(bundle(good, withdrawn), KNOWLEDGE).versions == (FIRST,)
