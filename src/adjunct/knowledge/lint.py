"""What `adjunct knowledge check` refuses: numbers without a source, rules without cases, texts beyond their grade.

Every finding is one line that names file and entry. An edition with a single finding does not ship. The shape of each
entry is checked by `schema`; here stands what one entry must agree on with the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from adjunct.base import AdjunctError, units
from adjunct.knowledge.cases import failures
from adjunct.knowledge.compiled import FOLLOWUP, TABLES
from adjunct.knowledge.entries import LOCAL, Rule
from adjunct.knowledge.language import PHASES
from adjunct.knowledge.load import Knowledge

Progress = Callable[[int, int], None]

STATUSES = ("proposed", "reported", "verified")
READ = ("not-read", "excerpt", "full")
UNSOURCED = frozenset({"project-default", "uncited"})
SOURCE_KINDS = frozenset({"label", "trial", "review", "guideline", "case-series", "statute", "dataset", *UNSOURCED})
SEVERITIES = frozenset({"high", "moderate", "low"})
ACTIONS = frozenset({"emergency", "contraindicated", "avoid", "defer", "adjust", "monitor", "inform"})
KINDS = frozenset({"red-flag", "condition", "pharmacodynamic", "pharmacokinetic", "legal", "data"})
ABOUT = frozenset(
    "serotonin cns_depression bp seizure qt bleeding liver opioid_antagonism withdrawal attenuation pk mania psychosis "
    "suicide pregnancy electrolytes toxicity anticholinergic duplicate condition legal data".split()
)
URGENCIES = frozenset({"now", "today", "soon", "routine"})
UNANSWERED = frozenset({"defer", "ask", "ignore"})
BOUNDARY = frozenset({"below", "at", "above", "unknown"})
PRESENCE = frozenset({"present", "absent", "unknown"})
FILLED_BY_CODE = frozenset({"names", "stop_sentence"})
SAID = frozenset({"says", "tell", "text", "title", "words", "supporter", "definition", "ask"})  # keys of what is read
ADDS_UP = 0.005  # shares are written with two decimals
_WORD = re.compile(r"[\w'-]+")
_PLACE = re.compile(r"\{[a-z0-9_.-]+\}")
_FILE = re.compile(r"\b[a-z_]+/[a-z_]+\.(?:toml|csv)\b")
_RULE = re.compile(r"\brule:([\w-]+)")
_FIGURE = re.compile(r"\S*\d\S*")
_BROKEN = (AdjunctError, AttributeError, KeyError, TypeError, ValueError)


def check(content: Mapping[str, Any], *, as_of: str | None = None, progress: Progress | None = None) -> list[str]:
    """Every fault of a compiled knowledge base, as lines. `as_of` (YYYY-MM-DD) decides what has expired.

    `progress` hears how many rules are done, and of how many.
    """
    from adjunct.knowledge import schema  # late: only a check needs the schema library

    found = list(schema.faults(content))
    single, twins = _without_twins(content)
    found.extend(twins)
    try:
        empty = Knowledge({**single, "rules": []})
        knowledge, unreadable = _with_rules(single["rules"], empty)
    except _BROKEN as error:
        return [*found, f"the knowledge cannot be loaded, so its rules were not run: {_said(error)}"]
    found.extend(unreadable)
    found.extend(_rules(knowledge, progress or _silent))
    from adjunct.knowledge import instruments_lint

    for part in (_sources, _facts, _concepts, _valuesets, _derived, _substances, _names, _tables, _exposure, _wording):
        found.extend(part(knowledge))
    found.extend(instruments_lint.faults(knowledge))
    found.extend(_follow_up(knowledge))
    found.extend(_expired(knowledge, as_of or knowledge.as_of))
    return found


def unfilled(text: str, reviewed: Iterable[re.Pattern[str]]) -> list[str]:
    """Words of `text` that hold a digit, apart from `{fact}` places and the reviewed names.

    >>> unfilled("PHQ-9 above 5, or {phq9.rise} more", [re.compile("PHQ-9")])
    ['5,']
    """
    plain = _PLACE.sub(" ", text)
    for pattern in reviewed:
        plain = pattern.sub(" ", plain)
    return _FIGURE.findall(plain)


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, AdjunctError) else f"{type(error).__name__} {error}"


# --- reading ----------------------------------------------------------------------------------------------------------


def _without_twins(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The content with each id once, and a line for every id that was used again."""
    single, lines = dict(content), []
    for folder, kind in TABLES.items():
        first: dict[Any, Any] = {}
        for entry in content[folder]:
            other = first.setdefault(entry.get("id"), entry)
            if other is not entry:
                lines.append(f"{entry['file']}, {kind} {entry.get('id')}: the id is also used in {other['file']}")
        single[folder] = list(first.values())
    return single, lines


