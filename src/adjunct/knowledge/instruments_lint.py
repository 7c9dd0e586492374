"""What `adjunct knowledge check` refuses in an instrument file, beyond its shape (`schemas/instrument.json`).

A scale must add up: ids exist, conditions read, bands leave no total out, the range is the one its items give. And it
must be honest: a source for every statement, no wording that its licence does not ship.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from adjunct.base import NO, AdjunctError
from adjunct.knowledge.conditions import Columns, Condition, condition
from adjunct.knowledge.entries import fold
from adjunct.knowledge.load import Knowledge
from adjunct.knowledge.scales import DAY_HOURS, answer_lists, bounds, points, source_of

TOTAL = "total"
OF_TWO = frozenset({"hours", "share"})
OF_MANY = frozenset({"sum", "mean", "most", "count"})
OWN = "project-default"
UNSOURCED = frozenset({OWN, "uncited"})
LUHN = 9  # what the two digits of a doubled one add up to, less than it
_COUNTED = re.compile(r"(\d+) items\b")
_LOINC = re.compile(r"(\d+)-(\d)\Z", re.ASCII)

Entry = Mapping[str, Any]
Interval = tuple[float, float] | None  # None: no end is known


def faults(knowledge: Knowledge) -> Iterator[str]:
    """One line for every fault of every instrument: file, instrument, fault."""
    names: dict[str, str] = {}
    for entry in knowledge.instruments.values():
        where = f"{entry['file']}, instrument {entry['id']}"
        yield from (f"{where}: {fault}" for fault in instrument_faults(entry, knowledge))
        for name in {_spelling(n) for n in (entry["id"], entry["title"], *entry.get("names", ()))}:
            if names.setdefault(name, entry["id"]) != entry["id"]:
                yield f"{where}: the name {name!r} also means {names[name]}"


def instrument_faults(entry: Entry, knowledge: Knowledge) -> Iterator[str]:
    """What is wrong with one instrument file that has the right shape."""
    try:
        answers = {item["id"]: points(item, answer_lists(entry)) for item in entry.get("item", ())}
    except (AdjunctError, KeyError) as error:
        yield f"its items cannot be read: {error}"
        return
    yield from _items(entry)
    for form in entry.get("forms", [""]):
        of_form = {key: [part for part in entry.get(key, ()) if part.get("form", form) == form] for key in _PARTS}
        broken = list(_scores(of_form["score"], answers))
        yield from broken
        if not broken:
            yield from _conditions(entry, of_form)
            yield from _range(entry, of_form, answers)
    yield from _licence(entry)
    yield from _support(entry, knowledge)
    yield from _change(entry)


_PARTS = ("score", "band", "alert")


def _spelling(name: str) -> str:
    return "".join(c for c in fold(name) if c.isalnum())


# --- items ------------------------------------------------------------------------------------------------------------


def _items(entry: Entry) -> Iterator[str]:
    items = entry.get("item", ())
    ids = [item["id"] for item in items]
    yield from (f"item {name} stands twice" for name, times in Counter(ids).items() if times > 1)
    scored = [item for item in items if not item.get("extra")]
    if [i for i in items if i.get("extra")] != list(items[len(scored) :]):
        yield "optional items stand after the scored ones"
    stated = _COUNTED.match(entry.get("form", ""))
    if stated and int(stated[1]) != len(scored):
        yield f"the form has {stated[1]} items and the file {len(scored)}"
    used = {item.get("answers") for item in items}
    for name, options in answer_lists(entry).items():
        if name not in used:
            yield f"no item uses the answers {name}"
        spelled: dict[str, float] = {}
        for option in options:
            for text in (option[key] for key in ("text", "short", "label", "loinc") if key in option):
                if spelled.setdefault(fold(text), option["value"]) != option["value"]:
                    yield f"answers {name}: {text!r} stands for two values"
    codes = [entry.get("loinc", {}).get("panel"), entry.get("loinc", {}).get("total"), *(i.get("loinc") for i in items)]
    yield from (f"{code} is no LOINC code: its check digit is wrong" for code in codes if code and not _is_loinc(code))


def _is_loinc(code: str) -> bool:
    """Whether the last digit is the check digit of the others (modulo ten, every second one doubled)."""
    parts = _LOINC.match(code)
    if not parts:
        return False
    digits = [int(d) for d in reversed(parts[1])]
    doubled = (2 * d - LUHN if 2 * d > LUHN else 2 * d for d in digits[::2])
    return (sum(doubled) + sum(digits[1::2]) + int(parts[2])) % (LUHN + 1) == 0


# --- scores -----------------------------------------------------------------------------------------------------------


def _scores(steps: Sequence[Entry], answers: Mapping[str, Any]) -> Iterator[str]:
    known = set(answers)
    for step in steps:
        name = f"score {step['id']}"
        if step["id"] in known:
            yield f"{name}: the id is taken"
        if strange := [part for part in step["of"] if part not in known]:
            yield f"{name}: {', '.join(strange)} is neither an item nor an earlier score"
        known.add(step["id"])
        wanted = 2 if step["how"] in OF_TWO else 1
        if step["how"] not in OF_MANY and len(step["of"]) != wanted:
            yield f"{name}: {step['how']} is made of {wanted}"
        if step["how"] in ("table", "bins") and step["how"] not in step:
            yield f"{name}: its {step['how']} is not there"
        rule = step.get("missing", {})
        if not set(rule.get("only", ())) <= set(step["of"]):
            yield f"{name}: only what it is made of may be missing"
        if rule.get("most", 0) > len(step["of"]):
            yield f"{name}: more may be missing than there is"
        if (rule.get("how", "none") == "none") != (rule.get("most", 0) == 0) and rule.get("na") != "skip":
            yield f"{name}: `missing` needs both how and most, or neither"


def _conditions(entry: Entry, parts: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    items = {item["id"]: item for item in entry.get("item", ())}
    names = {*items, *(step["id"] for step in parts["score"])}
    asked = [
        (f"{key} {part.get('name', part['id'])}", part["when"])
        for key in ("band", "alert")
        for part in _named(parts[key])
    ]
    asked += [(f"status {part['name']}", part["when"]) for part in entry.get("status", ()) if "when" in part]
    asked += [(f"item {item['id']}", item["asked"]) for item in items.values() if "asked" in item]
    for where, text in asked:
        try:
            asks = condition(text, names, where).asks
        except AdjunctError as error:
            yield str(error)
            continue
        for question, name in asks:
            if question in ("yes", "no") and items.get(name, {}).get("kind") != "yes-no":
                yield f"{where}: {question}({name}) asks what is no yes-no item"
            if question == "na" and not _may_be_na(items.get(name, {}), entry):
                yield f"{where}: na({name}) can never be; the item does not say `applies`"
    yield from (f"alert {n} stands twice" for n, times in Counter(a["id"] for a in parts["alert"]).items() if times > 1)
    yield from _gaps(parts["band"], names, entry, fractional=_fractional(parts["score"], items))


def _named(parts: Sequence[Entry]) -> Iterator[Entry]:
    return ({"id": part.get("name", ""), **part} for part in parts)


def _may_be_na(item: Entry, entry: Entry) -> bool:
    options = answer_lists(entry).get(item.get("answers", ""), ())
    return bool(item.get("applies")) or any(option.get("na") for option in options)


# --- bands and range --------------------------------------------------------------------------------------------------


def _gaps(bands: Sequence[Entry], names: set[str], entry: Entry, *, fractional: bool) -> Iterator[str]:
    """Totals that no band holds, where the bands ask about the total at all."""
    if not bands or "range" not in entry or TOTAL not in names:
        return
    try:
        conditions = [condition(band["when"], names) for band in bands]
    except AdjunctError:
        return  # said already
    grid = _totals(conditions, entry["range"], fractional=fractional)
    unknown = np.full_like(grid, np.nan)
    columns = Columns(dict.fromkeys(names, unknown) | {TOTAL: grid})
    left_out = grid[np.all([c.over(columns).values == NO for c in conditions], axis=0)]
    if len(left_out):
        yield f"no band holds a total of {', '.join(f'{total:g}' for total in left_out)}"


def _totals(conditions: Sequence[Condition], span: Sequence[float], *, fractional: bool) -> Any:
    """Totals that stand for all there can be: what a condition says changes only at the numbers it names."""
    low, high = float(span[0]), float(span[1])
    limits = {float(low), float(high)}
    for each in conditions:
        nodes = ast.walk(ast.parse(each.text.strip(), mode="eval"))
        limits |= {float(n.value) for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, int | float)}
    edges = sorted(limit for limit in limits if low <= limit <= high)
    between = [(a + b) / 2 for a, b in itertools.pairwise(edges)] if fractional else []
    whole = range(math.ceil(low), math.floor(high) + 1)
    return np.array(sorted({*edges, *between, *map(float, whole)} if fractional else {*map(float, whole)}))


def _fractional(steps: Sequence[Entry], items: Mapping[str, Entry]) -> bool:
    """Whether a score may fall between two whole numbers."""
    rules = (step.get("missing", {}).get("how") for step in steps)
    return (
        any(step["how"] in ("mean", "linear", "share", "hours", "table") for step in steps)
        or "prorate" in rules
        or any(item["kind"] in ("number", "percent", "clock") or item.get("step", 1) % 1 for item in items.values())
    )


def _range(
    entry: Entry, parts: Mapping[str, Sequence[Entry]], answers: Mapping[str, dict[float, float]]
) -> Iterator[str]:
    """The declared range of each score against the one that its items give."""
    found: dict[str, Interval] = {item["id"]: _ends(item, answers[item["id"]]) for item in entry.get("item", ())}
    for step in parts["score"]:
        found[step["id"]] = reached = _reached(step, [found[name] for name in step["of"]])
        stated = step.get("range") or (entry.get("range") if step["id"] == TOTAL else None)
        if reached and stated and not np.allclose(reached, stated):
            said, given = (f"{ends[0]:g} to {ends[1]:g}" for ends in (stated, reached))
            yield f"score {step['id']}: its range says {said}, its items give {given}"
    has_total = any(step["id"] == TOTAL for step in parts["score"])
    if has_total != ("range" in entry):
        yield "a total needs a range" if has_total else "a range stands there without a total"


def _ends(item: Entry, counts: Mapping[float, float]) -> Interval:
    known = [value for value in counts.values() if not math.isnan(value)]
    if known:
        return min(known), max(known)
    least, most, _ = bounds(item)
    stated = item["kind"] == "percent" or ("least" in item and "most" in item)
    return (least, most) if stated else None


def _reached(step: Entry, parts: Sequence[Interval]) -> Interval:
    """Least and greatest value of a score, from those of what it is made of."""
    if step["how"] == "hours":
        return 0, DAY_HOURS
    known = [part for part in parts if part]
    if step["how"] == "share" or len(known) < len(parts):
        return None
    low, high = ([part[end] for part in known] for end in (0, 1))
    match step["how"]:
        case "sum":
            ends = sum(low), sum(high)
        case "mean":
            ends = sum(low) / len(low), sum(high) / len(high)
        case "most":
            ends = max(low), max(high)
        case "count":
            least = step.get("least", 1)
            ends = sum(v >= least for v in low), sum(v >= least for v in high)
        case "linear":
            times, plus, over = step.get("times", 1), step.get("plus", 0), step.get("over", 1)
            ends = (low[0] * times + plus) / over, (high[0] * times + plus) / over
        case "table" | "bins":
            results = [row[1] for row in step[step["how"]]]
            ends = min(results), max(results)
        case _:
            ends = low[0], high[0]
    cap = step.get("cap", math.inf)
    return min(*ends, cap), min(max(ends), cap)


# --- licence, sources, change -----------------------------------------------------------------------------------------


def _licence(entry: Entry) -> Iterator[str]:
    licence = entry["licence"]
    items = entry.get("item", ())
    options = [option for options in answer_lists(entry).values() for option in options]
    if licence["text"] == "shipped":
        if licence["class"] != "free":
            yield f"wording is shipped, and the licence is {licence['class']}"
        own = source_of(licence).id == OWN
        if not own and (source_of(licence).id in UNSOURCED or licence.get("status", "proposed") == "proposed"):
            yield "wording is shipped, and no source for the licence was read"
        worded = {name for name, listed in answer_lists(entry).items() if all("text" in option for option in listed)}
        silent = [i["id"] for i in items if "text" not in i and i.get("answers") not in worded and not i.get("extra")]
        if silent:
            yield f"wording is shipped, and these items have none: {', '.join(silent)}"
    elif any("text" in part for part in (*items, *options)) or "instruction" in entry:
        yield "publisher's wording stands there and may not be shipped: use labels"


def _support(entry: Entry, knowledge: Knowledge) -> Iterator[str]:
    """Every source exists, and no statement is surer than what was read."""
    for part in entry["sources"]:
        if part["id"] not in knowledge.sources:
            yield f"unknown source {part['id']}"
    read = [
        s for s in entry["sources"] if s["id"] in knowledge.sources and knowledge.sources[s["id"]].read_as != "not-read"
    ]
    if entry.get("confidence") == "verified" and not read:
        yield "its confidence is verified, and none of its sources was read"
    blocks = [("loinc", entry.get("loinc", {}))]
    if source_of(entry["licence"]).id != OWN:  # of its own words this project needs no reading
        blocks.append(("licence", entry["licence"]))
    blocks += [
        (f"{key} {p.get('id', p.get('kind', ''))}", p)
        for key in ("alert", "change", "norm", "status")
        for p in entry.get(key, ())
    ]
    for where, part in blocks:
        if "source" not in part and "status" not in part:
            continue
        source, status = knowledge.sources.get(source_of(part).id), part.get("status", "proposed")
        if source is None:
            yield f"{where}: unknown source {source_of(part).id}"
        elif status == "verified" and source.read_as == "not-read":
            yield f"{where}: verified, and the source {source.id} was not read"
        elif status != "proposed" and source.id in UNSOURCED:
            yield f"{where}: {status}, and {source.id} is no publication"
    for alert in entry.get("alert", ()):
        if alert.get("ask") and alert["ask"] not in knowledge.instruments:
            yield f"alert {alert['id']}: there is no instrument {alert['ask']} to ask"


def _change(entry: Entry) -> Iterator[str]:
    forms = set(entry.get("forms", ()))
    for key in (*_PARTS, "change"):
        for part in entry.get(key, ()):
            if "form" in part and part["form"] not in forms:
                yield f"{key} {part.get('id', part.get('name', ''))}: {part['form']} is none of the forms"
    for part in entry.get("change", ()):
        if part["kind"] == "reliable" and not (part.get("sd", 0) > 0 and 0 < part.get("r", 0) < 1):
            yield "change reliable: it needs sd above 0 and r between 0 and 1"
        if part["kind"] != "reliable" and "points" not in part and "percent" not in part:
            yield f"change {part['kind']}: it needs points or percent"
    defaults = Counter(part["id"] for part in entry.get("status", ()) if part.get("default"))
    yield from (f"status {name} has {times} defaults" for name, times in defaults.items() if times > 1)
