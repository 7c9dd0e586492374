"""Scoring as an outsider meets it: names as they are printed, answers of any shape, tables as people keep them.

The scorer here was written from the rules alone, without a look at the code it judges.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fhirkit import validate
from typer.testing import CliRunner

import adjunct
from adjunct.base import BadInput
from adjunct.cli import app
from adjunct.instruments import instrument
from adjunct.knowledge import Knowledge
from adjunct.publish import questionnaire

KNOWLEDGE = Knowledge.load()

# --- names ------------------------------------------------------------------------------------------------------------

PRINTED = {
    "HAM-D17 (with SIGH-D guide)": "hamd17",
    "SIGH-D structured interview guide": "sighd",
    "C-SSRS screener (recent / since last contact)": "cssrs",
    "Scale for Suicide Ideation (clinician) / BSS self": "ssi",
    "CADSS (23 item)": "cadss",
    "BPRS+ (4 positive items)": "bprsp",
    "DSST / symbol coding": "dsst",
    "PROMIS Depression 8a (4a)": "promisd",
    "Ketamine/kratom craving & liking 0-10": "craving",
    "DSM-5 11-criteria count": "dsm5sud",
    "Maudsley Staging / ATHF-SF": "msm",
    "KSET (Ketamine Side Effect Tool)": "kset",
    "Ketum (kratom) Dependence Scale": "kds",
    "CGI-S / CGI-I": "cgi",
    "phq_9": "phq9",
    "Audit - C": "auditc",
    "WHO\u20115": "who5",
}


@pytest.mark.parametrize(("printed", "name"), PRINTED.items())
def test_the_printed_title_finds_the_instrument(printed: str, name: str) -> None:
    for spelled in (printed, printed.upper(), printed.lower(), f" {printed}\n"):
        assert instrument(KNOWLEDGE, spelled).id == name


# --- calls of any shape -----------------------------------------------------------------------------------------------

NINE = [1, 2, 1, 0, 2, 1, 0, 0, 1]


@pytest.mark.parametrize("name", [None, 5, ["phq9"], b"phq9", "", "phq9; drop"])
def test_what_is_no_name_is_bad_input(name: Any) -> None:
    with pytest.raises(BadInput, match="no instrument is called"):
        adjunct.score(name, NINE)


@pytest.mark.parametrize("answers", [None, 5, np.array(3), {1, 2}, "1,2,1,0,2,1,0,0,1", b"121021001", bytearray(9)])
def test_what_is_no_list_of_answers_is_bad_input_and_asks_for_the_item_on_suicide(answers: Any) -> None:
    with pytest.raises(BadInput, match="a list of answers") as caught:
        adjunct.score("phq9", answers)
    assert caught.value.advice


def test_answers_may_come_as_any_ordered_run_of_values() -> None:
    for answers in (tuple(NINE), np.array(NINE), np.array(NINE, dtype=float), iter(NINE), [str(n) for n in NINE]):
        found = adjunct.score("phq9", answers)  # type: ignore[arg-type]
        assert (found.total, found.alerts) == (8, ("suicide_item",))


@pytest.mark.parametrize("version", [-1, "-1", [1], True, 1.0, "x"])
def test_only_the_edition_itself_passes_for_it(version: Any) -> None:
    assert adjunct.score("phq9", NINE, version=" 9 Items").total == 8
    with pytest.raises(BadInput, match="these are answers to version") as caught:
        adjunct.score("phq9", NINE, version=version)
    assert caught.value.advice


@pytest.mark.parametrize("form", [5, ["woman"], "", "wom an"])
def test_what_is_no_form_is_bad_input(form: Any) -> None:
    with pytest.raises(BadInput, match="choose woman, man"):
        adjunct.score("auditc", [1, 1, 1], form=form)


def test_nothing_but_bad_input_is_ever_raised() -> None:
    dice = random.Random(7)
    odd: list[Any] = [None, 0, 1, 3, 8, -1, 1e300, float("nan"), float("inf"), 10**400, "Y", "na", "-", "", "1-2", "x"]
    odd += ["23:00", "\x00", "9" * 5000, True, [], {}, object(), b"x", np.array([1, 2]), "\U0001f642", "\ud800", 1 + 0j]
    lines = []
    for _ in range(3000):
        known = instrument(KNOWLEDGE, dice.choice(sorted(KNOWLEDGE.instruments)))
        long = len(known.items) if dice.random() < 0.8 else dice.randint(0, 35)
        answers: Any = [dice.choice(odd) for _ in range(long)]
        answers = dice.choice([answers, answers, {f"i{n}": a for n, a in enumerate(answers)}, set(), None])
        try:
            found = adjunct.score(known.id, answers, form=dice.choice([None, None, "woman", "\ud800"]))
        except BadInput as error:
            lines.append(str(error))
            continue
        assert json.loads(found.to_json())["total"] == found.total
        assert found.total is not None or found.reason
    assert lines
    assert not [line for line in lines if len(line.splitlines()) != 1]


# --- the C-SSRS, all of it --------------------------------------------------------------------------------------------


def level(answers: tuple[str | None, ...], recent: str | None) -> str:
    """Section 8.2 of the protocol, written down once more."""
    wish, thoughts, method, intent, plan, ever = answers
    if "Y" in (intent, plan, recent):
        return "HIGH"
    recent_open = recent is None and ever != "N"
    if ("Y" in (thoughts, method) and (None in (intent, plan) or recent_open)) or (ever == "Y" and recent is None):
        return "UNFINISHED"
    if wish is None or thoughts is None or ever is None or (thoughts == "Y" and method is None):
        return "UNKNOWN"
    return "MODERATE" if "Y" in (method, ever) else "LOW" if "Y" in (wish, thoughts) else "NONE"


def test_every_screener_and_every_recency_has_the_level_of_the_protocol() -> None:
    for answers in product(("Y", "N", None), repeat=6):
        for recent in ("Y", "N", None):
            found = adjunct.score("cssrs", [*answers, recent])
            assert found.band == level(answers, recent), (answers, recent)
            assert found.total is None
            assert "never_sum" in found.alerts


@pytest.mark.parametrize("word", ["unknown", "Unknown", "-", "", None])
def test_unknown_is_an_answer_to_the_screener_and_not_a_mistake(word: str | None) -> None:
    found = adjunct.score("cssrs", ["Y", "Y", "N", word, "N", "N", "na"])
    assert (found.band, found.refused) == ("UNFINISHED", ())


# --- an independent scorer --------------------------------------------------------------------------------------------

Answers = list[Any]


def plain(least: int, most: int, items: int, missing: int = 0) -> tuple[list[list[Any]], Callable[[Answers], Any]]:
    def total(answers: Answers) -> float | None:
        given = [a for a in answers if a is not None]
        return None if items - len(given) > missing else round(sum(given) / len(given) * items, 2)

    return [list(range(least, most + 1))] * items, total


def qids(answers: Answers) -> float | None:
    groups = [answers[0:4], answers[4:5], answers[5:9], *([a] for a in answers[9:14]), answers[14:16]]
    most = [max((a for a in group if a is not None), default=None) for group in groups]
    return None if None in most else sum(m for m in most if m is not None)


def gds(answers: Answers) -> float | None:
    points = [(a == "N") == (n in (1, 5, 7, 11, 13)) for n, a in enumerate(answers, start=1) if a]
    return None if len(points) < 12 else round(sum(points) / len(points) * 15, 2)


def dast(answers: Answers) -> float | None:
    return None if None in answers else sum((a == "Y") != (n == 3) for n, a in enumerate(answers, start=1))


def shaps(answers: Answers) -> float | None:
    return None if None in answers else sum(a in ("D", "DD") for a in answers)


def quality(answers: Answers) -> float | None:
    given = [a for a in answers[:14] if a is not None]
    return None if len(given) < 12 else round((sum(given) / len(given) * 14 - 14) / 56 * 100, 2)


def wsas(answers: Answers) -> float | None:
    given = [a for a in answers if a is not None]
    return None if len(given) < 4 else round(sum(given) / len(given) * 5, 2)


YN = ["Y", "N"]
HAMILTON = [[0, 1, 2, 3, 4] if n in (1, 2, 3, 7, 8, 9, 10, 11, 15) else [0, 1, 2] for n in range(1, 18)]
MINE: dict[str, tuple[list[list[Any]], Callable[[Answers], Any]]] = {
    "phq9": plain(0, 3, 9, 2),
    "gad7": plain(0, 3, 7, 1),
    "isi": plain(0, 4, 7, 1),
    "asrm": plain(0, 4, 5, 1),
    "madrs": plain(0, 6, 10),
    "sows": plain(0, 4, 16, 1),
    "cadss": plain(0, 4, 23),
    "pcl5": plain(0, 4, 20),
    "icsi": plain(0, 5, 4),
    "hamd17": (HAMILTON, plain(0, 4, 17)[1]),
    "qidssr16": ([[0, 1, 2, 3]] * 16, qids),
    "gds15": ([YN] * 15, gds),
    "dast10": ([YN] * 10, dast),
    "shaps": ([["DA", "A", "D", "DD"]] * 14, shaps),
    "qlesqsf": ([[1, 2, 3, 4, 5]] * 16, quality),
    "wsas": ([list(range(9))] * 5, wsas),
    "who5": ([list(range(6))] * 5, lambda answers: None if None in answers else 4 * sum(answers)),
}


@pytest.mark.parametrize("name", MINE)
def test_totals_are_those_of_an_independent_scorer(name: str) -> None:
    allowed, total = MINE[name]
    dice = random.Random(name)
    for _ in range(300):
        gaps = dice.choice([0, 0, 0.05, 0.2])
        answers = [None if dice.random() < gaps else dice.choice(options) for options in allowed]
        assert adjunct.score(name, answers).total == total(answers), answers


# --- forms for others -------------------------------------------------------------------------------------------------

WITH_ITEMS = sorted(name for name in KNOWLEDGE.instruments if instrument(KNOWLEDGE, name).items)


@pytest.mark.parametrize("name", WITH_ITEMS)
def test_every_questionnaire_is_valid_r4_and_its_variables_can_be_named_in_fhirpath(name: str) -> None:
    known = instrument(KNOWLEDGE, name)
    made = questionnaire(known, labels=True)
    assert validate(json.dumps(made)) == []
    names = [e["valueExpression"]["name"] for e in made["extension"]]
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9]*", one) for one in names)


def test_a_form_shows_no_working_sums() -> None:
    made = questionnaire(instrument(KNOWLEDGE, "auditc"))
    assert [item["linkId"] for item in made["item"] if item.get("readOnly")] == ["total"]


@pytest.mark.parametrize("how", [{}, {"labels": True}, {"text": {}}])
def test_a_record_without_items_is_no_questionnaire(how: Any) -> None:
    with pytest.raises(BadInput, match="no form can be made of KSET"):
        questionnaire(instrument(KNOWLEDGE, "kset"), **how)


def test_a_refused_wording_never_calls_a_free_instrument_unfree() -> None:
    with pytest.raises(BadInput, match=r"may not be given out with Adjunct \(licence: free\)"):
        questionnaire(instrument(KNOWLEDGE, "who5"))


# --- tables -----------------------------------------------------------------------------------------------------------


def scored(tmp_path: Path, text: str, name: str = "phq9") -> list[str]:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["score", name, "--table", str(source), "--out", str(target)])
    if done.exception:
        raise done.exception
    return target.read_text(encoding="utf-8").splitlines()[1:]


def test_a_table_whose_header_names_the_items_is_read_by_name(tmp_path: Path) -> None:
    text = "id,i9,i8,i7,i6,i5,i4,i3,i2,i1\na,1,0,0,0,0,0,0,0,0\n\n"
    assert scored(tmp_path, text) == ["a,1,minimal,suicide_item,"]


def test_a_table_that_names_some_items_at_the_wrong_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the header names items"):
        scored(tmp_path, "id,i1,i2,i3,i4,i5,i6,i7,i9,x\na,0,0,0,0,0,0,0,1,0\n")


def test_a_first_line_of_answers_is_not_eaten_as_a_header(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="reads as answers"):
        scored(tmp_path, "a,1,2,1,0,2,1,0,0,1\nb,0,0,0,0,0,0,0,0,0\n")


def test_numbers_of_questions_are_a_header(tmp_path: Path) -> None:
    assert scored(tmp_path, "id,1,2,3,4,5,6,7,8,9\na,0,0,0,0,0,0,0,0,2\n") == ["a,2,minimal,suicide_item,"]


@pytest.mark.parametrize(("text", "name"), [("", "phq9"), ("id\na\n", "kset")])
def test_a_table_without_answers_is_refused_in_one_line(tmp_path: Path, text: str, name: str) -> None:
    with pytest.raises(BadInput, match=r"this table has 0|no answers that can be scored"):
        scored(tmp_path, text, name)