def _with_rules(entries: Sequence[Mapping[str, Any]], empty: Knowledge) -> tuple[Knowledge, list[str]]:
    """The knowledge with every rule that can be read, and a line for each that cannot."""
    try:
        return Knowledge({**empty.content, "rules": entries}), []
    except _BROKEN:
        readable, lines = [], []
    for entry in entries:
        try:
            empty._rule(entry)
            readable.append(entry)
        except _BROKEN as error:
            place = "" if isinstance(error, AdjunctError) else f"{entry['file']}, rule {entry.get('id')}: "
            lines.append(f"{place}{_said(error)}")
    return Knowledge({**empty.content, "rules": readable}), lines


# --- rules ------------------------------------------------------------------------------------------------------------


def _rules(knowledge: Knowledge, progress: Progress) -> Iterator[str]:
    total = len(knowledge.rule_list)
    for done, rule in enumerate(knowledge.rule_list):
        progress(done, total)
        parts = (_vocabulary(rule), _support(rule, knowledge), _cases(rule, knowledge), _texts(rule, knowledge))
        yield from (f"{rule.file}, rule {rule.id}: {fault}" for part in parts for fault in part)
    progress(total, total)


def _vocabulary(rule: Rule) -> Iterator[str]:
    for name, value, allowed in (
        ("severity", rule.severity, SEVERITIES),
        ("action", rule.action, ACTIONS),
        ("kind", rule.kind, KINDS),
        ("about", rule.about, ABOUT),
        ("urgency", rule.urgency, URGENCIES),
        ("status", rule.status, frozenset(STATUSES)),
    ):
        if value not in allowed:
            yield f"{name} {value!r} is not one of {', '.join(sorted(allowed))}"
    for answer in sorted({rule.if_unknown[p] for p in PHASES} - UNANSWERED):
        yield f"if_unknown {answer!r} is not defer, ask or ignore"
    if rule.action == "inform" and rule.verdict is not None and rule.verdict > 0:
        yield "an inform does not change the verdict"


def _support(rule: Rule, knowledge: Knowledge) -> Iterator[str]:
    """A rule is never surer than what it stands on."""
    if not rule.sources:
        yield "no source"
    for locator in (*rule.sources, *rule.disputed):
        if locator.id not in knowledge.sources:
            yield f"source {locator.id!r} is not defined"
    read = [knowledge.sources[s.id] for s in rule.sources if s.id in knowledge.sources]
    solid = [s for s in read if s.kind not in UNSOURCED and s.read_as != "not-read"]
    if rule.status == "verified" and not solid:
        yield "verified, but no source of it was opened"
    if rule.status == "reported" and not solid:
        yield "reported, but every source of it is a project default, uncited or not read: proposed"
    for name in rule.involves:
        if name not in knowledge.sets:
            yield f"involves names the unknown set {name!r}"
    for other in rule.instead_of:
        if other not in knowledge.rules:
            yield f"instead_of names the unknown rule {other!r}"
    if rule.id in _replaced_by(rule, knowledge):
        yield "instead_of comes round to the rule itself: all could replace each other and none be shown"


