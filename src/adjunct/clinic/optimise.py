"""The timetable by CP-SAT of OR-tools, which starts from the greedy one and looks for a better: never a worse.

Better: more visits placed, an urgent one counting for more; of as many, less time between what was wished and what is
given. The same constraints, read from the same board; the same reasons for those who wait. An optional extra.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from adjunct.base import BadInput
from adjunct.clinic.board import Choices, runs
from adjunct.clinic.model import ALONE, PRESENT, Booking, Need, Request, Timetable, wish
from adjunct.clinic.schedule import Problem, prepare, schedule
from adjunct.clinic.settings import Clinic

EFFORT = 1.0  # of CP-SAT's own clock, which gives one answer to one question; a month of a clinic: about a minute


def optimise(
    asked: Iterable[Request], clinic: Clinic, *, now: int, booked: Iterable[Booking] = (), effort: float = EFFORT
) -> Timetable:
    """`schedule`, and then better if a better one is found within `effort` of the solver's clock.

    Raises `BadInput` as `schedule` does, and where OR-tools is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        raise BadInput(
            "the optimiser needs OR-tools: install adjunct[scheduling], or use the greedy timetable", "optimise"
        ) from None
    asked, booked = list(asked), list(booked)
    greedy = schedule(asked, clinic, now=now, booked=booked)
    problem = prepare(asked, clinic, now=now, booked=booked)
    model = _Model(problem, cp_model.CpModel())
    model.hint({b.request.id: b for b in greedy.booked if b.request.id in problem.starts})
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.interleave_search = True  # several ways of looking, in turn and not in a race
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = effort
    if solver.solve(model.model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return greedy
    for booking in model.bookings(solver):
        problem.board.take(booking)
    return problem.answer(problem.board)


class _Model:
    """The problem as variables: for each request whether, when, on which chair, with whom."""

    def __init__(self, problem: Problem, model: Any) -> None:
        self.problem, self.model, self.board = problem, model, problem.board
        self.found: dict[str, Choices] = {}
        self.start: dict[str, Any] = {}
        self.placed: dict[str, Any] = {}
        self.chair: dict[str, list[tuple[str, Any]]] = {}
        self.teams: dict[str, list[tuple[Need, list[tuple[str, Any]]]]] = {}
        self._on: dict[str, list[tuple[Any, int]]] = defaultdict(list)  # intervals and demand, by what they bind
        for name in sorted(problem.starts):
            self._visit(problem.asked[name])
        self._limits()
        self._ties()
        self._aim()

    def _domain(self, mask: int, low: int) -> Any:
        from ortools.sat.python.cp_model import Domain

        return Domain.from_intervals([[low + first, low + last - 1] for first, last in runs(mask)])

    def _only(self, name: str, mask: int, chosen: Any) -> None:
        """If chosen, the start of a visit is one of these; most often that follows from where it can start at all."""
        found, start = self.found[name], self.start[name]
        if not found.starts & mask:
            self.model.add(chosen == 0)
        elif found.starts & ~mask or chosen is self.placed[name]:
            self.model.add_linear_expression_in_domain(start, self._domain(mask, found.low)).only_enforce_if(chosen)

    def _visit(self, request: Request) -> None:
        model, board = self.model, self.board
        opens, closes = self.problem.window(request)
        without = board.choices(_untied(request, self.problem), opens, closes)
        name, length = request.id, board.length(request)
        placed = model.new_bool_var(f"placed {name}")
        start = model.new_int_var(without.low, board.size, f"start {name}")
        self.found[name], self.start[name], self.placed[name] = without, start, placed
        self._only(name, without.starts, placed)
        chairs = [(chair, model.new_bool_var(f"{name} on {chair}"), mask) for chair, mask in without.chairs]
        model.add(sum(var for _, var, _ in chairs) == placed)
        for chair, var, mask in chairs:
            self._only(name, mask, var)
            interval = model.new_optional_fixed_size_interval_var(start, length, var, "")
            self._on[f"chair {chair}"].append((interval, 1))
            if board.room_of(chair):
                self._on[f"room {board.room_of(chair)}"].append((interval, 1))
        self.chair[name] = [(chair, var) for chair, var, _ in chairs]
        self.teams[name] = [self._need(request, need, team) for need, team in without.teams]
        for number, (need, team) in enumerate(self.teams[name]):  # nobody is two people
            for other, others in self.teams[name][:number]:
                if board.clash(request, need, other):
                    taken = dict(others)
                    for person, var in team:
                        if person in taken:
                            model.add(var + taken[person] <= 1)

    def _need(self, request: Request, need: Need, team: list[Any]) -> tuple[Need, list[tuple[str, Any]]]:
        begins, ends = self.board.part(request, need.during)
        start, found = self.start[request.id], []
        for person, mask in team:
            var = self.model.new_bool_var(f"{request.id} with {person.id}")
            self._only(request.id, mask, var)
            if need.how != PRESENT:
                interval = self.model.new_optional_fixed_size_interval_var(start + begins, ends - begins, var, "")
                self._on[f"staff {person.id}"].append((interval, person.observes if need.how == ALONE else 1))
            found.append((person.id, var))
        self.model.add(sum(var for _, var in found) == need.count * self.placed[request.id])
        return need, found

    def _limits(self) -> None:
        """Nothing above its capacity; what is taken already counts, level by level."""
        board = self.board
        loads = {
            **{f"chair {name}": load for name, load in board.chairs.items()},
            **{f"room {name}": load for name, load in board.rooms.items()},
            **{f"staff {name}": load for name, load in board.staff.items()},
        }
        for name, load in loads.items():
            if not self._on[name]:
                continue
            fixed = [
                (self.model.new_fixed_size_interval_var(first, last - first, ""), 1)
                for level in load.levels
                for first, last in runs(level)
            ]
            intervals, demands = zip(*self._on[name], *fixed, strict=True)
            self.model.add_cumulative(intervals, demands, len(load.levels))

    def _ties(self) -> None:
        """One person is in one place; doses keep order and least gap; what comes after comes after."""
        board, asked = self.board, self.problem.asked
        of: dict[str, list[str]] = defaultdict(list)
        for name in self.start:
            of[asked[name].person].append(name)
        for names in of.values():
            self.model.add_no_overlap(
                self.model.new_optional_fixed_size_interval_var(
                    self.start[n], board.length(asked[n]), self.placed[n], ""
                )
                for n in names
            )
            doses = sorted((n for n in names if asked[n].order is not None), key=lambda n: asked[n].order or 0)
            for number, name in enumerate(doses):
                for before in doses[:number]:
                    gap = board.steps(asked[name].least_gap_ms)
                    both = (self.placed[name], self.placed[before])
                    self.model.add(self.start[name] >= self.start[before] + gap).only_enforce_if(*both)
        for name in self.start:
            before = asked[name].after
            if before in self.start:
                self.model.add_implication(self.placed[name], self.placed[before])
                ends = self.start[before] + board.length(asked[before])
                self.model.add(self.start[name] >= ends).only_enforce_if(self.placed[name])

    def _aim(self) -> None:
        delays = []
        longest = 0
        for name, start in self.start.items():
            request, found = self.problem.asked[name], self.found[name]
            best = self.board.up(wish(request))
            most = max(abs(found.low - best), abs(found.low + found.starts.bit_length() - best), 0)
            delay = self.model.new_int_var(0, most, f"delay {name}")
            self.model.add(delay >= start - best).only_enforce_if(self.placed[name])
            self.model.add(delay >= best - start).only_enforce_if(self.placed[name])
            delays.append(delay)
            longest += most
        ranks = sorted({self.problem.asked[n].priority for n in self.start}, reverse=True)
        weight = longest + 1
        worth = [(1 + ranks.index(self.problem.asked[n].priority)) * weight * var for n, var in self.placed.items()]
        self.model.maximize(sum(worth) - sum(delays))

    def hint(self, greedy: Mapping[str, Booking]) -> None:
        """Begin from the greedy timetable."""
        for name, placed in self.placed.items():
            booking = greedy.get(name)
            self.model.add_hint(placed, booking is not None)
            if booking is None:
                continue
            self.model.add_hint(self.start[name], self.board.up(booking.starts))
            for chair, var in self.chair[name]:
                self.model.add_hint(var, chair == booking.chair)
            for need, team in self.teams[name]:
                begins = self.board.ms(self.board.up(booking.starts) + self.board.part(booking.request, need.during)[0])
                there = {d.staff for d in booking.duties if d.how == need.how and d.starts == begins}
                for person, var in team:
                    self.model.add_hint(var, person in there)

    def bookings(self, solver: Any) -> Iterable[Booking]:
        """The bookings of a solution."""
        for name, placed in self.placed.items():
            if solver.value(placed):
                chair = next(chair for chair, var in self.chair[name] if solver.value(var))
                duties = [
                    (person, need) for need, team in self.teams[name] for person, var in team if solver.value(var)
                ]
                yield self.board.booking(self.problem.asked[name], solver.value(self.start[name]), chair, duties)


def _untied(request: Request, problem: Problem) -> Request:
    """The request without what it comes after, where that is still to be placed: the model ties them."""
    return replace(request, after="") if request.after in problem.starts else request
