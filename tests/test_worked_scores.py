"""Worked examples of every instrument, row by row: total, band, subscales and alerts, at and beside every edge.

`kind` says whether a row was published or made by hand from the published rule; `source` says which.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from adjunct.instruments import instrument, score
from adjunct.knowledge import Knowledge

CASES = Path(__file__).parent / "cases"
FILES = ("worked_scores_a.csv", "worked_scores_b.csv")


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def rows() -> list[Any]:
    found = []
    for name in FILES:
        with (CASES / name).open(encoding="utf-8", newline="") as lines:
            found += [
                pytest.param(r, id=f"{name}:{n}-{r['instrument']}") for n, r in enumerate(csv.DictReader(lines), 2)
            ]
    return found


@pytest.mark.parametrize("row", rows())
def test_a_worked_example_comes_out(knowledge: Knowledge, row: dict[str, str]) -> None:
    got = score(instrument(knowledge, row["instrument"]), row["answers"].split(";"), form=row["form"] or None)
    assert got.total == (float(row["total"]) if row["total"] else None)
    assert got.band == (row["band"] or None)
    assert sorted(got.alerts) == sorted(filter(None, row["alerts"].split("|")))
    for pair in filter(None, (row.get("subscales") or "").split("|")):
        name, value = pair.split("=")
        found = got.subscales[name]
        assert (f"{found:g}" if isinstance(found, float) else str(found)) == value, name  # None: unknown
