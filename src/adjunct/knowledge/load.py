"""The knowledge base as values: sources, facts, concepts, value sets, substances, rules, and the words to speak them.

Loading is all or nothing: a missing, corrupt or mismatched file is `Refused`, never a smaller knowledge base.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from adjunct.base import NO, UNKNOWN, YES, AdjunctError, Grade, Int8s, Refused, Verdict, convert, duration_ms
from adjunct.knowledge.columns import Program
from adjunct.knowledge.compiled import FileError, compile_knowledge, manifest, sealed, unsealed
from adjunct.knowledge.language import EFFECT, PHASES, Expression, RuleError, Vocabulary, parse

HERE = Path(__file__).parent
TREATMENTS = ("ketamine-iv", "ketamine-im", "ketamine-sc", "esketamine-nasal")
NONE = "none"
WEIGHTS = ("weak", "moderate", "strong")
LOCAL = "urn:adjunct:concept"
SUBSTANCE = "substance"
ATTESTATIONS = {"history": "history_reviewed", "reconciled": "reconciled", "allergies": "allergies_asked"}
_FACT = re.compile(r"fact\('([^']+)'\)")
_WORDS = re.compile(r"\w+")
_PLACE = re.compile(r"\{([a-z0-9_.-]+)\}")


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


class Knowledge:
    """Everything Adjunct knows, of one edition. Make one with `Knowledge.load()`."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.version: str = content["version"][: len("0123456789ab")]
        self.as_of: str = content["knowledge"]["as_of"]
        self.wording: Mapping[str, Any] = content["wording"]
        self.sources = _unique(content["sources"], _source)
        self.facts = _unique(content["facts"], _fact)
        self.concepts = _unique(content["concepts"], _concept)
        self.substances = _unique(content["substances"], _substance)
        self.vocabulary = self._vocabulary()
        self.rules = _unique(content["rules"], self._rule)
        self._programs: dict[str, Program] = {}
        self._in_force: dict[tuple[str, str], tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]] = {}

    @classmethod
    def load(cls, data: Path = HERE / "data", compiled: Path = HERE / "knowledge.json") -> Knowledge:
        """Read the compiled knowledge and check that every file behind it is there, unchanged."""
        try:
            content = orjson.loads(unsealed(compiled.read_bytes()))
            expected = dict(content["manifest"])
        except (OSError, ValueError, KeyError, TypeError):
            raise Refused(
                "the compiled knowledge is missing or corrupt, so nothing can be answered: reinstall Adjunct",
                compiled.name,
            ) from None
        found = manifest(data)
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                state = (
                    "missing"
                    if name not in found
                    else "not part of this edition"
                    if name not in expected
                    else "changed"
                )
                raise Refused(
                    f"knowledge file {name} is {state}, so nothing can be answered: reinstall Adjunct, "
                    "or run `adjunct knowledge compile` after an edit",
                    name,
                )
        try:
            return cls(content)
        except (KeyError, ValueError, TypeError) as error:
            raise Refused(f"the knowledge is corrupt, so nothing can be answered: {error}", compiled.name) from None

    @classmethod
    def compile(cls, data: Path = HERE / "data", compiled: Path = HERE / "knowledge.json") -> Knowledge:
        """Compile the files people write, check that they load, and only then replace the compiled text."""
        try:
            text = compile_knowledge(data)
        except FileError as error:
            raise Refused(f"knowledge file {error}") from None
        knowledge = cls(orjson.loads(text))
        partial = compiled.with_suffix(".tmp")
        partial.write_bytes(sealed(text))
        partial.replace(compiled)
        return knowledge

    def program(self, phase: str) -> Program:
        """All rules, bound to one phase's age limits."""
        if phase not in self._programs:
            self._programs[phase] = Program([r.when for r in self.rule_list], self.vocabulary, phase)
        return self._programs[phase]

    def in_force(self, phase: str, treatment: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """The numbers of the rules that speak in this phase about this treatment, and which of them ask when open."""
        key = (phase, treatment)
        if key not in self._in_force:
            rules = enumerate(self.rule_list)
            numbers = [n for n, r in rules if phase in r.phase and treatment in r.treatments]
            asks = [self.rule_list[n].if_unknown[phase] != "ignore" for n in numbers]
            self._in_force[key] = np.array(numbers, dtype=np.intp), np.array(asks, dtype=np.bool_)
        return self._in_force[key]

    @cached_property
    def rule_list(self) -> tuple[Rule, ...]:
        return tuple(self.rules.values())

    @cached_property
    def code_ids(self) -> tuple[str, ...]:
        """What each code number stands for: a substance id or an answer."""
        return tuple(self.vocabulary.codes)

    @cached_property
    def concept_ids(self) -> tuple[str, ...]:
        return tuple(self.vocabulary.concepts)

    @cached_property
    def concepts_by_code(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """Terminology code -> the concepts it is evidence of. ICD-10-CM prefixes end in `*`."""
        members: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for row in self.content["valuesets"]:
            members[row["set"]].append((row["system"], row["code"]))
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for concept in self.concepts.values():
            found[LOCAL, concept.id].append(concept.id)
            for code in members.get(concept.codes, ()):
                found[code].append(concept.id)
        return {code: tuple(ids) for code, ids in found.items()}

    def concepts_for(self, system: str, code: str) -> tuple[str, ...]:
        """The concepts that a terminology code is evidence of; ICD codes also by their listed prefixes."""
        table = self.concepts_by_code
        found = table.get((system, code), ())
        if system in self.content["knowledge"]["prefix_systems"]:
            canonical = self.content["knowledge"]["prefix_systems"][system]
            stems = (code[:end] + "*" for end in range(1, len(code) + 1))
            more = [c for stem in (code, *stems) for c in table.get((canonical, stem), ())]
            found = tuple(dict.fromkeys([*found, *more]))
        return found

    @cached_property
    def concepts_by_name(self) -> Mapping[str, tuple[str, ...]]:
        """Plain words for a condition or symptom, folded -> the concepts they may mean."""
        found: dict[str, list[str]] = defaultdict(list)
        for concept in self.concepts.values():
            for name in (concept.title, *concept.names):
                if concept.id not in found[fold(name)]:
                    found[fold(name)].append(concept.id)
        return {name: tuple(ids) for name, ids in found.items()}

    def conditions_within(self, text: str) -> tuple[str, ...]:
        """Conditions whose name stands, as whole words, inside a longer one; not where another person is meant.

        A code list cannot hold every kind of aneurysm; an entry that says the word must at least be asked about.
        """
        words = f" {' '.join(_WORDS.findall(fold(text)))} "
        if any(f" {phrase} " in words for phrase in self.content["knowledge"]["not_own"]):
            return ()
        return tuple(dict.fromkeys(c for name, ids in self._condition_names if name in words for c in ids))

    @cached_property
    def _condition_names(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return tuple(
            (f" {' '.join(_WORDS.findall(name))} ", conditions)
            for name, ids in self.concepts_by_name.items()
            if (conditions := tuple(c for c in ids if self.concepts[c].kind == "condition"))
        )

    @cached_property
    def answers(self) -> Mapping[str, Mapping[str, str]]:
        """For each concept: `system|code` or a plain word -> its canonical answer."""
        shared = self.content["knowledge"]["answers"]
        return {
            c.id: {
                fold(text): answer
                for answers in (shared, c.answers)  # a concept's own answers come last and win
                for answer, texts in answers.items()
                for text in (answer, *texts)
            }
            for c in self.concepts.values()
        }

    @cached_property
    def effect_concepts(self) -> frozenset[int]:
        return frozenset(i for name, i in self.vocabulary.concepts.items() if name.startswith(EFFECT))

    @cached_property
    def substances_by_code(self) -> Mapping[tuple[str, str], str]:
        """RxNorm ingredient, ATC or UNII code -> substance id."""
        systems = self.content["knowledge"]["code_systems"]
        return {
            (systems[system], code): substance.id
            for substance in self.substances.values()
            for system, _, code in (text.partition("|") for text in substance.codes)
        } | {(LOCAL, s): s for s in self.substances}

    @cached_property
    def substances_by_name(self) -> Mapping[str, tuple[str, ...]]:
        """A whole name, folded -> the substance, or the components of a combination; ambiguous names are left out."""
        found: dict[str, set[str]] = defaultdict(set)
        for row in self.content["names"]:
            found[fold(row["text"])].add(row["substance"])
        return {name: tuple(next(iter(ids)).split("+")) for name, ids in found.items() if len(ids) == 1}

    def absent_column(self, attested: Iterable[str]) -> Int8s:
        """What silence about each concept means, given which attestations ('history', 'reconciled', ...) hold."""
        holds = {"no", *attested}
        kinds = self._absent_kinds
        return np.array([NO if kind in holds else UNKNOWN for kind in kinds], dtype=np.int8)

    @cached_property
    def _absent_kinds(self) -> tuple[str, ...]:
        reconciled = self.concepts[SUBSTANCE].absent
        return tuple(self.concepts[c].absent if c in self.concepts else reconciled for c in self.concept_ids)

    def effects(self, substance: str, per_day: tuple[float, float] | None) -> Iterator[tuple[str, float, int]]:
        """`(effect concept, weight, truth)` of one substance at a daily dose in mg (None: not known).

        Where a higher dose weighs more, the sure weight comes first and what may be added to it comes as unknown.
        """
        sure: dict[str, float] = {}
        possible: dict[str, float] = {}
        for effect in self.substances[substance].effects:
            if effect.weight not in WEIGHTS:
                continue
            weight, truth = self.number(f"load.weight.{effect.weight}"), _reached(effect.above, per_day)
            if truth == YES:
                sure[effect.tag] = max(weight, sure.get(effect.tag, 0))
            if truth != NO:
                possible[effect.tag] = max(weight, possible.get(effect.tag, 0))
        for tag, most in possible.items():
            least = sure.get(tag, 0)
            if least:
                yield EFFECT + tag, least, YES
            if most > least:
                yield EFFECT + tag, most - least, UNKNOWN

    def name_of(self, candidate: str) -> str:
        """A substance, or the components of a combination, as people read it."""
        return " + ".join(self.substances[part].name for part in candidate.split("+"))

    def number(self, fact: str) -> float:
        value: float | tuple[float, float] = self.facts[fact].value
        assert isinstance(value, float), f"{fact} is an interval"
        return value

    def say(self, text: str, **words: str) -> str:
        """Fill the places of a text: `{fact.id}` becomes value and unit, other names come from `words`."""
        return _PLACE.sub(lambda m: words[m[1]] if m[1] in words else self.fact_text(m[1]), text)

    def fact_text(self, fact: str) -> str:
        found = self.facts.get(fact)
        if found is None:
            return "{" + fact + "}"
        unit = self.content["knowledge"]["unit_display"].get(found.unit, found.unit)
        value = found.value if isinstance(found.value, tuple) else (found.value,)
        return "\u2013".join(f"{v:g}" for v in value) + (f" {unit}" if unit else "")

    def places(self, text: str) -> list[str]:
        return _PLACE.findall(text)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _vocabulary(self) -> Vocabulary:
        tags = sorted({e.tag for s in self.substances.values() for e in s.effects})
        ids = [*self.concepts, *(EFFECT + tag for tag in tags)]
        answers = {c.id: frozenset(c.answers) | {"yes", "no"} for c in self.concepts.values()}
        codes = {name: i for i, name in enumerate([*self.substances, *sorted(frozenset().union(*answers.values()))])}
        current = self.concepts[SUBSTANCE].ages
        return Vocabulary(
            concepts={name: i for i, name in enumerate(ids)},
            units={c.id: c.unit or "1" for c in self.concepts.values()},
            facts={f.id: (f.value, f.unit) for f in self.facts.values() if not isinstance(f.value, tuple)},
            codes=codes,
            sets={name: frozenset(codes[m] for m in members) for name, members in self.sets.items()},
            ages={c.id: c.ages for c in self.concepts.values()} | {EFFECT + tag: current for tag in tags},
            answers=answers,
        )

    @cached_property
    def sets(self) -> Mapping[str, frozenset[str]]:
        """Sets of substances: by class, effect and enzyme, each substance alone, and those of `sets.toml`."""
        found: dict[str, set[str]] = defaultdict(set)
        for substance in self.substances.values():
            for name in (substance.id, *substance.classes, *_enzyme_sets(substance), *_effect_sets(substance)):
                found[name].add(substance.id)
        for entry in self.content["sets"].get("set", ()):
            for member in entry["members"]:
                if member not in found:
                    raise Refused(f"set {entry['id']!r} names {member!r}, which is neither a substance nor a set")
                found[entry["id"]] |= found[member]
        return {name: frozenset(members) for name, members in found.items()}

    def _rule(self, entry: Mapping[str, Any]) -> Rule:
        where = f"{entry['file']}, rule {entry['id']}"
        unknown = entry.get("if_unknown", "ask")
        phases = _phases(entry["phase"], where)
        sources = _locators(entry["sources"])
        return Rule(
            id=entry["id"],
            version=entry["version"],
            title=entry["title"],
            says=entry["says"],
            tell=entry.get("tell", ""),
            phase=phases,
            treatments=_treatments(entry["for"], where),
            when=parse(entry["when"], self.vocabulary, where),
            text=entry["when"],
            verdict=Verdict[entry["verdict"]] if "verdict" in entry else None,
            severity=entry["severity"],
            action=entry["action"],
            kind=entry["kind"],
            about=entry["about"],
            urgency=entry.get("urgency", "routine"),
            if_unknown={p: unknown if isinstance(unknown, str) else unknown.get(p, "ask") for p in PHASES},
            ask=entry.get("ask", ""),
            hard=entry.get("hard", False),
            quiet=entry.get("quiet", False),
            grade=Grade(entry["grade"]),
            status=entry["status"],
            sources=sources,
            disputed=_locators(entry.get("disputed", ())),
            why=entry.get("why", ""),
            involves=tuple(entry.get("involves", ())),
            instead_of=tuple(entry.get("instead_of", ())),
            lines=tuple(entry.get("lines", ())),
            cases=tuple(entry.get("cases", ())),
            file=entry["file"],
            review_by=min((self.facts[f].review_by for f in self._facts_of(entry)), default=""),
        )

    def _facts_of(self, entry: Mapping[str, Any]) -> Iterator[str]:
        """The facts that a rule compares with or quotes."""
        for name in (*_FACT.findall(entry["when"]), *self.places(f"{entry['says']} {entry.get('why', '')}")):
            if name in self.facts:
                yield name


def fold(text: str) -> str:
    """Words as they are compared: no accents, no case, single spaces.

    >>> fold("  Épilepsie  généralisée ")
    'epilepsie generalisee'
    """
    plain = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())


def _unique(entries: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
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


def _source(entry: Mapping[str, Any]) -> Source:
    known = ("id", "kind", "citation", "read_as", "doi", "url", "year", "read_note")
    return Source(**{k: entry[k] for k in known if k in entry})


def _fact(entry: Mapping[str, Any]) -> Fact:
    value = entry["value"]
    known = ("id", "unit", "source", "locator", "status", "valid_from", "review_by", "population")
    return Fact(
        value=(float(value[0]), float(value[1])) if isinstance(value, list) else float(value),
        grade=Grade(entry["grade"]),
        **{k: entry[k] for k in known if k in entry},
    )


def _concept(entry: Mapping[str, Any]) -> Concept:
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


def _substance(entry: Mapping[str, Any]) -> Substance:
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


def _reached(above: str, per_day: tuple[float, float] | None) -> int:
    """Whether a daily dose in mg lies above a limit such as "16 mg/d"; no limit is always reached."""
    if not above:
        return YES
    if per_day is None:
        return UNKNOWN
    amount, _, unit = above.partition(" ")
    limit = convert(float(amount), unit.removesuffix("/d"), "mg")
    return NO if per_day[1] <= limit else UNKNOWN if per_day[0] <= limit else YES


def _enzyme_sets(substance: Substance) -> Iterator[str]:
    for verb, enzymes in (("inhibits", substance.inhibits), ("induces", substance.induces)):
        for enzyme in enzymes:
            yield f"{verb}-{enzyme.enzyme}-{enzyme.strength}".lower()


def _effect_sets(substance: Substance) -> Iterator[str]:
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


def _phases(given: Sequence[str], where: str) -> frozenset[str]:
    chosen = frozenset(PHASES if "any" in given else given)
    if not chosen <= frozenset(PHASES):
        raise RuleError(f"unknown phase {sorted(chosen - frozenset(PHASES))}", where)
    return chosen


def _treatments(given: Sequence[str], where: str) -> frozenset[str]:
    groups = {"any": (*TREATMENTS, NONE), "ketamine": TREATMENTS}
    chosen = frozenset(t for name in given for t in groups.get(name, (name,)))
    if not chosen <= {*TREATMENTS, NONE}:
        raise RuleError(f"unknown treatment {sorted(chosen - {*TREATMENTS, NONE})}", where)
    return chosen


def _locators(given: Iterable[Mapping[str, str]]) -> tuple[Locator, ...]:
    return tuple(Locator(entry["id"], entry.get("locator", ""), entry.get("says", "")) for entry in given)
