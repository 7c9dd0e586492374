"""Instrument file -> Instrument, with every default filled in; and the instrument that a name stands for."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from adjunct.base import BadInput, Floats, Refused, shown
from adjunct.instruments.model import TOTAL, Alert, Band, Instrument, Item, Plan, Sheet, Step
from adjunct.knowledge.conditions import condition
from adjunct.knowledge.entries import fold, locators
from adjunct.knowledge.load import Knowledge
from adjunct.knowledge.scales import Options, answer_lists, bounds, points, source_of

_YES_NO = {"y": 1.0, "yes": 1.0, "true": 1.0, "n": 0.0, "no": 0.0, "false": 0.0}
_COMPILED: WeakKeyDictionary[Knowledge, dict[str, Instrument]] = WeakKeyDictionary()


def spelling(name: str) -> str:
    """A name as it is looked up: letters and digits only.

    >>> spelling("PHQ-9"), spelling("AUDIT - C")
    ('phq9', 'auditc')
    """
    return "".join(c for c in fold(name) if c.isalnum())


def instrument(knowledge: Knowledge, name: str) -> Instrument:
    """The instrument of that id, title or other name; `BadInput` with near names where there is none."""
    done = _COMPILED.setdefault(knowledge, {})
    wanted = spelling(_words(name))
    if wanted not in done:
        names = _names(knowledge)
        if wanted not in names:
            near = difflib.get_close_matches(wanted, names) or sorted(knowledge.instruments)
            hint = ", ".join(dict.fromkeys(names.get(n, n) for n in near))
            raise BadInput(
                f"no instrument is called {shown(str(name))}; " + (f"there is {hint}" if hint else "none is known")
            )
        found = names[wanted]
        if found not in done:
            done[found] = read_instrument(knowledge.instruments[found], knowledge)
        done[wanted] = done[found]
    return done[wanted]


def _words(name: object) -> str:
    """What a caller gave as a name; what is no text names nothing."""
    return name if isinstance(name, str) else ""


def _names(knowledge: Knowledge) -> dict[str, str]:
    """Every spelling -> id; an id wins over another instrument's name."""
    entries = knowledge.instruments.items()
    found = {spelling(name): id_ for id_, e in entries for name in (e["title"], *e.get("names", ()))}
    return found | {spelling(id_): id_ for id_ in knowledge.instruments}


def read_instrument(entry: Mapping[str, Any], knowledge: Knowledge) -> Instrument:
    """One instrument file, compiled. `Refused` names the file and the place of what cannot be read."""
    where = f"{entry.get('file', 'instruments')}, {entry['id']}"
    lists = answer_lists(entry)
    items = tuple(_item(number, item, lists) for number, item in enumerate(entry.get("item", ()), start=1))
    forms = entry.get("forms") or [""]
    plans = {form: _plan(entry, form, items, knowledge, where) for form in forms}
    span = entry.get("range")
    return Instrument(
        id=entry["id"],
        title=entry["title"],
        version=entry["version"],
        form=entry.get("form", ""),
        direction=entry["direction"],
        range=(float(span[0]), float(span[1])) if span else None,
        unit=entry.get("unit", "{score}"),
        confidence=entry.get("confidence", "proposed"),
        sources=locators(entry["sources"]),
        items=items,
        plans=plans,
        bands=tuple(dict.fromkeys(band.name for plan in plans.values() for band in plan.bands)),
        sheet=_sheet(items),
        turned=frozenset(i.id for i in items if i.reverse and i.kind == "yes-no"),
        raw=entry,
    )


# --- items ------------------------------------------------------------------------------------------------------------


def _item(number: int, entry: Mapping[str, Any], lists: Options) -> Item:
    least, most, step = bounds(entry)
    counts = points(entry, lists)
    allowed = tuple(counts)
    reverse = entry.get("reverse", False)
    if counts:
        least, most = allowed[0], allowed[-1]
    plain = all(counts[v] == (least + most - v if reverse else v) for v in allowed)
    return Item(
        id=entry["id"],
        number=number,
        label=entry["label"],
        kind=entry["kind"],
        least=least,
        most=most,
        step=step,
        allowed=allowed,
        points=tuple(counts.values()),
        regular=plain and all(b - a == step for a, b in itertools.pairwise(allowed)),
        reverse=reverse,
        applies=entry.get("applies", False),
        extra=entry.get("extra", False),
        ranges=entry.get("ranges", False),
        spelled=_spelled(entry["kind"], allowed, lists.get(entry.get("answers", ""), ())),
    )


