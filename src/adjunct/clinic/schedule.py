"""The timetable: greedy, the tightest first, with one step of looking ahead; the waiting list; a freed place.

Same requests, same clinic, same bookings: the same timetable, in whatever order they come. Bookings that exist are
never moved. Windows are tightened first, so that a visit leaves room for those that must follow it.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from adjunct.base import MS_PER_DAY, BadInput
from adjunct.clinic.board import Board, nearest
from adjunct.clinic.explain import moment, next_start, why
from adjunct.clinic.model import Booking, Offer, Request, Timetable, Unplaced, turn, unique
from adjunct.clinic.settings import Clinic
from adjunct.followup.cover import LOOK_AHEAD_D

HORIZON_D = 366  # days ahead that are planned at all
MOVES = 40  # bookings that are tried elsewhere to make room for one that waits


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be placed beside the bookings that stay: for each request its first and last possible start, with
    time left for those that come before and after it.
    """

    board: Board
    asked: Mapping[str, Request]
    starts: Mapping[str, tuple[int, int]]
    links: Mapping[str, Mapping[str, int]]  # from a request to those before it: start to start at least so long (ms)
    conflicts: tuple[Unplaced, ...]
    faults: tuple[str, ...]
    now: int

    def window(self, request: Request) -> tuple[int, int]:
        return max(request.opens, self.now), closing(request, self.now)

    def answer(self, board: Board) -> Timetable:
        """The timetable of a board, with the reasons of those who have no place on it."""
        left = sorted((r for r in self.asked.values() if r.id in self.starts and r.id not in board.booked), key=turn)
        waiting = tuple(unplaced(board, r, *self.window(r)) for r in left)
        booked = tuple(sorted(board.booked.values(), key=lambda b: (b.starts, b.chair, b.request.id)))
        return Timetable(booked=booked, waiting=waiting, conflicts=self.conflicts, faults=self.faults)


def schedule(asked: Iterable[Request], clinic: Clinic, *, now: int, booked: Iterable[Booking] = ()) -> Timetable:
    """Give every request a place that can have one; say of the others why not, and when there is one.

    The more urgent comes first, then the one that must start soonest, then who asked first. Who finds no place may
    move one other visit of this run that has another place. A request that is booked already keeps its place.
    Raises `BadInput` for two requests of one id and for two doses of a person with one place in the order.
    """
    problem = prepare(asked, clinic, now=now, booked=booked)
    board = problem.board
    left = [r for r in _in_turn(problem) if not _placed(problem, r)]
    left = [r for r in sorted(left, key=turn) if not _placed(problem, r) and not _make_room(problem, r)]
    while any(_placed(problem, r) for r in left):  # a move may have made room for others too
        left = [r for r in left if r.id not in board.booked]
    return problem.answer(board)


def rebook(timetable: Timetable, clinic: Clinic, *, cancelled: Iterable[str], now: int) -> Timetable:
    """The timetable without the cancelled visits, and their places offered along the waiting list.

    The first in turn whom a place fits is offered it; an offer holds the place and books nothing. Once it is
    accepted, `schedule` the rest with the bookings and this one. No offer starts sooner than the clinic's notice.
    Raises `BadInput` for a visit that is not booked.
    """
    gone = set(cancelled)
    unknown = gone - {b.request.id for b in timetable.booked}
    if unknown:
        raise BadInput(f"there is no booking {min(unknown)}: cancel by the id of the request", "cancelled")
    kept = [b for b in timetable.booked if b.request.id not in gone]
    problem = prepare([w.request for w in timetable.waiting], clinic, now=now, booked=kept)
    offers, offered = [], []
    for request in sorted(problem.asked.values(), key=turn):
        opens, closes = problem.window(request)
        place = problem.board.place(request, max(opens, now + clinic.notice_ms), closes)
        if place is not None and request.id in problem.starts:
            problem.board.take(place)
            says = f"{moment(place.starts, clinic)}, chair {place.chair}, is offered to {request.person}"
            offers.append(Offer(booking=place, says=f"{says} (request {request.id}): first in turn of those it fits"))
            offered.append(Unplaced(request=request, says="a freed place is offered", next_start=place.starts))
    held = problem.answer(problem.board)
    waiting = sorted((*held.waiting, *offered), key=lambda w: turn(w.request))
    booked = tuple(b for b in held.booked if b.request.id not in problem.asked)
    orphans = (
        f"{b.request.id} on {moment(b.starts, clinic)} comes after {b.request.after}, which was cancelled"
        for b in kept
        if b.request.after in gone
    )
    return Timetable(
        booked=booked,
        waiting=tuple(waiting),
        conflicts=(*timetable.conflicts, *held.conflicts),
        faults=(*held.faults, *orphans),
        offers=tuple(offers),
    )


