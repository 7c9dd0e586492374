"""What a review of privacy and kindness found: messages, consent, labels, the first question, the routine."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

import adjunct
from adjunct.base import NO, YES, BadInput, instant
from adjunct.clinic import Clinic
from adjunct.demo import bundle_path, until
from adjunct.fhir import read_bundle
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.messages import read_message
from adjunct.planning import Planned
from adjunct.planning.model import CarePlan, Status, Told
from adjunct.planning.outgoing import Outgoing, contact_of, messages
from adjunct.planning.request import asked
from adjunct.planning.team import Access, team_of
from adjunct.record import from_bundle, reader_of
from adjunct.routine import choices_of
from adjunct.routine.limits import truths

KNOWLEDGE = Knowledge.load()
CLINIC = tomllib.loads(bundle_path("mara-clinic.toml").read_text())
ORDER = tomllib.loads(bundle_path("mara-order.toml").read_text())
BETWEEN = "2026-07-28T12:00:00-05:00"  # the day after a session, the next one is two weeks ahead
Json = dict[str, Any]


def mara(at: str, *, start: str = "2026-06-01", order: Mapping[str, Any] = ORDER, **patient: Any) -> Planned:
    bundle = until(json.loads(bundle_path("mara-story.json").read_text()), at)
    people = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    people[0].update(patient)
    return adjunct.plan(
        bundle, protocol="esketamine-trd", start=start, at=at, country="US", clinic=CLINIC, order=order, language="en"
    )


def to_come(planned: Planned, plan: CarePlan | None = None) -> list[Outgoing]:
    contact, cover = planned.beside.preferences.contact, planned.case.clinic.cover
    found = messages(plan or planned.plan, planned.acts, contact=contact, cover=cover, knowledge=KNOWLEDGE)
    return [m for m in found if m.expires > planned.plan.at.ms]


def kinds(planned: Planned, plan: CarePlan | None = None, to: tuple[str, ...] = ("person", "supporter")) -> set[str]:
    return {m.template for m in to_come(planned, plan) if m.to in to}


# --- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("died", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026-07-27"}])
def test_nothing_is_planned_for_somebody_who_died_so_nobody_is_written_to(died: Json) -> None:
    assert {"checkin", "reminder-last"} <= kinds(mara(BETWEEN, deceasedBoolean=False))
    with pytest.raises(BadInput, match="has died"):
        mara(BETWEEN, **died)


def test_in_a_course_people_are_reminded_though_something_is_open_before_every_visit() -> None:
    planned = mara(BETWEEN)
    assert planned.plan.open
    waiting = replace(planned.plan, status=Status.WAITING)  # as a finding that defers makes it
    assert {"reminder-first", "prepare"} <= kinds(planned, waiting)
    assert {"reminder-first", "prepare", "ride", "ride-supporter"} <= kinds(planned)
    stop = Told(id="stop:pregnancy", title="t", says="s")
    assert "reminder-first" not in kinds(planned, replace(planned.plan, open=(*planned.plan.open, stop)))


def test_before_the_first_dose_what_is_open_makes_every_visit_a_proposal() -> None:
    planned = mara("2026-05-11T10:55:00-05:00", order={})
    assert planned.plan.status is Status.WAITING
    assert not {"reminder-first", "prepare", "ride"} & kinds(planned)


@pytest.mark.parametrize("status", [Status.WAITING, Status.ACTIVE])
def test_who_took_consent_back_is_not_reminded_of_a_dose(status: Status) -> None:
    back = {"id": "w", "at": "2026-07-27T19:00:00-05:00", "by": "Mara", "version": "any"}
    planned = mara(BETWEEN, order={**ORDER, "consent": {"withdrawn": [back]}})
    assert "consent:withdrawn" in {told.id for told in planned.plan.open}
    found = kinds(planned, replace(planned.plan, status=status))
    assert "checkin" in found  # all other care goes on
    assert not {"reminder-first", "reminder-last", "prepare", "ride", "ride-supporter"} & found


def test_after_the_end_nobody_is_invited_to_look_back_at_a_next_appointment() -> None:
    planned = mara(BETWEEN)
    assert "review" in kinds(planned)
    assert "review" not in kinds(planned, replace(planned.plan, status=Status.STOPPED))


def test_a_questionnaire_is_not_asked_long_before_it_is_wanted_and_a_late_plan_still_asks() -> None:
    early = mara("2026-05-11T10:55:00-05:00", order={}, start="2026-08-03")
    day = early.case.clinic.cover.local
    waiting = [m for m in to_come(early) if m.template == "questionnaire"]
    asked_for = {m.why[0]: day(m.not_before).date().isoformat() for m in waiting}
    assert asked_for["auditc.baseline"] == "2026-07-13"  # two weeks before it is wanted; it may be a year old
    record, now = bundle_path("ana-first-visit.json"), "2026-11-21T09:00:00-06:00"
    late = adjunct.plan(record, protocol="esketamine-trd", start="2026-11-23", at=now, country="US", clinic=CLINIC)
    (text,) = (m.text for m in to_come(late) if m.why == ("isi.baseline",))
    assert "by Monday 23 November 2026" in text  # it was wanted a week before the first visit: that day is not named


@pytest.mark.parametrize("wrong", ["08:30Z", "08:30+02:00", "24:00", "8"])
def test_quiet_hours_are_plain_times_of_day(wrong: str) -> None:
    with pytest.raises(BadInput, match="not a time of day"):
        contact_of({"quiet_from": "20:00", "quiet_to": wrong})


# --- the team ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    "7oh|7-OH tabs|came in drunk|borracho|blackout last night|urine screen positive|UDS due|AUD in remission|"
    "an AA meeting|rehab|withdrawing|crystal meth|THC|porro|metadona|heroína|phenibut|smoke shop|fuma mucho".split("|"),
)
def test_plain_words_for_substance_use_carry_its_label(text: str) -> None:
    access = Access(knowledge=KNOWLEDGE, now=0)
    assert "substance-use" in access.labels_of(text, base=["general"])
    assert not access.sees("primary-care", access.labels_of(text, base=["general"]))


@pytest.mark.parametrize("text", ["wants to die", "self harm", "plan to jump", "quiere morir", "item 9 is 3"])
def test_plain_words_for_suicide_carry_its_label(text: str) -> None:
    assert "suicide-risk" in Access(knowledge=KNOWLEDGE, now=0).labels_of(text, base=["general"])


@pytest.mark.parametrize("text", ["Suddenly better", "Independent at home, met him on Monday", "Sodium 138"])
def test_words_that_only_look_like_it_carry_none(text: str) -> None:
    assert Access(knowledge=KNOWLEDGE, now=0).labels_of(text, base=["general"]) == {"general"}


def test_two_entries_of_one_id_are_refused_with_their_place() -> None:
    message = {"id": "m", "at": BETWEEN, "by": "I", "role": "nurse", "text": "hello", "labels": ["general"]}
    thread = {"title": "t", "labels": ["general"], "roles": ["nurse"], "message": [message]}
    with pytest.raises(BadInput, match=r"one id.*team\.thread\.message"):
        team_of({"thread": [thread | {"id": "a"}, thread | {"id": "b"}]}, KNOWLEDGE)
    referral = {"id": "r", "from": "prescriber", "to": "therapist"}
    with pytest.raises(BadInput, match=r"one id.*team\.referral"):
        team_of({"referral": [referral, referral]}, KNOWLEDGE)


# --- the first question -----------------------------------------------------------------------------------------------

CALM: Json = {"country": "ES", "red-flags": "none", "suicide": "no", "kratom": "never"}


def request(given: Mapping[str, Any], language: str = "en") -> Any:
    cover = Cover(zone="Europe/Madrid")
    return asked(given, KNOWLEDGE, name="r", now=instant(BETWEEN).ms, language=language, cover=cover)


@pytest.mark.parametrize(
    ("line", "level", "early"),
    [
        ("7-OH tabs from the smoke shop, 2 a day", "soon", {"listed-kratom", "not-suddenly"}),
        ("tianna pills from the gas station", "soon", {"listed-kratom", "not-suddenly"}),
        ("alcohol, 12 beers a day", "routine", {"not-suddenly"}),
        ("xanax from a friend", "routine", {"not-suddenly"}),
        ("ketamine troches 300 mg, last night", "soon", {"ketamine-at-home"}),
        ("no kratom", "routine", set()),
        ("vitamin D", "routine", set()),
    ],
)
def test_what_is_on_the_list_is_answered_as_if_it_had_been_asked(line: str, level: str, early: set[str]) -> None:
    triage = request(CALM | {"medicines": [line]}).triage
    assert (triage.level, {e.id for e in triage.early}) == (level, early)


def test_an_answer_that_cannot_be_read_hides_no_alarm_and_no_language() -> None:
    with pytest.raises(BadInput) as caught:
        request(CALM | {"red-flags": ["chest", "strange"]}, language="es")
    assert any("Llame ahora al 112" in said for said in caught.value.advice)
    with pytest.raises(BadInput) as caught:
        request(CALM | {"suicide": "yes", "call-back": "none"}, language="es")
    assert any("024" in said for said in caught.value.advice)  # the crisis line of the country


def test_an_endless_list_is_read_as_far_as_anybody_takes_things_and_says_so() -> None:
    made = request(CALM | {"medicines": [f"thing {n}" for n in range(5_000)]})
    most = round(KNOWLEDGE.number("request.items.most"))
    assert made.triage.open[-1].startswith(f"The list of what is taken goes on after {most} lines")
    taken = [e for e in made.to_bundle()["entry"] if e["resource"]["resourceType"] == "MedicationStatement"]
    assert len(taken) == most


@pytest.mark.parametrize("text", ["Mi tía", "María", "Mi tia Maria me lleva", "Marie", "Jerry"])
def test_a_relative_or_a_name_is_no_red_flag(text: str) -> None:
    assert read_message(KNOWLEDGE, text, country="ES").level == "none"


@pytest.mark.parametrize("text", ["I had a TIA yesterday", "possible TIA", "hatte eine TIA"])
def test_a_stroke_by_its_short_name_still_is(text: str) -> None:
    assert read_message(KNOWLEDGE, text, country="ES").level == "emergency"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("xanax from a friend", "current"),
        ("wine with friends", "current"),
        ("vino con amigos", "current"),
        ("Wein mit Freunden", "current"),
        ("my friend takes xanax", "not-taken"),
        ("my husband's oxycodone", "not-taken"),
    ],
)
def test_what_came_from_a_friend_is_taken_all_the_same(text: str, status: str) -> None:
    assert reader_of(KNOWLEDGE).read(text).status == status


# --- the routine ------------------------------------------------------------------------------------------------------


def noted(concept: str, when: str) -> Mapping[str, int]:
    """The limits of somebody with one thing on record."""
    coding = [{"system": "urn:adjunct:concept", "code": concept}]
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1980-01-01"}
    finding = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"coding": coding}}
    finding |= {"subject": {"reference": "Patient/p"}, "effectiveDateTime": when, "valueBoolean": True}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (patient, finding)]}
    record = from_bundle(read_bundle(bundle), KNOWLEDGE, now=instant(BETWEEN), phase="follow-up")
    return truths(record, KNOWLEDGE, {"exertion-warning": NO, "falls": NO}, last_bp=None)


@pytest.mark.parametrize(
    ("concept", "limit", "when", "holds"),
    [
        ("chest_pain", "exertion-warning", "2026-07-10", True),
        ("collapse", "exertion-warning", "2026-07-10", True),
        ("chest_pain", "exertion-warning", "2026-05-01", False),
        ("fall", "falls", "2026-03-01", True),
        ("fall", "falls", "2025-03-01", False),
        ("command_voices", "psychosis", "2026-03-01", True),
    ],
)
def test_what_happened_lately_limits_today_whatever_was_answered(
    concept: str, limit: str, when: str, holds: bool
) -> None:
    assert (noted(concept, when)[limit] == YES) is holds


def test_what_is_offered_is_not_the_same_thing_three_times() -> None:
    found = adjunct.suggest(bundle_path("ana-first-visit.json"), at="2026-11-21T09:00:00-06:00")
    kinds_offered = [offer.domain for offer in found.offers]
    assert len(kinds_offered) > 1
    assert len(set(kinds_offered)) == len(kinds_offered)


@pytest.mark.parametrize("wrong", [[], {}, ["no"], 1, None])
def test_an_answer_that_is_no_word_is_refused(wrong: object) -> None:
    with pytest.raises(BadInput, match="not an answer"):
        choices_of({"answers": {"trauma": wrong}}, KNOWLEDGE)


# --- the clinic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_number_without_a_value_is_refused(wrong: float) -> None:
    with pytest.raises(BadInput, match="finite"):
        Clinic.of({"clinic": {"observes": wrong}}, KNOWLEDGE)
