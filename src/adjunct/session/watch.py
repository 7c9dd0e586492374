"""The day as it runs: events in the order in which they arrive, several chairs as several folds, and a clock.

`watch` is deterministic: the same arrivals and the same instants of looking give the same states, alarms and duties, so
that a server, a screen and a replay agree. What is kept aside and what is tied to nobody is judged too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from adjunct.base import instant
from adjunct.due import PRESSING, Due
from adjunct.knowledge import Knowledge
from adjunct.session.alarms import artefact, standing
from adjunct.session.day import Day
from adjunct.session.events import Shape, line, read_event
from adjunct.session.fold import advance
from adjunct.session.history import History
from adjunct.session.model import Alarm, Event, Held, Phase, State
from adjunct.session.monitoring import due_now

Item = Event | Held
Kind = Literal[
    "phase", "raised", "turn", "acknowledged", "silenced", "sounds", "cleared", "due", "overdue", "flag", "held"
]
_HELD = "held"
FIRST, LAST = instant("0001-02-01T00:00:00Z").ms, instant("9999-12-01T00:00:00Z").ms


class News(NamedTuple):
    """One thing that changed: `what` names an alarm, a duty, a phase or a flag; `says` is what a person reads."""

    at: int
    session: str
    kind: Kind
    what: str
    says: str
    level: str = ""


class Loose(NamedTuple):
    """An alarm of values that count for nobody: of a monitor that is not tied, or of an entry that was kept aside."""

    source: str
    why: str
    says: str  # such as "unassigned monitor-3: SpO2 78 %"
    alarm: Alarm


class Seen(NamedTuple):
    """One session at one instant."""

    at: int
    session: str
    state: State
    alarms: tuple[Alarm, ...]
    due: tuple[Due, ...] | None  # None: nobody looked


class Tick(NamedTuple):
    """What is to be seen after an arrival (the session it is of) or at an instant of the clock (every session)."""

    at: int
    seen: tuple[Seen, ...]
    loose: tuple[Loose, ...]
    news: tuple[News, ...]


class Floor:
    """Every chair of a clinic on one day."""

    def __init__(self, knowledge: Knowledge, emergency: str = "") -> None:
        self.knowledge = knowledge
        self.day = Day.of(knowledge, emergency)
        self.sessions: dict[str, History] = {}
        self.held: list[Held] = []
        self._loose: dict[str, tuple[State, str]] = {}
        self._forget = knowledge.length_ms("window.vitals.session")

    def take(self, item: Item) -> str:
        """Take in what arrived; the name of its session, "" for what is of none."""
        if isinstance(item, Held):
            self.held.append(item)
            if item.event is not None:
                self._judge(item.event, item.why)
            return item.event.session if item.event is not None else ""
        history = self.sessions.setdefault(item.session, History(self.day))
        aside = len(history.held)
        if item.source in history.add(item).devices:
            self._loose.pop(item.source, None)  # it is heard again, and of somebody
        for held in history.held[aside:]:
            self.take(held)
        if item.type == "device-assigned":
            self._loose.pop(item.data["device"], None)
        return item.session

    def _judge(self, event: Event, why: str) -> None:
        state, _ = self._loose.get(event.source, (State(), why))
        if event.at >= state.at:
            self._loose[event.source] = (advance(state, event, self.day), why)

    def look(self, session: str, now: int, *, due: bool = True) -> Seen:
        """One session at `now`."""
        state = self.sessions[session].state
        found = standing(state, now, self.day.table)
        duties = due_now(state, now, self.knowledge) if due else None
        return Seen(now, session, state, found, duties)

    def loose(self, now: int) -> tuple[Loose, ...]:
        """What stands at monitors that are tied to nobody, and in what was kept aside."""
        return tuple(
            Loose(source, why, _loose(source, alarm, self.day), alarm)
            for source, (state, why) in sorted(self._loose.items())
            if now - state.at <= self._forget
            for alarm in standing(state, now, self.day.table)
        )


def _loose(source: str, alarm: Alarm, day: Day) -> str:
    shown = "; ".join(_value(name, value, day) for name, value in alarm.by)
    return f"{day.table.unassigned['prefix']} {source}: {shown or alarm.title}"


def _value(name: str, value: float | str, day: Day) -> str:
    name = name.removeprefix(artefact(""))
    if isinstance(value, str):
        return day.table.signs[name].title if name in day.table.signs else name
    concept = day.knowledge.concepts[name]
    short = day.table.short.get(name, concept.title)
    unit = day.knowledge.content["knowledge"]["unit_display"].get(concept.unit, concept.unit)
    return f"{short} {value:g}" + (f" {unit}" if concept.unit != _SCORE else "")


_SCORE = "{score}"


# --- the stream -------------------------------------------------------------------------------------------------------


def watch(items: Iterable[Item], clock: Iterable[int], knowledge: Knowledge, emergency: str = "") -> Iterator[Tick]:
    """A tick for everything that arrives and for every instant of `clock`, both in the order of time.

    An item arrives when it was received, and never before the one that came in front of it. Alarms are looked at on
    every tick, duties at the instants of the clock.
    """
    floor, before = Floor(knowledge, emergency), _Before()
    looks = iter(clock)
    look, now = next(looks, None), None
    for item in items:
        arrived = item.received if item.received is not None else now
        arrived = arrived if now is None else max(arrived or now, now)
        while look is not None and (arrived is None or look < arrived):
            yield _tick(floor, look, tuple(floor.sessions), before, due=True)
            now, look = look, next(looks, None)
        now = arrived
        name = floor.take(item)
        if arrived is not None:
            news = (News(arrived, name, "held", item.where, item.why),) if isinstance(item, Held) else ()
            tick = _tick(floor, arrived, (name,) if name in floor.sessions else (), before, due=False)
            yield tick._replace(news=(*news, *tick.news))
    while look is not None:
        yield _tick(floor, look, tuple(floor.sessions), before, due=True)
        look = next(looks, None)


class _Before:
    """What was seen last, to tell what is new."""

    def __init__(self) -> None:
        self.phase: dict[str, Phase] = {}
        self.flags: dict[str, Any] = {}
        self.alarms: dict[str, dict[tuple[str, int], Alarm]] = {}
        self.due: dict[str, dict[str, str]] = {}
        self.loose: set[tuple[str, str, int]] = set()


def _tick(floor: Floor, now: int, sessions: tuple[str, ...], before: _Before, *, due: bool) -> Tick:
    seen = tuple(floor.look(name, now, due=due) for name in sessions)
    loose = floor.loose(now)
    news = [n for s in seen for n in _news(s, before, due=due)]
    for found in loose:
        key = (found.source, found.alarm.alarm, found.alarm.raised)
        if key not in before.loose:
            before.loose.add(key)
            news.append(News(now, "", "raised", found.alarm.alarm, found.says, found.alarm.level))
    return Tick(now, seen, loose, tuple(news))


def _news(seen: Seen, before: _Before, *, due: bool) -> Iterator[News]:
    name, now, state = seen.session, seen.at, seen.state
    if before.phase.get(name) is not state.phase:
        before.phase[name] = state.phase
        yield News(now, name, "phase", state.phase, state.phase)
    if before.flags.get(name) is not state.flags:
        known, before.flags[name] = before.flags.get(name), state.flags
        fresh = []
        node = state.flags
        while node is not None and node is not known:
            fresh.append(node.head)
            node = node.rest
        yield from (News(now, name, "flag", flag.code, flag.says) for flag in reversed(fresh))
    yield from _alarm_news(seen, before)
    if due:
        yield from _due_news(seen, before)


def _alarm_news(seen: Seen, before: _Before) -> Iterator[News]:
    name, now = seen.session, seen.at
    old, new = before.alarms.get(name, {}), {(a.alarm, a.raised): a for a in seen.alarms}
    before.alarms[name] = new
    for key, alarm in new.items():
        was = old.get(key)
        if was is None:
            yield News(now, name, "raised", alarm.alarm, alarm.title, alarm.level)
        if alarm.escalated is not None and (was is None or was.to != alarm.to):
            yield News(now, name, "turn", alarm.alarm, f"{alarm.title}: {alarm.to}", alarm.level)
        if alarm.acknowledged is not None and (was is None or was.acknowledged != alarm.acknowledged):
            yield News(now, name, "acknowledged", alarm.alarm, f"{alarm.title}: {alarm.acknowledged_by}", alarm.level)
        silent = was is not None and was.silent_until is not None
        if (alarm.silent_until is not None) != silent:
            yield News(now, name, "sounds" if silent else "silenced", alarm.alarm, alarm.title, alarm.level)
    for key, alarm in old.items():
        if key not in new:
            yield News(now, name, "cleared", alarm.alarm, alarm.title, alarm.level)


def _due_news(seen: Seen, before: _Before) -> Iterator[News]:
    old, new = before.due.get(seen.session, {}), {d.step.id: d for d in seen.due or () if d.state in PRESSING}
    before.due[seen.session] = {name: d.state for name, d in new.items()}
    for name, found in new.items():
        if old.get(name) != found.state:
            kind: Kind = "overdue" if found.state == "overdue" else "due"
            yield News(seen.at, seen.session, kind, found.step.what, found.step.title)


# --- the log ----------------------------------------------------------------------------------------------------------


def log_line(item: Item, shape: Shape) -> str:
    """One line of a log: an event, or what was kept aside, whole."""
    if isinstance(item, Event):
        return line(item, shape)
    held: dict[str, Any] = {"raw": item.raw, "where": item.where, "why": item.why, "received": item.received}
    if item.event is not None:
        held["event"] = orjson.loads(line(item.event, shape))
    return orjson.dumps({_HELD: held}).decode()


def read_items(lines: Iterable[bytes | str], shape: Shape) -> Iterator[Item]:
    """What `log_line` wrote, and any log of events: in the order in which it stands."""
    for number, text in enumerate(lines, 1):
        if text and not text.isspace():
            held = _held(text, shape)
            item = held or read_event(text, shape)
            yield item._replace(where=f"line {number}") if held is None and isinstance(item, Held) else item


def _held(text: bytes | str, shape: Shape) -> Held | None:
    if not (text.startswith(b'{"held"') if isinstance(text, bytes) else text.startswith('{"held"')):
        return None
    try:
        held = orjson.loads(text)[_HELD]
        event = read_event(held["event"], shape) if held.get("event") is not None else None
        found = event if isinstance(event, Event) else event.event if event is not None else None
        received = held.get("received")
        if received is not None and (type(received) is not int or not FIRST <= received <= LAST):
            return None
        return Held(str(held["raw"]), str(held["where"]), str(held["why"]), received, found)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # then it is read as any other line, and kept aside with the reason


def summary(floor: Floor) -> Mapping[str, int]:
    """How many events, repeats, late ones and entries kept aside."""
    timings = [history.timing for history in floor.sessions.values()]
    return {
        "events": sum(t.events for t in timings),
        "repeated": sum(t.repeated for t in timings),
        "reordered": sum(t.reordered for t in timings),
        "held": len(floor.held),
        "latest_ms": max((t.latest for t in timings), default=0),
    }
