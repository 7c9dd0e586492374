"""The page of the instruments: how each is scored and read, what a score raises, how large a change must be.

The publisher's wording of the items is not repeated here; `adjunct questionnaire` gives it where the licence allows.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adjunct.knowledge.book.markdown import anchor, cited, code, filled, link, listed, page, plain, source, table
from adjunct.knowledge.load import Knowledge
from adjunct.knowledge.scales import answer_lists, bounds, points, source_of

Entry = Mapping[str, Any]

DIGITS = 2  # layout: decimals of points
Z = "outcome.reliable.z"
USUAL = "outcome.response"
TOTAL = "total"

DIRECTION = {"worse": "higher is worse", "better": "higher is better", "neither": "neither end is better"}
WORDING = {"shipped": "yes", "clinic": "no: the clinic loads its own licensed text", "none": "none exists"}
LEVELS = (
    ("suicide", "starts the suicide-risk workflow: its clock runs from receipt, whatever the total is"),
    ("urgent", "a clinician acts before the person goes on or goes home"),
    ("review", "stands on the list of the next review"),
    ("info", "is said beside the score; nobody is called"),
)
KINDS = {
    "count": "a whole number from 0 on",
    "number": "a number",
    "clock": "a time of day (23:00)",
    "percent": "per cent",
}


def instruments(knowledge: Knowledge) -> str:
    """Every instrument: all in one table, then one by one."""
    entries = sorted(knowledge.instruments.values(), key=lambda e: str(e["title"]).lower())
    return page(
        "Instruments",
        _introduction(knowledge),
        "## All of them",
        _overview(entries, knowledge),
        "## What an alert asks for",
        "An alert is raised by what is certain: also by an incomplete form, and before a wrong number of answers is "
        "refused.",
        table(("level", "what happens"), ((code(level), plain(what)) for level, what in LEVELS)),
        "Any instrument may also raise `value_not_allowed_item_N` (the answer to item N is none of its values; what "
        "rests on it is unknown) and the notes named under *what may be missing*.",
        *(block for entry in entries for block in _instrument(entry, knowledge)),
    )


def _introduction(knowledge: Knowledge) -> str:
    status = knowledge.wording["certainty"]["status"]
    words = [(s, plain(status[s])) for s in ("verified", "reported", "proposed")]
    return (
        "A score is no diagnosis and releases nobody by itself. A missing answer is unknown, never zero, and replaced "
        "only where a rule below says so. Bands are read from the top, the first that holds counts. *Reliable* change "
        "is what errors of measurement alone would seldom make; an *important* difference is what people notice or "
        "judge to matter. They are two numbers and are never merged. The index is z x SD x root of 2 (1 - r), z = "
        f"{link(knowledge.fact_text(Z), 'facts.md', 'fact', Z)}.\n\n" + table(("word", "meaning"), words)
    )


def _overview(entries: Sequence[Entry], knowledge: Knowledge) -> str:
    followed = {scale["id"] for scale in knowledge.content["courses"]["scale"]}
    rows = (
        (
            link(plain(e["title"]), "", "instrument", e["id"]),
            code(e["id"]),
            plain(e["construct"]),
            plain(e["respondent"].replace("-", " ")),
            f"{_span(e['range'])}, {DIRECTION[e['direction']]}" if "range" in e else "no total",
            e["licence"]["class"],
            WORDING[e["licence"]["text"]].split(":")[0],
            e.get("confidence", "proposed"),
            "yes" if e["id"] in followed else "no",
        )
        for e in entries
    )
    heads = (
        "instrument", "id", "measures", "who answers", "total", "licence", "wording here", "scoring", "trajectory",
    )  # fmt: skip
    return table(heads, rows)


def _instrument(entry: Entry, knowledge: Knowledge) -> Iterator[str]:
    yield f"## {anchor('instrument', entry['id'])}{plain(entry['title'])}"
    yield filled(entry["says"], knowledge)
    yield _facts(entry, knowledge)
    yield from _part("Items", ("id", "label", "answers that count", "reversed", "note"), _items(entry))
    yield from _part("Scoring", ("score", "how", "range", "what may be missing"), _scores(entry))
    yield from _part("Bands", ("band", "when", "clinician reads", "person reads"), _bands(entry, knowledge))
    heads = ("alert", "level", "when", "clinician reads", "person reads", "give next", "source")
    yield from _part("Alerts", heads, _alerts(entry, knowledge))
    yield from _part("What is called what", ("word", "name", "when", "note", "source"), _statuses(entry, knowledge))
    heads = ("SD", "r", "kind of r", "reliable beyond", "used", "whose numbers", "source")
    yield from _part("Reliable change", heads, _reliable(entry, knowledge))
    yield from _part(
        "Important difference", ("difference", "for", "whose judgement", "source"), _important(entry, knowledge)
    )
    yield from _part("Norms", ("group", "mean", "SD", "n", "note", "source"), _norms(entry, knowledge))
    yield f"**Sources**\n\n{listed(cited(source_of({'source': s}), knowledge) for s in entry['sources'])}"
    yield f"**Stays proposed:** {'; '.join(_proposed(entry)) or 'nothing'}"


def _part(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A titled table without the columns that no row fills; nothing at all where there are no rows."""
    found = list(rows)
    if found:
        kept = [n for n in range(len(heads)) if any(row[n] for row in found)]
        yield f"**{title}**\n\n{table([heads[n] for n in kept], ([row[n] for n in kept] for row in found))}"


