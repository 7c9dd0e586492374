"""Every danger under every fault of the wire: does its alarm stand at the first message that shows it?

A run is the beginning of a simulated infusion, a danger at a minute that the seed draws, and one fault. What a message
shows is decided here from the limit alone, without the alarms that are put to the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import ge, gt, le, lt
from typing import Any, NamedTuple

from adjunct.base import convert
from adjunct.devices.simulator import ENDLESS, MS_PER_MIN, WIRES, Chair, Script, Sent, day, dice, heard, script
from adjunct.knowledge import Knowledge
from adjunct.session.alarms import NO_DATA
from adjunct.session.model import Alarm
from adjunct.session.watch import watch

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">=": ge, ">": gt}
_GRAVE = ("emergency", "high")


class Run(NamedTuple):
    """One session of the table. `shows`: when the first message arrived that shows the danger; None if none did.

    Until `quiet` nothing is wrong with the person, and every alarm but missing data is a false one.
    """

    danger: Mapping[str, Any]
    trouble: Mapping[str, Any]
    sent: list[Sent]
    shows: int | None
    quiet: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One danger, or one fault, over its runs. `late` and `never` are failures.

    `grave` and `mild` are false alarms of `hours` without danger: of level emergency or high, and milder ones.
    `silent` counts "no data" in those hours: true where messages were lost or came late.
    """

    id: str
    title: str
    runs: int = 0
    shown: int = 0
    at_once: int = 0
    late: int = 0
    never: int = 0
    hours: float = 0.0
    grave: int = 0
    mild: int = 0
    silent: int = 0

    def with_run(self, found: Told) -> Row:
        outcome = {found.outcome: getattr(self, found.outcome) + 1} if found.outcome else {}
        return replace(
            self,
            **outcome,
            runs=self.runs + 1,
            shown=self.shown + bool(found.outcome),
            hours=self.hours + found.hours,
            grave=self.grave + found.grave,
            mild=self.mild + found.mild,
            silent=self.silent + found.silent,
        )


class Told(NamedTuple):
    """What the alarms made of one run. `outcome`: at_once, late, never, or nothing where no message showed a danger."""

    outcome: str
    hours: float = 0.0
    grave: int = 0
    mild: int = 0
    silent: int = 0


class Table(NamedTuple):
    """The same runs twice: by danger and by fault of the wire."""

    dangers: tuple[Row, ...]
    troubles: tuple[Row, ...]


def faults(n: int, seed: int, knowledge: Knowledge) -> Table:
    """Play `n` sessions and count."""
    content = knowledge.content["scenarios"]
    dangers = {d["id"]: Row(id=d["id"], title=d["title"]) for d in content["danger"]}
    troubles = {t["id"]: Row(id=t["id"], title=t["title"]) for t in content["trouble"]}
    for each in runs(n, seed, knowledge):
        found = told(each, knowledge)
        for rows, name in ((dangers, each.danger["id"]), (troubles, each.trouble["id"])):
            rows[name] = rows[name].with_run(found)
    return Table(tuple(dangers.values()), tuple(troubles.values()))


def told(run: Run, knowledge: Knowledge) -> Told:
    """Listen to a run message by message. At once: an alarm of the danger stands at the first message that shows it."""
    wanted, answered = set(run.danger["alarm"]), None
    false: set[tuple[str, str, int]] = set()
    for now, raised in standing(run, knowledge):
        if now < run.quiet:
            explained = wanted if "artefact" in run.danger else ()
            false |= {(a.alarm, a.level, a.raised) for a in raised if a.alarm not in explained}
        if answered is None and run.shows is not None and now >= run.shows and any(a.alarm in wanted for a in raised):
            answered = now
    outcome = (
        "" if run.shows is None else "never" if answered is None else "at_once" if answered == run.shows else "late"
    )
    levels = [level for alarm, level, _ in false if alarm != NO_DATA]
    grave = sum(level in _GRAVE for level in levels)
    return Told(outcome, _hours(run), grave, len(levels) - grave, len(false) - len(levels))


