"""Follow-up of one person, end to end: from a FHIR Bundle to what somebody must act on."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

import adjunct
from adjunct.base import BadInput
from adjunct.knowledge import Knowledge
from fhir_corpora import official_examples

Json = dict[str, Any]
KNOWLEDGE = Knowledge.load()
FIRST_DOSE = datetime.fromisoformat("2026-08-03T10:00:00-06:00")
NOW = "2026-11-10T12:00:00-06:00"
SCREEN = ("93246-7", "93247-5", "93248-3", "93249-1", "93250-9", "93267-3", "93269-9")


def on(day: float) -> str:
    return (FIRST_DOSE + timedelta(days=day)).isoformat()


def total(day: float, value: float | None, loinc: str = "44261-6", name: str = "") -> Json:
    """One PHQ-9 total (or another), so many days after the first dose."""
    amount = {"valueQuantity": {"value": value, "unit": "{score}"}} if value is not None else {}
    return {
        "resourceType": "Observation",
        "id": name or f"score-{loinc}-{day}".replace(".", "-"),
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": on(day),
        **amount,
    }


def dose(day: float) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "id": f"dose-{day}".replace(".", "-"),
        "status": "completed",
        "medicationCodeableConcept": {"text": "ketamine"},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": on(day),
        "dosage": {
            "route": {"coding": [{"system": "http://snomed.info/sct", "code": "47625008"}], "text": "Intravenous"},
            "dose": {"value": 35, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"},
        },
    }


def phq9(day: float, answers: list[int | None], name: str = "form") -> Json:
    """A filled-in PHQ-9; None was left open."""
    given = [{"linkId": f"i{n}", "answer": [{"valueInteger": a}]} for n, a in enumerate(answers, 1) if a is not None]
    return {
        "resourceType": "QuestionnaireResponse",
        "id": name,
        "status": "completed",
        "questionnaire": "urn:adjunct:questionnaire:phq9|1",
        "subject": {"reference": "Patient/p"},
        "authored": on(day),
        "item": given,
    }


def screen(day: float, *answers: bool) -> list[Json]:
    return [
        total(day, None, code, f"screen-{n}") | {"valueBoolean": answer}
        for n, (code, answer) in enumerate(zip(SCREEN, answers, strict=False))
    ]


def person(*resources: Json) -> Json:
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1980-01-01", "gender": "female"}
    entries = [{"resource": r} for r in (patient, *resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


SERIES = [dose(day) for day in (0, 3, 7, 10, 14, 17)]
BETTER = [total(day, value) for day, value in ((-2, 20), (5, 15), (12, 10), (19, 6), (26, 4), (33, 4))]


def follow(*resources: Json, at: str = NOW, **more: Any) -> Json:
    return json.loads(adjunct.follow(person(*resources), at=at, country="US", knowledge=KNOWLEDGE, **more).to_json())  # type: ignore[no-any-return]


def ids(found: Json) -> set[str]:
    return {a["id"].partition("/")[0] for a in found["alerts"]}


# --- getting better ---------------------------------------------------------------------------------------------------


def test_a_course_that_goes_well_says_so_and_alarms_nobody() -> None:
    found = follow(*SERIES, *BETTER, at=on(34))
    course = found["courses"]["phq9"]
    assert (course["baseline"]["value"], course["latest"]["value"]) == (20, 4)
    assert course["state"]["state"] == "remission"
    assert "day" in course["state"]["name"]  # never "cured"
    assert found["alerts"] == []
    assert found["trajectory"]["basis"] == "published series"
    assert found["trajectory"]["curves"][0]["at"][0].startswith("2026-08-01")


@pytest.mark.parametrize(("day", "value", "alarms"), [(40, 9, False), (40, 10, True), (40, 11, True)])
def test_six_points_above_the_best_of_the_last_ratings_alarm(day: float, value: int, alarms: bool) -> None:
    found = follow(*SERIES, *BETTER, total(day, value), at=on(41))
    assert ("phq9:alert_rise" in ids(found)) is alarms


def test_without_any_score_there_is_no_course_and_it_says_why() -> None:
    found = follow(*SERIES)
    assert found["trajectory"] is None
    assert "PHQ-9" in found["why_no_trajectory"]
    assert found["courses"] == {}
    assert found["surveillance"]["exposure"]["doses"] == 6


def test_two_scores_that_disagree_before_the_first_dose_leave_the_baseline_unknown() -> None:
    found = follow(*SERIES, total(-2, 20), total(-2, 12, name="other"), total(19, 8))
    baseline = found["courses"]["phq9"]["baseline"]
    assert baseline["value"] is None
    assert sorted(baseline["values"]) == [12, 20]
    assert found["trajectory"]["baseline"] is None


def test_the_same_score_sent_twice_is_one() -> None:
    once, twice = (follow(*SERIES, *BETTER, *more, at=on(34)) for more in ((), (total(33, 4, name="again"),)))
    assert once["trajectory"]["points"] == twice["trajectory"]["points"]


def test_a_score_of_tomorrow_is_named_and_not_counted() -> None:
    found = follow(*SERIES, *BETTER, total(60, 25), at=on(34))
    assert found["courses"]["phq9"]["latest"]["value"] == 4
    assert any("future" in p["what"] for p in found["problems"])


# --- danger -----------------------------------------------------------------------------------------------------------


def test_item_nine_alarms_whatever_the_total_is() -> None:
    found = follow(phq9(0, [1, 1, 1, 1, 0, 1, 0, 0, 1]), at=on(0.1))
    assert found["courses"]["phq9"]["latest"]["value"] == 6
    (alarm,) = [a for a in found["alerts"] if a["id"].startswith("risk:")]
    assert "phq9-item9" in alarm["says"]
    assert found["risk"]["worklist"]


def test_item_nine_alarms_on_a_form_that_cannot_be_scored() -> None:
    found = follow(phq9(0, [None, None, None, 1, 0, 1, 0, 0, 2]), at=on(0.1))
    assert found["courses"].get("phq9", {}).get("latest") is None or found["courses"]["phq9"]["latest"]["value"] is None
    assert any(a["id"].startswith("risk:") for a in found["alerts"])


@pytest.mark.parametrize(
    ("answers", "level"),
    [
        ((False, False), "UNKNOWN"),  # behaviour was not asked
        ((False, False, False, False, False, False, False), "NONE"),
        ((True, True, False, False, False, False, False), "LOW"),
        ((True, True, True, False, False, False, False), "MODERATE"),
        ((True, True, False, True, False, False, False), "HIGH"),
        ((True, True), "UNFINISHED"),
    ],
)
def test_the_screen_leads_to_its_level(answers: tuple[bool, ...], level: str) -> None:
    found = follow(*screen(0, *answers), at=on(0.01))
    assert found["risk"]["level"] == level


def test_high_stays_open_and_tells_the_numbers_of_where_the_person_is() -> None:
    found = follow(*screen(0, True, True, False, True, False, False, False), at=on(9))
    assert found["risk"]["level"] == "HIGH"
    assert any("988" in c["text"] for c in found["risk"]["told"]["contacts"])
    unknown = adjunct.follow(person(*screen(0, True, True, False, True)), at=on(9), knowledge=KNOWLEDGE).to_dict()
    assert not any("988" in c["text"] or "911" in c["text"] for c in unknown["risk"]["told"]["contacts"])


def test_a_note_of_possible_withdrawal_takes_no_alarm_away() -> None:
    """Kratom was reduced nine days before a rise of seven points with item 9: the note stands beside both alarms."""
    reduced = {
        "resourceType": "Observation",
        "id": "reduced",
        "status": "final",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "urn:adjunct:concept", "code": "kratom_reduced"}]},
        "effectiveDateTime": on(31),
        "valueBoolean": True,
    }
    worse = phq9(40, [2, 2, 2, 1, 1, 1, 1, 0, 1])
    plain = follow(*SERIES, *BETTER, worse, at=on(40.1))
    noted = follow(*SERIES, *BETTER, worse, reduced, at=on(40.1))
    assert not any("withdrawal" in a["title"].lower() for a in plain["context"])
    assert any("possible withdrawal" in f"{a['title']} {a['says']}".lower() for a in noted["context"])
    assert ids(plain) <= ids(noted)
    assert [w["id"] for w in plain["risk"]["worklist"]] == [w["id"] for w in noted["risk"]["worklist"]]
    assert {s["id"] for s in plain["signals"]} <= {s["id"] for s in noted["signals"]}


# --- settings ---------------------------------------------------------------------------------------------------------

CLINIC = {
    "cover": {
        "zone": "America/Denver",
        "hours": [{"day": day, "opens": "08:00", "closes": "17:00"} for day in ("monday", "tuesday", "friday")],
        "chain": ["Nurse Ito", "Dr Kovac"],
        "owners": {"prescriber": "Dr Kovac"},
    }
}


def test_the_clinics_hours_and_people_stand_in_the_answer() -> None:
    found = follow(*screen(0, True, True, False, True), at="2026-11-08T03:00:00-07:00", settings=CLINIC)
    told = " ".join(found["risk"]["told"]["lines"])
    assert "2026-11-09 08:00" in told or "08:00" in told
    assert {w["owner"] for w in found["risk"]["worklist"]} & {"Nurse Ito", "Dr Kovac"}


@pytest.mark.parametrize(
    "settings", [{"covers": {}}, {"cover": {"zone": "Mars/Base"}}, {"cover": {"zone": "UTC", "open": "always"}}]
)
def test_a_setting_that_does_not_exist_is_refused_by_name(settings: Json) -> None:
    with pytest.raises(BadInput, match=r"setting|zone"):
        follow(*BETTER, settings=settings)


def test_check_ins_are_asked_for_where_the_clinic_wants_them() -> None:
    assert follow(*SERIES)["checkins"] == []
    asked = follow(*SERIES, at=on(3.5), settings={"checkins": True})["checkins"]
    assert {c["state"] for c in asked} <= {"open", "due", "overdue", "missed", "waiting"}
    assert sum(c["what"] == "missed-checkin" for c in asked) <= 1  # one call, however many were missed


def test_a_route_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadInput, match="route"):
        follow(*SERIES, *BETTER, route="by pigeon")


def test_every_official_example_is_followed_or_refused_in_one_line() -> None:
    followed, refusals = 0, []
    for example in official_examples():
        try:
            found = adjunct.follow(example.bundle, at=NOW, knowledge=KNOWLEDGE)
        except BadInput as error:
            refusals.append(str(error))
            continue
        assert json.loads(found.to_json())["risk"]["level"], example.name
        followed += 1
    assert followed > 600
    assert not any("\n" in said for said in refusals)