def _replaced_by(rule: Rule, knowledge: Knowledge) -> set[str]:
    """Every rule that this one replaces, directly or through others."""
    found: set[str] = set()
    waiting = list(rule.instead_of)
    while waiting:
        other = waiting.pop()
        if other not in found and other in knowledge.rules:
            found.add(other)
            waiting.extend(knowledge.rules[other].instead_of)
    return found


def _cases(rule: Rule, knowledge: Knowledge) -> Iterator[str]:
    kinds = {c.get("is") for c in rule.cases}
    if not (kinds >= BOUNDARY or kinds >= PRESENCE):
        yield "cases must hold below, at, above and unknown, or present, absent and unknown"
    gives = {c.get("gives") for c in rule.cases}
    # A rule about data that is missing never comes out as yes: what is missing is unknown, and speaks as a gap.
    holding = {"yes", "unknown"} if rule.kind == "data" else {"yes"}
    if not gives & holding or "no" not in gives:
        yield "its cases never show it holding and not holding"
    yield from failures(rule, knowledge)


def _texts(rule: Rule, knowledge: Knowledge) -> Iterator[str]:
    texts = {"title": rule.title, "says": rule.says, "tell": rule.tell, "why": rule.why, "ask": rule.ask}
    for name, text in texts.items():
        for place in knowledge.places(text):
            if place not in FILLED_BY_CODE and place not in knowledge.facts:
                yield f"{name} has the place {{{place}}}, which no fact fills"
        yield from (f"{name}: {fault}" for fault in overstated(text, rule.grade, knowledge, hedge=False))
    for name in ("says", "tell", "why"):
        for figure in unfilled(texts[name], _reviewed(knowledge)):
            yield f"{name} has the number {figure!r}, which no fact fills"
    if not rule.says or not (rule.tell or rule.quiet):
        yield "needs says (clinician) and tell (person), or quiet = true"


def _reviewed(knowledge: Knowledge) -> list[re.Pattern[str]]:
    """What looks like a number in a text and is a name."""
    return [
        re.compile(entry["pattern"])
        for entry in knowledge.content["knowledge"].get("lint_numbers", {}).get("allow", ())
    ]


# --- words ------------------------------------------------------------------------------------------------------------


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


def _wording(knowledge: Knowledge) -> Iterator[str]:
    texts = {k: v for k, v in knowledge.wording.items() if k != "lint"}
    for text in _strings(texts):
        yield from (f"wording.toml: {fault} in {text!r}" for fault in overstated(text, "", knowledge, hedge=False))


def _follow_up(knowledge: Knowledge) -> Iterator[str]:
    """Every text that a clinician or a person reads, and every source, of instruments, follow-up and messages."""
    named = [(f"followup/{name}.toml", knowledge.content[name]) for name in FOLLOWUP]
    named += [(e["file"], e) for key in ("instruments", "lexicons") for e in knowledge.content[key]]
    for where, entry in named:
        for key, text in _keyed(entry):
            if key in SAID:
                yield from (f"{where}: {fault} in {text!r}" for fault in overstated(text, "", knowledge, hedge=False))
            elif key == "source" and text not in knowledge.sources:
                yield f"{where}: source {text!r} is not defined"


def _keyed(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a nested entry with its nearest key; below `tell` everything is told."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _keyed(inner, key if key in SAID else name)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _keyed(inner, key)


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)


# --- everything else that is cited ------------------------------------------------------------------------------------


def _sources(knowledge: Knowledge) -> Iterator[str]:
    for source in knowledge.sources.values():
        where = f"{_file(knowledge, 'sources', source.id)}, source {source.id}"
        if source.kind not in SOURCE_KINDS:
            yield f"{where}: kind {source.kind!r} is not known"
        if source.read_as not in READ:
            yield f"{where}: read_as {source.read_as!r} is not one of {', '.join(READ)}"
        if not source.citation:
            yield f"{where}: no citation"


