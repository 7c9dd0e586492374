"""Floor 2: what is due. The only due logic: a pure function of the plan, the acts recorded, and `now`.

Nothing is queued and nothing here is clinical. A step is a kind of act with a window; an act covers at most one step.
The answer depends on nothing else: not on the order of the history, not on when it was asked before, not on a restart.
Instants are milliseconds since 1970 UTC, lengths of time are milliseconds; `FAR` closes never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from adjunct.base import FAR, BadInput


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
