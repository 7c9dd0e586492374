"""A FHIR QuestionnaireResponse -> the answers of one instrument. Nothing is guessed: what is not understood is said.

An instrument is recognised by the canonical of its Questionnaire (ours, or LOINC's for its panel), by the LOINC code of
its panel, or by the LOINC codes of its items. Where a system sends no codes, an item whose wording is the publisher's
own counts as coded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from adjunct.instruments.answers import Gap, read_answer
from adjunct.instruments.model import Instrument, Item
from adjunct.instruments.reading import instrument as find
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold

QUESTIONNAIRE = "urn:adjunct:questionnaire"
ITEM = "urn:adjunct:item"
ANSWER = "urn:adjunct:answer"
OWN_FORMS = tuple(f"{QUESTIONNAIRE}:{name}" for name in ("check-in", "safety-plan", "request"))  # no instruments
SUICIDE = "suicide"  # the level of such an alert
NOT_APPLICABLE = "na"
WHOLE = ""  # in place of a linkId: the Questionnaire itself
LOINC = "http://loinc.org"
ORDINAL = ("/ordinalValue", "/itemWeight", "/questionnaire-ordinalValue")
_CODE = re.compile(r"(?<![0-9-])\d{1,7}-\d(?![0-9-])")
_LAST_CODE = re.compile(r"(?:^|[^0-9-])(\d{1,7}-\d)(?:[._]\d{1,3})?$")  # perhaps with the number of a repetition
_LOINC_FORM = re.compile(r"https?://loinc\.org/(?:(?:q|vs)/)?(\d{1,7}-\d)")
_NUMBERED = re.compile(
    r"(?P<n>\d{1,3})\s*[-\u2013=:.)]\s*(?P<words>\D.*)|(?P<before>\D[^(]*)\(\s*(?:\+\s*)?(?P<points>\d{1,3})\s*\)",
    re.DOTALL,
)  # linear in the length of what was sent

Json = Mapping[str, Any]
CodesByLink = Mapping[str, frozenset[str]]  # LOINC codes that the Questionnaire in the record gives its items


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What somebody answered, by item id.

    `strange`: linkIds whose answer cannot be read as one of this instrument, `unread`: the ids of such items, `others`:
    further answers to an item that was answered twice, `links`: the linkIds that are an item or a score of it.
    """

    given: Mapping[str, object]
    strange: tuple[str, ...]
    stated: Mapping[str, float]  # scores that the sender wrote down, by score id
    version: str  # of our own Questionnaire, as the canonical says it; empty where it does not
    others: tuple[tuple[str, object], ...] = ()
    unread: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """The instruments that a response answers. `named`: those that it names itself; `partly`: not all was asked."""

    whole: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()


def recognised(response: Json, knowledge: Knowledge, codes_by_link: CodesByLink) -> Recognised:
    """Which instruments this response answers: several may stand in one form, and PHQ-2 is part of PHQ-9.

    By the codes of items alone, every scored item must stand in the response; where most do, the instrument is only
    `partly` there, and no total can be made of it. Two instruments with the same items are neither.
    """
    url = _canonical(response)[0]
    if url.startswith(QUESTIONNAIRE + ":"):
        found = url.removeprefix(QUESTIONNAIRE + ":")
        return Recognised(whole=(found,), named=(found,)) if found in knowledge.instruments else Recognised()
    items = list(_items(response))
    asked = {code for item in items for code in codes_of(item, knowledge, codes_by_link)}
    panel = _LOINC_FORM.fullmatch(url)
    panels = {code for item in items for code in _CODE.findall(str(item.get("linkId", "")))} | asked
    panels |= codes_by_link.get(WHOLE, frozenset()) | ({panel[1]} if panel else set())
    wanted = _codes_of_items(knowledge)
    titled = {name for name, code in _panels(knowledge).items() if code in panels}
    whole = titled | {name for name, codes in wanted.items() if codes <= asked}
    partly = {n for n, codes in wanted.items() if n not in whole and len(codes & asked) > len(codes - asked)}

    def within_another(name: str) -> bool:
        return any(wanted[name] <= wanted.get(other, frozenset()) for other in (whole | partly) - {name})

    kept = [n for n in knowledge.instruments if n in titled or (n in whole | partly and not within_another(n))]
    return Recognised(
        whole=tuple(n for n in kept if n in whole),
        named=tuple(n for n in kept if n in titled),
        partly=tuple(n for n in kept if n in partly),
    )


