"""The knowledge base as values: sources, facts, concepts, value sets, substances, rules, and the words to speak them.

Loading is all or nothing: a missing, corrupt or mismatched file is `Refused`, never a smaller knowledge base.
"""

from __future__ import annotations

import gc
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from adjunct.base import NO, UNKNOWN, YES, Grade, Int8s, Refused, Verdict, convert, duration_ms
from adjunct.knowledge.columns import Program
from adjunct.knowledge.compiled import FileError, compile_knowledge, manifest, sealed, unsealed
from adjunct.knowledge.entries import (
    LOCAL,
    SUBSTANCE,
    WEIGHTS,
    Rule,
    effect_sets,
    enzyme_sets,
    fold,
    locators,
    phases,
    read_concept,
    read_fact,
    read_source,
    read_substance,
    treatments,
    unique,
)
from adjunct.knowledge.language import EFFECT, PHASES, Vocabulary, parse

HERE = Path(__file__).parent
ENGLISH = "en"  # the language in which every text exists
_FACT = re.compile(r"fact\('([^']+)'\)")
_WORDS = re.compile(r"\w+")
_PLACE = re.compile(r"\{([a-z0-9_.-]+)\}")


@contextmanager
def _without_collection() -> Iterator[None]:
    """A million small objects that all stay: looking for rubbish among them costs a third of the loading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Knowledge:
    """Everything Adjunct knows, of one edition. Make one with `Knowledge.load()`."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.version: str = content["version"][: len("0123456789ab")]
        self.as_of: str = content["knowledge"]["as_of"]
        self.wording: Mapping[str, Any] = content["wording"]
        self.sources = unique(content["sources"], read_source)
        self.facts = unique(content["facts"], read_fact)
        self.concepts = unique(content["concepts"], read_concept)
        self.substances = unique(content["substances"], read_substance)
        self.vocabulary = self._vocabulary()
        self.rules = unique(content["rules"], self._rule)
        self._programs: dict[str, Program] = {}
        self._in_force: dict[tuple[str, str], tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]] = {}

    @classmethod
    def load(cls, data: Path = HERE / "data", compiled: Path = HERE / "knowledge.json") -> Knowledge:
        """Read the compiled knowledge and check that every file behind it is there, unchanged."""
        with _without_collection():
            return cls._load(data, compiled)

    @classmethod
    def _load(cls, data: Path, compiled: Path) -> Knowledge:
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
            asks = [
                r.if_unknown[phase] != "ignore" or r.action == "emergency" for r in (self.rule_list[n] for n in numbers)
            ]
            self._in_force[key] = np.array(numbers, dtype=np.intp), np.array(asks, dtype=np.bool_)
        return self._in_force[key]

    # --- exposure: read when a simulation or an interaction asks for it; plain tables, one meaning each in pharmacology

    @cached_property
    def models(self) -> Mapping[str, Mapping[str, Any]]:
        """Published pharmacokinetic models by id, as their files say them."""
        return unique(self.content["models"], dict)

    @cached_property
    def victims(self) -> Mapping[str, Mapping[str, Any]]:
        """Medicines, isomers and metabolites that enzymes clear: by which pathway, to which share."""
        return unique(self.content["victims"], dict)

    @cached_property
    def perpetrators(self) -> Mapping[str, Mapping[str, Any]]:
        """Substances that inhibit or induce enzymes in people: which, how strongly, at which dose."""
        return unique(self.content["perpetrators"], dict)

    @cached_property
    def observed_ratios(self) -> Mapping[str, Mapping[str, str]]:
        """Exposure ratios measured in people, one row a study arm."""
        return unique(self.content["observed_ratios"], dict)

    @cached_property
    def observed_exposure(self) -> Mapping[str, Mapping[str, str]]:
        """Exposures measured in people, or published from a model, one row a figure."""
        return unique(self.content["observed_exposure"], dict)

    # --- measures and follow-up: read when a score, a course or a message asks for it; one meaning each in its room

    @cached_property
    def instruments(self) -> Mapping[str, Mapping[str, Any]]:
        """Questionnaires and rating scales by id: items, scoring, bands, alerts, change, licence."""
        return unique(self.content["instruments"], dict)

    # --- plans: protocols and activities; one meaning each in planning and routine

    @cached_property
    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Courses of treatment and of care by id: phases, settings with their bounds, reviews, stops."""
        return unique(self.content["protocols"], dict)

    @cached_property
    def selfcare(self) -> Mapping[str, Mapping[str, Any]]:
        """Activities of a daily routine by id: what, for whom not, how sure."""
        return unique(self.content["selfcare"], dict)

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

    def length_ms(self, fact: str) -> int:
        """A length of time that a fact holds, in milliseconds."""
        return duration_ms(f"{self.number(fact):g} {self.facts[fact].unit}", fact)

    def members(self, sets: Iterable[str]) -> frozenset[str]:
        """Every substance of some named sets."""
        return frozenset().union(*(self.sets[name] for name in sets))

    def say(self, text: str, language: str = ENGLISH, /, **words: str) -> str:
        """Fill the places of a text: `{fact.id}` becomes value and unit, other names come from `words`."""
        return _PLACE.sub(lambda m: words[m[1]] if m[1] in words else self.fact_text(m[1], language), text)

    def fact_text(self, fact: str, language: str = ENGLISH) -> str:
        """Value and unit as people of a language write them, such as "24 hours" or "1,5 horas"."""
        found = self.facts.get(fact)
        if found is None:
            return "{" + fact + "}"
        tables, tail = self.content["knowledge"], "" if language == ENGLISH else f"_{language}"
        value = found.value if isinstance(found.value, tuple) else (found.value,)
        display = tables[f"unit_display{tail}"] | (tables[f"unit_display_one{tail}"] if value == (1,) else {})
        unit = display.get(found.unit, found.unit)
        numbers = (f"{v:g}".replace(".", tables["decimal_sign"][language]) for v in value)
        return "\u2013".join(numbers) + (f" {unit}" if unit else "")

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
            for name in (substance.id, *substance.classes, *enzyme_sets(substance), *effect_sets(substance)):
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
        chosen = phases(entry["phase"], where)
        sources = locators(entry["sources"])
        return Rule(
            id=entry["id"],
            version=entry["version"],
            title=entry["title"],
            says=entry["says"],
            tell=entry.get("tell", ""),
            phase=chosen,
            treatments=treatments(entry["for"], where),
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
            disputed=locators(entry.get("disputed", ())),
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


def _reached(above: str, per_day: tuple[float, float] | None) -> int:
    """Whether a daily dose in mg lies above a limit such as "16 mg/d"; no limit is always reached."""
    if not above:
        return YES
    if per_day is None:
        return UNKNOWN
    amount, _, unit = above.partition(" ")
    limit = convert(float(amount), unit.removesuffix("/d"), "mg")
    return NO if per_day[1] <= limit else UNKNOWN if per_day[0] <= limit else YES
