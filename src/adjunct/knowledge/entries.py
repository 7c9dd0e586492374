"""What one entry of a knowledge file says, as frozen values: sources, facts, concepts, rules, substances."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adjunct.base import AdjunctError, Grade, Refused, Verdict, duration_ms
from adjunct.knowledge.language import PHASES, Expression, RuleError

TREATMENTS = ("ketamine-iv", "ketamine-im", "ketamine-sc", "esketamine-nasal")
NONE = "none"
WEIGHTS = ("weak", "moderate", "strong")
LOCAL = "urn:adjunct:concept"
SUBSTANCE = "substance"
ATTESTATIONS = {"history": "history_reviewed", "reconciled": "reconciled", "allergies": "allergies_asked"}


@dataclass(frozen=True, slots=True)
class Source:
    id: str
    kind: str
    citation: str
    read_as: str
    doi: str = ""
    url: str = ""
    year: int = 0
    read_note: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A number somebody published (or proposed), with its unit and its address."""

    id: str
    value: float | tuple[float, float]
    unit: str
    source: str
    locator: str
    grade: Grade
    status: str
    valid_from: str
    review_by: str
    population: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing that may be known of a person, and how its silence, its age and its units are read."""

    id: str
    title: str
    kind: str
    absent: str
    time: str
    ask: str
    unit: str
    ages: Mapping[str, int]
    codes: str
    answers: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]
    plausible: tuple[float, float] | None
    molar_mass: float | None
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Locator:
    id: str
    locator: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One cited conclusion. `when` says when it holds, `cases` show it."""

    id: str
    version: int
    title: str
    says: str
    tell: str
    phase: frozenset[str]
    treatments: frozenset[str]
    when: Expression
    text: str
    verdict: Verdict | None
    severity: str
    action: str
    kind: str
    about: str
    urgency: str
    if_unknown: Mapping[str, str]
    ask: str
    hard: bool
    quiet: bool
    grade: Grade
    status: str
    sources: tuple[Locator, ...]
    disputed: tuple[Locator, ...]
    why: str
    involves: tuple[str, ...]
    instead_of: tuple[str, ...]
    lines: tuple[str, ...]
    cases: tuple[Mapping[str, Any], ...]
    file: str
    review_by: str  # the earliest review date of the facts it rests on; empty when it rests on none


@dataclass(frozen=True, slots=True)
class Effect:
    tag: str
    weight: str
    above: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Enzyme:
    enzyme: str
    strength: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Substance:
    id: str
    name: str
    classes: tuple[str, ...]
    codes: tuple[str, ...]
    pathways: Mapping[str, float]
    inhibits: tuple[Enzyme, ...]
    induces: tuple[Enzyme, ...]
    effects: tuple[Effect, ...]
    components: tuple[str, ...]
    depots: tuple[Mapping[str, Any], ...]
    half_life_h: tuple[float, float] | None
    protected_stop: bool
    status: str
    sources: tuple[str, ...]
    note: str


def fold(text: str) -> str:
    """Words as they are compared: no accents, no case, single spaces.

    >>> fold("  Épilepsie  généralisée ")
    'epilepsie generalisee'
    """
    plain = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())


