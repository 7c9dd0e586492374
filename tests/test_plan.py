"""Plans of one person: published schedules rebuilt, what is open first, missed visits, changes, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import adjunct
from adjunct.base import BadInput
from adjunct.due import due
from bundles import NOW, person
from cases.worked_cases import CASES, D19, D19_FACTS, Case, cssrs, number

Json = dict[str, Any]
D01 = next(c for c in CASES if c.id == "D01")
START = "2027-01-11"  # a Monday
BERLIN = {
    "cover": {
        "zone": "Europe/Berlin",
        "hours": [
            {"day": d, "opens": "08:00", "closes": "18:00"}
            for d in ("monday", "tuesday", "wednesday", "thursday", "friday")
        ],
    }
}
EVERY_DAY = {
    "cover": BERLIN["cover"]
    | {
        "hours": [
            {"day": d, "opens": "08:00", "closes": "18:00"}
            for d in ("monday tuesday wednesday thursday friday saturday sunday".split())
        ]
    }
}


def bundle(case: Case, extra: Sequence[Json] = ()) -> Json:
    return person(age=case.age, sex=case.sex, extra=[*case.facts, *extra])


def dose(at: datetime, substance: str = "esketamine", route: str = "nasal", mg: float = 56) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "id": f"dose-{at:%Y%m%d%H%M}",
        "status": "completed",
        "medicationCodeableConcept": {"text": substance},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": at.isoformat(),
        "dosage": {"route": {"text": route}, "dose": {"value": mg, "unit": "mg", "code": "mg"}},
    }


def score(at: datetime, value: int) -> Json:
    return number("phq9", value, "{score}", at.isoformat(), loinc="44261-6") | {"id": f"phq-{at:%Y%m%d}"}


def planned(case: Case = D01, extra: Sequence[Json] = (), **options: Any) -> Any:
    given = {"protocol": "esketamine-trd", "start": START, "at": NOW, "country": "US", "clinic": BERLIN} | options
    return adjunct.plan(bundle(case, extra), **given)


def days(result: Any, phase: str = "") -> list[int]:
    """Days from the first visit, of the clinic's calendar."""
    dates = [datetime.fromisoformat(v["starts"]).date() for v in result.to_dict()["visits"] if phase in v["id"]]
    first = datetime.fromisoformat(result.to_dict()["visits"][0]["starts"]).date()
    return [(d - first).days for d in dates]


# --- published schedules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "phase", "settings", "expected"),
    [
        # esketamine label: weeks 1-4 twice weekly, 5-8 weekly, from week 9 weekly or every two weeks
        ("esketamine-trd", "induction", {}, [0, 3, 7, 10, 14, 17, 21, 24]),
        ("esketamine-trd", ".weekly", {}, [28, 35, 42, 49]),
        ("esketamine-trd", "maintenance", {"maintenance.gap": "1 wk"}, list(range(56, 183, 7))),
        ("esketamine-trd", "maintenance", {"maintenance.gap": "2 wk"}, list(range(56, 183, 14))),
        ("esketamine-mdsi", "", {}, [0, 3, 7, 10, 14, 17, 21, 24]),
        # six infusions: twice a week in three weeks, or three times a week in two
        ("ketamine-iv-induction", "", {}, [0, 3, 7, 10, 14, 17]),
        ("ketamine-iv-induction", "", {"induction.pattern": "three-a-week"}, [0, 2, 4, 7, 9, 11]),
        # KADS: twice weekly for four weeks
        ("ketamine-sc", "", {}, [0, 3, 7, 10, 14, 17, 21, 24]),
        # CAN-BIND: weekly for a month, every two weeks for two, monthly for three
        (
            "ketamine-iv-maintenance",
            "",
            {"maintenance.pattern": "can-bind"},
            [0, 7, 14, 21, 35, 49, 63, 77, 105, 133, 161],
        ),
    ],
)
def test_published_schedules(protocol: str, phase: str, settings: Json, expected: list[int]) -> None:
    found = planned(protocol=protocol, clinic=EVERY_DAY | {"protocol": {protocol: settings}})
    assert days(found, phase) == expected


def test_infusion_and_monitoring_are_two_lengths() -> None:
    values = {s.id: s for s in planned(protocol="ketamine-iv-induction").plan.settings}
    visit = planned(protocol="ketamine-iv-induction").to_dict()["visits"][0]
    assert visit["observe_min"] >= 60
    assert any(s.unit == "min" and s.value == 40 for s in values.values())


