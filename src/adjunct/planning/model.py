"""What a plan is, as frozen values: visits, steps, timeline, sheets; every version with who changed it and why.

Instants are milliseconds since 1970 UTC, days are of the clinic's calendar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from adjunct.base import Instant
from adjunct.due import State, Step, Window

OVER = (State.DONE, State.MISSED)  # of a visit: nothing of it is to come


class Status(StrEnum):
    """What may be done with a plan."""

    NONE = "none"  # an emergency comes first: there is no plan
    WAITING = "waiting"  # something is open; the visits are proposals until it is closed
    ACTIVE = "active"
    ON_HOLD = "on-hold"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing a plan says: to the clinician (`says`) and to the person (`tell`), with where it is from."""

    id: str
    title: str
    says: str
    tell: str = ""
    source: str = ""  # the id of a source
    locator: str = ""
    status: str = "proposed"
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One session of the course, or of a therapy. `starts` and `ends` are proposals until somebody books them."""

    id: str
    number: int
    phase: str
    kind: str  # dose | therapy | taper | contact
    title: str
    window: Window
    starts: int
    ends: int
    state: State
    given_at: int | None = None
    booked: bool = False  # `starts` is an appointment that somebody made, not a proposal
    least_gap_ms: int = 0  # before it, after the last dose
    observe_ms: int = 0  # how long the person stays after the dose, at least
    facts: tuple[Told, ...] = ()  # what label or trial says for this visit; for clinicians
    prerequisites: tuple[str, ...] = ()  # ids of steps that come before
    measures: tuple[str, ...] = ()  # what is measured then


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One bar of the timeline: what the label or the knowledge says of a medicine from `opens` to `closes`."""

    id: str
    title: str
    says: str
    tell: str
    opens: int | None
    closes: int | None
    involves: tuple[str, ...] = ()
    source: str = ""
    locator: str = ""
    status: str = "proposed"
    reference: str = ""  # the entry of the record


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One choice of the clinic, within its bounds. `clinic`: whether the clinic set it or it is the default."""

    id: str
    title: str
    value: Any
    unit: str
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    clinic: bool
    default: Any
    source: str
    locator: str
    status: str  # "proposed" is shown as a default of this project


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of the plan's log. `after`: the version it was written on, so that two writers do not overwrite.

    `kind`: amend | hold | resume | stop | missed | move | book.
    """

    id: str
    at: int
    by: str
    kind: str
    reason: str
    after: int
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A named prescriber's decision to plan all the same, with the reason."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CarePlan:
    """One plan for the whole person, as of one instant. `steps` are for `due.py`."""

    at: Instant
    zone: str
    language: str
    patient: str
    protocol: str
    protocol_version: int
    protocol_title: str
    version: int
    status: Status
    verdict: str
    override: Override | None
    open: tuple[Told, ...]  # what must be closed first, most urgent first
    told: tuple[str, ...]  # what the person is told now
    visits: tuple[Visit, ...]
    steps: tuple[Step, ...]
    missed: tuple[Told, ...]
    reviews: tuple[Told, ...]
    stops: tuple[Told, ...]
    timeline: tuple[Fact, ...]
    settings: tuple[Setting, ...]
    changes: tuple[Change, ...]
    notes: tuple[Told, ...]
    knowledge: Mapping[str, str]
