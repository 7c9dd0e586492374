"""Linear compartment systems: how much is where and when, for many people at once, in closed form.

Times in h, amounts in mg, rates in 1/h. A system is compartments and the flows between them; a regimen is inputs.
Nothing here knows a drug or a paper. What the system does between two events is a cascade (unfold.py, cascade.py);
here regimens run through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from adjunct.base import BadInput, Floats
from adjunct.pharmacology.kinetics.cascade import Motion, gathered
from adjunct.pharmacology.kinetics.unfold import Block, Graph, Unfolded, unfold

HOUR = 1.0
MOST = 1e100  # of any number, so that a product of two is one
NEVER = 2**62  # the grid point at the end of time
SHORTEST_H = 1e-100  # an input of less than this is a bolus
AT_ONCE = 4 * np.finfo(float).eps  # of a time: an event this little after it is at it
ROW = 64  # grid points that are reached from one state
PAGE = 11  # rows that are always multiplied together, counted from the event before, whatever part is asked for
GROUP = 256  # people whose pages fit a cache
LOOKS = 64  # times at which a stretch is looked at for its peak, each the root of 2 times the one before
MOST_STEPS = 60
CLOSE = 2.0**-40  # of a time: a Newton step this short has found the peak
SLOPE_NOISE = 8 * np.finfo(float).eps


ONE = np.ones(1)


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Movement out of `source` at `rate_h` times what it holds; `target` None is elimination.

    `gain` mg arrive for each mg that leaves (a metabolite's molar mass over its parent's). With `drains` False the
    source loses nothing: an effect site is such a probe.
    """

    source: str
    target: str | None
    rate_h: npt.ArrayLike  # (people,) or one for all
    gain: npt.ArrayLike = 1.0
    drains: bool = True

    def __str__(self) -> str:
        return f"{self.source} to {self.target or 'outside'}"


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """`amount_mg` into a compartment: at once, or at a constant rate over `duration_h`."""

    into: str
    start_h: float
    amount_mg: npt.ArrayLike  # (people,) or one for all
    duration_h: float = 0.0

    @property
    def end_h(self) -> float:
        return self.start_h + self.duration_h