def test_two_hours_of_observation_after_each_spray() -> None:
    assert {v["observe_min"] for v in planned().to_dict()["visits"]} == {120}


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_eligible_gives_an_active_plan() -> None:
    found = planned().to_dict()
    assert (found["verdict"], found["status"], found["open"]) == ("ELIGIBLE", "active", [])


def case(name: str) -> Case:
    return next(c for c in CASES if c.id == name)


@pytest.mark.parametrize("name", [c.id for c in CASES if c.decision == "DEFER" and c.phase == "intake"])
def test_deferred_begins_with_what_is_open(name: str) -> None:
    found = planned(case(name), protocol="ketamine-iv-induction").to_dict()
    assert found["status"] == "waiting"
    first = found["steps"][0]
    assert first["id"].startswith("open:")
    assert first["due"] == min(s["due"] for s in found["steps"])
    assert set(found["visits"][0]["prerequisites"]) >= {s["id"] for s in found["steps"] if s["domain"] == "open"}


@pytest.mark.parametrize("name", [c.id for c in CASES if c.decision == "NOT_ELIGIBLE" and c.phase == "intake"])
def test_not_eligible_needs_a_named_prescriber(name: str) -> None:
    protocol = "esketamine-trd" if case(name).treatment == "esketamine-nasal" else "ketamine-iv-induction"
    with pytest.raises(BadInput, match=r"NOT_ELIGIBLE.*--override"):
        planned(case(name), protocol=protocol)
    for bad in ("", "Dr Roe", "Dr Roe:", ": no reason"):
        with pytest.raises(BadInput, match=r"NAME: reason"):
            planned(case(name), protocol=protocol, override=bad)
    found = planned(case(name), protocol=protocol, override="Dr Roe: discussed with cardiology").to_dict()
    assert found["override"] == {"by": "Dr Roe", "reason": "discussed with cardiology"}
    assert found["steps"][0]["id"].startswith("open:")


@pytest.mark.parametrize("name", [c.id for c in CASES if c.decision == "ESCALATE"])
def test_an_emergency_gives_no_plan(name: str) -> None:
    found = planned(case(name), protocol="ketamine-iv-induction", override="Dr Roe: all the same").to_dict()
    assert found["status"] == "none"
    assert not found["visits"]
    assert not found["steps"]
    assert found["told"]


def test_what_cannot_be_planned_still_says_the_emergency() -> None:
    escalates = next(c for c in CASES if c.decision == "ESCALATE")
    with pytest.raises(BadInput) as error:
        planned(escalates, clinic=BERLIN | {"protocol": {"no.such": 1}})
    assert error.value.advice


# --- missed visits ----------------------------------------------------------------------------------------------------

ZONE = ZoneInfo("America/Chicago")
FIRST = datetime(2026, 8, 10, 9, 0, tzinfo=ZONE)  # a Monday; 15 weeks before NOW
COURSE = [0, 3, 7, 10, 14, 17, 21, 24, 28, 35, 42, 49, 56, 70, 84]
CHICAGO = {"cover": BERLIN["cover"] | {"zone": "America/Chicago"}, "protocol": {"maintenance.gap": "2 wk"}}


def followed(scores: Sequence[int], given: Sequence[int] = COURSE, **options: Any) -> Json:
    """D19's person in the middle of a course; the visit of day 98 was missed, NOW is day 103."""
    facts = [f for f in D19_FACTS if f.get("id") not in ("o-dose", "o-missed-session")]
    at = (FIRST + timedelta(days=60), FIRST + timedelta(days=75), datetime.fromisoformat(NOW))
    extra = [
        *(dose(FIRST + timedelta(days=d)) for d in given),
        *(score(a, s) for a, s in zip(at, scores, strict=False)),
        *cssrs(q1=False, q2=False, q3=False, q4=False, q5=False, q6=False),
    ]
    given_ = {"protocol": "esketamine-trd", "start": "2026-08-10", "at": NOW, "country": "US", "clinic": CHICAGO}
    record = person(age=D19.age, sex=D19.sex, extra=[*facts, *extra])
    return dict(adjunct.plan(record, **(given_ | options)).to_dict())


