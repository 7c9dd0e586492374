"""The evidence behind the rules: facts, substances, claims, sources, laws and help lines, a page each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from adjunct.knowledge.book.markdown import (
    anchor,
    code,
    link,
    listed,
    page,
    plain,
    source,
    sources,
    table,
    web,
)
from adjunct.knowledge.book.rules import stem
from adjunct.knowledge.entries import Enzyme, Fact, Substance
from adjunct.knowledge.load import Knowledge

_FACT = re.compile(r"""fact\(\s*['"]([^'"]+)['"]\s*\)""")
_RULES = re.compile(r"rules/([a-z0-9_]+)\.toml")


# --- facts ------------------------------------------------------------------------------------------------------------


def facts(knowledge: Knowledge) -> str:
    """Every number that a rule compares with or a sentence shows."""
    used = _rules_of_facts(knowledge)
    heads = (
        "fact",
        "value",
        "unit",
        "holds for",
        "source and place",
        "grade",
        "status",
        "since",
        "review by",
        "used by",
    )
    rows = [_fact(knowledge.facts[name], used[name], knowledge) for name in sorted(knowledge.facts)]
    return page(
        "Facts",
        "Numbers live here and nowhere else. A fact is superseded by a new one, never edited. Units are UCUM codes. "
        "*proposed* means that no source confirms it.",
        table(heads, rows),
    )


def _rules_of_facts(knowledge: Knowledge) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for rule in knowledge.rule_list:
        places = [p for text in (rule.says, rule.tell, rule.why, rule.ask) for p in knowledge.places(text)]
        for name in dict.fromkeys([*_FACT.findall(rule.text), *places]):
            found[name].append(rule.id)
    return found


def _fact(fact: Fact, used: Iterable[str], knowledge: Knowledge) -> tuple[str, ...]:
    values = fact.value if isinstance(fact.value, tuple) else (fact.value,)
    return (
        anchor("fact", fact.id) + code(fact.id),
        " to ".join(f"{v:g}" for v in values),
        code(fact.unit),
        plain(fact.population),
        f"{source(fact.source, knowledge)}, {plain(fact.locator)}",
        fact.grade,
        fact.status,
        fact.valid_from,
        fact.review_by,
        ", ".join(link(code(r), "rules.md", "rule", r) for r in used),
    )


# --- substances -------------------------------------------------------------------------------------------------------


def substances(knowledge: Knowledge) -> str:
    """Every substance: what it is, what it does, how long it stays, and by how many names it is read."""
    names = _names(knowledge)
    sets = [
        (code(s["id"]), ", ".join(code(m) for m in s["members"]), str(len(knowledge.sets[s["id"]])), plain(s["says"]))
        for s in knowledge.content["sets"].get("set", ())
    ]
    return page(
        "Substances",
        "Weights of effects are working values that rank, not measurements. A pathway is the part of the clearance "
        "that an enzyme carries. *Protected*: no sentence ever tells a person to stop it.",
        *(_substance(knowledge.substances[s], names[s], knowledge) for s in sorted(knowledge.substances)),
        "## Sets that rules name",
        "Besides these, every class, every effect and every enzyme with its strength is a set.",
        table(("set", "members", "substances", "meaning"), sets),
    )


def _names(knowledge: Knowledge) -> dict[str, list[Mapping[str, str]]]:
    found: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in knowledge.content["names"]:
        if "+" not in row["substance"]:
            found[row["substance"]].append(row)
    return found


def _substance(substance: Substance, names: Sequence[Mapping[str, str]], knowledge: Knowledge) -> str:
    lines = [
        _pair("Classes", (code(c) for c in substance.classes)),
        _pair("Codes", (code(c) for c in substance.codes)),
        _pair("Parts", (code(c) for c in substance.components)),
        _pair("Pathways", (f"{plain(e)} {share:g}" for e, share in substance.pathways.items())),
        _pair("Inhibits", (_enzyme(e) for e in substance.inhibits)),
        _pair("Induces", (_enzyme(e) for e in substance.induces)),
        _pair("Effects", (_effect(e.tag, e.weight, e.above, e.note) for e in substance.effects)),
        _pair("Half-life", [_hours(substance.half_life_h)] if substance.half_life_h else ()),
        _pair("Stays after", (_depot(d, knowledge) for d in substance.depots)),
        "**Protected** from being named in a sentence about stopping" if substance.protected_stop else "",
        f"**Read under {len(names)} names**, such as {_a_few(names)}" if names else "",
        f"**Note:** {plain(substance.note)}" if substance.note else "",
        f"**Status:** {substance.status}; {', '.join(source(s, knowledge) for s in substance.sources)}",
    ]
    return f"## {anchor('substance', substance.id)}{plain(substance.name)}\n\n{code(substance.id)}\n\n{listed(lines)}"


def _a_few(names: Sequence[Mapping[str, str]]) -> str:
    """The first name of each kind: generic, brand, street ..."""
    first: dict[str, str] = {}
    for row in names:
        first.setdefault(row["kind"], row["text"])
    return ", ".join(f"{plain(name)} ({kind})" for kind, name in first.items())


def _pair(label: str, items: Iterable[str]) -> str:
    text = ", ".join(items)
    return f"**{label}:** {text}" if text else ""


def _enzyme(enzyme: Enzyme) -> str:
    return f"{plain(enzyme.enzyme)} {enzyme.strength}" + (f" ({plain(enzyme.note)})" if enzyme.note else "")


def _effect(tag: str, weight: str, above: str, note: str) -> str:
    remarks = "; ".join([*([f"above {above}"] if above else []), *([note] if note else [])])
    return f"{code(tag)} {weight}" + (f" ({plain(remarks)})" if remarks else "")


def _hours(bounds: tuple[float, float]) -> str:
    return " to ".join(f"{b:g}" for b in dict.fromkeys(bounds)) + " h"


def _depot(depot: Mapping[str, Any], knowledge: Knowledge) -> str:
    products = ", ".join(plain(n) for n in depot["names"])
    where = source(depot["source"], knowledge)
    return f"{plain(depot['form'])} every {depot['interval']}, then {depot['tail']} more ({products}; {where})"


# --- claims and sources -----------------------------------------------------------------------------------------------


def claims(knowledge: Knowledge) -> str:
    """Claims found in circulation, what may be said instead, and what the software does about each."""
    rows = [
        (
            anchor("claim", row["claim_id"]) + code(row["claim_id"]),
            plain(row["claim"]),
            plain(row["verdict"]),
            plain(row["correct_statement"]),
            row["grade"],
            sources(row["sources"], knowledge),
            plain(row["software_action"]),
            _acts_on(row["acts_on"], knowledge),
        )
        for row in knowledge.content["claims"]
    ]
    heads = ("claim", "as found", "verdict", "what may be said", "grade", "sources", "what the software does", "where")
    return page(
        "Claims",
        f"{len(rows)} claims as they were found. The second column quotes them and is not advice; only the fourth may "
        "be said. A claim of grade C, D or X is never presented as fact.",
        table(heads, rows),
    )


def _acts_on(text: str, knowledge: Knowledge) -> str:
    files = {stem(rule.file) for rule in knowledge.rule_list}
    return "; ".join(_place(part.strip(), files) for part in text.split(";"))


def _place(text: str, files: Collection[str]) -> str:
    """A part of the software or of the book, linked where the book has it."""
    found = _RULES.fullmatch(text)
    if found and found[1] in files:
        return link(code(text), "rules.md", "file", found[1])
    return code(text) if found else plain(text)


def source_list(knowledge: Knowledge) -> str:
    """Every source, and how much of it was read."""
    words = knowledge.wording["certainty"]["read_as"]
    rows = [
        (
            anchor("source", s.id) + code(s.id),
            plain(s.kind),
            plain(s.citation),
            str(s.year or ""),
            web(plain(f"doi:{s.doi}"), f"https://doi.org/{s.doi}") if s.doi else web("address", s.url) if s.url else "",
            plain(words.get(s.read_as, s.read_as)),
            plain(s.read_note),
        )
        for s in sorted(knowledge.sources.values(), key=lambda s: s.id)
    ]
    return page(
        "Sources",
        "How much of a source was really read stands beside it. What rests on a source that nobody opened is at most "
        "*proposed*.",
        table(("source", "kind", "citation", "year", "address", "read", "what was opened"), rows),
    )


# --- what depends on the place ----------------------------------------------------------------------------------------


def law(knowledge: Knowledge) -> str:
    """What was read of the law, place by place. A row past its date says nothing any more."""
    by_place: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in knowledge.content["jurisdictions"]:
        by_place[row["code"]].append(row)
    heads = (
        "substance",
        "topic",
        "status",
        "since",
        "instrument",
        "as of",
        "looked at",
        "review by",
        "confidence",
        "source",
        "note",
    )
    blocks = [
        f"## {anchor('law', place)}{plain(rows[0]['name'])} ({code(place)})\n\n"
        + table(heads, [_law(row, knowledge) for row in rows])
        for place, rows in sorted(by_place.items())
    ]
    return page(
        "Law",
        "This is what was read, not advice on what is allowed. A row past its *review by* date is shown to nobody as "
        f"current; seen from {knowledge.as_of}, the date of this edition, such rows are marked *expired*.",
        *blocks,
    )


def _law(row: Mapping[str, str], knowledge: Knowledge) -> tuple[str, ...]:
    texts = (row["effective_from"], row["instrument"], row["as_of"], row["reviewed"])
    status = code(row["status"])
    return (
        code(row["substance"]),
        code(row["topic"]),
        status,
        *(plain(t) for t in texts),
        _due(row["review_by"], knowledge),
        plain(row["confidence"]),
        sources(row["source"], knowledge),
        plain(row["notes"]),
    )


def _due(date: str, knowledge: Knowledge) -> str:
    return f"{date} **expired**" if date < knowledge.as_of else date


def crisis_lines(knowledge: Knowledge) -> str:
    """Numbers and addresses for somebody in danger, with the date until which they stand."""
    by_country: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in knowledge.content["crisis_lines"]:
        by_country[row["country_code"]].append(row)
    heads = (
        "for",
        "name",
        "contact",
        "hours",
        "languages",
        "region",
        "as of",
        "review by",
        "shown",
        "checked",
        "source",
    )
    blocks = [
        f"## {anchor('lines', country)}{code(country)}\n\n" + table(heads, [_line(row, knowledge) for row in rows])
        for country, rows in sorted(by_country.items())
    ]
    return page(
        "Crisis lines",
        "A row past its *review by* date is still shown, with its date and the emergency number beside it: an old "
        "number is better than none. **DO NOT SHOW** marks lines that closed; they stay here so that nobody adds them "
        "again.",
        *blocks,
    )


def _line(row: Mapping[str, str], knowledge: Knowledge) -> tuple[str, ...]:
    keys = ("for_whom", "name", "contact", "hours", "languages", "region", "as_of")
    return (
        *(plain(row[k]) for k in keys),
        _due(row["review_by"], knowledge),
        "yes" if row["show"] == "yes" else "**DO NOT SHOW**",
        plain(f"{row['verification']}; {row['read_note']}"),
        sources(row["source"], knowledge),
    )
