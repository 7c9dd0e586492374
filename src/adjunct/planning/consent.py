"""Consent to treatment: the form a person reads and signs, and where consent stands, as a fold over what was recorded.

The form is data (`planning/consent.toml`): for one treatment and one region, every statement with its source. Its
version holds a digest of every word in every language, so that no text or number changes without asking again.
Whether a person understood and has capacity is found and recorded by a person; nothing here scores it. Instants are
milliseconds since 1970 UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, get_args

import orjson

from adjunct.base import BadInput, shown
from adjunct.knowledge import Knowledge
from adjunct.planning.entries import moment, only, tables, text, texts
from adjunct.sheet import Line, Part, Sheet, cited, how_sure, line
from adjunct.sheet import language as page_language

ELSEWHERE = "elsewhere"  # any region that the forms say nothing special of, and one that is not known
DIGEST = len("0123456789ab")
Held = Literal["yes", "no", "unsure"]
HELD: tuple[str, ...] = get_args(Held)


# --- the form ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form in one language. `version` is the same in every language; `sheet` is for the person, to read and sign,
    `record` for the clinician who asks back."""

    version: str
    treatment: str
    region: str
    sheet: Sheet
    record: Sheet


def form(knowledge: Knowledge, treatment: str, *, region: str = "", language: str = "en") -> Form:
    """The form for a treatment. `region`: us, eu, a country (ISO code) or nothing. Raises `BadInput` for a treatment
    that has no form and for a language without pages."""
    content = knowledge.content["consent"]
    if treatment not in content["title"]:
        known = ", ".join(sorted(content["title"]))
        raise BadInput(f"no consent form for {shown(treatment)}; there are forms for {known}", "treatment")
    place = _region(content["region"], region)
    told = [
        s for s in content["statement"] if treatment in s.get("for", [treatment]) and place in s.get("regions", [place])
    ]
    version = _version(knowledge, content, treatment, place, told)
    make = _Pages(knowledge, page_language(language), version)
    return Form(
        version=version,
        treatment=treatment,
        region=place,
        sheet=make.sheet(content, treatment, told),
        record=make.record(content),
    )


def _region(regions: Mapping[str, Iterable[str]], given: str) -> str:
    name = given.casefold()
    return next((r for r, countries in regions.items() if name == r or given.upper() in countries), ELSEWHERE)


def _version(
    knowledge: Knowledge, content: Mapping[str, Any], treatment: str, region: str, told: Iterable[Mapping[str, Any]]
) -> str:
    """Named from what is read, numbers filled in: same words, same version."""
    words = [content["title"][treatment], content["page"], [(s["id"], s["text"]) for s in told]]
    words += [[s["title"] for s in content["section"]], [(q["id"], q["text"], q["good"]) for q in content["question"]]]
    text = knowledge.say(orjson.dumps(words, option=orjson.OPT_SORT_KEYS).decode(), version="")
    return f"{treatment}/{region}/{content['version']}-{hashlib.sha256(text.encode()).hexdigest()[:DIGEST]}"


