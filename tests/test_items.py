"""What people write about medicines -> an item: a table that a pharmacist can read, and properties of every text.

How to read a row of `cases/product_strings.csv`: an empty cell is not tested; `none` means that nothing may be read;
`a/b` means that either is right; a substance after `!` (several with `;`) is what it must not be read as; `candidates`
must all be offered. Amounts are one administration, `per_day` is administrations a day.
"""

from __future__ import annotations

import contextlib
import csv
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import DamerauLevenshtein

from adjunct.base import BadInput
from adjunct.items import Dose, Item, Reader
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.record import reader_of

TABLE = Path(__file__).parent / "cases" / "product_strings.csv"
with TABLE.open(encoding="utf-8", newline="") as opened:
    ROWS = list(csv.DictReader(opened))
LONGEST_ID = 70
MATCHES = {"known", "unknown", "ambiguous"}
STATUSES = {"current", "stopped", "not-taken", "allergy", "planned"}
TYPOS = 2  # letters that a correction may change in a whole word
CONTROL = [chr(n) for n in (0, 7, 8, 27, 127, 144)]

PIECES = (
    "no not never stopped my mother takes allergic to sertraline lithium kratom powder 5g 7-OH 2-3 mg ½ , ( ) / 1-0-1 "
    "3x daily prn cada 8 horas fois par jour nehme kein mehr ago weeks K Special Tylenol PM tablet x"
).split()

printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=300)
letters = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=14)


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


@pytest.fixture(scope="module")
def reader(knowledge: Knowledge) -> Reader:
    return reader_of(knowledge)


@pytest.fixture(scope="module")
def names(knowledge: Knowledge) -> Mapping[str, set[str]]:
    """Every name, folded -> the substances it may stand for."""
    found: dict[str, set[str]] = {}
    for row in knowledge.content["names"]:
        found.setdefault(fold(row["text"]), set()).add(row["substance"])
    for substance in knowledge.substances.values():
        found.setdefault(fold(substance.name), set()).add(substance.id)
        found.setdefault(substance.id, set()).add(substance.id)
    return found


# --- the table --------------------------------------------------------------------------------------------------------


def words_agree(cell: str, value: str | None) -> bool:
    if cell.startswith("!"):
        return (value or "none") not in cell.removeprefix("!").split(";")
    return (value or "none") in cell.split("/")


def numbers_agree(cell: str, value: float | None) -> bool:
    if cell == "none" or value is None:
        return cell == "none" and value is None
    return value == pytest.approx(float(cell), rel=1e-4)


def agrees(column: str, cell: str, value: Any) -> bool:
    if column in ("match", "substance", "status"):
        return words_agree(cell, value)
    if column == "unit":  # a slash belongs to the unit
        return bool(cell == value)
    return numbers_agree(cell, value)


def differences(row: Mapping[str, str], item: Item) -> dict[str, str]:
    """Column -> `read, expected`, for the cells of this row that are tested and differ."""
    dose = item.dose or Dose()
    read: dict[str, Any] = {
        "match": item.match,
        "substance": item.substance,
        "status": item.status,
        "unit": dose.unit,
        "low": dose.low,
        "high": dose.high,
        "per_day_low": dose.per_day_low,
        "per_day_high": dose.per_day_high,
    }
    wrong = {
        column: f"{value}, expected {row[column]}"
        for column, value in read.items()
        if row[column] and not agrees(column, row[column], value)
    }
    offered = {item.substance, *item.candidates}
    if missing := [c for c in row["candidates"].split(";") if c and c not in offered]:
        wrong["candidates"] = f"{sorted(item.candidates)}, missing {missing}"
    return wrong


@pytest.mark.parametrize("row", ROWS, ids=[row["text"][:LONGEST_ID] or "(empty)" for row in ROWS])
def test_a_pharmacist_would_read_it_so(reader: Reader, row: Mapping[str, str]) -> None:
    item = reader.read(row["text"])
    assert item.text == row["text"]
    assert differences(row, item) == {}, row["note"]


def test_the_table_is_large_and_a_third_of_it_hostile() -> None:
    hostile = [row for row in ROWS if row["hostile"] == "yes"]
    assert len(ROWS) >= 300
    assert len(hostile) * 3 >= len(ROWS)
    assert len({row["text"] for row in ROWS}) == len(ROWS), "a text twice"


def test_the_table_speaks_of_what_exists(knowledge: Knowledge) -> None:
    for row in ROWS:
        asked = row["substance"].removeprefix("!").replace("/", ";").replace("+", ";").split(";")
        ids = {s for s in [*asked, *row["candidates"].split(";")] if s not in ("", "none")}
        assert ids <= set(knowledge.substances), row["text"]
        assert {*row["match"].split("/")} <= {*MATCHES, ""}, row["text"]
        assert {*row["status"].split("/")} <= {*STATUSES, ""}, row["text"]
        assert row["hostile"] in ("yes", "no"), row["text"]