def _facts(entry: Entry, knowledge: Knowledge) -> str:
    licence, loinc = entry["licence"], entry.get("loinc", {})
    codes = [f"{name} {code(loinc[key])}" for key, name in (("panel", "panel"), ("total", "total")) if key in loinc]
    said = [
        ("Also called", ", ".join(plain(n) for n in entry.get("names", ()))),
        ("Form", plain(entry.get("form", ""))),
        ("Scored apart for", ", ".join(code(f) for f in entry.get("forms", ()))),
        ("No total", plain(entry.get("no_score", ""))),
        ("Looks back", plain(entry.get("recall", ""))),
        ("How often", plain(entry.get("interval", ""))),
        ("Languages", plain(entry.get("languages", ""))),
        ("Person reads first", plain(entry.get("tell", ""))),
        ("Scoring", f"{entry.get('confidence', 'proposed')}"),
        ("Licence", f"{licence['class']}; wording here: {WORDING[licence['text']]}. {plain(licence.get('note', ''))}"),
        ("Licence says", _rests(licence, knowledge)),
        ("Notice to show", plain(licence.get("notice", ""))),
        ("LOINC", ", ".join(codes)),
        ("LOINC note", plain(loinc.get("note", ""))),
        ("LOINC from", _rests(loinc, knowledge) if loinc else ""),
    ]
    return listed(f"**{name}:** {text}" for name, text in said if text)


def _rests(part: Entry, knowledge: Knowledge) -> str:
    return f"{cited(source_of(part), knowledge)}; {part.get('status', 'proposed')}"


# --- items, scores ----------------------------------------------------------------------------------------------------


def _items(entry: Entry) -> Iterator[tuple[str, ...]]:
    lists = answer_lists(entry)
    for item in entry.get("item", ()):
        notes = [
            "optional, never scored" if item.get("extra") else "",
            '"na" may be answered' if item.get("applies") else "",
            f"asked if {_words(item['asked'])}" if "asked" in item else "",
            plain(item.get("note", "")),
            f"LOINC {code(item['loinc'])}" if "loinc" in item else "",
        ]
        yield (
            code(item["id"]),
            plain(item["label"]),
            _allowed(item, points(item, lists), lists.get(item.get("answers", ""), ())),
            "yes" if item.get("reverse") else "",
            "; ".join(n for n in notes if n),
        )


