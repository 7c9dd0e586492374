"""The first question to a clinic: what is asked in which order, how urgent it is, what a record makes of it."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import adjunct
from adjunct.base import BadInput, instant
from adjunct.followup.checkins import CONTACT, DECLINED, Answer, entries, value_of
from adjunct.followup.cover import Cover, Hours
from adjunct.followup.stored import check_in_to_fhir
from adjunct.knowledge import Knowledge
from adjunct.planning.request import (
    BOOK,
    LEVELS,
    Request,
    answers_of,
    begin,
    next_question,
    read,
    receive,
    to_bundle,
    triage,
)

KNOWLEDGE = Knowledge.load()
AT = "2026-05-04T20:12:00-05:00"
NOW = instant(AT).ms
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
CLINIC = Cover(
    zone="America/Chicago",
    hours=(Hours(day="monday", opens="08:00", closes="17:00"), Hours(day="tuesday", opens="08:00", closes="17:00")),
    owners={"clinician": "Nurse Iris"},
)
WHERE = {"country": "US", "place": "Joliet", "call-back": "+1 815 555 0142"}
CALM = WHERE | {"red-flags": ["none"], "suicide": "no"}
REST: dict[str, Any] = {
    "in-your-words": "I have been low for two years",
    "seeks": ["esketamine"],
    "age-group": "adult",
    "birth-date": "1985-02-11",
    "medicines": "escitalopram 20 mg daily",
    "kratom": "never",
    "ketamine-elsewhere": "no",
    "health": ["none"],
    "treatments-before": "two-or-more",
    "treatments-which": "venlafaxine",
    "ride-home": "yes",
    "talk-language": "Spanish",
    "access": "no",
    "goal": "cook again",
}


def asked(given_: dict[str, Any], **more: Any) -> Request:
    return read(given_ | more, KNOWLEDGE, name="p", at=NOW, language="en")


def level_of(given_: dict[str, Any]) -> str:
    return triage(asked(given_), now=NOW, cover=CLINIC).level


def said(number: int, question: str, value: object) -> Answer:
    return Answer(id=str(number), question=question, value=value, at=NOW + number, received=NOW + number)


def walk(given_: dict[str, Any]) -> list[str]:
    """The questions in the order in which they come, answered as given; the first without an answer ends it."""
    state, found = begin(KNOWLEDGE, name="p"), list[str]()
    while (question := next_question(state)) is not None and question.id in given_:
        found.append(question.id)
        state = receive(state, said(len(found), question.id, given_[question.id]))
    return [*found, question.id if question else "end"]


# --- the order --------------------------------------------------------------------------------------------------------


def test_place_and_number_come_before_anything_clinical() -> None:
    order = walk(CALM | REST)
    assert order[:5] == ["country", "place", "call-back", "red-flags", "suicide"]
    assert order[-1] == "end"
    assert set(order[5:-1]) == set(REST)


def test_every_question_shows_the_emergency_number_of_where_the_person_is() -> None:
    state = begin(KNOWLEDGE, name="p")
    first = next_question(state)
    assert first is not None
    assert first.id == "country"
    assert "112 works from mobiles" in first.notice  # no country is a default
    state = receive(state, said(1, "country", "es"))
    second = next_question(state)
    assert second is not None
    assert "112" in second.notice
    assert "911" not in second.notice


@pytest.mark.parametrize(
    ("answers", "comes", "stays_away"),
    [
        ({"kratom": "daily"}, "kratom-last-time", None),
        ({"kratom": "never"}, None, "kratom-last-time"),
        ({"kratom": DECLINED}, None, "kratom-last-time"),
        ({"age-group": "under-18"}, "adult-you-trust", "treatments-before"),
        ({"age-group": "adult"}, "treatments-before", "adult-you-trust"),
        ({"age-group": DECLINED}, "treatments-before", "adult-you-trust"),  # unknown is not under age, nor of age
    ],
)
def test_an_answer_opens_its_own_questions(answers: dict[str, Any], comes: str | None, stays_away: str | None) -> None:
    more = {"kratom-product": "capsules", "kratom-last-time": "past-week", "adult-you-trust": "my aunt"}
    order = walk(CALM | REST | more | answers)
    assert order[-1] == "end"
    assert comes is None or comes in order
    assert stays_away not in order


@pytest.mark.parametrize("alarm", [{"red-flags": ["chest"]}, {"place": "I cannot breathe"}])
def test_after_an_emergency_nothing_clinical_is_asked(alarm: dict[str, Any]) -> None:
    assert walk(WHERE | alarm) in (["country", "place", "call-back", "red-flags", "end"], [*CONTACT, "end"])


def test_thoughts_of_suicide_bring_the_screener_next() -> None:
    assert walk(CALM | {"suicide": "yes"})[-1] == "cssrs.q1"


# --- how urgent -------------------------------------------------------------------------------------------------------

NO_SCREEN = {"cssrs.q1": "no", "cssrs.q2": "no", "cssrs.q6": "no"}
LEVELS_TABLE: list[tuple[dict[str, Any], str, str]] = [
    # answers, level, why
    ({}, "routine", ""),
    ({"red-flags": DECLINED}, "same-day", "open:red-flags"),
    ({"suicide": DECLINED}, "same-day", "open:suicide"),
    ({"red-flags": ["chest"]}, "emergency", "said:chest"),
    ({"red-flags": ["jaundice"]}, "same-day", "said:jaundice"),
    ({"red-flags": ["jaundice", "seizure"]}, "emergency", "said:seizure"),
    ({"suicide": "yes"}, "same-day", "suicide:UNKNOWN"),
    ({"suicide": "unsure"}, "same-day", "suicide:UNKNOWN"),
    ({"suicide": "yes", "cssrs.q1": "yes", "cssrs.q2": "no", "cssrs.q6": "no"}, "soon", "suicide:LOW"),
    (
        {"suicide": "yes", "cssrs.q1": "yes", "cssrs.q2": "yes", "cssrs.q3": "yes", "cssrs.q4": "no", "cssrs.q5": "no"}
        | {"cssrs.q6": "no"},
        "same-day",
        "suicide:MODERATE",
    ),
    ({"suicide": "yes", "cssrs.q1": "yes", "cssrs.q2": "yes", "cssrs.q4": "yes"}, "emergency", "suicide:HIGH"),
    ({"suicide": "yes", "cssrs.q2": "yes", "cssrs.q4": DECLINED}, "emergency", "suicide:UNFINISHED"),
    ({"in-your-words": "I took all my pills"}, "emergency", "said:overdose"),
    ({"medicines": ["diazepam", "I cannot breathe"]}, "emergency", ""),
    ({"in-your-words": "Ya no quiero vivir"}, "same-day", "suicide:UNKNOWN"),
    ({"kratom": "daily"}, "soon", "early:kratom-daily"),
    ({"kratom": "some-days"}, "routine", ""),
    ({"kratom": DECLINED}, "routine", ""),
    ({"ketamine-elsewhere": "past-day"}, "soon", "early:ketamine-at-home"),
    ({"health": ["pregnant"]}, "soon", "early:pregnant"),
    ({"health": ["blood-pressure"]}, "routine", ""),
    ({"age-group": "under-18"}, "soon", "early:under-age"),
    ({"seeks": ["kratom-help"]}, "soon", "early:kratom-help"),
]


@pytest.mark.parametrize(("answers", "level", "why"), LEVELS_TABLE)
def test_level(answers: dict[str, Any], level: str, why: str) -> None:
    found = triage(asked(CALM | REST | answers), now=NOW, cover=CLINIC)
    assert found.level == level
    assert not why or why in found.because


@pytest.mark.parametrize(
    ("level", "answers", "late"),
    [
        ("emergency", {"red-flags": ["chest"]}, 15 * MINUTE),
        ("same-day", {"red-flags": ["jaundice"]}, 4 * HOUR),
        ("soon", {"kratom": "daily"}, 2 * DAY),
        ("routine", {}, 7 * DAY),
    ],
)
def test_every_level_has_an_owner_and_a_clock_from_receipt(level: str, answers: dict[str, Any], late: int) -> None:
    found = triage(asked(CALM | REST | answers), now=NOW + 3 * HOUR, cover=CLINIC)
    step = found.steps[0]
    assert (found.level, step.owner, step.window.opens, step.window.overdue) == (level, "Nurse Iris", NOW, NOW + late)


def test_what_was_not_answered_is_open_and_not_no() -> None:
    found = triage(asked(WHERE), now=NOW, cover=CLINIC)
    assert (found.level, set(found.because)) == ("soon", {"open:red-flags", "open:suicide"})
    names = [n for n in KNOWLEDGE.content[BOOK]["set"][0]["questions"] if n not in CONTACT]
    always = [n for n in names if "when" not in entries(KNOWLEDGE, BOOK)[n]]
    assert len(found.open) == len(always)


@pytest.mark.parametrize(
    ("born", "minor"),
    [
        ("2008-05-06", True),  # of age in two days
        ("2008-05-05", True),  # today, in some places: doubt stays on the careful side
        ("2008-05-03", False),
        ("2008", True),  # a birthday some time this year
        ("2007", False),
        ("2008-02-29", False),
        ("2030-01-01", False),  # cannot be: asked again
        (DECLINED, False),
    ],
)
def test_under_age_by_birth_date(born: str, minor: bool) -> None:
    found = triage(asked(CALM | REST | {"birth-date": born}), now=NOW, cover=CLINIC)
    assert ("under-age" in {e.id for e in found.early}) is minor
    assert any("birth date" in text for text in found.open) is (born in ("2030-01-01", DECLINED))


def test_a_young_person_reads_youth_lines_and_an_adult_does_not() -> None:
    young = triage(asked(CALM | REST | {"age-group": "under-18"}), now=NOW, cover=CLINIC)
    adult = triage(asked(CALM | REST), now=NOW, cover=CLINIC)
    assert {"emergency", "suicide", "youth"} == {c.purpose for c in young.told.contacts}
    assert {"emergency", "suicide"} == {c.purpose for c in adult.told.contacts}


@pytest.mark.parametrize(("now", "words"), [(AT, "Nobody here reads"), ("2026-05-05T09:00:00-05:00", "")])
def test_who_reads_it_when_is_said_and_nothing_is_promised(now: str, words: str) -> None:
    found = triage(asked(CALM | REST), now=instant(now).ms, cover=CLINIC)
    text = " ".join(found.told.lines)
    assert words in text
    assert "911" in text
    assert "will call" not in text


def test_daily_use_of_kratom_is_never_told_to_stop() -> None:
    found = triage(asked(CALM | REST | {"kratom": "daily"}), now=NOW, cover=CLINIC)
    tell = next(e.tell.text for e in found.early if e.id == "kratom-daily")
    assert "do not stop" in tell


def test_every_text_for_the_person_is_there_in_spanish() -> None:
    state = read(CALM | REST | {"health": ["heart"]}, KNOWLEDGE, name="p", at=NOW, language="es")
    found = triage(state, now=NOW, cover=CLINIC)
    assert {e.tell.language for e in found.early} == {"es"}
    assert state.questions["health"].text.startswith("¿")
    assert next(text for value, text in state.questions["age-group"].options if value == "adult") == "18 años o más"


# --- nothing takes an alarm back --------------------------------------------------------------------------------------

POOL: list[tuple[str, object]] = [
    *[("red-flags", v) for v in (["none"], ["chest"], ["jaundice"], DECLINED, None)],
    *[("suicide", v) for v in ("no", "yes", DECLINED)],
    *[(f"cssrs.q{n}", v) for n in (1, 2, 4, 6) for v in ("no", "yes")],
    *[("in-your-words", v) for v in ("I took all my pills", "hello", "")],
    *[("country", v) for v in ("US", "zz9")],
    *[("kratom", v) for v in ("daily", "never")],
    ("no-such-question", "I cannot breathe"),
]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(POOL), max_size=6), st.lists(st.sampled_from(POOL), max_size=6), st.randoms())
def test_a_later_answer_never_lowers_an_emergency_and_order_of_arrival_does_not_matter(
    first: list[tuple[str, object]], later: list[tuple[str, object]], chance: Any
) -> None:
    state, numbered = begin(KNOWLEDGE, name="p"), [said(n, *each) for n, each in enumerate([*first, *later])]
    for answer in numbered[: len(first)]:
        state = receive(state, answer)
    before = triage(state, now=NOW, cover=CLINIC).level
    shuffled = numbered[:]
    chance.shuffle(shuffled)
    other = begin(KNOWLEDGE, name="p")
    for answer in numbered[len(first) :]:
        state = receive(state, answer)
    for answer in shuffled:
        other = receive(other, answer)
    after = triage(state, now=NOW, cover=CLINIC)
    assert other.answers == state.answers
    assert triage(other, now=NOW, cover=CLINIC).level == after.level
    assert before != "emergency" or after.level == "emergency"
    assert LEVELS.index(after.level) <= LEVELS.index("soon") or not {"open:red-flags"} & set(after.because)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(POOL), max_size=8))
def test_no_clinical_question_before_place_and_number(answers: list[tuple[str, object]]) -> None:
    state = begin(KNOWLEDGE, name="p")
    for number, each in enumerate(answers):
        state = receive(state, said(number, *each))
    question = next_question(state)
    open_ = [n for n in CONTACT if value_of(state, n) is None and sum(a.question == n for a in state.answers) < 2]
    if open_:
        assert question is not None
        assert question.id == open_[0]
    if question is not None:
        assert question.notice


# --- as a record ------------------------------------------------------------------------------------------------------


def assessed(answers: dict[str, Any], **more: Any) -> adjunct.assessment.Assessment:  # type: ignore[name-defined]
    bundle = to_bundle(asked(CALM | REST | answers))
    return adjunct.assess(bundle, treatment="esketamine-nasal", at=AT, knowledge=KNOWLEDGE, **more)


@pytest.mark.parametrize(
    "health",
    [[o["value"]] for o in entries(KNOWLEDGE, BOOK)["health"]["options"]] + [["aneurysm", "pregnant", "psychosis"]],
)
def test_what_a_person_names_asks_and_never_decides(health: list[str]) -> None:
    result = assessed({"health": health})
    assert result.verdict == "DEFER"
    assert "NOT_ELIGIBLE" not in {f.verdict for f in result.findings}


def test_an_alarm_in_a_request_reaches_assessment_and_follow_up() -> None:
    high = {"suicide": "yes", "cssrs.q1": "yes", "cssrs.q2": "yes", "cssrs.q4": "yes"}
    assert assessed(high).verdict == "ESCALATE"
    bundle = to_bundle(asked(CALM | REST | high))
    assert adjunct.follow(bundle, at=AT, knowledge=KNOWLEDGE).to_dict()["risk"]["level"] == "HIGH"
    chest = to_bundle(asked(CALM | REST | {"red-flags": ["chest"]}))
    told = adjunct.follow(chest, at=AT, knowledge=KNOWLEDGE).alerts
    assert any("911" in str(alert["tell"]) for alert in told)


def test_what_is_taken_is_read_in_the_persons_words() -> None:
    bundle = to_bundle(asked(CALM | REST | {"kratom": "some-days", "kratom-last-time": "past-week"}))
    result = adjunct.assess(bundle, treatment="esketamine-nasal", at=AT, knowledge=KNOWLEDGE)
    found = {f.id for f in result.findings}
    assert "keep-the-antidepressant" in found
    assert "kratom-product-unknown" in found
    assert "kratom-last-use-unknown" not in found
    today = to_bundle(asked(CALM | REST | {"kratom": "daily", "kratom-last-time": "past-day"}))
    assert "kratom-same-day" in {
        f.id for f in adjunct.assess(today, treatment="esketamine-nasal", at=AT, knowledge=KNOWLEDGE).findings
    }


def test_the_bundle_is_the_same_when_it_is_made_again() -> None:
    state = asked(CALM | REST | {"health": ["heart"], "kratom": "daily"})
    made = to_bundle(state)
    assert made == to_bundle(state)
    ids = [e["resource"]["id"] for e in made["entry"]]
    assert len(ids) == len(set(ids))


def test_no_question_carries_the_name_of_a_fact() -> None:
    """A linkId that is an own code would be read as an answer of its own."""
    assert not set(entries(KNOWLEDGE, BOOK)) & set(KNOWLEDGE.concepts)


def test_every_condition_named_is_one_of_the_knowledge() -> None:
    for option in entries(KNOWLEDGE, BOOK)["health"]["options"]:
        assert set(option.get("concepts", ())) <= set(KNOWLEDGE.concepts)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"mood-ring": "blue"}, "no such question"),
        ({"kratom": "often"}, "never, stopped, some-days, daily, or declined"),
        ({"red-flags": "maybe"}, "none of its answers"),
        ({"birth-date": "yesterday"}, "write a date"),
        ({"call-back": "ring me"}, "write a phone"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_and_where(given_: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        answers_of(CALM | given_, KNOWLEDGE, at=NOW)
    assert next(iter(given_)) in str(caught.value)


def test_a_file_that_cannot_be_read_still_says_what_is_urgent() -> None:
    with pytest.raises(BadInput) as caught:
        answers_of(WHERE | {"red-flags": ["chest"], "kratom": "often"}, KNOWLEDGE, at=NOW)
    assert any("911" in text for text in caught.value.advice)


@pytest.mark.parametrize("name", ["", "Mara López", "a" * 65])
def test_a_name_that_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="not an id"):
        begin(KNOWLEDGE, name=name)


# --- ketamine from elsewhere ------------------------------------------------------------------------------------------

SUBJECT = {"reference": "Patient/p"}
HARD = "outside-ketamine-same-day"


def told(value: bool, **when: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "urn:adjunct:concept", "code": "outside_ketamine"}]}
    made = {"resourceType": "Observation", "id": "told", "status": "final", "subject": SUBJECT, "code": code}
    return made | {"valueBoolean": value} | when


def takes(text: str, **more: Any) -> dict[str, Any]:
    made = {"resourceType": "MedicationStatement", "id": "takes", "status": "active", "subject": SUBJECT}
    return made | {"medicationCodeableConcept": {"text": text}, "dateAsserted": AT} | more


def dose(when: str) -> dict[str, Any]:
    made = {"resourceType": "MedicationAdministration", "id": f"dose-{when[:10]}", "status": "completed"}
    coding = [{"system": "urn:adjunct:concept", "code": "ketamine"}]
    amount = {
        "route": {"text": "intravenous"},
        "dose": {"value": 35, "system": "http://unitsofmeasure.org", "code": "mg"},
    }
    return made | {
        "subject": SUBJECT,
        "medicationCodeableConcept": {"coding": coding},
        "effectiveDateTime": when,
        "dosage": amount,
    }


RECONCILED: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "reconciled",
    "status": "final",
    "subject": SUBJECT,
    "code": {"coding": [{"system": "urn:adjunct:concept", "code": "reconciled"}]},
    "effectiveDateTime": AT,
    "valueBoolean": True,
}
PERSON = {"resourceType": "Patient", "id": "p", "birthDate": "1985-02-11"}


def bundle_of(*resources: dict[str, Any]) -> dict[str, Any]:
    entries_ = [{"fullUrl": f"urn:x:{r['id']}", "resource": r} for r in (PERSON, *resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries_}


@pytest.mark.parametrize(
    ("said_", "same_day", "asks"),
    [
        ([], False, False),  # reconciled, and nothing said
        ([told(False, effectiveDateTime=AT)], False, False),
        ([told(True, effectiveDateTime="2026-05-04T12:12:00-05:00")], True, False),  # 8 h ago
        ([told(True, effectiveDateTime="2026-05-03T20:12:00-05:00")], True, False),  # 24 h ago
        ([told(True, effectiveDateTime="2026-05-03T20:11:00-05:00")], False, False),
        ([told(True, effectivePeriod={"start": "2026-04-27", "end": "2026-05-03"})], False, True),
        ([told(True)], False, True),  # nobody knows when
        ([takes("ketamine lozenges", note=[{"text": "last taken 8 hours ago"}])], True, False),
        ([takes("ketamine lozenges", note=[{"text": "last taken 3 days ago"}])], False, False),
        ([takes("ketamine lozenges")], False, True),
        ([takes("ketamine lozenges"), told(False, effectiveDateTime=AT)], False, False),  # asked today
        ([takes("ketamine lozenges", status="not-taken")], False, False),
        ([dose("2026-05-04T10:00:00-05:00")], False, False),  # the clinic's own dose is not from elsewhere
    ],
)
def test_ketamine_from_elsewhere_defers_the_same_day(said_: list[dict[str, Any]], same_day: bool, asks: bool) -> None:
    result = adjunct.assess(
        bundle_of(RECONCILED, *said_), treatment="ketamine-iv", phase="pre-dose", at=AT, knowledge=KNOWLEDGE
    )
    found = {f.id: f for f in result.findings}
    assert (HARD in found) is same_day
    assert not same_day or found[HARD].verdict == "DEFER"
    assert any("outside_ketamine" in g.fact for g in result.gaps if g.blocks) is asks
    assert result.verdict == "DEFER"


@pytest.mark.parametrize(
    ("said_", "given_", "possibly"),
    [
        ([told(True, effectiveDateTime="2026-05-01T12:00:00-05:00")], 1, 0),
        ([told(True)], 1, 0),
        ([takes("ketamine lozenges", note=[{"text": "last taken 3 days ago"}])], 1, 0),
        ([takes("ketamine lozenges")], 0, 1),
        (
            [
                takes("ketamine lozenges", note=[{"text": "last taken 3 days ago"}]),
                told(True, effectiveDateTime="2026-04-20"),
            ],
            2,
            0,
        ),
        ([told(False, effectiveDateTime=AT)], 0, 0),
    ],
)
def test_ketamine_from_elsewhere_counts_in_the_exposure(
    said_: list[dict[str, Any]], given_: int, possibly: int
) -> None:
    bundle = bundle_of(RECONCILED, dose("2026-04-28T10:00:00-05:00"), *said_)
    exposure = adjunct.follow(bundle, at=AT, knowledge=KNOWLEDGE).to_dict()["surveillance"]["exposure"]
    assert exposure["doses"] == 1
    own, *outside = exposure["amounts"]
    assert (own["route"], own["given"], own["most_mg"]) == ("intravenous", 1, 35)
    expected = [("outside the clinic", given_, possibly, 0, None)] if given_ + possibly else []
    assert [(a["route"], a["given"], a["possibly"], a["least_mg"], a["most_mg"]) for a in outside] == expected


@pytest.mark.parametrize(
    ("value", "at", "same_day", "asks"),
    [
        ("past-day", AT, True, False),
        ("past-day", "2026-05-04T22:12:00-05:00", False, True),  # perhaps longer ago by now, and so unknown
        ("past-day", "2026-05-06T20:12:00-05:00", False, False),
        ("past-week", "2026-05-04T22:12:00-05:00", False, False),
        ("longer-ago", AT, False, False),
        ("unsure", AT, False, True),
        ("no", AT, False, False),
        (DECLINED, AT, False, False),  # nothing said: what counts is that the visit asked and reconciled
    ],
)
def test_what_was_told_from_home_counts_at_the_next_visit(value: str, at: str, same_day: bool, asks: bool) -> None:
    bundle = to_bundle(asked(CALM | REST | {"ketamine-elsewhere": value}))
    bundle["entry"].append({"fullUrl": "urn:x:r", "resource": RECONCILED | {"effectiveDateTime": at}})
    result = adjunct.assess(bundle, treatment="ketamine-iv", phase="pre-dose", at=at, knowledge=KNOWLEDGE)
    assert (HARD in {f.id for f in result.findings}) is same_day
    assert any("outside_ketamine" in g.fact for g in result.gaps if g.blocks) is asks
    unreconciled = adjunct.assess(
        to_bundle(asked(CALM | REST)), treatment="ketamine-iv", phase="pre-dose", at=at, knowledge=KNOWLEDGE
    )
    assert "reconciled" in {
        g.fact for g in unreconciled.gaps if g.blocks
    }  # a no from home does not answer at the visit


def test_the_door_gives_triage_and_record() -> None:
    found = adjunct.request(CALM | REST, at=AT, name="p", language="es", knowledge=KNOWLEDGE)
    assert found.to_dict()["level"] == "routine"
    assert found.to_bundle() == to_bundle(found.request)
    with pytest.raises(BadInput, match="no such question"):
        adjunct.request({"colour": "blue"}, at=AT, knowledge=KNOWLEDGE)


def test_a_check_in_asks_about_ketamine_from_elsewhere_and_writes_it_down() -> None:
    answer = said(1, "ketamine-elsewhere", "past-week")
    *responses, event = check_in_to_fhir(
        [answer], check_in="checkin:2026-05-04:daily", patient_reference="Patient/p", knowledge=KNOWLEDGE
    )
    assert [r["resourceType"] for r in responses] == ["QuestionnaireResponse"]
    assert event["effectivePeriod"] == {
        "start": "2026-04-28T01:12:00.001+00:00",
        "end": "2026-05-04T01:12:00.001+00:00",
    }
    assert all("ketamine-elsewhere" in s["questions"] for s in KNOWLEDGE.content["checkins"]["set"])
