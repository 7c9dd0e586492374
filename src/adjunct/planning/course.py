"""The visits of one course: phase by phase from the protocol, moved by what was given, missed and decided.

Days are of the clinic's calendar, so that a change to summer time moves no appointment; the least time between two
doses is counted in real hours. The walk depends on its arguments and nothing else: the same record and log give the
same visits after any restart, and a later `now` only ever adds what has become known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import takewhile
from typing import Any

from adjunct.base import MS_PER_DAY, BadInput, shown
from adjunct.clinic import Clinic
from adjunct.due import State, Window
from adjunct.followup.cover import LOOK_AHEAD_D
from adjunct.planning.log import Log
from adjunct.planning.model import Setting, Visit
from adjunct.planning.protocols import Phase, Protocol, value_ms

Span = tuple[int, int]
DOSE, HOLDS = "dose", "hold"
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The visits in order, the days on which none could be placed, and doses that belong to no visit."""

    visits: tuple[Visit, ...]
    closed: tuple[Window, ...] = ()
    outside: tuple[Span, ...] = ()
    before: Span | None = None  # the last dose before the course
    vague: tuple[str, ...] = ()  # visits whose dose is known to no more than the month
    unmoved: tuple[str, ...] = ()  # visits that were moved to a day on which they can no longer be
    whole: frozenset[str] = frozenset()  # phases of which every visit stands here

    def only_past(self) -> Course:
        """What was, and nothing more."""
        return self.without([v for v in self.visits if v.state not in (State.DONE, State.MISSED)])

    def without(self, dropped: Sequence[Visit]) -> Course:
        return replace(
            self,
            visits=tuple(v for v in self.visits if v not in dropped),
            whole=self.whole - {v.phase for v in dropped},
        )

    @property
    def given(self) -> tuple[Visit, ...]:
        return tuple(v for v in self.visits if v.state is State.DONE)

    @property
    def missed_last(self) -> tuple[Visit, ...]:
        """The visits missed in a row, up to the last one whose time has passed."""
        past = [v for v in self.visits if v.state in (State.DONE, State.MISSED)]
        return tuple(reversed(list(takewhile(lambda v: v.state is State.MISSED, reversed(past)))))


@dataclass(slots=True)
class _Walk:
    """Where the walk stands: the day of the last visit, and the last dose (its latest possible time)."""

    day: date
    dose: int | None
    number: int = 0
    since: int = 0  # when the course went on after a pause: no visit is before it
    free: list[Span] = field(default_factory=list)


def course(
    protocol: Protocol,
    values: Mapping[str, Setting],
    *,
    start: date,
    clinic: Clinic,
    given: Sequence[Span],
    log: Log,
    now: int,
    language: str,
    avoid: frozenset[date] = frozenset(),
    others: Sequence[Span] = (),
) -> Course:
    """The visits of a protocol that begins on `start`; `values` are the clinic's, `log` what was decided since.

    `given`: doses on record, each from its earliest to its latest possible time. `others`: doses of another substance
    or route; they are no visits of this course, and the least time is kept from them too. `avoid`: days of other
    visits, for a therapy that needs a clear head. Raises `BadInput` for a visit of a counted series that has no opening
    in its window, with the visit and the window. Once a dose was given or something was decided, the visit stands on
    the next open day instead and what follows counts from it: nobody loses their plan because a dose was late.
    """
    done, beside = (sorted((a, min(b, now)) for a, b in spans if a <= now) for spans in (given, others))
    begun = bool(done or log.changes)
    return _Builder(protocol, values, start, clinic, log, now, language, avoid, beside, begun).course(done)


