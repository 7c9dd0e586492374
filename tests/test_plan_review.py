"""Plans of people who do not keep to the plan: doses of other things, late, twice, undated; pauses, moves, bad files.

Days are counted from FIRST, a Monday; a dose is given at nine, the clinic is open on weekdays from eight to six.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

import adjunct
from adjunct.base import BadInput
from bundles import NOW, cssrs, medicine, number, person, pressure
from cases.worked_cases import CASES, D01, D19, D19_FACTS
from test_plan import BERLIN, CHICAGO, COURSE, FIRST, case, change, dose, planned

Json = dict[str, Any]
IV, ESK = "ketamine-iv-induction", "esketamine-trd"
THREE = CHICAGO | {"protocol": {IV: {"induction.pattern": "three-a-week"}}}


def at(day: float) -> str:
    return (FIRST + timedelta(days=day)).isoformat()


def on(day: float) -> str:
    return at(day)[:10]


def given(what: float | str | Json, protocol: str) -> Json:
    """A dose of the protocol's substance: on a day of the course, on a partial date, or as it stands."""
    substance, route = ("esketamine", "nasal") if protocol == ESK else ("ketamine", "intravenous")
    if isinstance(what, dict):
        return what
    if isinstance(what, str):
        return dose(FIRST, substance, route, 35) | {"id": f"dose-{what}", "effectiveDateTime": what}
    return dose(FIRST + timedelta(days=what), substance, route, 35)


def course(
    doses: Sequence[float | str | Json],
    day: float,
    *changes: Json,
    protocol: str = IV,
    extra: Sequence[Mapping[str, Any]] = (),
    order: Json | None = None,
    **options: Any,
) -> Json:
    """The plan of a course begun on FIRST as it stands so many days later."""
    own = {e["id"] for e in extra}
    facts = [f for f in json.loads(json.dumps(D01.facts).replace(NOW, at(day - 0.02))) if f["id"] not in own]
    record = person(age=44, sex="F", extra=[*facts, *(given(d, protocol) for d in doses), *extra])
    asked = {"protocol": protocol, "start": on(0), "at": at(day), "country": "US", "clinic": CHICAGO} | options
    return dict(adjunct.plan(record, order={"change": list(changes)} | (order or {}), **asked).to_dict())


def decided(kind: str, after: int, day: float, **data: Any) -> Json:
    return change(kind, after, at=at(day), **data)


def done(found: Json) -> list[str]:
    return [v["given_at"][:10] for v in found["visits"] if v["given_at"]]


def coming(found: Json) -> list[str]:
    return [v["starts"][:10] for v in found["visits"] if v["state"] not in ("done", "missed")]


def ids(found: Json, what: str) -> set[str]:
    return {entry["id"].partition(":")[0] for entry in found[what]}


# --- doses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "doses", "visits"),
    [
        (ESK, [0, dose(FIRST + timedelta(days=2), "ketamine", "intravenous", 35), 3], [on(0), on(3)]),
        (IV, [0, dose(FIRST + timedelta(days=2), "esketamine", "nasal", 56), 3], [on(0), on(3)]),
        (ESK, [0, 3], [on(0), on(3)]),
    ],
)
def test_a_dose_of_another_substance_is_no_visit_of_this_course(
    protocol: str, doses: list[float | str | Json], visits: list[str]
) -> None:
    assert done(course(doses, 4, protocol=protocol)) == visits


@pytest.mark.parametrize(
    ("hours_before", "first"),
    [
        (49, on(0) + "T08:00"),
        (47, on(0) + "T09:00"),
        (40, on(1) + "T08:00"),  # 16:00 leaves no room for the infusion and the stay: the day after
    ],
)
def test_the_least_time_is_kept_from_a_dose_of_another_substance(hours_before: int, first: str) -> None:
    """Two days, counted from eight o'clock on the day of the start back to a spray on record."""
    other = dose(FIRST - timedelta(hours=hours_before + 1), "esketamine", "nasal", 56)  # FIRST is at nine
    assert course([other], -0.1)["visits"][0]["starts"].startswith(first)


