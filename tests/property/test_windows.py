"""The windows mean what every possible completion of the record says: brute force over partial dates and open rows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import NO, UNKNOWN, YES, Events, Row
from adjunct.knowledge.columns import Program
from adjunct.knowledge.language import Atom, Vocabulary

NOW = 6
WORDS = Vocabulary(
    concepts={"c": 0},
    codes={"a": 0, "b": 1},
    sets={"A": frozenset({0})},
    units={"c": "1"},
    ages={"c": dict.fromkeys(("intake",), 4)},
)
DAY = 86_400_000


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    found = []
    for _ in range(draw(st.integers(0, 3))):
        t0 = draw(st.integers(0, 8))
        t1 = draw(st.integers(t0, min(t0 + 3, 8)))
        value = float(draw(st.integers(0, 2)))
        found.append(Row(0, t0, t1, value, draw(st.integers(0, 1)), draw(st.sampled_from([NO, UNKNOWN, YES]))))
    return found


def completions(given_rows: list[Row]):
    """Every way things may have been: each row at one moment, each open row there or not."""
    choices = [[(t, r) for t in range(r.t0, r.t1 + 1)] + ([None] if r.status == UNKNOWN else []) for r in given_rows]
    for picked in product(*choices):
        yield [p for p in picked if p is not None]


def window(completion):
    return [(t, r) for t, r in completion if NOW - 4 <= t <= NOW]


def truth_of_any(completion, absent):
    here = window(completion)
    if any(r.status != NO and r.code == 0 for _, r in here):
        return YES
    return absent


def truth_of_exists(completion, absent):
    here = window(completion)
    if any(r.status != NO for _, r in here):
        return YES
    return NO if here else absent


def truth_of_all(completion, absent):
    here = [r for _, r in window(completion) if r.status != NO]
    if not here:
        return absent
    return YES if all(r.code == 0 for r in here) else NO


def truth_of_latest(completion, absent):
    here = window(completion)
    if not here:
        return absent
    newest = max(t for t, _ in here)
    answers = {YES if r.value >= 1 else NO for t, r in here if t == newest}
    return answers.pop() if len(answers) == 1 else UNKNOWN


CASES = {
    "any": (Atom("any", "c", in_set="A"), truth_of_any),
    "exists": (Atom("any", "c"), truth_of_exists),
    "all": (Atom("all", "c", in_set="A"), truth_of_all),
    "latest": (Atom("latest", "c", compare=">=", against=1.0), truth_of_latest),
}


@pytest.mark.parametrize("name", CASES)
@given(given_rows=rows(), absent=st.sampled_from([NO, UNKNOWN]))
def test_an_answer_is_what_all_completions_agree_on(name: str, given_rows: list[Row], absent: int) -> None:
    atom, truth = CASES[name]
    answers = {truth(c, absent) for c in completions(given_rows)}
    expected = answers.pop() if len(answers) == 1 else UNKNOWN
    column = np.full((1, 1), absent, dtype=np.int8)
    outcome = Program([atom], WORDS, "intake").run(Events.of(given_rows, now=[NOW], absent=column))
    assert outcome.truths[0, 0] == expected


@given(given_rows=rows(), limit=st.integers(0, 2))
def test_a_count_is_an_interval_that_holds_every_completion(given_rows: list[Row], limit: int) -> None:
    atom = Atom("count", "c", compare=">=", against=float(limit))
    counts = {len([r for _, r in window(c) if r.status != NO]) for c in completions(given_rows)}
    column = np.full((1, 1), NO, dtype=np.int8)
    got = Program([atom], WORDS, "intake").run(Events.of(given_rows, now=[NOW], absent=column)).truths[0, 0]
    answers = {n >= limit for n in counts}
    assert got == (UNKNOWN if len(answers) == 2 else YES if answers.pop() else NO)
