"""Worked examples of every instrument, row by row: total, band, subscales and alerts, at and beside every edge.

`kind` says whether a row was published or made by hand from the published rule; `source` says which.
"""

from __future__ import annotations

import csv
import random
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


# What is said of the total itself, or is not certain by any step of the file (a low total where high is good).
MAY_WAIT = {
    ("asex", "rule_total"),
    ("moca", "education_point"),
    ("padss", "never_releases_alone"),
    ("taps", "per_substance_never_summed"),
    ("who5", "test_for_depression"),
}
FILLED = 60  # forms filled in for each instrument


@pytest.mark.parametrize("name", sorted(k for k, e in Knowledge.load().instruments.items() if e.get("alert")))
def test_what_every_answer_to_an_open_item_would_raise_is_raised_while_it_is_open(
    knowledge: Knowledge, name: str
) -> None:
    scale, draw = instrument(knowledge, name), random.Random(name)
    if any(not item.allowed and item.kind not in ("count", "percent") for item in scale.items):
        return  # any number may stand: not every answer can be tried
    for turn in range(FILLED):
        pick = (draw.choice, max, min)[turn % 3]
        answers = [float(pick(item.allowed or (item.least, item.most))) for item in scale.items]
        form = draw.choice(scale.forms or (None,))
        open_item = draw.choice(scale.items)
        before, after = answers[: open_item.number - 1], answers[open_item.number :]
        raised = [
            set(score(scale, [*before, value, *after], form=form).alerts)
            for value in open_item.allowed or (open_item.least, open_item.most)
        ]
        certain = set.intersection(*raised) - {alert for id_, alert in MAY_WAIT if id_ == name}
        assert certain <= set(score(scale, [*before, None, *after], form=form).alerts), (form, answers, open_item.id)
