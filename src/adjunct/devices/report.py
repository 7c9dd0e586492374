"""What one message of a monitor says, whatever it was written in: whose, when, and row by row which value of what.

The words of monitors (codes, units, statuses, flags) are data, `knowledge/data/session/monitors.toml`. The readers of
wire formats make a `Report` of a message; what it means for a session is decided in `stream`.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple
from weakref import WeakKeyDictionary

from adjunct.base import BadInput, convert, unit_spellings, units
from adjunct.knowledge import Knowledge
from adjunct.session.events import IMPLAUSIBLE, MISTAKEN, Shape, read_data

COUNTS, CORRECTS, WITHDRAWS, WRONG, NONE, DOUBT = "counts", "corrects", "withdraws", "wrong-person", "none", "doubt"
MDC, LOINC = "MDC", "LN"
VITALS = "vitals"
NAME = 60  # characters of a name that a sender gives itself or its message
HASH = 16  # characters of a hash in an id


class Moment(NamedTuple):
    """A time as the device wrote it. Without an offset it is a reading of a wall clock, here as if in UTC."""

    ms: int
    zoned: bool = True
    offset: timedelta = timedelta(0)


class Row(NamedTuple):
    """One result. `value` None: none was given. `why`: what is wrong with it: it is judged and does not count."""

    measure: str
    rank: int
    value: float | None
    means: str
    at: Moment | None
    device: str
    place: str
    why: str = ""
    implausible: bool = False
    looks: str = ""  # the unit that its number looks to be in, where that is another than the one sent


class Report(NamedTuple):
    """One message. `faults`: what is wrong with all of it. `silent`: what a device cannot measure, and why."""

    sender: str
    control: str
    patient: tuple[str, ...]  # every way in which it names the person; empty: it names nobody
    sent: Moment | None
    rows: tuple[Row, ...]
    silent: tuple[tuple[str, str, str], ...]  # device, measure or "", what it says
    unknown: tuple[str, ...]  # codes that are no measure of a session
    faults: tuple[str, ...] = ()


class Alert(NamedTuple):
    says: str
    measure: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Words:
    """The words of monitors, ready to be looked up."""

    codes: Mapping[tuple[str, str], tuple[str, int]]  # system, code -> measure, rank
    written: Mapping[str, Mapping[str, tuple[str, str]]]  # system -> measure -> code, name
    shape: Shape
    canonical: Mapping[str, str]  # measure -> its unit
    titles: Mapping[str, str]
    units: Mapping[str, str]
    said: Mapping[tuple[str, str], str]  # "hl7" or "fhir", status -> what it means
    flags: Mapping[str, str]
    absent: frozenset[str]
    alerts: Mapping[str, Alert]
    over: frozenset[tuple[str, str]]  # code and value that say: the event has ended
    systems: Mapping[str, str]
    limit: Mapping[str, int]

    @classmethod
    def of(cls, knowledge: Knowledge) -> Words:
        if knowledge not in _COMPILED:
            _COMPILED[knowledge] = _compiled(knowledge)
        return _COMPILED[knowledge]

    def amount(self, measure: str, text: str, spoken: tuple[str, ...]) -> tuple[float | None, str, bool, str]:
        """A value in the unit of its measure, and of the `Row` that it goes into `why`, `implausible` and `looks`.

        Where no unit was sent the number is taken as it stands, to be judged; a unit that does not fit gives no number.
        A monitor that is set to another unit than it names gives none either: neither reading of it may be taken.
        """
        if not _NUMBER(text):
            return None, f"{measure} is not a plain number; send digits with a point", False, ""
        spoken = tuple(filter(None, spoken))
        forms = (*spoken, *(_REMARK.sub("", unit) for unit in spoken))
        unit = next((self.units[form] for form in forms if form in self.units), "")
        if spoken and not unit:
            return None, f"{measure} has a unit that is not known; send UCUM or MDC units", False, ""
        canonical = self.canonical[measure]
        number, bare = float(text), unit in ("", canonical)
        sent = number if bare else {"value": number, "unit": unit}
        try:
            data = read_data(VITALS, {measure: sent}, self.shape)
        except BadInput as error:
            if bare:
                return None, _looks(measure, canonical), False, MISTAKEN[canonical]
            return None, str(error), False, ""
        why = "" if unit else f"{measure} has no unit; send one with every value"
        return data[measure], why, IMPLAUSIBLE in data, ""

    def doubted(self, rows: Iterable[Row]) -> tuple[Row, ...]:
        """The rows of one message: what one number says of the unit of a device holds for the others in that unit."""
        found = tuple(rows)
        looks = {(row.device, self.canonical[row.measure]): row.looks for row in found if row.looks}
        return tuple(self._alike(row, looks) for row in found) if looks else found

    def _alike(self, row: Row, looks: Mapping[tuple[str, str], str]) -> Row:
        canonical, bounds = self.canonical[row.measure], self.shape.types[VITALS].fields[row.measure]
        other = looks.get((row.device, canonical))
        if other is None or row.value is None or bounds.high is None:
            return row
        if convert(row.value, other, canonical) > bounds.high:
            return row
        return row._replace(value=None, why=_looks(row.measure, canonical), implausible=False, looks=other)


def _looks(measure: str, unit: str) -> str:
    return f"{measure} looks like {MISTAKEN[unit]}, sent as {unit}: look at the screen and set the unit of the monitor"


_COMPILED: WeakKeyDictionary[Knowledge, Words] = WeakKeyDictionary()
_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{0,9})?", re.ASCII).fullmatch
_REMARK = re.compile(r"\{[^{}]*\}")  # UCUM: what stands in braces counts nothing


def _compiled(knowledge: Knowledge) -> Words:
    data = knowledge.content["monitors"]
    shape = Shape.of(knowledge)
    measures = [name for name, f in shape.types[VITALS].fields.items() if f.kind == "measure"]
    codes: dict[tuple[str, str], tuple[str, int]] = {}
    written: dict[str, dict[str, tuple[str, str]]] = {MDC: {}, LOINC: {}}
    rows = [(MDC, c["measure"], c["code"], c["name"]) for c in data["code"]]
    rows += [
        (LOINC, v["set"], v["code"], v["display"])
        for v in knowledge.content["valuesets"]
        if v["set"] in measures and v["system"] == data["systems"][LOINC]
    ]
    for rank, (system, measure, code, name) in enumerate(rows):
        for system_name in (system, data["systems"][system]):
            codes.setdefault((system_name, code), (measure, rank))
        written[system].setdefault(measure, (code, name))
    own = {text: u["unit"] for u in data["unit"] for text in (u.get("code"), u.get("name")) if text}
    return Words(
        codes=codes,
        written=written,
        shape=shape,
        canonical={name: knowledge.concepts[name].unit for name in measures},
        titles={name: knowledge.concepts[name].title for name in measures},
        units={code: code for code in units()} | unit_spellings() | own,
        said={(wire, text): s["means"] for s in data["said"] for wire in ("hl7", "fhir") for text in s[wire]},
        flags={flag: f["means"] for f in data["flag"] for flag in f["hl7"]},
        absent=frozenset(data["absent"]["values"]),
        alerts={
            text: Alert(a["says"], a.get("measure", ""), a.get("value"))
            for a in data["alert"]
            for text in (a["code"], a["name"])
        },
        over=frozenset((data["over"]["code"], value) for value in data["over"]["values"]),
        systems=data["systems"],
        limit=data["limit"],
    )


def kept(raw: bytes, limit: int) -> str:
    """What was received, as text: whole, or its first part with its length and its hash."""
    text = raw[:limit].decode("utf-8", "backslashreplace")
    return text if len(raw) <= limit else f"{text}\u2026 ({len(raw)} bytes, SHA-256 {sha256(raw).hexdigest()})"


def called(text: str) -> str:
    """A name that came over a wire as it can stand in a record: one short line of what can be read.

    >>> called("m 3\\n")
    'm 3'
    """
    plain = "".join(c if c.isprintable() else " " for c in text).strip()
    return plain if len(plain) <= NAME else f"{plain[:NAME]}~{sha256(plain.encode()).hexdigest()[:HASH]}"


def without_mark(content: bytes) -> bytes:
    """Without the mark that some systems put before UTF-8."""
    return content.removeprefix(BOM_UTF8)
