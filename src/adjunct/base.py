"""Floor 0: what every other room speaks: three-valued columns, verdicts, instants, units, the event table, errors.

Nothing here is clinical. A truth is 0 (no), 1 (unknown) or 2 (yes); an instant is a count of milliseconds since 1970
in UTC; a partial date is an interval of instants; a unit is a UCUM code.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NO, UNKNOWN, YES = 0, 1, 2

MS_PER_SECOND = 1000
SECONDS_PER_DAY = 86_400
MS_PER_DAY = SECONDS_PER_DAY * MS_PER_SECOND
FAR = 2**60  # milliseconds; the open end of an interval, far outside any calendar
MAX_MONTH = 12
DAY = timedelta(days=1)
SHOWN = 60


class AdjunctError(Exception):
    """Something Adjunct could not do. The message says what, where and what to do."""

    exit_code = 2

    def __init__(self, message: str, at: str = "", *, advice: tuple[str, ...] = ()) -> None:
        super().__init__(f"{message} (at {at})" if at else message)
        self.at = at
        self.advice = advice  # what to do now all the same: a refusal never silences a red flag


class BadInput(AdjunctError):
    """What was sent cannot be read. Exit code 2; nothing was written."""


class Refused(AdjunctError):
    """Knowledge is missing, corrupt or does not match its own hash. Exit code 3; no answer is given."""

    exit_code = 3


class UnitError(BadInput):
    """A unit that is not UCUM, or that does not measure this quantity."""


def shown(text: str) -> str:
    """What was sent, quoted and short enough for one line of an error."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "\u2026")


class Verdict(IntEnum):
    """What a treatment question comes to, in order: the greatest one leads, the others are still listed."""

    ELIGIBLE = 0
    CAUTION = 1
    DEFER = 2
    NOT_ELIGIBLE = 3
    ESCALATE = 4


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that leads.

    >>> worst([Verdict.CAUTION, Verdict.DEFER]).name
    'DEFER'
    >>> worst([]).name
    'ELIGIBLE'
    """
    return max(verdicts, default=Verdict.ELIGIBLE)


class Grade(StrEnum):
    """Evidence grade: A consistent trials, B some trials or label, C reports, D mechanism or default, X contrary."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    X = "X"


@dataclass(frozen=True, slots=True, eq=False)
class Kleene:
    """A column of truths under Kleene's strong logic. It has no `bool`: say what unknown should do.

    >>> a, b = Kleene.of([0, 1, 2]), Kleene.of([2, 2, 1])
    >>> (a & b).tolist(), (a | b).tolist(), (~a).tolist()
    ([0, 1, 1], [2, 2, 2], [2, 1, 0])
    """

    values: Int8s

    @classmethod
    def of(cls, truths: Iterable[int]) -> Kleene:
        return cls(np.fromiter(truths, dtype=np.int8))

    def __and__(self, other: Kleene) -> Kleene:
        return Kleene(np.minimum(self.values, other.values))

    def __or__(self, other: Kleene) -> Kleene:
        return Kleene(np.maximum(self.values, other.values))

    def __invert__(self) -> Kleene:
        return Kleene((YES - self.values).astype(np.int8))

    def __bool__(self) -> bool:
        raise TypeError("a Kleene column is not a bool: say what UNKNOWN should do")

    def __len__(self) -> int:
        return len(self.values)

    def tolist(self) -> list[int]:
        return [int(v) for v in self.values]


# --- time -------------------------------------------------------------------------------------------------------------

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?\Z", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})\Z", re.ASCII)
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d|wk|mo|a)\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """One moment, with the offset in which its owner reads a calendar. `ms` counts from 1970-01-01T00:00Z."""

    ms: int
    offset: timedelta = timedelta(0)

    def iso(self) -> str:
        """Written with its offset, to the second.

        >>> instant("2026-11-22T09:30:00+01:00").iso()
        '2026-11-22T09:30:00+01:00'
        """
        return iso(self.ms, self.offset)

    def date(self) -> str:
        return self.iso()[: len("2026-11-22")]


