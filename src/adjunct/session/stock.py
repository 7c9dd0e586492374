"""The ledger of controlled medicines as a fold: what came in, went out, was given and wasted, and what a count shows.

An entry is placed by the time it happened, not by when it was written down. Nothing is refused for being wrong, because
what happened happened: it counts and is flagged. Only taking something out can be refused beforehand (`may_issue`).
A difference between count and book stays open until two persons explain it; no count ever changes the book.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from math import isclose, isfinite
from typing import Any, NamedTuple

import orjson

from adjunct.base import BadInput, instant, iso, partial_date, shown
from adjunct.knowledge import Knowledge
from adjunct.session.events import hidden, json_object
from adjunct.session.model import Held, State
from adjunct.session.pump import Limits, person, so_far
from adjunct.session.watch import FIRST

COMMON = ("id", "at", "received", "kind", "by", "product", "lot")
RECEIVED, ISSUED, COUNT, EXPLAINED = "received", "issued", "counted", "explained"
RECALLED, CORRECTION = "recalled", "correction"
TIMES = frozenset({"at", "received", "expires", "recalled", "since", "last"})


class Entry(NamedTuple):
    """One line of the ledger: what happened at `at`, written down at `received`, with two signatures."""

    id: str
    at: int
    received: int
    kind: str
    by: str
    witness: str  # "" where nobody signed as second
    product: str
    lot: str
    data: Mapping[str, Any]
    offset: timedelta = timedelta(0)

    @property
    def signed(self) -> bool:
        """Whether two different persons signed."""
        return bool(self.witness.strip()) and person(self.witness) != person(self.by)


class Flag(NamedTuple):
    """Something to act on. `code` for machines; `says` what is wrong and what to do; `entry` what shows it, if one."""

    code: str
    says: str
    at: int
    product: str
    lot: str
    entry: str = ""


class Line(NamedTuple):
    """An entry in its place, and how many packages of its lot the book has after it; a struck one changes nothing."""

    entry: Entry
    balance: int
    corrected_by: str = ""
    struck: bool = False


class Count(NamedTuple):
    """A count against the book: `difference` is counted minus book, `explained` what of it was explained and signed."""

    entry: str
    at: int
    units: int
    book: int
    difference: int
    explained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What the book says of one lot. `expires`: the last moment of its expiry, None where nobody wrote it."""

    product: str
    lot: str
    balance: int = 0
    known: bool = False  # something of it came in
    expires: int | None = None
    recalled: int | None = None
    since: int | None = None  # first entry
    counts: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one session took of one lot. `drawn`: mg in the packages not returned; None for an unknown product."""

    session: str
    product: str
    lot: str
    packages: int = 0
    given: float = 0
    wasted: float = 0
    drawn: float | None = 0
    last: int = 0

    @property
    def open(self) -> float | None:
        """mg that nobody has accounted for; below 0 where more was given or wasted than was drawn."""
        if self.drawn is None:
            return None
        return 0 if isclose(self.drawn, self.given + self.wasted) else self.drawn - self.given - self.wasted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The book as it was known at `now`."""

    now: int
    lots: tuple[Lot, ...]
    uses: tuple[Use, ...]
    lines: tuple[Line, ...]
    flags: tuple[Flag, ...]
    later: int = 0  # entries that were written down after `now`


# --- reading ----------------------------------------------------------------------------------------------------------


def read_ledger(lines: Iterable[str | bytes], knowledge: Knowledge) -> Iterator[Entry | Held]:
    """Each line of a ledger (JSON Lines) as an entry, or held with where and why; nothing raises, nothing is lost."""
    kinds = {kind["id"]: kind for kind in knowledge.content["stock"]["entry"]}
    for number, line in enumerate(lines, start=1):
        raw = line if isinstance(line, str) else line.decode("utf-8", "backslashreplace")
        if raw.strip():
            try:
                yield _entry(line, kinds)
            except BadInput as error:
                yield Held(raw, f"line {number}", str(error))


