"""The aftercare card and the escort's sheet: the driving rule, whom to call when, nothing private for the escort."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import instant
from adjunct.fhir import read_bundle
from adjunct.planning.aftercare import aftercare, escort_sheet
from adjunct.record import Record, from_bundle
from adjunct.sheet import LANGUAGES, Line, Sheet
from bundles import LOCAL, NOW, knowledge, observation, person, pressure

TABLE = (Path(__file__).parent / "cases" / "aftercare.csv").read_text(encoding="utf-8")
CASES = list(csv.DictReader(TABLE.splitlines()))
GIVEN = instant("2026-11-21T08:30:00-06:00").ms
ZONE = "America/Chicago"


def record_of(**given: Any) -> Record:
    bundle = read_bundle(person(**{"reviewed": True, "reconciled": True, **given}))
    return from_bundle(bundle, knowledge(), now=instant(NOW), phase="discharge")


def card(record: Record, **more: Any) -> Sheet:
    asked = {"route": "esketamine-nasal", "given_at": GIVEN, "zone": ZONE, "language": "en", "country": "US"}
    return aftercare(record, knowledge(), **{**asked, "telephone": "555 0100", **more})


def lines(sheet: Sheet) -> list[Line]:
    return [*sheet.lead, *(line for part in sheet.parts for line in part.lines)]


def pairs(text: str) -> dict[str, str]:
    return dict(p.split("=") for p in text.split(";") if p)


# --- a table of persons -----------------------------------------------------------------------------------------------


def in_spanish(english: str) -> str:
    """How the line that holds `english` begins in Spanish, up to its first place."""
    rows = [r["text"] for r in knowledge().content["aftercare"]["line"] if english in r["text"]["en"]]
    assert len({r["en"] for r in rows}) == 1, english
    return str(rows[0]["es"].split("{")[0])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("row", CASES, ids=lambda r: r["name"])
def test_who_reads_what(row: Mapping[str, str], language: str) -> None:
    past = [observation({"system": LOCAL, "code": row["past"]}, "2019-05-01", valueBoolean=True)] if row["past"] else []
    record = record_of(
        takes=[t for t in row["takes"].split(";") if t],
        has=[h for h in row["has"].split(";") if h],
        scores={k: float(v) for k, v in pairs(row["scores"]).items()},
        says=pairs(row["says"]),
        extra=past,
    )
    text = card(record, language=language).text()
    wanted, unwanted = ([w for w in row[key].split(";") if w] for key in ("reads", "never"))
    if language == "es":
        wanted = [in_spanish(w) for w in wanted]
        known = knowledge().content["aftercare"]["line"]
        unwanted = [in_spanish(w) for w in unwanted if any(w in r["text"]["en"] for r in known)]
        unwanted = [w for w in unwanted if w not in wanted]
    for words in wanted:
        assert words in text
    for words in unwanted:
        assert words not in text


@settings(max_examples=40)
@given(
    audit=st.none() | st.integers(0, 12),
    withdrawal=st.sampled_from([None, "yes", "no"]),
    takes=st.sets(st.sampled_from(["alcohol", "kratom-leaf", "insulin", "lorazepam", "phenelzine"])),
    reviewed=st.booleans(),
    reconciled=st.booleans(),
    language=st.sampled_from(LANGUAGES),
)
def test_a_dependent_drinker_is_never_told_only_not_to_drink(
    audit: int | None, withdrawal: str | None, takes: set[str], reviewed: bool, reconciled: bool, language: str
) -> None:
    record = record_of(
        takes=sorted(takes),
        scores={} if audit is None else {"audit_c": float(audit)},
        says={"alcohol_withdrawal": withdrawal} if withdrawal else {},
        reviewed=reviewed,
        reconciled=reconciled,
    )
    text = card(record, language=language).text()
    without = {"en": "No alcohol until then.", "es": "Nada de alcohol hasta entonces."}[language]
    may_depend = (audit or 0) >= 3 or withdrawal == "yes" or ("alcohol" in takes and audit is None)
    if may_depend:
        assert without not in text
    if audit == 0 and withdrawal != "yes" and reviewed:
        assert without in text


# --- what everybody reads ---------------------------------------------------------------------------------------------


def test_the_driving_rule_is_the_label_rule_and_studies_do_not_change_it() -> None:
    sheet = card(record_of())
    rule = next(x for x in lines(sheet) if x.text.startswith("Do not drive"))
    assert "at the earliest on Sunday 22 November 2026, after a restful sleep" in rule.text
    assert rule.strong
    assert rule.source.startswith("SPRAVATO")
    studies = next(x for x in lines(sheet) if "drove well" in x.text)
    assert "8 hours or 18 hours" in studies.text
    assert studies.text.endswith("The rule stays the same for you.")


def test_days_are_counted_in_the_calendar_of_the_clinic() -> None:
    text = card(record_of()).text()
    assert "on Sunday 22 November 2026, Tuesday 24 November 2026 and Saturday 28 November 2026" in text
    assert "between Tuesday 24 November 2026 and Saturday 5 December 2026" in text
    assert "this evening" in text


def test_the_next_day_after_a_short_day_is_still_the_next_day() -> None:
    """In Berlin 28 March 2027 has 23 hours: a dose at 23:30 the evening before is followed by 28 March."""
    given_at = instant("2027-03-27T23:30:00+01:00").ms
    text = card(record_of(), given_at=given_at, zone="Europe/Berlin").text()
    assert "at the earliest on Sunday 28 March 2027" in text
    assert "on Sunday 28 March 2027, Tuesday 30 March 2027 and Saturday 3 April 2027" in text


def test_before_the_dose_days_are_numbers() -> None:
    text = card(record_of(), given_at=None).text()
    assert "the next day, after a restful sleep" in text
    assert "between the day 3 and the day 14" in text
    assert "after 1 day, 3 days and 7 days" in text


@pytest.mark.parametrize(
    ("systolic", "diastolic", "read"),
    [
        (140, 90, "for 24 hours; for 48 hours if we told you"),
        (141, 80, "Your blood pressure was high"),
        (120, 91, "Your blood pressure was high"),
    ],
)
def test_strenuous_exercise_waits_longer_after_a_high_pressure(systolic: float, diastolic: float, read: str) -> None:
    """The discharge limit itself is not high; above it, by either number, is."""
    text = card(record_of(extra=[pressure(systolic, diastolic)])).text()
    assert read in text


def test_an_unknown_pressure_tells_both_times() -> None:
    assert "for 24 hours; for 48 hours if we told you" in card(record_of()).text()


@pytest.mark.parametrize("language", LANGUAGES)
def test_red_flags_have_the_number_of_where_the_person_is(language: str) -> None:
    sheet = card(record_of(), language=language, country="ES")
    warning = next(p for p in sheet.parts if p.kind == "warning")
    assert "112" in warning.title
    assert len(warning.lines) >= 6
    contacts = next(p for p in sheet.parts if p.kind == "contacts")
    assert any("024" in x.text for x in contacts.lines)
    assert any("555 0100" in x.text for x in contacts.lines)


def test_no_country_is_a_default() -> None:
    text = card(record_of(), country="").text()
    assert "your local emergency number" in text
    assert "988" not in text
    assert "911" not in text


def test_an_old_number_is_shown_with_its_date_and_the_emergency_number() -> None:
    contacts = next(p for p in card(record_of(), country="ES").parts if p.kind == "contacts")
    assert any("as of September 2022; if nobody answers, call 112" in x.text for x in contacts.lines)


def test_the_next_visit_or_a_line_to_write_it() -> None:
    assert "Next visit: ____" in card(record_of()).text()
    booked = card(record_of(), next_visit=instant("2026-11-25T10:00:00-06:00").ms)
    assert "Next visit: Wednesday 25 November 2026, 10:00" in booked.text()


def test_an_infusion_says_nothing_of_a_spray() -> None:
    text = card(record_of(), route="ketamine-iv").text()
    assert "spray" not in text
    assert "higher for some hours" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_card_is_filled_and_in_one_language(language: str) -> None:
    for more in ({}, {"given_at": None}, {"route": "ketamine-sc", "country": ""}):
        sheet = card(record_of(takes=["phenelzine", "kratom-leaf"]), language=language, **more)
        assert {x.language for x in lines(sheet)} == {language}
        assert not re.search(r"[{}]", sheet.text())


def test_every_number_has_a_source() -> None:
    for row in knowledge().content["aftercare"]["line"]:
        if any(place in knowledge().facts for place in knowledge().places(row["text"]["en"])):
            assert row["source"]["id"] in knowledge().sources, row["text"]["en"]


# --- the escort -------------------------------------------------------------------------------------------------------

FORBIDDEN = {  # diagnosis, substance, pregnancy and risk, as words of the two languages
    "en": "depress|ketamin|spravato|psych|mental|mood|bipolar|manic|anxi|trauma|addict|withdraw|overdose|drug|medicin"
    "|alcohol|drink|cannabis|kratom|opioid|substance|naloxone|sedat|pill|spray|infusion|injection|dose|treatment"
    "|pregnan|breast|suicid|self-harm|kill|ending|dark thought|crisis|988|therap|diagnos|HIV|insulin|diabet",
    "es": "depres|ketamin|esketamin|spravato|psiq|psic|mental|ánimo|bipolar|ansiedad|trauma|adicc|abstinencia"
    "|sobredosis|droga|medic|alcohol|beb[ei]|cannabis|kratom|opioide|sustancia|naloxona|sedante|pastilla|aerosol"
    "|infusión|inyecc|dosis|tratamiento|embaraz|lactan|suicid|autoles|acabar con|pensamiento|crisis|024|terap|diagn"
    "|insulin|diabet",
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("country", ["US", "ES", "DE", ""])
@pytest.mark.parametrize("starts", [GIVEN, None])
def test_the_escorts_sheet_tells_nothing_of_the_person(language: str, country: str, starts: int | None) -> None:
    sheet = escort_sheet(
        knowledge(), zone=ZONE, language=language, starts=starts, country=country, telephone="555 0100"
    )
    text = sheet.text()
    found = re.search(FORBIDDEN[language], text, re.IGNORECASE)
    assert found is None, found
    assert sheet.reader == "escort"
    assert not re.search(r"[{}]", text)
    assert "555 0100" in text
    assert {x.language for x in lines(sheet)} == {language}


def test_the_escort_knows_when_what_and_whom_to_call() -> None:
    sheet = escort_sheet(knowledge(), zone=ZONE, language="en", starts=GIVEN, country="US", telephone="")
    text = sheet.text()
    assert "Saturday 21 November 2026, 08:30" in text
    assert "Call 911 now" in text
    assert "no driving" in text
    assert "cannot be woken" in text
    assert "please ask us for the number" in text
