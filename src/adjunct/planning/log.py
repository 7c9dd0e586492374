"""What was decided about a plan since it was made: amended, held, resumed, stopped, a visit moved or missed.

The log is append-only and every entry says on which version it was written: of two people who amend at once, the second
is told so, and nothing of theirs is half applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from adjunct.base import FAR, BadInput, instant, shown
from adjunct.due import Done, Window
from adjunct.followup.cover import Cover
from adjunct.planning.model import Change, Setting
from adjunct.planning.protocols import Protocol, changed, flat

AMEND, HOLD, RESUME, STOP, MISSED, MOVE, BOOK = "amend", "hold", "resume", "stop", "missed", "move", "book"
KINDS = (AMEND, HOLD, RESUME, STOP, MISSED, MOVE, BOOK)
FIELDS = ("id", "at", "by", "kind", "reason", "after", "visit", "to", "settings")
NEEDS = {MISSED: ("visit",), MOVE: ("visit", "to"), BOOK: ("visit", "to"), AMEND: ("settings",)}


@dataclass(frozen=True, slots=True)
class Log:
    """The changes in the order in which they were written, and what was done besides doses."""

    protocol: Protocol
    cover: Cover
    changes: tuple[Change, ...] = ()
    acts: tuple[Done, ...] = ()

    @property
    def version(self) -> int:
        return 1 + len(self.changes)

    def of(self, kind: str) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.kind == kind)

    # --- settings in the course of time ---

    def values(self, values: Mapping[str, Setting], at: int) -> Mapping[str, Setting]:
        """The settings in force at an instant: the clinic's, with every amendment up to then."""
        for change in self.of(AMEND):
            if change.at <= at:
                values = changed(self.protocol, values, change.data["settings"], "change.settings")
        return values

    def since(self, setting: str, at: int) -> int:
        """When a setting was last amended, up to an instant."""
        return max((c.at for c in self.of(AMEND) if c.at <= at and setting in c.data["settings"]), default=at)

    # --- pauses and the end ---

    def pauses(self) -> tuple[tuple[int, int, date | None], ...]:
        """From when until when the course rests, and on which day it goes on: a stop rests for ever."""
        found: list[tuple[int, int, date | None]] = []
        held: int | None = None
        for change in self.changes:
            if change.kind in (HOLD, STOP) and held is None:
                held = change.at
            elif change.kind == RESUME and held is not None:
                day = change.data.get("to") or self.cover.local(change.at).date()
                found.append((held, change.at, day))
                held = None
        return (*found, *(() if held is None else ((held, FAR, None),)))

    def halted(self, at: int) -> bool:
        """Whether nothing is planned any more at an instant, nor after it."""
        return any(start <= at and day is None for start, _, day in self.pauses())

    def resumed(self, target: date, given: int | None) -> tuple[date, int]:
        """The day of a visit that falls into a pause, the day on which the course goes on, and from when on it may be.

        `given`: the next dose on record; one that was given before the pause was never moved by it.
        """
        since = 0
        for start, end, day in self.pauses():
            if day is None or self.cover.local(start).date() > target or (given is not None and given < start):
                continue
            target, since = max(target, day), max(since, end, self.cover.instant(day, timedelta(0)))
        return target, since

    def rested(self, since: int) -> int | None:
        """When the last pause began that ended after an instant: the course went on after a rest."""
        return next((start for start, end, day in reversed(self.pauses()) if day is not None and end > since), None)

    def dropped(self, window: Window, *, given: bool) -> bool:
        """Whether a visit was never to be: it had not ended when the course was held or stopped for good."""
        return not given and any(start < window.closes and day is None for start, _, day in self.pauses())

    def held_since(self, now: int) -> int | None:
        return next((start for start, end, _ in self.pauses() if start <= now < end), None)

    def stopped(self) -> Change | None:
        return next(iter(self.of(STOP)), None)

    # --- single visits ---

    def missed(self, visit: str) -> bool:
        return any(c.data["visit"] == visit for c in self.of(MISSED))

    def moved(self, visit: str) -> date | int | None:
        """Where a visit was put last: on a day, or at the instant that was booked for it."""
        found = [c.data["to"] for c in self.changes if c.kind in (MOVE, BOOK) and c.data["visit"] == visit]
        return found[-1] if found else None

    def done(self, visit: str) -> int | None:
        return min((a.at for a in self.acts if a.step == visit), default=None)


def read_log(
    protocol: Protocol, cover: Cover, values: Mapping[str, Setting], order: Mapping[str, Any], now: int
) -> Log:
    """The log of an order: its `[[change]]` and `[[done]]` entries.

    Raises `BadInput` for an entry without author or reason, one that is dated after `now`, one written on another
    version than the entries before it leave, and for a setting outside its bounds.
    """
    log = Log(protocol, cover, acts=tuple(_acts(order.get("done", ()), now)))
    for number, entry in enumerate(tables(order.get("change", ()), "change")):
        log = amend(log, _change(entry, f"change[{number}]"), values, now=now)
    return log


