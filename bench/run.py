"""How fast, as ratios in one run: the pair core beside CLIPS on the same knowledge, an assessment, load, cold start.

Nothing here is a test. Numbers of one machine mean little; the ratios and the limits beside them are what counts.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from adjunct.assessment import assess
from adjunct.base import YES, Events, instant
from adjunct.fhir import read_bundle
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Program
from adjunct.knowledge.language import And, Atom, Expression, Or
from adjunct.record import from_bundle

AT = "2026-11-21T09:00:00-06:00"
PEOPLE, MEDICINES = 20_000, 8
CLIPS_PEOPLE = 2000
BLOCK = 2000  # what stays in cache; a registry streams blocks too


def main() -> None:
    """Print one line a measurement: what, measured, limit, kept or not."""
    knowledge = Knowledge.load()
    rules = [r.when for r in knowledge.rule_list if _about_pairs(r.when)]
    dice = random.Random(7)
    prescribed = [s.id for s in knowledge.substances.values() if not s.components]
    people = [dice.sample(prescribed, MEDICINES) for _ in range(PEOPLE)]
    ours, found = _columns(knowledge, rules, people)
    theirs, theirs_found = _clips(knowledge, rules, people[:CLIPS_PEOPLE])
    same = theirs_found == sum(found[:CLIPS_PEOPLE])
    print(f"pair core: {len(rules)} rules, {MEDICINES} medicines a person, same findings: {same}")
    _line("  people/s", ours / 1e3, "k/s", None, True)
    _line("  CLIPS, people/s", theirs / 1e3, "k/s", None, True)
    _line("  ratio to CLIPS", ours / theirs, "x", 20, ours / theirs >= 20 and same)

    bundle = read_bundle(json.dumps(person(knowledge)).encode())
    record = from_bundle(bundle, knowledge, now=instant(AT), phase="pre-dose")
    weigh = _milliseconds(lambda: assess(record, knowledge, treatment="ketamine-iv"), 1000)
    whole = _milliseconds(
        lambda: assess(
            from_bundle(bundle, knowledge, now=instant(AT), phase="pre-dose"), knowledge, treatment="ketamine-iv"
        ),
        500,
    )
    print("8 medicines, 5 conditions, 30 observations:")
    for percentile, limit in ((50, 2.0), (99, 5.0)):
        value = float(np.percentile(weigh, percentile))
        _line(f"  assess a record, p{percentile}", value, "ms", limit, value <= limit)
        _line(f"  and read its bundle, p{percentile}", float(np.percentile(whole, percentile)), "ms", None, True)
    load = statistics.median(_milliseconds(Knowledge.load, 7)) / 1e3
    _line("knowledge load", load, "s", 0.5, load <= 0.5)
    command = [str(Path(sys.executable).parent / "adjunct"), "check", "Zoloft 100mg", "kratum 5g 3x a day", "--json"]
    cold = statistics.median(_milliseconds(lambda: subprocess.run(command, capture_output=True, check=True), 7)) / 1e3
    _line("adjunct check, cold process", cold, "s", 0.6, cold <= 0.6)


def _line(what: str, value: float, unit: str, limit: float | None, kept: bool) -> None:
    print(
        f"{what:34} {value:10.3g} {unit}"
        + ("" if limit is None else f"   limit {limit:g}: {'kept' if kept else 'MISSED'}")
    )


def _milliseconds(work: Callable[[], object], times: int) -> list[float]:
    work()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) * 1e3)
    return found


def _about_pairs(expression: Expression) -> bool:
    match expression:
        case Atom():
            return expression.op == "any" and expression.concept == "substance" and expression.in_set is not None
        case And(parts) | Or(parts):
            return all(_about_pairs(p) for p in parts)
    return False


def _columns(
    knowledge: Knowledge, rules: Sequence[Expression], people: Sequence[Sequence[str]]
) -> tuple[float, list[int]]:
    program = Program(rules, knowledge.vocabulary, "intake")
    codes = knowledge.vocabulary.codes
    listed = np.array([[codes[s] for s in person] for person in people], dtype=np.int32)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        found = [
            count
            for first in range(0, len(people), BLOCK)
            for count in (program.run(_taking(knowledge, listed[first : first + BLOCK])).truths == YES).sum(axis=0)
        ]
        best = max(best, len(people) / (time.perf_counter() - start))
    return best, [int(count) for count in found]


def _taking(knowledge: Knowledge, listed: np.ndarray) -> Events:
    """The event table of people who take these substances now."""
    count, each = listed.shape
    total = count * each
    concept = knowledge.vocabulary.concepts["substance"]
    now = np.zeros(count, dtype=np.int64)
    when = np.zeros(total, dtype=np.int64)
    column = knowledge.absent_column(["reconciled"])
    concepts = np.full(total, concept, dtype=np.int32)
    return Events(
        concept=concepts,
        person=np.repeat(np.arange(count, dtype=np.int32), each),
        t0=when,
        t1=when,
        value=np.full(total, np.nan),
        code=listed.reshape(-1),
        status=np.full(total, YES, dtype=np.int8),
        source=np.full(total, -1, dtype=np.int32),
        now=now,
        absent=np.repeat(column[:, np.newaxis], count, axis=1),
        starts=np.searchsorted(concepts, np.arange(len(column) + 1)),
    )


def _clips(knowledge: Knowledge, rules: Sequence[Expression], people: Sequence[Sequence[str]]) -> tuple[float, int]:
    """The same rules as CLIPS productions: what is taken gives the sets it is in, sets give findings.

    Set membership stays in working memory; only what one person takes comes and goes.
    """
    import clips

    environment = clips.Environment()
    sets = sorted({str(a.in_set) for rule in rules for a in _flat(rule)})
    environment.build("(deftemplate takes (slot s))")
    environment.build("(deftemplate member (slot s) (slot of))")
    environment.build("(deftemplate in (slot set))")
    environment.build("(deftemplate found (slot rule))")
    environment.build("(defrule has (takes (s ?x)) (member (s ?x) (of ?set)) => (assert (in (set ?set))))")
    for number, rule in enumerate(rules):
        environment.build(f"(defrule r{number} {_production(rule)} => (assert (found (rule {number}))))")
    member, takes, inside, found = (environment.find_template(n) for n in ("member", "takes", "in", "found"))
    for name in sets:
        for substance in sorted(knowledge.sets[name]):
            member.assert_fact(s=clips.Symbol(substance), of=clips.Symbol(name))
    total = 0
    start = time.perf_counter()
    for person in people:
        taken = [takes.assert_fact(s=clips.Symbol(substance)) for substance in person]
        environment.run()
        conclusions = list(found.facts())
        total += len(conclusions)
        for fact in (*conclusions, *list(inside.facts()), *taken):
            fact.retract()
    return len(people) / (time.perf_counter() - start), total


def _flat(expression: Expression) -> list[Atom]:
    match expression:
        case Atom():
            return [expression]
        case And(parts) | Or(parts):
            return [a for p in parts for a in _flat(p)]
    return []


def _production(expression: Expression) -> str:
    match expression:
        case Atom():
            return f"(in (set {expression.in_set}))"
        case And(parts):
            return f"(and {' '.join(_production(p) for p in parts)})"
        case Or(parts):
            return f"(or {' '.join(_production(p) for p in parts)})"
    raise AssertionError(expression)


def person(knowledge: Knowledge) -> dict[str, object]:
    """An invented person with eight medicines, five conditions and thirty observations."""
    subject = {"reference": "Patient/p"}
    medicines = [
        "sertraline",
        "mirtazapine",
        "lisinopril",
        "omeprazole",
        "clonazepam",
        "lamotrigine",
        "ibuprofen",
        "metformin",
    ]
    rxnorm = {
        s.id: next(c for c in s.codes if c.startswith(("rxnorm", "atc")))
        for s in knowledge.substances.values()
        if s.codes
    }
    systems = knowledge.content["knowledge"]["code_systems"]
    entries: list[dict[str, object]] = [
        {"resourceType": "Patient", "id": "p", "birthDate": "1980-02-03", "gender": "female"}
    ]
    for number, name in enumerate(medicines):
        system, _, code = rxnorm[name].partition("|")
        coding = {"coding": [{"system": systems[system], "code": code}], "text": name}
        entries.append(
            {
                "resourceType": "MedicationStatement",
                "id": f"m{number}",
                "status": "active",
                "subject": subject,
                "medicationCodeableConcept": coding,
                "effectivePeriod": {"start": "2025-03"},
            }
        )
    for number, code in enumerate(("F33.2", "I10", "G47.33", "E11.9", "F41.1")):
        entries.append(
            {
                "resourceType": "Condition",
                "id": f"c{number}",
                "subject": subject,
                "clinicalStatus": {
                    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
                },
                "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
            }
        )
    for number in range(30):
        code, unit, value = (("8480-6", "mm[Hg]", 120 + number), ("8867-4", "/min", 70 + number), ("59408-5", "%", 97))[
            number % 3
        ]
        entries.append(
            {
                "resourceType": "Observation",
                "id": f"o{number}",
                "status": "final",
                "subject": subject,
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "effectiveDateTime": f"2026-11-21T08:{30 + number % 30:02d}:00-06:00",
                "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
            }
        )
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in entries]}


if __name__ == "__main__":
    main()