@pytest.mark.parametrize(
    ("doses", "day", "clinic", "next_days"),
    [
        ([0, 3], 4, THREE, [on(7), on(10)]),  # a Thursday for a Wednesday: Friday is too soon, Saturday closed
        ([0, 3 + 8 / 24], 4, THREE, [on(7), on(10)]),
        ([0, 2, 5 + 8 / 24], 6, THREE, [on(8), on(10)]),  # on a Saturday evening
        ([1 + 8 / 24], 2, CHICAGO, [on(4), on(7)]),
    ],
)
def test_a_late_dose_moves_the_next_visit_and_never_takes_the_plan_away(
    doses: list[float], day: float, clinic: Json, next_days: list[str]
) -> None:
    found = course(doses, day, clinic=clinic)
    assert coming(found)[:2] == next_days
    assert len(found["visits"]) == 6  # the series keeps its number
    last = FIRST + timedelta(days=doses[-1])
    assert datetime.fromisoformat(found["visits"][len(doses)]["starts"]) - last >= timedelta(hours=48)


@pytest.mark.parametrize(("when", "vague"), [("2026-08-10", False), ("2026-08", True), ("2026", True)])
def test_a_dose_without_a_day_counts_and_says_so(when: str, vague: bool) -> None:
    found = course([when], 4)
    assert done(found) == [on(0)]
    assert ("vague" in ids(found, "notes")) is vague
    if vague:  # it may have been today: two days from now, and the clinic is closed at the weekend
        assert coming(found)[0] == on(7)


@pytest.mark.parametrize(
    ("second_h", "told"),
    [
        (0.25, False),  # the second device of one session
        (3, True),
        (8, True),
        (17, True),  # the least time between two sprays is 18 hours
        (18, False),
    ],
)
def test_two_doses_too_close_together_are_told(second_h: float, told: bool) -> None:
    assert ("twice" in ids(course([0, second_h / 24], 2, protocol=ESK), "notes")) is told


def test_a_dose_on_the_day_before_the_start_is_of_another_course() -> None:
    found = course([dose(FIRST - timedelta(days=7), "ketamine", "intravenous", 35)], -0.1)
    assert not done(found)
    assert coming(found)[0] == on(0)


# --- pauses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resumed", "first", "told", "status"),
    [
        (3, on(3), set(), "active"),
        (5, on(7), set(), "active"),  # a Saturday: the Monday after, never the Friday before
        (7, on(7), set(), "active"),  # seven days since the dose: at the limit
        (8, on(8), {"rescore"}, "active"),
        (14, on(14), {"rescore"}, "active"),
        (15, on(15), {"restart"}, "waiting"),
        (40, on(42), {"restart"}, "waiting"),
    ],
)
def test_a_course_that_rested_goes_on_by_the_time_since_the_last_dose(
    resumed: int, first: str, told: set[str], status: str
) -> None:
    """The published rule: up to 7 days continue; 8 to 14 score anew first; longer, a new assessment and consent."""
    changes = decided("hold", 1, 1), decided("resume", 2, 2.9, to=on(resumed))
    found = course([0], 2.95, *changes)
    assert coming(found)[0] == first
    assert ids(found, "missed") == told
    assert found["status"] == status
    assert not any("You missed" in m["tell"] for m in found["missed"])  # nobody missed anything
    if "restart" in told:
        assert "open:restart" in found["visits"][1]["prerequisites"]
        assert found["steps"][0]["id"].startswith("open:")
        anew = {"what": "assessment", "at": at(2.92)}
        assert course([0], 2.95, *changes, order={"done": [anew]})["status"] == "active"


def test_a_course_resumed_on_a_closed_day_before_its_first_dose_begins_on_the_next_open_one() -> None:
    found = course([], 3, decided("hold", 1, -1), decided("resume", 2, 2, to=on(5)))
    assert coming(found)[0] == on(7)


