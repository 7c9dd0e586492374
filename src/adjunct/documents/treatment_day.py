"""The treatment day on one page: what was given and checked, what was measured, what alarmed, what let the person go.

A value that nobody measured is shown as not measured, and none is copied forward. The predicted curve is drawn as
context and marked so. The page says whether the day is over and who signed it; it never makes a walk-out a discharge.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from adjunct.base import FAR, MS_PER_SECOND, Instant
from adjunct.documents.day_chart import MINUTE_MS, Bar, Series, chart
from adjunct.documents.page import ONE_PAGE
from adjunct.knowledge import Knowledge
from adjunct.session.alarms import LEVELS, Table, artefact, log
from adjunct.session.discharge import MET, MISSING, NOT_MET, left
from adjunct.session.model import Alarm, Event, Given, Phase, State
from adjunct.sheet import OWN, Line, Part, Sheet, cited, how_sure

if TYPE_CHECKING:
    from adjunct.session.discharge import Gate, Item
    from adjunct.session.predicted import Curve

NOT_MEASURED = "\u2013"
CUT = "\u2026"
NOTHING = "nothing on record"
STEPS = (5, 10, 15, 20, 30, 60, 120, 240, 480)  # layout: minutes that a row may stand for
PAGE = 88  # layout: lines of the least letters that one page holds, as `_lines` counts them
WIDE = 160  # layout: letters on a line
NARROW = 120  # layout: letters on a line of a table
DRAWING = 17  # layout: lines that the picture takes
CELL = 80  # layout: letters of a cell
NAME = 30  # layout: letters of a name
VALUES = 2  # of a correction, how many are named
COLUMNS = (
    ("BP", ("systolic", "diastolic")),
    ("HR", ("heart_rate",)),
    ("SpO2", ("spo2",)),
    ("Breaths", ("resp_rate",)),
    ("MOAA/S", ("moaas",)),
    ("RASS", ("rass",)),
    ("CADSS-6", ("cadss6",)),
    ("Distress", ("distress",)),
    ("Nausea", ("nausea_score",)),
)
WHERE_USED = frozenset({"RASS", "Distress", "Nausea"})  # columns that stand only where somebody measured them
DRAWN = (("systolic", "Systolic"), ("diastolic", "Diastolic"), ("heart_rate", "Heart rate"), ("spo2", "SpO2"))
WATCHED = "watched"  # the evidence of the gate that is a length of time
DEVICE = "device-given"
BY_HAND = {DEVICE: "nasal device", "injection-given": "injection"}
RUNS = ("infusion-started", "rate-changed", "dose-resumed")
STATES = {MET: "met", MISSING: "MISSING", NOT_MET: "NOT MET"}
ENDS = {
    Phase.DISCHARGED: "Discharged",
    Phase.LEFT: "LEFT BEFORE DISCHARGE. This is not a discharge",
    Phase.TRANSFERRED: "Transferred to emergency care",
    Phase.NOT_TREATED: "No dose was given today",
}
WHY = {"to": "To", "reason": "Reason", "text": "Noted"}


class Room(NamedTuple):
    """How much of each list stands on the page; the log has it all, and the page says how much more."""

    rows: int  # of vital signs; the chart has them all
    alarms: int
    entries: int
    doses: int
    letters: int  # of an entry
    orders: bool = True  # whether the gate says what is to be done, and each open item has a row
    picture: bool = True


ROOMS = (  # layout: how much of each list, until it fits on one page
    Room(rows=10, alarms=6, entries=5, doses=6, letters=240),
    Room(rows=8, alarms=5, entries=3, doses=6, letters=240),
    Room(rows=6, alarms=4, entries=2, doses=4, letters=240, orders=False),
    Room(rows=4, alarms=2, entries=1, doses=3, letters=90, orders=False),
    Room(rows=4, alarms=2, entries=1, doses=3, letters=90, orders=False, picture=False),
)


def treatment_day_sheet(
    state: State,
    events: Iterable[Event],
    knowledge: Knowledge,
    *,
    now: Instant,
    gate: Gate | None = None,
    curve: Curve | None = None,
) -> Sheet:
    """The session as it stands at `now`. `events`: as they count, in order; `gate`: what discharge asked for;
    `curve`: the predicted concentration. Of a day with too much for one page the lists are cut, and counted.
    """
    alarms, found = log(state, now.ms, Table.of_knowledge(knowledge)), {e.id: e for e in events}
    sheets = (_sheet(_Page(state, found, knowledge, now, alarms, room), gate, curve) for room in ROOMS)
    made = next(sheets)
    while _lines(made) > PAGE and (smaller := next(sheets, None)):
        made = smaller
    return made


def _sheet(say: _Page, gate: Gate | None, curve: Curve | None) -> Sheet:
    state, knowledge, now = say.state, say.knowledge, say.now
    parts = (
        say.dose(),
        *say.drawing(curve),
        say.vitals(),
        *say.alarms(),
        *say.done(),
        *say.gate(gate),
        *say.duties(),
        *say.entries("Corrections", say.corrections()),
        *say.entries("Flags", (f"{say.clock(f.at)}: {f.says}" for f in reversed(tuple(state.flags or ())))),
        say.signature(),
    )
    return Sheet(
        id="treatment-day",
        title=f"Treatment day, {say.date(state.checked_in or state.at)}",
        reader=ONE_PAGE,
        lead=say.lead(),
        parts=parts,
        foot=(
            Line(text=f"{NOT_MEASURED} : not measured. No value is copied forward. {CUT} : the rest is in the log."),
        ),
        meta={
            "made": f"{say.date(now.ms)} {say.clock(now.ms)} ({say.offset})",
            "knowledge": f"{knowledge.version}, {knowledge.as_of}",
            "Events": str(state.count),
        },
    )


@dataclass(frozen=True, slots=True)
class _Page:
    """The parts of one day."""

    state: State
    events: Mapping[str, Event]
    knowledge: Knowledge
    now: Instant
    raised: tuple[Alarm, ...]
    room: Room

    # --- words ------------------------------------------------------------------------------------------------------

    def local(self, ms: int) -> datetime:
        return datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(timezone(self.state.zone))

    def brief(self, text: str) -> str:
        return _short(text, self.room.letters)

    def clock(self, ms: int) -> str:
        return f"{self.local(ms):%H:%M}"

    def when(self, ms: int) -> str:
        """The time of day, with the date where it is another day than the last event's."""
        other = self.local(ms).date() != self.local(self.state.at).date()
        return f"{self.local(ms):%Y-%m-%d} {self.clock(ms)}" if other else self.clock(ms)

    def date(self, ms: int) -> str:
        local = self.local(ms)
        return f"{local:%A} {local.day} {local:%B %Y}"

    @property
    def offset(self) -> str:
        return f"UTC{self.local(self.now.ms).isoformat()[-len('+00:00') :]}"

    def lead(self) -> tuple[Line, ...]:
        state = self.state
        who = (
            state.patient or "person not named",
            state.treatment or "treatment not named",
            f"session {state.number}" if state.number else "",
            f"chair {state.chair}" if state.chair else "",
            f"times in {self.offset}",
        )
        line = Line(text=" \u00b7 ".join(_short(text, CELL) for text in who if text))
        return line, Line(text=self.standing(), strong=True)

    def standing(self) -> str:
        ended = self.state.ended
        if ended is None:
            return f"The day is not over: {self.state.phase.value}. This page is a state of {self.clock(self.now.ms)}."
        words = [f"{ENDS.get(ended.phase, ended.phase.value)}, {self.clock(ended.at)}"]
        told = [(word, str(ended.data[name]).strip(" .")) for name, word in WHY.items() if ended.data.get(name)]
        words += [f"{word}: {self.brief(text)}" for word, text in told]
        if ended.phase is Phase.LEFT:
            warned = ended.data.get("warned")
            how = "Not recorded whether warned" if warned is None else "Was warned" if warned else "Was NOT warned"
            words.append(f"{how} not to drive")
        return ". ".join(words) + "."

    # --- the dose ---------------------------------------------------------------------------------------------------

    def dose(self) -> Part:
        """Each part with its lot and who gave it; above it who ordered, prepared and checked."""
        dose = self.state.dose
        most = self.room.doses
        rows = [_row(self.part(number, part)) for number, part in enumerate(dose.given[:most], start=1)]
        if dose.rate is not None:
            running = (f"{self.clock(dose.since)} \u2013 ", f"running at {dose.rate:g} mL/h", "not over")
            rows.append(_row((*running, NOT_MEASURED, NOT_MEASURED)))
        outside = [e for name in dose.refused if (e := self.events.get(name))]
        rows += [_row(self.outside(event)) for event in outside[:most]]
        lines = tuple(Line(text=text) for text in (" ".join(self.ordered()), *self.first(self.overridden())))
        head = ("Time", "Given", "Amount", "Lot", "By")
        return Part(title="Dose", kind="table", lines=lines, head=head, rows=tuple(rows), id="dose")

    def ordered(self) -> Iterator[str]:
        dose = self.state.dose
        if dose.prepared is None:
            yield "No dose was prepared."
        else:
            made = dose.prepared
            by = _short(str(made.get("prescriber", "nobody named")), NAME)
            yield f"Ordered by {by}: {made['substance']} {made['dose']:g} mg."
            yield f"Prepared by {_short(dose.prepared_by, NAME)}."
            if dose.checked is None:
                yield "NOT checked by a second person."
            else:
                agrees = "agrees" if dose.checked.get("agrees") else "DOES NOT AGREE"
                yield f"Worked out anew by {_short(dose.checked_by, NAME)}: {dose.checked['dose']:g} mg, {agrees}."
        if dose.given:
            yield f"Given: {_amount(sum(part.mg for part in dose.given))}."
        if dose.stopped is not None:
            known = dose.complete is not None
            how = ("complete" if dose.complete else "NOT complete") if known else "not recorded whether complete"
            yield f"Ended {self.clock(dose.stopped)}, {how}."
        if dose.refused:
            yield f"{len(dose.refused)} outside the plan: it may have gone in, and the stay is counted from it."
        if more := sum(max(len(all_) - self.room.doses, 0) for all_ in (dose.given, dose.refused)):
            yield f"{more} more stand in the log."

    def overridden(self) -> Iterator[str]:
        for item, (who, why, at) in self.state.overrides.items():
            yield f"{self.clock(at)}: {_short(who, NAME)} went on although open: {self.title(item)}. Reason: {why}"

    def part(self, number: int, part: Given) -> Iterator[str]:
        """When, what, how much, of which lot and by whom; of an infusion, who set the pump to run so."""
        event = self.events.get(part.event)
        if event is None or event.type not in BY_HAND:
            event = next((e for e in reversed([*self.events.values()]) if e.at == part.at and e.type in RUNS), None)
        data: Mapping[str, Any] = event.data if event else {}
        words = [BY_HAND[event.type] if event and event.type in BY_HAND else "infusion", data.get("site")]
        words += [f"at {data['rate']:g} mL/h"] if "rate" in data else []
        words += [str(data.get("number", number))] if event and event.type == DEVICE else []
        yield self.clock(part.at) + (f" \u2013 {self.clock(part.until)}" if part.until > part.at else "")
        yield " ".join(map(str, filter(None, words)))
        yield _amount(part.mg)
        yield _short(part.lot or str((self.state.dose.prepared or {}).get("lot") or "not recorded"), NAME)
        yield _short(event.by, NAME) if event else "not recorded"

    def outside(self, event: Event) -> Iterator[str]:
        yield self.clock(event.at)
        why = "taken back by one person" if event.withdrawn else "NOT PLANNED"
        yield f"{BY_HAND.get(event.type, 'infusion')}, {why}"
        yield _amount(event.data["dose"]) if "dose" in event.data else "not recorded"
        yield _short(str(event.data.get("lot") or "not recorded"), NAME)
        yield _short(event.by, NAME)

    def by(self, event: str) -> str:
        found = self.events.get(event)
        return found.by if found else "not recorded"

    def title(self, name: str) -> str:
        name = name.removeprefix(artefact(""))
        table = Table.of_knowledge(self.knowledge)
        known = table.signs.get(name) or self.knowledge.concepts.get(name) or table.rows.get(name)
        return known.title if known else name.replace("_", " ").replace("-", " ")

    # --- what was measured ------------------------------------------------------------------------------------------

    def drawing(self, curve: Curve | None) -> Iterator[Part]:
        """The day as a picture; nothing measured, no picture."""
        series = [Series(title, name, self.state.track.get(name, ())) for name, title in DRAWN]
        if not any(s.points for s in series):
            return
        if not self.room.picture:
            yield Part(
                title="Course", lines=(Line(text="There is no room for the picture: see the log."),), id="course"
            )
            return
        alarms = sorted(self.raised, key=lambda a: LEVELS.index(a.level))  # the worst is drawn over the others
        bars = [Bar(a.alarm, a.level, a.raised, a.cleared) for a in alarms if a.level != LEVELS[0]]
        doses = [(part.at, part.until) for part in self.state.dose.given]
        curved = None if curve is None or not curve.t_ms else curve
        ended = self.state.ended
        last = ended.at if ended else self.now.ms
        first = self.state.checked_in or min(s.points[0][0] for s in series if s.points)
        svg = chart(series, doses, bars, curved, first=first, last=last, clock=self.clock)
        alt = f"Blood pressure, heart rate and oxygen saturation from {self.clock(first)} to {self.clock(last)}."
        lines = tuple(Line(text=text) for text in ([_predicted(curve)] if curve else []))
        yield Part(
            title="Course", kind="picture", svg=svg, alt=f"{alt} The numbers stand below.", lines=lines, id="course"
        )

    def vitals(self) -> Part:
        """The last value of each interval, the values before the dose, and the furthest ones since it began."""
        track, dose = self.state.track, self.state.dose
        used = [c for c in COLUMNS if c[0] not in WHERE_USED or any(track.get(name) for name in c[1])]
        step, starts = _intervals(track, [n for _, names in used for n in names], dose.first, self.room.rows)
        rows = []
        if dose.first is not None:
            before = {name: ((r.at, r.value),) for name, r in self.state.baseline.items()}
            rows.append(("before", *(_cell(before, names) for _, names in used)))
        for start in starts:
            within = {n: tuple(p for p in points if start <= p[0] < start + step) for n, points in track.items()}
            rows.append((self.clock(start), *(_cell(within, names) for _, names in used)))
        if self.state.peak:
            rows.append(("range since the dose", *(_range(self.state.peak, names) for _, names in used)))
        says = f"Each row: the last value measured in the {step // MINUTE_MS} minutes from its time."
        return Part(
            title="Vital signs and scales",
            kind="table",
            lines=(Line(text=says if rows else "Nothing was measured."),),
            head=("Time", *(self.headed(title, names) for title, names in used)),
            rows=tuple(map(_row, rows)),
            id="vitals",
        )

    def headed(self, title: str, names: Sequence[str]) -> str:
        return ", ".join(filter(None, (title, _unit(self.knowledge.concepts[names[0]].unit))))

    # --- alarms and acts --------------------------------------------------------------------------------------------

    def alarms(self) -> Iterator[Part]:
        """Every alarm that was raised. Where they are too many, the first of each kind, the worst kind first."""
        times = Counter[str]()
        ranked = []
        for alarm in self.raised:
            ranked.append((times[alarm.alarm], -LEVELS.index(alarm.level), alarm.raised, alarm))
            times[alarm.alarm] += 1
        chosen = sorted(
            (a for *_, a in sorted(ranked, key=lambda r: r[:-1])[: self.room.alarms]), key=lambda a: a.raised
        )
        lines = [] if chosen else [Line(text="No alarm was raised.")]
        if more := Counter(a.title for a in self.raised) - Counter(a.title for a in chosen):
            kinds = "; ".join(f"{title}, {count}" for title, count in more.most_common())
            lines.append(Line(text=f"{more.total()} more stand in the log: {kinds}."))
        rows = tuple(_row(self.alarm(a)) for a in chosen)
        head = ("Raised", "Alarm", "Level", "Shown by", "Passed on", "Acknowledged", "Over")
        yield Part(title="Alarms", kind="table", lines=tuple(lines), head=head, rows=rows, id="alarms")

    def alarm(self, alarm: Alarm) -> Iterator[str]:
        yield self.clock(alarm.raised)
        yield alarm.title
        yield alarm.level
        yield "; ".join(self.showed(name, value) for name, value in alarm.by) or NOT_MEASURED
        yield ", ".join(f"{self.clock(at)} {whose}" for at, whose in alarm.turns[1:]) or NOT_MEASURED
        yield ", ".join(f"{self.clock(e.at)} {_short(e.by, NAME)}" for e in self.seen(alarm)) or "NOBODY"
        yield "STANDS" if alarm.cleared is None else self.clock(alarm.cleared)

    def showed(self, name: str, value: float | str) -> str:
        """What raised an alarm: a measure with its value, or a sign, whose value is its own name."""
        return self.title(name) if isinstance(value, str) else f"{self.title(name)} {self.measured(name, value)}"

    def seen(self, alarm: Alarm) -> Iterator[Event]:
        """Who acknowledged it, every time: an alarm that lasts asks again."""
        until = FAR if alarm.cleared is None else alarm.cleared
        for event in self.events.values():
            of_it = event.type == "acknowledged" and event.data["alarm"] == alarm.alarm and not event.withdrawn
            if of_it and alarm.raised <= event.at <= until:
                yield event

    def done(self) -> Iterator[Part]:
        """Other medicines, and what was done about an alarm or a task."""
        given = [
            (at, " ".join(str(data[name]) for name in ("substance", "dose", "route")), self.by(event))
            for at, data, event in self.state.medications
        ]
        acts = [
            (at, ": ".join(filter(None, (data["what"], data.get("text")))), by) for at, data, by in self.state.actions
        ]
        found = [f"{self.clock(at)} {what} ({_short(by, NAME)})" for at, what, by in sorted(given + acts)]
        if found:
            words = " \u00b7 ".join(self.first(found))
            yield Part(title="Given and done", lines=(Line(text=words),), id="done")

    def entries(self, title: str, texts: Iterable[str]) -> Iterator[Part]:
        """A list of what there is; nothing where there is none."""
        if found := list(texts):
            yield Part(title=title, kind="list", lines=tuple(Line(text=text) for text in self.first(found)))

    def corrections(self) -> Iterator[str]:
        """What was first written, what counts, who says so and why."""
        for which, _, at, by, reason in self.state.corrections:
            event = self.events.get(which)
            what = f"{event.type} of {self.clock((event.was or event).at)}" if event else which
            yield f"{self.clock(at)} {_short(by, NAME)}: {what} {self.changed(event)}. Reason: {reason}"

    def changed(self, event: Event | None) -> str:
        if event is None or event.was is None:
            return "corrected"
        if event.withdrawn:
            return f"withdrawn; it said {self.said(event.was.data)}"
        old = {name: value for name, value in event.was.data.items() if event.data.get(name) != value}
        new = {name: value for name, value in event.data.items() if event.was.data.get(name) != value}
        moved = f", at {self.clock(event.at)}" if event.at != event.was.at else ""
        return f"said {self.said(old) or 'the same'}; counts as {self.said(new) or 'the same'}{moved}"

    def said(self, data: Mapping[str, object]) -> str:
        said = [f"{self.title(name)} {self.measured(name, value)}" for name, value in data.items()]
        more = [f"{len(said) - VALUES} more"] if len(said) > VALUES else []
        return ", ".join((*said[:VALUES], *more))

    def first(self, texts: Iterable[str]) -> list[str]:
        """The first of a list, none too long, and how many more there are."""
        every, most = list(texts), self.room.entries
        rest = [f"{len(every) - most} more stand in the log."] if len(every) > most else []
        return [*map(self.brief, every[:most]), *rest]

    # --- the end ----------------------------------------------------------------------------------------------------

    def gate(self, gate: Gate | None) -> Iterator[Part]:
        """What discharge asked for, item by item, with the values that answer it.

        Of a day that ended without a discharge: what was open then, with what was on record and no more to be done.
        """
        if gate is None:
            return
        ended = self.state.ended
        over = ended is not None and ended.phase is not Phase.DISCHARGED
        names = Counter(str(e.by) for item in gate.items for e in item.evidence if e.by)
        usual = names.most_common(1)[0][0] if names else ""
        orders = self.room.orders and not over
        brief = [item for item in gate.items if (item.state == MET if over else not item.evidence and not item.says)]
        blank = [] if self.room.orders else [i for i in gate.items if i.state == MISSING and not i.evidence]
        rows = tuple(
            (
                self.judged(item.title, item),
                Line(text=STATES[item.state], strong=item.state != MET),
                Line(
                    text=". ".join(filter(None, (self.evidence(item, usual), item.says if orders else ""))) or NOTHING
                ),
            )
            for item in gate.items
            if item not in brief and item not in blank
        )
        says = "Open: everything is met." if gate.open else f"CLOSED: {len(gate.lacking)} not met."
        says += f" Seen by {_short(usual, NAME)} where nobody else is named." if usual else ""
        lines = [Line(text=says, strong=not gate.open)]
        if brief:
            met = "Met" if over else "Met, with nothing on record against it"
            lines.append(self.judged(f"{met}: {'; '.join(item.title for item in brief)}.", brief[0]))
        if blank:
            lines.append(self.judged(f"{STATES[MISSING]}, {NOTHING}: {'; '.join(i.title for i in blank)}.", blank[0]))
        head = ("Item", "State", "On record then" if over else f"By what{', and what is to be done' if orders else ''}")
        yield Part(title="Discharge gate", kind="table", lines=tuple(lines), head=head, rows=rows, id="gate")

    def judged(self, text: str, item: Item) -> Line:
        sure = how_sure(self.knowledge, item.status, item.source)
        return Line(text=text, source=self.cited(item.source, item.locator), sure=sure)

    def cited(self, source: str, locator: str) -> str:
        """A source; of what is this project's own, the place in its protocol: how sure it is stands beside it."""
        return locator if source in OWN else cited(self.knowledge, source)

    def evidence(self, item: Item, usual: str) -> str:
        """Each value with its time; named where there are several, and by whom where it was not the usual one."""
        several = len(item.evidence) > 1
        shown = (
            (
                self.title(e.what) if several or isinstance(e.value, str) else "",
                self.measured(e.what, e.value, e.unit),
                f"since {self.clock(e.at)}" if e.what == WATCHED else self.clock(e.at),
                "" if e.by == usual else _short(e.by, NAME),
            )
            for e in item.evidence
        )
        return self.brief("; ".join(" ".join(filter(None, words)) for words in shown))

    def measured(self, name: str, value: object, unit: str = "") -> str:
        """A value with its unit, of its concept or of its field; a score has none."""
        known = self.knowledge.concepts.get(name)
        types = self.knowledge.content["events"]["type"] if known is None and not unit else ()
        fields = (field for kind in types for field in kind.get("field", ()) if field["id"] == name)
        unit = unit or (known.unit if known else next((f["unit"] for f in fields if "unit" in f), ""))
        return " ".join(filter(None, (_written(value), _unit(unit))))

    def duties(self) -> Iterator[Part]:
        """What must follow now that the person has walked out."""
        rows = tuple(
            (
                Line(text=duty.title, source=self.cited(duty.source, duty.locator)),
                Line(text=duty.owner),
                Line(text=NOT_MEASURED if duty.due is None else self.when(duty.due)),
                Line(
                    text=duty.state
                    if duty.done is None
                    else f"{duty.state} {self.clock(duty.done[0])} {_short(duty.done[1], NAME)}",
                    strong=duty.state in ("open", "overdue"),
                    sure=how_sure(self.knowledge, duty.status, duty.source),
                ),
            )
            for duty in left(self.state, self.now.ms, self.knowledge)
        )
        if rows:
            head = ("After leaving", "Who", "Until", "State")
            yield Part(title="What follows", kind="table", head=head, rows=rows, id="duties")

    def signature(self) -> Part:
        ended = self.state.ended
        if ended is not None and ended.phase is Phase.DISCHARGED:
            who = _short(ended.data.get("signed_by") or ended.by, NAME)
            text = f"Discharge signed by {who} ({ended.data.get('role', 'role not recorded')}), {self.clock(ended.at)}."
        else:
            text = "No discharge was signed."
        return Part(title="Signature", lines=(Line(text=text, strong=True),), id="signature")


