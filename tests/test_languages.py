"""Texts for persons exist in every language, with the same places, and numbers are written as each language does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from adjunct.base import BadInput
from adjunct.knowledge import Knowledge
from adjunct.sheet import LANGUAGES, day, language, line, moment

KNOWLEDGE = Knowledge.load()
# Tables of reading, not of telling: words by which a person's own text is understood, in whatever language it is.
READ_NOT_SAID = ("phrases", "lexicons", "names", "wording")
# Read by staff, in the shape of what persons read.
STAFF = ("outgoing.message.worklist.",)
PLACE = re.compile(r"\{[a-z0-9_.-]+\}")


def texts(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every table of a knowledge base that has a text for an English reader, with its place."""
    if isinstance(value, Mapping):
        if isinstance(value.get("en"), str):
            yield ".".join(where), value
        elif isinstance(value.get("en"), Mapping):  # a table of texts for each language
            for key, text in value["en"].items():
                spoken = {code: value[code].get(key) for code in LANGUAGES if code in value}
                yield from texts(spoken if isinstance(text, str) else {}, (*where, key))
        for key, inner in value.items():
            yield from texts(inner, (*where, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            name = inner.get("id", number) if isinstance(inner, Mapping) else number
            yield from texts(inner, (*where, str(name)))


def untranslated(content: Mapping[str, Any]) -> list[str]:
    """What a reader of another language would miss, or would read with another number in it."""
    found = []
    for name in content.keys() - set(READ_NOT_SAID):
        for where, table in texts(content[name], (name,)):
            if where.startswith(STAFF):
                continue
            for code in LANGUAGES:
                text = table.get(code)
                if not isinstance(text, str) or not text.strip():
                    found.append(f"{where}: no text in {code}")
                elif sorted(PLACE.findall(text)) != sorted(PLACE.findall(table["en"])):
                    found.append(f"{where}: other places in {code} than in en")
    return sorted(found)


def test_every_text_for_a_person_is_there_in_every_language_with_the_same_places() -> None:
    assert untranslated(KNOWLEDGE.content) == []
    assert sum(1 for name in KNOWLEDGE.content for _ in texts(KNOWLEDGE.content[name], (name,))) > 50


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"en": "Wait {a.b}."}, "x.t: no text in es"),
        ({"en": "Wait {a.b}.", "es": " "}, "x.t: no text in es"),
        ({"en": "Wait {a.b}.", "es": "Espere."}, "x.t: other places in es than in en"),
        ({"en": "{a} or {a}", "es": "{a}"}, "x.t: other places in es than in en"),
    ],
)
def test_the_lint_sees_what_is_missing(table: dict[str, str], fault: str) -> None:
    assert untranslated({"x": [{"id": "t", "says": table}]}) == [f"x.t.says{fault.removeprefix('x.t')}"]
    by_language = {code: {"says": text} for code, text in table.items()}
    assert untranslated({"x": [{"id": "t", **by_language}]}) == [f"x.t.says{fault.removeprefix('x.t')}"]


def test_no_text_says_the_same_in_both_languages() -> None:
    """A copy of the English text is no translation; what is a name or a bare place may be the same."""
    same = [
        where
        for name in KNOWLEDGE.content.keys() - set(READ_NOT_SAID)
        for where, table in texts(KNOWLEDGE.content[name], (name,))
        if table["en"] == table.get("es") and re.search(r"[a-z]{3}.* .*[a-z]{3}", PLACE.sub("", table["en"]))
    ]
    assert same == []


# --- numbers and units ------------------------------------------------------------------------------------------------


def with_fact(value: Any, unit: str) -> Knowledge:
    fact = {**KNOWLEDGE.content["facts"][0], "id": "a.b", "value": value, "unit": unit}
    return Knowledge({**KNOWLEDGE.content, "facts": [fact], "rules": []})


@pytest.mark.parametrize(
    ("value", "unit", "english", "spanish"),
    [
        (24, "h", "24 hours", "24 horas"),
        (1, "h", "1 hour", "1 hora"),
        (1, "d", "1 day", "1 día"),
        (0.5, "h", "0.5 hours", "0,5 horas"),
        ([1, 2], "wk", "1–2 weeks", "1–2 semanas"),
        (1500, "mg/d", "1500 mg a day", "1500 mg al día"),
        (160, "mm[Hg]", "160 mm Hg", "160 mm Hg"),
        (3, "{score}", "3", "3"),
        (0.5, "mg/kg", "0.5 mg/kg", "0,5 mg/kg"),
    ],
)
def test_a_fact_is_written_as_the_language_writes_it(value: Any, unit: str, english: str, spanish: str) -> None:
    knowledge = with_fact(value, unit)
    assert knowledge.fact_text("a.b") == english
    assert knowledge.fact_text("a.b", "es") == spanish
    assert knowledge.say("Espere {a.b}, {n}.", "es", n="Ana") == f"Espere {spanish}, Ana."


@pytest.mark.parametrize("table", ["unit_display", "unit_display_one"])
def test_every_unit_word_exists_in_both_languages(table: str) -> None:
    units = KNOWLEDGE.content["knowledge"]
    assert units[table].keys() == units[f"{table}_es"].keys()
    assert KNOWLEDGE.content["knowledge"]["decimal_sign"].keys() == set(LANGUAGES)


def test_a_word_may_be_called_language() -> None:
    assert KNOWLEDGE.say("in {language}", "es", language="Spanish") == "in Spanish"


# --- lines, days ------------------------------------------------------------------------------------------------------


def test_a_line_is_in_the_language_or_in_english_and_says_so() -> None:
    knowledge = with_fact(1, "d")
    both = {"en": "Wait {a.b}.", "es": "Espere {a.b}."}
    assert (line(both, "es", knowledge).text, line(both, "es", knowledge).language) == ("Espere 1 día.", "es")
    only = line({"en": "Wait {a.b}."}, "es", knowledge)
    assert (only.text, only.language) == ("Wait 1 day.", "en")  # English words with English units


def test_a_language_without_pages_is_refused() -> None:
    assert language("es") == "es"
    with pytest.raises(BadInput, match=r"no pages in the language 'fr'; there are en, es \(at --language\)"):
        language("fr")


@pytest.mark.parametrize(
    ("zone", "code", "expected"),
    [
        ("America/Chicago", "en", "Monday 11 January 2027, 09:30"),
        ("America/Chicago", "es", "lunes 11 de enero de 2027, 09:30"),
        ("Asia/Tokyo", "en", "Tuesday 12 January 2027, 00:30"),
    ],
)
def test_a_moment_is_told_in_words_and_in_the_zone(zone: str, code: str, expected: str) -> None:
    assert moment(1_799_681_400_000, zone, code) == expected
    assert day(1_799_681_400_000, zone, code) == expected.rpartition(",")[0]
