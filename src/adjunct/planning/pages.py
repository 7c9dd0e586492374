"""Pages for a person whose lines are data: which line stands for whom, in which words, and whom to call.

A line of `planning/preparation.toml` or `planning/aftercare.toml` names the conditions under which it is shown; here
those conditions get their answers. An unknown answer is an answer of its own, and somebody of whom it is not known
whether they depend on a substance counts as somebody who may.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from adjunct.assessment import Contact
from adjunct.assessment.lines import emergency_text
from adjunct.base import NO, UNKNOWN, YES
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Program
from adjunct.knowledge.language import parse
from adjunct.record import Intake, Record
from adjunct.sheet import ENGLISH, Line, Part, cited, how_sure, line

Table = Mapping[str, Any]
SHARED = "preparation"  # whose words on certainty and on telephone numbers every page uses
TRUTH = {YES: "yes", NO: "no", UNKNOWN: "unknown"}
KNOWN = {True: "known", False: "unknown"}
NONE, OCCASIONAL, MAY_DEPEND = "none", "occasional", "may-depend"
HISTORY = "history"
EMERGENCY = "emergency"
ENGLISH_WORDS = re.compile(r"\b(call|text|then|press|see|also|from|within)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the lines of a page are chosen and filled with.

    `holds`: condition -> its answer; `words`: place -> text; `origin`: length -> (source, how sure) where a line
    names the length it tells of.
    """

    name: str
    knowledge: Knowledge
    language: str
    holds: Mapping[str, str]
    words: Mapping[str, str]
    origin: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def data(self) -> Table:
        return cast(Table, self.knowledge.content[self.name])

    def text(
        self, texts: Mapping[str, str], *, source: str = "", sure: str = "", strong: bool = False, **words: str
    ) -> Line:
        """A text in the reader's language, else in English and marked so."""
        used = self.language if self.language in texts else ENGLISH
        text = self.knowledge.say(texts[used], used, **self.words, **words)
        return Line(text=text, language=used, source=source, sure=sure, strong=strong)

    def title(self, texts: Mapping[str, str]) -> str:
        return self.text(texts).text

    def lines(self, part: str) -> tuple[Line, ...]:
        """The lines of a part that stand for this person, in the order of the data."""
        rows = (r for r in self.data["line"] if r["part"] == part)
        return tuple(self.said(r, r["text"]) for r in rows if self.stands(r))

    def stands(self, row: Table) -> bool:
        """Whether every condition of a row has one of the answers with which it stands."""
        return all(self.holds[name] in answers for name, answers in row.get("if", {}).items())

    def said(self, row: Table, texts: Mapping[str, str]) -> Line:
        """A text of a row, with the row's source, or that of the length it names."""
        source = row.get("source", {}).get("id", "")
        own = self._known(source, row["status"]) if source else ("", "")
        cited, sure = self.origin.get(row.get("number", ""), own)
        return self.text(texts, source=cited, sure=sure, strong=row.get("strong", False))

    def parts(self) -> tuple[Part, ...]:
        """Every part that has a line."""
        found = ((p, self.lines(p["id"])) for p in self.data["part"])
        return tuple(
            Part(title=self.title(p["title"]), kind=p.get("kind", "text"), lines=lines, id=p["id"])
            for p, lines in found
            if lines
        )

    def measured(self, fact: str) -> tuple[str, str]:
        """Source and certainty of a fact, as a reader sees them."""
        found = self.knowledge.facts[fact]
        return self._known(found.source, found.status)

    def _known(self, source: str, status: str) -> tuple[str, str]:
        return cited(self.knowledge, source), how_sure(self.knowledge, status, source, self.language)


# --- the answers ------------------------------------------------------------------------------------------------------


def conditions(record: Record, knowledge: Knowledge, page: str) -> dict[str, str]:
    """The answer to each condition and each group of a page.

    An entry that may be several substances counts as the one that calls for most care. Somebody who surely depends
    on one substance is spoken to as such about all of them: doing without one can mean more of another.
    """
    data = knowledge.content[page]
    groups = data.get("group", ())
    truths = _asked(record, knowledge, page)
    found = {c["id"]: TRUTH[truths[c["when"]]] for c in data["condition"]}
    reviewed = HISTORY in record.attested
    takes = {g["id"]: truths[g["takes"]] for g in groups}
    depends = {g["id"]: _depends(g, truths, reviewed, record, knowledge) for g in groups}
    surely = any(depends[g] == YES for g in depends)
    for group in takes:
        none = takes[group] == NO and depends[group] != YES
        found[group] = NONE if none else MAY_DEPEND if surely or depends[group] != NO else OCCASIONAL
    if groups:
        found["anything"] = MAY_DEPEND if surely or MAY_DEPEND in (found[g] for g in takes) else OCCASIONAL
    return found


def _depends(group: Table, truths: Mapping[str, int], reviewed: bool, record: Record, knowledge: Knowledge) -> int:
    """Whether somebody may depend on a substance: what is stated, signs of withdrawal, and how often it is taken."""
    signs = [truths[s] for s in group["signs"]]
    stated = [truths[d] for d in group["depends"]]
    often = _often(record, knowledge.sets[group["set"]])
    if often == YES or group.get("often"):
        stated.append(often)
    return max([*stated, *(NO if reviewed and s == UNKNOWN else s for s in signs)])


