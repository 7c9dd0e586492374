"""Answers -> scores: published and worked examples row by row, then every rule of the engine on one small scale."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adjunct.base import BadInput, Refused
from adjunct.instruments import Instrument, Score, instrument, score, score_many
from adjunct.instruments.reading import read_instrument
from adjunct.knowledge.load import HERE, Knowledge

EXAMPLES = Path(__file__).parent / "cases" / "scoring_examples.csv"
# Which form a row of the table means, where its `version` column does not say it in the words of the file.
FORMS = {("DSM5SUD", "kratom; criteria 1-11"): "not prescribed"}


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def rows() -> list[Any]:
    with EXAMPLES.open(encoding="utf-8", newline="") as lines:
        found = list(enumerate(csv.DictReader(lines), start=2))
    present = {path.stem for path in (HERE / "data" / "instruments").glob("*.toml")}
    return [pytest.param(r, id=f"{n}-{r['instrument_id']}") for n, r in found if r["instrument_id"].lower() in present]


def form_of(scale: Instrument, row: dict[str, str]) -> str | None:
    """The form that the words of the version column name."""
    said = FORMS.get((row["instrument_id"], row["version"]), row["version"].lower())
    words = set(said.replace(";", " ").replace(",", " ").split())
    return next((form for form in scale.forms if set(form.lower().split()) <= words), None)


@pytest.mark.parametrize("row", rows())
def test_every_worked_example_comes_out(knowledge: Knowledge, row: dict[str, str]) -> None:
    scale = instrument(knowledge, row["instrument_id"])
    got = score(scale, row["answers"].split(";"), form=form_of(scale, row))
    assert got.total == (float(row["total"]) if row["total"] else None)
    assert got.band == row["band"]
    assert {k: f"{v:g}" if isinstance(v, float) else v for k, v in got.subscales.items()} == dict(
        pair.split("=") for pair in row["subscales"].split("|") if pair
    )
    assert sorted(got.alerts) == sorted(alert for alert in row["alerts"].split("|") if alert)
