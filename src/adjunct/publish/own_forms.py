"""Our own two forms as FHIR Questionnaires: the check-in between visits, and the safety plan.

Their answers come back as `followup.stored` writes and reads them. Questions, sections and words are data:
`followup/checkins.toml` and `followup/workflow.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adjunct.base import BadInput, shown
from adjunct.followup.cover import DEFAULT_LANGUAGE
from adjunct.followup.stored import CHECK_IN_FORM, REASON, SAFETY_PLAN_FORM
from adjunct.instruments.responses import ANSWER, ITEM
from adjunct.knowledge import Knowledge
from adjunct.publish.frame import Json
from adjunct.publish.questionnaire import EXTENSION

CHECK_IN, SAFETY_PLAN = "check-in", "safety-plan"
OWN = (CHECK_IN, SAFETY_PLAN)
TYPES = {"scale": "integer", "text": "text", "choice": "choice", "many": "choice"}
CHECK_IN_SAYS = (
    "Asked between visits, in this order; any question may be left open. PHQ-9 items, at most weekly, and the suicide "
    "screener after an alarm are answered on their own forms, with the identifier of the same check-in."
)
SAFETY_PLAN_SAYS = "Written with the person, in their own words. A new version never replaces an old one."


def own_questionnaire(name: str, knowledge: Knowledge, *, language: str = DEFAULT_LANGUAGE) -> Json:
    """`check-in` or `safety-plan` as a Questionnaire; words that are not there in `language` are in English."""
    if name not in OWN:
        raise BadInput(f"no such form of our own: {shown(name)}; write {' or '.join(OWN)}")
    form, says = (CHECK_IN_FORM, CHECK_IN_SAYS) if name == CHECK_IN else (SAFETY_PLAN_FORM, SAFETY_PLAN_SAYS)
    url, _, version = form.partition("|")
    page = knowledge.content["workflow"]["safety_plan"]["page"]
    title = "Check-in" if name == CHECK_IN else page.get(language, page[DEFAULT_LANGUAGE])["title"]
    return {
        "resourceType": "Questionnaire",
        "id": name,
        "url": url,
        "version": version,
        "name": title.title().replace("-", "").replace(" ", ""),
        "title": title,
        "status": "active",
        "experimental": False,
        "language": language,
        "subjectType": ["Patient"],
        "description": says,
        "item": _questions(knowledge, language) if name == CHECK_IN else _sections(knowledge, language),
    }


def _questions(knowledge: Knowledge, language: str) -> list[Json]:
    data = knowledge.content["checkins"]
    entries = {entry["id"]: entry for entry in data["question"]}
    asked = dict.fromkeys(name for each in data["set"] for name in each["questions"])
    return [_question(entries[name], language) for name in asked]


def _question(entry: Mapping[str, Any], language: str) -> Json:
    made: Json = {
        "linkId": entry["id"],
        "code": [{"system": ITEM, "code": f"{CHECK_IN}.{entry['id']}"}],
        "text": _in(entry["text"], language),
        "type": TYPES.get(entry["kind"], "string"),
        "required": False,
    }
    if "least" in entry:
        bounds = (("minValue", entry["least"]), ("maxValue", entry["most"]))
        made["extension"] = [{"url": f"{EXTENSION}/{name}", "valueInteger": value} for name, value in bounds]
    if entry["kind"] == "many":
        made["repeats"] = True
    if "options" in entry:
        system = f"{ANSWER}:{CHECK_IN}.{entry['id']}"
        made["answerOption"] = [
            {"valueCoding": {"system": system, "code": o["value"], "display": _in(o["text"], language)}}
            for o in entry["options"]
        ]
    return made


def _sections(knowledge: Knowledge, language: str) -> list[Json]:
    items: list[Json] = []
    for section in knowledge.content["workflow"]["safety_plan"]["section"]:
        name, hint = section["id"], _in(section["hint"], language)
        items.append({"linkId": f"{name}-hint", "text": hint, "type": "display"})
        words = _in(section["title"], language)
        items.append({"linkId": name, "text": words, "type": "string", "required": False, "repeats": True})
    return [*items, {"linkId": REASON, "text": "Why this version was written", "type": "string", "required": True}]


def _in(texts: Mapping[str, str], language: str) -> str:
    return texts.get(language, texts[DEFAULT_LANGUAGE])
