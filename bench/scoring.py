"""How fast scores come, in one run: many people at once beside a plain loop over people, and one person.

The loop adds up nine numbers, checks their range and looks up the band and item 9: what most code does, and less than
is done here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from adjunct.instruments import instrument, score, score_many
from adjunct.knowledge import Knowledge

PEOPLE, LOOPED = 1_000_000, 50_000
LIMIT = 100_000  # responses a second


def main() -> None:
    phq9 = instrument(Knowledge.load(), "phq-9")
    dice = np.random.default_rng(1)
    answers = dice.integers(0, 4, (PEOPLE, 9)).astype(float)
    gaps = answers.copy()
    gaps[dice.random(answers.shape) < 0.02] = np.nan
    rows = answers[:LOOPED].tolist()
    whole, missing = (PEOPLE / best(lambda m=m: score_many(phq9, m)) for m in (answers, gaps))
    loop = LOOPED / best(lambda: [by_hand(row) for row in rows])
    one = best(lambda: [score(phq9, rows[0]) for _ in range(1000)]) / 1000
    print("PHQ-9, total, band, alerts:")
    line("responses/s, complete", whole / 1e6, "M/s", whole >= LIMIT)
    line("responses/s, 2 % missing", missing / 1e6, "M/s", missing >= LIMIT)
    line("a loop over people, responses/s", loop / 1e6, "M/s", True)
    line("ratio to the loop", whole / loop, "x", whole >= loop)
    line("one person", one * 1e6, "us", True)


def by_hand(row: list[float]) -> tuple[float, str, bool]:
    if not all(0 <= value <= 3 for value in row):
        raise ValueError
    total = sum(row)
    bands = ((20, "severe"), (15, "moderately severe"), (10, "moderate"), (5, "mild"))
    return total, next((name for least, name in bands if total >= least), "minimal"), row[8] >= 1


def best(work: Callable[[], object], times: int = 5) -> float:
    """The shortest of some runs, in seconds: the one that was disturbed least."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def line(what: str, value: float, unit: str, kept: bool) -> None:
    print(f"  {what:34} {value:10.2f} {unit:4} {'' if kept else 'NOT KEPT'}")


if __name__ == "__main__":
    main()
