"""Medicine lists judged by a pharmacist and a nurse: `cases/lists.csv` says what each answer must and must not be.

`must`: findings that have to be there; `id=a+b` also says exactly which substances it involves. `must_not`: findings or
actions that must not appear. `loudest`: the highest severity allowed. `note`: the clinical reason.
"""

from __future__ import annotations

import csv
import json
import re
from functools import cache
from pathlib import Path

import pytest

import adjunct
from adjunct.assessment import Assessment
from adjunct.knowledge import Knowledge

AT = "2026-11-21T09:00:00-06:00"
FILE = Path(__file__).parent / "cases" / "lists.csv"
ACTIONS = ("inform", "monitor", "adjust", "defer", "avoid", "contraindicated", "emergency")
SEVERITIES = ("low", "moderate", "high")
STOP = re.compile(r"Do not take the next dose of ([^.]*)")
CARRY_ON = re.compile(r"[Kk]eep taking (it|both|them|your|the|what)\b|Do not stop (it|either|them) suddenly")
NEVER = re.compile(r"\bsafe(ly)?\b|no interaction|\blegal\b", re.IGNORECASE)

with FILE.open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))


def parts(cell: str) -> list[str]:
    return [p for p in cell.split(";") if p]


@cache
def checked(items: str, conditions: str, age: str) -> Assessment:
    years = float(age) if age else None
    return adjunct.check(parts(items), conditions=parts(conditions), age=years, country="US", at=AT)


def answer(row: dict[str, str]) -> Assessment:
    return checked(row["items"], row["conditions"], row["age"])


each = pytest.mark.parametrize(
    "row", ROWS, ids=lambda r: "+".join(filter(None, (r["items"], r["conditions"], r["age"])))
)


@each
def test_the_answer_is_what_a_pharmacist_expects(row: dict[str, str]) -> None:
    result = answer(row)
    found = {f.id: f for f in result.findings}
    assert result.verdict == row["verdict"], list(found)
    for entry in parts(row["must"]):
        wanted, _, involved = entry.partition("=")
        assert wanted in found, list(found)
        if involved:
            assert sorted(found[wanted].involves) == sorted(involved.split("+"))
    for entry in parts(row["must_not"]):
        same = [f.id for f in result.findings if entry in (f.id, f.action)]
        assert not same, entry
    if row["loudest"]:
        louder = [f.id for f in result.findings if SEVERITIES.index(f.severity) > SEVERITIES.index(row["loudest"])]
        assert not louder


@each
def test_the_words_are_calm_and_stop_nobody_alone(row: dict[str, str]) -> None:
    knowledge = Knowledge.load()
    result = answer(row)
    for finding in result.findings:
        assert finding.tell or finding.severity == "low", finding.id
        assert not NEVER.search(finding.tell.replace("keep you safe", "")), finding.id
        assert "!" not in finding.tell, finding.id
        for named in STOP.findall(finding.tell):
            assert finding.action in ("contraindicated", "emergency"), finding.id
            for substance in finding.involves:
                if knowledge.substances[substance].protected_stop:
                    assert knowledge.substances[substance].name not in named, finding.id
    # Nobody reads "keep taking it" beside "do not take the next dose" of the same medicine.
    names = knowledge.substances
    stopped = {s for f in result.findings for s in f.involves if STOP.search(f.tell) and not names[s].protected_stop}
    for finding in result.findings:
        if CARRY_ON.search(finding.tell) and not STOP.search(finding.tell):
            assert not stopped & set(finding.involves), finding.id


@each
def test_the_answer_is_one_json_document(row: dict[str, str]) -> None:
    result = answer(row)
    assert json.loads(result.to_json())["verdict"] == row["verdict"]


def test_the_table_is_broad() -> None:
    """Every verdict word is reached, no row is written twice, and every rule named exists."""
    keys = [(r["items"], r["conditions"], r["age"]) for r in ROWS]
    assert len(keys) == len(set(keys)) >= 120
    assert {r["verdict"] for r in ROWS} == {
        "emergency", "contraindicated", "avoid", "incomplete", "caution", "nothing-found",
    }  # fmt: skip
    known = set(Knowledge.load().rules)
    for row in ROWS:
        for entry in (*parts(row["must"]), *parts(row["must_not"])):
            assert entry.partition("=")[0] in known or entry in ACTIONS, entry