def test_missed_and_not_worse_keeps_the_frequency() -> None:
    found = followed((6, 5, 5))
    (told,) = found["missed"]
    assert "Keep the current frequency" in told["says"]
    for words in (
        "same tolerated dose",
        "Re-score mood and the suicide screen today",
        "ask why it was missed",
        "re-book",
    ):
        assert words in told["says"]
    assert "twice" not in told["says"]
    coming = [v["starts"][:10] for v in found["visits"] if v["state"] == "waiting" or v["state"] == "open"]
    assert coming[0] == "2026-11-30"  # day 112: nothing is added to catch up
    assert found["status"] == "active"


def test_its_twin_is_worse_and_the_prescriber_looks_at_the_schedule() -> None:
    (told,) = followed((6, 5, 14))["missed"]
    assert "Consider the previous, more frequent schedule" in told["says"]


def test_not_known_whether_worse_asks_first() -> None:
    (told,) = followed((6, 5))["missed"]
    assert told["id"] == "later-unknown"
    assert "first" in told["says"]


def test_a_later_dose_ends_the_talk_of_a_missed_one() -> None:
    assert not followed((6, 5, 5), given=[*COURSE, 100])["missed"]


def test_between_two_visits_what_is_asked_at_each_is_open_and_calls_nothing_off() -> None:
    """A week later nobody has gone through the medicines again: it is asked first, the next appointment stands."""
    later = (datetime.fromisoformat(NOW) + timedelta(days=7)).isoformat()
    found = followed((6, 5, 5), given=[*COURSE, 100], at=later)
    assert found["verdict"] == "DEFER"
    assert found["status"] == "active"
    assert found["steps"][0]["id"].startswith("open:gap:")


def test_three_missed_in_a_row_brings_the_team_together() -> None:
    found = followed((6, 5, 5), given=COURSE[:-2])
    assert "huddle" in {t["id"] for t in found["missed"]}


def infused(given: Sequence[int], at_day: float) -> Json:
    """An infusion series begun on FIRST, looked at so many days later."""
    at = (FIRST + timedelta(days=at_day)).isoformat()
    facts = [f for f in D01.facts if f.get("id") != "o-dose"]
    record = person(
        age=44,
        sex="F",
        extra=[*facts, *(dose(FIRST + timedelta(days=d), "ketamine", "intravenous", 35) for d in given)],
    )
    found = adjunct.plan(
        record, protocol="ketamine-iv-induction", start="2026-08-10", at=at, country="US", clinic=CHICAGO
    )
    return dict(found.to_dict())


@pytest.mark.parametrize(
    ("given", "at_day", "status", "visits"),
    [
        ([0, 3], 9, "goes on", 7),  # below: one missed on day 7, six days since the last: the series goes on, one more
        ([0, 3], 10, "goes on", 7),  # at seven days
        ([0, 3], 12.5, "goes on", 8),  # above: goes on, and the scores are looked at again
        ([0, 3], 18, "on-hold", None),  # above fourteen days: assessed anew, nothing is proposed until then
    ],
)
def test_a_gap_in_an_infusion_series(given: list[int], at_day: float, status: str, visits: int | None) -> None:
    found = infused(given, at_day)
    assert (found["status"] == "on-hold") == (status == "on-hold"), found["missed"]
    assert found["missed"]
    if visits is None:
        assert {v["state"] for v in found["visits"]} <= {"done", "missed"}
    else:
        assert len(found["visits"]) == visits
    assert sum(v["state"] == "done" for v in found["visits"]) == len(given)


# --- changes ----------------------------------------------------------------------------------------------------------


def change(kind: str, after: int, at: str = NOW, **data: Any) -> Json:
    return {
        "id": f"{kind}-{after}",
        "kind": kind,
        "at": at,
        "by": "Dr Roe",
        "reason": "agreed with her",
        "after": after,
    } | data


def test_an_amendment_is_a_new_version_from_its_day_on() -> None:
    before = followed((6, 5, 5))
    after = followed((6, 5, 5), order={"change": [change("amend", 1, settings={"maintenance.gap": "1 wk"})]})
    assert (before["version"], after["version"]) == (1, 2)
    past = [v["id"] for v in before["visits"] if v["state"] in ("done", "missed")]
    assert [v["id"] for v in after["visits"] if v["state"] in ("done", "missed")] == past
    coming = [v["starts"][:10] for v in after["visits"] if v["state"] not in ("done", "missed")]
    assert coming[:2] == ["2026-11-23", "2026-11-30"]
    assert after["changes"][0]["reason"] == "agreed with her"