def prepare(asked: Iterable[Request], clinic: Clinic, *, now: int, booked: Iterable[Booking] = ()) -> Problem:
    """Everything that is known before a place is given: what exists, what cannot be, and what must leave room."""
    kept = sorted(booked, key=lambda b: (b.starts, b.request.id))
    known = unique([b.request for b in kept])
    fresh = {r.id: r for r in sorted(unique(list(asked)).values(), key=turn) if r.id not in known}
    _one_place_each([*known.values(), *fresh.values()])
    near = [r for r in fresh.values() if r.opens <= now + HORIZON_D * MS_PER_DAY]
    last = max((closing(r, now) for r in near), default=now) + LOOK_AHEAD_D * MS_PER_DAY
    blank, board = Board(clinic, now, last), Board(clinic, now, last)
    faults = []
    for booking in kept:
        faults += [f"{booking.request.id} on {moment(booking.starts, clinic)}: {f}" for f in board.faults(booking)]
        board.take(booking)
    conflicts = {
        r.id: Unplaced(request=r, says=f"its window opens more than {HORIZON_D} days ahead: ask again nearer the time")
        for r in fresh.values()
        if r not in near
    }
    for request in near:
        window = max(request.opens, now), closing(request, now)
        alone = replace(request, after="")  # what it comes after is looked at below
        if request.closes - request.length_ms < now:
            conflicts[request.id] = Unplaced(request=request, says="its window is over: the visit no longer fits")
        elif blank.place(alone, *window) is None:
            conflicts[request.id] = replace(unplaced(blank, alone, *window), request=request)
    links = _links(fresh, known, conflicts)
    starts = _tightened(fresh, links, conflicts, blank, now)
    found = tuple(sorted(conflicts.values(), key=lambda c: turn(c.request)))
    return Problem(board, fresh, starts, links, found, tuple(faults), now)


def closing(request: Request, now: int) -> int:
    """When the window closes; one that is open for longer than anybody plans is searched so far."""
    return min(request.closes, max(request.opens, now) + HORIZON_D * MS_PER_DAY)


def unplaced(board: Board, request: Request, opens: int, closes: int) -> Unplaced:
    """A request without a place on this board, with the reason and the next start after its window."""
    following = next_start(board, request, opens, closes)
    return Unplaced(request=request, says=why(board, request, opens, closes, following), next_start=following)


def _one_place_each(all_: Sequence[Request]) -> None:
    seen: set[tuple[str, int]] = set()
    for request in all_:
        if request.order is not None:
            if (request.person, request.order) in seen:
                raise BadInput("two visits of one person have the same place in the order", f"request {request.id}")
            seen.add((request.person, request.order))


# --- what must come before what ---------------------------------------------------------------------------------------


def _links(
    fresh: Mapping[str, Request], known: Mapping[str, Request], conflicts: dict[str, Unplaced]
) -> dict[str, dict[str, int]]:
    """From each request to those that come before it. One that waits for nothing, or for itself, is a conflict."""
    links: dict[str, dict[str, int]] = {name: {} for name in fresh}
    doses: dict[str, list[Request]] = defaultdict(list)
    for request in fresh.values():
        if request.order is not None and request.id not in conflicts:
            doses[request.person].append(request)
        if request.after in fresh:
            links[request.id][request.after] = fresh[request.after].length_ms
        elif request.after and request.after not in known:
            says = f"it comes after {request.after}, which nobody asked for and nobody booked"
            conflicts[request.id] = Unplaced(request=request, says=says)
    for series in doses.values():
        series.sort(key=lambda r: r.order or 0)
        for before, request in pairwise(series):
            gap = max(request.least_gap_ms, before.length_ms)
            links[request.id][before.id] = max(gap, links[request.id].get(before.id, 0))
    while True:
        try:
            TopologicalSorter(links).prepare()
        except CycleError as error:
            for name in sorted(set(error.args[1])):
                says = f"these visits wait for each other: {', '.join(sorted(set(error.args[1])))}"
                conflicts[name] = Unplaced(request=fresh[name], says=says)
                links[name] = {}
        else:
            return links