@dataclass(frozen=True, slots=True, eq=False)
class _Dose:
    """An input, checked."""

    into: str
    begin_h: float
    end_h: float
    amount_mg: Floats  # (people,) or (1,)
    rate_mg_h: Floats | None  # None: a bolus


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """A time between two events, in which nothing but the system itself acts."""

    begin_h: float
    end_h: float
    held: Floats  # (people, nodes) at the beginning
    motion: Motion
    skipped: int  # taps that are closed and left out

    def of_some(self, some: slice) -> _Stretch:
        """The same for some of the people."""
        return replace(self, held=self.held[some], motion=self.motion.of_some(some))

    def after(self, time_h: float) -> Floats:
        """(people, nodes) at a time of this stretch."""
        return self.motion.carry(self.held, np.array([time_h - self.begin_h]))[:, :, 0]


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """Doses on their way through a cascade."""

    plan: Unfolded
    doses: tuple[_Dose, ...]
    people: int

    def given(self) -> Floats:
        """(people, nodes): all doses as if at once."""
        return sum(
            (self.plan.entered(dose.into, dose.amount_mg) for dose in self.doses),
            np.zeros((self.people, self.plan.cascade.rates.shape[1])),
        )

    def stretches(self, unit_h: float = HOUR) -> Iterator[_Stretch]:
        """The times between events, in order; the last has no end. While no tap is open the taps are left out.

        Each state follows from the one before, so that nothing is subtracted when an infusion has ended.
        """
        plan, taps = self.plan, len(self.plan.taps)
        events = sorted({dose.begin_h for dose in self.doses} | {dose.end_h for dose in self.doses})
        open_taps, closed = Motion.of(plan.cascade, unit_h), Motion.of(plan.cascade.without_first(taps), unit_h)
        held = np.zeros((self.people, plan.cascade.rates.shape[1]), order="F")
        for begin, end in zip(events, [*events[1:], np.inf], strict=True):
            held[:, :taps] = 0
            running = False
            for dose in self.doses:
                if dose.rate_mg_h is None and dose.begin_h == begin:
                    held += plan.entered(dose.into, dose.amount_mg)
                elif dose.rate_mg_h is not None and dose.begin_h <= begin < dose.end_h and dose.into in plan.taps:
                    held[:, plan.taps[dose.into]] += dose.rate_mg_h
                    running = True
            skipped = 0 if running else taps
            stretch = _Stretch(begin, end, held[:, skipped:].copy(order="F"), open_taps if running else closed, skipped)
            yield stretch
            if end < np.inf:
                held[:, skipped:] = stretch.after(end)

    def at(self, time_h: float) -> Floats:
        """(people, nodes without taps) at a time, before what happens then."""
        for stretch in self.stretches():
            if stretch.begin_h < time_h <= stretch.end_h:
                return stretch.after(time_h)[:, len(self.plan.taps) - stretch.skipped :]
        return np.zeros((self.people, self.plan.cascade.rates.shape[1] - len(self.plan.taps)))


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """Compartments, the flows between them, and the modes of those that exchange."""

    graph: Graph
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, compartments: Sequence[str], flows: Sequence[Flow]) -> System:
        """Check the compartments and flows, and find the modes."""
        names = tuple(compartments)
        if not names or len(set(names)) < len(names):
            raise BadInput("a system needs compartments, each named once", ", ".join(names))
        rates = [_column(flow.rate_h, f"rate of {flow}") for flow in flows]
        gains = [_column(flow.gain, f"gain of {flow}") for flow in flows]
        people = _people([*rates, *gains], "flows")
        arriving: dict[tuple[str, str], Floats] = {}
        leaving: dict[tuple[str, str | None], Floats] = {}
        partial = set()
        for flow, rate, gain in zip(flows, rates, gains, strict=True):
            if flow.source == flow.target or not {flow.source, flow.target} - {None} <= set(names):
                raise BadInput(f"a flow joins two of the compartments {', '.join(names)}", str(flow))
            if flow.drains:
                pair = (flow.source, flow.target)
                leaving[pair] = leaving.get(pair, np.zeros(people)) + rate
            if flow.target is not None:
                into = (flow.source, flow.target)
                arriving[into] = arriving.get(into, np.zeros(people)) + rate * gain
                if not flow.drains or (gain != 1).any():
                    partial.add(into)
        graph = Graph(names, people, arriving, leaving)
        return cls(graph, graph.blocks(arriving.keys() - partial))

    # --- amounts ------------------------------------------------------------------------------------------------------

    def amounts(
        self, inputs: Sequence[Input], times_h: npt.ArrayLike, compartments: Sequence[str]
    ) -> dict[str, Floats]:
        """mg in each compartment, (people, times); at the time of a bolus it is already in."""
        times = _times(times_h)
        course = self._course(inputs, compartments)
        found = {name: np.zeros((course.people, len(times))) for name in compartments}
        for stretch in course.stretches():
            here = (times >= _reached(stretch.begin_h)) & (times < _reached(stretch.end_h))
            if here.any():
                held = stretch.motion.carry(stretch.held, np.maximum(times[here] - stretch.begin_h, 0))
                for name, nodes in course.plan.views.items():
                    found[name][:, here] = gathered(held, [node - stretch.skipped for node in nodes])
        return found

    def grid(
        self,
        inputs: Sequence[Input],
        step_h: float,
        points: int,
        compartment: str,
        out: Floats | None = None,
        start: int = 0,
    ) -> Floats:
        """mg in a compartment at `points` times step_h * (start, start + 1, ...), (people, points).

        Between events the amount at time a + b is what time b makes of each node, times the nodes at time a: few
        exponentials, and one product for each person. Bits do not depend on `start`, `points` or who is asked for.
        """
        course = self._course(inputs, [compartment])
        shape = (course.people, points)
        out = np.empty(shape) if out is None else out
        if out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous:
            raise BadInput(f"the buffer must be {shape} float64, row by row", f"out {out.shape} {out.dtype}")
        for _ in _gridded(course, step_h, points, compartment, start, lambda some: out[some]):
            pass
        return out

    def grids(
        self,
        inputs: Sequence[Input],
        step_h: float,
        points: int,
        compartment: str,
        start: int = 0,
        volume_l: npt.ArrayLike = 1,
    ) -> Iterator[tuple[slice, Floats]]:
        """mg/L as in `grid`, some people at a time, in memory that is used again for the next: copy what is kept."""
        room = np.empty((0, points))

        def place(some: slice) -> Floats:
            nonlocal room
            if len(room) < some.stop - some.start:
                room = np.empty((some.stop - some.start, points))
            return room[: some.stop - some.start]

        volume = _column(volume_l, "volume")
        if not volume.all():
            raise BadInput("a volume is above 0 L", "volume")
        course = self._course(inputs, [compartment], volume_l=volume)
        return _gridded(course, step_h, points, compartment, start, place)

    # --- summaries ----------------------------------------------------------------------------------------------------

    def auc(self, inputs: Sequence[Input], compartment: str, until_h: float | None) -> Floats:
        """mg*h under a compartment, (people,): from 0 to `until_h`, or to the end of time with None."""
        if until_h is None:
            course = self._course([replace(each, duration_h=0.0) for each in inputs], [compartment])
            if compartment not in course.plan.views:
                return np.zeros(course.people)
            areas = course.plan.cascade.totals(course.given())
            total = gathered(areas[..., None], course.plan.views[compartment])[:, 0]
            if not np.isfinite(total).all():
                raise BadInput("there is no area to infinity where something stays for ever; give an end", compartment)
            return total
        course = self._course(inputs, [compartment], area=True)
        until, area = float(_times(until_h)[0]), course.plan.area
        return np.zeros(course.people) if area is None else course.at(until)[:, area - len(course.plan.taps)]

    def peak(self, inputs: Sequence[Input], compartment: str, until_h: float) -> tuple[Floats, Floats]:
        """The most that a compartment holds from 0 to `until_h`, mg, and the first time it does, h; both (people,)."""
        until = float(_times(until_h)[0])
        course = self._course(inputs, [compartment])
        most, when = np.zeros(course.people), np.zeros(course.people)
        if len(course.doses) == 1 and course.doses[0].begin_h <= until:
            (dose,) = course.doses
            for block in self.blocks:
                if dose.into == compartment == block.hub:  # one dose into its own hub: highest when the input ends
                    end = min(dose.end_h, until)
                    return most + _left(block, dose, end - dose.begin_h), when + end
        for stretch in course.stretches() if compartment in course.plan.views else ():
            if stretch.begin_h <= until:
                seen = course.plan.marked(compartment)[:, stretch.skipped :]
                high, after = _highest(stretch, seen, min(stretch.end_h, until) - stretch.begin_h)
                better = high > most
                most, when = np.where(better, high, most), np.where(better, stretch.begin_h + after, when)
        return most, when

    def terminal_rate_h(self, compartment: str, inputs: Sequence[Input]) -> Floats:
        """1/h, (people,): the slowest rate these inputs show in the compartment, be it absorption or elimination."""
        course = self._course([replace(each, duration_h=0.0) for each in inputs], [compartment])
        cascade = course.plan.cascade
        if compartment in course.plan.views:
            alive = cascade.reached(course.given() > 0)
            alive &= cascade.reached(course.plan.marked(compartment) > 0, backwards=True)
            if alive.any(axis=1).all():
                slowest: Floats = np.where(alive, cascade.rates, np.inf).min(axis=1)
                return slowest
        raise BadInput("nothing given ever reaches this compartment", compartment)

    def steady(self, inputs: Sequence[Input], interval_h: float) -> tuple[Input, ...]:
        """The inputs of one dosing interval, from 0 h, once they have been repeated for ever.

        What earlier intervals left comes first, as boluses at 0 h; an infusion that runs over the end of the interval
        goes on at its beginning.
        """
        if not (np.isfinite(interval_h) and interval_h > 0):
            raise BadInput("a dosing interval is in h, finite and above 0", f"interval {interval_h}")
        self._course(inputs, self.graph.names)
        inputs = [piece for each in inputs for piece in _wrapped(each, interval_h)]
        course = self._course(inputs, self.graph.names)
        taps = len(course.plan.taps)
        resting = course.plan.cascade.without_first(taps)
        held = resting.repeated(course.at(interval_h), interval_h, Motion.of(resting, HOUR))
        if not np.isfinite(held).all():
            raise BadInput("there is no steady state where something stays for ever", f"interval {interval_h} h")
        left = {n: held[:, [node - taps for node in nodes]].sum(axis=1) for n, nodes in course.plan.views.items()}
        return (*(Input(name, 0.0, amount) for name, amount in left.items() if amount.any()), *inputs)

    def _course(
        self, inputs: Sequence[Input], watched: Sequence[str], *, area: bool = False, volume_l: Floats = ONE
    ) -> _Course:
        """The inputs, checked, on a cascade that shows what is watched."""
        names = self.graph.names
        for name in (*watched, *(each.into for each in inputs)):
            if name not in names:
                raise BadInput(f"no such compartment; there are {', '.join(names)}", str(name))
        doses = []
        for each in inputs:
            where = f"input into {each.into}"
            if not (np.isfinite(each.end_h) and each.start_h >= 0 <= each.duration_h):
                raise BadInput("an input needs a start and a duration in h, finite and not below 0", where)
            amount = _column(each.amount_mg, f"amount of {where}") / volume_l  # all is linear: mg/L from here on
            rate = amount / each.duration_h if each.duration_h > each.start_h * AT_ONCE + SHORTEST_H else None
            doses.append(_Dose(each.into, each.start_h, each.end_h, amount, rate))
        people = _people([np.zeros(self.graph.people), *(dose.amount_mg for dose in doses)], "inputs")
        plan = unfold(
            self.graph,
            self.blocks,
            dosed={dose.into for dose in doses},
            tapped={dose.into for dose in doses if dose.rate_mg_h is not None},
            watched=tuple(dict.fromkeys(watched)),
            area=area,
        )
        return _Course(replace(plan, cascade=plan.cascade.of_people(people)), tuple(doses), people)


