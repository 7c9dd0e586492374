"""An instrument as a FHIR SDC Questionnaire that any form filler can show, and that adds itself up.

Each option carries what it counts (`ordinalValue`), each score its arithmetic as FHIRPath (`calculatedExpression`).
The arithmetic is written from the same file that scores the answers here; where an item is missing beyond the published
rule the expression is empty, as the score is. The wording stands only where its licence lets it; otherwise the clinic's
own licensed text is put in, or our neutral labels, for entering answers that were given on paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adjunct.base import BadInput
from adjunct.instruments import Instrument
from adjunct.instruments.model import TOTAL, Item, Step
from adjunct.instruments.responses import ANSWER, ITEM, NOT_APPLICABLE, QUESTIONNAIRE
from adjunct.instruments.scoring import chosen_forms

Json = dict[str, Any]

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
EXTENSION = "http://hl7.org/fhir/StructureDefinition"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition"
ORDINAL = f"{EXTENSION}/ordinalValue"
FHIRPATH = "text/fhirpath"
DAY_H = 24  # hours: a clock goes round
HOUR_MIN = 60
PERCENT = 100

NAME = "v"  # before every variable: an id such as `minutes` is a word of FHIRPath
WORDED = "shipped"
TYPES = {"clock": "time", "number": "decimal", "percent": "decimal", "count": "integer"}


def questionnaire(
    instrument: Instrument, *, text: Mapping[str, Any] | None = None, labels: bool = False, form: str | None = None
) -> Json:
    """The instrument as a Questionnaire.

    `text`: the clinic's own licensed wording (`{notice, item: {id: text}, answers: {list: {value: text}}}`); `labels`:
    our neutral labels instead of any wording. Raises `BadInput` where the wording may not be given out here.
    """
    entry = instrument.raw
    licence = entry["licence"]
    if not instrument.items:
        raise BadInput(f"no form can be made of {instrument.title}: {entry.get('no_score', 'its items are not known')}")
    plan = instrument.plans[chosen_forms(instrument, form)[0]]
    if text is not None:
        entry = _with_text(instrument, text)
    elif not labels and licence["text"] != WORDED:
        raise BadInput(
            f"the wording of {instrument.title} may not be given out with Adjunct (licence: {licence['class']}): load "
            "your own licensed text with --text FILE, or ask for --labels to enter answers given on paper"
        )
    worded = text is not None or not labels
    items = [_item(instrument, item, part, worded) for item, part in zip(instrument.items, entry["item"], strict=True)]
    scores = [_score(instrument, step) for step in plan.steps if step.show or step.id == TOTAL]
    made: Json = {
        "resourceType": "Questionnaire",
        "id": instrument.id,
        "url": f"{QUESTIONNAIRE}:{instrument.id}",
        "version": str(instrument.version),
        "name": "".join(word for word in instrument.title.title() if word.isalnum()),
        "title": instrument.title,
        "status": "active",
        "experimental": False,
        "subjectType": ["Patient"],
        "description": entry.get("says", ""),
        "code": _codings(entry.get("loinc", {}).get("panel")),
        "extension": [_variable(item.id, _value(item)) for item in instrument.items if not item.extra]
        + [_variable(step.id, _arithmetic(step)) for step in plan.steps],
        "item": items + scores,
    }
    notice = (text or {}).get("notice") or (licence.get("notice") if worded else "")
    if notice:
        made["copyright"] = notice
    return {key: value for key, value in made.items() if value not in ([], "")}


def _with_text(instrument: Instrument, text: Mapping[str, Any]) -> Mapping[str, Any]:
    """The clinic's wording in place of ours. Every scored item must have one: half a form is not the instrument."""
    for at, value in (("text", text), ("text.item", text.get("item", {})), ("text.answers", text.get("answers", {}))):
        if not isinstance(value, Mapping):
            raise BadInput("not a table of names and words", at)
    given = text.get("item", {})
    tables = {"text.item": given, **{f"text.answers.{k}": v for k, v in text.get("answers", {}).items()}}
    tables["text"] = {"notice": text.get("notice", "-")}
    for at, words in tables.items():
        if not isinstance(words, Mapping) or not all(isinstance(w, str) and w.strip() for w in words.values()):
            raise BadInput("not words: write every wording as a text in quotes", at)
    strange = sorted(set(given) - {item.id for item in instrument.items})
    missing = [item.id for item in instrument.items if not item.extra and item.id not in given]
    if strange or missing:
        what = f"names {', '.join(strange)}, which it does not have" if strange else f"lacks {', '.join(missing)}"
        raise BadInput(f"the text for {instrument.title} {what}: give the wording of every item", "text.item")
    options = text.get("answers", {})
    lists = [
        answers | {"options": [o | _worded(options.get(answers["id"], {}), o) for o in answers["options"]]}
        for answers in instrument.raw.get("answers", ())
    ]
    items = [part | ({"text": given[part["id"]]} if part["id"] in given else {}) for part in instrument.raw["item"]]
    return {**instrument.raw, "item": items, "answers": lists}


