"""A record while it is being written: rows with their evidence, open choices, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

import numpy as np

from adjunct.base import FAR, NO, YES, Events, Instant, Int8s, Row, iso
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import ATTESTATIONS

MOST_WORLDS = 64  # solver constant: beyond it each choice is varied alone, which still shows every candidate
PAST = -FAR // 2  # the open beginning of an interval: before any calendar, and still within "ever"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where a row comes from: a reference into the record, and the value as it stands there."""

    reference: str
    concept: str
    value: str = ""
    unit: str = ""
    at: str = ""
    text_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something in the record that could not be read, and so stays unknown."""

    reference: str
    what: str
    ask: str
    concept: str = ""
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry that may be any of several things: the rows under each reading."""

    reference: str
    options: Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What is known of one person at one instant. Each column of `events` is one reading of the ambiguous entries."""

    events: Events
    evidence: tuple[Evidence, ...]
    problems: tuple[Problem, ...]
    worlds: tuple[Mapping[str, str], ...]  # per column: reference -> the candidate it stands for there
    attested: frozenset[str]
    intakes: tuple[Intake, ...]
    now: Instant
    phase: str
    country: str = ""
    jurisdiction: str = ""
    patient: str = ""
    refusal: str = ""  # why the whole record cannot be answered; its red flags still are
    died: bool = False  # the person is recorded as having died: nobody is written to


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """One thing a person takes, took or may take: what it can be, when last, how much a day."""

    reference: str
    options: Mapping[str, tuple[str, ...]]  # candidate -> substance ids (several: a combination product)
    text: str
    t0: int
    t1: int
    status: int = YES
    per_day_mg: tuple[float, float] | None = None
    times_a_day: tuple[float, float] | None = None
    last_use: tuple[int, int] | None = None
    text_only: bool = False
    denied: bool = False
    as_needed: bool = False
    view: str = ""  # which list it stands in (an order, a statement, a supply ...): one intake may stand in several
    started: tuple[int, int] | None = None  # when this entry says it began
    dose_mg: tuple[float, float] | None = None  # of one administration; None: not known
    route: str = ""

    @property
    def ambiguous(self) -> bool:
        return len(self.options) > 1


@dataclass(slots=True)
class Draft:
    """Collects rows of one person; `finish` sorts them into a `Record`."""

    knowledge: Knowledge
    now: Instant
    phase: str
    rows: list[Row] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    refusal: str = ""
    died: bool = False
    intakes: list[Intake] = field(default_factory=list)
    seen: dict[str, list[Row]] = field(default_factory=dict)  # rows by concept, for what is derived from them

    def add(
        self,
        concept: str,
        span: tuple[int, int],
        evidence: Evidence,
        *,
        value: float = float("nan"),
        code: str = "",
        status: int = YES,
    ) -> None:
        """One row; a time that has not come yet is no fact yet."""
        if span[0] > self.now.ms:
            self.problem(evidence.reference, f"{concept} is dated in the future and is not counted", "Check the date.")
            return
        if status == NO:
            if not self._still_denied(concept, span):
                return
            if self.knowledge.concepts[concept].ages[self.phase] == 0:
                span = (self.now.ms, self.now.ms)
        row = self.row(concept, span, evidence, value=value, code=code, status=status)
        self.rows.append(row)
        self.seen.setdefault(concept, []).append(row)

    def row(
        self,
        concept: str,
        span: tuple[int, int],
        evidence: Evidence,
        *,
        value: float = float("nan"),
        code: str = "",
        status: int = YES,
    ) -> Row:
        vocabulary = self.knowledge.vocabulary
        self.evidence.append(evidence)
        number = vocabulary.codes[code] if code else -1
        end = min(span[1], self.now.ms)
        return Row(vocabulary.concepts[concept], span[0], end, value, number, status, len(self.evidence) - 1)

    def _still_denied(self, concept: str, span: tuple[int, int]) -> bool:
        """Whether a stated no still holds: as long as the attestation under which silence would mean the same."""
        attestation = ATTESTATIONS.get(self.knowledge.concepts[concept].absent)
        if attestation is None:
            return True
        limit: int = self.knowledge.concepts[attestation].ages[self.phase]
        return span[0] >= self.now.ms - limit

    def undo(self, mark: tuple[int, ...]) -> None:
        """Back to `mark`: nothing of a resource is used half-read."""
        for kept, length in zip(self._lists, mark, strict=True):
            del kept[length:]
        evidence = len(self.evidence)
        self.seen = {c: [r for r in rows if r.source < evidence] for c, rows in self.seen.items()}

    def mark(self) -> tuple[int, ...]:
        """Where the draft stands, for `undo`."""
        return tuple(len(kept) for kept in self._lists)

    @property
    def _lists(self) -> tuple[list[Any], ...]:
        return self.rows, self.evidence, self.problems, self.choices, self.intakes

    def problem(self, reference: str, what: str, ask: str, *, concept: str = "", blocks: bool = False) -> None:
        self.problems.append(Problem(reference=reference, what=what, ask=ask, concept=concept, blocks=blocks))

    def take(self, intake: Intake) -> None:
        """Add what somebody takes, with the effects that follow from it."""
        self.intakes.append(intake)
        if intake.denied:
            return
        options = {name: self._substance_rows(intake, ids) for name, ids in intake.options.items()}
        if len(options) == 1:
            rows = next(iter(options.values()))
            self.rows.extend(rows)
        elif options:
            self.choices.append(Choice(intake.reference, options))

    def _substance_rows(self, intake: Intake, substances: Iterable[str]) -> list[Row]:
        rows = []
        span = (intake.t0, intake.t1)
        for substance in substances:
            name = self.knowledge.substances[substance].name
            evidence = Evidence(
                reference=intake.reference,
                concept="substance",
                value=intake.text or name,
                at=self.at(span),
                text_only=intake.text_only,
            )
            rows.append(self.row("substance", span, evidence, code=substance, status=intake.status))
            source = rows[-1].source
            concepts, code = self.knowledge.vocabulary.concepts, rows[-1].code
            for effect, weight, truth in self.knowledge.effects(substance, intake.per_day_mg):
                status = min(truth, intake.status)
                rows.append(Row(concepts[effect], span[0], span[1], weight, code, status, source))
            stated = intake.last_use is None and any(
                r.code == code and r.t0 > PAST for r in self.seen.get("last_use", ())
            )
            if not stated:  # a stated last use stands; without one it may have been at any time until now
                used = intake.last_use or (PAST, intake.t1)
                rows.append(Row(concepts["last_use"], used[0], used[1], float("nan"), code, intake.status, source))
        return rows

    def at(self, span: tuple[int, int]) -> str:
        """The time of a row as people write it; an unknown or partial one says so."""
        low, high = span
        if low <= PAST:
            return "" if high >= self.now.ms else f"before {iso(high, self.now.offset)}"
        if low == high:
            return iso(low, self.now.offset)
        return f"{iso(low, self.now.offset)}/{iso(high, self.now.offset)}"

    def finish(
        self, attested: Iterable[str], *, country: str = "", jurisdiction: str = "", patient: str = ""
    ) -> Record:
        worlds = self._worlds()
        rows = self._once(self.rows) if len(worlds) == 1 else []
        if len(worlds) > 1:
            for person, world in enumerate(worlds):
                chosen = [r for c in self.choices for r in c.options[world[c.reference]]]
                rows.extend(_for(person, row) for row in self._once([*self.rows, *chosen]))
        held = frozenset(attested)
        column: Int8s = self.knowledge.absent_column(held)
        absent = np.repeat(column[:, np.newaxis], len(worlds), axis=1)
        return Record(
            events=Events.of(rows, now=[self.now.ms] * len(worlds), absent=absent),
            evidence=tuple(self.evidence),
            problems=tuple(self.problems),
            worlds=worlds,
            attested=held,
            intakes=tuple(self.intakes),
            now=self.now,
            phase=self.phase,
            country=country,
            jurisdiction=jurisdiction,
            patient=patient,
            refusal=self.refusal,
            died=self.died,
        )

    def _once(self, rows: Sequence[Row]) -> list[Row]:
        """Count each substance's effect once: two entries of one medicine are one load, the newest and heaviest."""
        effects = self.knowledge.effect_concepts
        others = [row for row in rows if row.concept not in effects]
        entries: dict[tuple[int, int], dict[int, list[Row]]] = {}
        for row in rows:
            if row.concept in effects:
                entries.setdefault((row.concept, row.code), {}).setdefault(row.source, []).append(row)
        for entry in entries.values():
            others.extend(max(entry.values(), key=self._weight))
        return others

    def _weight(self, entry: Iterable[Row]) -> tuple[int, int, float, str]:
        """How much one entry says about an effect: recency first, then certainty, then weight; else by reference."""
        rows = list(entry)
        newest, surest = max(r.t1 for r in rows), max(r.status for r in rows)
        return newest, surest, sum(r.value for r in rows), self.evidence[rows[0].source].reference

    def _worlds(self) -> tuple[Mapping[str, str], ...]:
        """Every way to read the ambiguous entries together."""
        if not self.choices:
            return ({},)
        names = [c.reference for c in self.choices]
        combined = list(islice(product(*(c.options for c in self.choices)), MOST_WORLDS + 1))
        if len(combined) <= MOST_WORLDS:
            return tuple(dict(zip(names, picks, strict=True)) for picks in combined)
        said = "too many entries can mean several things for every combination of them to be judged"
        self.problem(
            self.choices[0].reference, said, "Say which product each of them is.", concept="substance", blocks=True
        )
        first = {c.reference: next(iter(c.options)) for c in self.choices}
        return tuple(first | {c.reference: option} for c in self.choices for option in c.options)


def _for(person: int, row: Row) -> Row:
    return Row(row.concept, row.t0, row.t1, row.value, row.code, row.status, row.source, person)