def answers_from(instrument: Instrument, response: Json, codes_by_link: CodesByLink) -> Answers:
    """The answers by item id. An item asked twice with different answers is strange, and so unknown."""
    entries = {e["id"]: e for e in instrument.raw.get("item", ())}
    by_code = {e["loinc"]: i for i, e in entries.items() if "loinc" in e}
    by_text = {_letters(e["text"]): i for i, e in entries.items() if e.get("text")}
    items = {item.id: item for item in instrument.items}
    scores = {step.id: step for plan in instrument.plans.values() for step in plan.steps}
    total = instrument.raw.get("loinc", {}).get("total", "")
    url, version = _canonical(response)
    ours = not url or url.startswith(QUESTIONNAIRE + ":")  # the linkIds of another form may be named like our items
    given: dict[str, object] = {}
    stated: dict[str, float] = {}
    strange: list[str] = []
    others: list[tuple[str, object]] = []
    unread, links = set[str](), set[str]()
    for item in _items(response):
        link = str(item.get("linkId", ""))
        codes = _codes(item, codes_by_link)
        answers = [a for a in _listed(item.get("answer")) if isinstance(a, Mapping)]
        own = _own(link, instrument.id) if ours or link.rpartition("/")[2].startswith(f"{instrument.id}.") else ""
        known = next((by_code[c] for c in codes if c in by_code), "")
        name = own if own in items else known or by_text.get(_letters(str(item.get("text") or "")), "")
        if not name:
            score = own if own in scores else "total" if total in codes else ""
            value = _plain(answers[0]) if score and answers else None
            if score:
                links.add(link)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                stated[score] = float(value)
            continue
        links.add(link)
        read = [_answer(a, items[name], instrument) for a in answers]
        values = {repr(v): v for v in read if v is not None}
        if None in read or any(not readable(items[name], v) for v in values.values()):
            unread.add(name)
        if name in given and values and repr(given[name]) not in values:
            values |= {repr(given[name]): given[name]}
        if len(values) > 1 or (answers and not values):
            strange.append(link)
            others += ((name, value) for value in values.values())
            given[name] = f"not understood ({len(values)} answers)" if values else "not understood"
        elif values:
            given[name] = next(iter(values.values()))
    return Answers(
        given=given,
        strange=tuple(strange),
        stated=stated,
        version=version if url.startswith(QUESTIONNAIRE + ":") else "",
        others=tuple(others),
        unread=frozenset(unread),
        links=frozenset(links),
    )


def suicide_items(instrument: Instrument) -> frozenset[str]:
    """The items whose answers may raise an alert of suicide."""
    alerts = (alert for plan in instrument.plans.values() for alert in plan.alerts if alert.level == SUICIDE)
    return frozenset(name for alert in alerts for _, name in alert.when.asks) & {i.id for i in instrument.items}


def readable(item: Item, answer: object) -> bool:
    """Whether this is one of the item's answers, or none at all. A plain no is one, whatever the item counts."""
    value = read_answer(item, answer)
    if value is Gap.REFUSED:
        return isinstance(answer, str) and fold(answer) == "no"
    if isinstance(value, Gap):
        return True
    return value in item.allowed if item.allowed else item.least <= value <= item.most


def _answer(answer: Json, item: Item, instrument: Instrument) -> object | None:
    """One answer as something the instrument reads: a value, a word, a code; None if it holds none of them.

    A code of another system, the words beside it and the points that it counts must not contradict each other.
    """
    value = _plain(answer)
    if isinstance(value, str):
        found = in_words(value, item)
        return value if found is None else found
    if value is not None:
        return value
    coding = answer.get("valueCoding")
    if not isinstance(coding, Mapping):
        return None
    code, display = str(coding.get("code", "")), coding.get("display")
    if code == NOT_APPLICABLE and coding.get("system") == ANSWER:
        return NOT_APPLICABLE
    known = fold(code) in item.spelled
    if coding.get("system") == f"{ANSWER}:{instrument.id}.{item.id}" or (known and coding.get("system") == LOINC):
        return code
    said = {_points(coding, answer, item), in_words(display, item) if isinstance(display, str) else None} - {None}
    said |= {item.spelled[fold(code)]} if known else set()
    return next(iter(said)) if len(said) == 1 else None


def _points(coding: Json, answer: Json, item: Item) -> float | None:
    """An ordinal says what the answer counts; what was written is the value that counts so much."""
    for holder in (coding, answer):
        for extension in _listed(holder.get("extension")):
            if isinstance(extension, Mapping) and str(extension.get("url", "")).endswith(ORDINAL):
                points = extension.get("valueDecimal", extension.get("valueInteger"))
                return next((v for v, p in zip(item.allowed, item.points, strict=True) if p == points), None)
    return None


