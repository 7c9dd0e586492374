"""Messages of monitors, as they arrive, become events of sessions; what does not fit is kept aside and still judged.

A monitor belongs to a person because somebody at the chair says it (`device-assigned`), not because a message does.
A reading is placed by the time at which it was taken, on the clock of its device as far as that clock can be trusted.
Nothing here looks at a clock or a wire: `feed` gets what came and when it came.
"""

from __future__ import annotations

import reprlib
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from statistics import median_low
from typing import Any, NamedTuple

import orjson

from adjunct.base import MS_PER_DAY, MS_PER_SECOND, BadInput
from adjunct.devices import fhir, hl7v2
from adjunct.devices.report import (
    CORRECTS,
    COUNTS,
    HASH,
    VITALS,
    WITHDRAWS,
    WRONG,
    Moment,
    Report,
    Row,
    Words,
    called,
    kept,
    without_mark,
)
from adjunct.knowledge import Knowledge
from adjunct.session.events import IMPLAUSIBLE
from adjunct.session.model import Event, Held

OF_MESSAGE, OF_DEVICE = "message", "device"  # how the place of a Held begins: its content, or whose it is and when
_ENDS = frozenset({"left-before-discharge", "transferred", "not-treated"})  # a discharge may yet be refused
AMENDS = frozenset({CORRECTS, WITHDRAWS, WRONG})
_OTHERS = "not read: others"
_BEFORE = "measured before this monitor was tied to this person, and it names nobody: look whose it was"


class Tie(NamedTuple):
    """A device is on a person: of which session, which event says so, and since when."""

    session: str
    event: str
    since: int


class Arrival(NamedTuple):
    """One message with what is known of its arrival."""

    raw: str
    digest: str
    report: Report
    device: str  # what its sender calls itself
    given: str  # what the wire calls it, if that is known
    received: int
    again: str = ""  # why its id is in doubt


@dataclass(slots=True)
class Clock:
    """The clock of one device against ours. `zone`: what its times without an offset are ahead of UTC."""

    skews: deque[int]
    newest: int = 0
    zone: int | None = None
    changes: int = 0
    apart: tuple[int, int] | None = None  # skew and arrival of the first message that did not fit
    waiting: list[Arrival] = field(default_factory=list)

    @property
    def skew(self) -> int:
        """By how much the device is behind, in ms: the middle of arrival minus time of sending."""
        return median_low(self.skews) if self.skews else 0