def _entry(line: str | bytes, kinds: Mapping[str, Mapping[str, Any]]) -> Entry:
    try:
        found = json_object(line)
        orjson.dumps({"entry": {"data": found}})
    except orjson.JSONEncodeError:
        raise BadInput("nested too deep: an entry is an object of fields") from None
    for name in COMMON:
        if not isinstance(found.get(name), str) or not found[name].strip():
            raise BadInput("missing or not words: every entry has it", name)
    for name, value in found.items():
        if isinstance(value, str) and hidden(value):
            raise BadInput("holds a sign that cannot be seen: send words of one line", name)
    kind = kinds.get(found["kind"])
    if kind is None:
        raise BadInput(f"no such kind of entry: there are {', '.join(kinds)}", "kind")
    witness = found.get("witness", "")
    if not isinstance(witness, str):
        raise BadInput("not a name: write who signed as second person", "witness")
    at = instant(found["at"], "at")
    data = {name: value for name, value in found.items() if name not in (*COMMON, "witness")}
    return Entry(
        id=found["id"],
        at=at.ms,
        received=instant(found["received"], "received").ms,
        kind=found["kind"],
        by=found["by"],
        witness=witness,
        product=found["product"],
        lot=found["lot"],
        data=_checked(kind, data),
        offset=at.offset,
    )