@dataclass(frozen=True, slots=True)
class _Pages:
    """The pages of one version in one language."""

    knowledge: Knowledge
    language: str
    version: str

    def line(self, texts: Mapping[str, str], **words: Any) -> Line:
        return line(texts, self.language, self.knowledge, **words)

    def sheet(self, content: Mapping[str, Any], treatment: str, told: Iterable[Mapping[str, Any]]) -> Sheet:
        page, stated = content["page"], list(told)
        parts = [
            Part(
                id=section["id"],
                title=self.line(section["title"]).text,
                kind="list",
                lines=tuple(self.statement(s) for s in stated if s["section"] == section["id"]),
            )
            for section in content["section"]
        ]
        asked = (self.line(page["questions_lead"]), *(self.line(q["text"]) for q in content["question"]))
        parts.append(Part(id="questions", title=self.line(page["questions"]).text, kind="list", lines=asked))
        blank = Line(text="", language=self.language)
        head = tuple(self.line(h).text for h in page["head"])
        rows = tuple(
            (self.line(page[who]), *[blank] * (len(head) - 1))
            for who in ("sign_person", "sign_clinician", "sign_capacity")
        )
        parts.append(Part(id="sign", title=self.line(page["sign"]).text, kind="table", head=head, rows=rows))
        return Sheet(
            id="consent",
            title=self.line(content["title"][treatment]).text,
            language=self.language,
            lead=(self.line(page["lead"]), self.line(page["version"], version=self.version)),
            parts=tuple(p for p in parts if p.lines or p.rows),
            meta={"form": self.version, "knowledge": self.knowledge.version},
        )

    def statement(self, entry: Mapping[str, Any]) -> Line:
        source, place = entry["source"]["id"], entry["source"]["locator"]
        return self.line(
            entry["text"],
            source=cited(self.knowledge, source, "" if entry["status"] == "proposed" else place),
            sure=how_sure(self.knowledge, entry["status"], source, self.language),
            strong=entry.get("strong", False),
        )

    def record(self, content: Mapping[str, Any]) -> Sheet:
        """What the clinician asks and listens for. Clinicians' texts are English."""
        texts, blank = content["record"], Line(text="")
        rows = tuple(
            (self.line(q["text"]), Line(text=q["good"]), *[blank] * (len(texts["head"]) - 2))
            for q in content["question"]
        )
        return Sheet(
            id="consent-record",
            title=texts["title"],
            reader="clinician",
            lead=(Line(text=texts["lead"]),),
            parts=(
                Part(id="teach-back", title=texts["teach_back"], kind="table", head=tuple(texts["head"]), rows=rows),
                Part(id="capacity", title=texts["capacity_title"], lines=(Line(text=texts["capacity"]),)),
            ),
            meta={"form": self.version},
        )


# --- what was recorded ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing recorded at `at` by a named person, about one version of the form."""

    id: str
    at: int
    by: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(Event):
    """The person agreed to the treatment as this version of the form tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Event):
    """The person took their agreement back, whatever version it was given to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtBack(Event):
    """The person said it in their own words. `again`: the questions that need another explanation; none: understood."""

    again: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity(Event):
    """What a named person found in conversation about capacity for this decision."""

    holds: Held


# --- where consent stands ---------------------------------------------------------------------------------------------


class Status(StrEnum):
    """The first that applies is what stands in the way."""

    WITHDRAWN = "withdrawn"
    NO_CAPACITY = "no-capacity"  # lacking, or unsure
    MISSING = "missing"
    ANOTHER_VERSION = "another-version"  # ask again before the next dose
    CAPACITY_OPEN = "capacity-open"
    TEACH_BACK_OPEN = "teach-back-open"
    VALID = "valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentState:
    """Where consent stands. `open`: everything that stands in the way, the first of it is `status`."""

    status: Status
    open: tuple[Status, ...]
    version: str
    given: Given | None = None
    withdrawn: Withdrawn | None = None
    capacity: Capacity | None = None
    again: tuple[str, ...] = ()  # questions to explain again
    since: int | None = None  # when the last of what makes it valid was recorded; None: it is not valid

    @property
    def valid(self) -> bool:
        return self.status is Status.VALID

    def says(self, knowledge: Knowledge) -> str:
        """For the clinician."""
        return str(knowledge.content["consent"]["state"][self.status]["says"])

    def tell(self, knowledge: Knowledge, language: str) -> Line:
        """For the person."""
        return line(knowledge.content["consent"]["state"][self.status]["tell"], language, knowledge)


