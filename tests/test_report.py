"""The person's report, the care plan, and their files: what is known is told, what is not is said, all or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import adjunct
from adjunct.assessment.result import Assessment, Cited, Finding, Gap
from adjunct.base import FAR, BadInput, instant
from adjunct.documents.care_plan import care_plan_sheet
from adjunct.documents.report import report_sheet, write_report
from adjunct.due import Done, State, Window, due
from adjunct.fhir import read_bundle
from adjunct.followup import FollowUp
from adjunct.knowledge import Knowledge
from adjunct.planning.model import Override, Status
from adjunct.record import Record, from_bundle
from adjunct.record.draft import PAST
from adjunct.sheet import LANGUAGES, Part, Sheet
from bundles import NOW, person
from sheets import DAY, DEFAULT, EVERY_KIND, FACT, FIRST, MADE, OVERRIDDEN, PLAN, SPANISH, ZONE, say, visit

KNOWLEDGE = Knowledge.load()
EXAMPLE = Path(adjunct.__file__).parent / "examples" / "dana-course.json"
VERDICTS = ("ELIGIBLE", "CAUTION", "DEFER", "NOT_ELIGIBLE", "ESCALATE")
CALL = Part(title="Whom to call", kind="contacts", lines=(say("911", strong=True),), id="contacts")


def finding(action: str = "avoid", **more: Any) -> Finding:
    given: dict[str, Any] = {
        "id": "f",
        "title": "Pressure",
        "severity": "high",
        "action": action,
        "kind": "condition",
        "about": "bp",
        "urgency": "soon",
        "involves": (),
        "says": "SBP high.",
        "tell": "Your blood pressure is too high today.",
        "why": "",
        "grade": "B",
        "status": "reported",
        "certainty": "",
        "sources": (Cited(id="l", citation="A label.", locator="5.1"),),
        "disputed": (),
        "because": (),
        "rule": "r@1",
        "verdict": "DEFER",
    }
    return Finding(**(given | more))


def assessed(verdict: str = "DEFER", *findings: Finding, **more: Any) -> Assessment:
    given: dict[str, Any] = {
        "knowledge": {},
        "question": "q",
        "phase": "intake",
        "verdict": verdict,
        "complete": True,
        "headline": {"says": "says", "tell": "What we found."},
        "findings": findings,
        "gaps": (),
        "contacts": (),
    }
    return Assessment(**(given | more))


def report(language: str = "en", **more: Any) -> Sheet:
    return report_sheet(KNOWLEDGE, language=language, zone=ZONE, at=MADE, **({"call": CALL, "emergency": "911"} | more))


def parts(sheet: Sheet) -> Mapping[str, Part]:
    return {part.id: part for part in sheet.parts}


def cells(part: Part) -> list[list[str]]:
    return [[cell.text for cell in row] for row in part.rows]


# --- the verdict, and what cannot wait --------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("complete", [True, False])
def test_every_verdict_is_told_in_words(verdict: str, complete: bool, language: str) -> None:
    lines = parts(report(language, assessment=assessed(verdict, complete=complete)))["verdict"].lines
    assert all(line.language == language and verdict not in line.text for line in lines)
    assert "safe" not in " ".join(line.text for line in lines)
    assert len(lines) == (2 if complete else 3)  # and that there is no plan


def test_without_a_question_there_is_no_verdict() -> None:
    assert parts(report())["verdict"].lines[0].text == "No question about a treatment has been asked."


@pytest.mark.parametrize(("language", "first"), [("en", "Call 911 now"), ("es", "Llame ahora al 911")])
def test_an_emergency_stands_before_all_else_with_what_to_do_in_the_readers_language(language: str, first: str) -> None:
    found = report(language, assessment=assessed("ESCALATE", finding(), finding("emergency", tell="Chest pain.")))
    assert [part.id for part in found.parts][:4] == ["now", "contacts", "verdict", "why"]
    assert found.parts[0].kind == "warning"
    assert found.parts[0].lines[0].text.startswith(first)
    assert found.parts[0].lines[0].language == language
    assert [line.text for line in found.parts[0].lines[1:]] == ["Chest pain."]
    assert [line.text for line in parts(found)["why"].lines] == ["Your blood pressure is too high today."]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_emergency_without_a_finding_or_a_number_still_comes_first(language: str) -> None:
    found = report(language, assessment=assessed("ESCALATE"), emergency="")
    assert found.parts[0].kind == "warning"
    assert "{" not in found.parts[0].lines[0].text


def test_what_a_plan_tells_at_once_is_told_once() -> None:
    plan = replace(PLAN, status=Status.NONE, told=("Chest pain.", "Lie down."), visits=(), open=())
    found = report(assessment=assessed("ESCALATE", finding("emergency", tell="Chest pain.")), plan=plan)
    assert [line.text for line in parts(found)["now"].lines[1:]] == ["Chest pain.", "Lie down."]
    assert parts(found)["verdict"].lines[-1].text.startswith("There is no plan at the moment")
    assert "course" not in parts(found)


@pytest.mark.parametrize(
    ("grade", "status", "source", "sure"),
    [
        ("A", "verified", "x", "several good studies agree"),
        ("D", "proposed", "project-default", f"no direct evidence in people; a precaution; {DEFAULT}"),
        ("C", "proposed", "uncited", "reports or expert opinion; uncertain; no source was read"),
        ("X", "reported", "x", "the evidence found speaks against it"),
    ],
)
def test_every_reason_says_how_sure_and_where_from(grade: str, status: str, source: str, sure: str) -> None:
    cited = (Cited(id=source, citation="A label.", locator="5.1"), Cited(id="y", citation="A trial"))
    line = parts(report(assessment=assessed("DEFER", finding(grade=grade, status=status, sources=cited))))["why"].lines[
        0
    ]
    own = source in ("project-default", "uncited")
    assert (line.sure, line.source) == (sure, "A trial" if own else "A label, 5.1; A trial")


def test_what_is_open_comes_first_and_is_told_once() -> None:
    plan = replace(PLAN, open=(*PLAN.open, replace(PLAN.open[0], id="finding:f", tell=finding().tell)))
    found = report(assessment=assessed("DEFER", finding()), plan=plan)
    assert [line.text for line in parts(found)["first"].lines] == [
        "We have to measure your blood pressure first.",
        finding().tell,
    ]
    assert [part.id for part in found.parts][:2] == ["verdict", "first"]
    assert "why" not in parts(found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_missing_is_told_in_plain_words_and_what_is_private_only_counted(language: str) -> None:
    gaps = [
        Gap(fact=f, why="", ask="Ask in private: menopause.", blocks=b)
        for f, b in (("allergies_asked", True), ("hcg", True), ("sbp", True), ("dbp", True), ("tsh", False))
    ]
    lines = parts(report(language, assessment=assessed(gaps=tuple(gaps))))["first"].lines
    assert len(lines) == 3  # allergies, pressure once, and one more
    assert all(line.language == language and "menopause" not in line.text for line in lines)
    assert lines[-1].text.count("1") == 1
    open_ = tuple(replace(PLAN.open[0], id=f"gap:{gap.fact}", title=gap.ask, tell="") for gap in gaps[:4])
    planned = parts(report(language, assessment=assessed(gaps=tuple(gaps)), plan=replace(PLAN, open=open_)))
    assert [line.text for line in planned["first"].lines] == [line.text for line in lines]


def test_what_only_informs_is_told_at_the_end() -> None:
    found = report(assessment=assessed("CAUTION", finding("inform", tell="Good to know."), finding("monitor")))
    assert [line.text for line in parts(found)["known"].lines] == ["Good to know."]
    assert [line.text for line in parts(found)["why"].lines] == [finding().tell]
    assert [part.id for part in found.parts][-2:] == ["known", "sure"]


# --- visits and steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "row"),
    [
        ("en", ["Visit 1: Session 1", "Monday 11 January 2027, 09:30"]),
        ("es", ["Visita 1: Session 1", "lunes 11 de enero de 2027, 09:30"]),
    ],
)
def test_a_visit_is_told_with_day_and_clock_of_the_clinic(language: str, row: list[str]) -> None:
    found = parts(report(language, plan=PLAN))["course"]
    assert cells(found)[0] == row
    assert any(ZONE in line.text for line in found.lines)


def test_a_row_of_visits_is_named_once() -> None:
    visits = [replace(v, title="Two visits a week") for v in PLAN.visits]
    other = replace(PLAN.visits[0], id="t", phase="talk", title="Talk")
    found = parts(report(plan=replace(PLAN, visits=(*visits, other))))["course"]
    assert [row[0] for row in cells(found)] == ["Visit 1: Two visits a week", "Visit 2", "Visit 1: Talk"]


def test_a_clock_that_changes_is_the_clock_on_the_wall() -> None:
    spring = replace(PLAN.visits[0], starts=FIRST + 70 * DAY)  # in Chicago the clocks went forward on 14 March
    assert cells(parts(report(plan=replace(PLAN, visits=(spring,))))["course"])[0][1] == "Monday 22 March 2027, 10:30"


def test_visits_that_were_are_counted_and_of_many_to_come_the_next_are_told() -> None:
    over = (replace(visit(1), state=State.DONE), replace(visit(2), state=State.MISSED))
    found = parts(report(plan=replace(PLAN, visits=(*over, *map(visit, range(3, 12))))))["course"]
    texts = [line.text for line in found.lines]
    assert "Visits that took place: 1. Visits that did not: 1." in texts
    assert "After these there are 3 more; the last is on Wednesday 10 February 2027." in texts
    assert [row[0] for row in cells(found)] == [f"Visit {n}: Session {n}" for n in range(3, 9)]


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_status_of_a_plan_is_told(status: Status, language: str) -> None:
    found = parts(report(language, plan=replace(PLAN, status=status)))
    assert len(found["verdict"].lines) == 2
    assert ("course" in found) == (status is not Status.NONE)


def test_a_plan_without_a_visit_says_so() -> None:
    found = parts(report(plan=replace(PLAN, visits=())))["course"]
    assert [line.text for line in found.lines] == [PLAN.protocol_title, "No visit is planned."]


def mine(**more: Any) -> Any:
    return replace(PLAN.steps[0], **({"owner": "person", "domain": "before"} | more))


def test_the_person_reads_what_is_asked_of_them_and_since_when_it_waits() -> None:
    later = Window(opens=MADE.ms, due=FIRST + 2 * DAY, overdue=FAR)
    steps = [
        mine(id="a", title="Name who takes you home"),
        mine(id="b", title="Call us", window=later),
        mine(id="c", title="Call us", window=replace(later, due=later.due + DAY)),
        mine(id="d", title="Walk", domain="routine"),
        mine(id="e", title="Visit", domain="visit"),
        replace(PLAN.steps[0], id="f", title="Sign", owner="prescriber"),
    ]
    found = parts(report(plan=PLAN, steps=due(steps, [], now=FIRST + 1)))["next"]
    assert cells(found) == [
        [
            "Name who takes you home",
            "waiting since Sunday 10 January 2027: please do it today, or tell us what stands in the way",
        ],
        ["Call us", "by Wednesday 13 January 2027"],
    ]
    assert "next" not in parts(report(steps=due(steps[3:], [], now=FIRST)))


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["Questionnaires about: alcohol and other substances, mood", "A short check-in: how you are"]),
        ("es", ["Cuestionarios sobre: alcohol y otras sustancias, ánimo", "Unas preguntas cortas: cómo está"]),
    ],
)
def test_questionnaires_are_one_row_in_the_words_of_the_reader(language: str, told: list[str]) -> None:
    forms = [mine(id=n, what=n, title=n.upper(), domain="wider") for n in ("auditc", "phq9")]
    checkin = mine(id="c", what="checkin", title="Check-in", domain="check-in")
    found = parts(report(language, plan=PLAN, steps=due([*forms, checkin], [], now=MADE.ms)))["next"]
    assert sorted(row[0] for row in cells(found)) == sorted(told)
    assert {row[0].language for row in found.rows} == {language}


# --- medicines --------------------------------------------------------------------------------------------------------


def record(*takes: Any) -> Record:
    bundle = person(age=40, takes=takes)
    return from_bundle(read_bundle(bundle), KNOWLEDGE, now=instant(NOW), phase="intake")


def test_medicines_stand_once_in_the_words_of_the_record_and_unknown_is_said() -> None:
    found = cells(parts(report(record=record("sertraline 150 mg", "kratom-leaf", "sertraline 150 mg")))["medicines"])
    assert [row[0] for row in found] == ["sertraline", "kratom-leaf"]
    assert found[1][2:] == ["not known", "not known"]
    assert "safe" not in str(found)


@pytest.mark.parametrize(
    ("mg", "language", "told"),
    [
        ((150.0, 150.0), "en", "150 mg"),
        ((0.5, 0.5), "es", "0,5 mg"),
        ((2500.0, 5000.0), "en", "2.5–5 g"),
        ((500.0, 1500.0), "en", "500–1500 mg"),
        (None, "es", "no se sabe"),
    ],
)
def test_an_amount_is_written_with_its_unit(mg: tuple[float, float] | None, language: str, told: str) -> None:
    made = record("sertraline 150 mg")
    made = replace(made, intakes=(replace(made.intakes[0], per_day_mg=mg),))
    assert cells(parts(report(language, record=made))["medicines"])[0][2] == told


def test_what_can_be_several_things_is_asked_and_what_is_denied_is_not_taken() -> None:
    intake = record("sertraline 150 mg").intakes[0]
    either = replace(intake, text="a", options={"sertraline": ("sertraline",), "ketamine": ("ketamine",)})
    denied = replace(intake, text="b", denied=True)
    unsure = replace(intake, text="c", text_only=True)
    made = replace(record(), intakes=(either, denied, unsure))
    found = cells(parts(report(record=made))["medicines"])
    assert [row[1] for row in found] == [
        "this can be sertraline or ketamine: please tell us which",
        "you do not take this",
        "sertraline, not certain",
    ]


def test_several_doses_of_one_medicine_are_one_line_with_the_latest() -> None:
    intake = record("sertraline 150 mg").intakes[0]
    doses = tuple(replace(intake, per_day_mg=None, last_use=(FIRST + n * DAY,) * 2, as_needed=n == 1) for n in (2, 1))
    found = cells(parts(report(record=replace(record(), intakes=doses)))["medicines"])
    assert [row[2:] for row in found] == [["not known, when needed", "Wednesday 13 January 2027"]]


def test_what_is_no_longer_taken_says_so_in_place_of_an_amount() -> None:
    made = replace(record("venlafaxine 150 mg"), now=instant("2027-02-01T09:00:00Z"))
    ended = replace(made.intakes[0], t0=FIRST, t1=FIRST + DAY - 1)
    undated = replace(made.intakes[0], t0=PAST, t1=PAST)
    found = [parts(report(record=replace(made, intakes=(i,))))["medicines"] for i in (ended, undated)]
    assert [cells(part)[0][2] for part in found] == [
        "no longer taken since Monday 11 January 2027, as written",
        "no longer taken, as written",
    ]


def test_no_medicine_on_record_is_not_no_medicine() -> None:
    assert "We do not know whether you take any" in parts(report(record=record()))["medicines"].lines[0].text


# --- answers over time ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dana() -> FollowUp:
    return adjunct.follow(EXAMPLE, at="2026-11-21T08:30:00+01:00", country="US")


def test_answers_are_told_before_and_now_in_plain_words(dana: FollowUp) -> None:
    found = parts(report("es", follow=dana))
    phq = next(row for row in cells(found["trend"]) if "PHQ-9" in row[0])
    assert phq[0] == "ánimo (PHQ-9), menos es mejor"
    assert phq[1:] == ["20", "13 (viernes 20 de noviembre de 2026)", phq[3]]
    assert phq[3].startswith("puede estar volviendo")
    assert all("no se sabe" not in row[3] for row in cells(found["trend"]))  # those without a meaning are the team's


def test_the_picture_of_answers_has_its_numbers_beside_it(dana: FollowUp) -> None:
    found = parts(report(follow=dana))["dots"]
    assert found.alt.startswith("PHQ-9: 20 on Friday 21 August 2026, 13 on Friday 20 November 2026.")
    known = [value for _, value in cells(found) if value != "not known"]
    assert found.svg.count("<circle") == len(known) > 5
    assert all(f">{value}</text>" in found.svg for value in known)


def test_a_missing_answer_is_in_the_table_and_nowhere_in_the_picture(dana: FollowUp) -> None:
    missing = replace(dana.series["phq9"][0], value=math.nan)
    series = {**dana.series, "phq9": (missing, *dana.series["phq9"][1:])}
    found = parts(report(follow=replace(dana, series=series)))["dots"]
    assert cells(found)[0] == ["21 Aug 2026", "not known"]
    assert found.svg.count("<circle") == len(found.rows) - 1
    assert found.alt.startswith("PHQ-9: 17 on")
    nothing = replace(dana, series={"phq9": (missing,)})
    assert "dots" not in parts(report(follow=nothing))


def test_a_follow_up_without_answers_says_so(dana: FollowUp) -> None:
    found = parts(report(follow=replace(dana, courses={}, trajectory=None)))
    assert found["trend"].lines[0].text == "No answers to questionnaires that can be compared are on record yet."


def test_the_report_says_when_it_was_made_and_from_what() -> None:
    found = report("es", plan=PLAN)
    assert found.meta["made"] == "domingo 22 de noviembre de 2026, 03:00 (America/Chicago)"
    assert found.meta["knowledge"] == f"{KNOWLEDGE.version}, {KNOWLEDGE.as_of}"
    assert (found.meta["plan"], found.meta["protocol"]) == ("2", "esketamine-trd 1")


def test_what_was_agreed_of_the_routine_is_told_in_short() -> None:
    order = {"routine": {"chosen": [{"activity": "walk", "at": "2026-11-20T09:00:00-06:00", "by": "Dana"}]}}
    made = adjunct.suggest(EXAMPLE, order=order, at="2026-11-21T08:30:00+01:00", country="US")
    lines = parts(report(routine=made))["routine"].lines
    assert [line.text.partition(":")[0] for line in lines] == ["Walk", "Your routine has a page of its own."]
    assert "routine" not in parts(report(routine=replace(made, habits=())))


# --- the care plan ----------------------------------------------------------------------------------------------------


def test_the_care_plan_says_what_is_open_and_who() -> None:
    found = parts(care_plan_sheet(PLAN, KNOWLEDGE))
    assert found["open"].lines[0].text == "Measure blood pressure: No pressure is on record. Who: nurse."
    assert "DEFER" in found["status"].lines[0].text


def test_an_override_is_shown_with_its_name_and_reason() -> None:
    lines = parts(care_plan_sheet(OVERRIDDEN, KNOWLEDGE))["status"].lines
    assert [x.text for x in lines if x.strong] == [
        "Planned against the verdict on the word of Dr. Adams: no other choice"
    ]
    assert OVERRIDDEN.override == Override(by="Dr. Adams", reason="no other choice")


def test_no_open_item_is_no_clearance() -> None:
    found = parts(care_plan_sheet(replace(PLAN, open=()), KNOWLEDGE))
    assert "open" not in found
    assert any("no clearance" in line.text for line in found["status"].lines)


def test_visits_have_window_time_stay_prerequisites_and_measures() -> None:
    found = parts(care_plan_sheet(PLAN, KNOWLEDGE))
    assert cells(found["visits"])[0] == [
        "induction 1",
        "Mon 11 Jan 2027 09:30",
        "Sun 10 Jan 2027 \u2013 Wed 13 Jan 2027",
        "2 h",
    ]
    assert found["visits"].lines[1].text == "induction: Session 1"
    assert cells(found["before"]) == [
        ["induction 1\u20132", "prescriber", "Talk about consent"],
        ["induction 1\u20132", "at the visit", "PHQ-9"],
    ]
    assert cells(found["facts"]) == [["Dose of the label", "induction 1\u20132", "56 mg on day 1."]]
    assert found["facts"].rows[0][2].sure == "read in a summary of the source"


def test_visits_of_a_row_are_told_as_a_row_and_those_that_were_as_one_line() -> None:
    visits = (*(visit(n) for n in (1, 2, 3, 5)), replace(visit(1), id="m", phase="maintenance"))
    states = (State.DONE, State.MISSED, State.WAITING, State.WAITING, State.OPEN)
    visits = tuple(replace(v, state=s) for v, s in zip(visits, states, strict=True))
    found = parts(care_plan_sheet(replace(PLAN, visits=visits), KNOWLEDGE))
    assert cells(found["before"])[1] == ["induction 3; induction 5; maintenance 1", "at the visit", "PHQ-9"]
    assert [line.text for line in found["visits"].lines[1:3]] == ["Given: induction 1.", "Not given: induction 2."]


def test_what_waits_comes_first_and_what_comes_again_is_one_row() -> None:
    again = [mine(id=f"c{n}", what="c", title="Check-in", window=visit(n).window) for n in (2, 1)]
    late = replace(PLAN.steps[0], id="late", what="late", title="Form", owner="nurse")
    steps = (*PLAN.steps, *again, late)
    standing = due(steps, [Done(what="other", at=FIRST)], now=FIRST + 1)
    plan = replace(PLAN, steps=steps, at=instant("2027-01-11T15:30:01Z"))
    assert cells(parts(care_plan_sheet(plan, KNOWLEDGE, standing=standing))["steps"]) == [
        ["Form", "nurse", "1, since Sun 10 Jan 2027", "\u2013"],
        ["Check-in", "person", "\u2013", "Thu 14 Jan 2027"],
    ]
    done = due(steps, [Done(what=w, at=FIRST) for w in ("late", "c")], now=FIRST + 1)
    assert "Form" not in str(care_plan_sheet(plan, KNOWLEDGE, standing=done).text())


def test_what_the_prescriber_decides_about_each_medicine_is_told() -> None:
    held = replace(FACT, id="hold.lithium", title="lithium: usual", says="As usual.", owner="prescriber")
    lines = parts(care_plan_sheet(PLAN, KNOWLEDGE, holds=(held,)))["holds"].lines
    assert [line.text for line in lines] == ["lithium: usual: As usual. Who: prescriber."]


@pytest.mark.parametrize(
    ("status", "source", "sure"),
    [
        ("proposed", "project-default", DEFAULT),
        ("proposed", "uncited", "no source was read"),
        ("verified", "x", "read in the source"),
    ],
)
def test_every_setting_says_how_sure_it_is(status: str, source: str, sure: str) -> None:
    setting = replace(PLAN.settings[0], status=status, source=source)
    (row,) = parts(care_plan_sheet(replace(PLAN, settings=(setting,)), KNOWLEDGE))["settings"].rows
    assert row[1].sure == sure
    assert [cell.text for cell in row[1:]] == ["160 mm[Hg]", "150 mm[Hg]", "140 – 180"]


def test_the_timeline_is_a_table_and_what_is_dated_also_a_picture() -> None:
    found = parts(care_plan_sheet(PLAN, KNOWLEDGE))
    assert [row[1:3] for row in cells(found["timeline"])] == [
        ["Thu 19 Nov 2026 03:00", "Thu 3 Dec 2026 03:00"],
        ["not known", "open-ended"],
    ]
    assert found["bars"].svg.count("<text") == 1
    assert "Thu 19 Nov 2026" in found["bars"].alt
    undated = replace(PLAN, timeline=PLAN.timeline[1:])
    assert "bars" not in parts(care_plan_sheet(undated, KNOWLEDGE))


def test_the_log_says_who_and_why() -> None:
    found = cells(parts(care_plan_sheet(PLAN, KNOWLEDGE))["changes"])
    assert found == [["Sun 22 Nov 2026 03:00", "hold", "Dr. Adams", "holiday"]]


def test_settings_at_their_default_are_counted_and_where_they_stand_is_told() -> None:
    default = replace(PLAN.settings[0], clinic=False)
    (line,) = parts(care_plan_sheet(replace(PLAN, settings=(default,)), KNOWLEDGE))["settings"].lines
    assert line.text.startswith("1 settings stand at the default of the protocol, 1 of them proposed")
    assert "`adjunct protocols esketamine-trd`" in line.text


def test_the_scores_stand_before_and_now_with_a_picture(dana: FollowUp) -> None:
    found = parts(care_plan_sheet(PLAN, KNOWLEDGE, follow=dana))
    assert ["PHQ-9", "20", "13", "Fri 20 Nov 2026", "possible-relapse"] in cells(found["scores"])
    assert found["dots"].kind == "picture"


# --- files ------------------------------------------------------------------------------------------------------------


def write(folder: Path, **more: Any) -> tuple[Path, ...]:
    given: dict[str, Any] = {"language": "en", "made": MADE} | more
    sheets = given.pop("sheets", {"report": (EVERY_KIND, SPANISH), "care-plan": (care_plan_sheet(PLAN, KNOWLEDGE),)})
    return write_report(folder, sheets, KNOWLEDGE, **given)


def test_all_files_are_written_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    paths = write(folder, files={"safety-plan.html": "<!DOCTYPE html>ñ".encode()})
    names = ["care-plan.html", "care-plan.pdf", "report.html", "report.pdf", "safety-plan.html"]
    assert sorted(path.name for path in paths) == names
    assert sorted(path.name for path in folder.iterdir()) == names
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "safety-plan.html").read_text(encoding="utf-8") == "<!DOCTYPE html>ñ"


def test_a_document_speaks_its_own_language(tmp_path: Path) -> None:
    write(tmp_path, language="es", formats=("html",))
    assert '<html lang="es">' in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in (tmp_path / "care-plan.html").read_text(encoding="utf-8")


def test_only_the_formats_asked_for(tmp_path: Path) -> None:
    assert {path.suffix for path in write(tmp_path, formats=("pdf",))} == {".pdf"}


def test_a_sheet_that_cannot_be_shown_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("before")
    broken = Sheet(id="x", title="x", parts=(Part(title="t", kind="table", head=("a",), rows=((say("1"), say("2")),)),))
    with pytest.raises(BadInput, match="1 columns and a row of 2"):
        write(tmp_path, sheets={"report": (EVERY_KIND,), "routine": (broken,)})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "before")]


def test_a_place_that_cannot_be_written_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("before")
    (tmp_path / "care-plan.pdf").mkdir()
    with pytest.raises(BadInput, match=r"cannot be written \(Is a directory\)"):
        write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["care-plan.pdf", "report.html"]
    assert (tmp_path / "report.html").read_text() == "before"


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BadInput, match="this folder cannot be made"):
        write(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a file"
