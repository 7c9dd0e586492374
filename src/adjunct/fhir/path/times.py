"""Partial dates, dateTimes and times as text: which is earlier, what lies a month later, the first and last instant."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from adjunct.base import MAX_MONTH

FULL_DATE = 3  # parts of a date with its day
FULL_MINUTE = 5  # parts of a date with hour and minute; offsets move these
DATE_DIGITS = 8  # digits of a date with its day
DAYS_A_YEAR = 365  # FHIRPath N1, 6.7: of a date without month
DAYS_A_MONTH = 30  # FHIRPath N1, 6.7: of a date without day
MICRO = 1_000_000  # microseconds in a second
ANY_DAY = "2000-01-01T"
FIRST, LAST = "0001-01-01T00:00:00.000", "9999-12-31T23:59:59.999"
ZONES_APART_H = 26  # hours between the first and the last place to begin a day
FIRST_OFFSET, LAST_OFFSET = "+14:00", "-12:00"  # where a day begins first, and where it ends last

Parts = tuple[Any, ...]
_BLANK = (1, 1, 1, 0, 0, 0)

_CLOCK = r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?"
_MOMENT = re.compile(rf"(\d{{4}})(?:-(\d\d)(?:-(\d\d)(?:T{_CLOCK}(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII)
_TIME = re.compile(_CLOCK + "()", re.ASCII)


def _read(text: object) -> tuple[Parts, str] | None:
    """Year, month, day, hour, minute, seconds as far as given (a time begins with the hour), and the offset."""
    found = (_MOMENT.fullmatch(text) or _TIME.fullmatch(text)) if isinstance(text, str) else None
    if found is None:
        return None
    *numbers, zone = found.groups()
    return tuple(Decimal(n) if "." in n else int(n) for n in numbers if n is not None), zone or ""


def written_as(text: object) -> str:
    """date, dateTime or time, by the form of a text; "" if it is none of them."""
    if not isinstance(text, str) or _read(text) is None:
        return ""
    return "time" if _TIME.fullmatch(text) else "dateTime" if "T" in text else "date"


def order_of_times(left: object, right: object) -> int | None:
    """-1, 0, 1, part by part; None if one ends before they differ.

    Clock times in UTC; if only one has an offset, only what is further apart than any two places on earth is known.

    >>> order_of_times("2026-11-22T10:00:00+01:00", "2026-11-22T09:00:00Z"), order_of_times("2026", "2026-11")
    (0, None)
    """
    one, two = _read(left), _read(right)
    if one is None or two is None:
        return None
    (parts, zone), (others, other_zone) = one, two
    if min(len(parts), len(others)) > FULL_DATE and zone != other_zone:
        if not zone or not other_zone:
            return _far_apart(parts, others)
        parts, others = _in_utc(parts, zone), _in_utc(others, other_zone)
    for part, other in zip(parts, others, strict=False):
        if part != other:
            return -1 if part < other else 1
    return 0 if len(parts) == len(others) else None


def _far_apart(parts: Parts, others: Parts) -> int | None:
    try:
        between = _padded(parts) - _padded(others)
    except (ValueError, OverflowError):
        return None
    return None if abs(between) <= timedelta(hours=ZONES_APART_H) else -1 if between < timedelta() else 1


def _in_utc(parts: Parts, zone: str) -> Parts:
    try:
        offset = datetime.fromisoformat(f"{ANY_DAY}00:00{zone}").utcoffset() or timedelta()
        utc = _padded(parts) - offset
    except (ValueError, OverflowError):
        return parts
    return (*utc.timetuple()[:FULL_MINUTE], *parts[FULL_MINUTE:])[: len(parts)]


def _padded(parts: Parts) -> datetime:
    year, month, day, hour, minute, second = (*(int(p) for p in parts), *_BLANK[len(parts) :])
    fraction = timedelta(microseconds=int(parts[-1] % 1 * MICRO))
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC) + fraction


def moved(text: str, count: int, unit: str) -> str | None:
    """A date, dateTime or time so many calendar units later, in the precision it has. None: no such date.

    Of a date without a day, days count as whole months of 30 or years of 365 (N1, 6.7 "Date/Time Arithmetic").

    >>> moved("2026-01-31", 1, "month"), moved("2026", 18, "month"), moved("23:30", 45, "minute")
    ('2026-02-28', '2027', '00:15')
    """
    if text[2:FULL_DATE] == ":":
        later = moved(ANY_DAY + text, count, unit)
        return later and later[len(ANY_DAY) :]
    found = _read(text)
    if found is None:
        return None
    parts, zone = found
    try:
        span = timedelta() if unit in ("year", "month") else timedelta(**{f"{unit}s": count})
        months = count * MAX_MONTH if unit == "year" else count if unit == "month" else 0
        if len(parts) == 1:
            months = int(months / MAX_MONTH + span / timedelta(days=DAYS_A_YEAR)) * MAX_MONTH
        elif len(parts) == 2:
            months += int(span / timedelta(days=DAYS_A_MONTH))
        if len(parts) < FULL_DATE:
            span = timedelta()
        later_moment = _months_later(_padded(parts), months) + span
    except (ValueError, OverflowError):
        return None
    return later_moment.isoformat(timespec="microseconds")[: len(text) - len(zone)] + zone


def _months_later(start: datetime, months: int) -> datetime:
    """The same day of a later month, or its last day."""
    year, month = divmod(start.year * MAX_MONTH + start.month - 1 + months, MAX_MONTH)
    return start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))


def boundary(text: str, type_name: str, *, high: bool, digits: int | None) -> str | None:
    """The first or last date, dateTime or time that a partial one may stand for, cut to so many digits.

    >>> boundary("2026-02", "date", high=True, digits=None), boundary("09:30", "time", high=False, digits=None)
    ('2026-02-28', '09:30:00.000')
    >>> boundary("2026-02-01", "dateTime", high=False, digits=None)
    '2026-02-01T00:00:00.000+14:00'
    """
    found = _read(text)
    if found is None:
        return None
    parts, zone = found
    given = text.removesuffix(zone)
    rest = LAST if high else FIRST
    if type_name == "time":
        return _cut((given + rest[len(ANY_DAY) + len(given) :]), digits)
    if high and len(parts) == 2:
        given += f"-{monthrange(*parts)[1]}"
    whole = given + rest[len(given) :]
    short = _cut(whole, digits or (DATE_DIGITS if type_name == "date" else None))
    if short is None or "T" not in short:
        return short
    return short + (zone or (LAST_OFFSET if high else FIRST_OFFSET))


def _cut(text: str, digits: int | None) -> str | None:
    """The text up to so many digits, if a part ends there; all of it for None."""
    count = 0
    for part in re.finditer(r"\d+", text):
        count += len(part[0])
        if count == digits:
            return text[: part.end()]
    return None if digits else text
