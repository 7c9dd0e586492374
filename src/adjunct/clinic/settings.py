"""One clinic as it describes itself: hours, chairs, rooms, staff; or an explicit default that says it is one.

Hours are wall-clock times of the clinic's zone, days are of its calendar, lengths of time are milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from adjunct.base import MS_PER_SECOND, BadInput, duration_ms, shown
from adjunct.followup.cover import DAYS, LOOK_AHEAD_D, Cover, Hours
from adjunct.followup.settings import ELSEWHERE, NUMBER, SHAPE, TEXT, shaped
from adjunct.knowledge import Knowledge

HOUR_MS = duration_ms("1 h")
COUNTRY = len("US")
_SHAPE: Mapping[str, Any] = {
    **dict.fromkeys(SHAPE, ELSEWHERE),
    "cover": SHAPE["cover"],
    "clinic": {
        **dict.fromkeys(("name", "telephone", "address", "emergency", "country", "raster", "notice"), TEXT),
        "observes": NUMBER,
    },
    "chair": [{"id": TEXT, "room": TEXT, "kinds": [TEXT]}],
    "room": [{"id": TEXT, "capacity": NUMBER}],
    "staff": [
        {
            **dict.fromkeys(("id", "name"), TEXT),
            **{name: [TEXT] for name in ("roles", "competences", "away")},
            "hours": [{"day": TEXT, "opens": TEXT, "closes": TEXT}],
            "observes": NUMBER,
        }
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room and how many visits it holds at once."""

    id: str
    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chair:
    """A place for one person. `kinds`: the kinds of visit it fits; none named: any. `room` may be left open."""

    id: str
    room: str = ""
    kinds: frozenset[str] = frozenset()

    def fits(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Somebody who works here. Without `hours`: whenever the clinic is open. `observes`: people watched at once."""

    id: str
    name: str
    observes: int
    roles: frozenset[str] = frozenset()
    competences: frozenset[str] = frozenset()
    hours: tuple[Hours, ...] = ()
    away: tuple[tuple[date, date], ...] = ()  # first and last day

    def can(self, role: str, competences: Iterable[str]) -> bool:
        return (not role or role in self.roles) and self.competences.issuperset(competences)

    def is_away(self, day: date) -> bool:
        return any(first <= day <= last for first, last in self.away)


@dataclass(frozen=True, kw_only=True)
class Clinic:
    """The clinic's settings, checked. `stated` is False while it has written none: hours and zone are then defaults.

    `protocol` is raw and checked by whoever knows the protocols. `raster_ms`: visits start on its multiples;
    `notice_ms`: a freed place is offered no later than this before it starts. `emergency` is for the staff's texts.
    """

    cover: Cover
    raster_ms: int
    notice_ms: int
    stated: bool = True
    name: str = ""
    telephone: str = ""
    address: str = ""
    emergency: str = ""
    country: str = ""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    chairs: tuple[Chair, ...] = ()
    rooms: tuple[Room, ...] = ()
    staff: tuple[Staff, ...] = ()

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None, knowledge: Knowledge) -> Clinic:
        """Read a clinic's file, as plain values. Raises `BadInput` with the place of the first fault.

        None is a clinic that has written nothing: weekdays, the hours of the knowledge, UTC, no chairs. A file
        without hours gets the same hours, in its own zone.
        """
        read = shaped({} if settings is None else settings, _SHAPE, "settings")
        own, cover = dict(read.get("clinic", {})), dict(read.get("cover", {}))
        hours = tuple(Hours(**h) for h in cover.pop("hours", ())) or _usual_hours(knowledge)
        closed, chain = frozenset(cover.pop("closed", ())), tuple(cover.pop("chain", ()))
        country = own.pop("country", "")
        if country and not (len(country) == COUNTRY and country.isalpha()):
            raise BadInput(f"not a country: {shown(country)}; write two letters, such as US", "settings.clinic.country")
        observes = _count(own.pop("observes", knowledge.number("clinic.observes")), "settings.clinic.observes")
        rooms = tuple(_rooms(read.get("room", ()), read.get("chair", ())))
        protocol = read.get("protocol", {})
        if not isinstance(protocol, Mapping):
            raise BadInput("not a table of names and values", "settings.protocol")
        return cls(
            cover=Cover(**{"zone": "UTC", **cover}, hours=hours, closed=closed, chain=chain),
            raster_ms=_raster(own.pop("raster", _text(knowledge, "clinic.raster"))),
            notice_ms=duration_ms(own.pop("notice", _text(knowledge, "clinic.notice")), "settings.clinic.notice"),
            stated=settings is not None and "hours" in settings.get("cover", {}),
            country=country.upper(),
            protocol=protocol,
            chairs=tuple(_chairs(read.get("chair", ()), {room.id for room in rooms})),
            rooms=rooms,
            staff=tuple(_staff(read.get("staff", ()), observes)),
            **own,
        )

    def openings(self, first: date, last: date) -> list[tuple[int, int]]:
        """The instants between which the clinic is open, both days included; openings that touch are one."""
        found: list[tuple[int, int]] = []
        for number in range((last - first).days + 1):
            for opens, closes in self.cover.openings(first + timedelta(days=number)):
                if found and opens <= found[-1][1]:
                    found[-1] = (found[-1][0], max(closes, found[-1][1]))
                else:
                    found.append((opens, closes))
        return found

    def is_open(self, day: date) -> bool:
        return bool(self.cover.openings(day))

    def next_open_day(self, day: date) -> date | None:
        """The day itself, or the first after it, on which the clinic is open; None if there is none for long."""
        ahead = (day + timedelta(days=number) for number in range(LOOK_AHEAD_D))
        return next(filter(self.is_open, ahead), None)


def _usual_hours(knowledge: Knowledge) -> tuple[Hours, ...]:
    opens, closes = (f"{knowledge.number(f'clinic.default.{name}'):02.0f}:00" for name in ("opens", "closes"))
    return tuple(Hours(day=day, opens=opens, closes=closes) for day in DAYS[: DAYS.index("saturday")])


def _text(knowledge: Knowledge, fact: str) -> str:
    return f"{knowledge.number(fact):g} {knowledge.facts[fact].unit}"


def _raster(text: str) -> int:
    raster = duration_ms(text, "settings.clinic.raster")
    if raster <= 0 or HOUR_MS % raster or raster % MS_PER_SECOND:
        raise BadInput("visits start on a part of the hour: write for example '5 min'", "settings.clinic.raster")
    return raster


def _count(value: float, at: str) -> int:
    if value != int(value) or value < 1:
        raise BadInput("not a number of people: write 1 or more", at)
    return int(value)


def _named(entries: Iterable[Mapping[str, Any]], kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Each entry with its place in the file; every one has an id of its own."""
    found = [(f"settings.{kind}[{number}]", entry) for number, entry in enumerate(entries, start=1)]
    for at, entry in found:
        if not entry.get("id", "").strip():
            raise BadInput("id is missing", at)
    for name, times in Counter(entry["id"] for _, entry in found).items():
        if times > 1:
            raise BadInput(f"{shown(name)} is there {times} times: give each its own id", f"settings.{kind}")
    return found


def _rooms(entries: Iterable[Mapping[str, Any]], chairs: Iterable[Mapping[str, Any]]) -> Iterable[Room]:
    """The rooms; one that does not say how many it holds, holds as many as it has chairs."""
    inside = Counter(chair.get("room", "") for chair in chairs)
    for at, entry in _named(entries, "room"):
        yield Room(id=entry["id"], capacity=_count(entry.get("capacity", max(inside[entry["id"]], 1)), at))


def _chairs(entries: Iterable[Mapping[str, Any]], rooms: set[str]) -> Iterable[Chair]:
    for at, entry in _named(entries, "chair"):
        room = entry.get("room", "")
        if room and room not in rooms:
            raise BadInput(f"the room {shown(room)} does not exist: add [[room]] id = {shown(room)}", f"{at}.room")
        yield Chair(id=entry["id"], room=room, kinds=frozenset(entry.get("kinds", ())))


def _staff(entries: Iterable[Mapping[str, Any]], observes: int) -> Iterable[Staff]:
    for at, entry in _named(entries, "staff"):
        hours = tuple(Hours(**_whole(h, f"{at}.hours")) for h in entry.get("hours", ()))
        _checked_hours(hours, f"{at}.hours")
        yield Staff(
            id=entry["id"],
            name=entry.get("name", entry["id"]),
            observes=_count(entry.get("observes", observes), f"{at}.observes"),
            roles=frozenset(entry.get("roles", ())),
            competences=frozenset(entry.get("competences", ())),
            hours=hours,
            away=tuple(_days(span, f"{at}.away") for span in entry.get("away", ())),
        )


def _whole(hours: Mapping[str, str], at: str) -> Mapping[str, str]:
    missing = [name for name in ("day", "opens", "closes") if name not in hours]
    if missing:
        raise BadInput(f"{missing[0]} is missing", at)
    return hours


def _checked_hours(hours: tuple[Hours, ...], at: str) -> None:
    """Opening hours know what a day and a time are; say whose they are."""
    try:
        Cover(zone="UTC", hours=hours)
    except BadInput as error:
        raise BadInput(str(error).removesuffix(f" (at {error.at})"), at) from None


def _days(span: str, at: str) -> tuple[date, date]:
    """The first and the last day of an absence: one ISO date, or two with a stroke between them."""
    first, _, last = span.partition("/")
    try:
        opens, closes = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        raise BadInput(f"not a date: {shown(span)}; write 2027-01-15, or 2027-01-15/2027-01-22", at) from None
    if opens > closes:
        raise BadInput("an absence ends before it begins: put its dates in order", at)
    return opens, closes