def _row(texts: Iterable[str]) -> tuple[Line, ...]:
    return tuple(Line(text=_short(text, CELL)) for text in texts)


def _short(text: str, most: int) -> str:
    """
    >>> _short("as it was written", 10)
    'as it was\u2026'
    """
    return text if len(text) <= most else text[: most - 1].rstrip() + CUT


def _lines(sheet: Sheet) -> int:
    """About how many lines a sheet takes."""

    def tall(texts: Iterable[str], width: int) -> int:
        return max(math.ceil(sum(map(len, texts)) / width), 1)

    parts = sheet.parts
    heads = sum(2 + bool(part.head) for part in parts) + DRAWING * any(part.svg for part in parts)
    every = [line for lines in (sheet.lead, sheet.foot, *(part.lines for part in parts)) for line in lines]
    cells = [cell for part in parts for row in part.rows for cell in row]
    rows = (tall((cell.text for cell in row), NARROW) for part in parts for row in part.rows)
    sources = tall({line.source for line in (*every, *cells)}, WIDE)
    return heads + sum(tall([line.text], WIDE) for line in every) + sum(rows) + sources


def _intervals(
    track: Mapping[str, Sequence[tuple[int, float]]], names: Sequence[str], since: int | None, most: int
) -> tuple[int, list[int]]:
    """The shortest step that leaves few enough rows, and the starts of those intervals that hold a value; where no
    step does, the last of them. Counted from `since`, the start of the dose.
    """
    times = {at for name in names for at, _ in track.get(name, ()) if since is None or at >= since}
    begin = since or 0
    every = [(s, sorted({at - (at - begin) % s for at in times})) for s in (m * MINUTE_MS for m in STEPS)]
    step, starts = next((found for found in every if len(found[1]) <= most), every[-1])
    return step, starts[-most:]


def _cell(values: Mapping[str, Sequence[tuple[int, float]]], names: Sequence[str]) -> str:
    """The last value; of a pressure both numbers of one moment."""
    last = max((values[name][-1][0] for name in names if values.get(name)), default=None)
    shown = [next((f"{v:g}" for at, v in reversed(values.get(name, ())) if at == last), NOT_MEASURED) for name in names]
    return NOT_MEASURED if last is None else "/".join(shown)


def _range(peak: Mapping[str, tuple[float, float]], names: Sequence[str]) -> str:
    spans = ["\u2013".join(dict.fromkeys(f"{value:g}" for value in peak[name])) for name in names if name in peak]
    return " / ".join(spans) or NOT_MEASURED


def _predicted(curve: Curve) -> str:
    if not curve.typical:
        return curve.says
    return f"Dashed: {curve.substance}, typically up to {max(curve.typical):.0f} {curve.unit}. {curve.says}"


def _amount(mg: float) -> str:
    """Of a dose: what a pump has delivered is known to four figures."""
    return f"{mg:.4g} mg"


def _unit(code: str) -> str:
    return "" if code.startswith("{") else code.replace("mm[Hg]", "mmHg")


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isnan(value):
        return "no value"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
