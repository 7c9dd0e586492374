"""Protocols as values: what a course is made of, what a clinic may set within which bounds, what a missed visit means.

The numbers, words and sources are data (`knowledge/data/protocols`). A file may build on shared ones (`also`): their
entries come first, and an entry of the same id in the file itself stands in the place of the shared one.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from adjunct.base import MS_PER_SECOND, BadInput, UnitError, convert, shown
from adjunct.instruments.reading import spelling
from adjunct.knowledge import Knowledge
from adjunct.planning.model import Setting

SHARED = "shared"
COUNT = "1"  # the unit of a count
LAST = "last"  # the last visit of a phase, however many there are
TABLES = ("goal", "setting", "phase", "prerequisite", "task", "review", "stop", "missed")
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(\S+)\s*")
_READ: WeakKeyDictionary[Knowledge, dict[str, Protocol]] = WeakKeyDictionary()

Texts = Mapping[str, str]  # language -> words for the person


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What every part of a protocol has: an id, where it is from (`id` and `locator` of a source), how sure it is."""

    id: str
    source: Mapping[str, str]
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What it is for, in the person's words, and the instrument that shows it."""

    id: str
    title: Texts
    measure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFact(Entry):
    """What label or trial says for these visits, for clinicians: never a dose for a patient.

    `visits`: numbers within the phase, none for all. `when`: in the rule language; unknown is shown with an "if".
    """

    title: str
    says: str
    visits: tuple[int, ...] = ()
    when: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A row of visits alike. Every name is that of a setting.

    It has so many `visits`, or goes on `until` that long after the first visit of the course. `lead` is from the last
    visit of the phase before, `gaps` from visit to visit in turn; `early` and `late` move a visit's day; `least_gap`
    stands between two doses whatever the windows say; `duration` is the dose itself, `observe` the stay after it.
    `only_if`: the phase is there if that setting has that value.
    """

    id: str
    title: Texts
    kind: str
    owner: str
    visits: str | None = None
    until: str | None = None
    lead: str | None = None
    gaps: tuple[str, ...] = ()
    early: str | None = None
    late: str | None = None
    least_gap: str | None = None
    duration: str | None = None
    observe: str | None = None
    only_if: tuple[str, str] | None = None
    measures: tuple[str, ...] = ()  # ids of instruments, of what is watched in follow-up, or of examinations
    facts: tuple[PhaseFact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prerequisite(Entry):
    """What is done before the course or before each visit; `opens` and `due` are settings, before the visit starts.

    `countries`: where the law asks for it; a clinic that does not tell its country is asked for it too.
    """

    what: str
    title: Texts
    owner: str
    each: str  # course | visit
    opens: str
    due: str
    when: str = ""
    countries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Entry):
    """What is done after each visit, or on its own days from the first visit on, `every` so often."""

    what: str
    title: Texts
    owner: str
    after: str  # visit | start
    due: str
    opens: str | None = None
    every: str | None = None
    when: str = ""
    countries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review(Entry):
    """A point at which a clinician decides: after `{phase, visit}` (a number or `last`), or `{time}` from the start."""

    title: str
    says: str
    owner: str
    after: Mapping[str, Any]
    repeating: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Entry):
    """A reason to stop or to wait, with the rules whose findings mean it."""

    title: str
    says: str
    tell: Texts
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Entry):
    """What follows a missed visit: in these phases (none: in all), if worse or not, by the time since the last dose.

    `effect`: keep the plan, append one visit, hold until a new assessment, or consider a more frequent schedule.
    """

    worse: str  # yes | no | unknown | any
    effect: str
    title: str
    says: str
    tell: Texts
    owner: str
    phases: tuple[str, ...] = ()
    gap_above: str | None = None  # exclusive
    gap_upto: str | None = None  # inclusive
    count: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Protocol:
    """One course of treatment or care. `settings` are the defaults; `with_settings` gives those of a clinic."""

    id: str
    version: int
    title: Texts
    says: Texts
    clinician: str
    kind: str
    treatment: str
    substance: str
    source: Mapping[str, str]
    status: str
    goals: tuple[Goal, ...]
    settings: Mapping[str, Setting]
    phases: tuple[Phase, ...]
    prerequisites: tuple[Prerequisite, ...]
    tasks: tuple[Task, ...]
    reviews: tuple[Review, ...]
    stops: tuple[Stop, ...]
    missed: tuple[Missed, ...]

    def appends(self, phase: str) -> bool:
        """Whether a missed visit of this phase may be made up at its end, so that the series keeps its number."""
        return any(m.effect == "append" and (not m.phases or phase in m.phases) for m in self.missed)


def names(knowledge: Knowledge) -> tuple[str, ...]:
    """The protocols there are."""
    return tuple(id_ for id_, entry in knowledge.protocols.items() if entry["kind"] != SHARED)


def protocol(knowledge: Knowledge, name: str) -> Protocol:
    """The protocol of that id, however it is spelt; `BadInput` with near names where there is none."""
    done = _READ.setdefault(knowledge, {})
    known = {spelling(id_): id_ for id_ in names(knowledge)}
    wanted = spelling(str(name))
    if wanted not in known:
        near = [known[n] for n in difflib.get_close_matches(wanted, known)] or sorted(known.values())
        raise BadInput(f"no protocol is called {shown(str(name))}; there is {', '.join(near)}", "--protocol")
    found = known[wanted]
    if found not in done:
        done[found] = _protocol(knowledge, found)
    return done[found]


# --- settings ---------------------------------------------------------------------------------------------------------


def with_settings(known: Protocol, given: Mapping[str, Any]) -> Mapping[str, Setting]:
    """The settings with a clinic's own values: numbers in the setting's unit, or texts with a unit ("36 h").

    TOML reads `dose.gap.least = "72 h"` as tables in tables; both ways of writing a name mean the same.
    Raises `BadInput` that names protocol, setting, value and bounds for one that is not known, of another kind or unit,
    or outside its bounds.
    """
    return changed(known, known.settings, given, f"settings.protocol.{known.id}")


def changed(known: Protocol, values: Mapping[str, Setting], given: Mapping[str, Any], at: str) -> Mapping[str, Setting]:
    """`values` with some of them set anew; as strict as `with_settings`."""
    if not isinstance(given, Mapping):  # it is read from a file
        raise BadInput("not a table of names and values", at)
    own: dict[str, Setting] = {}
    for name, value in flat(given):
        if name not in known.settings:
            near = difflib.get_close_matches(str(name), known.settings) or list(known.settings)
            raise BadInput(f"{known.id} has no setting {shown(str(name))}; there is {', '.join(near)}", at)
        setting = known.settings[name]
        try:
            own[name] = replace(setting, value=_allowed(setting, value), clinic=True)
        except ValueError as fault:
            raise BadInput(f"{known.id}, {name} = {shown(str(value))}: {fault}; {bounds(setting)}", at) from None
    return {**values, **own}


def value_ms(setting: Setting) -> int:
    """A duration setting in milliseconds."""
    return round(convert(setting.value, setting.unit, "s", at=setting.id) * MS_PER_SECOND)


def bounds(setting: Setting) -> str:
    """What a setting may be, in words."""
    if setting.choices:
        return f"it may be {' or '.join(setting.choices)}"
    unit = "" if setting.unit == COUNT else f" {setting.unit}"
    if setting.least == setting.most:
        return f"it is fixed at {setting.least:g}{unit}"
    return f"it may be {setting.least:g} to {setting.most:g}{unit}"


def words(values: Mapping[str, Setting], knowledge: Knowledge) -> Mapping[str, str]:
    """What fills the places of a protocol's texts that are named after a setting, for `knowledge.say`."""
    display = knowledge.content["knowledge"]["unit_display"]
    return {
        name: f"{s.value:g} {display.get(s.unit, s.unit)}".strip() if s.unit else str(s.value)
        for name, s in values.items()
    }