# --- parts of the above -----------------------------------------------------------------------------------------------


def _left(block: Block, dose: _Dose, time_h: float) -> Floats:
    """mg in a hub after a dose has run into it for a time."""
    if dose.rate_mg_h is None:
        return dose.amount_mg
    total = np.zeros(1)
    for rate, share in zip(block.rates, block.shares, strict=True):
        safe = np.maximum(rate, np.finfo(float).tiny)
        total = total + share * np.where(rate > 0, np.expm1(-safe * time_h) / -safe, time_h)
    return total * dose.rate_mg_h


def _highest(stretch: _Stretch, seen: Floats, length_h: float) -> tuple[Floats, Floats]:
    """The most in the nodes seen over a stretch, and how long after its beginning: a zero of the slope, or an end.

    Looked for at times that rise by a constant factor, and then by Newton steps beside the greatest of them.
    """
    motion, held = stretch.motion, stretch.held
    slope = motion.cascade.change(seen)
    bend = motion.cascade.change(slope)
    times = length_h * np.concatenate([[0], 2.0 ** (np.arange(1 - LOOKS, 1) / 2)])
    there = motion.carry(held, times)
    amounts = (seen[..., None] * there).sum(axis=1)
    best = amounts.argmax(axis=1)
    person = np.arange(len(best))
    at_best = there[person, :, best]
    rising = (slope * at_best).sum(axis=1)
    noise = SLOPE_NOISE * (np.abs(slope) * at_best).sum(axis=1)
    low, high = np.where(rising > 0, best, best - 1), np.where(rising > 0, best + 1, best)
    arrived = (np.abs(rising) <= noise) | (low < 0) | (high >= len(times))
    low, high = times[low.clip(0)], times[high.clip(max=len(times) - 1)]
    when, most = times[best], amounts[person, best]
    now, curve = rising, (bend * at_best).sum(axis=1)
    trial = when
    for _ in range(MOST_STEPS):
        if arrived.all():
            break
        low, high = np.where(now > 0, trial, low), np.where(now > 0, high, trial)
        with np.errstate(all="ignore"):
            newton = trial - now / curve
        step = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        close = np.abs(step - trial) <= CLOSE * high
        trial = np.where(arrived, trial, step)
        arrived = arrived | close
        state = motion.carry(held, trial[:, None])[:, :, 0]
        now, curve = (slope * state).sum(axis=1), (bend * state).sum(axis=1)
        amount = (seen * state).sum(axis=1)
        better = amount > most
        most, when = np.where(better, amount, most), np.where(better, trial, when)
    return most, when


