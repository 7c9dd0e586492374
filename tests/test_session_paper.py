"""The treatment day on paper: one page, nothing that was not measured, a prediction that is called one, who signed."""

from __future__ import annotations

import io
import re
from typing import Any

import pypdfium2
import pytest
from pypdf import PdfReader

from adjunct.documents.day_chart import BETWEEN, LOWER, TOP, UPPER
from adjunct.documents.page import page
from adjunct.documents.pdf import pdf
from adjunct.documents.treatment_day import CELL, ROOMS, treatment_day_sheet
from adjunct.session.alarms import Table, log
from adjunct.session.discharge import gate
from adjunct.session.forms import adverse_event_report, form_sheet, monitoring_form
from adjunct.session.predicted import predicted
from adjunct.sheet import Part, Sheet
from session_days import (
    KNOWLEDGE,
    NURSE,
    PRESCRIBER,
    SECOND,
    Whole,
    arrival,
    at,
    course,
    day,
    infusion,
    nasal_dose,
    rehearsed,
    settled,
    signed,
)
from test_pdf import tags

SURGE = [
    *course([(30, 136, 84, 80, 97), (55, 192, 108, 96, 97), (70, 134, 82, 78, 98)]),
    at(56, "acknowledged", alarm="hypertension-severe"),
]
HOSTILE = '<script>window.x = 1</script> #eval("1") & "q"'


def sheet(found: Whole, **more: Any) -> Sheet:
    closed = gate(found.state, found.now.ms, KNOWLEDGE)
    curve = predicted(found.state, KNOWLEDGE, now=found.now.ms, until=found.now.ms)
    return treatment_day_sheet(found.state, found.events, KNOWLEDGE, now=found.now, gate=closed, curve=curve, **more)


def part(found: Sheet, title: str) -> Part:
    return next(p for p in found.parts if p.title.startswith(title))


def cells(found: Part) -> list[list[str]]:
    return [[cell.text for cell in row] for row in found.rows]


def printed(*sheets: Sheet, found: Whole) -> bytes:
    return pdf(sheets, KNOWLEDGE, language="en", title=sheets[0].title, made=found.now)


def crowded() -> Whole:
    """A monitored day with one reading a minute, forty alarms and many entries."""
    readings = course([(22 + m, 150 + 45 * (m % 4 == 0), 90, 80, 97) for m in range(120)])
    probes = [at(30 + m, "vitals", by="m-1", spo2=104.0, id=f"probe-{m}") for m in range(40)]
    acts = [at(30 + m, "action", what=f"looked at the chair, round {m}") for m in range(20)]
    return day(*arrival(), *nasal_dose(), *readings, *probes, *acts)


