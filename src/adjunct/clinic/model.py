"""What is asked of the timetable and what it answers, as frozen values. Instants and lengths are milliseconds.

A request knows no diagnosis and no dose: a kind of visit, how long it takes, when it may be, and who must be there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from adjunct.base import FAR, BadInput, duration_ms, instant, shown
from adjunct.due import Step
from adjunct.followup.cover import Cover, Hours
from adjunct.followup.settings import NUMBER, TEXT, TRUTH, shaped

ALONE, SHARED, PRESENT = "alone", "shared", "present"
DOSE, OBSERVE, WHOLE = "dose", "observe", "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """People whom a visit needs: `count` of a role and with all of these competences, during one part of it.

    `how`: alone (with nobody else meanwhile), shared (observes some people at once), present (at work, not bound).
    """

    during: str = DOSE
    how: str = ALONE
    count: int = 1
    role: str = ""
    competences: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.during not in (DOSE, OBSERVE, WHOLE):
            raise BadInput(f"not a part of a visit: {shown(self.during)}; write dose, observe or whole", "needs.during")
        if self.how not in (ALONE, SHARED, PRESENT):
            raise BadInput(f"not a way to be there: {shown(self.how)}; write alone, shared or present", "needs.how")
        if self.count < 1:
            raise BadInput("a need is for one person or more", "needs.count")

    def __str__(self) -> str:
        skill = f" with {' and '.join(sorted(self.competences))} competence" if self.competences else ""
        return f"{self.role or 'member of staff'}{skill}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A visit that somebody needs. `person` is opaque; the whole visit lies between `opens` and `closes`.

    `duration_ms`: the dose or the talk, `observe_ms`: the stay after it, on the same chair. `order`: its place among
    the doses of one person, each `least_gap_ms` or more after the one before, start to start. `after`: the id of a
    visit that ends before this one starts. `wanted`: the start that the plan proposes; without it, early is best.
    `prefer` and `avoid` are wall-clock times of the week: first looked for there; never then. `priority`: 0 is most
    urgent. `asked`: when the request came.
    """

    id: str
    person: str
    kind: str
    duration_ms: int
    opens: int
    closes: int
    observe_ms: int = 0
    needs: tuple[Need, ...] = ()
    order: int | None = None
    least_gap_ms: int = 0
    after: str = ""
    wanted: int | None = None
    prefer: tuple[Hours, ...] = ()
    avoid: tuple[Hours, ...] = ()
    priority: int = 0
    asked: int = 0
    escort: bool = True  # whether somebody must take the person home

    def __post_init__(self) -> None:
        if self.duration_ms <= 0 or self.observe_ms < 0 or self.least_gap_ms < 0:
            raise BadInput("a visit lasts more than no time, and no length of time is below 0", f"request {self.id}")
        if not (self.opens < self.closes <= FAR):
            raise BadInput("the window closes before it opens: put its times in order", f"request {self.id}")
        for times in (self.prefer, self.avoid):
            Cover(zone="UTC", hours=times)  # refuses a day or a time that does not exist

    @property
    def length_ms(self) -> int:
        return self.duration_ms + self.observe_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Somebody bound to a visit from `starts` to `ends`."""

    staff: str
    how: str
    starts: int
    ends: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A request with its place."""

    request: Request
    starts: int
    ends: int
    chair: str
    duties: tuple[Duty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A request without a place, why in words, and the next start that would do if its window were longer."""

    request: Request
    says: str
    next_start: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A freed place held for the first of the waiting list whom it fits, until somebody answers."""

    booking: Booking
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Who comes when. `waiting`: in turn, see `turn`; `conflicts`: what cannot be, whoever else comes."""

    booked: tuple[Booking, ...]
    waiting: tuple[Unplaced, ...]
    conflicts: tuple[Unplaced, ...]
    faults: tuple[str, ...] = ()  # bookings that were kept and no longer fit the clinic
    offers: tuple[Offer, ...] = ()
    steps: tuple[Step, ...] = ()  # what is confirmed and reminded before each of them

    def to_dict(self) -> dict[str, Any]:
        """Plain values; competences in order."""
        return _plain(asdict(self))  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """The JSON that the command prints."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2, default=str).decode()


def wish(request: Request) -> int:
    """The start that would be best."""
    return request.opens if request.wanted is None else request.wanted


def turn(request: Request) -> tuple[int, int, int, str]:
    """The order of the waiting list: the more urgent, then whose window closes first, then who asked first."""
    return request.priority, request.closes, request.asked, request.id


_HOURS = [{"day": TEXT, "opens": TEXT, "closes": TEXT}]
_SHAPE: Mapping[str, Any] = {
    **dict.fromkeys(("id", "person", "kind", "duration", "observe", "opens", "closes", "least_gap", "after"), TEXT),
    **dict.fromkeys(("wanted", "asked"), TEXT),
    **dict.fromkeys(("order", "priority"), NUMBER),
    "needs": [{"during": TEXT, "how": TEXT, "count": NUMBER, "role": TEXT, "competences": [TEXT]}],
    "prefer": _HOURS,
    "avoid": _HOURS,
    "escort": TRUTH,
}


def requests(given: object) -> tuple[Request, ...]:
    """Requests from plain values, as a JSON file has them: instants with an offset, lengths such as "40 min".

    Raises `BadInput` with the place for a name that is not known, one that is missing, and two requests of one id.
    """
    found = tuple(
        _request(entry, f"requests[{number}]") for number, entry in enumerate(shaped(given, [_SHAPE], "requests"), 1)
    )
    unique(found)
    return found


def unique(asked: Sequence[Request]) -> Mapping[str, Request]:
    """The requests by id. Raises `BadInput` where two have one."""
    for name, times in Counter(request.id for request in asked).items():
        if times > 1:
            raise BadInput(f"{times} requests have the id {shown(name)}: give each its own", "requests")
    return {request.id: request for request in asked}


def _request(entry: Mapping[str, Any], at: str) -> Request:
    missing = [name for name in ("id", "person", "kind", "duration", "opens", "closes") if not entry.get(name)]
    if missing:
        raise BadInput(f"{missing[0]} is missing", at)
    read: dict[str, Any] = {n: entry[n] for n in ("id", "person", "kind", "after", "escort") if n in entry}
    read |= {n: instant(entry[n], f"{at}.{n}").ms for n in ("opens", "closes", "wanted", "asked") if n in entry}
    read |= {f"{n}_ms": duration_ms(entry[n], f"{at}.{n}") for n in ("duration", "observe", "least_gap") if n in entry}
    read |= {n: _whole(entry[n], f"{at}.{n}") for n in ("order", "priority") if n in entry}
    read |= {n: tuple(_hours(h, f"{at}.{n}") for h in entry[n]) for n in ("prefer", "avoid") if n in entry}
    needs = tuple(
        Need(
            **{n: need[n] for n in ("during", "how", "role") if n in need},
            count=_whole(need.get("count", 1), f"{at}.needs.count"),
            competences=frozenset(need.get("competences", ())),
        )
        for need in entry.get("needs", ())
    )
    return Request(**read, needs=needs)


def _hours(entry: Mapping[str, str], at: str) -> Hours:
    try:
        return Hours(**entry)
    except TypeError:
        raise BadInput("write day, opens and closes", at) from None


def _whole(value: float, at: str) -> int:
    if value != int(value):
        raise BadInput("not a whole number", at)
    return int(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return sorted(value) if isinstance(value, frozenset) else value
