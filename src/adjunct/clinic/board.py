"""What is free when: one bit for every step of the clinic's raster; a month is one number, a search is an `and`.

Bit `n` of a mask stands for the step that begins `n` rasters after the board does. Steps are counted in real time, so a
change to summer time moves the opening hours and lengthens no visit. Lengths are rounded up to whole steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from adjunct.clinic.model import ALONE, DOSE, OBSERVE, PRESENT, WHOLE, Booking, Duty, Need, Request, wish
from adjunct.clinic.settings import Clinic, Staff
from adjunct.followup.cover import Cover, Hours


class Load:
    """What is taken of a chair, a room or a person. Level `k` holds the steps in which more than `k` are there."""

    __slots__ = ("levels", "works")

    def __init__(self, capacity: int, works: int) -> None:
        self.works = works
        self.levels = [0] * capacity

    def free(self, *, alone: bool = False) -> int:
        return self.works & ~self.levels[0 if alone else -1]

    def add(self, mask: int, times: int = 1) -> None:
        for _ in range(times):
            rest = mask
            for level, taken in enumerate(self.levels):
                self.levels[level], rest = taken | rest, taken & rest

    def remove(self, mask: int, times: int = 1) -> None:
        for _ in range(times):
            rest = mask
            for level in reversed(range(len(self.levels))):
                taken = self.levels[level]
                self.levels[level], rest = taken & ~rest, rest & ~taken


@dataclass(frozen=True, slots=True)
class Choices:
    """Where one request could start. `limits`: each constraint by itself, in words' order; bits count from `low`."""

    low: int
    limits: dict[str, int]
    chairs: list[tuple[str, int]]
    teams: list[tuple[Need, list[tuple[Staff, int]]]]

    @property
    def starts(self) -> int:
        found = -1
        for mask in self.limits.values():
            found &= mask
        return found