def test_no_visit_before_the_hour_at_which_a_course_goes_on() -> None:
    found = course([0], 9.2, decided("hold", 1, 1), decided("resume", 2, 9 + 3 / 24))
    (visit,) = [v for v in found["visits"] if v["starts"][:10] == on(9)]
    assert visit["starts"][11:16] == "12:00"


def test_a_dose_before_the_hold_on_the_same_day_was_before_it() -> None:
    found = course([0], 2, decided("hold", 1, 0.2), decided("resume", 2, 1.9, to=on(3)))
    assert (done(found), coming(found)[0]) == ([on(0)], on(3))


def test_after_a_long_absence_somebody_must_hold_and_resume() -> None:
    away = course([0, 3], 18)
    assert (away["status"], coming(away)) == ("on-hold", [])
    back = course([0, 3], 20, decided("hold", 1, 18), decided("resume", 2, 19.5, to=on(21)))
    assert coming(back)[0] == on(21)
    assert (back["status"], "restart" in ids(back, "open")) == ("waiting", True)


def test_consent_is_asked_for_anew_after_a_long_pause() -> None:
    form = course([], -0.5)["consent"]["form"]
    signed = {
        "given": [{"id": "g", "at": at(-1), "by": "Dr Roe", "version": form}],
        "capacity": [{"id": "c", "at": at(-1), "by": "Dr Roe", "version": form, "holds": "yes"}],
        "taught_back": [{"id": "t", "at": at(-1), "by": "Dr Roe", "version": form, "again": []}],
    }
    for resumed, valid in ((7, True), (15, False)):
        changes = decided("hold", 1, 1), decided("resume", 2, 2.9, to=on(resumed))
        found = course([0], 2.95, *changes, order={"consent": signed})
        assert (found["consent"]["status"] == "valid") is valid


@pytest.mark.parametrize("kind", ["hold", "stop"])
def test_a_course_that_was_cut_short_is_not_reviewed_as_if_it_had_ended(kind: str) -> None:
    found = course([0, 3], 4, decided(kind, 1, 3.5))
    assert not [s for s in found["steps"] if s["domain"] == "review"]
    assert [s for s in course([0, 3], 4)["steps"] if s["domain"] == "review"]


# --- missed visits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "told"), [(3, "soon"), (7, "soon"), (9, "rescore"), (20, "restart")])
def test_somebody_who_never_came(day: int, told: str) -> None:
    missed = decided("missed", 1, 2, visit=f"{IV}.two-a-week.1")
    found = course([], day, missed)
    assert told in ids(found, "missed")
    assert (found["status"] == "on-hold") is (told == "restart")


@pytest.mark.parametrize(
    ("scale", "scores", "told"),
    [  # before the first dose, twice while well, and after the missed visit
        ("phq9", (20, 5, 5, 5), "later-not-worse"),
        ("phq9", (20, 5, 5, 9), "later-not-worse"),
        ("phq9", (20, 5, 5, 10), "later-unknown"),  # the range of a relapse, which a second score must confirm
        ("phq9", (20, 5, 5, 15), "later-worse"),
        ("madrs", (32, 8, 8, 9), "later-not-worse"),
        ("madrs", (32, 8, 8, 28), "later-worse"),
        ("madrs", (32, 8, 8), "later-unknown"),  # nobody asked since
        ("qids", (18, 5, 5, 5), "later-not-worse"),
        ("qids", (18, 5, 5, 17), "later-worse"),
    ],
)
def test_worse_or_not_by_any_scale_of_depression(scale: str, scores: Sequence[int], told: str) -> None:
    rated = [
        number(scale, score, "{score}", at(day)) | {"id": f"{scale}-{day}"}
        for day, score in zip((-1, 60, 75, 101), scores, strict=False)
    ]
    facts = [f for f in D19_FACTS if f.get("id") not in ("o-dose", "o-missed-session") and "phq9" not in f["id"]]
    screen = cssrs(q1=False, q2=False, q3=False, q4=False, q5=False, q6=False)
    doses = [given(day, ESK) for day in COURSE]
    record = person(age=D19.age, sex=D19.sex, extra=[*facts, *doses, *rated, *screen])
    found = adjunct.plan(record, protocol=ESK, start=on(0), at=NOW, country="US", clinic=CHICAGO).to_dict()
    assert ids(found, "missed") == {told}


