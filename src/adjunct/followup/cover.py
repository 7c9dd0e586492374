"""When somebody of the clinic reads what arrives, who that is, and whom the person can reach meanwhile.

Opening hours are wall-clock times in the clinic's time zone, so that a change to summer time moves nothing. What a
person is told never promises a call: it says where help answers at any hour, and before when nobody here looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from adjunct.assessment.lines import contact, emergency_text, lines_for
from adjunct.assessment.result import Contact
from adjunct.base import MS_PER_SECOND, BadInput, shown
from adjunct.knowledge import Knowledge

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LOOK_AHEAD_D = 60  # days searched for the next opening; a clinic that is closed for longer has none
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """One opening of a week day, "08:00" to "17:30"; "24:00" is the end of the day."""

    day: str
    opens: str
    closes: str


@dataclass(frozen=True, kw_only=True)
class Cover:
    """The clinic's own settings: hours, zone (IANA name), who answers in which order, who is on call (or nobody).

    `owners` gives the roles prescriber and clinician their names, `chain` those who are asked to confirm an alarm,
    one after the other. `closed` are ISO dates. Raises `BadInput` for a zone, a day or a time that does not exist.
    """

    zone: str
    hours: tuple[Hours, ...] = ()
    closed: frozenset[str] = frozenset()
    chain: tuple[str, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    on_call: str = ""

    def __post_init__(self) -> None:
        for hours in self.hours:
            if hours.day not in DAYS:
                raise BadInput(f"not a day of the week: {shown(hours.day)}; write monday to sunday", "cover.hours")
            if not _wall(hours.opens) < _wall(hours.closes):
                raise BadInput("opening hours end before they begin; split a night at 24:00", "cover.hours")
        for day in self.closed:
            if not _is_date(day):  # a holiday that is not understood would be told as a working day
                raise BadInput(f"not a date: {shown(str(day))}; write for example 2026-12-25", "cover.closed")
        if not all(name.strip() for name in self.chain):
            raise BadInput("nobody stands at a place in the chain; give a name or leave it out", "cover.chain")
        _ = self.clock  # an unknown zone is refused here, not at three in the morning

    @cached_property
    def clock(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise BadInput(
                f"no such time zone: {shown(self.zone)}; write for example Europe/Berlin", "cover.zone"
            ) from None

    def owner(self, role: str) -> str:
        """The name behind a role; a role without a name stays a role, it is never nobody."""
        return self.owners.get(role, "").strip() or role

    def openings(self, day: date) -> list[tuple[int, int]]:
        """The instants (ms) between which somebody reads, on one day of the clinic's calendar."""
        if day.isoformat() in self.closed:
            return []
        name = DAYS[day.weekday()]
        return sorted(
            (self.instant(day, _wall(h.opens)), self.instant(day, _wall(h.closes))) for h in self.hours if h.day == name
        )

    def local(self, ms: int) -> datetime:
        return datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(self.clock)

    def instant(self, day: date, wall: timedelta) -> int:
        """A wall-clock time of a local day as an instant; a time that the clocks skip is as much later."""
        naive = datetime.combine(day, time()) + wall
        return round(naive.replace(tzinfo=self.clock).timestamp()) * MS_PER_SECOND

    def day_end(self, ms: int) -> int:
        """The midnight after `ms`, in the clinic's calendar."""
        return self.instant(self.local(ms).date(), timedelta(days=1))

    def attended_until(self, now: int) -> int | None:
        """When the present opening ends; None while nobody reads. Openings that touch, over midnight too, are one."""
        today, until = self.local(now).date(), None
        for start, end in (*self.openings(today), *self.openings(today + timedelta(days=1))):
            if start <= now < end or (until is not None and start <= until):
                until = end if until is None else max(until, end)
        return until

    def next_opening(self, now: int) -> int | None:
        """When somebody reads next, strictly after `now`; None if the settings name no such time."""
        today = self.local(now).date()
        for ahead in range(LOOK_AHEAD_D):
            for start, _ in self.openings(today + timedelta(days=ahead)):
                if start > now:
                    return start
        return None


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except (TypeError, ValueError):
        return False


