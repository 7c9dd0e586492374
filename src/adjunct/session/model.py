"""What a treatment day is, as frozen values: its events, its state, its alarms, what is kept aside and why.

Instants are milliseconds since 1970 UTC, lengths of time are milliseconds, measures are in the unit of their concept.
The state holds last values, open items and running summaries, not the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

EMPTY: Mapping[str, Any] = {}


class Event(NamedTuple):
    """One thing that happened at `at` and arrived at `received`. `data` is checked and in canonical units.

    `by`: who did or saw it; `source`: what it came through ("chair", "monitor-3"). Order is (`at`, `id`).
    """

    id: str
    at: int
    received: int
    type: str
    by: str
    source: str
    data: Mapping[str, Any]
    session: str = ""
    offset: timedelta = timedelta(0)  # of `at`, for whoever writes it out again
    was: Event | None = None  # as it was first written, where a correction changed it
    withdrawn: bool = False  # it did not happen, or was of somebody else
    second: str = ""  # who else stands for the correction


class Held(NamedTuple):
    """What was received and could not be used as it is: kept whole, with where, why and what to do.

    `event`: what could be read of it all the same, so that it is judged though it does not count.
    """

    raw: str
    where: str
    why: str
    received: int | None = None
    event: Event | None = None


class Phase(StrEnum):
    """Where a session stands."""

    EXPECTED = "expected"  # nobody has checked in
    ARRIVED = "arrived"
    DOSING = "dosing"
    PAUSED = "paused"
    OBSERVING = "observing"  # the dose is over
    DISCHARGED = "discharged"
    LEFT = "left-before-discharge"
    TRANSFERRED = "transferred"
    NOT_TREATED = "not-treated"


DURING = frozenset({Phase.DOSING, Phase.PAUSED})


class Reading(NamedTuple):
    """The last valid value of a measure."""

    value: float
    at: int
    by: str
    source: str
    event: str


class Answer(NamedTuple):
    """The last thing recorded of a question, a sign or an item: yes, no, a number, an instant (ms) or words."""

    value: Any
    at: int
    by: str
    event: str


def escort_here(present: bool | None, fit: bool | None) -> bool | None:
    """Whether the adult who takes the person home is here and fit; None while that is not known.

    >>> escort_here(True, None), escort_here(True, False), escort_here(True, True)
    (None, False, True)
    """
    return False if present is False or fit is False else True if present and fit else None


class Given(NamedTuple):
    """One part of the dose that went in: a device, an injection, or a stretch of infusion at one rate (`until`)."""

    at: int
    until: int
    mg: float
    event: str
    lot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """What was ordered, checked and given. `rate` in mL/h while the pump runs, `since` when it began to run so."""

    prepared: Mapping[str, Any] | None = None  # the data of the last dose-prepared
    prepared_at: int | None = None
    prepared_by: str = ""
    prepared_event: str = ""
    checked: Mapping[str, Any] | None = None
    checked_by: str = ""
    given: tuple[Given, ...] = ()
    rate: float | None = None
    since: int = 0
    concentration: float | None = None  # mg/mL
    volume: float | None = None  # mL to be infused
    rate_before: float | None = None  # mL/h before the pause
    first: int | None = None  # when the first of it went in
    last: int | None = None  # when the last device, the injection or the end of the infusion was
    watch_from: int | None = None  # the stay is counted from here: the latest of what was ever recorded
    stopped: int | None = None  # dose-stopped
    complete: bool | None = None
    refused: tuple[str, ...] = ()  # events of doses recorded after a stop: they count as taken, and are flagged

    @property
    def mg(self) -> float:
        """mg of the parts that are over; what a running pump has given since is `pump.so_far`."""
        return sum(part.mg for part in self.given)

    @property
    def began(self) -> int | None:
        """When it began to go in; of one that should not have been given, the latest time on record."""
        return self.watch_from if self.first is None else self.first


class Flag(NamedTuple):
    """Something that did not fit. `code` is a word for machines, `says` what a person reads."""

    event: str
    at: int
    code: str
    says: str


class Silence(NamedTuple):
    """The sound rests for one alarm, or for all ("")."""

    alarm: str
    at: int
    until: int
    by: str


class Band(NamedTuple):
    """A condition that holds: since when, by which event, and the value then."""

    since: int
    event: str
    value: float | str


class Episode(NamedTuple):
    """One alarm from its beginning to its end.

    `since`: the condition began; `raised`: the delay was over; `cleared`: it ended, None while it stands.
    `by` names what raised it: measures with values, or signs. `event`: the first event that shows it.
    """

    alarm: str
    level: str  # emergency | high | medium | low | probe
    since: int
    raised: int
    event: str
    by: tuple[tuple[str, float | str], ...]
    acknowledged: tuple[tuple[int, str], ...] = ()  # when, by whom
    cleared: int | None = None


class Alarm(NamedTuple):
    """An alarm as it stands at one instant: what to do, whose turn it is, and whether it may sound."""

    alarm: str
    level: str
    title: str
    says: tuple[str, ...]  # first actions, in order
    tell: Mapping[str, str]  # what the person hears, by language
    dose: str  # "stop" | "pause" | "slow" | "" : what the alarm asks for the dose
    hard: bool
    since: int
    raised: int
    by: tuple[tuple[str, float | str], ...]
    acknowledged: int | None
    acknowledged_by: str
    to: str  # whose turn it is now: nurse, prescriber ...
    escalated: int | None  # since when, where it is not the first one's turn any more
    silent_until: int | None
    turns: tuple[tuple[int, str], ...]  # since when it was whose turn
    because: str = ""  # the id of the rule behind it
    cleared: int | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """A list that grows without being copied. It reads newest first.

    >>> list(Chain(2, Chain(1)))
    [2, 1]
    """

    head: Any
    rest: Chain | None = None

    def __iter__(self) -> Iterator[Any]:
        node: Chain | None = self
        while node is not None:
            yield node.head
            node = node.rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the session ended: discharged, left-before-discharge, transferred or not-treated."""

    phase: Phase
    at: int
    by: str
    event: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)  # no slots: `but` copies a dictionary, which is what makes a day quick to replay