def test_without_an_entry_the_start_is_past_and_the_refusal_says_what_to_write() -> None:
    with pytest.raises(BadInput, match="first visit was missed"):
        course([], 3)


# --- changes that do not fit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (decided("missed", 1, 2, visit="nonsense.1"), "no visit of this plan"),
        (decided("missed", 1, 2, visit=f"{IV}.two-a-week.99"), "has no visit"),
        (decided("move", 1, 2, visit=f"{IV}.three-a-week.1", to=on(4)), "has no visit"),
        (decided("move", 1, 3.5, visit=f"{IV}.two-a-week.2", to=on(2)), "before the change itself"),
        (decided("move", 1, 2, visit=f"{IV}.two-a-week.2", to=on(6)), "outside its window"),
        (decided("amend", 1, 2, settings={}), "changes nothing"),
    ],
)
def test_a_change_that_cannot_be_is_refused(entry: Json, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        course([0], 3.6, entry)


def test_nobody_resumes_into_the_past() -> None:
    with pytest.raises(BadInput, match="before the change itself"):
        course([0], 9, decided("hold", 1, 1), decided("resume", 2, 8, to=on(2)))


def test_a_move_that_a_later_change_made_impossible_is_told_and_takes_no_plan_away() -> None:
    moved = decided("move", 1, 1, visit=f"{IV}.two-a-week.3", to=on(8))
    found = course([0], 9, moved, decided("hold", 2, 2), decided("resume", 3, 8.5, to=on(10)))
    assert coming(found)[:2] == [on(10), on(14)]
    assert "unmoved" in ids(found, "notes")


def test_an_amended_horizon_is_kept() -> None:
    amended = course([0, 3], 4, decided("amend", 1, 3.5, settings={"maintenance.horizon": 9}), protocol=ESK)
    assert max(coming(amended)) <= on(63)
    assert max(coming(course([0, 3], 4, protocol=ESK))) > on(150)


# --- what is asked for and what is not --------------------------------------------------------------------------------


def test_what_the_record_holds_is_not_asked_for_again_and_nothing_twice() -> None:
    """Measured half an hour before the visit: nobody asks for it; and each thing is asked once for a visit."""
    now = at(-0.5 / 24)
    fresh = [pressure(124, 78, at=now) | {"id": "bp-now"}, *({**q, "id": f"{q['id']}-n"} for q in asked(now))]
    found = course([], -0.4 / 24, extra=fresh, start=on(0))
    mine = [s for s in found["steps"] if s["due"][:10] <= on(0) and s["what"] in ("cssrs", "blood-pressure")]
    assert {s["state"] for s in mine} == {"done"}
    for visit in found["visits"]:
        what = [s["what"] for s in found["steps"] if s["overdue"] == visit["starts"] or s["due"] == visit["starts"]]
        once = [w for w in what if w in ("cssrs", "blood-pressure", "mood10", "hcg", "weight", "asrm")]
        assert len(once) == len(set(once))


def asked(when: str) -> list[Json]:
    return cssrs(at=when, q1=False, q2=False, q6=False)


@pytest.mark.parametrize(("country", "rems", "partner"), [("US", True, False), ("DE", False, True), ("", True, True)])
def test_each_country_asks_for_what_its_law_asks(country: str, rems: bool, partner: bool) -> None:
    clinic = BERLIN | ({"clinic": {"country": country}} if country else {})
    d11 = case("D11")  # mirtazapine: neither SSRI nor SNRI
    what = {s["what"] for s in planned(d11, clinic=clinic).to_dict()["steps"]}
    assert ({"rems-form", "rems-enrolment"} <= what, "rems-form" in what) == (rems, rems)
    assert ("licence-partner" in what) is partner
    assert "licence-partner" not in {s["what"] for s in planned(clinic=clinic).to_dict()["steps"]}  # sertraline


def test_somebody_who_takes_no_kratom_is_asked_before_a_reduction() -> None:
    asked = [{s["id"] for s in planned(c, protocol="kratom-reduction").to_dict()["steps"]} for c in (D01, case("D07"))]
    assert ["kratom-reduction:taken" in steps for steps in asked] == [True, False]


def test_insulin_brings_a_written_plan_for_food_before_every_visit() -> None:
    insulin = medicine("5856", "insulin glargine", 20, unit="[IU]")
    found = planned(D01, [insulin]).to_dict()
    visits = {v["id"] for v in found["visits"]}
    assert {s["id"].rpartition(":")[0] for s in found["steps"] if s["what"] == "fasting-plan"} == visits
    assert not [s for s in planned().to_dict()["steps"] if s["what"] == "fasting-plan"]


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_an_override_answers_for_a_contraindication_not_for_what_is_open() -> None:
    found = planned(case("D04"), override="Dr Roe: discussed").to_dict()  # pregnant, and the screen is not finished
    assert (found["verdict"], found["status"]) == ("NOT_ELIGIBLE", "waiting")


@pytest.mark.parametrize("kind", ["hold", "stop"])
def test_a_course_that_rests_is_shown_though_the_person_is_no_longer_eligible(kind: str) -> None:
    positive = [f for f in case("D04").facts if f["id"] == "hcg"]
    facts = [dict(f) | {"effectiveDateTime": at(3.4)} for f in positive]
    with pytest.raises(BadInput, match="NOT_ELIGIBLE"):
        course([0, 3], 4, extra=facts)
    found = course([0, 3], 4, decided(kind, 1, 3.5), extra=facts)
    assert (found["status"], coming(found)) == ({"hold": "on-hold", "stop": "stopped"}[kind], [])


@pytest.mark.parametrize("protocol", ["cbt", "kratom-reduction", "cooccurring-sud"])
def test_help_does_not_wait_for_what_only_a_dose_waits_for(protocol: str) -> None:
    found = planned(case("D07"), protocol=protocol).to_dict()
    assert (found["verdict"], found["status"]) == ("DEFER", "active")
    assert found["steps"][0]["id"].startswith("open:")  # it is asked all the same, and first


def test_nothing_is_planned_for_somebody_who_died() -> None:
    record = person(age=44, sex="F", extra=D01.facts)
    record["entry"][0]["resource"]["deceasedBoolean"] = True
    with pytest.raises(BadInput, match="died"):
        adjunct.plan(record, protocol=ESK, start="2027-01-11", at=at(103), clinic=BERLIN)


# --- the day of the start ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hour", "fits"), [("07:00", True), ("15:45", True), ("15:46", False), ("22:00", False)]
)  # spray and stay last two hours and a quarter, the clinic closes at six
def test_a_course_that_begins_today_needs_room_today(hour: str, fits: bool) -> None:
    options = {"start": "2026-11-23", "at": f"2026-11-23T{hour}:00+01:00"}
    if fits:
        assert planned(**options).to_dict()["visits"][0]["starts"][:10] == "2026-11-23"
    else:
        with pytest.raises(BadInput, match="left of 2026-11-23; it is next open on 2026-11-24"):
            planned(**options)