def _checked(kind: Mapping[str, Any], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of an entry, if they are those of its kind and well formed. Raises `BadInput` naming the field."""
    for name in kind["needs"]:
        if name not in data:
            raise BadInput(f"missing: {kind['id']} needs {', '.join(kind['needs'])}", name)
    for name, value in data.items():
        if name not in (*kind["needs"], *kind["may"]):
            raise BadInput(f"no such field of {kind['id']}: it has {', '.join((*kind['needs'], *kind['may']))}", name)
        wanted = _wanted(name, value, kind["id"])
        if wanted:
            raise BadInput(f"does not fit: write {wanted}", name)
    return data


def _wanted(name: str, value: Any, kind: str) -> str:
    """What a field should hold, where it does not."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if name == "units":
        least = {COUNT: 0, EXPLAINED: value if number else 0}.get(kind, 1)
        return "" if number and isinstance(value, int) and value >= least else "a whole number of packages"
    if name in ("mg", "ml"):
        return "" if number and value > 0 else "a number above 0"
    if name == "withdrawn":
        return "" if isinstance(value, bool) else "true or false"
    if name == "data":
        return "" if isinstance(value, dict) else "the whole data as they should have been"
    if not isinstance(value, str) or not value.strip():
        return "words"
    try:
        if name == "expiry":
            return "" if partial_date(value, timedelta())[0] >= FIRST else "a date that every zone has"
        if name == "true_at":
            instant(value)
    except BadInput as error:
        return str(error)
    return ""


# --- the fold ---------------------------------------------------------------------------------------------------------


def reconcile(entries: Iterable[Entry], now: int, knowledge: Knowledge) -> Ledger:
    """The book from what was written down by `now`, whatever order it arrived in.

    An entry sent twice counts once. A correction puts the right one in the place of the wrong one, which stays, struck
    through; product and lot are not corrected: the entry is withdrawn and written anew. What happened counts whoever
    signed it; a correction or an explanation changes the book only with two signatures.
    """
    book, every = _Book(now=now, knowledge=knowledge, limits=Limits.of(knowledge)), list(entries)
    known = [entry for entry in every if entry.received <= now]
    placed = book.placed(book.once(known))
    reasons = [entry for entry, _, struck in placed if entry.kind == EXPLAINED and not struck]
    counted = {(e.id, e.product, e.lot) for e, _, struck in placed if e.kind == COUNT and not struck}
    explained: dict[str, int] = {}
    for entry in reasons:
        if entry.signed and (entry.data["count"], entry.product, entry.lot) in counted:
            explained[entry.data["count"]] = explained.get(entry.data["count"], 0) + entry.data["units"]
    for entry, corrected_by, struck in placed:
        if not struck:
            book.step(entry, explained)
        book.lines.append(Line(entry, book.lot(entry).balance, corrected_by, struck))
    counts = {count.entry for lot in book.lots.values() for count in lot.counts}
    for entry in reasons:
        if entry.data["count"] not in counts:
            book.flag("no-original", entry)
        elif (entry.data["count"], entry.product, entry.lot) not in counted:
            book.flag("bad-correction", entry, "of another lot")
    book.standing()
    return Ledger(
        now=now,
        lots=tuple(lot for _, lot in sorted(book.lots.items())),
        uses=tuple(use for _, use in sorted(book.uses.items())),
        lines=tuple(book.lines),
        flags=tuple(book.flags),
        later=len(every) - len(known),
    )


@dataclass(slots=True, kw_only=True)
class _Book:
    """The book while it is folded."""

    now: int
    knowledge: Knowledge
    limits: Limits
    lots: dict[tuple[str, str], Lot] = field(default_factory=dict)
    uses: dict[tuple[str, str, str], Use] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)

    def flag(self, code: str, entry: Entry, what: str = "") -> None:
        self._flag(code, entry.product, entry.lot, entry.at, what, entry.id)

    def _flag(self, code: str, product: str, lot: str, at: int, what: str = "", entry: str = "") -> None:
        says = self.knowledge.content["stock"]["flag"][code]
        self.flags.append(Flag(code, f"{what}: {says}" if what else says, at, product, lot, entry))

    def once(self, entries: Iterable[Entry]) -> list[Entry]:
        """Each id once: the one written down first."""
        found: dict[str, Entry] = {}
        for entry in sorted(entries, key=lambda e: (e.received, e.at, e.id, orjson.dumps(e.data))):
            if found.setdefault(entry.id, entry) != entry:
                self.flag("duplicate", entry)
        return list(found.values())

    def placed(self, entries: Sequence[Entry]) -> list[tuple[Entry, str, bool]]:
        """Every entry at its true time, with the correction of it and whether it is struck through."""
        kinds = {kind["id"]: kind for kind in self.knowledge.content["stock"]["entry"]}
        of = {e.id: (e.product, e.lot) for e in entries if e.kind != CORRECTION}
        corrections = {}
        for entry in sorted((e for e in entries if e.kind == CORRECTION), key=lambda e: (e.at, e.id)):
            corrects = entry.data["corrects"]
            if corrects not in of:
                self.flag("no-original", entry)
            elif of[corrects] != (entry.product, entry.lot):
                self.flag("bad-correction", entry, "of another lot")
            elif entry.signed:
                corrections[corrects] = entry
        placed = []
        for entry in entries:
            by = corrections.get(entry.id)
            if by is None:
                placed.append((entry, "", False))
                continue
            try:
                right = _put_right(entry, by, kinds[entry.kind])
            except BadInput as error:
                self.flag("bad-correction", by, str(error))
                placed.append((entry, "", False))
                continue
            placed.append((entry, by.id, True))
            if right is not None:
                placed.append((right, by.id, False))
        return sorted(placed, key=lambda p: (p[0].at, p[0].id, not p[2]))

    def lot(self, entry: Entry) -> Lot:
        return self.lots.get((entry.product, entry.lot)) or Lot(product=entry.product, lot=entry.lot, since=entry.at)

    def step(self, entry: Entry, explained: Mapping[str, int]) -> None:
        """One entry: signatures, time, then what it does to the shelf and to its session."""
        if not entry.signed:
            self.flag("one-signature", entry)
        if entry.received - entry.at > self.knowledge.length_ms("session.stock.late"):
            self.flag("late", entry)
        if entry.at - entry.received > self.knowledge.length_ms("session.clock.tolerance"):
            self.flag("early", entry)
        if not self._fits(entry):
            self.flag("strength", entry, f"{entry.data['mg']:g} mg in {entry.data['ml']:g} mL")
        kinds = {kind["id"]: kind["change"] for kind in self.knowledge.content["stock"]["entry"]}
        lot, units = self.lot(entry), entry.data.get("units", 0)
        match kinds[entry.kind]:
            case "in":
                lot = replace(lot, balance=lot.balance + units)
                if entry.kind == RECEIVED:
                    lot = self._came_in(lot, entry)
            case "out":
                lot = replace(lot, balance=lot.balance - units)
                self._went_out(lot, entry)
            case "against":
                lot = self._counted(lot, entry, explained.get(entry.id, 0))
        if entry.kind == RECALLED:
            lot = replace(lot, recalled=entry.at if lot.recalled is None else min(lot.recalled, entry.at))
        self.lots[entry.product, entry.lot] = lot
        if "session" in entry.data:
            self._used(entry)

    def _fits(self, entry: Entry) -> bool:
        """Whether mg and mL are of one strength, where both were written down and the strength is known."""
        mg, ml, strength = entry.data.get("mg"), entry.data.get("ml"), strength_mg_ml(entry.product, self.knowledge)
        return mg is None or ml is None or strength is None or self.limits.same(mg, ml * strength)

    def _came_in(self, lot: Lot, entry: Entry) -> Lot:
        if content_mg(entry.product, self.knowledge) is None:
            self.flag("unknown-product", entry)
        expires = partial_date(entry.data["expiry"], entry.offset)[1]
        if lot.expires is not None and lot.expires != expires:
            self.flag("other-expiry", entry)
        return replace(lot, known=True, expires=expires if lot.expires is None else min(lot.expires, expires))

    def _went_out(self, lot: Lot, entry: Entry) -> None:
        if not lot.known:
            self.flag("unknown-lot", entry)
        if lot.balance < 0:
            self.flag("negative", entry, f"book {lot.balance}")
        if entry.kind == ISSUED and lot.expires is not None and lot.expires < entry.at:
            self.flag("expired", entry)
        if entry.kind == ISSUED and lot.recalled is not None:
            self.flag("recalled", entry)

    def _counted(self, lot: Lot, entry: Entry, explained: int) -> Lot:
        units = entry.data["units"]
        count = Count(entry.id, entry.at, units, lot.balance, units - lot.balance, explained)
        if count.difference != explained:
            self.flag("discrepancy", entry, f"counted {units}, book {lot.balance}, explained {explained}")
        return replace(lot, balance=lot.balance + explained, counts=(*lot.counts, count))

    def _used(self, entry: Entry) -> None:
        key = (entry.data["session"], entry.product, entry.lot)
        use = self.uses.get(key) or Use(session=key[0], product=key[1], lot=key[2])
        packages = use.packages + entry.data.get("units", 0) * (1 if entry.kind == ISSUED else -1)
        content, mg = content_mg(entry.product, self.knowledge), entry.data.get("mg", 0)
        self.uses[key] = replace(
            use,
            packages=packages,
            drawn=None if content is None else packages * content,
            given=use.given + (mg if entry.kind == "administered" else 0),
            wasted=use.wasted + (mg if entry.kind == "wasted" else 0),
            last=entry.at,
        )

    def standing(self) -> None:
        """What is wrong with no entry but with how things stand now."""
        soon, overdue, settle = (
            self.knowledge.length_ms(f"session.stock.{name}") for name in ("expires_soon", "count", "settle")
        )
        for lot in self.lots.values():
            if lot.balance <= 0:
                continue
            counted = max((c.at for c in lot.counts), default=lot.since)
            for code, stands in (
                ("recalled-shelf", lot.recalled is not None),
                ("expired-shelf", lot.expires is not None and lot.expires < self.now),
                ("expires-soon", lot.expires is not None and self.now <= lot.expires < self.now + soon),
                ("count-due", counted is not None and self.now - counted > overdue),
            ):
                if stands:
                    self._flag(code, lot.product, lot.lot, self.now)
        for use in self.uses.values():
            if use.open is not None and use.open < 0:
                self._flag("over", use.product, use.lot, use.last, f"{-use.open:g} mg")
            elif use.open and self.now - use.last > settle:
                self._flag("open", use.product, use.lot, use.last, f"{use.open:g} mg")