def _wall(text: str) -> timedelta:
    hour, _, minute = text.partition(":")
    try:
        wall = timedelta(hours=int(hour), minutes=int(minute))
        if len(minute) == len("00") and timedelta(0) <= wall <= timedelta(days=1):
            return wall
    except (ValueError, OverflowError):
        pass
    raise BadInput(f"not a time of day: {shown(text)}; write HH:MM, 00:00 to 24:00", "cover.hours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is shown to somebody at once: sentences in order, and the lines they can call."""

    lines: tuple[str, ...]
    contacts: tuple[Contact, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        contacts = [{name: getattr(c, name) for name in ("purpose", "name", "contact", "text")} for c in self.contacts]
        return {"lines": list(self.lines), "contacts": contacts}


def contacts_in(country: str, knowledge: Knowledge, *, today: str) -> tuple[Contact, ...]:
    """Emergency number and crisis lines of the country where the person is now, each with its date.

    Country unknown: the words for an unknown one; no country's number is a default. `today` is an ISO date; a line
    past its review date is still shown, with its date and the emergency number.
    """
    place = country.upper()
    lines = [line for purpose in ("emergency", "suicide") for line in lines_for(purpose, place, knowledge)]
    return tuple(dict.fromkeys(contact(line, today, place, knowledge) for line in lines))


def who_reads(cover: Cover, texts: Mapping[str, str], knowledge: Knowledge, *, now: int) -> str:
    """Until when somebody reads today, or before when nobody does. The clock time is the clinic's, and says so."""
    until = cover.attended_until(now)
    moment = until if until is not None else cover.next_opening(now)
    if moment is None:
        return texts["unattended_unknown"]
    local, today = cover.local(moment), cover.local(now).date()
    shown_time = local.strftime("%H:%M" if local.date() == today else "%Y-%m-%d %H:%M")
    zone = knowledge.say(texts["clinic_time"], zone=cover.zone)
    return knowledge.say(texts["attended" if until is not None else "unattended"], time=f"{shown_time} {zone}")


def told(
    level: str,
    knowledge: Knowledge,
    cover: Cover,
    *,
    country: str,
    now: int,
    language: str = DEFAULT_LANGUAGE,
    paged: bool = True,
) -> Told:
    """What the person reads at once at a risk level: thanks, the numbers of where they are, and who reads this when.

    The numbers come first whoever is there. The person on call is named only if the clinic has one, out of hours, and
    not when the page has been answered (`paged`).
    """
    texts = _in(knowledge.content["workflow"]["tell"], language)
    emergency = emergency_text(country.upper(), knowledge)
    lines = [knowledge.say(texts[level], emergency=emergency)]
    lines.append(knowledge.say(texts["emergency_line"], emergency=emergency))
    lines.append(who_reads(cover, texts, knowledge, now=now))
    if paged and level in ("HIGH", "UNFINISHED") and cover.on_call and cover.attended_until(now) is None:
        lines.append(texts["on_call"])
    return Told(lines=tuple(lines), contacts=contacts_in(country, knowledge, today=cover.local(now).date().isoformat()))


def supporter_reply(
    knowledge: Knowledge,
    cover: Cover,
    *,
    country: str,
    now: int,
    consent: bool | None = None,
    seen: bool = False,
    language: str = DEFAULT_LANGUAGE,
) -> Told:
    """What somebody reads who raised an alarm about another. Emergency advice always; about the person only by consent.

    Consent that is unknown is none. Without it `seen` is not looked at and nothing of the person is an argument here,
    so the reply cannot tell whether anybody is known.
    """
    texts = _in(knowledge.content["workflow"]["supporter"], language)
    reading = _in(knowledge.content["workflow"]["tell"], language)
    about = texts["silent"] if consent is not True else texts["seen" if seen else "received"]
    emergency = knowledge.say(texts["emergency"], emergency=emergency_text(country.upper(), knowledge))
    return Told(
        lines=(texts["thanks"], emergency, who_reads(cover, reading, knowledge, now=now), about),
        contacts=contacts_in(country, knowledge, today=cover.local(now).date().isoformat()),
    )


def _in(texts: Mapping[str, Mapping[str, str]], language: str) -> Mapping[str, str]:
    """The texts in a language, else in English: help in another language is better than none."""
    return texts.get(language, texts[DEFAULT_LANGUAGE])