# --- when it was last taken, and only if needed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("kratom powder 5 g, 3 hours ago", (3, 3)),
        ("stopped fluoxetine 3 weeks ago", (504, 504)),
        ("Xanax 1 mg, last dose 2 days ago", (48, 48)),
        ("lorazepam 1 mg hace 6 horas", (6, 6)),
        ("kratom en poudre il y a 4 heures", (4, 4)),
        ("Lorazepam vor 2 Tagen", (48, 48)),
        ("kratom powder 2-3 hours ago", (2, 3)),
        ("zolpidem last taken yesterday", (24, 24)),
    ],
)
def test_the_last_use_lies_within_the_hours_read(reader: Reader, text: str, hours: tuple[int, int]) -> None:
    low, high = reader.read(text).last_use_h or (None, None)
    assert low is not None
    assert high is not None
    assert 0 <= low <= hours[0] <= hours[1] <= high


@pytest.mark.parametrize("text", ["sertraline 50 mg", "kratom powder 5 g 3x/day", "stopped Zoloft", "7-OH 15 mg"])
def test_a_last_use_is_not_made_up(reader: Reader, text: str) -> None:
    assert reader.read(text).last_use_h is None


@pytest.mark.parametrize(
    "text",
    [
        "lorazepam 1 mg prn",
        "ibuprofen 400 mg as needed",
        "lorazepam 1 mg si es necesario",
        "Temesta 1 mg si besoin",
        "Tavor 0,5 mg bei Bedarf",
    ],
)
def test_as_needed_is_read(reader: Reader, text: str) -> None:
    assert reader.read(text).as_needed


@pytest.mark.parametrize("text", ["sertraline 50 mg daily", "lithium 300 mg tid", "Sertralin 50 mg 1-0-1"])
def test_a_regular_medicine_is_not_as_needed(reader: Reader, text: str) -> None:
    assert not reader.read(text).as_needed


@pytest.mark.parametrize(("written", "meant"), [("sertaline 50 mg", "sertraline"), ("lithuim 300 mg", "lithium")])
def test_a_corrected_spelling_shows_the_name_read(reader: Reader, written: str, meant: str) -> None:
    item = reader.read(written)
    assert item.match == "known"
    assert fold(item.read_as or "") == meant


# --- any text ---------------------------------------------------------------------------------------------------------


def coherent(item: Item) -> bool:
    """What every item promises, whatever was written."""
    dose = item.dose
    low_to_high = dose is None or all(
        low is None or high is None or 0 <= low <= high
        for low, high in ((dose.low, dose.high), (dose.per_day_low, dose.per_day_high))
    )
    named = (item.substance is not None and item.substance != "") == (item.match == "known")
    several = item.match != "ambiguous" or len(item.candidates) > 1
    return low_to_high and named and several and item.match in MATCHES and item.status in STATUSES


@given(text=printable)
def test_printable_text_never_fails_and_is_kept_as_written(reader: Reader, text: str) -> None:
    item = reader.read(text)
    assert item.text == text
    assert coherent(item)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=120))
def test_only_control_characters_are_refused(reader: Reader, text: str) -> None:
    try:
        assert reader.read(text).text == text
    except BadInput:
        assert any(unicodedata.category(c)[0] == "C" or c in "\u2028\u2029" for c in text)


@pytest.mark.parametrize("control", CONTROL, ids=ascii)
@pytest.mark.parametrize("around", ["{}", "{}sertraline 50 mg", "sertra{}line", "sertraline 50 mg{}"])
def test_a_control_character_is_bad_input(reader: Reader, around: str, control: str) -> None:
    with pytest.raises(BadInput):
        reader.read(around.format(control))


@given(
    glue=st.sampled_from(["", " "]),
    parts=st.lists(
        st.sampled_from(PIECES),
        max_size=9,
    ),
)
def test_phrases_in_any_order_are_read(reader: Reader, glue: str, parts: Sequence[str]) -> None:
    text = glue.join(parts)
    item = reader.read(text)
    assert coherent(item)
    assert reader.read(item.text) == item


@given(text=printable)
def test_reading_twice_gives_the_same(reader: Reader, text: str) -> None:
    once = reader.read(text)
    assert reader.read(once.text) == once


@given(word=letters)
def test_random_letters_are_known_only_as_a_name(reader: Reader, names: Mapping[str, set[str]], word: str) -> None:
    item = reader.read(word)
    if item.match == "known":
        shown = fold(item.read_as or word)
        assert shown in names, f"{word!r} was read as {item.read_as!r}, which is no name"
        assert names[shown] == {item.substance}
        assert DamerauLevenshtein.distance(fold(word), shown) <= TYPOS


@given(word=st.text("bcdfghjklmnpqrstvwxz", min_size=1, max_size=2))
def test_one_or_two_letters_alone_are_never_known(reader: Reader, word: str) -> None:
    assert reader.read(word).match != "known"


@given(row=st.sampled_from(ROWS), blanks=st.sampled_from([" ", "  "]))
def test_blanks_around_a_text_change_nothing_but_the_text(reader: Reader, row: Mapping[str, str], blanks: str) -> None:
    bare, padded = reader.read(row["text"]), reader.read(f"{blanks}{row['text']}{blanks}")
    assert (bare.match, bare.substance, bare.dose, bare.status) == (
        padded.match,
        padded.substance,
        padded.dose,
        padded.status,
    )


@pytest.mark.parametrize(
    "text", ["sertraline " * 10_000, "a" * 100_000, "1-" * 50_000, "(" * 100_000], ids=["names", "a", "1-", "("]
)
def test_a_very_long_text_is_answered_or_refused(reader: Reader, text: str) -> None:
    with contextlib.suppress(BadInput):
        assert reader.read(text).text == text
