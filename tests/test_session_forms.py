"""The monitoring form and the adverse event report: only what was measured, refused while anything is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adjunct.base import MS_PER_DAY, BadInput, instant
from adjunct.fhir import Bundle, read_bundle
from adjunct.knowledge import Knowledge
from adjunct.session import forms
from adjunct.session.day import Day
from adjunct.session.events import Shape, read_event, to_json
from adjunct.session.history import History
from adjunct.session.model import Dose, Ended, Event, Given, Phase, State

KNOWLEDGE = Knowledge.load()
MIN = 60_000
NINE = instant("2026-11-22T09:00:00+01:00").ms  # Mara, 41: first of two devices


def event(number: int, minute: int, type_: str, /, **data: Any) -> Event:
    at = NINE + minute * MIN
    return Event(f"e{number:02}", at, at, type_, "Nina Ortiz", "chair", data)


DAY = (
    event(1, -20, "vitals", systolic=128.0, diastolic=82.0, spo2=98.0),
    event(2, -10, "dissociation", cadss6=1.0),
    event(3, 0, "device-given", number=1, dose=28.0, lot="A1"),
    event(4, 5, "device-given", number=2, dose=28.0, lot="A2"),
    event(5, 20, "sedation", moaas=4.0),
    event(6, 30, "sedation", moaas=3.0),
    event(7, 38, "vitals", systolic=151.0, diastolic=92.0, spo2=95.0, resp_rate=14.0),
    event(8, 41, "dissociation", cadss6=9.0),
    event(9, 55, "event", sign="vomiting", present=True, text="once"),
    event(10, 57, "medication-given", substance="ondansetron", dose="4 mg", route="oral"),
    event(11, 60, "vitals", systolic=400.0, diastolic=90.0, spo2=101.0, implausible=("systolic", "spo2")),
    event(12, 80, "event", sign="vomiting", present=False),
    event(13, 90, "sedation", moaas=5.0),
    event(14, 100, "dissociation", cadss6=2.0, dissociation_resolved=True),
    event(15, 124, "vitals", systolic=132.0, diastolic=84.0, spo2=97.0, resp_rate=15.0),
)
STATE = State(
    session="s1",
    patient="Patient/mara",
    treatment="esketamine-nasal",
    number=3,
    phase=Phase.DISCHARGED,
    zone=timedelta(hours=1),
    dose=Dose(
        given=(Given(NINE, NINE, 28.0, "e03", "A1"), Given(NINE + 5 * MIN, NINE + 5 * MIN, 28.0, "e04", "A2")),
        first=NINE,
        last=NINE + 5 * MIN,
        watch_from=NINE + 5 * MIN,
    ),
    ended=Ended(phase=Phase.DISCHARGED, at=NINE + 130 * MIN, by="Nina Ortiz", event="e20", data={}),
)
GIVEN: dict[str, Any] = {
    "given_name": "Mara",
    "family_name": "Klein",
    "birth_date": "1985-03-02",
    "sex": "female",
    "first_treatment": False,
    "benzodiazepines": False,
    "sedative_hypnotics": False,
    "opioids": False,
    "psychostimulants": True,
    "maoi": False,
    "monitored_by": "Nina Ortiz",
    "telephone": "+1 555 0100",
    "email": "clinic@example.org",
    "setting": "Example Clinic",
    "address": "1 Example Street",
    "ready_after": 105,
    "acceptable_before": True,
    "acceptable_end": True,
    "respiratory_depression": False,
    "serious": False,
}


def monitoring(given: dict[str, Any], state: State = STATE, events: tuple[Event, ...] = DAY) -> forms.Form:
    return forms.monitoring_form(state, events, KNOWLEDGE, given)


def without(*ids: str) -> tuple[Event, ...]:
    return tuple(e for e in DAY if e.id not in ids)


MEASURED = [
    # field, value, the event it stands in
    ("treatment_date", "2026-11-22", "e03"),
    ("dose", 56, "e04"),
    ("devices", 2, "e04"),
    ("lots", ("A1", "A2"), "e04"),
    ("duration", 130, "e20"),
    ("two_hours", True, "e20"),
    ("left_early", False, "e20"),
    ("bp_before", "128/82", "e01"),
    ("bp_recheck", "151/92", "e07"),
    ("bp_end", "132/84", "e15"),
    ("spo2_before", 98, "e01"),
    ("spo2_lowest", 95, "e07"),  # 101 is not a value
    ("breaths_lowest", 14, "e07"),
    ("sedation", True, "e05"),
    ("sedation_rated", "MOAA/S 3", "e06"),
    ("sedation_from", NINE + 20 * MIN, "e05"),
    ("sedation_until", NINE + 90 * MIN, "e13"),
    ("dissociation", True, "e08"),
    ("dissociation_from", NINE + 41 * MIN, "e08"),
    ("dissociation_until", NINE + 100 * MIN, "e14"),
    ("medication", ("09:57 ondansetron 4 mg oral",), "e10"),
]


@pytest.mark.parametrize(("field", "value", "source"), MEASURED, ids=[m[0] for m in MEASURED])
def test_what_was_measured_stands_there_with_its_event(field: str, value: Any, source: str) -> None:
    found = next(f for f in monitoring(GIVEN).fields if f.id == field)
    assert found.value is not None
    assert (found.value.value, found.value.event) == (value, source)


NOT_COUNTED = [
    # why, an event more, field, value
    ("sedated before the dose", event(16, -5, "sedation", moaas=2.0), "sedation_rated", "MOAA/S 3"),
    ("diastolic above systolic", event(16, 40, "vitals", systolic=60.0, diastolic=90.0), "bp_recheck", "151/92"),
    ("systolic alone", event(16, 40, "vitals", systolic=170.0), "bp_recheck", "151/92"),
    ("as dissociated as before", event(16, -5, "dissociation", cadss6=9.0), "dissociation", False),
]


@pytest.mark.parametrize(("why", "more", "field", "value"), NOT_COUNTED, ids=[n[0] for n in NOT_COUNTED])
def test_what_is_not_counted(why: str, more: Event, field: str, value: Any) -> None:
    events = tuple(sorted((*DAY, more), key=lambda e: (e.at, e.id)))
    assert monitoring(GIVEN, events=events).value(field) == value


def test_the_score_stays_beside_what_the_clinician_says() -> None:
    worse = (*DAY[:8], event(8, 50, "dissociation", cadss6=12.0, dissociation_resolved=False))
    assert monitoring(GIVEN, events=worse).value("dissociation_rated") == "CADSS-6 (dissociation): 12"
    assert monitoring(GIVEN, events=worse).value("dissociation_until") is None


def test_every_field_has_a_case() -> None:
    session = {f.id for f in monitoring({}).fields if f.origin == "session"}
    assert session - {m[0] for m in MEASURED} == {"dissociation_rated", "serious_recorded"}


def test_nothing_is_filled_in_that_nobody_measured_or_said() -> None:
    empty = forms.monitoring_form(
        replace(STATE, ended=None, phase=Phase.OBSERVING), without(*(f"e{n:02}" for n in range(1, 16))), KNOWLEDGE
    )
    filled = {f.id for f in empty.fields if f.value is not None}
    assert filled == {"treatment_date", "dose", "devices", "lots"}


NOT_SIGNED = [
    # why, what is given, state, events, what the refusal names
    ("nobody said anything", {}, STATE, DAY, ["First name", "Opioids", "Serious adverse event"]),
    ("no recheck", GIVEN, STATE, without("e07", "e11"), ["Blood pressure about 40 minutes"]),
    ("no pressure at the end", GIVEN, STATE, without("e15"), ["Blood pressure at the end"]),
    ("never rated", GIVEN, STATE, without("e05", "e06", "e13"), ["Sedation"]),
    (
        "a lot missing",
        GIVEN,
        replace(STATE, dose=replace(STATE.dose, given=(Given(NINE, NINE, 28, "e03"),))),
        DAY,
        ["Lot number"],
    ),
    ("not over", GIVEN, replace(STATE, ended=None), DAY, ["From the first device", "Left before discharge"]),
    ("first, enrolled?", GIVEN | {"first_treatment": True}, STATE, DAY, ["Enrolled"]),
    ("serious, no words", GIVEN | {"serious": True}, STATE, DAY, ["What happened, what was done"]),
    (
        "no, but it was",
        GIVEN,
        STATE,
        (*DAY, event(16, 125, "event", sign="collapse", present=True, serious=True)),
        ["answered no, but recorded"],
    ),
    (
        "breathed slowly",
        GIVEN,
        STATE,
        (*DAY, event(16, 125, "event", sign="slow_breathing", present=True)),
        ["Slow or stopped breathing: answered no"],
    ),
]


@pytest.mark.parametrize(("why", "given", "state", "events", "names"), NOT_SIGNED, ids=[n[0] for n in NOT_SIGNED])
def test_refused_while_incomplete(
    why: str, given: dict[str, Any], state: State, events: tuple[Event, ...], names: list[str]
) -> None:
    form = monitoring(given, state, events)
    with pytest.raises(BadInput) as refusal:
        forms.sign(form, by="Nina Ortiz", role="nurse", at=NINE)
    assert all(name in str(refusal.value) for name in names)
    assert not any(str(word) in str(refusal.value) for word in ("Mara", "Klein", "151"))  # no health data in an error


def test_signed_when_whole_by_a_named_person() -> None:
    form = monitoring(GIVEN)
    with pytest.raises(BadInput, match="named person"):
        forms.sign(form, by=" ", role="nurse", at=NINE)
    signed = forms.sign(form, by="Nina Ortiz", role="nurse", at=NINE + 140 * MIN)
    assert signed.signed == ("Nina Ortiz", "nurse", NINE + 140 * MIN)
    json.dumps(forms.to_dict(signed))


def test_the_deadline_is_seven_days_and_a_signature_meets_it() -> None:
    form = monitoring(GIVEN)
    assert form.deadline == NINE + 7 * MS_PER_DAY
    assert not form.late(NINE + 7 * MS_PER_DAY)
    assert form.late(NINE + 7 * MS_PER_DAY + 1)
    assert not forms.sign(form, by="N", role="nurse", at=NINE).late(NINE + 8 * MS_PER_DAY)


def test_who_left_early_is_flagged_and_the_missing_check_needs_a_reason() -> None:
    ended = Ended(phase=Phase.LEFT, at=NINE + 70 * MIN, by="Nina Ortiz", event="e20", data={})
    left = replace(STATE, phase=Phase.LEFT, ended=ended)
    events = tuple(e for e in DAY if e.at < ended.at)
    form = monitoring(GIVEN, left, events)
    assert form.value("left_early") is True
    assert "left before discharge" in form.flags[0]
    assert "2 hours" in form.flags[1]
    assert form.missing == ("Blood pressure at the end",)
    form = monitoring(GIVEN | {"bp_end": {"not_measured": "walked out"}}, left, events)
    forms.sign(form, by="Nina Ortiz", role="nurse", at=NINE)
    text = forms.form_sheet(form, KNOWLEDGE, now=NINE).text()
    assert "not measured: walked out" in text
    assert "Sedation first rated as over\nnot recorded" in text


WRONG = [
    ({"bp_before": "120/80"}, "comes from the record"),
    ({"bp_before": {"not_measured": "forgot"}}, "comes from the record"),  # it was measured
    ({"pulse": 80}, "no field"),
    ({"opioids": "no"}, "true or false"),
    ({"birth_date": "02.03.1985"}, "YYYY-MM-DD"),
    ({"birth_date": "1985-13-02"}, "YYYY-MM-DD"),
    ({"sex": "f"}, "one of male"),
    ({"ready_after": float("nan")}, "a number"),
    ({"ready_after": True}, "a number"),
    ({"setting": "  "}, "words"),
]


@pytest.mark.parametrize(("given", "says"), WRONG, ids=[str(w[0]) for w in WRONG])
def test_a_value_that_does_not_fit_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as refusal:
        monitoring(given)
    assert "1985" not in str(refusal.value)  # what was written stays out of the message


def test_no_form_for_another_treatment_or_without_a_dose() -> None:
    with pytest.raises(BadInput, match="not for 'ketamine-iv'"):
        monitoring({}, replace(STATE, treatment="ketamine-iv"))
    with pytest.raises(BadInput, match="no dose"):
        monitoring({}, replace(STATE, dose=Dose()))


def test_what_was_withdrawn_is_in_no_form() -> None:
    events = tuple(e._replace(withdrawn=e.id in ("e06", "e09")) for e in DAY)
    assert monitoring(GIVEN, events=events).value("sedation_rated") == "MOAA/S 4"
    with pytest.raises(BadInput, match="no recorded sign"):
        report({}, events)


def test_what_was_corrected_is_marked() -> None:
    state = replace(STATE, corrections=(("e07", "e30", NINE + 45 * MIN, "Nina Ortiz", "wrong chair"),))
    form = monitoring(GIVEN, state)
    assert "corrected" in form.flags[0]
    assert "09:38, Nina Ortiz, corrected" in forms.form_sheet(form, KNOWLEDGE, now=NINE).text()


JUDGED: dict[str, Any] = {
    "severity": "mild",
    "serious": False,
    "relation": "possibly related",
    "outcome": "over",
    "action": "was over",
    "person_told": "What to do if it comes back, Nina Ortiz",
    "prescriber_told": "Dr Vega",
    "prescriber_told_at": "2026-11-22T10:00:00+01:00",
}


def report(given: dict[str, Any], events: tuple[Event, ...] = DAY, of: str = "e09") -> forms.Form:
    return forms.adverse_event_report(STATE, events, of, KNOWLEDGE, given)


def test_adverse_event_report_holds_what_the_session_knows() -> None:
    form = report(JUDGED)
    known = {f.id: f.value.value for f in form.fields if f.value is not None and f.origin == "session"}
    assert known == {
        "what": "Vomiting",
        "words": "once",
        "began": NINE + 55 * MIN,
        "reported_by": "Nina Ortiz",
        "treatment": "esketamine-nasal",
        "dose_then": 56,
        "since_dose": 55,
        "lots": ("A1", "A2"),
        "readings": (
            "09:38 Systolic blood pressure 151 mm Hg",
            "09:38 Diastolic blood pressure 92 mm Hg",
            "09:38 Respiratory rate 14 per minute",
            "09:38 Oxygen saturation 95 %",
            "09:30 MOAA/S (sedation, 5 awake to 0) 3",
        ),
        "ended": NINE + 80 * MIN,
        "actions": ("09:57 ondansetron 4 mg oral",),
    }
    forms.sign(form, by="Dr Vega", role="prescriber", at=NINE)


def test_a_serious_event_asks_why_and_who_was_told() -> None:
    collapse = (*DAY, event(16, 125, "event", sign="collapse", present=True, serious=True))
    with pytest.raises(BadInput, match="Serious: answered no, but recorded"):
        forms.sign(report(JUDGED, collapse, "e16"), by="Dr Vega", role="prescriber", at=NINE)
    form = report(JUDGED | {"serious": True}, collapse, "e16")
    assert form.missing == (
        "Why serious",
        "Maker, programme or authority told, who",
        "Maker, programme or authority told, when",
    )


HUGE = 10**400  # JSON has numbers that no float holds


@pytest.mark.parametrize("value", [HUGE, -HUGE, 1e300], ids=["huge", "least", "1e300"])
def test_no_number_beyond_reason(value: float) -> None:
    with pytest.raises(BadInput, match="a number"):
        monitoring(GIVEN | {"ready_after": value})


NEVER = [HUGE, -HUGE, 1e300, 10**17, "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"]


@pytest.mark.parametrize("when", NEVER, ids=["huge", "least", "1e300", "ms", "last day", "first day"])
def test_no_instant_outside_the_calendar(when: Any) -> None:
    with pytest.raises(BadInput, match="instant with its offset"):
        report(JUDGED | {"prescriber_told_at": when})


@pytest.mark.parametrize(("said", "shows"), [({}, None), ({"serious": False}, False), ({"serious": True}, True)])
def test_what_was_said_at_the_event_of_its_seriousness_stands_beside_the_judgement(
    said: dict[str, bool], shows: bool | None
) -> None:
    form = report({}, (*DAY, event(16, 125, "event", sign="collapse", present=True, **said)), "e16")
    assert form.value("serious_recorded") is shows
    assert form.value("serious") is None
    row = {None: "not recorded", False: "no\n11:05, Nina Ortiz", True: "yes\n11:05, Nina Ortiz"}[shows]
    text = forms.form_sheet(form, KNOWLEDGE, now=NINE).text()
    assert f"Recorded as serious\n{row}" in text
    assert text.count("Field\nAnswer\nRecorded\n") == len(form.sections)


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "mara",
    "name": [
        {"use": "old", "family": "Maier", "given": ["Mara"]},
        {"use": "official", "family": "Klein", "given": ["Mara", "Ines"]},
    ],
    "gender": "female",
    "birthDate": "1985-03-02",
}
PERSON = {"given_name": "Mara Ines", "family_name": "Klein", "birth_date": "1985-03-02", "sex": "female"}
OF_PERSON = [
    # why, what the record says otherwise, what the form then holds
    ("whole", {}, PERSON),
    ("names of old only", {"name": PATIENT["name"][:1]}, {"birth_date": "1985-03-02", "sex": "female"}),
    ("year of birth only", {"birthDate": "1985"}, {k: v for k, v in PERSON.items() if k != "birth_date"}),
    ("no day of the calendar", {"birthDate": "1985-13-02"}, {k: v for k, v in PERSON.items() if k != "birth_date"}),
    ("sex unknown", {"gender": "unknown"}, {k: v for k, v in PERSON.items() if k != "sex"}),
    ("nothing", {"name": None, "gender": None, "birthDate": None}, {}),
    (
        "nonsense",
        {"name": [{"use": [], "given": 7}, {"family": 7, "given": [None]}], "gender": [], "birthDate": 1985},
        {},
    ),
]


def record(**other: Any) -> Bundle:
    patient = {name: value for name, value in (PATIENT | other).items() if value is not None}
    return read_bundle({"resourceType": "Bundle", "entry": [{"resource": patient}]})


@pytest.mark.parametrize(("why", "other", "holds"), OF_PERSON, ids=[o[0] for o in OF_PERSON])
def test_who_it_is_comes_from_the_record(why: str, other: dict[str, Any], holds: dict[str, str]) -> None:
    assert forms.of_person(record(**other), STATE, KNOWLEDGE) == holds
    assert {f.id for f in monitoring(holds).fields if f.value and f.origin == "person"} == holds.keys()


@pytest.mark.parametrize("patient", ["Patient/ben", ""])
def test_the_record_of_another_person_fills_nothing(patient: str) -> None:
    with pytest.raises(BadInput, match="another person"):
        forms.of_person(record(), replace(STATE, patient=patient), KNOWLEDGE)


@pytest.mark.parametrize("of", ["e12", "e07", "none"])
def test_only_what_was_seen_can_be_reported(of: str) -> None:
    with pytest.raises(BadInput, match="no recorded sign"):
        report({}, of=of)


def test_a_log_becomes_a_form_and_a_corrected_pressure_is_the_right_one() -> None:
    shape, history = Shape.of(KNOWLEDGE), History(Day.of(KNOWLEDGE))
    wrong = {"systolic": 115, "diastolic": 92, "spo2": 95, "resp_rate": 14}
    log = [
        event(0, -60, "checked-in", patient="Patient/mara", treatment="esketamine-nasal"),
        *(e._replace(data=wrong) if e.id == "e07" else e for e in DAY if "implausible" not in e.data),
        event(17, 126, "dose-stopped", complete=True),
        event(18, 127, "correction", corrects="e07", reason="digits swapped", data=wrong | {"systolic": 151}),
        event(19, 130, "left-before-discharge", warned=True),
    ]
    for item in log:
        read = read_event(to_json(item, shape), shape)
        assert isinstance(read, Event), read
        history.add(read)
    form = forms.monitoring_form(history.state, history.events, KNOWLEDGE, GIVEN)
    assert form.value("bp_recheck") == "151/92"
    assert form.value("dose") == 56
    assert form.value("lots") == ("A1", "A2")
    assert form.value("left_early") is True
    assert next(f for f in form.fields if f.id == "bp_recheck").corrected
    assert form.missing == ()