class Stream:
    """All monitors of a floor. `see` every event of every session, `feed` every message.

    `also`: further identifiers of a person that monitors send, by the reference that `checked-in` names.
    """

    def __init__(self, knowledge: Knowledge, also: Mapping[str, Iterable[str]] | None = None) -> None:
        self.words = Words.of(knowledge)
        self.counts: Counter[str] = Counter()  # messages, doubled, repeated readings, untimed, codes not read
        self.clocks: dict[str, Clock] = {}
        self._also = also or {}
        self._steady = knowledge.length_ms("device.clock.steady")
        self._jump = knowledge.length_ms("device.clock.jump")
        self._quarter = knowledge.length_ms("device.clock.zone")
        self._repeat = knowledge.length_ms("device.message.repeat")
        self._ties: dict[str, Tie] = {}
        self._freed: dict[str, int] = {}  # when a device was last released
        self._patients: dict[str, tuple[str, str]] = {}  # session -> who checked in, and the event that says so
        self._messages: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()
        self._readings: OrderedDict[tuple[str, int, int], tuple[float, str]] = OrderedDict()
        self._data: OrderedDict[str, dict[str, Any]] = OrderedDict()  # of the events that readings went into
        self._told: OrderedDict[tuple[str, str], bool] = OrderedDict()

    def see(self, event: Event | Held) -> None:
        """Who is on which device, from the events that people record; what was kept aside ties nobody."""
        if isinstance(event, Held):
            return
        match event.type:
            case "checked-in":  # the first one; another is a mistake, and flagged in the session
                self._patients.setdefault(event.session, (str(event.data.get("patient", "")), event.id))
            case "device-assigned" if event.by not in (event.data["device"], event.source):
                self._tie(event.data["device"], Tie(event.session, event.id, event.at))
            case "device-released":
                device = event.data["device"]
                if (tie := self._ties.get(device)) and tie.session == event.session and tie.since <= event.at:
                    del self._ties[device]
                    self._freed[device] = event.at
            case "correction" if event.by != event.source:
                self._put_right(event)
            case kind if kind in _ENDS:
                self._ties = {d: tie for d, tie in self._ties.items() if tie.session != event.session}

    def _tie(self, device: str, tie: Tie) -> None:
        """What was last at the chair counts, whenever it was told."""
        known = self._ties.get(device)
        if tie.since >= max(known.since if known else tie.since, self._freed.get(device, tie.since)):
            self._ties[device] = tie

    def _put_right(self, correction: Event) -> None:
        """A check-in or a tie that was written down wrong."""
        corrects, data = correction.data["corrects"], correction.data.get("data", {})
        wrong = next((d for d, tie in self._ties.items() if tie.event == corrects), None)
        if wrong is not None and (correction.data.get("withdrawn") or data):
            tie = self._ties.pop(wrong)
            if right := data.get("device"):
                self._ties[right] = tie
        who = self._patients.get(correction.session)
        if who is not None and who[1] == corrects and isinstance(right := data.get("patient"), str):
            self._patients[correction.session] = right, corrects

    def feed(self, raw: bytes | str | Mapping[str, Any], received: int, device: str = "") -> tuple[Event | Held, ...]:
        """What one message comes to. `device`: its name on this floor if the wire tells, else what it calls itself."""
        sent = without_mark(_bytes(raw))
        data = sent.removeprefix(hl7v2.START).removesuffix(hl7v2.END)
        digest, limit = sha256(data).hexdigest(), self.words.limit
        self.counts["messages"] += 1
        if len(data) > limit["message"]:
            why = f"longer than the {limit['message']} bytes of one message: its first part is kept; send smaller ones"
            return (Held(kept(data, limit["kept"]), OF_MESSAGE, why, received),)
        text = kept(data, limit["message"])
        try:
            report = (fhir if data.lstrip()[:1] in (b"{", b"[") else hl7v2).read(sent, self.words)
        except BadInput as error:
            return (Held(text, OF_MESSAGE, str(error), received),)
        for code in report.unknown:
            self._not_read(called(code))
        known = self._messages.get(key := (called(report.sender), report.control or digest))
        again = known is not None and abs(received - known[1]) <= self._repeat
        if known and again and known[0] == digest:
            self.counts["doubled"] += 1
            return ()
        why = "its id came before with other content: give every message an id of its own" if again else ""
        if not (report.faults or why):
            _remember(self._messages, key, (digest, received), limit["messages"])
        named = (device, *(row.device for row in report.rows), called(report.sender.strip("|^")), "unnamed")
        name = next(filter(None, named))
        arrival = Arrival(text, digest, report, name, device, received, why)
        if not report.rows and (report.faults or not report.silent):
            why = "; ".join(report.faults) or "holds no measure of a session: send vital signs with MDC or LOINC codes"
            return (Held(text, f"{OF_MESSAGE} {report.control}", why, received),)
        return tuple(self._placed(arrival, self._clock(name)))

    def _not_read(self, code: str) -> None:
        name = f"not read: {code}"
        self.counts[name if name in self.counts or len(self.counts) < self.words.limit["codes"] else _OTHERS] += 1

    def _clock(self, name: str) -> Clock:
        """The clock of a device. Of too many, the one on nobody that was not heard for longest is forgotten."""
        limit = self.words.limit
        self.clocks[name] = clock = self.clocks.pop(name, None) or Clock(deque(maxlen=limit["clock"]))
        if len(self.clocks) > limit["devices"]:
            stray = next((n for n in self.clocks if n not in self._ties), None)
            if stray is not None:  # what waits for its time was judged and handed out on its arrival
                del self.clocks[stray]
        return clock

    def answer(self, raw: bytes, outcome: tuple[Event | Held, ...], received: int) -> bytes:
        """The HL7 acknowledgement of a message that was fed. Whose monitor it is does not concern its sender."""
        wrong = [o for o in outcome if isinstance(o, Held) and o.where.startswith(OF_MESSAGE)]
        code = "AA" if not wrong else "AE" if any(o.event for o in wrong) else "AR"
        return hl7v2.acknowledgement(raw, code, received, wrong[0].why if wrong else "")

    # --- when ---------------------------------------------------------------------------------------------------------

    def _placed(self, arrival: Arrival, clock: Clock) -> Iterator[Event | Held]:
        """A message on the clock of its device.

        A message far off that clock is late, or somebody set the clock: the next ones tell. Until then it is judged as
        of its arrival, and does not count; then it is placed.
        """
        report, received = arrival.report, arrival.received
        moment = report.sent or max((row.at for row in report.rows if row.at), default=None)
        if moment is None:
            yield from self._note(arrival.device, arrival, "time", "sends no times: the time of arrival is used")
        if moment is None or report.faults or arrival.again:
            yield from self._outcome(arrival, None)
            return
        if clock.zone is None and not moment.zoned:
            ahead = round((moment.ms - received) / self._quarter) * self._quarter
            clock.zone = ahead if abs(ahead) < MS_PER_DAY else 0  # further off, the clock is wrong, not its zone
        sent = _utc(moment, clock)
        skew = received - sent
        off = skew - clock.skew if clock.skews else 0
        if abs(off) > self._jump:
            if not self._changed(clock, skew, received):
                yield from self._apart(arrival, clock, sent, off)
                return
            clock.skews.clear()
            clock.newest = sent
            clock.changes += 1
            text = "shows another time than before: it is read anew from here"
            yield from self._note(arrival.device, arrival, f"change-{clock.changes}", text)
        clock.skews.append(skew)
        clock.newest, clock.apart = max(clock.newest, sent), None
        yield from self._about_clock(arrival, clock)
        waiting, clock.waiting = clock.waiting, []
        for one in (*waiting, arrival):  # late, or on the clock as it is now; one from the future is as of its arrival
            yield from self._outcome(one, clock)

    def _changed(self, clock: Clock, skew: int, received: int) -> bool:
        """Whether a clock keeps its new distance for a while: then it was set. Late messages come closer one by one."""
        if clock.apart is None or abs(skew - clock.apart[0]) > self._jump:
            clock.apart = skew, received
        return received - clock.apart[1] >= self._steady

    def _apart(self, arrival: Arrival, clock: Clock, sent: int, off: int) -> Iterator[Event | Held]:
        """A message off the clock of its device, before it is known why."""
        if off > 0 and sent >= clock.newest:  # it goes on where the last one ended: only the wire was slow
            clock.newest = sent
            yield from self._outcome(arrival, clock)
            return
        why = "its time is far from the clock of its device: late, or the clock was set; the next messages tell"
        yield from self._outcome(arrival, None, why)
        clock.waiting.append(arrival)
        if len(clock.waiting) > self.words.limit["waiting"]:
            yield from self._outcome(clock.waiting.pop(0), None)

    def _about_clock(self, arrival: Arrival, clock: Clock) -> Iterator[Event]:
        if abs(clock.skew) <= self._steady:
            self._told.pop((arrival.device, "clock"), None)
            return
        side, seconds = "behind" if clock.skew > 0 else "ahead", abs(clock.skew) // MS_PER_SECOND
        text = f"has a clock that is {seconds} s {side}: its times are set right"
        yield from self._note(arrival.device, arrival, "clock", text)

    # --- what ---------------------------------------------------------------------------------------------------------

    def _outcome(self, arrival: Arrival, clock: Clock | None, unsure: str = "") -> Iterator[Event | Held]:
        """The events of a message, and what is kept aside. `clock` None: everything is as of its arrival."""
        report, ids = arrival.report, _ids(arrival)
        if not (unsure or report.faults):
            yield from self._silence(arrival)
        groups: dict[tuple[int, str, int, str, str], list[Row]] = {}
        taken: Counter[tuple[str, int, str]] = Counter()
        for row in sorted(report.rows, key=lambda r: r.rank):
            name, at = arrival.given or row.device or arrival.device, self._at(row, arrival, clock)
            if not (unsure or report.faults or arrival.again) and self._known(name, row, report.sent):
                self.counts["repeated"] += 1
                continue
            if row.means in AMENDS and not (unsure or report.faults or row.why):
                if made := self._corrected(name, row, at, arrival, next(ids)):
                    yield made
                    continue
                if row.value is None:
                    why = "takes back a reading that is not here: look whether it was ever sent"
                    yield Held(arrival.raw, f"{OF_MESSAGE} {report.control}, {row.place}", why, arrival.received)
                    continue
            wrong = "; ".join(filter(None, (*report.faults, arrival.again, row.why)))
            layer = taken[name, at, row.measure]
            taken[name, at, row.measure] += 1
            groups.setdefault((-layer, name, at, wrong, row.place if row.why else ""), []).append(row)
        for (_, name, at, wrong, place), rows in sorted(groups.items()):  # the preferred of two readings comes last
            event = self._vitals(name, at, rows, arrival, next(ids), clock)
            reason, where = wrong, f"{OF_MESSAGE} {report.control}" + (f", {place}" if place else "")
            if not reason:
                reason, where = unsure or self._whose(name, report.patient, at), f"{OF_DEVICE} {name}"
            if reason in ("", _BEFORE):
                self._keep(event, rows)
            yield Held(arrival.raw, where, reason, arrival.received, event if event.data else None) if reason else event

    def _keep(self, event: Event, rows: list[Row]) -> None:
        """What a reading went into, so that a repetition is known and a correction finds it."""
        most = self.words.limit["readings"]
        for row in rows:
            if row.at and row.value is not None:
                _remember(self._readings, (event.source, row.rank, row.at.ms), (row.value, event.id), most)
        _remember(self._data, event.id, dict(event.data), most)

    def _vitals(self, name: str, at: int, rows: list[Row], arrival: Arrival, ident: str, clock: Clock | None) -> Event:
        data: dict[str, Any] = {row.measure: row.value for row in rows if row.value is not None}
        if odd := tuple(row.measure for row in rows if row.implausible):
            data[IMPLAUSIBLE] = odd
        session = self._ties[name].session if name in self._ties else ""
        offset = next((row.at.offset for row in rows if row.at), timedelta(0))
        if clock and clock.zone is not None and not offset:
            offset = timedelta(milliseconds=clock.zone)
        return Event(ident, at, arrival.received, VITALS, name, name, data, session, offset)

    def _known(self, name: str, row: Row, sent: Moment | None) -> bool:
        """Sent before: monitors repeat the last cuff pressure, with its own earlier time, in every message."""
        if row.at is None or sent is None or row.at.ms >= sent.ms or row.means != COUNTS:
            return False
        found = self._readings.get((name, row.rank, row.at.ms))
        return found is not None and found[0] == row.value

    def _corrected(self, name: str, row: Row, at: int, arrival: Arrival, ident: str) -> Event | None:
        """The correction of an earlier reading, if that reading is remembered."""
        key = name, row.rank, row.at.ms if row.at else 0
        found = self._readings.get(key)
        if found is None or found[1] not in self._data or self._whose(name, arrival.report.patient, at):
            return None
        data = dict(self._data[found[1]])
        odd = {m for m in data.pop(IMPLAUSIBLE, ()) if m != row.measure}
        data.pop(row.measure, None)
        if row.means == CORRECTS and row.value is not None:
            data[row.measure] = row.value
            odd |= {row.measure} if row.implausible else set()
            self._readings[key] = row.value, found[1]
        if odd:
            data[IMPLAUSIBLE] = tuple(sorted(odd))
        change: dict[str, Any] = {"data": data} if data and row.means != WRONG else {"withdrawn": True}
        self._data[found[1]] = data
        whole = {"corrects": found[1], "reason": f"{name} sent a correction", **change}
        session, received = self._ties[name].session, arrival.received
        return Event(ident, received, received, "correction", name, name, whole, session)

    def _silence(self, arrival: Arrival) -> Iterator[Event | Held]:
        """Once for each measure that a device can no longer give: what it says of it."""
        for row in arrival.report.rows:
            self._told.pop((arrival.given or row.device or arrival.device, row.measure), None)
        for device, measure, says in arrival.report.silent:
            about = f"{self.words.titles[measure]}: " if measure else ""
            name = arrival.given or device or arrival.device
            if not (reason := self._whose(name, arrival.report.patient, arrival.received)):
                yield from self._note(name, arrival, measure or says, f"says: {about}{says}")
            elif not arrival.report.rows:
                yield Held(arrival.raw, f"{OF_DEVICE} {name}", reason, arrival.received)

    def _note(self, name: str, arrival: Arrival, key: str, text: str) -> Iterator[Event]:
        """A remark in the record of the person on this device, once."""
        tie = self._ties.get(name)
        if tie is None or (name, key) in self._told:
            return
        _remember(self._told, (name, key), True, self.words.limit["notes"])
        ident, when = f"{name}/{arrival.digest[:HASH]}/{key.replace(' ', '-')}", arrival.received
        yield Event(ident, when, when, "note", name, name, {"text": f"{name} {text}."}, tie.session)

    # --- whose --------------------------------------------------------------------------------------------------------

    def _whose(self, name: str, named: tuple[str, ...], at: int) -> str:
        """Why a reading of `at` does not count for anybody; empty: it is that of the person the device is tied to."""
        if name not in self._ties:
            return "not tied to a person: look at the chair and say whose monitor this is"
        tie = self._ties[name]
        patient, _ = self._patients.get(tie.session, ("", ""))
        own = {patient, patient.rpartition("/")[2], *self._also.get(patient, ())}
        if named and patient and not own & set(named):
            return "its messages name another person than the one it is tied to: look at the chair who is on it"
        return _BEFORE if not named and at < tie.since - self._steady else ""

    def _at(self, row: Row, arrival: Arrival, clock: Clock | None) -> int:
        """When it was measured. Nothing is measured after it arrived."""
        if clock is None or row.at is None:
            return arrival.received
        shift = clock.skew if abs(clock.skew) > self._steady else 0
        return min(_utc(row.at, clock) + shift, arrival.received)


def _utc(moment: Moment, clock: Clock) -> int:
    return moment.ms if moment.zoned else moment.ms - (clock.zone or 0)


def _ids(arrival: Arrival) -> Iterator[str]:
    """Ids that are the same whenever the same message is read."""
    number = 0
    while True:
        yield f"{arrival.device}/{arrival.digest[:HASH]}" + (f"/{number}" if number else "")
        number += 1


def _remember(table: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > most:
        table.popitem(last=False)


def _bytes(raw: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(raw, str):
        return raw.encode("utf-8", "surrogatepass")
    if isinstance(raw, bytes):
        return raw
    try:
        return orjson.dumps(raw, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # in a circle, too deep, or no JSON: no message, and kept as far as it can be written
        return reprlib.repr(raw).encode()