def _allowed(item: Entry, counts: Mapping[float, float], options: Sequence[Entry]) -> str:
    """Which answers may be written, with our own words for them where there are any, never the publisher's."""
    if item["kind"] == "yes-no":
        return "yes, no"
    if not counts:
        least, most, _ = bounds(item)
        within = f" from {_number(least)} to {_number(most)}" if {"least", "most"} <= item.keys() else ""
        return KINDS[item["kind"]] + within
    values = list(counts)
    own = {o["value"]: plain(o["label"]) for o in options if "label" in o and "text" not in o}
    if len(own) == len(values):
        return "; ".join(f"{_number(v)} {own[v]}{_counts(v, c, item)}" for v, c in counts.items())
    steps = {round(b - a, DIGITS) for a, b in itertools.pairwise(values)}
    said = f"{_number(values[0])} to {_number(values[-1])}" if steps == {1} else ", ".join(map(_number, values))
    odd = ((v, _counts(v, c, item)) for v, c in counts.items())
    return "; ".join((said, *(f"{_number(v)}{counted}" for v, counted in odd if counted)))


def _counts(value: float, count: float, item: Entry) -> str:
    """What an answer counts, where that is not what is written."""
    if math.isnan(count):
        return " (not assessed)"
    return "" if value == count or item.get("reverse") else f" (counts {_number(count)})"


def _scores(entry: Entry) -> Iterator[tuple[str, ...]]:
    order = [item["id"] for item in entry.get("item", ())]
    kinds = {item["id"]: item["kind"] for item in entry.get("item", ())}
    for step in entry.get("score", ()):
        title = plain(step.get("title", step["id"])) + (f" (form {code(step['form'])})" if "form" in step else "")
        span = step.get("range") or (entry.get("range") if step["id"] == TOTAL else None)
        how = _how(step, _run(step["of"], order), {kinds.get(name) for name in step["of"]})
        if "cap" in step:
            how += f", never above {_number(step['cap'])}"
        if "note" in step:
            how += f". {plain(step['note'])}"
        yield f"{code(step['id'])} {title}", how, _span(span) if span else "", _missing(step)


def _how(step: Entry, of: str, kinds: set[str | None]) -> str:
    """How one score comes about, in words."""
    match step["how"]:
        case "sum":
            return f"{of} added up"
        case "mean":
            return f"mean of {of}"
        case "most":
            return f"the highest of {of}"
        case "count":
            least = step.get("least", 1)
            return f"how many of {of} are " + (
                "yes" if kinds == {"yes-no"} and least == 1 else f"{_number(least)} or more"
            )
        case "linear":
            plus = step.get("plus", 0)
            inner = of + (f" x {_number(step['times'])}" if "times" in step else "")
            inner += f" {'+' if plus > 0 else '-'} {_number(abs(plus))}" if plus else ""
            return f"({inner}) / {_number(step['over'])}" if "over" in step else inner
        case "hours":
            return f"hours from {' to '.join(code(n) for n in step['of'])}, across midnight"
        case "share":
            return f"{code(step['of'][0])} in per cent of {code(step['of'][1])}"
        case "table":
            return f"{of} looked up: " + ", ".join(f"{_number(a)}={_number(b)}" for a, b in step["table"])
        case "bins":
            edges = (
                f"{'above' if step.get('below') or row[2:] == [True] else 'from'} {_number(row[0])}: {_number(row[1])}"
                for row in sorted(step["bins"])
            )
            return f"by {of}: {', '.join(edges)}"
        case _:
            return f"{of} as it stands"


def _missing(step: Entry) -> str:
    rule = step.get("missing", {})
    most, only = rule.get("most", 0), rule.get("only", ())
    which = ", ".join(code(n) for n in only) if only else f"up to {most} of {len(step['of'])}"
    said = {
        "none": "nothing",
        "prorate": f"{which}, replaced by the mean of the others",
        "answered": f"{which}, left out",
    }[rule.get("how", "none")]
    if rule.get("na") == "skip":
        said += "; what does not apply is left out and is not missing"
    notes = [f"noted as {code(rule['note'])}"] if "note" in rule else []
    notes += [f"more: {code(rule['refused'])}"] if "refused" in rule else []
    return "; ".join((said, *notes))


# --- bands, alerts, words ---------------------------------------------------------------------------------------------


