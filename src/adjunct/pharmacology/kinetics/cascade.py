"""Amounts that only ever move forward: a cascade of nodes, each of which decays and feeds later ones.

A system of compartments is unfolded into one (unfold.py): an exchanging block becomes its modes, which decay apart.
Every rate and every link is >= 0 and no link goes back, so the response to a dose is a sum of positive terms at any
time, and is computed as such: nothing is subtracted, and each amount is right to within rounding of itself, however
small it is, however near two rates lie and however far apart they are.

Where no path has more than two links the answer is written down: e^(-at), for a link from a to b
(e^(-at) - e^(-bt)) / (b - a) through expm1, for two links the next divided difference. Longer paths are carried by the
binary digits of the time: a `rung` is exp(M * unit * 2^n), the
lowest from its power series, each next one the square of the one below with the exact exponentials put back on its
diagonal. That keeps the error of a rung to a few roundings for each squaring, where squaring alone would double it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adjunct.base import Bools, Floats, Int64s

CROWD = 2048  # people
SERIES = 18  # terms of (order + 1) / (order + 2)! at most: less than rounding
GENTLE = 3  # a power series is taken only where rate * time is below 2^-3 ...
TERMS = 11  # ... and then these many terms, beyond the links of the longest path, leave less than rounding
EQUAL = 2.0**-900  # 1/h; rates that differ by less are one, and a quotient of differences keeps its digits


class _Kept(threading.local):
    """Two arrays a thread that are written again and again."""

    def __init__(self) -> None:
        self.rooms = [np.empty(0), np.empty(0)]


_KEPT = _Kept()


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """`weight` (1/h) times what the node `source` holds enters the node `target`, which comes later."""

    source: int
    target: int
    weight: Floats  # (people,)


@dataclass(frozen=True, slots=True, eq=False)
class Cascade:
    rates: Floats  # (people, nodes), 1/h
    links: tuple[Link, ...]

    def depth(self) -> int:
        """Links on the longest path."""
        reach = [0] * self.rates.shape[1]
        for link in sorted(self.links, key=lambda link: link.target):
            reach[link.target] = max(reach[link.target], reach[link.source] + 1)
        return max(reach, default=0)

    def of_people(self, people: int) -> Cascade:
        """The same for more people, where so far it is one cascade for all."""
        if people == len(self.rates):
            return self
        links = (Link(link.source, link.target, np.broadcast_to(link.weight, people)) for link in self.links)
        return Cascade(np.broadcast_to(self.rates, (people, self.rates.shape[1])), tuple(links))

    def without_first(self, count: int) -> Cascade:
        """The cascade below its first `count` nodes."""
        kept = (link for link in self.links if link.source >= count)
        return Cascade(self.rates[:, count:], tuple(Link(k.source - count, k.target - count, k.weight) for k in kept))

    def change(self, seen: Floats) -> Floats:
        """Per mg in each node and h, what the nodes marked in `seen` gain together (people, nodes)."""
        change = -self.rates * seen
        for link in self.links:
            change[:, link.source] += link.weight * seen[:, link.target]
        return change

    def totals(self, entered: Floats) -> Floats:
        """Area under each node, mg*h, after `entered` (people, nodes) mg; inf where something stays for ever."""
        through = entered.copy()
        incoming: dict[int, list[Link]] = {}
        for link in self.links:
            incoming.setdefault(link.target, []).append(link)
        with np.errstate(all="ignore"):
            for node in range(through.shape[1]):
                for link in incoming.get(node, ()):
                    through[:, node] += np.where(link.weight > 0, link.weight * through[:, link.source], 0)
                through[:, node] = np.where(through[:, node] > 0, through[:, node] / self.rates[:, node], 0)
        return through

    def repeated(self, left: Floats, every_h: float, motion: Motion) -> Floats:
        """What the nodes hold before a dose, when each dose leaves `left` after `every_h` and they go on for ever.

        The geometric sum 1/(1 - propagator): triangular, and solved with positive terms only.
        """
        over = motion.over(every_h)
        held = np.zeros_like(left)
        with np.errstate(all="ignore"):
            for node in range(len(left.T)):
                arrives = left[:, node] + sum(over[:, node, earlier] * held[:, earlier] for earlier in range(node))
                goes = -np.expm1(-self.rates[:, node] * every_h)
                held[:, node] = np.where(arrives > 0, arrives / goes, 0)
        return held

    def reached(self, entered: Bools, *, backwards: bool = False) -> Bools:
        """Which nodes anything in `entered` (people, nodes) comes to, or with `backwards` comes from."""
        found = np.array(np.broadcast_to(entered, np.broadcast_shapes(entered.shape, self.rates.shape)))
        for link in sorted(self.links, key=lambda link: -link.source if backwards else link.target):
            a, b = (link.target, link.source) if backwards else (link.source, link.target)
            found[:, b] |= found[:, a] & (link.weight > 0)
        return found


@dataclass(slots=True, eq=False)
class Motion:
    """How what the nodes of a cascade hold moves on in time. `unit_h` is the hour or step that rungs are powers of."""

    cascade: Cascade
    unit_h: float
    _shallow: bool
    _terms: int
    _lowest: Int64s  # (people,): first rung that is a square
    _rungs: dict[int, Floats]  # (people, nodes, nodes), [to, from]
    _overwrites: bool = False  # an answer lasts only until the next of its kind

    @classmethod
    def of(cls, cascade: Cascade, unit_h: float) -> Motion:
        depth = cascade.depth()
        fastest = cascade.rates.max(axis=1, initial=0) * unit_h
        lowest = -np.frexp(fastest)[1].astype(np.int64) - GENTLE
        return cls(cascade, unit_h, depth <= 2, depth + TERMS, lowest, {})

    def carry(self, held: Floats, elapsed_h: Floats, *, adjoint: bool = False) -> Floats:
        """(people, nodes, times): what the nodes hold `elapsed_h` (times,) or (people, times) after they hold `held`.

        `adjoint`: instead, how much of a unit in each node is in the nodes marked in `held` that much later.
        """
        elapsed_h = np.atleast_2d(elapsed_h)
        return self._written(held, elapsed_h, adjoint) if self._shallow else self._climbed(held, elapsed_h, adjoint)

    def pages(self, held: Floats, elapsed_h: Floats) -> Iterator[Floats]:
        """`carry` to each row of `elapsed_h` (pages, times), with the same bits whatever other rows there are."""
        if self._shallow:
            states = self.carry(held, elapsed_h.ravel())
            yield from (states[:, :, page] for page in _slices(elapsed_h.size, elapsed_h.shape[1]))
        else:
            yield from (self.carry(held, times) for times in elapsed_h)

    def crowds(self) -> Iterator[slice]:
        """Who is best moved together: as many as a cache holds where each needs only a line of arithmetic."""
        people = len(self.cascade.rates)
        return _slices(people, CROWD if self._shallow else people)

    def of_some(self, some: slice) -> Motion:
        """The same for some of the people.

        What it is asked for is overwritten by what it is asked next: a first touch of memory costs more than all the
        arithmetic.
        """
        if not self._shallow:
            return self
        links = tuple(Link(link.source, link.target, link.weight[some]) for link in self.cascade.links)
        motion = Motion.of(Cascade(self.cascade.rates[some], links), self.unit_h)
        motion._overwrites = True
        return motion

    def over(self, elapsed_h: float) -> Floats:
        """(people, to, from): the propagator over a time."""
        nodes = self.cascade.rates.shape[1]
        units = (np.eye(nodes)[node][None] for node in range(nodes))
        return np.concatenate([self.carry(unit, np.array([elapsed_h])) for unit in units], axis=2)

    def _written(self, held: Floats, elapsed_h: Floats, adjoint: bool) -> Floats:
        rates, links = self.cascade.rates, self.cascade.links
        decay = self._room((max(len(rates), len(elapsed_h)), rates.shape[1], elapsed_h.shape[1]), adjoint=adjoint)
        np.multiply(-rates[:, :, None], elapsed_h[:, None], out=decay)
        np.exp(decay, out=decay)
        moved = np.multiply(decay, held[:, :, None], out=None if links else decay)
        for path in (*((link,) for link in links), *((a, b) for a in links for b in links if a.target == b.source)):
            begin, end = path[0].source, path[-1].target
            given, taken = (end, begin) if adjoint else (begin, end)
            if held[:, given].any():
                weight = math.prod((link.weight for link in path[1:]), start=path[0].weight * held[:, given])
                nodes = (begin, *(link.target for link in path))
                columns = [(rates[:, node, None], decay[:, node]) for node in nodes]
                spread = _once(columns[0], columns[1], elapsed_h) if len(path) == 1 else _twice(columns, elapsed_h)
                spread *= weight[:, None]
                moved[:, taken] += spread
        return moved

    def _room(self, shape: tuple[int, ...], *, adjoint: bool) -> Floats:
        if not self._overwrites:
            return np.empty(shape)
        size = math.prod(shape)
        if _KEPT.rooms[adjoint].size < size:
            _KEPT.rooms[adjoint] = np.empty(size)
        return _KEPT.rooms[adjoint][:size].reshape(shape)

    def _climbed(self, held: Floats, elapsed_h: Floats, adjoint: bool) -> Floats:
        people = np.broadcast_shapes(held.shape[:1], self.cascade.rates.shape[:1], elapsed_h.shape[:1])
        left = np.array(np.broadcast_to(elapsed_h / self.unit_h, (*people, elapsed_h.shape[1])))
        moved = np.array(np.broadcast_to(held[:, :, None], (*people, held.shape[1], elapsed_h.shape[1])))
        top = int(np.frexp(left.max(initial=0))[1])
        for level in range(top, int(self._lowest.min()) - 1, -1):
            due = (left >= 2.0**level) & (self._lowest <= level)[:, None]
            times = due.any(axis=0)
            if times.any():
                rung, due, there = self.rung(level), due[:, times], moved[:, :, times]
                onward = (rung.mT if adjoint else rung) @ there
                moved[:, :, times] = onward if due.all() else np.where(due[:, None], onward, there)
                left[:, times] -= np.where(due, 2.0**level, 0)
        return self._crept(moved, left * self.unit_h, adjoint)

    def _crept(self, held: Floats, elapsed_h: Floats, adjoint: bool) -> Floats:
        """By the power series, over times too short for a rung."""
        if not elapsed_h.any():
            return held
        generator, fastest = self._generator()
        generator = generator.mT if adjoint else generator
        moved, term = held, held
        for order in range(1, self._terms + 1):
            term = (generator @ term) * (elapsed_h / order)[:, None]
            moved = moved + term
        return moved * np.exp(-fastest[:, None] * elapsed_h)[:, None]

    def rung(self, level: int) -> Floats:
        """(people, to, from): the propagator over unit_h * 2^level, for level at or above the lowest of anybody."""
        if level not in self._rungs:
            series = (self._lowest >= level).any()
            rung = self._series(level) if series else self._squared(level)
            if series and (self._lowest < level).any():
                rung = np.where((self._lowest >= level)[:, None, None], rung, self._squared(level))
            np.einsum("nii->ni", rung)[:] = np.exp(-self.cascade.rates * (self.unit_h * 2.0**level))
            self._rungs[level] = rung
        return self._rungs[level]

    def _squared(self, level: int) -> Floats:
        below = self.rung(level - 1)
        return below @ below

    def _series(self, level: int) -> Floats:
        generator, fastest = self._generator()
        time_h = self.unit_h * 2.0**level
        one = np.eye(generator.shape[1])
        total = one + generator * (time_h / self._terms)
        for order in range(self._terms - 1, 0, -1):
            total = one + (generator * (time_h / order)) @ total
        return total * np.exp(-fastest * time_h)[:, None, None]

    def _generator(self) -> tuple[Floats, Floats]:
        """The matrix of rates and links with the fastest rate added to its diagonal, so that nothing is below 0."""
        rates = self.cascade.rates
        people, nodes = rates.shape
        fastest = rates.max(axis=1, initial=0)
        matrix = np.zeros((people, nodes, nodes))
        np.einsum("nii->ni", matrix)[:] = fastest[:, None] - rates
        for link in self.cascade.links:
            matrix[:, link.target, link.source] += link.weight
        return matrix, fastest


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(first, first + size) for first in range(0, count, size))


Decay = tuple[Floats, Floats]  # a rate (people, 1), and e^-(rate * time) (people, times)


def _once(one: Decay, other: Decay, time_h: Floats) -> Floats:
    """What a dose in a node of rate a brings into one of rate b: (e^-at - e^-bt) / (b - a)."""
    gap = np.maximum(np.abs(one[0] - other[0]), EQUAL)
    spread = np.expm1(-gap * time_h)
    spread /= -gap
    spread *= np.maximum(one[1], other[1])
    return spread


def _twice(columns: Sequence[Decay], time_h: Floats) -> Floats:
    """The same through two links: the second divided difference of e^-xt, whatever the order of the rates.

    Near rates: a series of positive terms about the fastest. Far ones: the difference of two quotients of which one is
    well below the other.
    """
    slow, between, fast = np.sort(np.stack([rate for rate, _ in columns]), axis=0)
    decays = [np.exp(-rate * time_h) for rate in (slow, between, fast)]
    span = (fast - slow) * time_h
    ends = (slow, decays[0]), (between, decays[1]), (fast, decays[2])
    spread = _once(ends[0], ends[1], time_h) - _once(ends[1], ends[2], time_h)
    spread /= np.maximum(fast - slow, EQUAL)
    near = span <= 1
    if near.any():
        time_h, below = np.broadcast_to(time_h, span.shape)[near], ((fast - between) * time_h)[near]
        power, term, factor = np.ones_like(below), np.ones_like(below), 1 / 2
        total = term * factor
        for order in range(1, SERIES):
            power *= span[near]
            term = power + below * term
            factor /= order + 2
            total += term * factor
        spread[near] = total * time_h * time_h * decays[2][near]
    return spread


def gathered(held: Floats, nodes: Sequence[int]) -> Floats:
    """(people, times): what several nodes hold together."""
    total = held[:, nodes[0]].copy()
    for node in nodes[1:]:
        total += held[:, node]
    return total
