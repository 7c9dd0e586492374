"""The times at which a curve is drawn: close together after a dose, further apart later, every event and peak kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from adjunct.base import Floats
from adjunct.pharmacology.simulation.arithmetic import ratio

DEFAULT_HOURS = 24.0  # shown when nobody says how many
MOST_POINTS = 600
STEPS_MIN = ((120, 2), (360, 5), (720, 15), (1440, 30), (4320, 120), (20160, 360))  # until these minutes, every so many
FEWEST = 60  # points of a horizon shorter than the finest steps allow for
APART_H = 1e-6  # closer than this, two times are one
FINER = 4  # points of a curve's interval where a level is looked for


def time_grid(starts: Sequence[float], events: Sequence[float], until_h: float) -> Floats:
    """Rising times from 0 to `until_h`, at most about 600: a pattern after each start, and every event between.

    >>> grid = time_grid([0.0], [2 / 3], 24.0)
    >>> len(grid) < 200, float(grid[1] * 60), float(grid[-1]), bool((2 / 3 == grid).any())
    (True, 2.0, 24.0, True)
    """
    kept = np.unique([0.0, until_h, *(t for t in (*starts, *events) if 0 < t < until_h)])
    kept = _thinned(kept, MOST_POINTS // 2)
    room = MOST_POINTS - len(kept)
    bounds = [*(s for s in starts if s < until_h), until_h]
    longest = max((b - a for a, b in pairwise(bounds)), default=until_h)
    pattern = _pattern(max(longest, APART_H))
    a_dose = room // max(len(bounds) - 1, 1)
    pattern = _thinned(pattern, a_dose) if a_dose >= 2 else pattern[:0]
    after = [start + pattern[pattern < end - start] for start, end in pairwise(bounds)]
    before = [pattern[pattern < bounds[0]]] if starts and starts[0] > 0 else []
    drawn = np.concatenate(
        [*before, *after, np.linspace(0, until_h, max(room, 2)) if not len(pattern) else pattern[:0]]
    )
    near = np.clip(np.searchsorted(kept, drawn), 1, len(kept) - 1)
    alone = np.minimum(np.abs(kept[near] - drawn), np.abs(kept[near - 1] - drawn)) > APART_H
    return np.unique(np.concatenate([kept, drawn[alone & (drawn < until_h)]]))


def refined(times: Floats) -> Floats:
    """The same times with others evenly between them."""
    steps = np.arange(FINER) / FINER
    inner = times[:-1, None] + np.diff(times)[:, None] * steps
    return np.append(inner.ravel(), times[-1])


def hours_above(times: Floats, lines: Floats, level: float) -> Floats:
    """How long each line (people, times) lies above a level, with straight lines between the times.

    >>> hours_above(np.array([0.0, 1.0, 2.0]), np.array([[0.0, 2.0, 0.0]]), 1.0)
    array([1.])
    """
    over = lines - level
    left, right = over[:, :-1], over[:, 1:]
    high, low = np.maximum(left, right), np.minimum(left, right)
    gap = np.where(high > low, high - low, 1)
    share = np.where(low >= 0, np.where(high > 0, 1.0, 0.0), np.where(high > 0, high / gap, 0.0))
    found: Floats = np.ascontiguousarray(share * np.diff(times)).sum(axis=1)
    return found


def _pattern(until_h: float) -> Floats:
    pieces, begin = [], 0.0
    for end_min, step_min in STEPS_MIN:
        end = min(end_min * ratio("min", "h"), until_h)
        step = min(step_min * ratio("min", "h"), until_h / FEWEST)
        if end > begin:
            pieces.append(begin + step * np.arange(np.ceil((end - begin) / step - APART_H)))
            begin = end
    if until_h > begin:
        pieces.append(np.linspace(begin, until_h, FEWEST, endpoint=False))
    return np.concatenate(pieces)


def _thinned(times: Floats, most: int) -> Floats:
    if len(times) <= most:
        return times
    return times[np.unique(np.linspace(0, len(times) - 1, most).round().astype(np.intp))]
