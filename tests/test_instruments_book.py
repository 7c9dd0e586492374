"""The page of the instruments: all are on it, no wording that may not be shipped, and the numbers of the engine."""

from __future__ import annotations

import re
from functools import cache

import pytest

from adjunct.instruments.change import reliable_change_index
from adjunct.knowledge import Knowledge
from adjunct.knowledge.book.instruments import _how, _words, instruments, reliable_index

PARTS = re.compile(r'^## <a id="instrument-([a-z0-9]+)"></a>', re.MULTILINE)


@cache
def knowledge() -> Knowledge:
    return Knowledge.load()


@cache
def written() -> str:
    return instruments(knowledge())


@cache
def parts() -> dict[str, str]:
    pieces = PARTS.split(written())
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_every_instrument_has_its_part_and_its_row() -> None:
    assert set(parts()) == set(knowledge().instruments)
    for name in knowledge().instruments:
        assert written().count(f"](#instrument-{name}) | `{name}` |") == 1


def test_the_same_knowledge_gives_the_same_page() -> None:
    assert instruments(Knowledge(knowledge().content)) == written()


@pytest.mark.parametrize("name", sorted(Knowledge.load().instruments))
def test_the_wording_of_the_publisher_is_not_repeated(name: str) -> None:
    entry = knowledge().instruments[name]
    labels = {item["label"] for item in entry.get("item", ())}
    for item in entry.get("item", ()):
        if "text" in item and item["text"] not in labels:
            assert item["text"] not in parts()[name]


@pytest.mark.parametrize("name", sorted(Knowledge.load().instruments))
def test_nothing_of_an_instrument_is_left_out(name: str) -> None:
    entry, part = knowledge().instruments[name], parts()[name]
    for item in entry.get("item", ()):
        assert f"| `{item['id']}` |" in part
    for alert in entry.get("alert", ()):
        assert f"| `{alert['id']}`" in part
    for band in entry.get("band", ()):
        assert f"| {band['name'].replace('>', chr(92) + '>').replace('<', chr(92) + '<')}" in part
    for change in entry.get("change", ()):
        points = change.get("points", change.get("percent"))
        if change["kind"] == "reliable":
            points = reliable_change_index(change["sd"], change["r"], knowledge().number("outcome.reliable.z"))
        assert f"{round(points, 2):g}" in part
    for cited in entry["sources"]:
        assert f"`{cited['id']}`" in part
    if "notice" in entry["licence"]:
        assert "**Notice to show:**" in part


def test_reliable_and_important_change_stand_apart() -> None:
    part = parts()["phq9"]
    reliable, important = part.index("**Reliable change**"), part.index("**Important difference**")
    assert "| 5.5 | 0.737 | retest | 7.82 points |" in part[reliable:important]
    assert "1.7 points or 20 %" in part[important:]
    assert "1.7 points" not in part[reliable:important]


def test_the_index_is_that_of_the_engine() -> None:
    assert reliable_index(5.5, 0.84, 1.96) == pytest.approx(reliable_change_index(5.5, 0.84, 1.96))


def test_answers_are_shown_in_our_own_words_and_with_what_they_count() -> None:
    assert "0 Alert and calm: attends to people unasked" in parts()["rass"]
    assert "3 disagree (counts 1)" in parts()["shaps"]
    assert "| 0 to 3; 3 (counts 0) |" in parts()["hamd17"]
    assert "| 0 to 7; 0 (not assessed) |" in parts()["cgi"]
    assert "| 0, 1, 3, 5 |" in parts()["cows"]


def test_what_stays_proposed_is_said() -> None:
    assert "alert suicide\\_item" in parts()["phq9"].rsplit("**Stays proposed:**", 1)[1]
    assert "the scoring itself" in parts()["kds"].rsplit("**Stays proposed:**", 1)[1]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("total >= 20", "`total` is 20 or more"),
        ("total > 4 and total <= 9", "`total` is above 4 and `total` is 9 or less"),
        ("not answered(q1) or missing(q2)", "not (`q1` is answered) or `q2` is missing"),
        ("stop >= 2 and (yes(male) or na(bmi))", "`stop` is 2 or more and (`male` is yes or `bmi` does not apply)"),
        ("answered(q4) and yes(q4) or answered(q5) and no(q5)", "`q4` is yes or `q5` is no"),
        ("answered(q4) and yes(q5)", "`q4` is answered and `q5` is yes"),
        ("total == 0 and x != 1 and y < -2", "`total` is 0 and `x` is not 1 and `y` is below -2"),
    ],
)
def test_a_condition_is_said_in_words(condition: str, words: str) -> None:
    assert _words(condition) == words


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"how": "sum", "of": ["a"]}, "`a`, `b` added up"),
        ({"how": "count", "of": ["a"], "least": 2}, "how many of `a`, `b` are 2 or more"),
        ({"how": "linear", "of": ["a"], "times": 100, "plus": -1400, "over": 56}, "(`a`, `b` x 100 - 1400) / 56"),
        ({"how": "share", "of": ["a", "b"]}, "`a` in per cent of `b`"),
        ({"how": "hours", "of": ["a", "b"]}, "hours from `a` to `b`, across midnight"),
        ({"how": "bins", "of": ["a"], "bins": [[0, 0], [15, 1, True]]}, "by `a`, `b`: from 0: 0, above 15: 1"),
        ({"how": "table", "of": ["a"], "table": [[8, 38.2]]}, "`a`, `b` looked up: 8=38.2"),
        ({"how": "copy", "of": ["a"]}, "`a`, `b` as it stands"),
    ],
)
def test_a_step_of_scoring_is_said_in_words(step: dict[str, object], words: str) -> None:
    assert _how(step, "`a`, `b`", {"choice"}) == words
