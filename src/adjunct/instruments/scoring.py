"""Answers of many people -> scores, bands, alerts. The one evaluator: a person is a cohort of one.

A block of answers has one row an item and one column a person, NaN where an answer is missing. Each score keeps to
the rule of its instrument for what may be missing; without such a rule a missing answer makes it unknown. An answer
that may not be written there is unknown too, and no rule for missing answers fills it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from adjunct.base import NO, UNKNOWN, YES, BadInput, Bools, Floats, Kleene, shown
from adjunct.instruments.model import TOTAL, Instrument, Plan, Sheet, Step
from adjunct.knowledge.conditions import Columns
from adjunct.knowledge.scales import DAY_HOURS, PERCENT

BLOCK = 8192  # people at once: a block of answers stays in the processor's second cache
UNSCORED = -1

Int16s = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """What the answers of many people come to, one place a person; NaN and UNSCORED are unknown.

    `band` counts in `band_names`. `bands` has one such column a form, where no form was given and there are several.
    `subscales` are all scores but the total. `alerts` holds each alert and each note on missing answers.
    `refused` marks, item by item, the answers that may not be written there, and `not_applicable` those that say that
    the item does not apply or was not assessed; None where there is none.
    """

    total: Floats
    band: Int16s
    band_names: tuple[str, ...]
    bands: Mapping[str, Int16s]
    subscales: Mapping[str, Floats]
    alerts: Mapping[str, Kleene]
    refused: Bools | None
    not_applicable: Bools | None

    def __len__(self) -> int:
        return len(self.total)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A block of answers as they count, with what was said not to apply and what was refused (None: nothing)."""

    points: Floats
    not_applicable: Bools | None = None
    refused: Bools | None = None