@dataclass(slots=True)
class _Builder:
    protocol: Protocol
    values: Mapping[str, Setting]
    start: date
    clinic: Clinic
    log: Log
    now: int
    language: str
    avoid: frozenset[date]
    others: Sequence[Span]
    begun: bool
    closed: list[Window] = field(default_factory=list)
    vague: list[str] = field(default_factory=list)
    unmoved: list[str] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)

    def course(self, given: Sequence[Span]) -> Course:
        first = self.midnight(self.start)
        before = [d for d in given if d[1] < first]
        walk = _Walk(day=self.start, dose=before[-1][1] if before else None, free=[d for d in given if d[1] >= first])
        visits: list[Visit] = []
        for phase in self.protocol.phases:
            if phase.only_if and self.final(phase.only_if[0]) != phase.only_if[1]:
                continue
            visits += self._phase(phase, walk)
            if visits and self.log.halted(visits[-1].window.closes):
                break
        self._named({v.id for v in visits})
        found = Course(
            visits=tuple(visits),
            closed=tuple(self.closed),
            outside=tuple(walk.free),
            before=before[-1] if before else None,
            vague=tuple(self.vague),
            unmoved=tuple(self.unmoved),
            whole=frozenset(self.whole),
        )
        return found.without([v for v in visits if self.log.dropped(v.window, given=v.state is State.DONE)])

    def _named(self, visits: Iterable[str]) -> None:
        """Refuse a change, as long as it is the last one, about a visit of this course that there is not."""
        name = str(self.log.changes[-1].data.get("visit", "")) if self.log.changes else ""
        if name.startswith(f"{self.protocol.id}.") and name not in visits:
            raise BadInput(f"the course has no visit {shown(name)}; read the plan for the ids of its visits", "change")

    # --- one phase -------------------------------------------------------------------------------------------------

    def _phase(self, phase: Phase, walk: _Walk) -> Iterator[Visit]:
        count = None if phase.visits is None else round(float(self.final(phase.visits)))
        last = None if phase.until is None else self._horizon(phase.until)
        inside = 0
        while count is None or inside < count:
            target = self._target(phase, walk, inside)
            if last is not None and target > last:
                break
            if self.log.halted(self.midnight(target)):
                return
            walk.day, inside = target, inside + 1
            visit = self._visit(phase, walk, inside)
            if visit is None:
                continue
            yield visit
            if visit.state is State.MISSED and count is not None and self.protocol.appends(phase.id):
                count += 1
        self.whole.add(phase.id)

    def _horizon(self, setting: str) -> date:
        """The end of an open course: the next time that it must be justified anew, however often it was."""
        length = timedelta(milliseconds=self.ms(setting, self.log.values(self.values, self.now)))
        today = self.clinic.cover.local(self.now).date()
        return self.start + length * (max(today - self.start, timedelta(0)) // length + 1)

    def _target(self, phase: Phase, walk: _Walk, inside: int) -> date:
        given = walk.free[0][0] if walk.free else None
        if walk.number == 0:
            target, walk.since = self.log.resumed(self.start, given)
            return target
        names = phase.gaps
        name = phase.lead if inside == 0 and phase.lead else names[(inside - 1) % len(names)] if names else phase.lead
        at = self.midnight(walk.day)
        target = walk.day + self.days(name, self.log.values(self.values, at))
        changed = self.log.values(self.values, self.midnight(target))
        if self.days(name, changed) != target - walk.day:  # decided in between: from that day on, not before it
            since = self.clinic.cover.local(self.log.since(name or "", self.midnight(target))).date()
            target = max(walk.day + self.days(name, changed), since)
        target, walk.since = self.log.resumed(target, given)
        return target

    # --- one visit -------------------------------------------------------------------------------------------------

    def _visit(self, phase: Phase, walk: _Walk, inside: int) -> Visit | None:
        values = self.log.values(self.values, self.midnight(walk.day))
        kind = phase.kind
        gap = self.ms(phase.least_gap, values) if kind == DOSE else 0
        length, observe = self.ms(phase.duration, values), self.ms(phase.observe, values)
        early, late = self.days(phase.early, values), self.days(phase.late, values)
        first = walk.number == 0  # the course begins on the day that was chosen, not before
        opens = max(self.midnight(walk.day if first else walk.day - early), walk.since)
        closes = self.midnight(walk.day + late + DAY)
        before = [walk.dose, *(d[1] for d in self.others if d[0] < closes)] if gap else []
        opens = max([opens, *(dose + gap for dose in before if dose is not None)])
        name = f"{self.protocol.id}.{phase.id}.{inside}"
        half = self.days(phase.gaps[inside % len(phase.gaps)] if phase.gaps else phase.late, values) / 2
        nearest = max(closes, self.midnight(walk.day) + half // timedelta(milliseconds=1))
        dose = self._dose(walk, nearest) if kind == DOSE else None
        done = self._given(dose, walk, name) if dose is not None else self.log.done(name)
        starts = done if done is not None else self._starts(walk.day, opens, closes, length + observe, name)
        if starts is None:
            window = Window(opens=opens, due=opens, overdue=opens, closes=max(closes, opens))
            if phase.visits is not None:
                return self._visit(phase, self._later(walk, window, length + observe), inside)
            self.closed.append(window)
            return None
        walk.number += 1
        ends = starts + length + observe
        window = Window(opens=min(opens, starts), due=starts, overdue=max(ends, starts), closes=max(closes, ends))
        state = window.state(self.now) if done is None else State.DONE
        if done is None and self.log.missed(name):
            state = State.MISSED
        if kind == DOSE and state is not State.MISSED:
            walk.dose = dose[1] if dose is not None else starts
        if done is not None and done >= closes:  # late: what follows counts from the day it was given
            walk.day = self.clinic.cover.local(done).date()
        return Visit(
            id=name,
            number=walk.number,
            phase=phase.id,
            kind=kind,
            title=phase.title.get(self.language, phase.title["en"]),
            window=window,
            starts=starts,
            ends=ends,
            state=state,
            given_at=done,
            booked=done is None and name not in self.unmoved and isinstance(self.log.moved(name), int),
            least_gap_ms=gap,
            observe_ms=observe,
        )

    def _dose(self, walk: _Walk, nearest: int) -> Span | None:
        """The dose that this visit was: the first one that no earlier visit was, nearer to this visit than the next.

        Early and late ones too: what was given counts, whatever was planned.
        """
        return walk.free.pop(0) if walk.free and walk.free[0][0] < nearest else None

    def _given(self, dose: Span, walk: _Walk, name: str) -> int:
        """When a dose was given: of a span of days the planned one, if it lies inside."""
        if dose[1] - dose[0] < MS_PER_DAY:
            return dose[0]
        self.vague.append(name)
        return min(max(dose[0], self.midnight(walk.day)), dose[1])

    def _later(self, walk: _Walk, window: Window, length: int) -> _Walk:
        """The walk on the next day on which a visit fits that had no room in its window."""
        last = self.clinic.cover.local(max(window.closes, window.opens) - 1).date()
        for day in (last + DAY * n for n in range(LOOK_AHEAD_D)) if self.begun or self.avoid else ():
            if day not in self.avoid and self._opening(day, window.opens, self.midnight(day + DAY), length) is not None:
                self.closed.append(window)
                walk.day = day
                return walk
        raise BadInput(self._no_room(walk.number + 1, window), "start" if walk.number == 0 else "clinic.hours")

    def _starts(self, target: date, opens: int, closes: int, length: int, name: str) -> int | None:
        """The proposed time: on the target day if the clinic is open, else the nearest of the window, later first."""
        moved = self.log.moved(name)
        cover = self.clinic.cover
        if moved is not None:
            booked = isinstance(moved, int)
            day = cover.local(moved).date() if isinstance(moved, int) else moved
            at = self._opening(day, max(opens, moved) if isinstance(moved, int) else opens, closes, length)
            if at is not None and not (booked and at != moved):
                return at
            if self.log.changes[-1].data.get("visit") == name:  # what was decided since may have moved the window away
                when = f"{cover.local(moved):%Y-%m-%d %H:%M}" if isinstance(moved, int) else moved
                raise BadInput(f"visit {name} cannot be moved to {when}: closed then, or outside its window", "change")
            self.unmoved.append(name)
        first, last = cover.local(opens).date(), cover.local(closes - 1).date()
        days = [first + DAY * n for n in range((last - first).days + 1)]
        for day in sorted(days, key=lambda d: (abs(d - target), d < target)):
            at = None if day in self.avoid else self._opening(day, opens, closes, length)
            if at is not None:
                return at
        return None

    def _opening(self, day: date, opens: int, closes: int, length: int) -> int | None:
        """The first time of a day at which the whole visit fits into the hours of the clinic."""
        for begins, ends in self.clinic.cover.openings(day):
            at = max(begins, opens)
            if at + length <= ends and at < closes:
                return at
        return None

    def _no_room(self, number: int, window: Window) -> str:
        cover = self.clinic.cover
        first, last = cover.local(window.opens).date(), cover.local(max(window.closes - 1, window.opens)).date()
        after = cover.next_opening(self.midnight(last + DAY) - 1)
        when = f"on {first}" if first == last else f"from {first} to {last}"
        return (
            f"visit {number} must be {when} and the clinic has no opening long enough then"
            + (f"; it is next open on {cover.local(after).date()}" if after is not None else "")
            + ": choose another start or open a day"
        )

    # --- lengths ---------------------------------------------------------------------------------------------------

    def midnight(self, day: date) -> int:
        return self.clinic.cover.instant(day, timedelta(0))

    def final(self, setting: str) -> Any:
        return self.log.values(self.values, self.now)[setting].value

    def ms(self, name: str | None, values: Mapping[str, Setting]) -> int:
        return 0 if not name else value_ms(values[name])

    def days(self, name: str | None, values: Mapping[str, Setting]) -> timedelta:
        """A length in whole days of the calendar."""
        return timedelta(days=self.ms(name, values) // MS_PER_DAY)
