"""What `adjunct knowledge check` refuses: numbers without a source, rules without cases, texts beyond their grade.

Every finding is one line that names file and entry. An edition with a single finding does not ship.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adjunct.base import AdjunctError, units
from adjunct.knowledge.cases import failures
from adjunct.knowledge.language import PHASES
from adjunct.knowledge.load import LOCAL, Knowledge, Rule

STATUSES = ("proposed", "reported", "verified")
READ = ("not-read", "excerpt", "full")
SOURCE_KINDS = frozenset(
    {"label", "trial", "review", "guideline", "case-series", "statute", "dataset", "project-default", "uncited"}
)
SEVERITIES = frozenset({"high", "moderate", "low"})
ACTIONS = frozenset({"emergency", "contraindicated", "avoid", "defer", "adjust", "monitor", "inform"})
KINDS = frozenset({"red-flag", "condition", "pharmacodynamic", "pharmacokinetic", "legal", "data"})
ABOUT = frozenset(
    "serotonin cns_depression bp seizure qt bleeding liver opioid_antagonism withdrawal attenuation pk mania psychosis "
    "suicide pregnancy electrolytes toxicity anticholinergic duplicate condition legal data".split()
)
BOUNDARY = frozenset({"below", "at", "above", "unknown"})
PRESENCE = frozenset({"present", "absent", "unknown"})
_WORD = re.compile(r"[\w'-]+")


def check(content: Mapping[str, Any], *, as_of: str | None = None) -> list[str]:
    """Every fault of a compiled knowledge base, as lines. `as_of` (YYYY-MM-DD) decides what has expired."""
    base = {**content, "rules": []}
    try:
        knowledge = Knowledge(base)
        found = list(_rules(content["rules"], knowledge))
    except AdjunctError as error:
        return [str(error)]
    today = as_of or knowledge.as_of
    for part in (_sources, _facts, _concepts, _substances, _names, _tables, _wording):
        found.extend(part(knowledge))
    found.extend(_expired(knowledge, today))
    return found


def _rules(entries: Sequence[Mapping[str, Any]], empty: Knowledge) -> Iterator[str]:
    readable = []
    for entry in entries:
        try:
            Knowledge({**empty.content, "rules": [entry]})
            readable.append(entry)
        except AdjunctError as error:
            yield str(error)
    knowledge = Knowledge({**empty.content, "rules": readable})
    for rule in knowledge.rule_list:
        where = f"{rule.file}, rule {rule.id}"
        for fault in (*_vocabulary(rule), *_support(rule, knowledge), *_cases(rule, knowledge), *_texts(rule, knowledge)):
            yield f"{where}: {fault}"
    ids = frozenset(knowledge.rules)
    for rule in knowledge.rule_list:
        for other in rule.instead_of:
            if other not in ids:
                yield f"{rule.file}, rule {rule.id}: instead_of names the unknown rule {other!r}"


def _vocabulary(rule: Rule) -> Iterator[str]:
    for name, value, allowed in (
        ("severity", rule.severity, SEVERITIES),
        ("action", rule.action, ACTIONS),
        ("kind", rule.kind, KINDS),
        ("about", rule.about, ABOUT),
        ("urgency", rule.urgency, frozenset({"now", "today", "soon", "routine"})),
        ("status", rule.status, frozenset(STATUSES)),
    ):
        if value not in allowed:
            yield f"{name} {value!r} is not one of {', '.join(sorted(allowed))}"
    for phase in PHASES:
        if rule.if_unknown[phase] not in ("defer", "ask", "ignore"):
            yield f"if_unknown {rule.if_unknown[phase]!r} is not defer, ask or ignore"
    if rule.action in ("inform",) and rule.verdict is not None and rule.verdict > 0:
        yield "an inform does not change the verdict"


def _support(rule: Rule, knowledge: Knowledge) -> Iterator[str]:
    """A rule is never surer than what it stands on."""
    if not rule.sources:
        yield "no source"
    for locator in (*rule.sources, *rule.disputed):
        if locator.id not in knowledge.sources:
            yield f"source {locator.id!r} is not defined"
    read = [knowledge.sources[s.id] for s in rule.sources if s.id in knowledge.sources]
    solid = [s for s in read if s.kind not in ("project-default", "uncited") and s.read_as != "not-read"]
    if rule.status == "verified" and not solid:
        yield "verified, but no source of it was opened"
    if rule.status == "reported" and not solid:
        yield "reported, but every source of it is a project default, uncited or not read: proposed"
    for name in rule.involves:
        if name not in knowledge.sets:
            yield f"involves names the unknown set {name!r}"


def _cases(rule: Rule, knowledge: Knowledge) -> Iterator[str]:
    kinds = {c.get("is") for c in rule.cases}
    if not (kinds >= BOUNDARY or kinds >= PRESENCE):
        yield "cases must hold below, at, above and unknown, or present, absent and unknown"
    gives = {c.get("gives") for c in rule.cases}
    if not gives >= {"yes"} or gives == {"yes"}:
        yield "its cases never show it holding and not holding"
    yield from failures(rule, knowledge)


def _texts(rule: Rule, knowledge: Knowledge) -> Iterator[str]:
    words = frozenset({"names", "stop_sentence"})
    for name, text in (("says", rule.says), ("tell", rule.tell), ("why", rule.why), ("title", rule.title)):
        for place in knowledge.places(text):
            if place not in words and place not in knowledge.facts:
                yield f"{name} has the place {{{place}}}, which no fact fills"
        yield from (f"{name}: {fault}" for fault in overstated(text, rule.grade, knowledge, hedge=False))
    if not rule.says or not (rule.tell or rule.quiet):
        yield "needs says (clinician) and tell (person), or quiet = true"


def overstated(text: str, grade: str, knowledge: Knowledge, *, hedge: bool) -> Iterator[str]:
    """Words that claim more than `grade` allows; with `hedge`, also the absence of any word of doubt."""
    lint = knowledge.wording["lint"]
    plain = text.casefold()
    for phrase in lint["never_exceptions"]:
        plain = plain.replace(phrase, " ")
    words = _WORD.findall(plain)
    for phrase in (*lint["never"], *lint["kratom"]["never"]):
        if _places(words, phrase):
            yield f"the wording {phrase!r} is never used"
    for phrase in lint["overstating"].get(grade, ()):
        for place in _places(words, phrase):
            before = words[max(0, place - lint["negation_reach"]) : place]
            if not set(before) & set(lint["negations"]):
                yield f"{phrase!r} says more than grade {grade} allows"
    wanted = lint["hedges"].get(grade, ())
    if hedge and wanted and not any(_places(words, w) for w in wanted):
        yield f"grade {grade} needs a word that says how unsure it is"


def _places(words: Sequence[str], phrase: str) -> list[int]:
    wanted = _WORD.findall(phrase.casefold())
    return [i for i in range(len(words) - len(wanted) + 1) if words[i : i + len(wanted)] == wanted]


def _sources(knowledge: Knowledge) -> Iterator[str]:
    for source in knowledge.sources.values():
        if source.kind not in SOURCE_KINDS:
            yield f"source {source.id}: kind {source.kind!r} is not known"
        if source.read_as not in READ:
            yield f"source {source.id}: read_as {source.read_as!r} is not one of {', '.join(READ)}"
        if not source.citation:
            yield f"source {source.id}: no citation"


def _facts(knowledge: Knowledge) -> Iterator[str]:
    for fact in knowledge.facts.values():
        where = f"fact {fact.id}"
        source = knowledge.sources.get(fact.source)
        if source is None:
            yield f"{where}: source {fact.source!r} is not defined"
        elif fact.status != "proposed" and (source.kind in ("uncited", "project-default") or source.read_as == "not-read"):
            yield f"{where}: {fact.status}, but its source was not read"
        if fact.unit not in units() and not (fact.unit.startswith("{") and fact.unit.endswith("}")):
            yield f"{where}: unknown unit {fact.unit!r}"
        if fact.status not in STATUSES:
            yield f"{where}: status {fact.status!r} is not one of {', '.join(STATUSES)}"
        if not fact.locator:
            yield f"{where}: no locator"


def _concepts(knowledge: Knowledge) -> Iterator[str]:
    sets = {row["set"] for row in knowledge.content["valuesets"]}
    for concept in knowledge.concepts.values():
        where = f"concept {concept.id}"
        if concept.codes and concept.codes not in sets:
            yield f"{where}: no value set {concept.codes!r}"
        if concept.unit and concept.unit not in units() and not concept.unit.startswith("{"):
            yield f"{where}: unknown unit {concept.unit!r}"
        if concept.absent not in ("unknown", "no", "history", "reconciled", "allergies"):
            yield f"{where}: absent {concept.absent!r} is not known"
        if not concept.ask:
            yield f"{where}: no question that would fill it"
    used = {c.codes for c in knowledge.concepts.values()}
    for row in knowledge.content["valuesets"]:
        if row["set"] not in used:
            yield f"{row['file']}: value set {row['set']!r} belongs to no concept"
            used.add(row["set"])
        if row["system"] != LOCAL and "://" not in row["system"]:
            yield f"{row['file']}: {row['system']!r} is no code system address"


def _substances(knowledge: Knowledge) -> Iterator[str]:
    codes: dict[str, str] = {}
    for substance in knowledge.substances.values():
        where = f"substance {substance.id}"
        for source in substance.sources:
            if source not in knowledge.sources:
                yield f"{where}: source {source!r} is not defined"
        if not substance.sources:
            yield f"{where}: no source"
        for part in substance.components:
            if part not in knowledge.substances:
                yield f"{where}: unknown component {part!r}"
        for code in substance.codes:
            other = codes.setdefault(code, substance.id)
            if other != substance.id and code.startswith("rxnorm"):
                yield f"{where}: code {code} is also that of {other}"


def _names(knowledge: Knowledge) -> Iterator[str]:
    named = set()
    for row in knowledge.content["names"]:
        for part in row["substance"].split("+"):
            named.add(part)
            if part not in knowledge.substances:
                yield f"names.csv, {row['text']!r}: unknown substance {part!r}"
    for substance in knowledge.substances.values():
        if substance.id not in named and not substance.components:
            yield f"names.csv: {substance.id} has no name"


def _tables(knowledge: Knowledge) -> Iterator[str]:
    for row in knowledge.content["claims"]:
        where = f"claims.csv, {row['claim_id']}"
        for fault in overstated(row["correct_statement"], row["grade"], knowledge, hedge=True):
            yield f"{where}: {fault}"
        yield from _known_sources(where, row["sources"], knowledge)
        if not row["acts_on"]:
            yield f"{where}: says nowhere what the software does about it"
    for name, key in (("jurisdictions", "code"), ("crisis_lines", "country_code")):
        for row in knowledge.content[name]:
            yield from _known_sources(f"{name}.csv, {row[key]}", row["source"], knowledge)
            if not row["review_by"]:
                yield f"{name}.csv, {row[key]}: no review_by"


def _known_sources(where: str, sources: str, knowledge: Knowledge) -> Iterator[str]:
    named = [s for s in sources.split(";") if s]
    if not named:
        yield f"{where}: no source"
    for source in named:
        if source not in knowledge.sources:
            yield f"{where}: source {source!r} is not defined"


def _wording(knowledge: Knowledge) -> Iterator[str]:
    texts = {k: v for k, v in knowledge.wording.items() if k != "lint"}
    for text in _strings(texts):
        yield from (f"wording.toml: {fault} in {text!r}" for fault in overstated(text, "", knowledge, hedge=False))


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)


def _expired(knowledge: Knowledge, today: str) -> Iterator[str]:
    """Facts past their review. Law and crisis rows expire at run time instead, each for itself."""
    for fact in knowledge.facts.values():
        if fact.review_by < today:
            yield f"fact {fact.id}: review_by {fact.review_by} is past ({today})"