def _wrapped(each: Input, interval_h: float) -> Iterator[Input]:
    """One input as it falls into a repeated interval."""
    begin, left = each.start_h % interval_h, each.duration_h
    if not left:
        yield replace(each, start_h=begin)
    while left > 0:
        length = min(left, interval_h - begin)
        share = length / each.duration_h
        yield replace(each, start_h=begin, duration_h=length, amount_mg=np.asarray(each.amount_mg) * share)
        begin, left = 0.0, left - length


def _gridded(
    course: _Course, step_h: float, points: int, compartment: str, start: int, place: Callable[[slice], Floats]
) -> Iterator[tuple[slice, Floats]]:
    """Write everybody's grid into the `place` of some people at a time."""
    if not (np.isfinite(step_h) and step_h > 0 and points >= 0 and start >= 0):
        raise BadInput("a grid needs a step above 0 h, and points and a start of 0 or more", f"step {step_h} h")
    parts = []
    for stretch in course.stretches(step_h) if compartment in course.plan.views else ():
        first, last = _first_point(stretch.begin_h, step_h), _first_point(stretch.end_h, step_h)
        begin, end = max(first, start), min(last, start + points)
        if begin < end:
            parts.append((stretch, course.plan.marked(compartment)[:, stretch.skipped :], first, last, begin, end))
    crowds = parts[0][0].motion.crowds() if parts else (slice(0, course.people),)
    for crowd in crowds:
        some = slice(crowd.start, min(crowd.stop, course.people))
        out, filled = place(some), 0
        for stretch, seen, first, last, begin, end in parts:
            out[:, filled : begin - start] = 0
            there = out[:, begin - start : end - start]
            _fill(there, stretch.of_some(some), seen, range(first, last), begin, step_h)
            filled = end - start
        out[:, filled:] = 0
        yield some, out


