"""The log of one session: what arrived, in whatever order, and the state that it comes to.

Order is (true time, id), so the state does not depend on the order of arrival. A late event is folded in from the last
point kept before it. Nothing that arrived is lost: a repeated event is counted, one that uses the id of another is kept
aside, a corrected one stays beside what it should have been.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from adjunct.base import BadInput
from adjunct.session.day import Day
from adjunct.session.events import Shape, line, read_data
from adjunct.session.fold import advance
from adjunct.session.model import Event, Held, State
from adjunct.session.pump import person

_APART = 128  # events between two kept states: a late one is folded in from the nearest
_CORRECTION = "correction"


class Timing(NamedTuple):
    """How the log arrived: events, repeats, out of order, and the longest time (ms) from happening to arriving."""

    events: int
    repeated: int
    reordered: int
    latest: int


class History:
    """One session's events and its state. `add` takes one event at any time; everything else is read."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.state = State()
        self.held: list[Held] = []
        self.repeated = self.reordered = self.latest = 0
        self._shape = Shape.of(day.knowledge)
        self._sent: dict[str, Event] = {}  # as it was sent, by id
        self._keys: list[tuple[int, str]] = []
        self._events: list[Event] = []  # as it counts, in order
        self._kept: list[tuple[int, State]] = [(0, self.state)]  # after so many events
        self._at: dict[str, int] = {}  # where each stands
        self._folded = 0  # how many of them are in the state
        self._corrections: dict[str, list[Event]] = {}

    @property
    def events(self) -> tuple[Event, ...]:
        """As they count, in the order of true time; `was` holds what was first written."""
        return tuple(self._events)

    @property
    def sent(self) -> tuple[Event, ...]:
        """As they were sent, in the order of the time they were said to be of."""
        return tuple(sorted(self._sent.values(), key=lambda e: (e.at, e.id)))

    @property
    def timing(self) -> Timing:
        return Timing(len(self._events), self.repeated, self.reordered, self.latest)

    def before(self, event: str) -> State:
        """The state as it stood before one event."""
        place = bisect_left(self._keys, (self._at[event], event))
        count, state = next(kept for kept in reversed(self._kept) if kept[0] <= place)
        for each in self._events[count:place]:
            state = advance(state, each, self.day)
        return state

    def add(self, event: Event) -> State:
        """The state with `event` taken in at its place."""
        known = self._sent.get(event.id)
        if known is not None and not self._takes_the_place(known, event):
            return self.state
        self._sent[event.id] = event
        if event.received - event.at > self.latest:
            self.latest = event.received - event.at
        if known is None and self._is_next(event):
            return self._append(event)
        if event.type == _CORRECTION:
            self._corrections.setdefault(event.data["corrects"], []).append(event)
        self._put(event)
        self._again(event)
        for waiting in self._corrections.get(event.id, ()):  # they came before what they correct
            if waiting.id in self._at:
                self._put(waiting)
        return self.state

    def _is_next(self, event: Event) -> bool:
        """Whether an event simply comes after all others, as nearly every one does."""
        first = event.type == _CORRECTION or event.id in self._corrections
        ahead = event.at > event.received + self.day.tolerance
        return not (first or ahead) and (not self._keys or (event.at, event.id) > self._keys[-1])

    def _append(self, event: Event) -> State:
        self._at[event.id] = event.at
        self._keys.append((event.at, event.id))
        self._events.append(event)
        self.state = advance(self.state, event, self.day)
        self._folded += 1
        if self._folded % _APART == 0:
            self._kept.append((self._folded, self.state))
        return self.state

    def _again(self, correction: Event) -> None:
        """What an event corrects counts otherwise now."""
        original = self._sent.get(correction.data["corrects"]) if correction.type == _CORRECTION else None
        if original is not None:
            self._put(original)

    def _takes_the_place(self, known: Event, event: Event) -> bool:
        """Whether an event is rather meant by its id than the one that is known: it was received first."""
        one, other = ((e.received, line(e._replace(received=e.at), self._shape)) for e in (known, event))
        if one[1] == other[1]:
            self.repeated += 1
            return False
        kept, aside = (known, event) if one <= other else (event, known)
        why = "this id stands for another event already; send it again with an id of its own"
        self.held.append(Held(line(aside, self._shape), aside.id, why, aside.received, aside))
        if kept is known:
            return False
        if known.type == _CORRECTION:
            self._corrections[known.data["corrects"]].remove(known)
            self._again(known)
        return True

    # --- corrections and clocks ---

    def _placed(self, event: Event) -> Event:
        """No event is later than its arrival: one that says so is put where it arrived, and keeps what it said."""
        if event.at <= event.received + self.day.tolerance:
            return event
        return event._replace(at=event.received, was=event)

    def _counts(self, original: Event) -> Event:
        """As it counts: after the last correction of it that can be read; one that cannot corrects nothing."""
        if original.type == _CORRECTION and _unread(self._sent.get(original.data["corrects"]), original, self._shape):
            return self._placed(original)._replace(withdrawn=True, was=original)
        corrections = self._corrections.get(original.id)
        if not corrections:
            return self._placed(original)
        for correction in sorted(corrections, key=lambda e: (e.at, e.id), reverse=True):
            if _unread(original, correction, self._shape):
                continue  # it corrects nothing; `unread` tells
            data, at = correction.data, correction.data.get("at", self._placed(original).at)
            told = original._replace(at=at, was=original, second=data["witness"] if _second(correction) else "")
            if data.get("withdrawn"):
                return told._replace(withdrawn=True)
            if "data" not in data:
                return told
            return told._replace(data=read_data(original.type, data["data"], self._shape))
        return self._placed(original)

    def unread(self) -> Iterator[tuple[Event, str]]:
        """Corrections that change nothing, with the reason."""
        for name, corrections in self._corrections.items():
            original = self._sent.get(name)
            for correction in corrections:
                why = _unread(original, correction, self._shape)
                if why:
                    yield correction, why

    # --- order ---

    def _put(self, event: Event) -> None:
        """Place an event as it counts now, and fold again from there."""
        counts = self._counts(event)
        key, before = (counts.at, counts.id), self._remove(event.id)
        place = len(self._keys) if not self._keys or key > self._keys[-1] else bisect_left(self._keys, key)
        self.reordered += before is None and place < len(self._keys)
        self._at[event.id] = counts.at
        self._keys.insert(place, key)
        self._events.insert(place, counts)
        self._fold_from(place if before is None else min(place, before))

    def _remove(self, name: str) -> int | None:
        """Take an event out of its place, which is told; the state is folded again by whoever asks."""
        if name not in self._at:
            return None
        place = bisect_left(self._keys, (self._at.pop(name), name))
        del self._keys[place], self._events[place]
        return place

    def _fold_from(self, place: int) -> None:
        count, state = len(self._events) - 1, self.state
        if place < count or self._folded != count:
            while self._kept[-1][0] > place:
                self._kept.pop()
            count, state = self._kept[-1]
        for event in self._events[count:]:
            state = advance(state, event, self.day)
            count += 1
            if count % _APART == 0 and count > self._kept[-1][0]:
                self._kept.append((count, state))
        self.state, self._folded = state, count


def _unread(original: Event | None, correction: Event, shape: Shape) -> str:
    """Why a correction changes nothing; "" if it does."""
    data = correction.data
    if original is None:
        return "it corrects an event that is not in this log: send that one, or name another"
    if original.type == _CORRECTION:
        return "a correction is not corrected: correct the event itself again"
    if correction.by == correction.source != original.source:
        return "a device corrects only what it sent itself: a person corrects the rest"
    if data.get("at", correction.received) > correction.received:
        return "it says that the event was after the correction: give the true time"
    if data.get("withdrawn"):
        return ""
    try:
        read_data(original.type, data["data"], shape) if "data" in data else None
    except BadInput as error:
        return str(error)
    return ""


def _second(correction: Event) -> bool:
    """Whether somebody else stands for it too."""
    witness = person(correction.data.get("witness", ""))
    return witness not in ("", person(correction.by))