def _worded(words: Mapping[str, str], option: Mapping[str, Any]) -> Json:
    text = words.get(f"{option['value']:g}")
    return {"text": text} if text else {}


# --- items ------------------------------------------------------------------------------------------------------------


def _item(instrument: Instrument, item: Item, part: Mapping[str, Any], worded: bool) -> Json:
    made: Json = {
        "linkId": item.id,
        "code": [*_codings(part.get("loinc")), {"system": ITEM, "code": f"{instrument.id}.{item.id}"}],
        "text": part["text"] if worded and part.get("text") else item.label,
        "type": TYPES.get(item.kind, "choice"),
        "required": False,  # an answer may always be refused; what that does to the score is the score's own rule
    }
    if made["type"] != "choice":
        made["extension"] = [
            {"url": f"{EXTENSION}/{bound}", f"value{made['type'].title()}": number(value)}
            for bound, value in (("minValue", item.least), ("maxValue", item.most))
            if item.kind != "clock" and abs(value) != float("inf") and value == value
        ]
        return {key: value for key, value in made.items() if value != []}
    options = {float(o["value"]): o for o in _options(instrument, part)}
    made["extension"] = [_control("radio-button")]
    made["answerOption"] = [_option(instrument, item, value, options.get(value, {}), worded) for value in item.allowed]
    if item.applies:
        said = {"system": ANSWER, "code": NOT_APPLICABLE, "display": "Not applicable or not asked"}
        made["answerOption"].append({"valueCoding": said})
    return made