# --- beside the course ------------------------------------------------------------------------------------------------


def test_a_therapy_beside_the_course_may_be_missed_and_stands_there_once() -> None:
    missed = change("missed", 1, visit="cbt.sessions.1")
    found = planned(order={"also": ["cbt", "cbt"], "change": [missed]}).to_dict()
    states = {v["id"]: v["state"] for v in found["visits"] if v["id"].startswith("cbt.")}
    assert len(states) == 16
    assert [v for v, state in states.items() if state == "missed"] == ["cbt.sessions.1"]
    with pytest.raises(BadInput, match="the course itself"):
        planned(protocol="cbt", order={"also": ["cbt"]})


def test_a_therapy_finds_a_day_though_the_clinic_is_open_on_days_of_doses_only() -> None:
    hours = [{"day": d, "opens": "08:00", "closes": "18:00"} for d in ("monday", "thursday")]
    found = planned(clinic={"cover": BERLIN["cover"] | {"hours": hours}}, order={"also": ["cbt"]}).to_dict()
    doses = {v["starts"][:10] for v in found["visits"] if v["kind"] == "dose"}
    therapy = [v["starts"][:10] for v in found["visits"] if v["kind"] == "therapy"]
    assert therapy
    assert not doses & set(therapy)


# --- bad input --------------------------------------------------------------------------------------------------------

