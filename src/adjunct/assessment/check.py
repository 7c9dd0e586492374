"""A list of what somebody takes, checked: the same assessment with no treatment in question, and a word for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adjunct.assessment.lines import emergency_text, lines_for
from adjunct.assessment.result import Assessment, Finding, Gap
from adjunct.assessment.weigh import assess
from adjunct.base import AdjunctError, BadInput, Instant, Verdict, convert
from adjunct.items import Item
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import ATTESTATIONS, NONE
from adjunct.record import Record, from_items

NOT_ASKED = (ATTESTATIONS["reconciled"], ATTESTATIONS["allergies"])  # a clinician attests these, nobody who asks
LONGEST_ITEM = 400  # layout: one item is a line, not a letter
WORDS = ("nothing-found", "caution", "incomplete", "avoid", "contraindicated", "emergency")
WORD_OF_ACTION = {
    "emergency": "emergency",
    "contraindicated": "contraindicated",
    "avoid": "avoid",
    "defer": "avoid",
    "adjust": "caution",
    "monitor": "caution",
    "inform": "nothing-found",
}


def check_items(
    texts: Sequence[str],
    knowledge: Knowledge,
    *,
    conditions: Sequence[str] = (),
    age: float | None = None,
    country: str = "",
    jurisdiction: str = "",
    now: Instant,
) -> Assessment:
    """Read `texts` as people write them and say what matters when they are taken together."""
    if not texts:
        raise BadInput("nothing to check: name at least one medicine or substance")
    for number, text in enumerate(texts):
        if len(text) > LONGEST_ITEM:
            raise BadInput(
                f"longer than {LONGEST_ITEM} characters: write one medicine or substance", f"items[{number}]"
            )
    place = country or jurisdiction.partition("-")[0]
    record, items = from_items(
        texts, knowledge, conditions=conditions, age_years=age, now=now, country=place, jurisdiction=jurisdiction
    )
    for number, item in enumerate(items):
        _ask_about_amount(item, f"items[{number}]", place, knowledge)
    result = assess(record, knowledge, treatment=NONE)
    about_items = [_about_items_only(g, knowledge) for g in result.gaps if g.fact not in NOT_ASKED]
    gaps = sorted([*_item_gaps(items, knowledge), *about_items], key=lambda g: not g.blocks)
    complete = not any(g.blocks for g in gaps)
    word = max((_word(f) for f in result.findings), key=WORDS.index, default=WORDS[0])
    if not complete:
        word = max(word, "incomplete", key=WORDS.index)
    return replace(
        result,
        verdict=word,
        complete=complete,
        gaps=tuple(gaps),
        headline=_headline(word, result.findings, gaps, record, knowledge),
        items=tuple(_shown(item) for item in items),
    )


def _word(finding: Finding) -> str:
    return "emergency" if finding.verdict == Verdict.ESCALATE.name else WORD_OF_ACTION[finding.action]


def _about_items_only(gap: Gap, knowledge: Knowledge) -> Gap:
    """The list is what was asked about: a history nobody was asked for stays a question and holds nothing up."""
    if gap.fact == ATTESTATIONS["history"]:
        texts = knowledge.wording["gap"]
        return replace(gap, why=texts["conditions_not_asked"], ask=texts["conditions_ask"], blocks=False)
    facts = gap.fact.split(", ")
    of_items = all(f not in knowledge.concepts or knowledge.concepts[f].kind == "substance" for f in facts)
    return gap if of_items else replace(gap, blocks=False)


def _item_gaps(items: Sequence[Item], knowledge: Knowledge) -> list[Gap]:
    found = []
    for number, item in enumerate(items):
        reference, texts = f"items[{number}]", knowledge.wording
        near = ", ".join(item.candidates)
        if item.match == "unknown":
            ask = f"Is it one of: {near}?" if near else texts["unknown_item"]["keep_packet"]
            why = texts["unknown_item"]["item"].replace("{text}", item.text)
            found.append(Gap(fact=reference, why=why, ask=ask, blocks=True, reference=reference))
        elif item.status == "planned":
            why, ask = (texts["gap"][k].replace("{text}", item.text) for k in ("planned_item", "planned_ask"))
            found.append(Gap(fact=reference, why=why, ask=ask, blocks=False, reference=reference))
        elif item.match == "ambiguous" and item.status != "not-taken":
            names = ", ".join(knowledge.name_of(c) for c in item.candidates)
            why = texts["ambiguous"]["item"].replace("{text}", item.text).replace("{candidates}", names)
            kratom = set(item.candidates) & knowledge.sets.get("kratom", frozenset())
            ask = f"Which product is it: {names}?" if kratom else f"Which is meant: {names}?"
            found.append(Gap(fact=reference, why=why, ask=ask, blocks=True, reference=reference))
        timed = {p for name in _readings(item) for p in name.split("+")} & knowledge.sets["ask-last-use"]
        if timed and item.status == "current" and item.last_use_h is None:
            name = " or ".join(knowledge.substances[s].name for s in sorted(timed))
            why, ask = (texts["gap"][k].replace("{name}", name) for k in ("last_use_unknown", "last_use_ask"))
            found.append(Gap(fact=f"last_use ({reference})", why=why, ask=ask, blocks=True, reference=reference))
    return list({gap.ask: gap for gap in reversed(found)}.values())[::-1]


def _readings(item: Item) -> tuple[str, ...]:
    """What an item may be: one thing, any of several, or nothing known."""
    known = (item.substance,) if item.match == "known" and item.substance else ()
    return known or (item.candidates if item.match == "ambiguous" else ())


def _ask_about_amount(item: Item, reference: str, country: str, knowledge: Knowledge) -> None:
    """An amount beyond anything plausible is first a question about a person, and only then bad input."""
    dose = item.dose
    if dose is None or dose.high is None or not dose.unit:
        return
    try:
        grams = convert(dose.high, dose.unit, "g")
    except AdjunctError:
        return
    substances = [s for name in _readings(item) for s in name.split("+")]
    plant = all(
        "herbal" in knowledge.substances[s].classes or "alcohol" in knowledge.substances[s].classes for s in substances
    )
    limit = knowledge.number("dose.implausible.plant" if plant and substances else "dose.implausible.medicine")
    own = [knowledge.facts[f"dose.ask.{s}"] for s in substances if f"dose.ask.{s}" in knowledge.facts]
    if own:
        limit = min(convert(knowledge.number(f.id), f.unit, "g") for f in own)
    if grams > limit:
        poison = [r for r in lines_for("poison", country, knowledge) if r["country_code"] == country]
        raise BadInput(
            knowledge.say(
                knowledge.wording["dose"]["implausible"],
                amount=item.text[: len("a medicine name and an amount, no more than this")],
                poison=poison[0]["contact"] if poison else knowledge.wording["emergency"]["unknown_country_poison"],
                emergency=emergency_text(country, knowledge),
            ),
            reference,
        )


def _shown(item: Item) -> dict[str, Any]:
    dose = item.dose
    return {
        "text": item.text,
        "match": item.match,
        "substance": item.substance,
        "candidates": list(item.candidates),
        "dose": None
        if dose is None
        else {
            "low": dose.low,
            "high": dose.high,
            "unit": dose.unit,
            "per_day_low": dose.per_day_low,
            "per_day_high": dose.per_day_high,
        },
        "status": item.status,
        "read_as": item.read_as,
        "notes": list(item.notes),
    }


def _checked(record: Record, knowledge: Knowledge) -> str:
    """What was looked at, by name: only this list was checked, and nobody should think otherwise."""
    taken = [i for i in record.intakes if not i.denied]
    names = [" or ".join(knowledge.name_of(option) for option in intake.options) for intake in taken]
    stated = [e.value for e in record.evidence if e.reference.startswith("conditions[")]
    return ", ".join(dict.fromkeys([*names, *stated])) or "nothing that could be read"


def _headline(
    word: str,
    findings: Sequence[Finding],
    gaps: Sequence[Gap],
    record: Record,
    knowledge: Knowledge,
) -> dict[str, str]:
    texts = knowledge.wording["headline"]
    lead = dict.fromkeys(s for f in findings if _word(f) == word for s in f.involves)
    names = ", ".join(knowledge.substances[s].name for s in lead) or "; ".join(
        f.title for f in findings if _word(f) == word
    )
    missing = " ".join(g.ask for g in gaps if g.blocks)
    words = {"checked": _checked(record, knowledge), "names": names, "missing": missing}
    prefix = texts["incomplete_prefix"] if missing and word != "incomplete" else ""
    return {side: prefix + knowledge.say(texts["check"][word][side], **words) for side in ("says", "tell")}