def _put_right(entry: Entry, by: Entry, kind: Mapping[str, Any]) -> Entry | None:
    """The entry as it should have been, countersigned by who corrected it; None where it did not happen."""
    if by.data.get("withdrawn"):
        return None
    at = instant(by.data["true_at"], "true_at").ms if "true_at" in by.data else entry.at
    second = by.by if person(by.by) != person(entry.by) else by.witness
    witness = entry.witness if entry.signed else second
    return entry._replace(at=at, witness=witness, data=_checked(kind, by.data.get("data", entry.data)))


# --- before and after -------------------------------------------------------------------------------------------------


def content_mg(product: str, knowledge: Knowledge) -> float | None:
    """mg in one whole package; None for a product that is not in the list."""
    for found in knowledge.content["stock"]["product"]:
        if found["id"] == product:
            if "content" in found:
                return knowledge.number(found["content"])
            return float(found["concentration"] * found["volume"])
    return None


def strength_mg_ml(product: str, knowledge: Knowledge) -> float | None:
    """mg in one mL; None for what is no solution or not in the list."""
    products = knowledge.content["stock"]["product"]
    return next((p.get("concentration") for p in products if p["id"] == product), None)


def may_issue(ledger: Ledger, product: str, lot: str, units: int, at: int) -> None:
    """Raises `BadInput` where this must not be taken out: never received, recalled, expired, or not enough there."""
    found = next((x for x in ledger.lots if (x.product, x.lot) == (product, lot)), None)
    if found is None or not found.known:
        raise BadInput(f"nothing of lot {shown(lot)} was ever received: take a lot that is in the book", "lot")
    if found.recalled is not None:
        raise BadInput(f"lot {shown(lot)} was recalled: take another lot and keep this one apart", "lot")
    if found.expires is None or found.expires < at:
        raise BadInput(f"lot {shown(lot)} has expired: take another lot and keep this one apart", "lot")
    if units > found.balance:
        raise BadInput(f"{units} asked for, {found.balance} in the book: count the shelf or take another lot", "units")