def _often(record: Record, substances: frozenset[str]) -> int:
    """Whether any entry of a set says that it is taken at least once a day; without a frequency nobody knows."""
    found = [NO]
    for intake in current_intakes(record):
        if substances & {s for ids in intake.options.values() for s in ids}:
            times = intake.times_a_day
            found.append(UNKNOWN if times is None else YES if times[1] >= 1 and not intake.as_needed else NO)
    return max(found) if len(found) > 1 else UNKNOWN


@cache
def _program(knowledge: Knowledge, page: str, phase: str) -> tuple[tuple[str, ...], Program]:
    """The questions of a page, each once, and the program that answers them."""
    data = knowledge.content[page]
    groups = data.get("group", ())
    asked = [c["when"] for c in data["condition"]]
    asked += [when for g in groups for when in (g["takes"], *g["depends"], *g["signs"])]
    texts = tuple(dict.fromkeys(asked))
    where = f"planning/{page}.toml, "
    return texts, Program([parse(t, knowledge.vocabulary, where + t) for t in texts], knowledge.vocabulary, phase)


def _asked(record: Record, knowledge: Knowledge, page: str) -> Mapping[str, int]:
    texts, program = _program(knowledge, page, record.phase)
    truths = program.run(record.events).truths.max(axis=1)
    return {text: int(truth) for text, truth in zip(texts, truths, strict=True)}


def current_intakes(record: Record) -> Iterator[Intake]:
    """What the person takes now, as far as the lists say."""
    return (i for i in record.intakes if not i.denied and i.t1 >= record.now.ms)


# --- whom to call -----------------------------------------------------------------------------------------------------


def emergency(country: str, knowledge: Knowledge, language: str) -> str:
    """The emergency number of where the person is now, or the words for an unknown place; no number is a default."""
    found = emergency_text(country.upper(), knowledge)
    unknown = knowledge.wording["emergency"]["unknown_country"]
    texts = knowledge.content[SHARED]["contacts"]["unknown"]
    return line(texts, language, knowledge).text if found == unknown and language != ENGLISH else found


def numbers(
    knowledge: Knowledge, language: str, *, country: str, telephone: str, lines: Iterable[Contact] = ()
) -> Part:
    """The clinic, the emergency number of where the person is now, and other `lines` to call, each with its date."""
    words = knowledge.content[SHARED]["contacts"]
    places = {"telephone": telephone.strip(), "emergency": emergency(country, knowledge, language)}

    def said(name: str, *, strong: bool = False, **more: str) -> Line:
        return line(words[name], language, knowledge, strong=strong, **{**places, **more})

    found = [said("emergency", strong=True)]
    found.append(said("clinic" if telephone.strip() else "no_clinic", strong=True))
    for each in dict.fromkeys(lines):
        if each.purpose != EMERGENCY:
            how = spoken(each.contact, language, words["phrase"])
            found.append(replace(how, text=f"{each.name}: {how.text}", strong=True))
            found.append(Line(text=_about(each, knowledge, language, places["emergency"]), language=language))
    return Part(title=said("title").text, kind="contacts", lines=tuple(found), id="contacts")


def contact_in(contact: Contact, knowledge: Knowledge, language: str, country: str) -> Contact:
    """A line to call in the reader's language, as far as there are words for it."""
    words, number = knowledge.content[SHARED]["contacts"], emergency(country, knowledge, language)
    if language == ENGLISH:
        return contact
    if contact.purpose == EMERGENCY:
        return replace(contact, text=line(words["emergency"], language, knowledge, emergency=number).text)
    about = _about(contact, knowledge, language, number)
    how = spoken(contact.contact, language, words["phrase"])
    return replace(contact, contact=how.text, text=f"{contact.name}. {about}")


def _about(contact: Contact, knowledge: Knowledge, language: str, number: str) -> str:
    """When a line answers, and as of when it is known."""
    words = knowledge.content[SHARED]["contacts"]
    places: Any = {"hours": contact.hours, "as_of": dated(contact.as_of, language), "emergency": number}
    found = line(words["old" if contact.expired else "line"], language, knowledge, **places).text
    doubt = contact.text.endswith(knowledge.wording["crisis"]["unverified"])
    return f"{found} {line(words['unverified'], language, knowledge).text}" if doubt else found


def spoken(text: str, language: str, phrases: Iterable[Mapping[str, str]]) -> Line:
    """How a line is reached, in the reader's language as far as there are words for it, else in English."""
    if language == ENGLISH:
        return Line(text=text)
    for phrase in phrases:
        text = text.replace(phrase[ENGLISH], phrase[language])
    return Line(text=text, language=ENGLISH if ENGLISH_WORDS.search(text) else language)


def dated(date: str, language: str) -> str:
    """A date that may lack its day or month, as people of a language write it.

    >>> dated("2026-06-02", "es"), dated("2025-09", "en"), dated("2025", "es")
    ('2 de junio de 2026', 'September 2025', '2025')
    """
    from babel.dates import format_date, format_skeleton

    parts = [int(part) for part in date.split("-") if part.isdigit()]
    if len(parts) <= 1:
        return date
    when = datetime.date(parts[0], parts[1], parts[2] if parts[2:] else 1)
    if parts[2:]:
        return str(format_date(when, "long" if language != ENGLISH else "d MMMM y", locale=language))
    return str(format_skeleton("yMMMM", when, locale=language))
