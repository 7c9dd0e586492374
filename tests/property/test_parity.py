"""Every rule of the knowledge base, over random records with three values in ten missing: fast and slow agree."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Line, Person, oracle

from adjunct.base import MS_PER_DAY, NO, UNKNOWN, YES, Events, Row
from adjunct.knowledge import Knowledge
from adjunct.knowledge.language import PHASES, atoms

NOW = 1_800_000_000_000
MISSING = 0.3
AGES_DAYS = (0, 0.01, 0.04, 0.5, 1, 2, 6.9, 7, 7.1, 14, 30, 35, 60, 90, 180, 365, 366, 4000)


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def interesting(knowledge: Knowledge) -> dict[str, list[float]]:
    """For each concept, numbers at, just below and just above every limit that a rule compares it with."""
    found: dict[str, list[float]] = {}
    for rule in knowledge.rule_list:
        for atom in atoms(rule.when):
            if isinstance(atom.against, float):
                near = [atom.against - 1, atom.against, atom.against + 1, atom.against * 1.01]
                found.setdefault(atom.concept, []).extend(near)
    return found


def random_person(knowledge: Knowledge, dice: random.Random, numbers: dict[str, list[float]]) -> list[Line]:
    """About half of all concepts, each with up to three rows; three cells in ten are unknown."""
    lines = []
    answers = knowledge.vocabulary.answers
    for concept in knowledge.vocabulary.concepts:
        for _ in range(dice.choice((0, 0, 1, 1, 2, 3))):
            t1 = NOW - round(dice.choice(AGES_DAYS) * MS_PER_DAY)
            t0 = t1 - dice.choice((0, 0, 0, MS_PER_DAY, 40 * MS_PER_DAY))
            if dice.random() < MISSING:
                t0, t1 = -(2**60), NOW
            coded = concept in ("substance", "last_use", "allergy") or concept.startswith("effect_")
            codes = list(knowledge.substances) if coded else sorted(answers.get(concept, ("yes", "no")))
            value = dice.choice(numbers.get(concept, [0.0, 1.0, 2.0]))
            if concept.startswith("effect_"):
                value = dice.choice((0.01, 1.0, 100.0))
            elif dice.random() < MISSING:
                value = float("nan")
            code = None if dice.random() < MISSING / 2 else dice.choice(codes)
            status = dice.choice((YES, YES, YES, YES, UNKNOWN, NO))
            lines.append(Line(concept, t0, t1, value, code, status))
    return lines


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_columns_mean_what_the_plain_reading_says(knowledge: Knowledge, seed: int) -> None:
    dice = random.Random(seed)
    numbers = interesting(knowledge)
    words = knowledge.vocabulary
    people = [random_person(knowledge, dice, numbers) for _ in range(3)]
    attested = [[k for k in ("history", "reconciled", "allergies") if dice.random() < 0.5] for _ in people]
    absent = np.stack([knowledge.absent_column(a) for a in attested], axis=1)
    rows = [
        Row(
            words.concepts[x.concept],
            x.t0,
            x.t1,
            x.value,
            -1 if x.code is None else words.codes[x.code],
            x.status,
            -1,
            i,
        )
        for i, lines in enumerate(people)
        for x in lines
    ]
    events = Events.of(rows, now=[NOW] * len(people), absent=absent)
    for phase in PHASES:
        truths = knowledge.program(phase).run(events).truths
        for i, lines in enumerate(people):
            silence = {c: int(absent[n, i]) for c, n in words.concepts.items()}
            person = Person(NOW, tuple(lines), silence)
            for number, rule in enumerate(knowledge.rule_list):
                expected = oracle(rule.when, person, words, phase)
                assert truths[number, i] == expected, f"{rule.id} in {phase}: {rule.text}"