def state(events: Iterable[Event], version: str, *, now: int, course_start: int) -> ConsentState:
    """Where consent to `version` of the form stands at `now`, whatever the order in which the events arrive.

    What is later than `now` has not happened. What was recorded before `course_start` belongs to another course and
    does not count. A withdrawal undoes everything recorded before it or at the same instant, of every version and
    course, and stays until consent is given anew. Of two findings of one instant the more careful one counts.

    >>> talk = [Given(id="1", at=5, by="A", version="v"), Capacity(id="2", at=5, by="B", version="v", holds="yes")]
    >>> state(talk, "v", now=9, course_start=0).status.value
    'teach-back-open'
    >>> back = [*talk, TaughtBack(id="3", at=6, by="B", version="v")]
    >>> [state(back, v, now=9, course_start=0).status.value for v in ("v", "w")]
    ['valid', 'another-version']
    >>> state([*back, Withdrawn(id="4", at=7, by="B", version="v")], "v", now=9, course_start=0).status.value
    'withdrawn'
    """
    past = sorted((e for e in events if e.at <= now), key=lambda e: (e.at, e.id))
    withdrawn = next((e for e in reversed(past) if isinstance(e, Withdrawn)), None)
    counts = [e for e in past if e.at >= course_start and (withdrawn is None or e.at > withdrawn.at)]
    given = [e for e in counts if isinstance(e, Given)]
    fits = [e for e in given if e.version == version]
    found = max((e for e in counts if isinstance(e, Capacity)), key=_careful, default=None)
    talks = [e for e in counts if isinstance(e, TaughtBack) and e.version == version]
    last = [e for e in talks if e.at == talks[-1].at]
    again = tuple(sorted({question for e in last for question in e.again}))
    stands = {
        Status.WITHDRAWN: withdrawn is not None and not given,
        Status.NO_CAPACITY: found is not None and found.holds != "yes",
        Status.MISSING: withdrawn is None and not given,
        Status.ANOTHER_VERSION: bool(given) and not fits,
        Status.CAPACITY_OPEN: found is None,
        Status.TEACH_BACK_OPEN: not last or bool(again),
    }
    in_the_way = tuple(status for status, holds in stands.items() if holds)
    return ConsentState(
        status=in_the_way[0] if in_the_way else Status.VALID,
        open=in_the_way,
        version=version,
        given=next(reversed(fits or given), None),
        withdrawn=withdrawn,
        capacity=found,
        again=again,
        since=None if in_the_way else max(e.at for e in counts if e is found or e in (*fits[-1:], *last)),
    )


def _careful(event: Capacity) -> tuple[int, bool, str]:
    return event.at, event.holds != "yes", event.id


# --- the order file ---------------------------------------------------------------------------------------------------

KINDS: Mapping[str, type[Event]] = {
    "given": Given,
    "withdrawn": Withdrawn,
    "taught_back": TaughtBack,
    "capacity": Capacity,
}
NAMES = ("id", "at", "by", "version")
OWN = {"capacity": "holds", "taught_back": "again"}


def events_of(section: Mapping[str, Any]) -> tuple[Event, ...]:
    """The [consent] section of an order file: [[consent.given]], withdrawn, taught_back, capacity, each with id, at,
    by, version; capacity with holds (yes, no, unsure), taught_back with again (ids of questions).

    Raises `BadInput` with the place for a name that is not known, a part that is missing, an instant without offset,
    a score in place of a finding, and one id with two meanings.
    """
    found: dict[str, Event] = {}
    for kind, entry, at in tables(section, tuple(KINDS), "consent"):
        hint = "; capacity is found by a person in conversation, never by a score" if kind == "capacity" else ""
        only(entry, [*NAMES, *filter(None, [OWN.get(kind)])], at, hint)
        values: dict[str, Any] = {name: text(entry, name, at) for name in NAMES if name != "at"}
        if kind == "capacity":
            values["holds"] = _holds(entry, at)
        if kind == "taught_back":
            values["again"] = texts(entry, "again", at)
        event = KINDS[kind](at=moment(entry, "at", at), **values)
        if found.setdefault(event.id, event) != event:
            raise BadInput("the id is used for something else too: give every entry its own", f"{at}.id")
    return tuple(found.values())


def _holds(entry: Mapping[str, Any], at: str) -> str:
    held = text(entry, "holds", at)
    if held not in HELD:
        raise BadInput(f"write one of {', '.join(HELD)}, as a named person found it", f"{at}.holds")
    return held