class Waste(NamedTuple):
    """What is left of opened packages: mg, and mL as drawn from the vial (None where it is no solution)."""

    mg: float
    ml: float | None


def waste(state: State, product: str, packages: int, knowledge: Knowledge, *, now: int) -> Waste:
    """What of `packages` taken for this session did not go into the person, and so must be destroyed before a witness.

    Raises `BadInput` where the dose or the content is not known, or more was given than was drawn.
    """
    content, given = content_mg(product, knowledge), so_far(state.dose, now)
    if content is None or given is None:
        raise BadInput("what was drawn or given is not known: write down the product and the concentration", "waste")
    drawn = packages * content
    left = 0 if isclose(drawn, given) else drawn - given
    if left < 0:
        raise BadInput(f"{given:g} mg given, {drawn:g} mg drawn: look for the missing package", "waste")
    strength = strength_mg_ml(product, knowledge)
    return Waste(left, left / strength if strength else None)


def to_dict(ledger: Ledger) -> dict[str, Any]:
    """Plain values; an entry's instants in the calendar of who wrote it, the others in that of the last entry."""
    zone = max((line.entry for line in ledger.lines), key=lambda e: e.received).offset if ledger.lines else timedelta(0)

    def timed(fields: Mapping[str, Any], zone: timedelta = zone) -> dict[str, Any]:
        return {n: iso(v, zone) if n in TIMES and v is not None else v for n, v in fields.items()}

    def entry(line: Line) -> dict[str, Any]:
        return {name: value for name, value in line.entry._asdict().items() if name != "offset"}

    return {
        "now": iso(ledger.now, zone),
        "later": ledger.later,
        "lots": [timed(asdict(lot)) | {"counts": [timed(c._asdict()) for c in lot.counts]} for lot in ledger.lots],
        "uses": [timed(asdict(use)) | {"open": use.open} for use in ledger.uses],
        "lines": [line._asdict() | {"entry": timed(entry(line), line.entry.offset)} for line in ledger.lines],
        "flags": [timed(flag._asdict()) for flag in ledger.flags],
    }
