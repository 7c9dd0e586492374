"""What is still open: one gap a question, why nothing is known, and whether the answer waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from adjunct.assessment.result import Finding, Gap
from adjunct.base import UNKNOWN, duration_ms
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Outcome
from adjunct.knowledge.entries import ATTESTATIONS, Rule
from adjunct.knowledge.language import EFFECT, Atom
from adjunct.record import Record

OF_LISTS = frozenset({"substance", "last_use"})  # what is open about the list has its own questions
OF_ATTESTATIONS = frozenset(ATTESTATIONS.values())


@dataclass(slots=True)
class _Question:
    """One question, the facts it would fill, and whether any rule waits for the answer."""

    facts: dict[str, None]
    why: str
    ask: str
    blocks: bool
    reference: str


def open_questions(
    waiting: Sequence[tuple[Rule, int]],
    record: Record,
    knowledge: Knowledge,
    outcome: Outcome,
    findings: Sequence[Finding],
    more: Sequence[Gap],
) -> list[Gap]:
    """One gap a question, however many rules wait for it; those that block come first."""
    found: dict[str, _Question] = {}

    def add(gap: Gap, ask: str, *, blocks: bool) -> None:
        key = gap.fact if gap.fact in OF_ATTESTATIONS else ask
        known = found.get(key)
        if known is None:
            found[key] = _Question({gap.fact: None}, gap.why, ask, blocks, gap.reference)
            return
        known.facts[gap.fact] = None
        if blocks and not known.blocks:
            known.why, known.ask, known.blocks, known.reference = gap.why, ask, True, gap.reference

    for gap in (*_problem_gaps(record, knowledge), *more):
        add(gap, gap.ask, blocks=gap.blocks)
    missing: dict[tuple[int, int], Gap] = {}
    present = frozenset(record.events.concept.tolist())
    program, alone = outcome.program, record.events.people == 1
    for rule, number in waiting:
        mode = rule.if_unknown[record.phase]
        if mode == "ignore":  # silence about an emergency is not asked about, a sign of one is
            if not present.isdisjoint(program.concepts_of_rule[number]):
                for gap in _signs(number, record, knowledge, outcome):
                    add(gap, gap.ask, blocks=True)
            continue
        if present.isdisjoint(program.concepts_of_rule[number]):
            asked = _of_silence(rule, number, record.phase, record.attested, knowledge)
        else:
            reading = 0 if alone else outcome.truths[number].tolist().index(UNKNOWN)
            atoms = program.open_atoms(outcome, number, reading)
            for n in atoms:
                if (n, reading) not in missing:
                    missing[n, reading] = _gap(program.atoms[n], reading, record, knowledge)
            asked = _asked(rule, [missing[n, reading] for n in atoms], knowledge)
        for gap, ask in asked:
            add(gap, ask, blocks=mode == "defer")
    for gap in _text_gaps(record, knowledge, findings):
        add(gap, gap.ask, blocks=False)
    questions = sorted(found.values(), key=lambda q: not q.blocks)
    return [
        Gap(fact=", ".join(q.facts), why=q.why, ask=q.ask, blocks=q.blocks, reference=q.reference) for q in questions
    ]


def _signs(number: int, record: Record, knowledge: Knowledge, outcome: Outcome) -> Iterator[Gap]:
    """What is on record of an emergency but cannot be decided: unconfirmed, undated, or readings that disagree."""
    program = outcome.program
    for reading in range(record.events.people):
        if outcome.truths[number, reading] != UNKNOWN:
            continue
        for atom in program.open_atoms(outcome, number, reading):
            if program.atoms[atom].concept not in OF_LISTS and outcome.carrying(atom, reading, UNKNOWN):
                yield _gap(program.atoms[atom], reading, record, knowledge)


@cache
def _of_silence(
    rule: Rule, number: int, phase: str, attested: frozenset[str], knowledge: Knowledge
) -> list[tuple[Gap, str]]:
    """What a rule asks when nothing at all is recorded of what it waits for: the same for everybody."""
    program = knowledge.program(phase)
    waiting = program.open_in_silence(number, knowledge.absent_column(attested)[:, None])
    gaps = [_silent_gap(program.atoms[n].concept, attested, knowledge) for n in waiting]
    return _asked(rule, gaps, knowledge)


def _asked(rule: Rule, missing: Sequence[Gap], knowledge: Knowledge) -> list[tuple[Gap, str]]:
    """Which of the missing facts to ask for, and in which words."""
    needed = [g for g in missing if not _is_context(g.fact, knowledge)] or missing
    # While nobody has gone through the history or the list, what hangs on it is not asked one by one.
    attestations = [g for g in needed if g.fact in OF_ATTESTATIONS]
    return [(g, g.ask) for g in attestations] or [(g, rule.ask or g.ask) for g in needed]


def _problem_gaps(record: Record, knowledge: Knowledge) -> Iterator[Gap]:
    """What could not be read."""
    for problem in record.problems:
        name = knowledge.concepts[problem.concept].title if problem.concept in knowledge.concepts else ""
        fact = f"{problem.concept or 'record'} ({problem.reference})"
        why = f"{name}: {problem.what}" if name and name not in problem.what else problem.what
        yield Gap(fact=fact, why=why, ask=problem.ask, blocks=problem.blocks, reference=problem.reference)


def _text_gaps(record: Record, knowledge: Knowledge, findings: Sequence[Finding]) -> Iterator[Gap]:
    """Findings that rest on words alone ask for confirmation."""
    text_only = frozenset(e.reference for e in record.evidence if e.text_only)
    for reason in (r for f in findings for r in f.because if r.reference in text_only):
        why = knowledge.wording["gap"]["text_only_why"]
        ask = f"{reason.value}: confirm it, or code it."
        yield Gap(fact=f"text only ({reason.reference})", why=why, ask=ask, blocks=False, reference=reason.reference)


def _gap(atom: Atom, person: int, record: Record, knowledge: Knowledge) -> Gap:
    """Why an atom could not be answered, and the question that would answer it."""
    rows = _rows_of(atom, person, record, knowledge)
    if not rows:
        return _silent_gap(atom.concept, record.attested, knowledge)
    concept_id = "substance" if atom.concept.startswith(EFFECT) else atom.concept
    concept = knowledge.concepts[concept_id]
    texts = knowledge.wording["gap"]
    newest = max(rows, key=lambda r: int(record.events.t1[r]))
    evidence = record.evidence[int(record.events.source[newest])]
    window = knowledge.vocabulary.window(atom, record.phase)
    too_old = int(record.events.t1[newest]) < record.now.ms - window
    key = (
        "too_old"
        if too_old
        else "text_only"
        if evidence.text_only
        else "uncertain_time"
        if evidence.at
        else "missing_time"
    )
    if not too_old and not evidence.text_only and record.events.status[newest] == UNKNOWN:
        key = "missing"
    why = (
        texts[key]
        .replace("{fact}", concept.title)
        .replace("{at}", evidence.at or "an unknown date")
        .replace("{limit}", _length(window))
        .replace("{text}", evidence.value)
    )
    return Gap(fact=concept_id, why=why, ask=concept.ask, blocks=False, reference=evidence.reference)


@cache
def _silent_gap(concept_id: str, attested: frozenset[str], knowledge: Knowledge) -> Gap:
    """What to ask about a concept of which the record says nothing."""
    concept_id = "substance" if concept_id.startswith(EFFECT) else concept_id
    concept = knowledge.concepts[concept_id]
    texts = knowledge.wording["gap"]
    attestation = ATTESTATIONS.get(concept.absent)
    if attestation and concept.absent not in attested:
        keys = {"history": "history_not_reviewed", "reconciled": "list_not_reconciled"}
        key = keys.get(concept.absent, "allergies_not_asked")
        return Gap(fact=attestation, why=texts[key], ask=knowledge.concepts[attestation].ask, blocks=False)
    why = texts["missing"].replace("{fact}", concept.title)
    return Gap(fact=concept_id, why=why, ask=concept.ask, blocks=False)


@cache
def _is_context(concept: str, knowledge: Knowledge) -> bool:
    """Facts that only say when a rule applies ("no dose yet") are not what is missing."""
    return concept in knowledge.concepts and bool(knowledge.concepts[concept].raw.get("context", False))


def _rows_of(atom: Atom, person: int, record: Record, knowledge: Knowledge) -> list[int]:
    """What the record holds of the thing an atom asks about, however old."""
    events = record.events
    number = knowledge.vocabulary.concepts[atom.concept]
    first, last = int(events.starts[number]), int(events.starts[number + 1])
    if first == last:
        return []
    wanted = knowledge.vocabulary.sets[atom.in_set] if atom.in_set else None
    people, codes = events.person[first:last].tolist(), events.code[first:last].tolist()
    return [
        first + place
        for place, (owner, code) in enumerate(zip(people, codes, strict=True))
        if owner == person and (wanted is None or code < 0 or code in wanted)
    ]


def _length(ms: int) -> str:
    """A window in the largest unit that divides it."""
    units = ("wk", "d", "h", "min")
    return next((f"{ms // duration_ms(f'1 {u}')} {u}" for u in units if ms and ms % duration_ms(f"1 {u}") == 0), "now")
