"""What the rule language means: a set of rules over the event table of one person or a million.

A program is bound once to a phase. It answers every distinct atom concept by concept, then reduces all rules together,
level by level, with minimum (and) and maximum (or) over int8 columns. The bedside and the registry run this same code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from adjunct.base import FAR, NO, UNKNOWN, YES, Bools, Events, Floats, Int8s
from adjunct.knowledge.language import EFFECT, And, Atom, Expression, Not, Or, Vocabulary, atoms

Ints = npt.NDArray[np.intp]
Literal = tuple[int, bool]  # an atom's number, and whether it is negated


_FIRST = np.zeros(1, dtype=np.intp)
_UNKNOWN = np.int8(UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Slice:
    """The rows of one concept: which people have any, and where each one's rows begin."""

    rows: slice
    bounds: Ints
    people: Ints


@dataclass(frozen=True, slots=True)
class _Window:
    """For rows of one concept and one window: wholly inside, or at least touching it."""

    inside: Bools
    touches: Bools

    def score(self, status: Int8s) -> Int8s:
        """2 where a true row lies wholly inside, 1 where one may."""
        sure = self.inside & (status == YES)
        maybe = self.touches & (status != NO)
        score: Int8s = np.add(maybe, sure, dtype=np.int8)
        return score


class Program:
    """Rules compiled for one phase."""

    def __init__(self, expressions: Sequence[Expression], vocabulary: Vocabulary, phase: str) -> None:
        self.vocabulary = vocabulary
        self.phase = phase
        self.expressions = tuple(expressions)
        self.atoms: list[Atom] = []
        self._number: dict[Atom, int] = {}
        self._circuit = _Circuit()
        self._trees = [self._normal(e, False) for e in expressions]
        self._outputs = np.array([self._circuit.add(tree) for tree in self._trees], dtype=np.intp)
        self._circuit.seal(len(self.atoms))
        self.concepts_of_rule = [
            frozenset(vocabulary.concepts[a.concept] for a in atoms(expression)) for expression in expressions
        ]
        self._sets = self._members()
        self._plan: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._loads = _Loads(self.atoms, vocabulary, phase)
        for number, atom in enumerate(self.atoms):
            if atom.op == "load":
                continue
            self._plan[vocabulary.concepts[atom.concept]][vocabulary.window(atom, phase)].append(number)
        self._seal_silence()
        self._groups = {
            (concept, window): _Group(self, numbers)
            for concept, windows in self._plan.items()
            for window, numbers in windows.items()
        }

    def run(self, events: Events) -> Outcome:
        """Every rule for every person in `events`."""
        answers = self._when_silent(events.absent)
        starts = events.starts
        for concept, windows in self._plan.items():
            first, last = int(starts[concept]), int(starts[concept + 1])
            if first == last:
                continue
            part = _slice(events, first, last)
            for window in windows:
                self._groups[concept, window].answer(events, part, _window(events, part.rows, window), answers)
        self._loads.answer(events, answers)
        return Outcome(self, events, answers, self._circuit.reduce(answers)[self._outputs])

    def _when_silent(self, absent: Int8s) -> Int8s:
        """Each atom's answer for people of whom nothing is recorded."""
        answers = absent[self._silent]
        answers[self._counted] = np.where(answers[self._counted] == NO, self._nothing, UNKNOWN)
        return answers

    def _seal_silence(self) -> None:
        """What a count or a number of days comes to when there certainly is nothing."""
        counted = [n for n, a in enumerate(self.atoms) if a.op in ("count", "days_since")]
        nothing = [np.array([np.inf if self.atoms[n].op == "days_since" else 0.0]) for n in counted]
        known = [_compare(none, none, self.atoms[n]) for n, none in zip(counted, nothing, strict=True)]
        concept_of = [self.vocabulary.concepts[a.concept] for a in self.atoms]
        self._silent = np.array(concept_of, dtype=np.intp)
        self._counted = np.array(counted, dtype=np.intp)
        self._nothing = np.array(known, dtype=np.int8).reshape(len(counted), 1)

    def _normal(self, expression: Expression, negated: bool) -> _Tree:
        """Push negation down to the atoms and number them."""
        match expression:
            case Atom():
                number = self._number.setdefault(expression, len(self.atoms))
                if number == len(self.atoms):
                    self.atoms.append(expression)
                return number, negated
            case Not(part):
                return self._normal(part, not negated)
            case And(parts) | Or(parts):
                inner = tuple(self._normal(p, negated) for p in parts)
                return _Joined(isinstance(expression, And) != negated, inner)

    def _members(self) -> dict[str, Int8s]:
        """Set membership as a Kleene column over codes; the last place answers for an unknown code."""
        columns = {}
        for name in {a.in_set for a in self.atoms if a.in_set}:
            column = np.zeros(len(self.vocabulary.codes) + 1, dtype=np.int8)
            column[list(self.vocabulary.sets[name])] = YES
            column[-1] = UNKNOWN
            columns[name] = column
        return columns

    def members(self, atom: Atom) -> Int8s:
        if atom.in_set is None:
            return np.full(len(self.vocabulary.codes) + 1, YES, dtype=np.int8)
        return self._sets[atom.in_set]

    def because(self, outcome: Outcome, rule: int, person: int) -> tuple[int, ...]:
        """Follow the parts that came out as the rule did; an open conjunction also shows what already holds."""
        truths = outcome.atoms_of(person)
        supports = _supports(self._trees[rule], truths)[1]
        return tuple({row: None for number in supports for row in outcome.carrying(number, person, truths[number])})

    def open_atoms(self, outcome: Outcome, rule: int, person: int) -> list[int]:
        """The atoms (by number) whose answers a rule that came out unknown still waits for."""
        truths = outcome.atoms_of(person)
        return [n for n in _supports(self._trees[rule], truths)[1] if truths[n] == UNKNOWN]

    def open_in_silence(self, rule: int, absent: Int8s) -> list[int]:
        """The atoms a rule waits for when nothing is recorded of any of them; `absent` has one column."""
        truths = self._when_silent(absent)[:, 0].tolist()
        return [n for n in _supports(self._trees[rule], truths)[1] if truths[n] == UNKNOWN]

    def carrying(self, number: int, outcome: Outcome, person: int, truth: int) -> list[int]:
        """The rows of `person` on which an atom's answer rests."""
        atom, events = self.atoms[number], outcome.events
        concept = self.vocabulary.concepts[atom.concept]
        first, last = int(events.starts[concept]), int(events.starts[concept + 1])
        rows = _rows_of(events, first, last, person)
        if rows.start == rows.stop:
            return []
        window = _window(events, rows, self.vocabulary.window(atom, self.phase))
        if atom.op == "latest":
            one = np.zeros(1, dtype=np.intp)
            keep = _candidates(events, rows, one, window)[0]
        else:
            score = np.minimum(window.score(events.status[rows]), self.members(atom)[events.code[rows]])
            keep = score >= (truth or UNKNOWN)
            if truth == NO and atom.op == "any":
                keep = window.inside & (events.status[rows] == NO)
        return [rows.start + int(i) for i in np.flatnonzero(keep)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`truths[rule, person]`, the answers of the atoms behind them, and the way back to the rows."""

    program: Program
    events: Events
    answers: Int8s
    truths: Int8s
    _by_person: dict[int, list[int]] = field(default_factory=dict)
    _rows: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def carrying(self, number: int, person: int, truth: int) -> list[int]:
        """The rows on which an atom's answer rests; several rules often rest on the same."""
        key = number, person
        if key not in self._rows:
            self._rows[key] = self.program.carrying(number, self, person, truth)
        return self._rows[key]

    def atoms_of(self, person: int) -> list[int]:
        """The answers of all atoms for one person, as plain numbers."""
        if person not in self._by_person:
            self._by_person[person] = self.answers[:, person].tolist()
        return self._by_person[person]

    def because(self, rule: int, person: int) -> tuple[int, ...]:
        return self.program.because(self, rule, person)


class _Kinds(NamedTuple):
    """Which sorts of comparison occur in a group; what does not occur costs nothing."""

    coded: bool
    strict: bool
    same: bool
    negated: bool


class _Group:
    """The atoms that look at one concept through one window; they share the row work."""

    def __init__(self, program: Program, numbers: Sequence[int]) -> None:
        by_op: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            by_op[program.atoms[number].op].append(number)
        self.atoms = program.atoms
        self.codes = program.vocabulary.codes
        self.any = np.array(by_op["any"], dtype=np.intp)
        self.all = np.array(by_op["all"], dtype=np.intp)
        self.deniable = np.array([program.atoms[n].in_set is None for n in by_op["any"]], dtype=np.bool_)
        self.any_deniable = bool(self.deniable.any())
        self.any_sets = _stack([program.members(program.atoms[n]) for n in by_op["any"]])
        self.all_sets = _stack([program.members(program.atoms[n]) for n in by_op["all"]])
        self.counts = by_op["count"] + by_op["days_since"]
        self._seal_latest(by_op["latest"])

    def _seal_latest(self, numbers: Sequence[int]) -> None:
        """`<` is the contrary of `>=`, `<=` of `>`, `!=` of `==`: three comparisons and a negation do for all."""
        asked = [self.atoms[n] for n in numbers]
        self.latest = np.array(numbers, dtype=np.intp)
        self.coded = np.array([isinstance(a.against, str) for a in asked], dtype=np.bool_)
        self.wanted = np.array(
            [self.codes[a.against] if isinstance(a.against, str) else -1 for a in asked], dtype=np.int32
        )
        self.against = np.array([0.0 if isinstance(a.against, str) else a.against for a in asked], dtype=np.float64)
        self.strict = np.array([a.compare in (">", "<=") for a in asked], dtype=np.bool_)
        self.same = np.array([a.compare in ("==", "!=") for a in asked], dtype=np.bool_)
        self.negated = np.array([a.compare in ("<", "<=", "!=") for a in asked], dtype=np.bool_)
        columns = (self.coded, self.strict, self.same, self.negated)
        self.kinds = _Kinds(*(bool(column.any()) for column in columns))

    def answer(self, events: Events, part: _Slice, window: _Window, answers: Int8s) -> None:
        """Fill this group's lines of `answers` for the people who have rows."""
        status = events.status[part.rows]
        absent = events.absent[events.concept[part.rows.start], part.people]
        if len(self.any) or len(self.all):
            score = window.score(status)[:, None]
            code = events.code[part.rows]
            if len(self.any):
                found = np.maximum.reduceat(np.minimum(score, self.any_sets[code]), part.bounds, axis=0)
                silent = absent[:, None]
                if self.any_deniable:
                    denied = np.maximum.reduceat(window.inside & (status == NO), part.bounds)
                    silent = np.where(denied[:, None] & self.deniable, NO, silent)
                _put(answers, self.any, part.people, np.where(found == NO, silent, found))
            if len(self.all):
                self._answer_all(score, self.all_sets[code], part, absent, answers)
        if len(self.latest):
            self._answer_latest(events, part, window, absent, answers)
        for number in self.counts:
            low, high = _interval(self.atoms[number].op, events, part, window, status, absent)
            answers[number, part.people] = _compare(low, high, self.atoms[number])

    def _answer_all(self, score: Int8s, member: Int8s, part: _Slice, absent: Int8s, answers: Int8s) -> None:
        kept = np.maximum.reduceat(np.minimum(score, member), part.bounds, axis=0)
        broken = np.maximum.reduceat(np.minimum(score, YES - member), part.bounds, axis=0)
        silent = np.broadcast_to(absent[:, None], kept.shape)
        only_broken = (broken == UNKNOWN) & (kept == NO)
        answer = np.where(broken == NO, kept, np.where(broken == YES, NO, np.where(only_broken, silent, UNKNOWN)))
        _put(answers, self.all, part.people, np.where((broken == NO) & (kept == NO), silent, answer))

    def _answer_latest(self, events: Events, part: _Slice, window: _Window, absent: Int8s, answers: Int8s) -> None:
        candidate, sure = _candidates(events, part.rows, part.bounds, window)
        row = self._rows(events, part.rows)
        picked = candidate[:, None]
        most = np.maximum.reduceat(np.where(picked, row, NO), part.bounds, axis=0)
        least = np.minimum.reduceat(np.where(picked, row, YES), part.bounds, axis=0)
        none = ~np.logical_or.reduceat(candidate, part.bounds)[:, None]
        joins = ~np.logical_or.reduceat(candidate & sure, part.bounds)[:, None]
        silent = absent[:, None]
        most = np.where(none, silent, np.where(joins, np.maximum(most, silent), most))
        least = np.where(none, silent, np.where(joins, np.minimum(least, silent), least))
        _put(answers, self.latest, part.people, np.where(most == least, most, UNKNOWN))

    def _rows(self, events: Events, rows: slice) -> Int8s:
        """Each row's own answer to every `latest` atom of the group."""
        value = events.value[rows][:, None]
        holds = value >= self.against
        unknown: Bools = np.isnan(value)
        if self.kinds.strict:
            holds = np.where(self.strict, value > self.against, holds)
        if self.kinds.same:
            holds = np.where(self.same, value == self.against, holds)
        if self.kinds.coded:
            code = events.code[rows][:, None]
            holds = np.where(self.coded, code == self.wanted, holds)
            unknown = np.where(self.coded, code < 0, unknown)
        if self.kinds.negated:
            holds = holds ^ self.negated
        return np.where(unknown, _UNKNOWN, holds.view(np.int8) << 1)


def _put(answers: Int8s, lines: Ints, people: Ints, values: npt.NDArray[Any]) -> None:
    """Write one column a person into lines of `answers`; when everybody has rows, without the price of picking."""
    if len(people) == answers.shape[1]:
        answers[lines] = values.T
    else:
        answers[np.ix_(lines, people)] = values.T


def _slice(events: Events, first: int, last: int) -> _Slice:
    if events.people == 1:
        return _Slice(slice(first, last), _FIRST, _FIRST)
    person = events.person[first:last]
    bounds = np.concatenate(([0], np.flatnonzero(person[1:] != person[:-1]) + 1)).astype(np.intp)
    return _Slice(slice(first, last), bounds, person[bounds].astype(np.intp))


def _rows_of(events: Events, first: int, last: int, person: int) -> slice:
    """One person's rows among those of a concept; rows of one person lie together."""
    if events.people == 1:
        return slice(first, last)
    low, high = np.searchsorted(events.person[first:last], (person, person + 1)).tolist()
    return slice(first + low, first + high)


def _window(events: Events, rows: slice, length: int) -> _Window:
    now = events.now[events.person[rows]]
    t0, t1 = events.t0[rows], events.t1[rows]
    since = now - length
    return _Window((t0 >= since) & (t1 <= now), (t1 >= since) & (t0 <= now))


def _candidates(events: Events, rows: slice, bounds: Ints, window: _Window) -> tuple[Bools, Bools]:
    """Rows that may be the latest one in the window, and rows that are certainly in it."""
    sure = window.inside & (events.status[rows] != UNKNOWN)
    newest = np.maximum.reduceat(np.where(sure, events.t0[rows], -FAR), bounds)
    if len(bounds) > 1:
        newest = np.repeat(newest, np.diff(np.append(bounds, len(sure))))
    return window.touches & (events.t1[rows] >= newest), sure


def _interval(
    op: str, events: Events, part: _Slice, window: _Window, status: Int8s, absent: Int8s
) -> tuple[Floats, Floats]:
    """The least and the greatest that a count, a load or the milliseconds since something can be."""
    sure, maybe = window.inside & (status == YES), window.touches & (status != NO)
    if op == "days_since":
        now = events.now[part.people]
        newest = np.maximum.reduceat(np.where(maybe, events.t1[part.rows], -FAR), part.bounds)
        oldest = np.maximum.reduceat(np.where(sure, events.t0[part.rows], -FAR), part.bounds)
        none = np.where(absent == NO, np.inf, 0.0)
        low = np.where(newest > -FAR, now - np.minimum(newest, now), none)
        return low, np.where(oldest > -FAR, now - oldest, np.inf)
    low = np.add.reduceat(sure, part.bounds, dtype=np.float64)
    high = np.add.reduceat(maybe, part.bounds, dtype=np.float64)
    silent = (absent != NO) & ~np.maximum.reduceat(maybe, part.bounds)
    return low, np.where(silent, np.inf, high)


class _Loads:
    """The loads of all effects at once: their concepts lie side by side, and all look at what is current."""

    def __init__(self, asked: Sequence[Atom], vocabulary: Vocabulary, phase: str) -> None:
        numbers = [n for n, a in enumerate(asked) if a.op == "load"]
        concepts = [i for name, i in vocabulary.concepts.items() if name.startswith(EFFECT)]
        self.numbers = np.array(numbers, dtype=np.intp)
        self.first, self.last = min(concepts, default=0), max(concepts, default=-1) + 1
        self.window = vocabulary.window(asked[numbers[0]], phase) if numbers else 0
        self.effects = np.array([vocabulary.concepts[asked[n].concept] - self.first for n in numbers], dtype=np.intp)
        self.against = np.array([float(asked[n].against or 0) for n in numbers])[:, np.newaxis]
        self.atoms = [asked[n] for n in numbers]
        self.by_compare = {a.compare: a for a in self.atoms}

    def answer(self, events: Events, answers: Int8s) -> None:
        """Sum the weights of each effect and person, surely and possibly, and compare."""
        if not len(self.numbers):
            return
        low = np.zeros((self.last - self.first, events.people))
        high = np.where(events.absent[self.first : self.last] == NO, 0.0, np.inf)
        rows = slice(int(events.starts[self.first]), int(events.starts[self.last]))
        if rows.start < rows.stop:
            concept, person = events.concept[rows], events.person[rows]
            new = (concept[1:] != concept[:-1]) | (person[1:] != person[:-1])
            bounds = np.concatenate(([0], np.flatnonzero(new) + 1))
            window, status, weight = _window(events, rows, self.window), events.status[rows], events.value[rows]
            place = concept[bounds] - self.first, person[bounds]
            low[place] = np.add.reduceat(np.where(window.inside & (status == YES), weight, 0.0), bounds)
            high[place] += np.add.reduceat(np.where(window.touches & (status != NO), weight, 0.0), bounds)
        low, high = low[self.effects], high[self.effects]
        for compare, sample in self.by_compare.items():
            lines = np.array([a.compare == compare for a in self.atoms])
            answers[self.numbers[lines]] = _compare(low[lines], high[lines], sample, self.against[lines])


def _compare(low: Floats, high: Floats, atom: Atom, limits: Floats | None = None) -> Int8s:
    """Compare intervals with a number, or with `limits`: yes or no only where every value inside agrees."""
    against = np.float64(atom.against) if limits is None else limits
    match atom.compare:
        case "<":
            some, every = low < against, high < against
        case "<=":
            some, every = low <= against, high <= against
        case ">":
            some, every = high > against, low > against
        case ">=":
            some, every = high >= against, low >= against
        case _:
            same = (low == against) & (high == against)
            may = (low <= against) & (high >= against)
            some, every = (may, same) if atom.compare == "==" else (~same, ~may)
    truth = some.astype(np.int8) + every.astype(np.int8)
    return np.where(np.isnan(low) | np.isnan(high), UNKNOWN, truth).astype(np.int8)


def _stack(columns: Sequence[Int8s]) -> Int8s:
    return np.stack(columns, axis=1) if columns else np.zeros((0, 0), dtype=np.int8)


@dataclass(frozen=True, slots=True)
class _Joined:
    """An and or an or, its negations already pushed down to the literals."""

    is_and: bool
    parts: tuple[_Tree, ...]


_Tree = _Joined | Literal


def _supports(tree: _Tree, truths: Sequence[int]) -> tuple[int, list[int]]:
    """A tree's outcome, and the atoms on which it rests."""
    if isinstance(tree, tuple):
        number, negated = tree
        return (YES - truths[number] if negated else truths[number]), [number]
    parts = [_supports(part, truths) for part in tree.parts]
    wanted = (min if tree.is_and else max)(truth for truth, _ in parts)
    also = YES if tree.is_and and wanted == UNKNOWN else wanted
    return wanted, [n for truth, numbers in parts if truth in (wanted, also) for n in numbers]


class _Circuit:
    """All rules as one network: literals first, then every level of `and` and `or` nodes, reduced at once."""

    def __init__(self) -> None:
        self._nodes: list[tuple[bool, tuple[int | Literal, ...]]] = []  # (is_and, inputs)
        self._depths: list[int] = []
        self._known: dict[tuple[bool, tuple[int | Literal, ...]], int] = {}

    def add(self, expression: _Tree) -> int:
        """Give `expression` a node; every rule ends in one, so that outputs are uniform."""
        found = self._input(expression)
        return found if isinstance(found, int) else self._node(True, (found,))

    def _input(self, expression: _Tree) -> int | Literal:
        if isinstance(expression, tuple):
            return expression
        return self._node(expression.is_and, tuple(self._input(p) for p in expression.parts))

    def _node(self, is_and: bool, inputs: tuple[int | Literal, ...]) -> int:
        node = self._known.setdefault((is_and, inputs), len(self._nodes))
        if node == len(self._nodes):
            self._nodes.append((is_and, inputs))
            self._depths.append(1 + max((self._depths[i] for i in inputs if isinstance(i, int)), default=0))
        return node

    def seal(self, atoms: int) -> None:
        """Lay the nodes out: a level at a time, each as a gather and one reduction."""
        self._atoms = atoms
        place: dict[int, int] = {}
        levels: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for node, (is_and, _) in enumerate(self._nodes):
            levels[self._depths[node], is_and].append(node)
        for level in sorted(levels):
            for node in levels[level]:
                place[node] = 2 * atoms + len(place)
        self._size = 2 * atoms + len(place)
        self._order = np.array([place[n] for n in range(len(self._nodes))], dtype=np.intp)
        self._steps = []
        for (_, is_and), nodes in sorted(levels.items()):
            gather: list[int] = []
            bounds: list[int] = []
            for node in nodes:
                bounds.append(len(gather))
                inputs = self._nodes[node][1]
                gather.extend(place[i] if isinstance(i, int) else i[0] + atoms * i[1] for i in inputs)
            first = place[nodes[0]]
            where = slice(first, first + len(nodes))
            fold = np.minimum if is_and else np.maximum
            self._steps.append((fold, np.array(gather, dtype=np.intp), np.array(bounds, dtype=np.intp), where))

    def reduce(self, answers: Int8s) -> Int8s:
        """Each node's truth, a line a node in the order they were added."""
        values = np.empty((self._size, answers.shape[1]), dtype=np.int8)
        values[: self._atoms] = answers
        np.subtract(YES, answers, out=values[self._atoms : 2 * self._atoms])
        for fold, gather, bounds, where in self._steps:
            fold.reduceat(values[gather], bounds, axis=0, out=values[where])
        return values[self._order]
