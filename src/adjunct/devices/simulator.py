"""A simulated person on a simulated monitor, beside a nurse who writes: whole treatment days for rehearsal and tests.

The body follows the published curve of the doses in the script, with a delay; what happens to it beyond that, and what
goes wrong on the wire, is data (`data/session/scenarios.toml`). Everything is drawn from the seed: the same seed gives
the same bytes. Nobody here is real, and no number of this room reaches a rule, an alarm or a gate.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from math import exp
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

import numpy as np

from adjunct.base import BadInput, Floats, Instant, Refused, duration_ms, instant, shown
from adjunct.devices.fhir import to_fhir
from adjunct.devices.hl7v2 import to_hl7
from adjunct.devices.stream import Stream
from adjunct.knowledge import Knowledge
from adjunct.pharmacology.simulation import simulate
from adjunct.pharmacology.simulation.regimen import Administration
from adjunct.session.events import Shape, line, read_event
from adjunct.session.model import Event, Held

MS_PER_MIN = 60_000
MIN_PER_H = 60
KEPT = 16
ENDLESS = float("inf")
OTHER = "Patient/somebody-else"
WIRES = ("hl7", "fhir")


class Message(NamedTuple):
    """What arrives: at which instant, through which door ("event", "hl7", "fhir"), and its bytes."""

    received: int
    kind: str
    payload: bytes


class Sent(NamedTuple):
    """A message and the truth behind it: what was measured, and whether the bytes are whole and name the person."""

    message: Message
    event: Event
    whole: bool = True
    own: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One day: the nurse's events in order of their minute, what happens to the body, and to the wire."""

    minutes: float
    events: tuple[Mapping[str, Any], ...]
    changes: tuple[Mapping[str, Any], ...] = ()
    faults: tuple[Mapping[str, Any], ...] = ()
    treatment: str = ""

    def tied(self) -> tuple[float, float]:
        """From which minute to which the monitor is on the person."""
        ends = {e["type"]: e["at"] for e in self.events if e["type"] in ("device-assigned", "device-released")}
        return ends["device-assigned"], ends.get("device-released", self.minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chair:
    """Who sits where: the names that the messages of one day carry."""

    session: str
    number: int = 1

    @property
    def device(self) -> str:
        return f"monitor-{self.number}"

    @property
    def patient(self) -> str:
        return f"Patient/simulated-{self.number}"

    def named(self, value: Any) -> Any:
        """A value of the script with the places of this chair filled in."""
        if not isinstance(value, str):
            return value
        return value.format(session=self.session, device=self.device, patient=self.patient, chair=self.number)


def scenarios(knowledge: Knowledge) -> Mapping[str, Mapping[str, Any]]:
    """What can be played: id -> title, what it shows, how long it lasts."""
    return {s["id"]: s for s in knowledge.content["scenarios"]["scenario"] if not s.get("hidden")}


def scenario(name: str, seed: int, knowledge: Knowledge, *, wire: str = "hl7") -> Iterator[Message]:
    """Every message of a scenario in order of arrival. The monitor speaks `wire`: "hl7" or "fhir"."""
    known = scenarios(knowledge)
    if name not in known:
        raise BadInput(f"no scenario {shown(name)}: there are {', '.join(known)}", "scenario")
    if wire not in WIRES:
        raise BadInput(f"no wire {shown(wire)}: a monitor speaks {' or '.join(WIRES)}", "wire")
    chairs = known[name].get("chairs", [name])
    days = (
        day(
            script(known[each], knowledge),
            f"{seed}:{number}",
            Chair(session=f"{each}-{seed}", number=number),
            knowledge,
            wire,
        )
        for number, each in enumerate(chairs, start=1)
    )
    return (sent.message for sent in heapq.merge(*days, key=attrgetter("message.received")))


def heard(messages: Iterable[Message], knowledge: Knowledge) -> Iterator[Event | Held]:
    """The messages as they are read: what people write as a log, what monitors send as a stream."""
    shape, stream = Shape.of(knowledge), Stream(knowledge)
    for received, kind, payload in messages:
        if kind == "event":
            event = read_event(payload, shape)
            stream.see(event)
            yield event
        else:
            yield from stream.feed(payload, received)


def script(entry: Mapping[str, Any], knowledge: Knowledge) -> Script:
    """A scenario with its blocks laid out and its repeated events written out."""
    blocks = {b["id"]: b["event"] for b in knowledge.content["scenarios"]["block"]}
    laid = [(at, e) for use in entry.get("uses", ()) for at in _times(use) for e in blocks[use["block"]]]
    laid += [(0, e) for e in entry.get("event", ())]
    events = sorted(({**e, "at": shift + at} for shift, e in laid for at in _times(e)), key=lambda e: float(e["at"]))
    return Script(
        minutes=entry["minutes"],
        events=tuple(events),
        changes=tuple(entry.get("change", ())),
        faults=tuple(entry.get("fault", ())),
        treatment=next(e["data"]["treatment"] for e in events if e["type"] == "checked-in"),
    )


def _times(entry: Mapping[str, Any]) -> Iterator[float]:
    return (entry["at"] + turn * entry.get("every", 0) for turn in range(entry.get("times", 1)))


def day(plan: Script, seed: str, chair: Chair, knowledge: Knowledge, wire: str = "hl7") -> list[Sent]:
    """One chair from check-in to the end, in order of arrival."""
    start = instant(knowledge.content["scenarios"]["start"])
    body = Body(plan, seed, knowledge)
    told = _written(plan, body, chair, start, knowledge)
    seen = _measured(plan, body, chair, start, knowledge)
    faults = [_Fault.of(f, number, seed, start.ms) for number, f in enumerate(plan.faults)]
    sent = [*told, *(message for event in seen for message in _on_the_wire(event, faults, chair, wire, knowledge))]
    return sorted(sent, key=lambda s: (s.message.received, s.event.id))


# --- the body ---------------------------------------------------------------------------------------------------------


class Body:
    """A person whose measures follow the dose of the script, with traits drawn from the seed."""

    def __init__(self, plan: Script, seed: str, knowledge: Knowledge) -> None:
        self._figures = figures = knowledge.content["scenarios"]["person"]
        self.seed = seed
        self._changes = plan.changes
        course, share = dose(plan)
        self._effect = _effect(knowledge, plan.treatment, course, plan.minutes) * share
        rises = {m: knowledge.number(fact) for m, fact in figures["pressor"].items()} | figures["effect"]
        self._reach = {m: rise * exp(figures["spread"] * self._drawn(f"effect of {m}")) for m, rise in rises.items()}
        self._usual = {
            m: usual + figures["differs"].get(m, 0) * self._drawn(f"usual {m}") for m, usual in figures["usual"].items()
        }
        self._bounds = {m: knowledge.concepts[m].plausible for m in figures["usual"]}

    def value(self, measure: str, minute: float) -> float:
        """What a faultless instrument reads at this minute, rounded as it shows it."""
        shape = float(np.interp(minute, np.arange(len(self._effect)), self._effect))
        noise = self._figures["noise"].get(measure, 0) * self._drawn(f"{measure} at {minute:.4f}")
        shape **= self._figures["steep"].get(measure, 1)
        value: float = self._usual[measure] + self._reach.get(measure, 0) * shape + noise
        for change in self._changes:
            if change["measure"] == measure:
                value += _weight(change, minute) * (change["by"] if "by" in change else change["to"] - value)
        low, high = self._bounds[measure] or (-ENDLESS, ENDLESS)
        decimals: int = self._figures["decimals"].get(measure, 0)
        return round(min(max(value, low), high), decimals)

    def _drawn(self, what: str) -> float:
        """A standard normal number that belongs to this seed and name alone, whatever else was asked before."""
        most = self._figures["within"]
        return float(min(max(dice(self.seed, what).gauss(0, 1), -most), most))


def dice(*named: object) -> Random:
    """Chance that depends on these names alone."""
    return Random(":".join(map(str, named)))  # noqa: S311  a rehearsal must repeat itself


def _weight(change: Mapping[str, Any], minute: float) -> float:
    """How much of a change there is: 0 before `from`, whole from `reach` to `until`, 0 from `back` on."""
    corners = [change["from"], change["reach"], change["until"], change["back"]]
    return float(np.interp(minute, corners, [0, 1, 1, 0]))


def dose(plan: Script) -> tuple[tuple[Administration, ...], float]:
    """What a script gives, in hours from its start, and which share of the prepared dose that is.

    A pump that nobody stops runs to the end of the script.
    """
    given: list[Administration] = []
    prepared, rate, since, per_ml = 0.0, 0.0, 0.0, 0.0
    for event in (*plan.events, {"at": plan.minutes, "type": "dose-stopped"}):
        at, data = event["at"] / MIN_PER_H, event.get("data", {})
        match event["type"]:
            case "dose-prepared":
                prepared = data["dose"]
            case "device-given" | "injection-given":
                given.append(Administration(at, data["dose"], part=len(given)))
            case "infusion-started" | "rate-changed" | "dose-resumed" | "dose-paused" | "dose-stopped":
                if rate and at > since:
                    given.append(Administration(since, rate * (at - since) * per_ml, at - since, part=len(given)))
                per_ml = data.get("concentration", per_ml)
                rate, since = data.get("rate", 0.0), at
            case _:
                pass
    return tuple(given), sum(a.amount_mg for a in given) / prepared if given else 0.0


@lru_cache(maxsize=KEPT)
def _effect(knowledge: Knowledge, treatment: str, course: tuple[Administration, ...], minutes: float) -> Floats:
    """The effect at each minute as a share of its peak: the predicted concentration, following with a delay."""
    grid = np.arange(minutes + 1)
    if not course:
        return np.zeros(len(grid))
    person = knowledge.content["scenarios"]["person"]
    drug, route = treatment.partition("-")[::2]
    found = simulate(
        knowledge, drug, route=route, plan=course, weight_kg=person["weight"], age_a=person["age"], n=1, seed=1,
        hours=max(minutes / MIN_PER_H, course[-1].end_h),
    )  # fmt: skip
    curve = found.analytes[drug].curve
    plasma = np.interp(grid / MIN_PER_H, curve.time_h, curve.typical)
    follows = 1 - 2 ** (-MS_PER_MIN / duration_ms(person["delay"]))
    effect: Floats = np.zeros(len(grid))
    for minute in range(1, len(grid)):
        effect[minute] = effect[minute - 1] + follows * (plasma[minute] - effect[minute - 1])
    effect /= effect.max()
    return effect


# --- who writes -------------------------------------------------------------------------------------------------------


def _written(plan: Script, body: Body, chair: Chair, start: Instant, knowledge: Knowledge) -> Iterator[Sent]:
    """The nurse's events, as lines of a log."""
    nurse, number, shape = knowledge.content["scenarios"]["nurse"], count(1), Shape.of(knowledge)
    for entry in plan.events:
        at = start.ms + round(entry["at"] * MS_PER_MIN)
        received = start.ms + round(entry.get("told", entry["at"]) * MS_PER_MIN)
        data = {name: chair.named(value) for name, value in entry.get("data", {}).items()}
        data |= {name: body.value(name, entry["at"]) for name in entry.get("rates", ())}
        data |= {name: start.ms + round(m * MS_PER_MIN) for name, m in entry.get("instants", {}).items()}
        event = Event(
            id=f"{chair.session}-{entry.get('id') or f'{next(number):04}'}",
            at=at,
            received=received,
            type=entry["type"],
            by=entry.get("by", nurse),
            source=f"chair-{chair.number}",
            data=data,
            session=chair.session,
            offset=start.offset,
        )
        written = line(event, shape)
        read = read_event(written, shape)
        if isinstance(read, Held):
            raise Refused(f"a simulated event is not one that a log takes: {read.why}", f"scenarios.toml, {event.id}")
        yield Sent(Message(received, "event", written.encode()), read)


def _measured(plan: Script, body: Body, chair: Chair, start: Instant, knowledge: Knowledge) -> Iterator[Event]:
    """What the monitor measures while it is on the person, with the monitor's own clock in `at`."""
    figures = knowledge.content["scenarios"]["monitor"]
    first, last = plan.tied()
    every, cuff_every = (duration_ms(figures[name]) for name in ("every", "cuff_every"))
    drawn = dice(body.seed, chair.device)
    skew = drawn.randint(-figures["clock"], figures["clock"])
    span = round((last - first) * MS_PER_MIN)
    for number, after in enumerate(range(every, span, every)):  # once it is tied, whatever its clock
        true = start.ms + round(first * MS_PER_MIN) + after
        minute = (true - start.ms) / MS_PER_MIN
        measures = (*figures["sends"], *(figures["cuff"] if after % cuff_every < every else ()))
        yield Event(
            id=f"{chair.device}-{number:05}",
            at=true + skew,
            received=true + drawn.randint(*figures["latency"]),
            type="vitals",
            by=chair.device,
            source=chair.device,
            data={m: body.value(m, minute) for m in measures},
            session=chair.session,
            offset=start.offset,
        )


# --- what goes wrong on the wire --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """One fault in its window of arrival. It strikes each message with its `share`, drawn from the seed."""

    kind: str
    begins: float
    ends: float
    share: float
    by: int
    values: Any
    drawn: Random

    @classmethod
    def of(cls, entry: Mapping[str, Any], number: int, seed: str, start: int) -> _Fault:
        by = entry.get("by", "0 s")
        return cls(
            kind=entry["kind"],
            begins=start + entry.get("from", 0) * MS_PER_MIN,
            ends=start + entry["until"] * MS_PER_MIN if "until" in entry else ENDLESS,
            share=entry.get("share", 1),
            by=-duration_ms(by[1:]) if by.startswith("-") else duration_ms(by),
            values=entry.get("values", ()),
            drawn=dice(seed, entry["kind"], number),
        )

    def strikes(self, event: Event) -> bool:
        return self.begins <= event.received < self.ends and self.drawn.random() < self.share


def _on_the_wire(
    event: Event, faults: Sequence[_Fault], chair: Chair, wire: str, knowledge: Knowledge
) -> Iterator[Sent]:
    """The messages that arrive of one measurement: none, one or two, whole or not."""
    patient, whole, own, copies, silent = chair.patient, True, True, 1, ()
    received, data = event.received, dict(event.data)
    for fault in (f for f in faults if f.strikes(event)):
        match fault.kind:
            case "lost" | "off":
                copies = 0
            case "doubled":
                copies = 2
            case "late":
                received += fault.drawn.randint(0, fault.by)
            case "reordered":
                received += fault.by
            case "half":
                whole = False
            case "wrong-patient":
                patient, own = OTHER, False
            case "clock":
                event = event._replace(at=event.at + fault.by)
            case "probe":
                silent = fault.values
                data = {name: value for name, value in data.items() if name not in silent}
            case "artefact":
                data |= {name: float(value) for name, value in fault.values.items() if name in data}
    event = event._replace(data=data, received=received)
    write = to_hl7 if wire == "hl7" else to_fhir
    payload = write(event, knowledge, patient=patient, silent=silent)
    for copy in range(copies):
        message = Message(received + copy, wire, payload if whole else payload[: len(payload) // 2])
        yield Sent(message, event, whole=whole, own=own)
