"""How much changed between two scores, in plain numbers: points, per cent, reliable change, the clinical cut.

Scores are points of one scale; one that is not known is NaN, and what rests on it is unknown. What a change is called,
and on which published numbers, stands in `outcomes`; how a whole course is read, in `course`.
"""

from __future__ import annotations

import math

from adjunct.base import NO, UNKNOWN, YES, BadInput

PERCENT = 100
ROUNDING = 1e-9  # what binary fractions may miss of a limit that is met exactly
SIGN = {"worse": -1, "better": 1, "neither": math.nan}  # of a rise, by what a higher score means


def improvement(before: float, after: float, direction: str) -> float:
    """Points to the better; below zero is worse; NaN where the scale has no better.

    >>> improvement(20, 9, "worse"), improvement(20, 9, "better")
    (11, -11)
    """
    return SIGN[direction] * (after - before)


def percent_change(before: float, after: float, direction: str) -> float:
    """Improvement in per cent of the score before; NaN where that is zero.

    >>> percent_change(20, 9, "worse")
    55.0
    """
    return PERCENT * improvement(before, after, direction) / before if before else math.nan


def standard_error(sd: float, r: float) -> float:
    """Of one measurement, in points, from the spread of a group (points) and the reliability of the scale."""
    if not (sd > 0 and 0 <= r < 1):
        raise BadInput(
            f"no standard error from SD {sd:g} and reliability {r:g}: give SD above 0, reliability 0 up to 1"
        )
    return sd * math.sqrt(1 - r)


def reliable_change(before: float, after: float, sd: float, r: float) -> float:
    """Change in standard errors of a difference (Jacobson and Truax); above zero is a rise."""
    return (after - before) / (math.sqrt(2) * standard_error(sd, r))


def reliable_change_index(sd: float, r: float, z: float) -> float:
    """Points beyond which measurement error alone is an unlikely cause of a change; `z` 1.96 for 95 %.

    >>> round(reliable_change_index(5.5, 0.84, 1.96), 2)
    6.1
    """
    return z * math.sqrt(2) * standard_error(sd, r)


def clinical_cut(clinic: tuple[float, float], norm: tuple[float, float]) -> float:
    """The score between a clinical and a healthy group, each (mean, SD), nearer to the narrower one (criterion c).

    >>> clinical_cut((15, 5), (5, 5))
    10.0
    """
    (mean_c, sd_c), (mean_n, sd_n) = clinic, norm
    return (sd_n * mean_c + sd_c * mean_n) / (sd_n + sd_c)


def at_least(value: float, limit: float) -> int:
    """Truth of `value >= limit`; unknown if either is."""
    return UNKNOWN if math.isnan(value + limit) else YES if value >= limit - ROUNDING else NO


def above(value: float, limit: float) -> int:
    """Truth of `value > limit`; unknown if either is."""
    return UNKNOWN if math.isnan(value + limit) else YES if value > limit + ROUNDING else NO