def _facts(knowledge: Knowledge) -> Iterator[str]:
    for fact in knowledge.facts.values():
        where = f"{_file(knowledge, 'facts', fact.id)}, fact {fact.id}"
        source = knowledge.sources.get(fact.source)
        if source is None:
            yield f"{where}: source {fact.source!r} is not defined"
        elif fact.status != "proposed" and (source.kind in UNSOURCED or source.read_as == "not-read"):
            yield f"{where}: {fact.status}, but its source was not read"
        if not _is_unit(fact.unit):
            yield f"{where}: unknown unit {fact.unit!r}"
        if fact.status not in STATUSES:
            yield f"{where}: status {fact.status!r} is not one of {', '.join(STATUSES)}"
        if not fact.locator:
            yield f"{where}: no locator"


def _is_unit(code: str) -> bool:
    return code in units() or (code.startswith("{") and code.endswith("}"))


def _concepts(knowledge: Knowledge) -> Iterator[str]:
    sets = {row["set"] for row in knowledge.content["valuesets"]}
    for concept in knowledge.concepts.values():
        where = f"{_file(knowledge, 'concepts', concept.id)}, concept {concept.id}"
        if concept.codes and concept.codes not in sets:
            yield f"{where}: no value set {concept.codes!r}"
        if concept.unit and not _is_unit(concept.unit):
            yield f"{where}: unknown unit {concept.unit!r}"
        if concept.absent not in ("unknown", "no", "history", "reconciled", "allergies"):
            yield f"{where}: absent {concept.absent!r} is not known"
        if not concept.ask:
            yield f"{where}: no question that would fill it"
        for text in (concept.title, concept.ask):
            yield from (f"{where}: {fault}" for fault in overstated(text, "", knowledge, hedge=False))


def _valuesets(knowledge: Knowledge) -> Iterator[str]:
    used = {c.codes for c in knowledge.concepts.values()}
    for row in knowledge.content["valuesets"]:
        if row["set"] not in used:
            yield f"{row['file']}, {row['set']}: this value set belongs to no concept"
            used.add(row["set"])
        if row["system"] != LOCAL and "://" not in row["system"]:
            yield f"{row['file']}, {row['set']}: {row['system']!r} is no code system address"


def _derived(knowledge: Knowledge) -> Iterator[str]:
    """What is worked out has a concept, its inputs exist, and every derived concept is worked out from something."""
    made = {"age"} | {f"{c}_xuln" for c in knowledge.concepts}
    for spec in knowledge.content["derive"]["derive"]:
        where = f"derive.toml, {spec['concept']}"
        made.add(spec["concept"])
        if spec["concept"] not in knowledge.concepts:
            yield f"{where}: no such concept"
        for name in (*spec["of"], *spec.get("answered_by", ())):
            if name not in knowledge.concepts and name not in knowledge.sets:
                yield f"{where}: {name!r} is neither a concept nor a set"
        if "facts" in spec and not any(f.startswith(f"{spec['facts']}.") for f in knowledge.facts):
            yield f"{where}: no fact begins with {spec['facts']!r}"
    for concept in knowledge.concepts.values():
        if concept.kind == "derived" and concept.id not in made:
            yield f"{_file(knowledge, 'concepts', concept.id)}, concept {concept.id}: derived, but nothing works it out"


def _substances(knowledge: Knowledge) -> Iterator[str]:
    codes: dict[str, str] = {}
    for substance in knowledge.substances.values():
        where = f"{_file(knowledge, 'substances', substance.id)}, substance {substance.id}"
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
        for depot in substance.depots:
            if depot["source"] not in knowledge.sources:
                yield f"{where}: source {depot['source']!r} of a depot is not defined"


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
        for file in _FILE.findall(row["acts_on"]):
            if file not in knowledge.content["manifest"]:
                yield f"{where}: acts_on names the file {file}, which does not exist"
        for rule in _RULE.findall(row["acts_on"]):
            if rule not in knowledge.rules:
                yield f"{where}: acts_on names the rule {rule}, which does not exist"
    for name, key in (("jurisdictions", "code"), ("crisis_lines", "country_code")):
        for row in knowledge.content[name]:
            yield from _known_sources(f"{name}.csv, {row[key]}", row["source"], knowledge)
            if not row["review_by"]:
                yield f"{name}.csv, {row[key]}: no review_by"