def test_two_who_amend_at_once() -> None:
    both = [change("amend", 1, settings={"maintenance.gap": "1 wk"}), change("hold", 1)]
    with pytest.raises(BadInput, match="version 1 and the plan is at version 2"):
        followed((6, 5, 5), order={"change": both})


def test_the_same_change_sent_twice_is_one() -> None:
    one = change("hold", 1)
    assert followed((6, 5, 5), order={"change": [one, one]})["version"] == 2


def test_hold_resume_stop() -> None:
    held = followed((6, 5, 5), order={"change": [change("hold", 1)]})
    assert held["status"] == "on-hold"
    assert not [v for v in held["visits"] if v["state"] in ("waiting", "open", "due")]
    resumed = followed((6, 5, 5), order={"change": [change("hold", 1), change("resume", 2, to="2026-12-07")]})
    assert resumed["status"] == "active"
    coming = [v["starts"][:10] for v in resumed["visits"] if v["state"] not in ("done", "missed")]
    assert coming[0] == "2026-12-07"
    stopped = followed((6, 5, 5), order={"change": [change("stop", 1)]})
    assert stopped["status"] == "stopped"
    assert not stopped["missed"]
    last = max(s["due"] for s in stopped["steps"] if s["what"] == "checkin")
    assert "2026-12-10" < last < "2026-12-25"  # check-ins go on for four weeks after the stop, not for ever


def test_a_visit_is_moved_inside_its_window_only() -> None:
    visit = "esketamine-trd.maintenance.5"
    moved = followed((6, 5, 5), order={"change": [change("move", 1, visit=visit, to="2026-12-02")]})
    assert next(v for v in moved["visits"] if v["id"] == visit)["starts"][:10] == "2026-12-02"
    with pytest.raises(BadInput, match="outside its window"):
        followed((6, 5, 5), order={"change": [change("move", 1, visit=visit, to="2026-12-10")]})


def test_a_booked_visit_stands_at_its_time_and_is_no_proposal_any_more() -> None:
    visit = "esketamine-trd.maintenance.5"
    booked = followed((6, 5, 5), order={"change": [change("book", 1, visit=visit, to="2026-12-01T10:30:00-06:00")]})
    found = next(v for v in booked["visits"] if v["id"] == visit)
    assert (found["starts"], found["booked"]) == ("2026-12-01T10:30:00-06:00", True)
    assert not any(v["booked"] for v in booked["visits"] if v["id"] != visit)
    for at in ("2026-12-01T03:00:00-06:00", "2026-12-20T10:00:00-06:00", "2026-12-01T17:30:00-06:00"):
        with pytest.raises(BadInput, match="outside its window"):
            followed((6, 5, 5), order={"change": [change("book", 1, visit=visit, to=at)]})