def score_many(
    instrument: Instrument, matrix: Floats, *, form: str | None = None, not_applicable: Bools | None = None
) -> Scores:
    """Score one row a person, one column an item in printed order; optional items at the end may be left off.

    NaN is a missing answer; `not_applicable` marks those that were answered "na". Clocks are hours since midnight.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or not instrument.scored_items <= matrix.shape[1] <= len(instrument.items):
        raise BadInput(
            f"{instrument.title} takes {instrument.scored_items} answers a person, one a column; "
            f"the table has the shape {matrix.shape}"
        )
    forms = chosen_forms(instrument, form)
    parts = []
    for start in range(0, max(len(matrix), 1), BLOCK):
        people = slice(start, start + BLOCK)
        mask = None if not_applicable is None else np.ascontiguousarray(not_applicable[people].T)
        parts.append(score_block(instrument, np.array(matrix[people].T, order="C"), mask, forms))
    return parts[0] if len(parts) == 1 else _joined(parts)


def chosen_forms(instrument: Instrument, form: str | None) -> tuple[str, ...]:
    """The forms to score under: the one given, or all there are."""
    if form is None:
        return tuple(instrument.plans)
    for known in instrument.plans:
        if known and known.casefold() == str(form).strip().casefold():
            return (known,)
    there = ", ".join(instrument.forms)
    raise BadInput(
        f"{instrument.title} has no form {shown(str(form))}: "
        + (f"choose {there}" if there else "give none, there is one")
    )


def score_block(instrument: Instrument, values: Floats, not_applicable: Bools | None, forms: Sequence[str]) -> Scores:
    """Score one block, items by people. `values` is written over."""
    if len(values) < len(instrument.items):  # the optional items were left off
        rest = np.full((len(instrument.items) - len(values), values.shape[1]), np.nan)
        values = np.vstack([values, rest])
        if not_applicable is not None:
            not_applicable = np.vstack([not_applicable, rest > 0])
    answers = counted(instrument.sheet, values, not_applicable)
    found = [_under(instrument, instrument.plans[form], answers) for form in forms]
    return found[0] if len(found) == 1 else _agreed(forms, found)


# --- answers ----------------------------------------------------------------------------------------------------------


def counted(sheet: Sheet, values: Floats, not_applicable: Bools | None) -> Answers:
    """What each answer counts, in place of what was written; refused and inapplicable answers become NaN."""
    refused = None
    if not _all_allowed(sheet, values):
        refused = ~(_allowed(sheet, values) | np.isnan(values))
        values[refused] = np.nan
    if not_applicable is not None:
        values[not_applicable] = np.nan
    for row, allowed, points in sheet.odd:
        given = values[row].copy()
        place = np.searchsorted(allowed, given).clip(max=len(allowed) - 1)
        hit = allowed[place] == given
        values[row] = np.where(hit, points[place], np.nan)
        wrong = ~hit & ~np.isnan(given)
        if wrong.any():
            refused = np.zeros(values.shape, dtype=np.bool_) if refused is None else refused
            refused[row] |= wrong
        not_assessed = hit & np.isnan(points)[place]
        if not_assessed.any():
            not_applicable = np.zeros(values.shape, dtype=np.bool_) if not_applicable is None else not_applicable
            not_applicable[row] |= not_assessed
    if len(sheet.turned):
        values[sheet.turned] = sheet.span - values[sheet.turned]
    return Answers(values, not_applicable, refused if refused is not None and refused.any() else None)


def _all_allowed(sheet: Sheet, values: Floats) -> bool:
    """Whether nothing is missing or wrong, so that nothing needs to be looked at answer by answer."""
    if values.shape[1] == 0:
        return True
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return bool((low >= sheet.least).all() and (high <= sheet.most).all() and _on_steps(sheet, values).all())


def _allowed(sheet: Sheet, values: Floats) -> Bools:
    within = (values >= sheet.least) & (values <= sheet.most)
    found: Bools = within & _on_steps(sheet, np.where(within, values, sheet.base))
    return found


def _on_steps(sheet: Sheet, values: Floats) -> Bools:
    steps = values if sheet.whole else (values - sheet.base) * sheet.per_step
    found: Bools = np.rint(steps) == steps
    return found


# --- scores -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Course:
    """One block on its way through one plan: columns so far, how far refused answers reach, notes that fell due."""

    points: Floats
    values: dict[str, Floats]
    spoiled: dict[str, Bools]
    skipped: Mapping[str, Bools]
    notes: dict[str, Bools] = field(default_factory=dict)

    def note(self, name: str, where: Bools) -> None:
        if name and where.any():
            self.notes[name] = self.notes[name] | where if name in self.notes else where


def _under(instrument: Instrument, plan: Plan, answers: Answers) -> Scores:
    """Everything that one form says of one block."""
    people = answers.points.shape[1]
    course = _Course(
        points=answers.points,
        values=_by_item(instrument, answers.points),
        spoiled=_by_item(instrument, answers.refused),
        skipped=_by_item(instrument, answers.not_applicable),
    )
    for step in plan.steps:
        value = _value(step, course)
        course.values[step.id] = value if step.cap == np.inf else np.minimum(value, step.cap)
    columns = Columns(course.values, course.skipped, instrument.turned)
    total = course.values.get(TOTAL)
    band = np.full(people, UNSCORED, dtype=np.int16)
    for part in reversed(plan.bands):  # what stands above decides over what stands below
        truth = part.when.over(columns).values
        band[truth == YES] = instrument.bands.index(part.name)
        band[truth == UNKNOWN] = UNSCORED
    if total is not None:
        band[np.isnan(total)] = UNSCORED
    notes = {name: Kleene(where.view(np.int8) * np.int8(YES)) for name, where in course.notes.items()}
    return Scores(
        total=np.full(people, np.nan) if total is None else total,
        band=band,
        band_names=instrument.bands,
        bands={},
        subscales={step.id: course.values[step.id] for step in plan.steps if step.id != TOTAL},
        alerts={alert.id: alert.when.over(columns) for alert in plan.alerts} | notes,
        refused=answers.refused,
        not_applicable=answers.not_applicable,
    )


def _by_item(instrument: Instrument, rows: npt.NDArray[Any] | None) -> dict[str, Any]:
    return {} if rows is None else {item.id: row for item, row in zip(instrument.items, rows, strict=True)}


def _value(step: Step, course: _Course) -> Floats:
    """One score of everybody in the block."""
    if step.how in _OF_ONE:
        value = _of_one(step, *(course.values[name] for name in step.of))
        unknown = np.isnan(value)
        if unknown.any():
            reached = _spoiled(step, course)
            course.spoiled[step.id] = reached & unknown
            missing = np.isnan([course.values[name] for name in step.of]).any(axis=0)
            course.note(step.refused, missing & ~reached)
        return value
    stack = course.points[step.rows] if step.rows else np.stack([course.values[name] for name in step.of])
    sums: Floats = np.add.reduce(stack)
    value = _together(step, stack, sums, len(stack))
    gaps = np.isnan(sums)
    if gaps.any():
        value[gaps] = _with_gaps(step, stack[:, gaps], gaps, course)
        course.spoiled[step.id] = _spoiled(step, course) & np.isnan(value)
    return value


def _together(step: Step, stack: Floats, sums: Floats, present: Any) -> Floats:
    """Several values as one; `present` is how many there are, where a mean is asked."""
    found = sums
    match step.how:
        case "mean":
            found = sums / present
        case "most":
            found = np.maximum.reduce(stack)
        case "count":
            found = np.add.reduce(stack >= step.least, dtype=np.float64)
    return found


def _with_gaps(step: Step, stack: Floats, gaps: Bools, course: _Course) -> Floats:
    """The score of those for whom something is missing, by the instrument's own rule; NaN beyond it."""
    missing = np.isnan(stack)
    refused = _cells(step.of, course.spoiled, gaps)
    skipped = _cells(step.of, course.skipped, gaps) if step.skip_na else np.zeros_like(missing)
    gone = missing & ~refused & ~skipped
    present = len(stack) - missing.sum(axis=0)
    none_there = present == 0
    too_many = (gone.sum(axis=0) > step.most_missing) | (gone & ~step.may_miss).any(axis=0)
    too_many |= none_there & gone.any(axis=0)
    scored = ~(too_many | none_there | refused.any(axis=0))
    filled = np.where(missing, -np.inf if step.how in ("most", "count") else 0, stack)
    present = np.where(none_there, 1, present)
    value = _together(step, filled, np.add.reduce(filled), present)
    if step.prorate and step.how in ("sum", "count"):
        value = value * (len(stack) - skipped.sum(axis=0)) / present
    for name, here in ((step.note, scored & gone.any(axis=0)), (step.refused, too_many)):
        everybody = np.zeros(len(gaps), dtype=np.bool_)
        everybody[gaps] = here
        course.note(name, everybody)
    return np.where(scored, value, np.nan)


