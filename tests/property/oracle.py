"""The rule language read slowly and plainly, one person and one row at a time. It shares no code with `columns`."""

from __future__ import annotations

from dataclasses import dataclass

from adjunct.knowledge.language import And, Atom, Expression, Not, Or, Vocabulary

NO, UNKNOWN, YES = 0, 1, 2
INFINITY = float("inf")


@dataclass(frozen=True)
class Line:
    """One row of one person, spelled out."""

    concept: str
    t0: int
    t1: int
    value: float
    code: str | None
    status: int


@dataclass(frozen=True)
class Person:
    now: int
    lines: tuple[Line, ...]
    absent: dict[str, int]


def oracle(expression: Expression, person: Person, words: Vocabulary, phase: str) -> int:
    match expression:
        case Not(part):
            return {NO: YES, UNKNOWN: UNKNOWN, YES: NO}[oracle(part, person, words, phase)]
        case And(parts):
            answers = [oracle(p, person, words, phase) for p in parts]
            return NO if NO in answers else UNKNOWN if UNKNOWN in answers else YES
        case Or(parts):
            answers = [oracle(p, person, words, phase) for p in parts]
            return YES if YES in answers else UNKNOWN if UNKNOWN in answers else NO
        case Atom():
            since = person.now - words.window(expression, phase)
            lines = [r for r in person.lines if r.concept == expression.concept]
            inside = [r for r in lines if since <= r.t0 and r.t1 <= person.now]
            touching = [r for r in lines if r.t1 >= since and r.t0 <= person.now]
            return {
                "any": some,
                "all": every,
                "latest": latest,
                "count": count,
                "load": load,
                "days_since": days_since,
            }[expression.op](expression, person, words, inside, touching)
    raise AssertionError(expression)


def in_set(line: Line, atom: Atom, words: Vocabulary) -> int:
    if atom.in_set is None:
        return YES
    if line.code is None:
        return UNKNOWN
    return YES if words.codes[line.code] in words.sets[atom.in_set] else NO


def some(atom, person, words, inside, touching):
    if any(r.status == YES and in_set(r, atom, words) == YES for r in inside):
        return YES
    if any(r.status != NO and in_set(r, atom, words) != NO for r in touching):
        return UNKNOWN
    if atom.in_set is None and any(r.status == NO for r in inside):
        return NO
    return person.absent[atom.concept]


def every(atom, person, words, inside, touching):
    surely_out = any(r.status == YES and in_set(r, atom, words) == NO for r in inside)
    maybe_out = any(r.status != NO and in_set(r, atom, words) != YES for r in touching)
    surely_in = any(r.status == YES and in_set(r, atom, words) == YES for r in inside)
    maybe_in = any(r.status != NO and in_set(r, atom, words) != NO for r in touching)
    if surely_out:
        return NO
    if maybe_out:
        return UNKNOWN if maybe_in else person.absent[atom.concept]
    if surely_in:
        return YES
    return UNKNOWN if maybe_in else person.absent[atom.concept]


def latest(atom, person, words, inside, touching):
    certain = [r for r in inside if r.status != UNKNOWN]
    newest = max((r.t0 for r in certain), default=-INFINITY)
    candidates = [r for r in touching if r.t1 >= newest]
    answers = {row_answer(r, atom) for r in candidates}
    if not any(r in certain for r in candidates):
        answers.add(person.absent[atom.concept])
    return answers.pop() if len(answers) == 1 else UNKNOWN


def row_answer(line, atom):
    if isinstance(atom.against, str):
        if line.code is None:
            return UNKNOWN
        same = line.code == atom.against
        return YES if same == (atom.compare == "==") else NO
    if line.value != line.value:
        return UNKNOWN
    return YES if compares(line.value, atom) else NO


def compares(value, atom):
    against = atom.against
    return {
        "<": value < against,
        "<=": value <= against,
        ">": value > against,
        ">=": value >= against,
        "==": value == against,
        "!=": value != against,
    }[atom.compare]


def between(low, high, atom):
    """Does every number from low to high agree? The ends, and the number compared with, decide."""
    middle = [atom.against] if low <= atom.against <= high else []
    if low < high and middle and atom.against == low and atom.compare in ("==", "!="):
        middle = [low, high]
    answers = {compares(v, atom) for v in (low, high, *middle)}
    return UNKNOWN if len(answers) == 2 else YES if answers.pop() else NO


def count(atom, person, words, inside, touching):
    low = sum(1 for r in inside if r.status == YES)
    high = sum(1 for r in touching if r.status != NO)
    if high == 0 and person.absent[atom.concept] != NO:
        return UNKNOWN if not forced(atom) else between(0, INFINITY, atom)
    return between(low, high, atom)


def forced(atom):
    return between(0, INFINITY, atom) != UNKNOWN


def load(atom, person, words, inside, touching):
    low = sum(r.value for r in inside if r.status == YES)
    high = sum(r.value for r in touching if r.status != NO)
    silent = person.absent[atom.concept] != NO
    if silent and not any(r.concept == atom.concept for r in person.lines):
        return UNKNOWN
    return between(low, INFINITY if silent else high, atom)


def days_since(atom, person, words, inside, touching):
    maybe = [r.t1 for r in touching if r.status != NO]
    sure = [r.t0 for r in inside if r.status == YES]
    silent = person.absent[atom.concept]
    if not any(r.concept == atom.concept for r in person.lines) and silent != NO:
        return UNKNOWN
    low = person.now - min(max(maybe), person.now) if maybe else INFINITY if silent == NO else 0.0
    high = person.now - max(sure) if sure else INFINITY
    return between(low, high, atom)