def test_an_emergency_says_whom_to_call() -> None:
    escalates = next(c for c in CASES if c.decision == "ESCALATE")
    assert any("911" in told for told in planned(escalates).to_dict()["told"])
    unknown = planned(escalates, country=None).to_dict()["told"]
    assert any("112" in told for told in unknown)
    assert not any("911" in told for told in unknown)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (change("amend", 1, settings={"maintenance.gap": "3 wk"}), "1 wk or 2 wk"),
        (change("amend", 1, settings={"observe.least": 1}), "observe.least"),
        (change("amend", 1, settings={"no.such": 1}), "no setting"),
        (change("amend", 1), "settings is missing"),
        (change("resume", 1), "does not rest"),
        (change("hold", 1) | {"by": " "}, "by and reason"),
        (change("hold", 1) | {"at": "2027-01-01T00:00:00Z"}, "after now"),
        (change("hold", 2), "version"),
        (change("hold", 1) | {"kind": "cancel"}, "kind is none of"),
        (change("move", 1, visit="x"), "to is missing"),
        (change("hold", 1) | {"colour": "red"}, "not known here"),
        ("hold", "list of tables"),
    ],
)
def test_a_change_that_cannot_be_written(entry: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        followed((6, 5, 5), order={"change": [entry]})


# --- what goes beside -------------------------------------------------------------------------------------------------


def test_therapy_in_the_window_after_the_first_dose_and_never_on_a_day_of_a_dose() -> None:
    found = planned(order={"also": ["cbt-i"]}).to_dict()
    therapy = [v for v in found["visits"] if v["id"].startswith("cbt-i")]
    doses = {v["starts"][:10] for v in found["visits"] if v["kind"] == "dose"}
    assert therapy
    assert "2027-01-12" <= therapy[0]["starts"][:10] <= "2027-01-14"
    assert not doses & {v["starts"][:10] for v in therapy}
    with pytest.raises(BadInput, match="no therapy"):
        planned(order={"also": ["ketamine-sc"]})


def test_a_taper_is_told_as_it_was_written() -> None:
    steps = [{"from": "2027-01-18", "text": "8 g a day in four parts", "by": "Dr Lee"}]
    found = planned(protocol="kratom-reduction", order={"taper": steps}).to_dict()
    (step,) = [s for s in found["steps"] if s["what"] == "taper"]
    assert step["title"] == "8 g a day in four parts"
    assert step["basis"] == "written by Dr Lee"
    assert not [s for s in planned(protocol="kratom-reduction").to_dict()["steps"] if s["what"] == "taper"]
    with pytest.raises(BadInput, match="from, text, by"):
        planned(protocol="kratom-reduction", order={"taper": [{"from": "2027-01-18", "text": "less"}]})


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"protocol": "esketamine-trt"}, "esketamine-trd"),
        ({"start": "2026-11-20"}, "in the past"),
        ({"start": "soon"}, "not a day"),
        ({"start": "2036-01-07"}, "too far ahead"),
        ({"start": "9999-12-30"}, "too far ahead"),
        ({"start": "2027-01-10"}, "closed on 2027-01-10; it is next open on 2027-01-11"),
        ({"clinic": {"cover": {"zone": "Europe/Berln"}}}, "no such time zone"),
        ({"clinic": BERLIN | {"protocol": {"esketamine-trd": {"window.early": 9}}}}, "it may be 0 to 1"),
        ({"clinic": BERLIN | {"protocol": {"no.such.setting": 1}}}, "no protocol has the setting"),
        ({"language": "xx"}, "no pages in the language"),
        ({"order": {"colour": "red"}}, "not known here"),
        (
            {"clinic": {"cover": BERLIN["cover"] | {"closed": [f"2027-01-{d}" for d in range(17, 23)]}}},
            "visit 3 must be from 2027-01-17 to 2027-01-19",
        ),
        (
            {
                "clinic": {
                    "cover": BERLIN["cover"] | {"hours": [{"day": "monday", "opens": "08:00", "closes": "09:00"}]}
                }
            },
            "no opening",
        ),
    ],
)
def test_refused_with_the_place_and_what_to_do(options: Json, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        planned(**options)


def test_a_closed_week_in_maintenance_is_told_not_guessed() -> None:
    closed = [(datetime(2027, 3, 20, tzinfo=ZONE) + timedelta(days=n)).strftime("%Y-%m-%d") for n in range(20)]
    found = planned(clinic={"cover": BERLIN["cover"] | {"closed": closed}}).to_dict()
    assert [n for n in found["notes"] if n["id"].startswith("closed:")]
    assert not [v for v in found["visits"] if v["starts"][:10] in closed]


# --- shape ------------------------------------------------------------------------------------------------------------


def test_json_is_what_the_command_prints_and_every_step_has_a_state() -> None:
    found = planned()
    assert json.loads(found.to_json()) == json.loads(json.dumps(found.to_dict()))
    states = {d.step.id: d.state.value for d in due(found.plan.steps, found.acts, now=found.plan.at.ms)}
    assert {s["id"]: s["state"] for s in found.to_dict()["steps"]} == states


def test_spanish_words_for_the_person_and_the_same_plan() -> None:
    spanish, english = planned(language="es").to_dict(), planned().to_dict()
    assert [v["starts"] for v in spanish["visits"]] == [v["starts"] for v in english["visits"]]
    assert spanish["visits"][0]["title"] != english["visits"][0]["title"]


def test_wall_clock_stays_over_a_change_to_summer_time() -> None:
    times = {v["starts"][11:16] for v in planned(start="2027-03-15").to_dict()["visits"]}
    offsets = {v["starts"][-6:] for v in planned(start="2027-03-15").to_dict()["visits"]}
    assert times == {"08:00"}
    assert offsets == {"+01:00", "+02:00"}
