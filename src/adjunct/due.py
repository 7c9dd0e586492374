"""Floor 2: what is due. The only due logic: a pure function of the plan, the acts recorded, and `now`.

Nothing is queued and nothing here is clinical. A step is a kind of act with a window; an act covers at most one step.
The answer depends on nothing else: not on the order of the history, not on when it was asked before, not on a restart.
Instants are milliseconds since 1970 UTC, lengths of time are milliseconds; `FAR` closes never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np

from adjunct.base import FAR, BadInput, Bools, Int8s, Int32s, Int64s


class State(StrEnum):
    """Where a step stands. It only moves forward, in this order, and may be done from any state but waiting."""

    WAITING = "waiting"  # its window has not opened
    OPEN = "open"  # may be done now, need not yet
    DUE = "due"
    OVERDUE = "overdue"
    MISSED = "missed"  # the window closed; only an act that names the step still covers it, late and said so
    DONE = "done"


PRESSING = frozenset({State.DUE, State.OVERDUE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a step may be done (`opens`), should be (`due`), is late (`overdue`), and no longer can be (`closes`)."""

    opens: int
    due: int
    overdue: int
    closes: int = FAR

    def __post_init__(self) -> None:
        if not self.opens <= self.due <= self.overdue <= self.closes:
            raise BadInput("a window must open, fall due, be overdue and close in this order; put its times in order")

    def holds(self, at: int) -> bool:
        """Whether an act at `at` falls inside; the moment of closing is outside."""
        return self.opens <= at < self.closes

    def state(self, now: int) -> State:
        """Where a step with this window stands at `now` while nothing covers it.

        >>> w = Window(opens=0, due=10, overdue=20, closes=30)
        >>> [w.state(t).value for t in (-1, 0, 10, 20, 30)]
        ['waiting', 'open', 'due', 'overdue', 'missed']
        """
        if now < self.opens:
            return State.WAITING
        if now < self.due:
            return State.OPEN
        if now < self.overdue:
            return State.DUE
        return State.OVERDUE if now < self.closes else State.MISSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to be done once: `what` names the kind of act that covers it, `basis` the fact or source behind it."""

    id: str
    what: str
    title: str
    domain: str
    owner: str
    window: Window
    basis: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An act that happened at `at`. With `step` it answers that step and no other, however late."""

    what: str
    at: int
    step: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A step, where it stands, and the act that covers it."""

    step: Step
    state: State
    done: Done | None = None


def due(steps: Iterable[Step], done: Iterable[Done], *, now: int) -> tuple[Due, ...]:
    """Every step with its state at `now`, in the order in which they fall due.

    Acts are taken in order of time, those that name a step first. An act that names a step of its kind covers that
    one, from its opening on; any other act covers the earliest step of its kind that nothing covers yet and whose
    window holds it. An act after `now` has not happened. The same act sent twice is one act.

    >>> week = Step(id="w1", what="phq9", title="PHQ-9", domain="mood", owner="person",
    ...             window=Window(opens=5, due=7, overdue=9, closes=12))
    >>> [due([week], acts, now=8)[0].state.value for acts in ([], [Done(what="phq9", at=6)], [Done(what="phq9", at=4)])]
    ['due', 'done', 'due']
    """
    plan = sorted(steps, key=_turn)
    by_id = {step.id: step for step in plan}
    if len(by_id) != len(plan):
        raise BadInput("two steps have one id: give every step its own")
    covered = _covered(plan, by_id, {act for act in done if act.at <= now})
    return tuple(
        Due(step=step, state=State.DONE if step.id in covered else step.window.state(now), done=covered.get(step.id))
        for step in plan
    )


def _turn(step: Step) -> tuple[int, int, str]:
    return step.window.due, step.window.opens, step.id


def _covered(plan: list[Step], by_id: Mapping[str, Step], acts: set[Done]) -> dict[str, Done]:
    """Which act covers which step. One more act never uncovers a step: each takes the first it may have."""
    covered: dict[str, Done] = {}
    free: list[Done] = []
    for act in sorted(acts, key=lambda a: (a.at, a.reference, a.step, a.what)):
        named = by_id.get(act.step)
        if named is None or named.what != act.what:
            free.append(act)
        elif act.at >= named.window.opens:
            covered.setdefault(named.id, act)
    for act in free:
        for step in plan:
            if step.what == act.what and step.id not in covered and step.window.holds(act.at):
                covered[step.id] = act
                break
    return covered


def repeating(
    name: str,
    what: str,
    /,
    *,
    every: int,
    first: int,
    until: int,
    title: str,
    domain: str,
    owner: str,
    early: int = 0,
    grace: int = 0,
    closes: int | None = None,
    basis: str = "",
) -> tuple[Step, ...]:
    """Steps due at `first` and each `every` after it, up to and with `until`; ids are `name.1`, `name.2` ...

    Each may be done `early` before it is due and is overdue `grace` after; it closes `closes` after it is due, or,
    where none is given, when the next one opens. The steps do not depend on what was done: for what counts from the
    last time, see `after`.
    """
    if every <= 0 or until >= FAR:
        raise BadInput("steps repeat over a length of time above 0 and up to a day in the calendar")
    last = every - early if closes is None else closes
    return tuple(
        Step(
            id=f"{name}.{number}",
            what=what,
            title=title,
            domain=domain,
            owner=owner,
            window=Window(opens=at - early, due=at, overdue=at + min(grace, last), closes=at + last),
            basis=basis,
        )
        for number, at in enumerate(range(first, until + 1, every), start=1)
    )


def after(
    name: str,
    what: str,
    /,
    *,
    last: int | None,
    every: int,
    first: int,
    title: str,
    domain: str,
    owner: str,
    early: int = 0,
    grace: int = 0,
    basis: str = "",
) -> Step:
    """The next step of something that counts from the last time it was done; it stays overdue until it is done.

    Due `every` after `last`, or at `first` when it never was. It opens `early` before that, and not before the
    moment after `last`, so that the act it counts from does not cover it too.
    """
    at = first if last is None else last + every
    opens = at - early if last is None else min(max(at - early, last + 1), at)
    return Step(
        id=f"{name}.first" if last is None else f"{name}.after-{last}",
        what=what,
        title=title,
        domain=domain,
        owner=owner,
        window=Window(opens=opens, due=at, overdue=at + grace),
        basis=basis,
    )


# --- many people at once ----------------------------------------------------------------------------------------------

_KIND_BITS = np.iinfo(np.int32).bits  # a person and a kind of act in one number
STATES = tuple(State)  # a state as a number is its place here
_DUE, _OVERDUE, _DONE = (STATES.index(state) for state in (State.DUE, State.OVERDUE, State.DONE))


@dataclass(frozen=True, slots=True, eq=False)
class Plans:
    """The steps and the acts of many people, column by column, so that one call answers for all of them.

    A row of steps stands after those of the people before, and within one person by kind (`what`, any numbering) and
    then in the order in which the steps fall due: due, opens, id. A row of acts stands by person and then in order of
    time; `act_names` is the row of the step that the act names, -1 if it names none of its person's; the same act
    stands there once. `Plans.of` makes all this from steps and acts; a database can sort it so.
    """

    person: Int32s
    what: Int32s
    opens: Int64s
    due: Int64s
    overdue: Int64s
    closes: Int64s
    act_person: Int32s
    act_what: Int32s
    act_at: Int64s
    act_names: Int64s

    def __post_init__(self) -> None:
        if not (_sorted(self.person, self.what, self.due, self.opens) and _sorted(self.act_person, self.act_at)):
            raise BadInput("the rows are out of order: sort steps by person, kind, due, opens; acts by person, time")
        named = self.act_names >= 0
        if (self.person[self.act_names[named]] != self.act_person[named]).any():
            raise BadInput("an act names a step of somebody else: write the row of a step of its person, or -1")
        times = (self.opens, self.due, self.overdue, self.closes)
        if not all((early <= late).all() for early, late in pairwise(times)):
            raise BadInput("a window must open, fall due, be overdue and close in this order; put its times in order")

    @classmethod
    def of(cls, people: Sequence[tuple[Sequence[Step], Iterable[Done]]]) -> tuple[Plans, tuple[tuple[Step, ...], ...]]:
        """Columns from each person's steps and acts, and each person's steps in the order of the rows."""
        kinds: dict[str, int] = {}
        steps: list[tuple[int, int, int, int, int, int]] = []
        acts: list[tuple[int, int, int, int]] = []
        ordered = []
        for person, (plan, done) in enumerate(people):
            rows = sorted(plan, key=lambda s: (kinds.setdefault(s.what, len(kinds)), _turn(s)))
            row_of = {step.id: len(steps) + number for number, step in enumerate(rows)}
            if len(row_of) != len(rows):
                raise BadInput("two steps have one id: give every step its own")
            for act in sorted(set(done), key=lambda a: (a.at, a.reference, a.step, a.what)):
                what = kinds.setdefault(act.what, len(kinds))
                acts.append((person, what, act.at, row_of.get(act.step, -1)))
            steps += [
                (person, kinds[s.what], s.window.opens, s.window.due, s.window.overdue, s.window.closes) for s in rows
            ]
            ordered.append(tuple(rows))
        columns = _columns(steps, "person", "what", "opens", "due", "overdue", "closes")
        return cls(**columns, **_columns(acts, "act_person", "act_what", "act_at", "act_names")), tuple(ordered)


def _columns(rows: Sequence[tuple[int, ...]], *names: str) -> dict[str, Any]:
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(names)).T
    small = ("person", "what", "act_person", "act_what")
    return {n: c.astype(np.int32 if n in small else np.int64) for n, c in zip(names, table, strict=True)}


def states_many(plans: Plans, *, now: int) -> tuple[Int8s, Int64s]:
    """For each row of steps its state (a place in `STATES`) and the row of the act that covers it, or -1.

    The same answer as `due` for each person alone, which the tests hold it to.
    """
    covered = _covered_many(plans, now)
    state = np.zeros(len(plans.person), dtype=np.int8)
    for bound in (plans.opens, plans.due, plans.overdue, plans.closes):
        state += bound <= now  # each bound that is reached is one state further
    state[covered >= 0] = _DONE
    return state, covered


def pressing_many(plans: Plans, *, now: int) -> tuple[Int32s, Int64s, Int8s]:
    """Who has what due or overdue: the people, the rows of the steps, and the states, in the order of the rows."""
    state, _ = states_many(plans, now=now)
    rows = np.flatnonzero((state == _DUE) | (state == _OVERDUE))
    return plans.person[rows], rows, state[rows]


def _covered_many(plans: Plans, now: int) -> Int64s:
    """`_covered` for everybody: the next act of every person and kind is taken at once, then the next."""
    covered = np.full(len(plans.person), -1, dtype=np.int64)
    happened = plans.act_at <= now
    named = happened & (plans.act_names >= 0)
    named[named] = plans.what[plans.act_names[named]] == plans.act_what[named]
    own = np.flatnonzero(named)
    own = own[plans.act_at[own] >= plans.opens[plans.act_names[own]]]
    rows, earliest = np.unique(plans.act_names[own], return_index=True)  # the first of several, as acts are in order
    covered[rows] = own[earliest]

    free = np.flatnonzero(happened & ~named)
    free = free[np.lexsort((plans.act_what[free], plans.act_person[free]))]  # stable: in order of time within a kind
    group = _key(plans.act_person[free], plans.act_what[free])
    firsts = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(firsts, append=len(free))
    key = _key(plans.person, plans.what)
    low = np.searchsorted(key, group[firsts], "left")  # the first step of the kind that an act to come could cover
    end = np.searchsorted(key, group[firsts], "right")
    for turn in range(int(count.max(initial=0))):
        more = np.flatnonzero(count > turn)
        act = free[firsts[more] + turn]
        at, row, last = plans.act_at[act], low[more], end[more]
        row = _first(
            row, last, lambda r, at: (covered[r] < 0) & (at < plans.closes[r]), at
        )  # the rest is past for good
        low[more] = row
        row = _first(row, last, lambda r, at: (covered[r] < 0) & (plans.opens[r] <= at) & (at < plans.closes[r]), at)
        found = row < last
        covered[row[found]] = act[found]
    return covered


def _first(row: Int64s, last: Int64s, fits: Callable[[Int64s, Int64s], Bools], at: Int64s) -> Int64s:
    """For each entry the first row from `row` on and before `last` that fits its instant, else `last`."""
    row = row.copy()
    open_ = np.flatnonzero(row < last)
    while len(open_):
        open_ = open_[~fits(row[open_], at[open_])]
        row[open_] += 1
        open_ = open_[row[open_] < last[open_]]
    return row


def _key(person: Int32s, what: Int32s) -> Int64s:
    return person.astype(np.int64) << np.int64(_KIND_BITS) | what


def _sorted(*columns: Int32s | Int64s) -> bool:
    """Whether rows are in the order of the first column, within it of the second, and so on."""
    if len(columns[0]) == 0:
        return True
    undecided = np.ones(len(columns[0]) - 1, dtype=np.bool_)
    for column in columns:
        if (column[1:] < column[:-1])[undecided].any():
            return False
        undecided &= column[1:] == column[:-1]
    return True
