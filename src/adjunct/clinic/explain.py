"""Why a visit has no place, in words: the fewest constraints that together leave no start, and when there is one.

For the staff who book. A sentence names times and skills, nobody's health.
"""

from __future__ import annotations

from collections.abc import Iterator

from adjunct.base import duration_ms
from adjunct.clinic.board import Board, Choices, lasting, runs
from adjunct.clinic.model import PRESENT, Request
from adjunct.clinic.settings import Clinic
from adjunct.followup.cover import DAYS

SHOWN = 2  # times that are named before the rest is counted
MINUTE_MS = duration_ms("1 min")


def moment(ms: int, clinic: Clinic) -> str:
    """A time of the clinic's calendar, such as "Friday 2027-01-15 14:00"."""
    local = clinic.cover.local(ms)
    return f"{DAYS[local.weekday()].capitalize()} {local:%Y-%m-%d %H:%M}"


def next_start(board: Board, request: Request, opens: int, closes: int) -> int | None:
    """The first start that would do if the window did not close and later visits of the person could move, or None."""
    step = closes - board.length(request) * board.raster
    place = board.place(request, max(step, opens), board.ms(board.size), behind=False)
    return None if place is None else place.starts


def why(board: Board, request: Request, opens: int, closes: int, following: int | None) -> str:
    """The constraints that bind, each by itself or together, and the next start (`following`) outside the window."""
    found = board.choices(request, opens, closes)
    says = "; ".join(_sentences(board, request, found, opens, closes))
    if found.limits["window"] == 0:
        return says
    end = f"the window closes on {moment(closes, board.clinic)}"
    if following is None:
        return f"{says}; {end}, and nothing is free until {moment(board.ms(board.size), board.clinic)}"
    return f"{says}; the next free start is {moment(following, board.clinic)}, {end}"


def _sentences(board: Board, request: Request, found: Choices, opens: int, closes: int) -> Iterator[str]:
    binding = _binding(found)
    if not binding:
        yield "one person would have to be in two places: the same staff are needed for two parts of it"
    for name in binding:
        match name:
            case "window":
                yield (
                    f"the window is shorter than the visit: {minutes(closes - opens)} from "
                    f"{moment(opens, board.clinic)}, and the visit takes {minutes(request.length_ms)}"
                )
            case "open":
                yield (
                    f"the clinic is never open for {minutes(request.length_ms)} on end between "
                    f"{moment(opens, board.clinic)} and {moment(closes, board.clinic)}"
                )
            case "after" if request.after and request.after not in board.booked:
                yield f"it comes after {request.after}, which has no place"
            case "chair" if not found.chairs:
                yield f"no chair is for visits of the kind {request.kind}"
            case "chair" if not found.limits[name] & found.limits["open"]:
                yield f"no chair for {request.kind} is free for long enough in the window: all are taken"
            case _ if name.startswith("need"):
                yield _need(board, request, found, name)
            case _:
                yield f"{_PLAIN[name].format(kind=request.kind)} {_when(board, found, name)}"


_PLAIN = {
    "avoid": "outside the times that the person cannot come, a start is possible",
    "own": "beside the person's other visits, a start is possible",
    "order": "with the least time between two doses of this person, a start is possible",
    "after": "with the visits that come before and after it, a start is possible",
    "chair": "a chair for {kind} is free for a start",
}


def _need(board: Board, request: Request, found: Choices, name: str) -> str:
    names = [other for other in found.limits if other.startswith("need")]
    need, team = found.teams[names.index(name)]
    whom = f"{need}" if need.count == 1 else f"team of {need.count} ({need})"
    if len(team) < need.count:
        return f"nobody here is a {need}" if not team else f"a {whom} is needed, and there are {len(team)} here"
    if found.limits[name] & found.limits["open"]:
        return f"a {whom} is free for a start {_when(board, found, name)}"
    begins, ends = board.part(request, need.during)
    count = found.limits["window"].bit_length() + board.length(request)
    works = [(board.staff[p.id].works >> found.low) & ((1 << count) - 1) for p, _ in team]
    if need.how == PRESENT or sum(bool(lasting(w, ends - begins)) for w in works) < need.count:
        return f"no {whom} is at work long enough in the window"
    return f"no {whom} is free in the window: all are bound elsewhere"


def _binding(found: Choices) -> list[str]:
    """The names of constraints that leave no start: one that leaves none by itself, else the fewest together."""
    for name in ("window", "open"):
        if not found.limits[name]:
            return [name]
    opening = found.limits["open"]
    empty = [name for name, mask in found.limits.items() if not mask & opening]
    if empty:
        return empty
    if found.starts:
        return []
    needed = [name for name in found.limits if name not in ("window", "open")]
    for name in tuple(needed):
        rest = opening
        for other in needed:
            rest &= -1 if other == name else found.limits[other]
        if not rest:
            needed.remove(name)
    return needed


def _when(board: Board, found: Choices, name: str) -> str:
    """The times at which a constraint, by itself, allows a start while the clinic is open."""
    times = list(runs(found.limits[name] & found.limits["open"]))
    if not times:
        return "at no time in the window"
    shown = []
    for first, last in times[:SHOWN]:
        begins, ends = (board.ms(found.low + step) for step in (first, last - 1))
        until = f" to {board.clinic.cover.local(ends):%H:%M}" if ends > begins else ""
        shown.append(moment(begins, board.clinic) + until)
    more = [f"{len(times) - SHOWN} more"] if len(times) > SHOWN else []
    return f"only {', '.join(shown + more)}"


def minutes(ms: int) -> str:
    """A length of time in words."""
    return f"{ms // MINUTE_MS} min"