def instant(text: str, at: str = "") -> Instant:
    """Read an instant; the offset is required, because a time without one is twenty-six different moments."""
    if not _INSTANT.match(text):
        raise BadInput(f"not an instant with an offset: {shown(text)}; write for example 2026-11-22T09:30:00+01:00", at)
    try:
        moment = datetime.fromisoformat(text)
        utc = moment.astimezone(UTC)
        _ = utc - DAY, utc + DAY  # its neighbours must exist in every time zone
    except (ValueError, OverflowError) as error:
        raise BadInput(f"no such moment: {shown(text)} ({error})", at) from None
    return Instant(round(moment.timestamp() * MS_PER_SECOND), moment.utcoffset() or timedelta(0))


def partial_date(text: str, offset: timedelta, at: str = "") -> tuple[int, int]:
    """A FHIR date or dateTime as the interval of instants it may stand for, both ends included.

    >>> low, high = partial_date("2026-11", timedelta(0))
    >>> iso(low, timedelta(0)), iso(high, timedelta(0))
    ('2026-11-01T00:00:00+00:00', '2026-11-30T23:59:59+00:00')
    """
    parts = _PARTIAL.match(text)
    if not parts:
        moment = instant(text, at).ms
        return moment, moment
    year, month, day = (int(p) if p else None for p in parts.groups())
    assert year is not None  # the pattern requires it
    try:
        start = datetime(year, 1 if month is None else month, 1 if day is None else day, tzinfo=timezone(offset))
        if day is not None:
            end = start + timedelta(days=1)
        elif month is not None:
            end = start.replace(year=year + month // MAX_MONTH, month=month % MAX_MONTH + 1)
        else:
            end = start.replace(year=year + 1)
    except (ValueError, OverflowError):
        raise BadInput(f"no such date: {shown(text)}; write YYYY, YYYY-MM or YYYY-MM-DD", at) from None
    return round(start.timestamp() * MS_PER_SECOND), round(end.timestamp() * MS_PER_SECOND) - 1


def iso(ms: int, offset: timedelta) -> str:
    """An instant written in the calendar of `offset`, to the second."""
    moment = datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(timezone(offset))
    return moment.isoformat(timespec="seconds")


def duration_ms(text: str, at: str = "") -> int:
    """A length of time in milliseconds; `ever` is longer than any calendar.

    >>> duration_ms("30 min"), duration_ms("2 wk") // MS_PER_DAY
    (1800000, 14)
    """
    if text == "ever":
        return FAR
    parts = _DURATION.match(text)
    if not parts:
        raise BadInput(f"not a duration: {shown(text)}; write for example '30 min', '14 d', '5 wk', 'ever'", at)
    ms = convert(float(parts[1]), parts[2], "s") * MS_PER_SECOND
    if ms > FAR:
        raise BadInput(f"longer than any calendar: {shown(text)}; write 'ever'", at)
    return round(ms)


# --- units ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unit:
    """A UCUM code: value in the dimension's base = value * factor + offset."""

    code: str
    dimension: str
    factor: float
    offset: float


@cache
def units() -> dict[str, Unit]:
    """Every UCUM code that Adjunct reads; generated, never written by hand (`tools/ucum_table.py`)."""
    with (resources.files("adjunct") / "ucum.csv").open(encoding="utf-8") as rows:
        return {
            r["code"]: Unit(r["code"], r["dimension"], float(r["factor"]), float(r["offset"]))
            for r in csv.DictReader(rows)
        }


@cache
def unit_spellings() -> dict[str, str]:
    """Common spellings that are not UCUM ("mmHg", "mcg", "bpm"), with the code they stand for."""
    with (resources.files("adjunct") / "ucum_aliases.csv").open(encoding="utf-8") as rows:
        return {r["text"]: r["code"] for r in csv.DictReader(rows)}


def convert(value: float, source: str, target: str, *, molar_mass: float | None = None, at: str = "") -> float:
    """`value` in unit `source` expressed in unit `target`. `molar_mass` (g/mol) links amount and mass.

    >>> round(convert(98.6, "[degF]", "Cel"), 6)
    37.0
    >>> round(convert(17.1, "umol/L", "mg/dL", molar_mass=584.66), 2)
    1.0
    """
    if source == target:
        return value
    table = units()
    if source not in table or target not in table:
        wrong = source if source not in table else target
        hint = unit_spellings().get(wrong)
        raise UnitError(f"unknown unit {shown(wrong)}: send a UCUM code" + (f", here {hint!r}" if hint else ""), at)
    a, b = table[source], table[target]
    base = value * a.factor + a.offset
    if a.dimension != b.dimension:
        base = _across_molar_mass(base, a, b, molar_mass, at)
    return float(f"{(base - b.offset) / b.factor:.12g}")  # a limit must be met by what equals it in another unit


def _across_molar_mass(base: float, a: Unit, b: Unit, molar_mass: float | None, at: str) -> float:
    if molar_mass is not None:
        for mole, mass, scale in ((a, b, molar_mass), (b, a, 1 / molar_mass)):
            if mole.dimension.replace("N", "M") == mass.dimension and "N" in mole.dimension:
                return base * scale
    raise UnitError(f"unit {a.code!r} does not measure this: a unit like {b.code!r} was expected", at)


# --- the event table --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One thing known of one person. `t0`..`t1`: when, as an interval; `status`: is it true at all."""

    concept: int
    t0: int
    t1: int
    value: float = float("nan")
    code: int = -1
    status: int = YES
    source: int = -1
    person: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Everything known of some people, column by column, sorted by concept, person, t0.

    `value` is in the concept's canonical unit (NaN: unknown), `code` an index into the knowledge's codes (-1: unknown),
    `source` an index into whatever the maker of the table keeps (the record's references).
    `now` has one instant a person; `absent[concept, person]` says what silence about a concept means.
    """

    concept: Int32s
    person: Int32s
    t0: Int64s
    t1: Int64s
    value: Floats
    code: Int32s
    status: Int8s
    source: Int32s
    now: Int64s
    absent: Int8s
    starts: Int64s  # where each concept begins; one more entry for the end

    @classmethod
    def of(cls, rows: Sequence[Row], *, now: Sequence[int], absent: Int8s) -> Events:
        """Sort `rows` into a table. `absent` has one line a concept and one column a person."""
        concepts = absent.shape[0]
        columns: Any = np.array(
            [(r.concept, r.person, r.t0, r.t1, r.value, r.code, r.status, r.source) for r in rows],
            dtype=_ROW_TYPE,
        )
        columns = columns[np.lexsort((columns["t0"], columns["person"], columns["concept"]))]
        concept = np.ascontiguousarray(columns["concept"])
        return cls(
            concept=concept,
            person=np.ascontiguousarray(columns["person"]),
            t0=np.ascontiguousarray(columns["t0"]),
            t1=np.ascontiguousarray(columns["t1"]),
            value=np.ascontiguousarray(columns["value"]),
            code=np.ascontiguousarray(columns["code"]),
            status=np.ascontiguousarray(columns["status"]),
            source=np.ascontiguousarray(columns["source"]),
            now=np.asarray(now, dtype=np.int64),
            absent=absent,
            starts=np.searchsorted(concept, np.arange(concepts + 1)),
        )

    @property
    def people(self) -> int:
        return len(self.now)


_ROW_TYPE = np.dtype(
    [
        ("concept", np.int32),
        ("person", np.int32),
        ("t0", np.int64),
        ("t1", np.int64),
        ("value", np.float64),
        ("code", np.int32),
        ("status", np.int8),
        ("source", np.int32),
    ]
)