def _bands(entry: Entry, knowledge: Knowledge) -> Iterator[tuple[str, ...]]:
    for band in entry.get("band", ()):
        form = f" (form {code(band['form'])})" if "form" in band else ""
        says, tell = (filled(band.get(key, ""), knowledge) for key in ("says", "tell"))
        yield plain(band["name"]) + form, _words(band["when"]), says, tell


def _alerts(entry: Entry, knowledge: Knowledge) -> Iterator[tuple[str, ...]]:
    for alert in entry.get("alert", ()):
        form = f" (form {code(alert['form'])})" if "form" in alert else ""
        asked = knowledge.instruments.get(alert.get("ask", ""))
        yield (
            code(alert["id"]) + form,
            code(alert["level"]),
            _words(alert["when"]),
            filled(alert["says"], knowledge),
            filled(alert.get("tell", ""), knowledge),
            link(plain(asked["title"]), "", "instrument", asked["id"]) if asked else "",
            _rests(alert, knowledge),
        )


def _statuses(entry: Entry, knowledge: Knowledge) -> Iterator[tuple[str, ...]]:
    outcomes = knowledge.content["outcomes"]
    usual = f"improved by {_fact(USUAL, knowledge)} of the score before the first dose, or more"
    for status in entry.get("status", ()):
        when = _words(status["when"]) if "when" in status else usual if status["id"] == "response" else ""
        if "points" in status:
            when = f"improved by {_number(status['points'])} points or more"
        elif "percent" in status:
            when = f"improved by {_number(status['percent'])} % or more"
        if "needs_baseline" in status:
            when += f"; said only from a baseline of {_number(status['needs_baseline'])} on"
        name = plain(status["name"]) + (" (default)" if status.get("default") else "")
        yield status["id"], name, when, filled(status.get("says", ""), knowledge), _rests(status, knowledge)
    if entry["id"] in outcomes["usual_response"] and all(s["id"] != "response" for s in entry.get("status", ())):
        fact = knowledge.facts[USUAL]
        yield "response", "usual share", usual, "", f"{source(fact.source, knowledge)}; {fact.status}"
    for rule in outcomes["relapse"]:
        if entry["id"] in rule["instruments"]:
            fact = knowledge.facts[rule["from"]]
            when = f"back to {_fact(rule['from'], knowledge)} or worse, twice, {_fact(rule['apart'], knowledge)} apart"
            yield "relapse", "before recovery (default)", when, "", f"{source(fact.source, knowledge)}; {fact.status}"


def _fact(name: str, knowledge: Knowledge) -> str:
    return link(plain(knowledge.fact_text(name)), "facts.md", "fact", name)


def reliable_index(sd: float, r: float, z: float) -> float:
    """Points of a difference between two scores that error alone would seldom make (Jacobson and Truax)."""
    return z * sd * math.sqrt(2 * (1 - r))


# --- change, norms ----------------------------------------------------------------------------------------------------


def _reliable(entry: Entry, knowledge: Knowledge) -> Iterator[tuple[str, ...]]:
    z = knowledge.number(Z)
    for change in entry.get("change", ()):
        if change["kind"] == "important":
            continue
        computed = change["kind"] == "reliable"
        index = reliable_index(change["sd"], change["r"], z) if computed else change["points"]
        yield (
            _number(change["sd"]) if computed else "",
            f"{change['r']:g}" if computed else "",
            change.get("r_kind", "") if computed else "as published",
            f"{_number(index)} points" if computed else f"{_number(index)} points (from)",
            "by default" if change.get("default") else "",
            _origin(change),
            _rests(change, knowledge),
        )


def _important(entry: Entry, knowledge: Knowledge) -> Iterator[tuple[str, ...]]:
    for change in entry.get("change", ()):
        if change["kind"] == "important":
            sizes = [
                f"{_number(change[k])} {unit}" for k, unit in (("points", "points"), ("percent", "%")) if k in change
            ]
            yield " or ".join(sizes), change.get("level", "not said"), _origin(change), _rests(change, knowledge)