def _fill(out: Floats, stretch: _Stretch, seen: Floats, points: range, begin: int, step_h: float) -> None:
    """Write the grid points of one stretch from point `begin` on.

    A row of points follows from one state, a page of rows is multiplied at once; both are counted from the first point
    of the stretch, whatever part is asked for.
    """
    row = min(ROW, 2 ** (len(points).bit_length() // 2))
    rows = min(PAGE, -(-len(points) // row))
    page, skip, length = row * rows, begin - points.start, out.shape[1]
    pages = np.arange(skip // page, (skip + length - 1) // page + 1)
    begins: Floats = (pages[:, None] * rows + np.arange(rows)) * row * step_h
    offset = max(points.start * step_h - stretch.begin_h, 0.0)
    room = np.empty((min(GROUP, len(out)), rows, row))
    held, motion = stretch.held, stretch.motion
    if offset:
        held = motion.carry(held, np.array([offset]))[:, :, 0].copy()
    seen_from = motion.carry(seen, np.arange(row, dtype=np.float64) * step_h, adjoint=True)
    for number, states in zip(pages.tolist(), motion.pages(held, begins), strict=True):
        low, high = number * page - skip, (number + 1) * page - skip
        wanted = slice(max(-low, 0), length - low)
        if low >= 0 and high <= length:
            np.matmul(states.mT, seen_from, out=out[:, low:high].reshape(-1, rows, row))
            continue
        for first in range(0, len(states), GROUP):
            group = slice(first, first + GROUP)
            whole = np.matmul(states[group].mT, seen_from[group], out=room[: len(states[group])])
            out[group, max(low, 0) : high] = whole.reshape(len(whole), page)[:, wanted]


def _first_point(time_h: float, step_h: float) -> int:
    """The first grid point at or after a time."""
    if time_h == np.inf:
        return NEVER
    point = max(int(time_h / step_h) - 1, 0)
    while point * step_h < _reached(time_h):
        point += 1
    return point


def _reached(time_h: float) -> float:
    return time_h * (1 - AT_ONCE)


def _column(numbers: npt.ArrayLike, where: str) -> Floats:
    """One number, or one for each person, as a column; finite and not below 0."""
    try:
        column = np.atleast_1d(np.asarray(numbers, dtype=np.float64))
    except (TypeError, ValueError):
        raise BadInput("not a number, or one for each person", where) from None
    if column.ndim > 1 or not column.size:
        raise BadInput(f"give one number, or one for each person, not an array of shape {column.shape}", where)
    if not ((column >= 0) & (column <= MOST)).all():
        raise BadInput(f"must be from 0 to {MOST:g}", where)
    return column


def _people(columns: Iterable[Floats], where: str) -> int:
    sizes = sorted({column.size for column in columns} | {1})
    if len(sizes) > 2:
        raise BadInput(f"columns for different numbers of people: {', '.join(map(str, sizes))}", where)
    return sizes[-1]


def _times(times_h: npt.ArrayLike) -> Floats:
    times = np.atleast_1d(np.asarray(times_h, dtype=np.float64))
    if times.ndim > 1 or not np.isfinite(times).all() or (times < 0).any():
        raise BadInput("times are in h, finite and not below 0, in one row", f"times of shape {times.shape}")
    return times