def flat(given: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values, where a table in a table is a name with a dot."""
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _allowed(setting: Setting, value: object) -> float | str:
    """The value in the setting's unit. Raises `ValueError` with what is wrong."""
    if not setting.unit:
        if value not in setting.choices:
            raise ValueError("not one of the choices")
        return str(value)
    number = _number(value, setting.unit)
    if setting.unit == COUNT and number % 1:
        raise ValueError("not a whole number")
    if setting.choices:
        if f"{number:g} {setting.unit}" not in setting.choices:
            raise ValueError("not one of the choices")
    elif setting.least is None or setting.most is None or not setting.least <= number <= setting.most:
        raise ValueError("outside its bounds")
    return number


def _number(value: object, unit: str) -> float:
    if isinstance(value, str):
        parts = _AMOUNT.fullmatch(value)
        if not parts:
            raise ValueError("not a number with its unit")
        try:
            return convert(float(parts[1]), parts[2], unit)
        except UnitError:
            raise ValueError(f"not a unit like {unit!r}") from None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("not a number")
    return value


# --- reading ----------------------------------------------------------------------------------------------------------


def merged(entries: Mapping[str, Mapping[str, Any]], id_: str) -> Mapping[str, Any]:
    """A protocol file with what it builds on: shared entries first, its own in the place of those of the same id."""
    own = entries[id_]
    whole = dict(own)
    for table in TABLES:
        rows = [row for other in own.get("also", ()) for row in merged(entries, other).get(table, ())]
        whole[table] = list({row["id"]: row for row in (*rows, *own.get(table, ()))}.values())
    return whole


def _protocol(knowledge: Knowledge, id_: str) -> Protocol:
    whole = merged(knowledge.protocols, id_)
    return Protocol(
        **{name: whole[name] for name in ("id", "version", "title", "says", "clinician", "kind", "treatment")},
        substance=whole.get("substance", ""),
        source=whole["source"],
        status=whole["status"],
        goals=tuple(Goal(**row) for row in whole["goal"]),
        settings={row["id"]: _setting(row, knowledge) for row in whole["setting"]},
        phases=tuple(map(_phase, whole["phase"])),
        prerequisites=tuple(Prerequisite(**_tuples(row)) for row in whole["prerequisite"]),
        tasks=tuple(Task(**_tuples(row)) for row in whole["task"]),
        reviews=tuple(Review(**row) for row in whole["review"]),
        stops=tuple(Stop(**_tuples(row)) for row in whole["stop"]),
        missed=tuple(Missed(**_tuples(row)) for row in whole["missed"]),
    )


def _setting(row: Mapping[str, Any], knowledge: Knowledge) -> Setting:
    """One setting; where it names a fact, its default, unit, source and status are those of the fact."""
    if "fact" in row:
        fact = knowledge.facts[row["fact"]]
        value, unit, source, status = knowledge.number(fact.id), fact.unit, fact.source, fact.status
        locator = fact.locator
    else:
        value, unit, status = row["value"], row.get("unit", ""), row["status"]
        source, locator = row["source"]["id"], row["source"]["locator"]
    return Setting(
        id=row["id"],
        title=row["title"],
        value=value,
        unit=unit,
        least=row.get("least"),
        most=row.get("most"),
        choices=tuple(row.get("choices", ())),
        clinic=False,
        default=value,
        source=source,
        locator=locator,
        status=status,
    )


def _phase(row: Mapping[str, Any]) -> Phase:
    plain = _tuples({name: value for name, value in row.items() if name not in ("fact", "if")})
    if "if" in row:
        plain["only_if"] = (row["if"]["setting"], row["if"]["is"])
    return Phase(**plain, facts=tuple(PhaseFact(**_tuples(fact)) for fact in row.get("fact", ())))


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
