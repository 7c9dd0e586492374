"""A score as FHIR R4: the answers, what they add up to, and what they call for.

| in the score | becomes |
|---|---|
| the answers | QuestionnaireResponse of our Questionnaire, `in-progress` while an answer is open |
| total, subscales, band | Observation (survey) `derivedFrom` it; without a value, its reason |
| an alert of level suicide or urgent | DetectedIssue, `preliminary`: a clinician has not confirmed it yet |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from adjunct.instruments import Instrument, Said, Score, instrument
from adjunct.instruments.answers import HOUR_MINUTES, Gap, in_order, read_answer
from adjunct.instruments.model import TOTAL, Item
from adjunct.instruments.responses import ANSWER, ITEM, LOINC, NOT_APPLICABLE, QUESTIONNAIRE
from adjunct.instruments.result import DANGER
from adjunct.knowledge import Knowledge
from adjunct.publish.frame import (
    ACT_CODE,
    OBSERVATION_CATEGORY,
    Frame,
    Json,
    absent,
    coding,
    printable,
    said,
    sentences,
)
from adjunct.publish.questionnaire import UCUM, coded, number

ALERT = "urn:adjunct:alert"
BAND = "urn:adjunct:band"
SEVERITY = {"suicide": "high", "urgent": "moderate"}
SURVEY = [{"coding": coding(OBSERVATION_CATEGORY, "survey", "Survey")}]


def score_to_fhir(
    score: Score,
    answers: Sequence[object] | Mapping[str, object],
    knowledge: Knowledge,
    *,
    at: str,
    patient_reference: str | None,
    software_version: str | None = None,
) -> Json:
    """A score and the answers it was made from (in printed order or by item id) as a collection Bundle.

    `at` is when they were given, with an offset. Without `patient_reference` the subject is named in words only.
    """
    known = instrument(knowledge, score.instrument)
    listed = in_order(known, answers)[0] if isinstance(answers, Mapping) else list(answers)
    frame = Frame.of(
        [score.to_dict(), [str(a) for a in listed]],
        now=at,
        patient=patient_reference,
        knowledge=knowledge.version,
        as_of=knowledge.as_of,
        software=software_version,
        at="at",
    )
    made = [_response(frame, known, score, listed), _observation(frame, known, score)]
    made += [_issue(frame, score, alert, knowledge) for alert in score.says if alert.level in DANGER]
    return frame.bundle(made)


# --- answers ----------------------------------------------------------------------------------------------------------


def _response(frame: Frame, known: Instrument, score: Score, answers: Sequence[object]) -> Json:
    items = [
        {"linkId": item.id, "text": item.label, "answer": [value]}
        for item, answer in zip(known.items, answers, strict=False)
        if (value := answer_to_fhir(known, item, answer))
    ]
    open_ = bool(score.missing or score.refused)
    count = f"{len(items)} answers" + (f", {len(score.missing)} open" if score.missing else "")
    return frame.start("QuestionnaireResponse", "answers", f"{known.title}: {count}") | {
        "questionnaire": f"{QUESTIONNAIRE}:{known.id}|{known.version}",
        "status": "in-progress" if open_ else "completed",
        "subject": frame.patient,
        "authored": frame.now,
        "source": frame.patient if frame.has_patient and known.raw["respondent"] == "self" else None,
        "item": items,
    }


def answer_to_fhir(known: Instrument, item: Item, answer: object) -> Json:
    """One answer as the Questionnaire codes it; empty where there is none. What may not stand there is kept as words.

    Raises nothing: an answer that the item does not allow is still what arrived, and scoring refuses it.
    """
    value = read_answer(item, answer)
    if value is Gap.MISSING:
        return {}
    if value is Gap.NOT_APPLICABLE:
        return {"valueCoding": {"system": ANSWER, "code": NOT_APPLICABLE}}
    if value is Gap.REFUSED:
        return {"valueString": said(answer)} if said(answer) else {}
    if item.kind == "clock" and item.least <= value < item.most:
        hour, minute = divmod(round(value * HOUR_MINUTES), HOUR_MINUTES)
        return {"valueTime": f"{hour:02d}:{minute:02d}:00"}
    if item.kind in ("number", "percent", "count"):
        return {"valueInteger" if item.kind == "count" and value == int(value) else "valueDecimal": number(value)}
    return {"valueCoding": coded(known, item, value)} if value in item.allowed else {"valueString": said(answer)}


# --- scores -----------------------------------------------------------------------------------------------------------


def _observation(frame: Frame, known: Instrument, score: Score) -> Json:
    """The total; for an instrument that gives none, the band. Unknown is said with its reason, and never estimated."""
    name = TOTAL if known.has_total else "band"
    loinc = known.raw.get("loinc", {}).get("total") if known.has_total else None
    final = score.total is not None or (not known.has_total and score.band is not None)
    parts = [_component(known, name, value, score) for name, value in score.subscales.items()]
    return frame.start("Observation", "score", _words(known, score)) | {
        "status": "final" if final else "preliminary",
        "category": SURVEY,
        "code": {
            "coding": [*(coding(LOINC, loinc) if loinc else []), *coding(ITEM, f"{known.id}.{name}")],
            "text": f"{known.title}: {'total' if known.has_total else 'band'}",
        },
        "subject": frame.patient,
        "effectiveDateTime": frame.now,
        **_value(known, score),
        "interpretation": _interpretation(known, score),
        "note": [{"text": text} for text in _notes(known, score)],
        "derivedFrom": [frame.ref("answers")],
        "component": parts,
    }


def _value(known: Instrument, score: Score) -> Json:
    if score.total is not None:
        return {"valueQuantity": _quantity(score.total, score.unit)}
    if not known.has_total and score.band is not None:
        return {"valueCodeableConcept": _band(known, score.band)}
    reason = "error" if score.refused else "not-applicable" if score.not_applicable and not score.missing else "unknown"
    return {"dataAbsentReason": absent(reason, score.reason or "no band without the open answers")}


def _quantity(value: float, unit: str) -> Json:
    return {"value": number(value), "unit": unit, "system": UCUM, "code": unit}


def _band(known: Instrument, band: str) -> Json:
    return {"coding": coding(f"{BAND}:{known.id}", band), "text": band}


def _interpretation(known: Instrument, score: Score) -> list[Json]:
    return [_band(known, score.band)] if known.has_total and score.total is not None and score.band else []


def _component(known: Instrument, name: str, value: float | str | None, score: Score) -> Json:
    titles = {step.id: step.title for plan in known.plans.values() for step in plan.steps}
    code = {"code": {"coding": coding(ITEM, f"{known.id}.{name}"), "text": titles.get(name, name)}}
    if value is None:
        return code | {"dataAbsentReason": absent("unknown", score.reason)}
    return code | (
        {"valueString": value} if isinstance(value, str) else {"valueQuantity": _quantity(value, score.unit)}
    )


def _notes(known: Instrument, score: Score) -> Iterator[str]:
    """What a reader of the number alone must know."""
    if score.total is not None and score.reason:
        yield score.reason
    named = {alert.alert for alert in score.says}
    yield from (alert.replace("_", " ") for alert in score.alerts if alert not in named)
    if score.possible:
        low, high = score.possible
        yield f"Whatever the open answers are, the total lies between {low:g} and {high:g}; it is not estimated."
    if score.at_least:
        yield f"Whatever the open answers are: at least {score.at_least}."
    if score.bands:
        yield "The band depends on the form: " + "; ".join(f"{f}: {b or 'unknown'}" for f, b in score.bands.items())
    if score.band_says:
        yield score.band_says
    higher = {"worse": ", higher is worse", "better": ", higher is better"}.get(score.direction, "")
    if score.range and known.has_total:
        yield f"Range {score.range[0]:g} to {score.range[1]:g}{higher}. Scoring {score.confidence}."


def _words(known: Instrument, score: Score) -> str:
    total = "" if score.total is None else f" {score.total:g}"
    band = f" {score.band}" if score.band else ""
    return f"{known.title}:{total}{band}" + (f" ({score.reason})" if score.reason else "")


# --- alarms -----------------------------------------------------------------------------------------------------------


def _issue(frame: Frame, score: Score, alert: Said, knowledge: Knowledge) -> Json:
    title = f"{score.title}: {alert.alert.replace('_', ' ')}"
    source = knowledge.sources.get(alert.source.id)
    cited = ", ".join(filter(None, (source.citation.rstrip(".") if source else alert.source.id, alert.source.locator)))
    ask = f"Give next: {knowledge.instruments[alert.ask]['title']}." if alert.ask in knowledge.instruments else ""
    detail = sentences([alert.says, ask, f"Status {alert.status}. Source: {cited}."])
    name = f"{score.instrument}.{alert.alert}"
    return frame.start("DetectedIssue", f"alert:{alert.alert}", f"{title}. {detail}") | {
        "identifier": [{"system": ALERT, "value": printable(name)}],
        "status": "preliminary",
        "code": {
            "coding": [*coding(ACT_CODE, "OBSA", "Observation Alert"), *coding(ALERT, name)],
            "text": title,
        },
        "severity": SEVERITY[alert.level],
        "patient": frame.patient if frame.has_patient else None,
        "identifiedDateTime": frame.now,
        "author": frame.ref("device"),
        "implicated": [frame.ref("score"), frame.ref("answers")],
        "evidence": [{"detail": [frame.ref("answers")]}],
        "detail": detail,
    }
