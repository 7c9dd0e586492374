"""How a record is read, fact by fact, so that anyone can write a bundle.

The tables come from the concepts, value sets and derivations that the reader itself uses. The prose and the examples of
`reading.md` describe `adjunct.record`, a floor above: `tests/test_book.py` reads every example with that code, and
compares the resources and the arithmetic named here with what it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from adjunct.base import FAR
from adjunct.knowledge.book.markdown import anchor, code, link, page, plain, source, table
from adjunct.knowledge.entries import ATTESTATIONS, LOCAL, Concept
from adjunct.knowledge.language import PHASES
from adjunct.knowledge.load import Knowledge

PROSE = Path(__file__).parent / "reading.md"
SYSTEMS = {
    "http://loinc.org": "LOINC",
    "http://snomed.info/sct": "SNOMED CT",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    LOCAL: "own code",
}
KINDS = {
    "condition": ("Conditions", "A Condition, or a yes/no Observation, Procedure, Encounter or questionnaire answer."),
    "finding": ("Findings", "A sign, a symptom or a question that was asked: an Observation or an answer, yes or no."),
    "measure": ("Measurements", "A number in the unit listed, or in any unit that converts to it."),
    "score": (
        "Scores",
        "The total of a scale, or one item of it. The ordinal value of a coded answer is read as well.",
    ),
    "answer": ("Answers", "One of the listed answers, by code or by word."),
    "substance": ("What is taken", "Medication resources, and a statement of the last use."),
    "allergy": ("Allergies", "An AllergyIntolerance."),
    "derived": ("Worked out from other values", "These are not sent."),
}
HOW = {
    "above_first": "newest value less the first one",
    "above_recent_least": "newest value less the least of the few before it",
    "bmi": "weight divided by the square of height, each the newest",
    "daily_dose": "amount a day, from dose and timing; both ends of a range are kept",
    "difference": "newest value of the first less the newest of the second",
    "duplicate": "one substance in two products of different names, both in use",
    "equivalent": "amount a day times the factor of each substance, added up",
    "last_use_known": "yes if a last use is stated for everything of this class in use",
    "mean": "mean of enough readings over enough days",
    "percent_since_baseline": "change since the last value before the newest dose, in per cent of it",
    "pregnancy_possible": "from sex at birth, age and what excludes it; open where these are open",
    "product_known": "no while an entry may be any of several products",
    "since_baseline": "newest value after the newest dose less the last one before it",
    "since_course_start": "newest value less the last one before the first dose, once the course is long enough",
    "taken_daily": "yes from one intake a day; open where the frequency is not stated",
    "elsewhere": "a statement that one of these is taken, at its last use; open at any time while that is not said",
    "administered": "a recorded administration of one of these is the event, at the time it was given",
    "unanswered": "yes while no evaluation follows the newest yes; it never expires",
}
SILENCE = {
    "unknown": "stays unknown",
    "no": "no: an act that the team did not record was not done",
    **{kind: f"no under {code(concept)}, else unknown" for kind, concept in ATTESTATIONS.items()},
}


def record(knowledge: Knowledge) -> str:
    """The page about writing a bundle."""
    edition = knowledge.content["knowledge"]
    prose = Template(PROSE.read_text(encoding="utf-8")).substitute(
        own=LOCAL,
        prefixes=", ".join(code(s) for s in edition["prefix_systems"]),
        answers=_shared_answers(edition["answers"]),
        ordinals=", ".join(f"{code(_short(c))} is {number:g}" for c, number in edition["ordinals"].items()),
        attestations=_attestations(knowledge),
        cssrs=", ".join(link(code(c), "", "concept", c) for c in knowledge.concepts if c.startswith("cssrs_q")),
        medicines=", ".join(f"{name} {code(uri)}" for name, uri in edition["code_systems"].items()),
        timing=", ".join(code(t) for t in edition["timing_codes"]),
        depots=_depots(knowledge),
    )
    kinds = [_kind(kind, knowledge) for kind in KINDS]
    return page("What is read from a record", prose.strip(), *kinds, _derived(knowledge), _codes(knowledge))


def _shared_answers(answers: Mapping[str, Iterable[str]]) -> str:
    rows = [(f"**{answer}**", ", ".join(code(_short(t)) for t in texts)) for answer, texts in answers.items()]
    return table(("answer", "also as"), rows)


def _short(text: str) -> str:
    system, bar, rest = text.partition("|")
    return f"{SYSTEMS.get(system, system)} {rest}" if bar else text


def _attestations(knowledge: Knowledge) -> str:
    known = [c for c in ATTESTATIONS.values() if c in knowledge.concepts]
    rows = [
        (link(code(c), "", "concept", c), plain(knowledge.concepts[c].ask), _ages(knowledge.concepts[c])) for c in known
    ]
    return table(("attestation", "what was done", "age limit"), rows)


def _depots(knowledge: Knowledge) -> str:
    rows = [
        (
            link(plain(s.name), "substances.md", "substance", s.id),
            plain(d["form"]),
            ", ".join(plain(n) for n in d["names"]),
            ", ".join(plain(r) for r in d.get("routes", ())),
            d["interval"],
            d["tail"],
            source(d["source"], knowledge),
        )
        for s in knowledge.substances.values()
        for d in s.depots
    ]
    return table(("substance", "form", "products", "words of the route", "interval", "tail", "source"), rows)


# --- fact by fact -----------------------------------------------------------------------------------------------------


def _kind(kind: str, knowledge: Knowledge) -> str:
    title, says = KINDS[kind]
    numeric = kind in ("measure", "score", "derived")
    heads = ("fact", "codes", "unit and plausible range" if numeric else "answers", "age limit", "silence", "question")
    concepts = sorted((c for c in knowledge.concepts.values() if c.kind == kind), key=lambda c: c.id)
    rows = [_concept(c, knowledge, numeric=numeric) for c in concepts]
    return f"## {anchor('kind', kind)}{title}\n\n{says}\n\n{table(heads, rows)}"


def _concept(concept: Concept, knowledge: Knowledge, *, numeric: bool) -> tuple[str, ...]:
    names = f". Also as: {', '.join(plain(n) for n in concept.names)}" if concept.names else ""
    return (
        f"{anchor('concept', concept.id)}{code(concept.id)} {plain(concept.title)}{names}",
        _codes_of(concept, knowledge),
        _unit(concept) if numeric else _answers(concept),
        _ages(concept),
        SILENCE.get(concept.absent, concept.absent),
        plain(concept.ask),
    )


def _codes_of(concept: Concept, knowledge: Knowledge) -> str:
    rows = [row for row in knowledge.content["valuesets"] if concept.codes and row["set"] == concept.codes]
    if not rows:
        return "own code"
    if len(rows) == 1:
        return f"{_system(rows[0])} {code(rows[0]['code'])}"
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[_system(row)] += 1
    return link(", ".join(f"{system}: {count}" for system, count in counts.items()), "", "codes", concept.codes)


def _system(row: Mapping[str, Any]) -> str:
    return plain(SYSTEMS.get(row["system"], row["system"]))


def _unit(concept: Concept) -> str:
    if not concept.unit:
        return "yes or no"
    bounds = f", {concept.plausible[0]:g} to {concept.plausible[1]:g}" if concept.plausible else ""
    molar = f", {concept.molar_mass:g} g/mol" if concept.molar_mass else ""
    also = "".join(f", or {code(unit)} times {factor:g}" for unit, factor in concept.raw.get("accepts", {}).items())
    return code(concept.unit) + also + bounds + molar


def _answers(concept: Concept) -> str:
    if not concept.answers:
        return "yes, no"
    return "; ".join(f"**{a}**: {', '.join(code(_short(t)) for t in texts)}" for a, texts in concept.answers.items())


def _ages(concept: Concept) -> str:
    given = concept.raw.get("age")
    if isinstance(given, Mapping):
        return "; ".join(f"{phase} {given[phase]}" for phase in (*PHASES, "default") if phase in given)
    if set(concept.ages.values()) == {0}:
        return "at this moment"
    return "none" if set(concept.ages.values()) == {FAR} else str(given)


def _derived(knowledge: Knowledge) -> str:
    rows = [
        (
            link(code(spec["concept"]), "", "concept", spec["concept"]),
            plain(HOW.get(spec["how"], spec["how"])),
            ", ".join(_used(name, knowledge) for name in (*spec["of"], *spec.get("answered_by", ()))),
            code(f"{spec['facts']}.*") if "facts" in spec else "",
        )
        for spec in knowledge.content["derive"]["derive"]
        if spec["concept"] in knowledge.concepts
    ]
    multiples = [c for c in sorted(knowledge.concepts) if c.endswith("_xuln")]
    rows += [
        (
            link(code(c), "", "concept", c),
            "multiple of the upper limit that the report itself gives",
            _used(c.removesuffix("_xuln"), knowledge),
            "",
        )
        for c in multiples
    ]
    return "## How they are worked out\n\n" + table(("fact", "how", "from", "facts used"), rows)


def _used(name: str, knowledge: Knowledge) -> str:
    if name in knowledge.concepts:
        return link(code(name), "", "concept", name)
    return link(code(name), "substances.md", "substance", name) if name in knowledge.substances else code(name)


def _codes(knowledge: Knowledge) -> str:
    by_set: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for row in knowledge.content["valuesets"]:
        cells = (_system(row), code(row["code"]), plain(row["display"]), row["status"], plain(row["source"]))
        by_set[row["set"]].append(cells)
    heads = ("system", "code", "display", "status", "source")
    systems = table(("name here", "system"), [(plain(name), code(uri)) for uri, name in SYSTEMS.items()])
    lists = [f"### {anchor('codes', n)}{code(n)}\n\n{table(heads, by_set[n])}" for n in sorted(by_set)]
    return "\n\n".join(["## Codes", systems, *lists])