def in_words(text: str, item: Item) -> float | None:
    """The value whose words these are, also with its number before or after them: "1 - Several days"."""
    plain = fold(text)
    if plain in item.spelled:
        return item.spelled[plain]
    numbered = _NUMBERED.fullmatch(plain)
    if numbered is None:
        return None
    value = item.spelled.get(fold(numbered["words"] or numbered["before"]))
    return value if value is not None and value == float(numbered["n"] or numbered["points"]) else None


def _plain(answer: Json) -> object | None:
    for key in ("valueInteger", "valueDecimal", "valueString"):
        found: object = answer.get(key)
        if found is not None and not isinstance(found, bool):
            return found
    truth, clock, quantity = (answer.get(key) for key in ("valueBoolean", "valueTime", "valueQuantity"))
    if isinstance(truth, bool):
        return "yes" if truth else "no"
    if isinstance(clock, str):
        return clock[: len("23:00")]
    if not isinstance(quantity, Mapping) or "comparator" in quantity:
        return None
    amount: object = quantity.get("value")
    return amount


# --- what an item is --------------------------------------------------------------------------------------------------


def codes_of(item: Json, knowledge: Knowledge, codes_by_link: CodesByLink) -> frozenset[str]:
    """The LOINC codes of an item: from its Questionnaire, its linkId or definition, or by the publisher's wording."""
    return _codes(item, codes_by_link) | worded(knowledge, str(item.get("text") or ""))


def worded(knowledge: Knowledge, text: str) -> frozenset[str]:
    """The LOINC codes of the items with this wording; empty if there is none."""
    return _wordings(knowledge).get(_letters(text), frozenset())


@cache
def item_of(knowledge: Knowledge, concept: str) -> Item | None:
    """The item of an instrument that a concept of the record stands for."""
    for name, entry in knowledge.instruments.items():
        for number, item in enumerate(entry.get("item", ())):
            if item.get("concept") == concept:
                return find(knowledge, name).items[number]
    return None


@cache
def _wordings(knowledge: Knowledge) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for entry in knowledge.instruments.values():
        for item in entry.get("item", ()):
            if item.get("text") and item.get("loinc"):
                key = _letters(item["text"])
                found[key] = found.get(key, frozenset()) | {item["loinc"]}
    return found


@cache
def _codes_of_items(knowledge: Knowledge) -> Mapping[str, frozenset[str]]:
    """For each instrument whose scored items all have one: their LOINC codes."""
    found = {}
    for name, entry in knowledge.instruments.items():
        codes = [item.get("loinc", "") for item in entry.get("item", ()) if not item.get("extra")]
        if codes and all(codes):
            found[name] = frozenset(codes)
    return found


@cache
def _panels(knowledge: Knowledge) -> Mapping[str, str]:
    """The LOINC code of each instrument as a whole, where it is of this one only."""
    found = {n: e["loinc"]["panel"] for n, e in knowledge.instruments.items() if e.get("loinc", {}).get("panel")}
    codes = list(found.values())
    return {name: code for name, code in found.items() if codes.count(code) == 1}


def _letters(text: str) -> str:
    """Wording without what differs from form to form: capitals, numbering, punctuation."""
    return "".join(letter for letter in text.casefold() if letter.isalpha())


def _own(link: str, instrument: str) -> str:
    """Our linkIds are item ids; elsewhere they may stand behind the instrument's name or a path."""
    tail = link.rstrip("/").rpartition("/")[2]
    return tail.removeprefix(f"{instrument}.")


def _codes(item: Json, codes_by_link: CodesByLink) -> frozenset[str]:
    link = str(item.get("linkId", ""))
    definition = str(item.get("definition") or "")
    places = (link, definition if "loinc" in definition.casefold() else "")
    found = (_LAST_CODE.search(place.rstrip("/").rpartition("/")[2]) for place in places)
    coded = codes_by_link.get(link, frozenset()) if link != WHOLE else frozenset()
    return coded | {match[1] for match in found if match}


def _canonical(response: Json) -> tuple[str, str]:
    url, _, version = str(response.get("questionnaire") or "").partition("|")
    return url, version


def _items(holder: Json) -> Iterator[Json]:
    for item in _listed(holder.get("item")):
        if isinstance(item, Mapping):
            yield item
            yield from _items(item)
            for answer in _listed(item.get("answer")):
                if isinstance(answer, Mapping):
                    yield from _items(answer)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