def unique(entries: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    """Entries by their id; an id that stands twice, or an entry that cannot be read, names its file."""
    found: dict[str, Any] = {}
    for entry in entries:
        where = f"{entry.get('file', '?')}, {entry.get('id', '?')}"
        if entry.get("id") in found:
            raise Refused(f"the id {entry['id']!r} is defined twice", where)
        try:
            found[entry["id"]] = read(entry)
        except AdjunctError:
            raise
        except (KeyError, ValueError, TypeError) as error:
            raise Refused(f"cannot be read: {type(error).__name__} {error}", where) from None
    return found


def read_source(entry: Mapping[str, Any]) -> Source:
    """A source, as `sources/*.toml` writes it."""
    known = ("id", "kind", "citation", "read_as", "doi", "url", "year", "read_note")
    return Source(**{k: entry[k] for k in known if k in entry})


def read_fact(entry: Mapping[str, Any]) -> Fact:
    """A fact, as `facts/*.toml` writes it."""
    value = entry["value"]
    known = ("id", "unit", "source", "locator", "status", "valid_from", "review_by", "population")
    return Fact(
        value=(float(value[0]), float(value[1])) if isinstance(value, list) else float(value),
        grade=Grade(entry["grade"]),
        **{k: entry[k] for k in known if k in entry},
    )


def read_concept(entry: Mapping[str, Any]) -> Concept:
    """A concept, as `concepts/*.toml` writes it, with what it leaves out filled in by its kind."""
    kind = entry["kind"]
    time = entry.get("time", "until" if kind in ("condition", SUBSTANCE, "allergy") else "event")
    lasting = kind == "allergy"
    age = entry.get("age", "ever" if lasting else "0 d" if time == "until" else "ever")
    ages = {p: duration_ms(age if isinstance(age, str) else age.get(p, age.get("default", "ever"))) for p in PHASES}
    plausible = entry.get("plausible")
    return Concept(
        id=entry["id"],
        title=entry["title"],
        kind=kind,
        absent=entry.get("absent", "unknown"),
        time=time,
        ask=entry.get("ask", ""),
        unit=entry.get("unit", ""),
        ages=ages,
        codes=entry.get("codes", ""),
        answers={k: tuple(v) for k, v in entry.get("answers", {}).items()},
        names=tuple(entry.get("names", ())),
        plausible=(float(plausible[0]), float(plausible[1])) if plausible else None,
        molar_mass=entry.get("molar_mass"),
        raw=entry,
    )


def read_substance(entry: Mapping[str, Any]) -> Substance:
    """A substance, as `substances/*.toml` writes it."""
    half_life = entry.get("half_life_h")
    return Substance(
        id=entry["id"],
        name=entry["name"],
        classes=tuple(entry.get("classes", ())),
        codes=tuple(entry.get("codes", ())),
        pathways=entry.get("pathways", {}),
        inhibits=tuple(Enzyme(e["enzyme"], e["strength"], e.get("note", "")) for e in entry.get("inhibits", ())),
        induces=tuple(Enzyme(e["enzyme"], e["strength"], e.get("note", "")) for e in entry.get("induces", ())),
        effects=tuple(
            Effect(e["tag"], e["weight"], e.get("above", ""), e.get("note", "")) for e in entry.get("effects", ())
        ),
        components=tuple(entry.get("components", ())),
        depots=tuple(entry.get("depots", ())),
        half_life_h=(half_life[0], half_life[1]) if half_life else None,
        protected_stop=entry.get("protected_stop", False),
        status=entry["status"],
        sources=tuple(entry.get("sources", ())),
        note=entry.get("note", ""),
    )


def enzyme_sets(substance: Substance) -> Iterator[str]:
    """The names of the sets a substance is in by what it does to enzymes."""
    for verb, enzymes in (("inhibits", substance.inhibits), ("induces", substance.induces)):
        for enzyme in enzymes:
            yield f"{verb}-{enzyme.enzyme}-{enzyme.strength}".lower()


def effect_sets(substance: Substance) -> Iterator[str]:
    """An effect that needs a dose to appear counts in loads only, where the dose is looked at."""
    for effect in substance.effects:
        if effect.above:
            continue
        if effect.weight not in WEIGHTS:
            yield f"{effect.tag}-{effect.weight}".lower()
            continue
        yield effect.tag.lower()
        for weight in WEIGHTS[1 : WEIGHTS.index(effect.weight) + 1]:
            yield f"{effect.tag}-{weight}".lower()


def phases(given: Sequence[str], where: str) -> frozenset[str]:
    """The phases a rule names; `any` stands for all."""
    chosen = frozenset(PHASES if "any" in given else given)
    if not chosen <= frozenset(PHASES):
        raise RuleError(f"unknown phase {sorted(chosen - frozenset(PHASES))}", where)
    return chosen


def treatments(given: Sequence[str], where: str) -> frozenset[str]:
    """The treatments a rule names; `any` and `ketamine` stand for groups."""
    groups = {"any": (*TREATMENTS, NONE), "ketamine": TREATMENTS}
    chosen = frozenset(t for name in given for t in groups.get(name, (name,)))
    if not chosen <= {*TREATMENTS, NONE}:
        raise RuleError(f"unknown treatment {sorted(chosen - {*TREATMENTS, NONE})}", where)
    return chosen


def locators(given: Iterable[Mapping[str, str]]) -> tuple[Locator, ...]:
    """Sources with their places."""
    return tuple(Locator(entry["id"], entry.get("locator", ""), entry.get("says", "")) for entry in given)
