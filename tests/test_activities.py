"""What the articles advise has a door that exists; what an activity says stays within its evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from adjunct.cli import app
from adjunct.knowledge import load
from adjunct.knowledge.book.activities import DOOR, doors
from adjunct.knowledge.language import parse
from adjunct.knowledge.lint import overstated, unfilled
from bundles import knowledge

SOURCE = Path(load.HERE).parent
ARTICLES = [row for row in knowledge().content["claims"] if row["kind"] == "activity"]
OWN = knowledge().selfcare
DATA = knowledge().content["routine"]
NUMBERS = [re.compile(entry["pattern"]) for entry in knowledge().content["knowledge"]["lint_numbers"]["allow"]]
SHEETS = frozenset({"preparation", "aftercare", "consent", "escort", "handover", "care-plan", "report", "routine"})
# What the articles name, and the activity in which it is found.
NAMED = {
    "rest": "rest", "hydration": "drink", "herbal tea, electrolytes": "drink", "antioxidants": "food",
    "balanced diet": "food", "walking": "walk", "stretching, yoga": "stretch-yoga", "exercise": "vigorous",
    "strength": "strength", "journaling": "journal", "meditation": "meditation", "deep breathing": "breathing",
    "calming music": "music-nature-art", "nature": "music-nature-art", "art": "music-nature-art",
    "loved ones": "time-with-others", "support groups": "support-group", "sleep": "sleep", "light": "light",
    "stress management": "stress-skills", "values": "gratitude-values", "alcohol": "alcohol-free",
    "monitoring mood and side effects": "mood-tracking", "transparency with the team": "tell-team",
    "therapy": "therapy-homework", "follow-up appointments": "follow-up-visit", "quality of life": "quality-of-life",
}  # fmt: skip
# Nothing multiplies ketamine; a sentence that puts such a word near it has to deny it.
PROMISE = re.compile(
    r"enhanc|boost|amplif|multipl|maximi|synerg|strengthens? (the|ketamine)|prolong|potenci|aument|refuerz|mejora",
    re.IGNORECASE,
)
KETAMINE = re.compile(r"ketamin", re.IGNORECASE)


@cache
def commands() -> frozenset[str]:
    return frozenset(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def exists(kind: str, name: str) -> bool:
    match kind:
        case "selfcare":
            return name in OWN
        case "protocol":
            return name in knowledge().protocols
        case "rule":
            return name in knowledge().rules
        case "instrument":
            return name in knowledge().instruments
        case "command":
            return name in commands()
    return name in SHEETS and any(f'"{name}"' in text for text in code())


@cache
def code() -> tuple[str, ...]:
    rooms = ("planning", "routine", "clinic", "documents", "followup")
    return tuple(p.read_text(encoding="utf-8") for room in rooms for p in (SOURCE / room).rglob("*.py"))


# --- the coverage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ARTICLES, ids=lambda row: row["claim_id"])
def test_every_activity_of_the_articles_has_doors_that_exist(row: dict[str, str]) -> None:
    found = doors(row["acts_on"])
    assert [kind for kind, _ in found if kind != "rule"], "a rule is no place where a person meets it"
    assert [door for door in found if not exists(*door)] == []


def test_what_is_left_for_later_is_only_the_treatment_day() -> None:
    later = {part.strip() for row in ARTICLES for part in row["acts_on"].split(";") if "later:" in part}
    assert later == {"later: session"}


def test_every_activity_has_a_row_of_the_articles_or_is_named_as_an_addition() -> None:
    added = {"light", "alcohol-free"}  # from the clinical protocol, not from the articles
    met = {name for row in ARTICLES for kind, name in doors(row["acts_on"]) if kind == "selfcare"}
    assert set(OWN) - met == added
    assert set(NAMED.values()) == set(OWN)


def test_the_page_lists_every_row_once_and_every_activity() -> None:
    from adjunct.knowledge.book import pages

    page = pages(knowledge())["activities.md"]
    assert [page.count(f"[`{row['claim_id']}`]") for row in ARTICLES] == [1] * len(ARTICLES)
    assert all(f'id="activity-{name}"' in page for name in OWN)


def test_a_door_is_read_from_its_row() -> None:
    assert doors("rule:a-b; later: plan; selfcare:walk; selfcare:walk") == (("selfcare", "walk"), ("rule", "a-b"))
    assert not exists("selfcare", "kratom")
    assert not exists("protocol", "no-such-course")
    assert DOOR.search("elsewhere:walk") is None


# --- what an activity says --------------------------------------------------------------------------------------------


def told(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """Every text for a person below a value, with its place."""
    if isinstance(value, dict) and set(value) == {"en", "es"}:
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from told(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from told(inner, f"{place}[{number}]")


TEXTS = [(f"{name}{place}", text) for name, entry in OWN.items() for place, text in told(dict(entry))]
TEXTS += [(f"routine{place}", text) for place, text in told(dict(DATA))]


def test_there_are_texts() -> None:
    assert len(TEXTS) > 300


@pytest.mark.parametrize(("place", "text"), TEXTS, ids=[place for place, _ in TEXTS])
def test_both_languages_have_the_same_places_and_no_number_of_their_own(place: str, text: dict[str, str]) -> None:
    places = [sorted(knowledge().places(text[code])) for code in ("en", "es")]
    assert places[0] == places[1], place
    for language in ("en", "es"):
        assert unfilled(text[language], NUMBERS) == []
        named = [p for p in knowledge().places(text[language]) if "." in p]
        assert [p for p in named if p not in knowledge().facts] == []


@pytest.mark.parametrize(("place", "text"), TEXTS, ids=[place for place, _ in TEXTS])
def test_no_text_promises_what_nobody_has_shown(place: str, text: dict[str, str]) -> None:
    for sentence in re.split(r"(?<=[.;])\s", f"{text['en']} {text['es']}"):
        near = KETAMINE.search(sentence) and PROMISE.search(sentence)
        assert not near, sentence
    grade = OWN[place.split(".")[0]]["grade"] if place.split(".")[0] in OWN else ""
    assert list(overstated(text["en"], grade, knowledge(), hedge=False)) == []


@pytest.mark.parametrize("name", sorted(OWN))
def test_an_activity_is_whole(name: str) -> None:
    entry = OWN[name]
    assert entry["file"] == f"selfcare/{name}.toml"
    facts = knowledge().facts
    minutes = [knowledge().number(step["minutes"]) for step in entry["step"]]
    assert minutes[0] == 5, "the ladder begins with a five-minute version"
    assert minutes == sorted(minutes)
    week = [m * knowledge().number(s["days"]) for m, s in zip(minutes, entry["step"], strict=True)]
    assert week == sorted(week), "a step up is never less in a week"
    assert all(facts[entry[key]].unit == "h" for key in ("start", "start_high") if key in entry)
    conditions = {c["id"] for c in DATA["condition"]}
    assert {limit["if"] for limit in entry.get("limit", ())} | set(entry.get("fits", ())) <= conditions
    cited = [entry["source"], *entry.get("also", ()), *(limit["source"] for limit in entry.get("limit", ()))]
    assert [s["id"] for s in cited if s["id"] not in knowledge().sources] == []
    for part in (entry, *entry.get("limit", ())):
        source = knowledge().sources[part["source"]["id"]]
        solid = source.kind not in ("project-default", "uncited") and source.read_as != "not-read"
        assert part["status"] == "proposed" or solid
    for place in knowledge().places(entry["clinician"]):
        assert place in facts


def test_every_condition_can_be_read_and_is_used() -> None:
    used = {limit["if"] for e in OWN.values() for limit in e.get("limit", ())}
    used |= {name for e in OWN.values() for name in e.get("fits", ())}
    assert {c["id"] for c in DATA["condition"]} == used
    for condition in DATA["condition"]:
        if "when" in condition:
            parse(condition["when"], knowledge().vocabulary, condition["id"])


def test_kratom_is_no_activity_and_nothing_is_said_for_it() -> None:
    assert not [name for name in OWN if "kratom" in name]
    for place, text in TEXTS:
        assert not re.search(r"kratom (dose|regimen|beside|with your)", text["en"], re.IGNORECASE), place