def _tightened(
    fresh: Mapping[str, Request],
    links: Mapping[str, Mapping[str, int]],
    conflicts: dict[str, Unplaced],
    blank: Board,
    now: int,
) -> dict[str, tuple[int, int]]:
    """First and last start of each request on an empty board, with time left for what comes before and after."""
    masks: dict[str, tuple[int, int]] = {}
    first: dict[str, int] = {}
    order = [name for name in TopologicalSorter(links).static_order() if name in fresh]
    for name in order:
        if name in conflicts:
            continue
        request = fresh[name]
        if request.after in conflicts:
            conflicts[name] = Unplaced(request=request, says=f"it comes after {request.after}, which cannot be")
            continue
        found = blank.choices(replace(request, after=""), max(request.opens, now), closing(request, now))
        earliest = {p: first[p] + lag for p, lag in links[name].items() if p in first}
        step = blank.up(max(earliest.values(), default=now)) - found.low
        later = found.starts >> max(step, 0) << max(step, 0)
        if not later:
            before = max(earliest, key=lambda p: (earliest[p], p))
            says = (
                f"it cannot start before {moment(earliest[before], blank.clinic)}, because of {before} before it, "
                f"and its window closes on {moment(request.closes, blank.clinic)}"
            )
            conflicts[name] = Unplaced(request=request, says=says)
            continue
        masks[name] = (found.low, later)
        first[name] = blank.ms(found.low + next(nearest(later, 0)))
    last: dict[str, int] = {}
    following: dict[str, int] = {}
    for name in reversed(order):
        if name in masks:
            low, mask = masks[name]
            bound = blank.down(following[name]) - low if name in following else mask.bit_length()
            sooner = mask & ((1 << max(bound + 1, 0)) - 1)
            last[name] = blank.ms(low + (sooner or mask).bit_length() - 1)
            for before, lag in links[name].items():
                following[before] = min(following.get(before, last[name] - lag), last[name] - lag)
    return {name: (first[name], last[name]) for name in masks}


def _in_turn(problem: Problem) -> Iterable[Request]:
    """The requests, those first that must come first; among the ready the most urgent, soonest due, first asked."""
    ready: list[tuple[int, int, int, str]] = []
    urgent = {name: problem.asked[name].priority for name in problem.starts}
    followers: dict[str, list[str]] = defaultdict(list)
    waits = dict.fromkeys(problem.starts, 0)
    for name in problem.starts:
        for before in problem.links[name].keys() & urgent.keys():
            followers[before].append(name)
            waits[name] += 1
    for name in reversed(list(TopologicalSorter(problem.links).static_order())):
        if name in urgent:  # what must come before something urgent is urgent
            urgent[name] = min([urgent[name], *(urgent[f] for f in followers[name])])

    def push(name: str) -> None:
        heapq.heappush(ready, (urgent[name], problem.starts[name][1], problem.asked[name].asked, name))

    for name, count in waits.items():
        if not count:
            push(name)
    while ready:
        name = heapq.heappop(ready)[-1]
        yield problem.asked[name]
        for follower in followers[name]:
            waits[follower] -= 1
            if not waits[follower]:
                push(follower)


# --- giving places ----------------------------------------------------------------------------------------------------


def _placed(problem: Problem, request: Request) -> bool:
    """Book it where it leaves room for what follows, else anywhere in its window."""
    opens, closes = problem.window(request)
    last = min(problem.starts[request.id][1] + problem.board.length(request) * problem.board.raster, closes)
    place = problem.board.place(request, opens, last) or problem.board.place(request, opens, closes)
    if place is not None:
        problem.board.take(place)
    return place is not None


def _make_room(problem: Problem, request: Request) -> bool:
    """Whether one other visit of this run can go elsewhere so that this one has a place; then both are booked."""
    board, (opens, closes) = problem.board, problem.window(request)
    others = (b for n, b in board.booked.items() if n in problem.starts and b.starts < closes and opens < b.ends)
    for other in sorted(others, key=lambda b: (b.starts, b.request.id))[:MOVES]:
        board.drop(other)
        place = board.place(request, opens, closes)
        if place is not None:
            board.take(place)
            if _placed(problem, other.request):
                return True
            board.drop(place)
        board.take(other)
    return False