def amend(log: Log, change: Change, values: Mapping[str, Setting], *, now: int) -> Log:
    """The log with one more change; the same one sent twice is one. Raises `BadInput` where it cannot be written."""
    at = f"change {shown(change.id)}"
    earlier = next((c for c in log.changes if c.id == change.id), None)
    if earlier == change:
        return log
    if earlier is not None:
        raise BadInput("this id already names another change, which is kept: send a new id", at)
    if change.after != log.version:
        raise BadInput(
            f"it was written on version {change.after} and the plan is at version {log.version}: somebody else changed "
            "it meanwhile; read the plan again and write the change anew",
            at,
        )
    if not change.by.strip() or not change.reason.strip():
        raise BadInput("a change says who made it and why: give by and reason", at)
    if change.at > now or (log.changes and change.at < log.changes[-1].at):
        raise BadInput("it is dated after now, or before the change that it follows: correct its time", at)
    if log.stopped() is not None:
        raise BadInput("the course was stopped: a new course is a new plan", at)
    held = log.held_since(change.at) is not None
    if (change.kind == RESUME) is not held and change.kind in (HOLD, RESUME):
        raise BadInput("the course rests already" if held else "the course does not rest, so it cannot go on", at)
    earliest = log.cover.local(change.at).date()
    to = change.data.get("to", earliest)
    if (log.cover.local(to).date() if isinstance(to, int) else to) < earliest:
        raise BadInput(f"the day {change.data['to']} is before the change itself: choose {earliest} or a later day", at)
    if change.kind == AMEND:
        if not change.data["settings"]:
            raise BadInput("it changes nothing: name a setting and its new value", at)
        changed(log.protocol, log.values(values, change.at), change.data["settings"], at)
    return replace(log, changes=(*log.changes, change))


def _change(entry: Mapping[str, Any], at: str) -> Change:
    strange = [name for name in entry if name not in FIELDS]
    if strange:
        raise BadInput(f"not known here: {shown(strange[0])}; known are {', '.join(FIELDS)}", at)
    kind = entry.get("kind")
    if kind not in KINDS:
        raise BadInput(f"kind is none of {', '.join(KINDS)}", at)
    missing = [n for n in ("id", "at", "by", "reason", "after", *NEEDS.get(kind, ())) if n not in entry]
    if missing:
        raise BadInput(f"{missing[0]} is missing", at)
    if not isinstance(entry["after"], int) or isinstance(entry["after"], bool):
        raise BadInput("after is the version on which it was written: a whole number", at)
    if "settings" in entry and not isinstance(entry["settings"], Mapping):
        raise BadInput("settings is a table of names and values", at)
    data = {name: entry[name] for name in ("visit",) if name in entry}
    if "settings" in entry:
        data["settings"] = dict(flat(entry["settings"]))
    if "to" in entry:
        data["to"] = _instant(entry["to"], f"{at}.to") if kind == BOOK else day(entry["to"], f"{at}.to")
    return Change(
        id=str(entry["id"]),
        at=_instant(entry["at"], f"{at}.at"),
        by=str(entry["by"]),
        kind=kind,
        reason=str(entry["reason"]),
        after=entry["after"],
        data=data,
    )


def _acts(entries: object, now: int) -> Iterable[Done]:
    for number, entry in enumerate(tables(entries, "done")):
        at = f"done[{number}]"
        if not isinstance(entry.get("what"), str) or "at" not in entry:
            raise BadInput("say what was done and at which time: what, at, and the step if it is known", at)
        when = _instant(entry["at"], f"{at}.at")
        if when > now:  # at this instant it has not happened
            continue
        yield Done(what=entry["what"], at=when, step=str(entry.get("step", "")), reference=str(entry.get("by", "")))


def tables(given: object, at: str) -> Sequence[Mapping[str, Any]]:
    """A list of tables. Raises `BadInput` for anything else."""
    if not isinstance(given, Sequence) or not all(isinstance(e, Mapping) for e in given):
        raise BadInput(f"not a list of tables: write [[{at}]]", at)
    return given


def _instant(given: object, at: str) -> int:
    """A time with its offset, as text or as TOML knows one."""
    return instant(given.isoformat() if isinstance(given, datetime) else str(given), at).ms


def day(given: object, at: str) -> date:
    """A day of the calendar. Raises `BadInput` for anything else."""
    if isinstance(given, date) and not isinstance(given, datetime):
        return given
    try:
        return date.fromisoformat(str(given))
    except ValueError:
        raise BadInput(f"not a day: {shown(str(given))}; write for example 2027-01-11", at) from None