def _spelled(kind: str, allowed: Sequence[float], options: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Every way an answer may be written, folded -> its value."""
    found = {f"{value:g}": value for value in allowed}
    if kind == "yes-no":
        found |= _YES_NO
    for option in options:
        names = (option.get(key) for key in ("short", "loinc", "text", "label"))
        found |= {fold(name): float(option["value"]) for name in names if name}
    return found


def _sheet(items: Sequence[Item]) -> Sheet:
    turned = np.array([i.number - 1 for i in items if i.regular and i.reverse], dtype=np.intp)
    step = _column(i.step if i.regular else 0 for i in items)
    least = _column(i.least if i.regular else i.allowed[0] for i in items)
    most = _column(i.most if i.regular else i.allowed[-1] for i in items)
    return Sheet(
        least=least,
        most=most,
        base=np.where(step > 0, least, 0),
        per_step=np.divide(1, step, out=np.zeros_like(step), where=step > 0),
        whole=bool(np.all(step == 1) and np.all(least == np.rint(least))),
        turned=turned,
        span=least[turned] + most[turned],
        odd=tuple((i.number - 1, np.array(i.allowed), np.array(i.points)) for i in items if not i.regular),
    )


def _column(values: Iterable[float]) -> Floats:
    return np.array(list(values), dtype=np.float64).reshape(-1, 1)


# --- scores, bands, alerts --------------------------------------------------------------------------------------------


def _plan(entry: Mapping[str, Any], form: str, items: Sequence[Item], knowledge: Knowledge, where: str) -> Plan:
    def mine(key: str) -> list[Mapping[str, Any]]:
        return [part for part in entry.get(key, ()) if part.get("form", form) == form]

    rows = {item.id: item.number - 1 for item in items}
    steps: list[Step] = []
    for part in mine("score"):
        known = {*rows, *(step.id for step in steps)}
        if part["id"] in known or not known.issuperset(part["of"]):
            raise Refused(f"score {part['id']}: `of` names items and earlier scores, and its id is its own", where)
        steps.append(_step(part, rows))
    names = {*rows, *(step.id for step in steps)}
    return Plan(
        steps=tuple(steps),
        bands=tuple(
            Band(
                name=part["name"],
                when=condition(part["when"], names, f"{where}, band {part['name']}"),
                says=knowledge.say(part.get("says", "")),
                tell=knowledge.say(part.get("tell", "")),
            )
            for part in mine("band")
        ),
        alerts=tuple(
            Alert(
                id=part["id"],
                when=condition(part["when"], names, f"{where}, alert {part['id']}"),
                level=part["level"],
                says=knowledge.say(part["says"]),
                tell=knowledge.say(part.get("tell", "")),
                ask=part.get("ask", ""),
                source=source_of(part),
                status=part.get("status", "proposed"),
            )
            for part in mine("alert")
        ),
    )


def _step(entry: Mapping[str, Any], rows: Mapping[str, int]) -> Step:
    of = tuple(entry["of"])
    rule = entry.get("missing", {})
    how = rule.get("how", "none")
    only = rule.get("only", of)
    pairs = sorted(entry.get("table") or entry.get("bins") or ())
    span = entry.get("range")
    return Step(
        id=entry["id"],
        title=entry.get("title", entry["id"]),
        how=entry["how"],
        of=of,
        rows=_side_by_side([rows.get(name, -1) for name in of]),
        most_missing=0 if how == "none" else rule.get("most", 0),
        prorate=how == "prorate",
        may_miss=np.array([[name in only] for name in of]),
        skip_na=rule.get("na", "missing") == "skip",
        note=rule.get("note", ""),
        refused=rule.get("refused", ""),
        least=float(entry.get("least", 1)),
        times=float(entry.get("times", 1)),
        plus=float(entry.get("plus", 0)),
        over=float(entry.get("over", 1)),
        cap=float(entry.get("cap", np.inf)),
        edges=np.array([float(pair[0]) for pair in pairs]),
        results=np.array([float(pair[1]) for pair in pairs]),
        strict=np.array([entry.get("below", False) or pair[2:] == [True] for pair in pairs], dtype=np.bool_),
        show=entry.get("show", entry["id"] != TOTAL),
        out_of=entry.get("out_of"),
        range=(float(span[0]), float(span[1])) if span else None,
    )


def _side_by_side(rows: Sequence[int]) -> slice | None:
    """The rows as one slice, where they are neighbours in order; summing a slice copies nothing."""
    stretch = range(rows[0], rows[0] + len(rows))
    return slice(stretch.start, stretch.stop) if rows[0] >= 0 and list(rows) == list(stretch) else None
