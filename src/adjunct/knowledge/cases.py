"""A rule's own cases, written for people, as event tables: `systolic = "160 mm[Hg], 10 min ago"`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from adjunct.base import FAR, NO, UNKNOWN, YES, AdjunctError, BadInput, Events, Row, convert, duration_ms, instant
from adjunct.knowledge.entries import ATTESTATIONS, SUBSTANCE, Rule
from adjunct.knowledge.language import PHASES, RuleError
from adjunct.knowledge.load import Knowledge

NOW = instant("2026-11-21T12:00:00+00:00")
GIVES = {"no": NO, "unknown": UNKNOWN, "yes": YES}
_AGO = re.compile(r"(?:(\d+(?:\.\d+)?)\s*-\s*)?(\d+(?:\.\d+)?)\s*(s|min|h|d|wk|mo|a) ago\Z")
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(?:\s+(\S+))?\Z")


def case_events(given: Mapping[str, Any], knowledge: Knowledge) -> Events:
    """The event table of one case; everything not given is silent."""
    rows = [row for concept, values in given.items() for v in _listed(values) for row in _rows(concept, v, knowledge)]
    attested = [kind for kind, concept in ATTESTATIONS.items() if str(given.get(concept, "")).startswith("yes")]
    return Events.of(rows, now=[NOW.ms], absent=knowledge.absent_column(attested)[:, np.newaxis])


def failures(rule: Rule, knowledge: Knowledge) -> Iterator[str]:
    """One line for every case of `rule` that does not come out as it says."""
    number = list(knowledge.rules).index(rule.id)
    for case in rule.cases:
        phase = case.get("phase") or next(p for p in PHASES if p in rule.phase)
        try:
            truth = knowledge.program(phase).run(case_events(case["given"], knowledge)).truths[number, 0]
        except (AdjunctError, KeyError, ValueError) as error:
            yield f"case {case.get('is')!r}: {error}"
            continue
        if truth != GIVES[case["gives"]]:
            answer = {v: k for k, v in GIVES.items()}[int(truth)]
            yield f"case {case['is']!r} {case['given']}: expected {case['gives']}, came out {answer}"


def _listed(values: Any) -> list[str]:
    return [str(v) for v in values] if isinstance(values, list) else [str(values)]


def _rows(concept: str, text: str, knowledge: Knowledge) -> Iterator[Row]:
    index = knowledge.vocabulary.concepts.get(concept)
    if index is None:
        raise RuleError(f"a case names the unknown concept {concept!r}")
    value, t0, t1 = _timed(text)
    if concept in (SUBSTANCE, "last_use", "allergy"):
        yield from _substance(concept, value, t0, t1, knowledge)
        return
    answers = knowledge.vocabulary.codes
    if value == "unknown":
        yield Row(index, t0, t1, status=UNKNOWN)
    elif value in ("yes", "no"):
        yield Row(index, t0, t1, code=answers[value], status=YES if value == "yes" else NO)
    elif number := _NUMBER.match(value):
        unit = knowledge.vocabulary.units.get(concept, "1")
        yield Row(index, t0, t1, value=convert(float(number[1]), number[2] or "1", unit, at=concept))
    elif value in knowledge.vocabulary.answers[concept]:
        yield Row(index, t0, t1, code=answers[value])
    else:
        raise BadInput(f"{value!r} is neither a number with a unit nor an answer of {concept}")


def _substance(concept: str, text: str, t0: int, t1: int, knowledge: Knowledge) -> Iterator[Row]:
    name, _, dose = text.partition(" ")
    unknown = name == "unknown"
    if not unknown and name not in knowledge.substances:
        raise BadInput(f"{name!r} is no substance")
    concepts = knowledge.vocabulary.concepts
    code = -1 if unknown else knowledge.vocabulary.codes[name]
    yield Row(concepts[concept], t0, t1, code=code, status=UNKNOWN if unknown else YES)
    if concept == SUBSTANCE and not unknown:
        amount = _NUMBER.match(dose)
        per_day = convert(float(amount[1]), amount[2].removesuffix("/d"), "mg") if amount else None
        for effect, weight, truth in knowledge.effects(name, (per_day, per_day) if per_day is not None else None):
            yield Row(concepts[effect], t0, t1, value=weight, code=code, status=truth)


def _timed(text: str) -> tuple[str, int, int]:
    value, comma, time = text.rpartition(", ")
    if not comma:
        return text, NOW.ms, NOW.ms
    if time == "unknown time":
        return value, -FAR, NOW.ms
    if time == "now":
        return value, NOW.ms, NOW.ms
    found = _AGO.match(time)
    if not found:
        raise BadInput(f"not a time: {time!r}; write 'now', 'unknown time', '3 d ago' or '2-5 d ago'")
    least, most, unit = found.groups()
    return value, NOW.ms - duration_ms(f"{most} {unit}"), NOW.ms - duration_ms(f"{least or most} {unit}")
