"""Every paper of the examples, in both languages: what must be on it, what must not, how long it is, and its files."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import adjunct
from adjunct.base import BadInput
from adjunct.documents.folder import Folder, folder, write_folder
from adjunct.documents.page import page
from adjunct.documents.pdf import pdf
from adjunct.fhir import read_bundle
from adjunct.followup import FollowUp, follow
from adjunct.knowledge import Knowledge
from adjunct.planning import Planned
from adjunct.record import from_bundle
from adjunct.sheet import LANGUAGES, Line, Sheet
from bundles import person
from cases.worked_cases import CASES
from sheets import HOSTILE

pypdf = pytest.importorskip("pypdf")

KNOWLEDGE = Knowledge.load()
EXAMPLES = Path(adjunct.__file__).parent / "examples"
CLINIC = tomllib.loads((EXAMPLES / "clinic.toml").read_text(encoding="utf-8"))
AT = "2026-11-21T09:00:00-06:00"
PEOPLE = {
    "ana-first-visit": "ketamine-iv-induction",
    "eli-kratom-reduction": "kratom-reduction",
    "dana-course": "ketamine-iv-maintenance",
}
MOST = {"report": 4, "care-plan": 5, "preparation": 2, "aftercare": 2, "escort": 1, "handover": 3, "routine": 2}
FOR_PERSON = ("report", "preparation", "aftercare", "escort", "consent", "routine")
# Words that tell a stranger what somebody is treated for, or with.
HEALTH = re.compile(
    r"ketamin|depress|depres|suicid|kratom|alcohol|opioid|medicin|medicament|diagn|pregnan|embaraz|mental|psych|"
    r"psiqui|drug|droga|spray|aerosol|infusi|dose|dosis",
    re.IGNORECASE,
)
ENGLISH = re.compile(r"\b(the|you|your|with|this|and|not)\b", re.IGNORECASE)


def made(source: Any, protocol: str, language: str, **more: Any) -> tuple[Planned, FollowUp]:
    given = {"start": "2027-01-11", "at": AT, "country": "US", "clinic": CLINIC, "language": language} | more
    planned = adjunct.plan(source, protocol=protocol, knowledge=KNOWLEDGE, **given)
    record = from_bundle(
        read_bundle(source), KNOWLEDGE, now=planned.plan.at, phase="follow-up", country=given["country"]
    )
    return planned, follow(read_bundle(source), record, KNOWLEDGE, settings=given["clinic"])


@cache
def papers(name: str, language: str) -> tuple[Planned, Folder]:
    planned, followed = made(EXAMPLES / f"{name}.json", PEOPLE[name], language)
    return planned, folder(planned, followed, KNOWLEDGE)


def lines(sheet: Sheet) -> list[Line]:
    inside = [line for part in sheet.parts for line in (*part.lines, *(cell for row in part.rows for cell in row))]
    return [*sheet.lead, *inside, *sheet.foot]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PEOPLE)
def test_every_paper_says_what_it_says_without_a_place_left_open(name: str, language: str) -> None:
    _, found = papers(name, language)
    for title, sheets in found.sheets.items():
        for sheet in sheets:
            text = sheet.text()
            assert not re.search(r"\bNone\b|\bnan\b|[{}]|\bsafe\b", text), title
            assert sheet.title
            assert all(line.text or title == "consent" for line in lines(sheet)), title


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PEOPLE)
def test_every_paper_is_short_enough_to_be_read(name: str, language: str) -> None:
    planned, found = papers(name, language)
    for title, sheets in found.sheets.items():
        words = {"language": language if title in FOR_PERSON else "en", "title": sheets[0].title}
        pages = len(pypdf.PdfReader(_bytes(pdf(sheets, KNOWLEDGE, made=planned.plan.at, **words))).pages)
        assert pages <= MOST.get(title, 6), (title, pages)


def _bytes(content: bytes) -> Any:
    import io

    return io.BytesIO(content)


@pytest.mark.parametrize("name", PEOPLE)
def test_on_a_spanish_page_what_is_english_is_marked(name: str) -> None:
    _, found = papers(name, "es")
    for title in FOR_PERSON:
        for sheet in found.sheets.get(title, ()):
            if sheet.reader != "clinician":
                assert sheet.language == "es"
                own = [line.text for line in lines(sheet) if line.language == "es"]
                assert [text for text in own if ENGLISH.search(text)] == []
                marked = page([sheet], KNOWLEDGE, language="es", title=sheet.title)
                assert marked.count('lang="en"') == sum(line.language == "en" for line in lines(sheet))


@pytest.mark.parametrize("name", PEOPLE)
def test_the_papers_for_clinicians_are_english_whatever_the_person_reads(name: str) -> None:
    _, found = papers(name, "es")
    for title in ("care-plan", "handover"):
        for sheet in found.sheets[title]:
            assert {line.language for line in lines(sheet)} == {"en"}
            assert not re.search(r"[¿¡]|\b(usted|visita|semana)\b", sheet.text())
    assert found.sheets["care-plan"] == papers(name, "en")[1].sheets["care-plan"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["ana-first-visit", "dana-course"])
def test_the_escorts_sheet_says_nothing_of_health(name: str, language: str) -> None:
    (sheet,) = papers(name, language)[1].sheets["escort"]
    assert not HEALTH.search(sheet.text())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PEOPLE)
def test_what_is_asked_in_private_stands_on_no_page(name: str, language: str) -> None:
    planned, found = papers(name, language)
    private = [line.text for line in planned.beside.routine.ask_privately] if planned.beside.routine else []
    assert private
    for sheets in found.sheets.values():
        assert not any(text in sheet.text() for text in private for sheet in sheets)


@pytest.mark.parametrize("name", PEOPLE)
def test_what_is_not_known_is_a_question_of_the_routine_and_no_limit(name: str) -> None:
    planned, found = papers(name, "en")
    assert planned.beside.routine is not None
    (sheet,) = found.sheets["routine"]
    texts = {line.text for line in lines(sheet)}
    held = [limit for offer in planned.beside.routine.offers for limit in offer.limits]
    assert not texts & {limit.tell.text for limit in held if not limit.known}
    assert {limit.tell.text for limit in held if limit.known} <= texts
    assert {question.text for question in planned.beside.routine.questions} <= texts


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PEOPLE)
def test_what_cannot_wait_and_whom_to_call_are_on_the_first_page(name: str, language: str) -> None:
    planned, found = papers(name, language)
    for title in ("report", "preparation", "aftercare"):
        for sheet in found.sheets.get(title, ()):
            printed = pdf([sheet], KNOWLEDGE, language=language, title=sheet.title, made=planned.plan.at)
            assert "911" in pypdf.PdfReader(_bytes(printed)).pages[0].extract_text()


def test_the_safety_plan_speaks_the_language_of_the_plan() -> None:
    assert '<html lang="es">' in papers("dana-course", "es")[1].pages["safety-plan"]
    assert '<html lang="en">' in papers("dana-course", "en")[1].pages["safety-plan"]
    spanish = papers("dana-course", "es")[1].pages["safety-plan"]
    assert {"tel:911", "tel:988", "sms:741741"} <= set(re.findall(r'href="((?:tel|sms):[^"]+)"', spanish))
    assert "Emergencias: 911" in spanish
    assert "Number as of" not in spanish


def test_the_care_plan_has_the_rule_of_each_medicine() -> None:
    (sheet,) = papers("ana-first-visit", "en")[1].sheets["care-plan"]
    (held,) = (part for part in sheet.parts if part.id == "holds")
    assert any("sertraline" in line.text for line in held.lines)
    (reduction,) = papers("eli-kratom-reduction", "en")[1].sheets["care-plan"]
    assert "holds" not in {part.id for part in reduction.parts}  # nothing is given at its visits


def test_a_line_to_call_is_told_in_spanish_and_keeps_its_number() -> None:
    (sheet,) = papers("ana-first-visit", "es")[1].sheets["aftercare"]
    (call,) = (part for part in sheet.parts if part.kind == "contacts")
    assert all(line.language == "es" for line in call.lines)
    html = page([sheet], KNOWLEDGE, language="es", title="x")
    assert {"tel:911", "tel:988", "sms:741741"} <= set(re.findall(r'href="((?:tel|sms):[^"]+)"', html))
    assert "2 de junio de 2026" in sheet.text()


# --- an emergency, and hostile words ----------------------------------------------------------------------------------


def emergency(language: str) -> tuple[Planned, FollowUp]:
    case = next(c for c in CASES if c.decision == "ESCALATE")
    bundle = person(age=case.age, sex=case.sex, extra=case.facts)
    return made(bundle, "ketamine-iv-induction", language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_emergency_gives_one_paper_that_begins_with_whom_to_call(language: str) -> None:
    found = folder(*emergency(language), KNOWLEDGE)
    assert list(found.sheets) == ["report"]
    (sheet,) = found.sheets["report"]
    first, second = sheet.parts[:2]
    assert (first.kind, second.kind) == ("warning", "contacts")
    assert "911" in first.lines[0].text
    assert first.lines[0].language == language
    assert len(first.lines) > 1  # and why


def test_hostile_words_are_words_on_every_paper(tmp_path: Path) -> None:
    hostile = f'{HOSTILE} \u202e #import "x" ' + "x" * 10_000
    clinic = CLINIC | {"clinic": CLINIC["clinic"] | {"name": hostile, "telephone": hostile, "address": hostile}}
    clinic |= {"cover": CLINIC["cover"] | {"owners": {"prescriber": hostile, "nurse": hostile}}}
    record = json.loads((EXAMPLES / "ana-first-visit.json").read_text(encoding="utf-8"))
    for entry in record["entry"]:
        found = entry["resource"].get("medicationCodeableConcept")
        if found:
            found["text"] = hostile
    planned, followed = made(record, "ketamine-iv-induction", "en", clinic=clinic)
    for path in write_folder(planned, followed, KNOWLEDGE, tmp_path / "out"):
        if path.suffix == ".html":
            text = path.read_text(encoding="utf-8")
            assert "<script" not in text
            assert "\u202e" not in text
            assert not re.search(r'(src|href)="(?!#|tel:|sms:)', text)
            assert text.count("</style>") == 1


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_same_plan_gives_the_same_bytes_that_only_their_owner_reads(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for out in folders:
        write_folder(*made(EXAMPLES / "dana-course.json", PEOPLE["dana-course"], "es"), KNOWLEDGE, out)
        assert stat.S_IMODE(out.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    first, second = ({path.name: path.read_bytes() for path in out.iterdir()} for out in folders)
    assert first == second
    assert {"report.pdf", "safety-plan.html", "visits.ics", "handover.pdf"} <= set(first)


@pytest.mark.parametrize("broken", ["adjunct.documents.report.pdf", "adjunct.documents.folder.calendar"])
def test_nothing_is_written_when_one_paper_cannot_be_made(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> bytes:
        raise BadInput("cannot be set", "paper")

    monkeypatch.setattr(broken, fails)
    with pytest.raises(BadInput):
        write_folder(
            *made(EXAMPLES / "ana-first-visit.json", PEOPLE["ana-first-visit"], "en"), KNOWLEDGE, tmp_path / "o"
        )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", PEOPLE)
def test_every_pdf_is_tagged_has_its_language_and_its_title(name: str) -> None:
    planned, found = papers(name, "es")
    for sheets in found.sheets.values():
        title = sheets[0].title
        reader = pypdf.PdfReader(
            _bytes(pdf(sheets, KNOWLEDGE, language=sheets[0].language, title=title, made=planned.plan.at))
        )
        root = reader.trailer["/Root"]
        assert root["/MarkInfo"]["/Marked"]
        assert root["/Lang"] == sheets[0].language
        assert reader.metadata.title == title


def test_where_the_person_is_not_known_no_paper_names_a_number_of_the_clinic_s_country() -> None:
    """The country is where the person is, asked; the clinic stands in the United States, and she may not."""
    planned, followed = made(EXAMPLES / "ana-first-visit.json", "esketamine-trd", "en", country="")
    found = folder(planned, followed, KNOWLEDGE)
    for name in ("report", "preparation", "aftercare", "escort"):
        text = "\n".join(sheet.text() for sheet in found.sheets[name])
        assert "911" not in text, name
        assert "988" not in text, name
        assert "112" in text, name