def _cells(names: Sequence[str], marks: Mapping[str, Bools], people: Bools) -> Bools:
    """Which of `names` are marked, for some of the people."""
    nobody = np.zeros(int(people.sum()), dtype=np.bool_)
    return np.stack([marks[name][people] if name in marks else nobody for name in names])


def _spoiled(step: Step, course: _Course) -> Bools:
    """Whom a refused answer reaches through what this score is made of."""
    found = np.zeros(course.points.shape[1], dtype=np.bool_)
    for name in step.of:
        if name in course.spoiled:
            found |= course.spoiled[name]
    return found


# --- scores made of one value, or of two ------------------------------------------------------------------------------

_OF_ONE = frozenset({"linear", "table", "bins", "hours", "share"})


def _of_one(step: Step, value: Floats, other: Floats | None = None) -> Floats:
    match step.how:
        case "linear":
            return (value * step.times + step.plus) / step.over
        case "table":
            place = np.searchsorted(step.edges, value).clip(max=len(step.edges) - 1)
            return np.where(step.edges[place] == value, step.results[place], np.nan)
        case "bins":
            edges, strict = step.edges[:, None], step.strict[:, None]
            place = np.where(strict, value > edges, value >= edges).sum(axis=0) - 1
            return np.where(place >= 0, step.results[place], np.nan)
        case "hours" if other is not None:  # from one time of the day to the next time that the other is met
            return (other - value) % DAY_HOURS
        case "share" if other is not None:  # unknown of nothing
            return np.divide(PERCENT * value, other, out=np.full_like(value, np.nan), where=other != 0)
    return value


# --- several forms, several blocks ------------------------------------------------------------------------------------


def _agreed(forms: Sequence[str], found: Sequence[Scores]) -> Scores:
    """What holds whichever form was meant: what all of them agree on is known, the rest is not."""
    first, total = found[0], _same([f.total for f in found])
    one_band = np.all([f.band == first.band for f in found], axis=0) & (np.isnan(first.total) | ~np.isnan(total))
    return Scores(
        total=total,
        band=np.where(one_band, first.band, UNSCORED).astype(np.int16),
        band_names=first.band_names,
        bands={form: f.band for form, f in zip(forms, found, strict=True)},
        subscales={name: _same([f.subscales[name] for f in found]) for name in _in_all(f.subscales for f in found)},
        alerts={
            name: _either([f.alerts.get(name) for f in found], len(first)) for name in _in_any(f.alerts for f in found)
        },
        refused=first.refused,
        not_applicable=first.not_applicable,
    )


def _same(columns: Sequence[Floats]) -> Floats:
    return np.where(np.all([c == columns[0] for c in columns], axis=0), columns[0], np.nan)


def _either(truths: Sequence[Kleene | None], people: int) -> Kleene:
    """A truth under several forms; an alert that one form does not have is not raised by it."""
    columns = [np.full(people, NO, dtype=np.int8) if t is None else t.values for t in truths]
    return Kleene(np.where(np.all([c == columns[0] for c in columns], axis=0), columns[0], UNKNOWN).astype(np.int8))


def _in_any(names: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for some in names for name in some))


def _in_all(names: Iterable[Iterable[str]]) -> list[str]:
    first, *others = (list(some) for some in names)
    return [name for name in first if all(name in some for some in others)]


def _joined(parts: Sequence[Scores]) -> Scores:
    """Blocks one after the other. A note that fell due in one block is absent in the others."""
    first = parts[0]
    people = [len(part) for part in parts]
    return Scores(
        total=np.concatenate([part.total for part in parts]),
        band=np.concatenate([part.band for part in parts]),
        band_names=first.band_names,
        bands={form: np.concatenate([part.bands[form] for part in parts]) for form in first.bands},
        subscales={name: np.concatenate([part.subscales[name] for part in parts]) for name in first.subscales},
        alerts={
            name: Kleene(
                np.concatenate(
                    [_either([part.alerts.get(name)], n).values for part, n in zip(parts, people, strict=True)]
                )
            )
            for name in _in_any(part.alerts for part in parts)
        },
        refused=_marks([part.refused for part in parts], people),
        not_applicable=_marks([part.not_applicable for part in parts], people),
    )


def _marks(parts: Sequence[Bools | None], people: Sequence[int]) -> Bools | None:
    rows = next((len(marks) for marks in parts if marks is not None), None)
    if rows is None:
        return None
    none = (np.zeros((rows, n), dtype=np.bool_) for n in people)
    return np.concatenate([blank if marks is None else marks for blank, marks in zip(none, parts, strict=True)], axis=1)