def _exposure(knowledge: Knowledge) -> Iterator[str]:
    """Models, victims, perpetrators and observed figures: every number has a source, every share of a whole adds up."""
    for name, entry in knowledge.models.items():
        where = f"{entry['file']}, model {name}"
        if not entry["file"].endswith(f"/{name}.toml"):
            yield f"{where}: the file does not bear the model's id"
        if entry["drug"] not in knowledge.substances:
            yield f"{where}: unknown drug {entry['drug']!r}"
        if not (entry.get("table") or entry.get("gaps")):
            yield f"{where}: neither a published table that it rebuilds nor its gaps"
        for part in (entry, *entry.get("table", ())):
            if "source" in part:
                yield from _known_sources(where, part["source"], knowledge)
        for parameter in entry.get("parameter", ()):
            if not _is_unit(parameter["unit"]):
                yield f"{where}: {parameter['name']} has the unknown unit {parameter['unit']!r}"
    for name, entry in knowledge.victims.items():
        where = f"{entry['file']}, victim {name}"
        if not math.isclose(sum(entry["pathways"].values()), 1, abs_tol=ADDS_UP):
            yield f"{where}: its pathways add up to {sum(entry['pathways'].values()):g}, not to 1"
        for metabolite in entry.get("metabolites", ()):
            if metabolite["id"] not in knowledge.victims:
                yield f"{where}: the metabolite {metabolite['id']!r} has no entry of its own"
            for enzyme, share in metabolite.get("formed_by", {}).items():
                if share > entry["pathways"].get(enzyme, 0) + ADDS_UP:
                    yield f"{where}: more of {metabolite['id']} is formed by {enzyme} than that pathway carries"
        yield from (f"{where}: source {s['id']!r} is not defined" for s in _undefined(entry, knowledge))
    for name, entry in knowledge.perpetrators.items():
        where = f"{entry['file']}, perpetrator {name}"
        if name not in knowledge.substances and not entry.get("names"):
            yield f"{where}: no substance of this id, and no name by which it is asked for"
        for part in (entry, *entry.get("effect", ())):
            yield from (f"{where}: source {s['id']!r} is not defined" for s in _undefined(part, knowledge))
    for table in ("observed_ratios", "observed_exposure"):
        for row in knowledge.content[table]:
            yield from _known_sources(f"{table}.csv, {row['id']}", row["source"], knowledge)
    for row in knowledge.content["observed_ratios"]:
        where = f"observed_ratios.csv, {row['id']}"
        if row["victim"] not in knowledge.victims:
            yield f"{where}: the victim {row['victim']!r} has no entry"
        for part in row["perpetrators"].split("+"):
            if part not in knowledge.substances and part not in knowledge.perpetrators:
                yield f"{where}: unknown perpetrator {part!r}"


def _undefined(entry: Mapping[str, Any], knowledge: Knowledge) -> Iterator[Mapping[str, str]]:
    return (source for source in entry.get("sources", ()) if source["id"] not in knowledge.sources)


def _known_sources(where: str, sources: str, knowledge: Knowledge) -> Iterator[str]:
    named = [s for s in sources.split(";") if s]
    if not named:
        yield f"{where}: no source"
    for source in named:
        if source not in knowledge.sources:
            yield f"{where}: source {source!r} is not defined"


def _expired(knowledge: Knowledge, today: str) -> Iterator[str]:
    """Facts past their review. Law and crisis rows expire at run time instead, each for itself."""
    for fact in knowledge.facts.values():
        if fact.review_by < today:
            where = f"{_file(knowledge, 'facts', fact.id)}, fact {fact.id}"
            yield f"{where}: review_by {fact.review_by} is past ({today})"


def _file(knowledge: Knowledge, folder: str, entry: str) -> str:
    return next((str(e["file"]) for e in knowledge.content[folder] if e["id"] == entry), folder)
