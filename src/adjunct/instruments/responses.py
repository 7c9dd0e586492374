"""A FHIR QuestionnaireResponse -> the answers of one instrument. Nothing is guessed: what is not understood is said.

An instrument is recognised by the canonical of its Questionnaire, or by the LOINC codes of its items.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adjunct.instruments.model import Instrument, Item
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold

QUESTIONNAIRE = "urn:adjunct:questionnaire"
ITEM = "urn:adjunct:item"
ANSWER = "urn:adjunct:answer"
NOT_APPLICABLE = "na"
LOINC = "http://loinc.org"
ORDINAL = ("/ordinalValue", "/itemWeight", "/questionnaire-ordinalValue")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What somebody answered, by item id; `strange`: linkIds whose answer cannot be read as one of this instrument."""

    given: Mapping[str, object]
    strange: tuple[str, ...]
    stated: Mapping[str, float]  # scores that the sender wrote down, by score id
    version: str  # as the canonical says it; empty where it does not


def recognised(response: Json, knowledge: Knowledge, codes_by_link: Mapping[str, frozenset[str]]) -> str:
    """The id of the instrument that this response answers; empty if it is none, or may be two.

    `codes_by_link`: LOINC codes that the Questionnaire in the record gives its items. By codes alone, every scored item
    must stand in the response, and the largest such instrument counts: PHQ-2 is part of PHQ-9.
    """
    url = _canonical(response)[0]
    if url.startswith(QUESTIONNAIRE + ":"):
        found = url.removeprefix(QUESTIONNAIRE + ":")
        return found if found in knowledge.instruments else ""
    asked = {code for item in _items(response) for code in _codes(item, codes_by_link)}
    sizes = {
        entry["id"]: len(codes)
        for entry in knowledge.instruments.values()
        if (codes := {i.get("loinc", "") for i in entry.get("item", ()) if not i.get("extra")}) and codes <= asked
    }
    largest = max(sizes.values(), default=0)
    best = [name for name, size in sizes.items() if size == largest]
    return best[0] if len(best) == 1 else ""


def answers_from(instrument: Instrument, response: Json, codes_by_link: Mapping[str, frozenset[str]]) -> Answers:
    """The answers by item id. An item asked twice with different answers is strange, and so unknown."""
    entries = {e["id"]: e for e in instrument.raw.get("item", ())}
    by_code = {e["loinc"]: i for i, e in entries.items() if "loinc" in e}
    items = {item.id: item for item in instrument.items}
    scores = {step.id: step for plan in instrument.plans.values() for step in plan.steps}
    total = instrument.raw.get("loinc", {}).get("total", "")
    given: dict[str, object] = {}
    stated: dict[str, float] = {}
    strange: list[str] = []
    for item in _items(response):
        link = str(item.get("linkId", ""))
        codes = _codes(item, codes_by_link)
        answers = [a for a in _listed(item.get("answer")) if isinstance(a, Mapping)]
        own = _own(link, instrument.id)
        name = own if own in items else next((by_code[c] for c in codes if c in by_code), "")
        if not name:
            score = own if own in scores else "total" if total in codes else ""
            value = _plain(answers[0]) if score and answers else None
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                stated[score] = float(value)
            continue
        values = {repr(v): v for a in answers if (v := _answer(a, items[name], instrument)) is not None}
        if name in given and values and repr(given[name]) not in values:
            values |= {repr(given[name]): given[name]}
        if len(values) > 1 or (answers and not values):
            strange.append(link)
            given[name] = f"not understood ({len(values)} answers)" if values else "not understood"
        elif values:
            given[name] = next(iter(values.values()))
    return Answers(given=given, strange=tuple(strange), stated=stated, version=_canonical(response)[1])


def _answer(answer: Json, item: Item, instrument: Instrument) -> object | None:
    """One answer as something the instrument reads: a value, a word, a code; None if it holds none of them."""
    value = _plain(answer)
    if value is not None:
        return value
    coding = answer.get("valueCoding")
    if not isinstance(coding, Mapping):
        return None
    code = str(coding.get("code", ""))
    if code == NOT_APPLICABLE and coding.get("system") == ANSWER:
        return NOT_APPLICABLE
    if coding.get("system") == f"{ANSWER}:{instrument.id}.{item.id}" or fold(code) in item.spelled:
        return code
    for holder in (coding, answer):
        for extension in _listed(holder.get("extension")):
            if isinstance(extension, Mapping) and str(extension.get("url", "")).endswith(ORDINAL):
                points = extension.get("valueDecimal")
                # An ordinal says what the answer counts; what was written is the value that counts so much.
                return next((v for v, p in zip(item.allowed, item.points, strict=True) if p == points), None)
    display = coding.get("display")
    return display if isinstance(display, str) and fold(display) in item.spelled else None


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
    amount: object = quantity.get("value") if isinstance(quantity, Mapping) else None
    return amount


def _own(link: str, instrument: str) -> str:
    """Our linkIds are item ids; elsewhere they may stand behind the instrument's name or a path."""
    tail = link.rstrip("/").rpartition("/")[2]
    return tail.removeprefix(f"{instrument}.")


def _codes(item: Json, codes_by_link: Mapping[str, frozenset[str]]) -> frozenset[str]:
    link = str(item.get("linkId", ""))
    return codes_by_link.get(link, frozenset()) | {link.rstrip("/").rpartition("/")[2]}


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
