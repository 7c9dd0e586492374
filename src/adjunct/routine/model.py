"""What a routine is, as frozen values: what the person chose and did, and what follows from it today.

Instants are milliseconds since 1970 UTC, days are of the clinic's calendar. A text for the person is a `sheet.Line`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from adjunct.base import UNKNOWN, Instant
from adjunct.due import Done, Step
from adjunct.sheet import Line

NOT_DONE = "no"


class Kind(StrEnum):
    """What somebody decided about an activity; in this order, where two decisions bear one time."""

    CHOSEN = "chosen"
    EDITED = "edited"
    CLEARED = "cleared"  # a named clinician has said yes to what had to be asked first
    DECLINED = "declined"  # never offered again, unless the person asks
    ASKED = "asked"  # the person asks for it again
    STOPPED = "stopped"


class Effect(StrEnum):
    """What a limit does to an activity, from mild to strict."""

    CAUTION = "caution"  # a sentence goes with it
    SHRINK = "shrink"  # only the five-minute version
    ASK = "ask"  # starts after an answer, or when a clinician has said yes
    EXCLUDE = "exclude"  # neither offered nor agreed while it holds


class State(StrEnum):
    """Where a chosen habit stands."""

    ACTIVE = "active"
    WAITING = "waiting"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One decision. `step` counts the ladder from 0; `goal`, `cue` and `dose` are the person's own words, or empty.

    `about` is the condition that a clinician has cleared.
    """

    kind: Kind
    activity: str
    at: int
    by: str
    step: int | None = None
    goal: str = ""
    cue: str = ""
    dose: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the person noted of one day: done, done in part, or not done. A day without an entry is unknown."""

    activity: str
    at: int
    done: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Everything decided so far, oldest first. `answers`: what was asked about limits, condition -> truth."""

    acts: tuple[Act, ...] = ()
    answers: Mapping[str, int] = field(default_factory=dict)
    energy: int | None = None
    pain: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A limit that holds, or that may hold because its condition is not known."""

    condition: str
    truth: int
    effect: Effect
    title: str
    says: str
    tell: Line

    @property
    def known(self) -> bool:
        return self.truth != UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """One step of the ladder; 0 is the five-minute version. Minutes at a time, days a week."""

    step: int
    minutes: float
    days: float
    text: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """An activity as this person is told it today. Grades: for depression, and for what it does after ketamine."""

    id: str
    kind: str
    domain: str
    title: Line
    text: Line
    goal: Line
    cue: Line
    stop: Line
    known: Line
    after: Line
    grade: str
    after_grade: str
    dose: Dose
    limits: tuple[Held, ...]
    clinician: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adherence:
    """Days of the last week on which it was done, and the share that this is: at least, and at most if the days
    without a note were done too."""

    done: int
    planned: float
    unknown: int
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """A chosen activity. `dose` of `activity` is today's; `next` is offered when it goes well."""

    activity: Activity
    state: State
    since: int
    changed: int
    by: str
    version: int
    new: bool
    agreed: Dose
    adherence: Adherence | None
    next: Dose | None
    resting: bool  # not today: session day, or too soon after the session
    because: tuple[Line, ...]
    why: tuple[str, ...]  # the same, for clinicians


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One entry of the log of what was agreed."""

    number: int
    at: int
    by: str
    kind: Kind
    activity: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Words in a note that may mean danger. `tell` is what is shown at once; closing it is the risk workflow's."""

    at: int
    activity: str
    level: str
    flags: tuple[str, ...]
    tell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """One person's routine at one instant. `agreed` are the lines that therapist and prescriber read."""

    at: Instant
    zone: str
    language: str
    habits: tuple[Habit, ...]
    waiting: tuple[Habit, ...]
    paused: tuple[Habit, ...]
    offers: tuple[Activity, ...]
    care: tuple[Activity, ...]
    declined: tuple[str, ...]
    questions: tuple[Line, ...]
    ask_privately: tuple[Line, ...]  # never printed, never sent: others may read it, or stand beside
    alerts: tuple[Alert, ...]
    agreed: tuple[str, ...]
    versions: tuple[Version, ...]
    steps: tuple[Step, ...]
    done: tuple[Done, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; instants in ms, `at` in ISO 8601."""
        return asdict(self) | {"at": self.at.iso()}

    def to_json(self) -> str:
        """The JSON that the command prints."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2, default=str).decode()