def _origin(change: Entry) -> str:
    form = f"form {change['form']}" if "form" in change else ""
    more = (f"n = {change['n']}" if "n" in change else "", change.get("interval", ""), change.get("says", ""), form)
    return plain("; ".join(text for text in (change.get("origin", ""), *more) if text))


def _norms(entry: Entry, knowledge: Knowledge) -> Iterator[tuple[str, ...]]:
    for norm in entry.get("norm", ()):
        n, says = str(norm.get("n", "")), plain(norm.get("says", ""))
        yield plain(norm["group"]), _number(norm["mean"]), _number(norm["sd"]), n, says, _rests(norm, knowledge)


def _proposed(entry: Entry) -> Iterator[str]:
    """What of an instrument no source that was read confirms."""
    if entry.get("confidence", "proposed") == "proposed":
        yield "the scoring itself"
    for key, name in (("licence", "the licence"), ("loinc", "the LOINC codes")):
        if key in entry and entry[key].get("status", "proposed") == "proposed":
            yield name
    for s in entry["sources"]:
        if s["id"] in ("uncited", "project-default"):
            yield plain(s.get("locator", "") or s.get("says", "") or "what no source is named for")
    named = (("alert", "id"), ("status", "name"), ("change", "origin"), ("norm", "group"))
    for key, name in named:
        for part in entry.get(key, ()):
            if part.get("status", "proposed") == "proposed":
                yield f"{key} {plain(part.get(name) or part.get('kind', ''))}"


# --- words ------------------------------------------------------------------------------------------------------------

_ORDER = {
    ast.GtE: "is {} or more",
    ast.Gt: "is above {}",
    ast.LtE: "is {} or less",
    ast.Lt: "is below {}",
    ast.Eq: "is {}",
    ast.NotEq: "is not {}",
}
_ASKED = {
    "yes": "{} is yes",
    "no": "{} is no",
    "na": "{} does not apply",
    "answered": "{} is answered",
    "missing": "{} is missing",
}


_PLAIN = ("yes", "no")


def _words(condition: str) -> str:
    """A condition as a sentence.

    >>> _words("total >= 20 and not yes(i3)")
    '`total` is 20 or more and not (`i3` is yes)'
    """
    return _said(ast.parse(condition.strip(), mode="eval").body)


def _said(node: ast.expr) -> str:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            said = [_said(v) for v in values]
            decided = {
                f"{name} is answered" for name, _, answer in (t.partition(" is ") for t in said) if answer in _PLAIN
            }
            kept = [(v, t) for v, t in zip(values, said, strict=True) if t not in decided]  # a yes is an answer
            return " and ".join(f"({t})" if _mixed(v, t) else t for v, t in kept)
        case ast.BoolOp(values=values):
            return " or ".join(f"({t})" if _mixed(v, t) else t for v, t in ((v, _said(v)) for v in values))
        case ast.UnaryOp(op=ast.Not(), operand=inside):
            return f"not ({_said(inside)})"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return f"{_said(left)} {_ORDER[type(op)].format(_said(right))}"
        case ast.Call(func=ast.Name(id=question), args=[about]):
            return _ASKED[question].format(_said(about))
        case ast.Name(id=name):
            return code(name)
        case _:
            return ast.unparse(node)


def _mixed(node: ast.expr, said: str) -> bool:
    """Whether the words of a part need brackets among others."""
    return isinstance(node, ast.BoolOp) and (" and " in said or " or " in said)


def _run(names: Sequence[str], order: Sequence[str]) -> str:
    """Items as they stand side by side: `i1` to `i9`."""
    if len(names) > 2 and all(n in order for n in names):
        first = order.index(names[0])
        if list(order[first : first + len(names)]) == list(names):
            return f"{code(names[0])} to {code(names[-1])}"
    return ", ".join(code(n) for n in names)


def _span(ends: Sequence[float]) -> str:
    return f"{_number(ends[0])} to {_number(ends[1])}"


def _number(value: float) -> str:
    """As it stands in a table.

    >>> _number(6.0978), _number(9.0)
    ('6.1', '9')
    """
    return f"{round(value, DIGITS):g}"