class Board:
    """The state of one clinic between two instants, with the bookings taken so far."""

    def __init__(self, clinic: Clinic, first: int, last: int) -> None:
        self.clinic = clinic
        self.raster = clinic.raster_ms
        self.base = first // self.raster * self.raster
        self.size = -(-(last - self.base) // self.raster)
        self._weekly: dict[tuple[Hours, ...], int] = {}
        days = (clinic.cover.local(first).date() - timedelta(days=1), clinic.cover.local(last).date())
        self.days = days
        self.open = self._mask(clinic.openings(*days))
        whole = (1 << self.size) - 1
        self.rooms = {room.id: Load(room.capacity, whole) for room in clinic.rooms}
        self.chairs = {chair.id: Load(1, whole) for chair in clinic.chairs}
        self.staff = {person.id: Load(person.observes, self._works(person)) for person in clinic.staff}
        self._chairs = sorted(clinic.chairs, key=lambda c: (not c.kinds, len(c.kinds), c.id))
        self._room = {chair.id: chair.room for chair in clinic.chairs}
        self._people = sorted(clinic.staff, key=lambda p: (len(p.competences), len(p.roles), p.id))
        self.booked: dict[str, Booking] = {}
        self.of: dict[str, dict[str, Booking]] = defaultdict(dict)  # by person
        self.followers: dict[str, dict[str, Booking]] = defaultdict(dict)  # by the id they come after

    # --- time ---------------------------------------------------------------------------------------------------------

    def up(self, ms: int) -> int:
        """The first step that begins at `ms` or later."""
        return -((self.base - ms) // self.raster)

    def down(self, ms: int) -> int:
        """The last step that begins at `ms` or earlier."""
        return (ms - self.base) // self.raster

    def ms(self, step: int) -> int:
        return self.base + step * self.raster

    def steps(self, length_ms: int) -> int:
        return -(-length_ms // self.raster)

    def part(self, request: Request, during: str) -> tuple[int, int]:
        """From and to which step after its start a part of the visit lasts."""
        dose, stay = self.steps(request.duration_ms), self.steps(request.observe_ms)
        return {DOSE: (0, dose), OBSERVE: (dose, dose + stay), WHOLE: (0, dose + stay)}[during]

    def length(self, request: Request) -> int:
        return self.part(request, WHOLE)[1]

    def span(self, starts: int, ends: int) -> int:
        """The steps that lie wholly inside; what is outside the board is cut off."""
        low, high = max(self.up(starts), 0), min(self.down(ends), self.size)
        return ((1 << (high - low)) - 1) << low if high > low else 0

    def touched(self, starts: int, ends: int) -> int:
        """The steps of which any part lies inside."""
        return self.span(starts // self.raster * self.raster, self.ms(self.up(ends)))

    def _mask(self, times: Iterable[tuple[int, int]]) -> int:
        found = 0
        for opens, closes in times:
            found |= self.span(opens, closes)
        return found

    def _dates(self) -> Iterator[date]:
        first, last = self.days
        return (first + timedelta(days=number) for number in range((last - first).days + 1))

    def weekly(self, hours: tuple[Hours, ...]) -> int:
        """Wall-clock times of the week as a mask."""
        if hours not in self._weekly:
            week = Cover(zone=self.clinic.cover.zone, hours=hours)
            self._weekly[hours] = self._mask(times for day in self._dates() for times in week.openings(day))
        return self._weekly[hours]

    def _works(self, person: Staff) -> int:
        clock = self.clinic.cover.instant
        works = self.weekly(person.hours) if person.hours else self.open
        for day in self._dates():
            if person.is_away(day):
                works &= ~self.touched(clock(day, timedelta(0)), clock(day, timedelta(days=1)))
        return works

    # --- bookings -----------------------------------------------------------------------------------------------------

    def _loads(self, booking: Booking) -> Iterator[tuple[Load | None, int, int]]:
        """Everything a booking binds: the load (None: it is gone), the steps, and how many times."""
        whole = self.touched(booking.starts, booking.ends)
        yield self.chairs.get(booking.chair), whole, 1
        if self.room_of(booking.chair):
            yield self.rooms[self.room_of(booking.chair)], whole, 1
        for duty in booking.duties:
            load = self.staff.get(duty.staff)
            times = 0 if duty.how == PRESENT else len(load.levels) if load and duty.how == ALONE else 1
            yield load, self.touched(duty.starts, duty.ends), times

    def take(self, booking: Booking) -> None:
        for load, mask, times in self._loads(booking):
            if load:
                load.add(mask, times)
        self.booked[booking.request.id] = booking
        self.of[booking.request.person][booking.request.id] = booking
        self.followers[booking.request.after][booking.request.id] = booking

    def drop(self, booking: Booking) -> None:
        for load, mask, times in self._loads(booking):
            if load:
                load.remove(mask, times)
        del self.booked[booking.request.id]
        del self.of[booking.request.person][booking.request.id]
        del self.followers[booking.request.after][booking.request.id]

    def faults(self, booking: Booking) -> Iterator[str]:
        """Why a booking that was made elsewhere does not fit this clinic; ask before it is taken."""
        if self.touched(booking.starts, booking.ends) & ~self.open:
            yield "the clinic is closed then"
        if booking.chair not in self.chairs:
            yield f"there is no chair {booking.chair}"
        for duty in booking.duties:
            if duty.staff not in self.staff:
                yield f"{duty.staff} does not work here"
            elif self.touched(duty.starts, duty.ends) & ~self.staff[duty.staff].works:
                yield f"{duty.staff} is not at work then"
        for load, mask, times in self._loads(booking):
            if load and times and mask & load.works & ~load.free(alone=times == len(load.levels)):
                yield "a chair, a room or somebody of the staff is bound elsewhere at the same time"
                break

    # --- where a request fits -----------------------------------------------------------------------------------------

    def choices(self, request: Request, opens: int, closes: int, *, behind: bool = True) -> Choices:
        """Every constraint on the start of a visit that lies between two instants, each by itself.

        Without `behind`, what is booked to come after it is left out: it would have to move.
        """
        low = max(self.up(opens), 0)
        count = max(min(self.down(closes), self.size) - low, 0)
        whole = (1 << count) - 1
        length = self.length(request)

        def cut(mask: int) -> int:
            return (mask >> low) & whole

        limits = {"window": lasting(whole, length), "open": lasting(cut(self.open), length)}
        if request.avoid:
            limits["avoid"] = lasting(cut(~self.weekly(request.avoid)), length)
        limits |= self._own(request, low, whole, length, behind)
        chairs = [
            (chair.id, lasting(cut(self._seat(chair.id)), length)) for chair in self._chairs if chair.fits(request.kind)
        ]
        limits["chair"] = at_least(1, [mask for _, mask in chairs])
        teams = []
        for number, need in enumerate(sorted(request.needs, key=lambda n: n.how == PRESENT)):
            begins, ends = self.part(request, need.during)
            if begins == ends:
                continue
            able = [p for p in self._people if p.can(need.role, need.competences)]
            masks = [self._hands(p.id, need) for p in able]
            team = [(p, lasting(cut(m) >> begins, ends - begins)) for p, m in zip(able, masks, strict=True)]
            limits[f"need {number}"] = at_least(need.count, [mask for _, mask in team])
            teams.append((need, team))
        return Choices(low, limits, chairs, teams)

    def room_of(self, chair: str) -> str:
        return self._room.get(chair, "")

    def _seat(self, chair: str) -> int:
        room = self.rooms.get(self._room[chair])
        return self.chairs[chair].free() & (room.free() if room else -1)

    def _hands(self, person: str, need: Need) -> int:
        load = self.staff[person]
        return load.works if need.how == PRESENT else load.free(alone=need.how == ALONE)

    def _own(self, request: Request, low: int, whole: int, length: int, behind: bool) -> dict[str, int]:
        """What the other visits of the same person, and those it is tied to, leave over."""
        busy, first, last = 0, low, low + whole.bit_length()
        for other in self.of[request.person].values():
            busy |= self.touched(other.starts, other.ends)
            if request.order is not None and other.request.order is not None:
                if other.request.order < request.order:
                    first = max(first, self.up(other.starts + request.least_gap_ms))
                elif behind:
                    last = min(last, self.down(other.starts - other.request.least_gap_ms))
        limits = {"own": lasting((~busy >> low) & whole, length), "order": between(first - low, last - low) & whole}
        followers = self.followers[request.id].values() if behind else ()
        if request.after or followers:
            before = self.booked.get(request.after)
            first = 0 if not request.after else self.up(before.ends) - low if before else whole.bit_length()
            ends = min((f.starts for f in followers), default=self.ms(self.size))
            limits["after"] = between(first, self.down(ends) - length - low) & whole
        return limits

    def place(self, request: Request, opens: int, closes: int, *, behind: bool = True) -> Booking | None:
        """The best place between two instants: in preferred times if any is, nearest to the wish, the earlier one."""
        found = self.choices(request, opens, closes, behind=behind)
        starts = found.starts
        liked = (
            starts & lasting(self.weekly(request.prefer) >> found.low, self.length(request)) if request.prefer else 0
        )
        for candidates in (liked, starts & ~liked):
            for step in nearest(candidates, self.up(wish(request)) - found.low):
                duties = self._team(request, found, step)
                if duties is not None:
                    chair = next(name for name, mask in found.chairs if mask >> step & 1)
                    return self.booking(request, found.low + step, chair, duties)
        return None

    def booking(self, request: Request, step: int, chair: str, duties: Sequence[tuple[str, Need]]) -> Booking:
        """The booking of a request at a step, with who does what when."""
        bound = tuple(
            Duty(staff=person, how=need.how, starts=self.ms(step + begins), ends=self.ms(step + ends))
            for person, need in duties
            for begins, ends in [self.part(request, need.during)]
        )
        ends = self.ms(step + self.length(request))
        return Booking(request=request, starts=self.ms(step), ends=ends, chair=chair, duties=bound)

    def _team(self, request: Request, found: Choices, step: int) -> list[tuple[str, Need]] | None:
        """Who does what in a visit that starts at `step`, or None. Nobody is two people, and few change hands."""
        wanted = [(need, team) for need, team in found.teams for _ in range(need.count)]
        chosen: list[tuple[str, Need]] = []

        def fill(place: int) -> bool:
            if place == len(wanted):
                return True
            need, team = wanted[place]
            here = {person for person, _ in chosen}
            for person, mask in sorted(team, key=lambda entry: entry[0].id not in here):
                if mask >> step & 1 and not any(
                    person.id == other and (need is same or self.clash(request, need, same)) for other, same in chosen
                ):
                    chosen.append((person.id, need))
                    if fill(place + 1):
                        return True
                    chosen.pop()
            return False

        return chosen if fill(0) else None

    def clash(self, request: Request, one: Need, other: Need) -> bool:
        """Whether two needs of one visit bind their people at the same time."""
        (a, b), (c, d) = self.part(request, one.during), self.part(request, other.during)
        return PRESENT not in (one.how, other.how) and a < d and c < b


# --- masks ------------------------------------------------------------------------------------------------------------


def lasting(mask: int, length: int) -> int:
    """The steps from which `length` steps on end are set.

    >>> bin(lasting(0b1110111, 3))
    '0b10001'
    """
    have = 1
    while have < length:
        more = min(have, length - have)
        mask &= mask >> more
        have += more
    return mask


def at_least(count: int, masks: Iterable[int]) -> int:
    """The steps that are set in `count` masks or more."""
    levels = [-1] + [0] * count
    for mask in masks:
        for level in range(count, 0, -1):
            levels[level] |= levels[level - 1] & mask
    return levels[count]


def between(first: int, last: int) -> int:
    """The steps from `first` to `last`, both included."""
    first = max(first, 0)
    return ((1 << (last - first + 1)) - 1) << first if last >= first else 0


def nearest(mask: int, wish: int) -> Iterator[int]:
    """The steps of a mask, the nearest to `wish` first; of two the earlier.

    >>> list(nearest(0b10110, 2))
    [2, 1, 4]
    """
    wish = max(wish, 0)
    earlier, later = mask & ((1 << wish) - 1), mask >> wish
    while earlier or later:
        before, gap = earlier.bit_length() - 1, (later & -later).bit_length() - 1
        if not later or (earlier and wish - before <= gap):
            yield before
            earlier ^= 1 << before
        else:
            yield wish + gap
            later ^= 1 << gap


def runs(mask: int) -> Iterator[tuple[int, int]]:
    """Where a mask is set: from each first step to the step after the last.

    >>> list(runs(0b1100110))
    [(1, 3), (5, 7)]
    """
    at = 0
    while mask:
        gap = (mask & -mask).bit_length() - 1
        mask >>= gap
        size = (~mask & (mask + 1)).bit_length() - 1
        yield at + gap, at + gap + size
        mask >>= size
        at += gap + size