def _options(instrument: Instrument, part: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    lists = {answers["id"]: answers["options"] for answers in instrument.raw.get("answers", ())}
    found: Sequence[Mapping[str, Any]] = lists.get(part.get("answers", ""), ())
    return found


def _option(instrument: Instrument, item: Item, value: float, option: Mapping[str, Any], worded: bool) -> Json:
    points = item.points[item.allowed.index(value)]
    if "loinc" in option:
        coding = {"system": LOINC, "code": option["loinc"]}
    else:
        coding = {"system": f"{ANSWER}:{instrument.id}.{item.id}", "code": f"{value:g}"}
    words = option.get("text") if worded else None
    yes_no = ("No", "Yes")[int(value)] if item.kind == "yes-no" else f"{value:g}"
    made: Json = {"valueCoding": coding | {"display": words or option.get("label") or yes_no}}
    if points == points:  # an option that means "not assessed" counts nothing
        made["extension"] = [{"url": ORDINAL, "valueDecimal": number(points)}]
    return made


def coded(instrument: Instrument, item: Item, value: float) -> Json:
    """One of the item's answers as its Questionnaire codes it, in the publisher's words only where they are free."""
    part = instrument.raw["item"][item.number - 1]
    option = next((o for o in _options(instrument, part) if float(o["value"]) == value), {})
    made: Json = _option(instrument, item, value, option, instrument.raw["licence"]["text"] == WORDED)
    chosen: Json = made["valueCoding"]
    return chosen | ({"extension": made["extension"]} if "extension" in made else {})


def _control(code: str) -> Json:
    coding = {"system": "http://hl7.org/fhir/questionnaire-item-control", "code": code}
    return {"url": f"{EXTENSION}/questionnaire-itemControl", "valueCodeableConcept": {"coding": [coding]}}


def _codings(loinc: str | None) -> list[Json]:
    return [{"system": LOINC, "code": loinc}] if loinc else []


def number(value: float) -> float:
    """Whole numbers without a point, as JSON and a person write them."""
    return int(value) if value == int(value) else value


# --- scores as FHIRPath -----------------------------------------------------------------------------------------------


def _score(instrument: Instrument, step: Step) -> Json:
    loinc = instrument.raw.get("loinc", {}).get("total") if step.id == TOTAL else None
    return {
        "linkId": step.id,
        "code": [*_codings(loinc), {"system": ITEM, "code": f"{instrument.id}.{step.id}"}],
        "text": step.title,
        "type": "decimal",
        "readOnly": True,
        "extension": [
            {
                "url": f"{SDC}/sdc-questionnaire-calculatedExpression",
                "valueExpression": {"language": FHIRPATH, "expression": f"%{variable(step.id)}"},
            }
        ],
    }


def variable(name: str) -> str:
    """What an item or a score is called in expressions: R4 takes no underscore in a name, FHIRPath no hyphen.

    >>> variable("q6_recent")
    'vQ6Recent'
    """
    return NAME + "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _variable(name: str, expression: str) -> Json:
    said = {"name": variable(name), "language": FHIRPATH, "expression": expression}
    return {"url": f"{EXTENSION}/variable", "valueExpression": said}


def _value(item: Item) -> str:
    answer = f"%resource.item.where(linkId='{item.id}').answer.value"
    if item.kind == "clock":
        hour, minute = (f"{answer}.toString().split(':')[{n}].toDecimal()" for n in (0, 1))
        return f"{hour} + {minute} / {HOUR_MIN}"
    if item.allowed:
        return f"{answer}.ordinal()"
    return f"{item.least:g} + {item.most:g} - {answer}" if item.reverse else answer


def _arithmetic(step: Step) -> str:
    """What this score is, in terms of the variables of items and earlier scores; empty where it is unknown."""
    names = [f"%{variable(name)}" for name in step.of]
    all_, n = "".join((names[0], *(f".combine({name})" for name in names[1:]))), len(names)
    first = names[0]
    if step.how == "linear":
        value = f"({first} * {step.times:g} + {step.plus:g}) / {step.over:g}"
        return _capped(value, step)
    if step.how == "copy":
        return first
    if step.how in ("table", "bins"):
        return _looked_up(first, step)
    if step.how == "hours":
        apart = f"({names[1]} - {first})"
        return f"iif({apart} < 0, {apart} + {DAY_H}, {apart})"
    if step.how == "share":
        return f"iif({names[1]} > 0 and {first} <= {names[1]}, {PERCENT} * {first} / {names[1]}, {{}})"
    value = {
        "sum": f"{all_}.sum()" + (f" / {all_}.count() * {n}" if step.prorate else ""),
        "mean": f"{all_}.sum() / {all_}.count()",
        "most": f"{all_}.max()",
        "count": f"{all_}.where($this >= {step.least:g}).count()",
    }[step.how]
    firm = [name for name, may in zip(names, step.may_miss[:, 0], strict=True) if not may]
    needed = [f"{all_}.count() >= {n - step.most_missing}", *(f"{name}.exists()" for name in firm)]
    return _capped(f"iif({' and '.join(needed)}, {value}, {{}})", step)


def _capped(value: str, step: Step) -> str:
    return f"iif({value} > {step.cap:g}, {step.cap:g}, {value})" if step.cap != float("inf") else value


def _looked_up(value: str, step: Step) -> str:
    said = "{}"
    for edge, result, strict in zip(step.edges, step.results, step.strict, strict=True):
        sign = "=" if step.how == "table" else ">" if strict else ">="
        said = f"iif({value} {sign} {edge:g}, {result:g}, {said})"
    return said