def worst(*end: dict[str, Any], many: int = 60) -> Whole:
    """As much as can go wrong, in as many words as a log takes: alarms, acts, corrections, flags, doses, overrides."""
    words, name = "as it was told " * 120, "N" * 180
    minutes = range(22, 22 + many)
    signs = ["dizziness", "new_headache", "vomiting", "chest_pain"] * (many // 4)
    changed = {"systolic": 141, "diastolic": 85, "heart_rate": 70}
    return day(
        *arrival(),
        *(at(8, "override", item=item, prescriber=name, reason=words, id=item) for item in ("age", "alt", "ecg")),
        *nasal_dose(),
        *course([(m, 150 + 45 * (m % 4 == 0), 90, 80, 97 - 9 * (m % 5 == 0)) for m in minutes]),
        *(at(m + 0.1, "action", name, what="other", text=words) for m in minutes),
        *(at(m + 0.2, "device-given", name, number=3, dose=28, lot="L" * 99, expiry="2028-03") for m in minutes),
        *(at(m + 0.3, "event", sign=sign, present=True, text=words) for m, sign in zip(minutes, signs, strict=True)),
        *(at(m + 0.4, "acknowledged", name, alarm="hypertension-severe") for m in minutes),
        *(
            at(m + 0.6, "correction", name, corrects=f"{m:06.1f}-vitals", reason=words, data=changed)
            for m in minutes[::2]
        ),
        *end,
    )


DISCHARGED = day(*arrival(), *nasal_dose(), *SURGE, *settled()[1:], signed())
DAYS = {
    "empty": day(),
    "arrived": day(*arrival()),
    "discharged": DISCHARGED,
    "infusion": day(*arrival("ketamine-iv"), *infusion()),
    "running": day(*arrival("ketamine-iv"), *infusion()[:4], until=33),
    "left": day(*arrival(), *nasal_dose(), *SURGE, at(75, "left-before-discharge", warned=False, text=HOSTILE)),
    "crowded": crowded(),
    "worst": worst(),
    "worst-left": worst(at(95, "left-before-discharge", "N" * 180, text="as it was told " * 120)),
    "worst-discharged": worst(*settled()[1:], signed()),
    "busy": worst(many=20),
}


# --- one page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DAYS)
def test_the_day_is_one_page_tagged_and_with_words_for_its_picture(name: str) -> None:
    found = PdfReader(io.BytesIO(printed(sheet(DAYS[name]), found=DAYS[name])))
    assert len(found.pages) == 1
    root: Any = found.trailer["/Root"]
    figures = [t for t in tags(root["/StructTreeRoot"]) if t["/S"] == "/Figure"]
    assert all(str(f["/Alt"]) for f in figures)
    assert len(figures) == (name not in ("empty", "worst-left", "worst-discharged"))


STORIES = ["quiet-nasal", "hypertensive-surge", "hypoxia-kratom", "early-leaver", "anaphylaxis", "vomiting-sedated"]


@pytest.mark.parametrize("name", STORIES)
def test_a_day_with_a_monitor_and_a_story_is_one_page(name: str) -> None:
    found = PdfReader(io.BytesIO(printed(sheet(rehearsed(name)), found=rehearsed(name))))
    assert len(found.pages) == 1


def test_too_much_for_one_page_is_counted_not_lost() -> None:
    found = sheet(DAYS["crowded"])
    assert len(part(found, "Vital signs").rows) <= ROOMS[0].rows + 2
    alarms = part(found, "Alarms")
    assert len(alarms.rows) == ROOMS[0].alarms
    raised = log(DAYS["crowded"].state, DAYS["crowded"].now.ms, Table.of_knowledge(KNOWLEDGE))
    assert alarms.lines[0].text.startswith(f"{len(raised) - ROOMS[0].alarms} more stand in the log: ")
    assert {row[1] for row in cells(alarms)} == {a.title for a in raised}  # of each kind at least the first
    done = part(found, "Given and done")
    assert done.lines[0].text.count("looked at the chair") == ROOMS[0].entries
    assert done.lines[0].text.endswith(f"{20 - ROOMS[0].entries} more stand in the log.")


def test_nothing_runs_off_the_paper() -> None:
    """Names, lots and reasons without a space."""
    whole = worst(at(95, "left-before-discharge", "N" * 180, text="W" * 1800))
    text = pypdfium2.PdfDocument(printed(sheet(whole), found=whole))[0].get_textpage()
    right = [text.get_charbox(n)[2] for n in range(text.count_chars())]
    assert max(right) < 210 / 25.4 * 72 - 30


def test_a_day_without_an_end_shows_its_last_values() -> None:
    found = day(*arrival(), *nasal_dose(), *course([(30 + 600 * n, 130 + n, 80, 72, 97) for n in range(12)]))
    rows = cells(part(sheet(found), "Vital signs"))
    assert rows[-2][1] == "141/80"
    assert len(rows) == ROOMS[0].rows + 2


def test_where_the_most_is_cut_the_dose_the_worst_alarm_and_what_is_missing_stand() -> None:
    whole = DAYS["worst-left"]
    found = sheet(whole)
    dose = part(found, "Dose")
    given = len(whole.state.dose.given) + len(whole.state.dose.refused)
    assert f"{given - len(dose.rows)} more stand in the log." in dose.lines[0].text
    assert [row[:2] for row in cells(dose)][:2] == [["09:15", "nasal device 1"], ["09:21", "nasal device 2"]]
    assert "emergency" in {row[2] for row in cells(part(found, "Alarms"))}
    gate_ = part(found, "Discharge gate")
    missing = next(line.text for line in gate_.lines if line.text.startswith("MISSING, nothing on record: "))
    shown = {row[0] for row in cells(gate_)} | set(missing.partition(": ")[2].strip(".").split("; "))
    met = next(line.text for line in gate_.lines if line.text.startswith("Met: "))
    closed = gate(whole.state, whole.now.ms, KNOWLEDGE)
    assert {item.title for item in closed.items} == shown | set(met.removeprefix("Met: ").strip(".").split("; "))
    for title in ("Corrections", "Flags"):
        assert part(found, title).lines[-1].text.endswith("more stand in the log.")
    assert not [cell for p in found.parts for row in cells(p)[1:] for cell in row if len(cell) > CELL * 2]
    assert "the rest is in the log" in found.foot[0].text


def test_the_html_holds_the_words_and_nothing_that_runs() -> None:
    text = page([sheet(DAYS["left"])], KNOWLEDGE, language="en", title="Day")
    assert "<script>" not in text
    assert "LEFT BEFORE DISCHARGE" in text
    assert "<svg" in text


def test_forms_go_through_the_same_door() -> None:
    found = DISCHARGED
    form = monitoring_form(found.state, found.events, KNOWLEDGE)
    with_sign = day(*arrival(), *nasal_dose(), at(40, "event", sign="dizziness", present=True, serious=False, id="e"))
    report = adverse_event_report(with_sign.state, with_sign.events, "e", KNOWLEDGE)
    sheets = [sheet(found), *(form_sheet(f, KNOWLEDGE, now=found.now.ms) for f in (form, report))]
    read = PdfReader(io.BytesIO(printed(*sheets, found=found)))
    assert len(read.pages) >= 3
    assert form.title.split()[0] in read.pages[1].extract_text()


# --- what it says -----------------------------------------------------------------------------------------------------


def test_who_ordered_prepared_checked_and_gave_it() -> None:
    found = part(sheet(DISCHARGED), "Dose")
    assert cells(found) == [
        ["09:15", "nasal device 1", "28 mg", "ESK-77", NURSE],
        ["09:21", "nasal device 2", "28 mg", "ESK-78", NURSE],
    ]
    said = found.lines[0].text
    assert f"Ordered by {PRESCRIBER}: esketamine 56 mg." in said
    assert f"Worked out anew by {SECOND}: 56 mg, agrees." in said


def test_a_dose_without_a_second_person_says_so() -> None:
    found = day(*arrival(), *(e for e in nasal_dose() if e["type"] != "dose-checked"))
    assert "NOT checked by a second person." in part(sheet(found), "Dose").lines[0].text


def test_a_dose_outside_the_plan_is_on_the_page() -> None:
    log = nasal_dose()
    found = day(*arrival(), *log[:3], at(17, "dose-stopped", complete=False, reason="panic"), log[3])
    table = part(sheet(found), "Dose")
    assert cells(table)[-1] == ["09:21", "nasal device, NOT PLANNED", "28 mg", "ESK-78", NURSE]
    assert "the stay is counted from it" in table.lines[0].text


def test_each_stretch_of_an_infusion_with_its_rate() -> None:
    assert [row[:3] for row in cells(part(sheet(DAYS["infusion"]), "Dose"))] == [
        ["09:15 \u2013 09:25", "infusion at 75 mL/h", "8.75 mg"],
        ["09:25 \u2013 09:35", "infusion at 60 mL/h", "7 mg"],
        ["09:40 \u2013 09:45", "infusion at 60 mL/h", "3.5 mg"],
    ]
    running = cells(part(sheet(DAYS["running"]), "Dose"))[-1]
    assert running[:3] == ["09:25 \u2013 ", "running at 60 mL/h", "not over"]


def test_what_was_not_measured_is_not_there_and_nothing_is_copied_forward() -> None:
    found = day(*arrival(), *nasal_dose(), *course([(40, 150, 90, 80, 97)]), at(55, "sedation", moaas=4))
    table = part(sheet(found), "Vital signs")
    assert table.head[:4] == ("Time", "BP, mmHg", "HR, /min", "SpO2, %")
    before, first, second, span = cells(table)
    assert before[:3] == ["before", "128/80", "72"]
    assert first[1:] == ["150/90", "80", "97", "14", "\u2013", "\u2013"]
    assert second[1:] == ["\u2013", "\u2013", "\u2013", "\u2013", "4", "\u2013"]
    assert span[:2] == ["range since the dose", "150 / 90"]
    assert "not measured" in sheet(found).foot[0].text


def test_a_pressure_is_shown_as_it_was_measured_and_never_mixed() -> None:
    found = day(*arrival(), *nasal_dose(), *course([(40, 150, 90, 80, 97)]), at(43, "vitals", systolic=144))
    assert cells(part(sheet(found), "Vital signs"))[1][1] == "144/\u2013"


def test_an_alarm_with_who_saw_it_and_to_whom_it_went() -> None:
    (severe,) = (row for row in cells(part(sheet(DISCHARGED), "Alarms")) if row[1] == "Very high pressure")
    raised, _, level, by, passed, seen, over = severe
    assert (raised, level, by) == ("09:55", "high", "Systolic blood pressure 192 mmHg")
    assert (seen, over) == (f"09:56 {NURSE}", "10:10")
    assert passed.startswith("09:5") or passed == "\u2013"
    late = day(*arrival(), *nasal_dose(), *SURGE[:3], at(80, "acknowledged", alarm="hypertension-severe"))
    assert next(r for r in cells(part(sheet(late), "Alarms")) if r[1] == "Very high pressure")[-2] == "NOBODY"
    unseen = day(*arrival(), *nasal_dose(), *SURGE[:2], until=65)
    row = next(r for r in cells(part(sheet(unseen), "Alarms")) if r[1] == "Very high pressure")
    assert row[-2:] == ["NOBODY", "STANDS"]
    assert "prescriber" in row[4]


def test_a_prediction_is_called_one_and_a_day_without_one_has_none() -> None:
    drawn = part(sheet(DISCHARGED), "Course")
    assert "Predicted" in drawn.lines[0].text
    assert "Not measured" in drawn.lines[0].text
    assert ">predicted<" in drawn.svg
    closed = treatment_day_sheet(DISCHARGED.state, DISCHARGED.events, KNOWLEDGE, now=DISCHARGED.now)
    assert ">predicted<" not in part(closed, "Course").svg
    assert not [p for p in closed.parts if p.title == "Discharge gate"]


def test_the_picture_leaves_gaps_open_and_has_a_dot_for_every_value() -> None:
    found = day(*arrival(), *nasal_dose(), *course([(40, 150, 90, 80, 97), (90, 130, 80, 72, 98)]))
    svg = part(sheet(found), "Course").svg
    assert svg.count("<circle") == 3 * 4
    lines = re.findall(r'<polyline points="([^"]*)"[^>]*stroke="#0072b2"', svg)
    assert max(len(line.split()) for line in lines) == 2  # its own name; 35 and 50 minutes are not joined


ENDS = [
    ("discharged", "Discharged, 11:23.", f"Discharge signed by {PRESCRIBER} (prescriber), 11:23."),
    ("left", "LEFT BEFORE DISCHARGE. This is not a discharge, 10:15.", "No discharge was signed."),
    ("running", "The day is not over: dosing. This page is a state of 09:33.", "No discharge was signed."),
]


@pytest.mark.parametrize(("name", "lead", "signature"), ENDS)
def test_how_it_ended_and_who_signed(name: str, lead: str, signature: str) -> None:
    found = sheet(DAYS[name])
    assert found.lead[1].text.startswith(lead)
    assert part(found, "Signature").lines[0].text == signature


def test_left_without_a_warning_says_so() -> None:
    found = sheet(DAYS["left"])
    assert "Was NOT warned not to drive" in found.lead[1].text
    follows = {row[0]: row for row in cells(part(found, "What follows"))}
    assert [row[2] for name, row in follows.items() if "rescriber" in name] == ["10:30"]
    assert not [p for p in sheet(DISCHARGED).parts if p.title == "What follows"]


def test_the_gate_with_its_evidence_source_and_what_is_open() -> None:
    found = part(sheet(DISCHARGED), "Discharge gate")
    assert found.lines[0].text.startswith("Open: everything is met.")
    rows = {row[0].text: row for row in found.rows}
    assert rows["Heart rate settled"][2].text == "70 /min 11:22"
    assert rows["Watched long enough"][0].source.startswith("SPRAVATO REMS")
    assert rows["Watched long enough"][2].text == "122 min since 09:21"
    assert all(row[0].sure and row[0].source for row in found.rows)
    assert "No naloxone in this session" in found.lines[1].text
    assert "No naloxone in this session" not in rows
    closed = part(sheet(DAYS["arrived"]), "Discharge gate")
    assert closed.lines[0].text.startswith("CLOSED")
    assert all(row[1].strong for row in closed.rows if row[1].text != "met")


@pytest.mark.parametrize("name", ["early-leaver", "hypoxia-kratom"])
def test_of_a_day_that_ended_without_a_discharge_stands_what_was_open_and_no_orders(name: str) -> None:
    found = part(sheet(rehearsed(name)), "Discharge gate")
    assert found.lines[0].text.startswith("CLOSED: ")
    assert {row[1] for row in cells(found)} <= {"MISSING", "NOT MET"}
    assert found.lines[1].text.startswith("Met: Dose is over; ") or "Blood pressure settled" in found.lines[1].text
    rows = {row[0]: row[2] for row in cells(found)}
    assert rows["Recovery score" if name == "hypoxia-kratom" else "Safety plan in hand"] == "nothing on record"
    assert not any("Keep observing" in text or "Give the" in text for text in rows.values())


def test_an_alarm_that_stands_is_named_in_the_gate() -> None:
    found = part(sheet(day(*arrival(), *nasal_dose(), *SURGE[:2], until=58)), "Discharge gate")
    says = next(row[2] for row in cells(found) if row[0] == "No alarm stands")
    assert says.startswith("Very high pressure high 09:55")


def test_a_duty_of_another_day_says_which() -> None:
    until = {row[0]: row[2] for row in cells(part(sheet(rehearsed("early-leaver")), "What follows"))}
    assert until["Monitoring form is flagged"] == "2027-01-18 10:49"
    assert until["Welfare check"] == "11:49"


def test_what_a_pump_delivered_is_known_to_four_figures() -> None:
    dose = part(sheet(rehearsed("hypoxia-kratom")), "Dose")
    assert "Given: 17.94 mg." in dose.lines[0].text
    assert cells(dose)[0][2] == "17.94 mg"


def test_an_amount_that_is_no_concept_has_the_unit_of_its_field() -> None:
    rows = {row[0].text: row[2].text for row in part(sheet(DISCHARGED), "Discharge gate").rows}
    assert "oxygen 0 L/min" in rows["Oxygen saturation on room air"]
    wrong = at(25.5, "correction", corrects="slower", reason="misread", data={"rate": 50})
    found = day(*arrival("ketamine-iv"), *infusion()[:4], wrong)
    said = part(sheet(found), "Corrections").lines[0].text
    assert "said rate 60 mL/h; counts as rate 50 mL/h" in said


def test_a_sign_that_raised_an_alarm_is_said_once() -> None:
    shown = {row[1]: row[3] for row in cells(part(sheet(rehearsed("hypoxia-kratom")), "Alarms"))}
    assert shown["Naloxone was given: transfer"] == "Naloxone was given"


def test_rows_are_counted_from_the_start_of_the_dose() -> None:
    """What was measured before it stands in its own row and nowhere else."""
    rows = cells(part(sheet(rehearsed("hypertensive-surge")), "Vital signs"))
    assert [row[0] for row in rows][:3] == ["before", "09:10", "09:25"]
    assert rows[1][6] == "\u2013"  # CADSS-6 was rated before the dose


def test_who_saw_it_is_named_where_it_was_somebody_else() -> None:
    log = [*arrival(), *nasal_dose(), *SURGE, *settled()[1:]]
    log = [e | {"by": SECOND} if e["type"] == "escort" else e for e in log]
    rows = {row[0].text: row[2].text for row in part(sheet(day(*log)), "Discharge gate").rows}
    assert SECOND in next(text for title, text in rows.items() if title.startswith("Escort"))
    assert NURSE not in "".join(rows.values())


def test_a_probe_prompt_is_no_alarm_of_the_picture() -> None:
    odd = day(*arrival(), *nasal_dose(), *course([(40, 130, 80, 72, 97)]), at(41, "vitals", spo2=104.0))
    assert [row[2] for row in cells(part(sheet(odd), "Alarms"))] == ["probe"]
    assert ">alarms<" not in part(sheet(odd), "Course").svg


def test_what_lies_off_the_scale_stands_at_its_end() -> None:
    low = day(*arrival(), *nasal_dose(), *course([(40, 130, 80, 72, 60)]))
    heights = [float(y) for y in re.findall(r'cy="([^"]*)" r="[^"]*" fill="#009e73"', part(sheet(low), "Course").svg)]
    assert max(heights) == TOP + UPPER + BETWEEN + LOWER


def test_a_correction_shows_what_was_first_written() -> None:
    found = day(
        *arrival(),
        at(7, "vitals", systolic=210, heart_rate=70, id="wrong"),
        at(8, "mood", mood10=9, id="other"),
        at(9, "correction", corrects="wrong", reason="typing", data={"systolic": 120, "heart_rate": 70}),
        at(9.5, "correction", corrects="other", reason="another chair", withdrawn=True),
    )
    first, second = (line.text for line in part(sheet(found), "Corrections").lines)
    assert first == (
        f"09:09 {NURSE}: vitals of 09:07 said Systolic blood pressure 210 mmHg; "
        "counts as Systolic blood pressure 120 mmHg. Reason: typing"
    )
    assert "withdrawn; it said Mood now, 0 to 10 9" in second


def test_the_page_names_its_knowledge_and_its_time() -> None:
    meta = sheet(DISCHARGED).meta
    assert KNOWLEDGE.version in meta["knowledge"]
    assert meta["made"] == "Tuesday 24 November 2026 11:23 (UTC-06:00)"
