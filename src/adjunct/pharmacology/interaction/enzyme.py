"""Floor 2: how much of an enzyme is left while something destroys it or calls for more of it.

    dE/dt = source(t) - loss(t) * E     source = kdeg * (1 + induction), loss = kdeg + inactivation, E = 1 undisturbed

The equation is linear in E with coefficients that move, so each step carries E over with its own exponential and only
the two integrals of the step are quadratures: nothing is lost to stiffness, E stays positive, and a constant inhibitor
ends exactly at its steady state. The same equation carries a medicine through a liver whose clearance moves.
Times in h, rates in 1/h; people (or draws) on axis 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adjunct.base import BadInput, Floats

POINTS = 4  # Gauss points in a step
REFINEMENTS = 12  # halvings of the steps before the course is given up
TOLERANCE = 1e-9  # largest change of E that one more halving may make

Rate = Callable[[Floats], Floats]  # times (T,) -> rates (N, T)


@dataclass(frozen=True, slots=True)
class Steps:
    """Edges of the steps and, inside each, the moments at which the rates are looked at."""

    edges_h: Floats  # (S + 1,)
    times_h: Floats  # (S * POINTS,)
    width_h: Floats  # (S,)

    @classmethod
    def of(cls, edges_h: Floats) -> Steps:
        edges = np.unique(np.asarray(edges_h, dtype=np.float64))
        if len(edges) < 2 or not np.isfinite(edges).all():
            raise BadInput("a course needs at least two finite times; send the edges of its steps in hours")
        width = np.diff(edges)
        times = edges[:-1, None] + width[:, None] * _UNIT[None, :]
        return cls(edges, times.ravel(), width)

    def halved(self) -> Steps:
        """The same course in twice as many steps."""
        return Steps.of(np.concatenate([self.edges_h, (self.edges_h[:-1] + self.edges_h[1:]) / 2]))

    def inner(self, values: Floats) -> Floats:
        """Values at the moments `times_h` (N, S * POINTS), step by step (N, S, POINTS)."""
        return np.reshape(values, (-1, len(self.width_h), POINTS))

    def integral(self, values: Floats) -> Floats:
        """What a rate given at `times_h` adds up to over each step (N, S)."""
        total: Floats = self.inner(values) @ _WEIGHTS * self.width_h
        return total


@dataclass(frozen=True, slots=True)
class Course:
    """E at the edges of the steps (N, S + 1) and at the moments inside them (N, S * POINTS)."""

    steps: Steps
    at_edges: Floats
    inside: Floats
    spent: Floats  # (N, S + 1): the loss added up since the start


def follow(steps: Steps, source: Floats, loss: Floats, start: Floats) -> Course:
    """Carry E over the steps; `source` and `loss` are rates at `steps.times_h`, `start` is E at the first edge."""
    width = steps.width_h[:, None]
    made, lost = steps.inner(source), steps.inner(loss)
    people = max(len(made), len(lost), np.size(start))
    so_far = (lost @ _PARTIAL.T) * width  # loss added up from the start of the step to each moment
    whole = steps.integral(lost)
    kept = np.exp(-whole)
    # what is made during the step and still there at its end; every weight is positive, so E stays positive
    gained = np.einsum("nsp,p->ns", made * np.exp(so_far - whole[..., None]), _WEIGHTS) * steps.width_h
    kept, gained = (np.broadcast_to(a, (people, len(steps.width_h))) for a in (kept, gained))
    edges = np.empty((people, len(steps.edges_h)))
    edges[:, 0] = start
    for step in range(len(steps.width_h)):
        edges[:, step + 1] = edges[:, step] * kept[:, step] + gained[:, step]
    growth = np.exp(so_far)
    inside = (edges[:, :-1, None] + (made * growth) @ _PARTIAL.T * width) / growth
    spent = np.concatenate([np.zeros((people, 1)), np.cumsum(np.broadcast_to(whole, kept.shape), axis=1)], axis=1)
    return Course(steps, edges, inside.reshape(people, -1), spent)


def course(edges_h: Floats, source: Rate, loss: Rate, start: Floats, tolerance: float = TOLERANCE) -> Course:
    """Carry E from the first edge to the last, halving all steps until that no longer changes E at the edges."""
    steps = Steps.of(edges_h)
    found = follow(steps, source(steps.times_h), loss(steps.times_h), start)
    for _ in range(REFINEMENTS):
        steps = steps.halved()
        finer = follow(steps, source(steps.times_h), loss(steps.times_h), start)
        change = np.abs(finer.at_edges[:, ::2] - found.at_edges).max()
        found = finer
        if change <= tolerance:
            return found
    raise BadInput("the rates change too abruptly to be followed; put an edge where they jump")


def _rule() -> tuple[Floats, Floats, Floats]:
    """Gauss points on [0, 1], their weights, and the matrix of integrals from 0 to each point."""
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    unit, weights = (nodes + 1) / 2, weights / 2
    powers = np.arange(POINTS)
    values = unit[:, None] ** powers
    integrals = unit[:, None] ** (powers + 1) / (powers + 1)
    return unit, weights, integrals @ np.linalg.inv(values)


_UNIT, _WEIGHTS, _PARTIAL = _rule()