class State:
    """One session as it stands after its last event."""

    session: str = ""
    phase: Phase = Phase.EXPECTED
    at: int = 0  # of the last event
    count: int = 0  # events taken in
    patient: str = ""
    treatment: str = ""
    visit: str = ""
    number: int | None = None
    chair: str = ""
    checked_in: int | None = None
    zone: timedelta = timedelta(0)  # offset of the times as they were written
    answers: Mapping[str, Answer] = field(default_factory=dict)  # readiness, signs, gate items, by concept or item id
    asked: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # when each was answered
    yes: Mapping[str, Answer] = field(default_factory=dict)  # the last yes of each, whatever was said after it
    overrides: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)  # item -> prescriber, reason, at
    substances: tuple[tuple[str, int | None, int], ...] = ()  # words, last use, told at
    medications: tuple[tuple[int, Mapping[str, Any], str], ...] = ()  # at, data, event
    actions: tuple[tuple[int, Mapping[str, Any], str], ...] = ()  # at, data, by
    readings: Mapping[str, Reading] = field(default_factory=dict)
    baseline: Mapping[str, Reading] = field(default_factory=dict)  # the last ones before the dose
    calm: Mapping[str, tuple[float, float]] = field(
        default_factory=dict
    )  # values that raise nothing, with the baseline
    peak: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # least and greatest since the dose began
    track: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)  # at most one a minute, all day
    dose: Dose = field(default_factory=Dose)
    bands: Mapping[str, Band] = field(default_factory=dict)  # conditions that hold
    episodes: Mapping[str, Episode] = field(default_factory=dict)  # alarm -> the one that stands or is to come
    past: Chain | None = None  # episodes that are over
    newest: int = 0  # when the newest of the past alarms was raised
    silences: tuple[Silence, ...] = ()
    stop_called: tuple[int, str, bool] | None = None  # at, alarm, hard: an alarm asked to stop the dose
    devices: Mapping[str, int] = field(default_factory=dict)  # tied to this person, since
    heard: Mapping[str, int] = field(default_factory=dict)  # measure -> last valid value of a tied monitor
    no_data: tuple[tuple[int, str], ...] = ()  # acknowledgements of missing data
    artefacts: int = 0  # values that are not possible
    corrections: tuple[tuple[str, str, int, str, str], ...] = ()  # corrected event, correction, at, by, reason
    mistaken: frozenset[tuple[str, str]] = frozenset()  # alarm and event: raised by what a correction took back
    flags: Chain | None = None  # of `Flag`
    ended: Ended | None = None

    @property
    def escort(self) -> bool | None:
        """`escort_here`, by the last look at the escort."""
        here, fit = self.answers.get("escort_present"), self.answers.get("escort_fit")
        return here and escort_here(here.value, fit.value if fit and fit.event == here.event else None)

    def oxygen(self) -> list[tuple[int, bool]]:
        """When it was said that oxygen flows, or none, oldest first; at one instant that it flows comes last."""
        words = [(at, flow != 0) for at, flow in self.track.get("oxygen", ())]
        if flow := self.readings.get("oxygen"):
            words.append((flow.at, flow.value != 0))
        if air := self.answers.get("room_air"):
            words.append((air.at, not air.value))
        return sorted(words)

    def last(self, name: str) -> Reading | Answer | None:
        """What was recorded last of a measure, a question or a sign."""
        return self.readings.get(name) or self.answers.get(name)

    def but(self, **changes: Any) -> State:
        """This state with some fields changed."""
        new: State = object.__new__(State)
        new.__dict__.update(self.__dict__, **changes)
        return new