WRONG: tuple[Any, ...] = (
    None, 1, -1, 1.5, "", "x", [], [1], ["x"], {}, {"a": {}}, {"a": {"b": {"c": 1}}}, True, [[]], [None], 10**30,
    "\u202e\U0001f4a9" * 50, "9" * 500,
)  # fmt: skip
SECTIONS = ("override", "change", "done", "taper", "also", "consent", "team", "contact", "routine")


@pytest.mark.parametrize("section", SECTIONS)
def test_an_order_of_any_shape_is_planned_or_refused_in_words(section: str) -> None:
    for value in WRONG:
        _planned_or_refused(order={section: value})


def test_a_clinic_file_of_any_shape_is_planned_or_refused_in_words() -> None:
    for value in WRONG:
        _planned_or_refused(clinic=BERLIN | {"protocol": {ESK: value}})
        _planned_or_refused(clinic=BERLIN | {"protocol": value})
        _planned_or_refused(clinic=BERLIN | {"cover": value})
        _planned_or_refused(order=value)


def _planned_or_refused(**options: Any) -> None:
    said = ""
    try:
        planned(**options).to_json()
    except BadInput as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": "nonsense"},
        {"start": "soon"},
        {"language": "xx"},
        {"clinic": {"cover": {"zone": "Europe/Berln"}}},
        {"clinic": BERLIN | {"clinic": {"country": "Germany"}}},
        {"clinic": BERLIN | {"protocol": {ESK: 5}}},
        {"order": {"colour": "red"}},
        {"order": {"change": [{}]}},
        {"override": "nobody"},
    ],
)
def test_whatever_is_wrong_with_the_question_the_red_flag_answers(options: Json) -> None:
    with pytest.raises(BadInput) as error:
        planned(case("D14"), **options)
    assert error.value.advice


def test_a_plan_that_rests_can_be_written_as_json() -> None:
    for kind in ("hold", "stop"):
        assert planned(order={"change": [change(kind, 1)]}).to_json()


# --- words ------------------------------------------------------------------------------------------------------------


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [text for entry in inner for text in strings(entry)]


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("protocol", [ESK, IV, "kratom-reduction", "cbt"])
def test_no_plan_says_safe_or_leaves_a_place_open_or_tells_the_person_to_do_without(
    protocol: str, language: str
) -> None:
    people = [c for c in CASES if c.phase == "intake" and c.decision in ("ELIGIBLE", "CAUTION", "DEFER")]
    drinker = (D01, [number("audit_c", 6, "{score}")])
    insulin = (D01, [medicine("5856", "insulin glargine", 20, unit="[IU]")])
    for one, extra in [*((c, []) for c in people), drinker, insulin]:
        found = planned(one, extra, protocol=protocol, language=language).to_dict()
        told = [t["tell"] for key in ("open", "missed", "stops", "timeline") for t in found[key]]
        told += [s["title"] for s in found["steps"]] + strings(found["messages"])
        for text in strings(found):
            assert "safe" not in text.casefold().replace("safety", "").split()
            assert "{" not in text
        for text in told:
            assert not any(w in text.casefold() for w in ("skip", "stop taking", "do without", "deje de tomar"))