def standing(run: Run, knowledge: Knowledge) -> Iterator[tuple[int, tuple[Alarm, ...]]]:
    """What stands after each message and when silence must be heard, also of monitors that are tied to nobody."""
    clock = () if run.shows is None else (run.shows,)
    for tick in watch(heard((s.message for s in run.sent), knowledge), clock, knowledge):
        yield tick.at, (*(a for seen in tick.seen for a in seen.alarms), *(loose.alarm for loose in tick.loose))


def _hours(run: Run) -> float:
    first, last = run.sent[0].message.received, run.sent[-1].message.received
    return convert(min(run.quiet, last) - first, "ms", "h")


def runs(n: int, seed: int, knowledge: Knowledge) -> Iterator[Run]:
    """`n` sessions; after as many as there are pairs, every danger has met every fault."""
    content = knowledge.content["scenarios"]
    dangers, troubles = content["danger"], content["trouble"]
    for number in range(n):
        turn, which = divmod(number, len(dangers))
        yield run(dangers[which], troubles[(which + turn) % len(troubles)], f"{seed}:{number}", knowledge)


def run(danger: Mapping[str, Any], trouble: Mapping[str, Any], seed: str, knowledge: Knowledge) -> Run:
    """One danger and one fault laid on an infusion; the seed draws when, and what the monitor speaks."""
    content = knowledge.content["scenarios"]
    figures = content["run"]
    plan = script(next(s for s in content["scenario"] if s["id"] == figures["scenario"]), knowledge)
    begin = dice(seed, "danger").uniform(*figures["danger_from"])
    plan = _laid_on(plan, danger, trouble, begin, begin + figures["lasts"], figures["after"])
    wire = dice(seed, "wire").choice(WIRES)
    sent = day(plan, seed, Chair(session=f"run-{seed}"), knowledge, wire)
    harmless = "artefact" in danger or not danger["alarm"]
    quiet = ENDLESS if harmless else sent[0].message.received + round(begin * MS_PER_MIN)
    return Run(danger, trouble, sent, _first(danger, sent, knowledge), quiet)


def _laid_on(
    plan: Script, danger: Mapping[str, Any], trouble: Mapping[str, Any], begin: float, end: float, after: float
) -> Script:
    faults, events = list(trouble["fault"]), list(plan.events)
    if "sign" in danger:
        events.append({"at": begin, "type": "event", "data": {"sign": danger["sign"], "present": True}})
    if "off" in danger:
        faults.append({"kind": "off", "from": begin, "until": end})
    if "values" in danger:
        faults.insert(0, {"kind": "artefact", "from": begin, "until": end, "values": danger["values"]})
    changes = (
        {"measure": measure, "to": value, "from": begin, "reach": begin, "until": end, "back": end}
        for measure, value in danger.get("change", {}).items()
    )
    return Script(
        minutes=end + after,
        events=tuple(events),
        changes=tuple(changes),
        faults=tuple(faults),
        treatment=plan.treatment,
    )


def _first(danger: Mapping[str, Any], sent: Iterable[Sent], knowledge: Knowledge) -> int | None:
    """When the danger could first be seen by whoever read every message that came whole."""
    if "off" in danger:  # the longest gap; a value may carry the time of a clock that is a little ahead
        arrivals = [s.message.received for s in sent if s.message.kind != "event"]
        _, heard = max((after - before, before) for before, after in pairwise(arrivals))
        return heard + knowledge.length_ms(danger["limit"]) + knowledge.length_ms("session.clock.tolerance")
    return next((s.message.received for s in sent if s.whole and _shown(danger, s, knowledge)), None)


def _shown(danger: Mapping[str, Any], sent: Sent, knowledge: Knowledge) -> bool:
    data = sent.event.data
    if "sign" in danger:
        return bool(data.get("sign") == danger["sign"])
    if "values" in danger:
        return all(data.get(name) == value for name, value in danger["values"].items())
    if "measure" not in danger or danger["measure"] not in data:
        return False
    return _COMPARED[danger["is"]](data[danger["measure"]], knowledge.number(danger["limit"]))
