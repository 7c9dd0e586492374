"""FHIR R4 resources -> rows: conditions, observations, answers, procedures, allergies, consents.

Every reader takes one resource and adds to the draft. What cannot be read becomes a problem with its reference, never
a value. Medicines are in `medicines`, what follows from several values in `derived`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from adjunct.base import (
    FAR,
    MS_PER_SECOND,
    NO,
    UNKNOWN,
    YES,
    AdjunctError,
    convert,
    partial_date,
    shown,
    unit_spellings,
    units,
)
from adjunct.knowledge.load import LOCAL, Concept, fold
from adjunct.record.draft import Draft, Evidence

Resource = Mapping[str, Any]
Span = tuple[int, int]

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
LAST_USE = "last_use"
DROPPED = frozenset({"entered-in-error", "cancelled"})
OPEN_VERIFICATION = frozenset({"unconfirmed", "provisional", "differential"})
NUMERIC = frozenset({"measure", "score"})
ORDINAL = frozenset(
    f"http://hl7.org/fhir/StructureDefinition/{name}"
    for name in ("ordinalValue", "itemWeight", "questionnaire-ordinalValue")
)
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"


@dataclass(frozen=True, slots=True)
class Codes:
    """A CodeableConcept: its codings as `(system, code)`, and what it says in words."""

    pairs: tuple[tuple[str, str], ...]
    text: str
    displays: tuple[str, ...] = ()

    @classmethod
    def read(cls, concept: Any) -> Codes:
        if isinstance(concept, Mapping) and ("coding" in concept or "text" in concept or "code" not in concept):
            codings = [c for c in listed(concept.get("coding")) if isinstance(c, Mapping)]
            text = concept.get("text")
        else:
            codings, text = ([concept] if isinstance(concept, Mapping) else []), None
        pairs = tuple((str(c.get("system", "")), str(c["code"])) for c in codings if "code" in c)
        displays = tuple(c["display"] for c in codings if isinstance(c.get("display"), str))
        return cls(pairs, text if isinstance(text, str) else next(iter(displays), ""), displays)


@dataclass(frozen=True, slots=True)
class Value:
    """A value[x], taken apart as far as it goes. `low`..`high` differ when only a bound was reported."""

    low: float = float("nan")
    high: float = float("nan")
    unit: str = ""
    unit_text: str = ""
    codes: Codes | None = None
    truth: int | None = None
    text: str = ""
    span: Span | None = None
    ordinal: float | None = None
    absent: str = ""

    @property
    def shown(self) -> str:
        if self.low == self.low:  # not NaN
            return f"{self.low:g}" if self.low == self.high else f"{self.low:g}\u2013{self.high:g}"
        if self.codes:
            return self.codes.text or "; ".join(code for _, code in self.codes.pairs)
        return self.text or ("" if self.truth is None else "yes" if self.truth == YES else "no")


def listed(value: Any) -> list[Any]:
    """FHIR lists as lists; anything else that stands where a list belongs as one entry."""
    return value if isinstance(value, list) else [] if value is None else [value]


def span_of(draft: Draft, reference: str, *candidates: Any) -> Span:
    """The first time among `candidates` (dateTime, Period or Age-free text); none or unreadable: any time until now."""
    for candidate in candidates:
        try:
            if isinstance(candidate, str):
                return partial_date(candidate, draft.now.offset)
            if isinstance(candidate, Mapping) and ("start" in candidate or "end" in candidate):
                start, end = candidate.get("start"), candidate.get("end")
                low = partial_date(start, draft.now.offset)[0] if isinstance(start, str) else -FAR
                high = partial_date(end, draft.now.offset)[1] if isinstance(end, str) else draft.now.ms
                return low, max(low, high)
        except AdjunctError:
            draft.problem(reference, "a date cannot be read, so the time is unknown", "Correct the date.")
    return -FAR, draft.now.ms


def read_value(draft: Draft, reference: str, holder: Resource) -> Value:
    """The value[x] of an Observation, a component or an answer."""
    match holder:
        case {"valueQuantity": Mapping() as quantity}:
            return _quantity(quantity)
        case {"valueInteger": int() | float() as number} | {"valueDecimal": int() | float() as number}:
            return Value(low=float(number), high=float(number))
        case {"valueBoolean": bool() as truth}:
            return Value(truth=YES if truth else NO)
        case {"valueCodeableConcept": Mapping() as concept} | {"valueCoding": Mapping() as concept}:
            return Value(codes=Codes.read(concept), ordinal=_ordinal(concept))
        case {"valueString": str() as text}:
            return Value(text=text)
        case {"valueDateTime": str() as time} | {"valueDate": str() as time}:
            return Value(span=span_of(draft, reference, time), text=time)
        case {"valuePeriod": Mapping() as period}:
            return Value(span=span_of(draft, reference, period))
        case {"valueRange": Mapping() as bounds}:
            low, high = _quantity(bounds.get("low") or {}), _quantity(bounds.get("high") or {})
            return Value(
                low=low.low, high=high.high, unit=low.unit or high.unit, unit_text=low.unit_text or high.unit_text
            )
    reason = Codes.read(holder.get("dataAbsentReason")) if "dataAbsentReason" in holder else None
    flags = [Codes.read(i) for i in listed(holder.get("interpretation"))]
    if reason is None and flags:
        return Value(codes=flags[0])
    return Value(absent=(reason.text or "no reason given") if reason else "no value")


def _quantity(quantity: Resource) -> Value:
    number = quantity.get("value")
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return Value(absent="no number")
    low = high = float(number)
    match quantity.get("comparator"):
        case "<" | "<=":
            low = -float("inf")
        case ">" | ">=":
            high = float("inf")
    code = quantity.get("code") if quantity.get("system") in (UCUM, None) else None
    return Value(low=low, high=high, unit=str(code or ""), unit_text=str(quantity.get("unit") or ""))


def _ordinal(coding: Resource) -> float | None:
    holders = [coding, *listed(coding.get("coding"))]
    for extension in (e for h in holders if isinstance(h, Mapping) for e in listed(h.get("extension"))):
        if isinstance(extension, Mapping) and extension.get("url") in ORDINAL:
            number = extension.get("valueDecimal", extension.get("valueInteger"))
            return float(number) if isinstance(number, (int, float)) else None
    return None


def in_unit(value: Value, concept: Concept) -> tuple[float, float]:
    """Both bounds of `value` in the concept's own unit. Raises `AdjunctError` for a unit that does not fit."""
    unit = value.unit or unit_spellings().get(value.unit_text, value.unit_text)
    target = concept.unit or "1"
    if not unit:
        if target == "1" or target.startswith("{"):
            return value.low, value.high
        raise AdjunctError(f"{concept.title} has no unit: send the UCUM code, for example {target!r}")
    if units_are_annotations(unit, target):
        return value.low, value.high
    if unit in concept.raw.get("accepts", {}):
        factor = float(concept.raw["accepts"][unit])
        return value.low * factor, value.high * factor
    low, high = (convert(v, unit, target, molar_mass=concept.molar_mass) for v in (value.low, value.high))
    return low, high


def units_are_annotations(unit: str, target: str) -> bool:
    """`{score}`, `{points}` and `1` all count; UCUM gives braces no meaning."""
    return all(u == "1" or (u.startswith("{") and u.endswith("}")) for u in (unit, target)) and unit not in units()


# --- one reader a resource type ---------------------------------------------------------------------------------------


def observation(draft: Draft, resource: Resource, reference: str) -> None:
    """Code and value, then each component; the time belongs to all of them."""
    status = resource.get("status")
    if status in DROPPED:
        return
    if (LOCAL, LAST_USE) in Codes.read(resource.get("code")).pairs:
        _last_use(draft, resource, reference)
        return
    span = span_of(
        draft,
        reference,
        *(resource.get(k) for k in ("effectiveDateTime", "effectiveInstant", "effectivePeriod")),
        resource.get("issued"),
    )
    certain = YES if status in ("final", "amended", "corrected") else UNKNOWN
    for part in (resource, *(c for c in listed(resource.get("component")) if isinstance(c, Mapping))):
        codes = Codes.read(part.get("code"))
        value = read_value(draft, reference, part)
        ranges = listed(
            part.get("referenceRange") or (resource.get("referenceRange") if part is not resource else None)
        )
        concepts = concepts_of(draft, codes)
        has_value = any(k.startswith("value") for k in part)
        if part is resource and not has_value and "component" in resource:
            concepts = [c for c in concepts if draft.knowledge.concepts[c].kind not in NUMERIC]
        for concept in concepts:
            observe(draft, concept, value, span, reference, status=certain, ranges=ranges)
        if value.codes and not concepts:
            for concept in concepts_of(draft, value.codes):
                if draft.knowledge.concepts[concept].kind in ("condition", "finding"):
                    observe(draft, concept, Value(truth=YES), span, reference, status=certain)


def _last_use(draft: Draft, resource: Resource, reference: str) -> None:
    """When a substance was last really taken: the time as value, the substance as a coded component."""
    when = read_value(draft, reference, resource).span
    for part in (c for c in listed(resource.get("component")) if isinstance(c, Mapping)):
        for substance in substances_of(draft, read_value(draft, reference, part).codes or Codes((), "")):
            span = when or (-FAR, draft.now.ms)
            evidence = Evidence(reference=reference, concept=LAST_USE, value=substance, at=draft.at(span))
            draft.add(LAST_USE, span, evidence, code=substance, status=YES if when else UNKNOWN)


def concepts_of(draft: Draft, codes: Codes) -> list[str]:
    """The concepts that any coding stands for, each once."""
    found = [c for system, code in codes.pairs for c in draft.knowledge.concepts_for(system, code)]
    return list(dict.fromkeys(found))


def observe(
    draft: Draft,
    concept_id: str,
    value: Value,
    span: Span,
    reference: str,
    *,
    status: int = YES,
    ranges: Sequence[Any] = (),
) -> None:
    """One value of one concept, whatever its kind."""
    concept = draft.knowledge.concepts[concept_id]
    unit = value.unit or value.unit_text
    evidence = Evidence(reference=reference, concept=concept_id, value=value.shown, unit=unit, at=draft.at(span))
    if concept.kind in NUMERIC:
        _measure(draft, concept, value, span, evidence, status, ranges)
        return
    if value.span and concept.time == "event":
        draft.add(concept_id, value.span, evidence, code="yes", status=status)
        return
    answer = answer_of(draft, concept, value)
    if not answer:
        if not value.absent and value.span is None:
            draft.problem(
                reference, f"the answer for {concept.title} is not understood", concept.ask, concept=concept_id
            )
        draft.add(concept_id, span, evidence, status=UNKNOWN)
        return
    if concept.kind in ("condition", "finding") and concept.time == "until" and answer == "yes":
        span = (span[0], draft.now.ms) if concept.ages[draft.phase] else (draft.now.ms, draft.now.ms)
    truth = NO if answer == "no" else YES
    draft.add(
        concept_id, span, evidence, code=answer, status=min(status, truth) if truth == NO and status == YES else status
    )


def answer_of(draft: Draft, concept: Concept, value: Value) -> str:
    """The canonical answer ('yes', 'no', 'positive', ...) or '' when the value says nothing this concept knows."""
    table = draft.knowledge.answers[concept.id]
    if value.truth is not None:
        return table.get("true" if value.truth == YES else "false", "")
    if value.low == value.high and value.low in (0, 1):
        return "yes" if value.low else "no"
    if value.codes:
        keys = [f"{system}|{code}" for system, code in value.codes.pairs]
        keys += [code for system, code in value.codes.pairs if system == LOCAL]
        keys += [value.codes.text, *value.codes.displays]
        return next((table[fold(k)] for k in keys if fold(k) in table), "")
    return table.get(fold(value.text), "")


def _measure(
    draft: Draft, concept: Concept, value: Value, span: Span, evidence: Evidence, status: int, ranges: Sequence[Any]
) -> None:
    low, high = value.low, value.high
    ordinal = value.ordinal if value.ordinal is not None else _listed_ordinal(draft, value)
    if ordinal is not None:
        low = high = ordinal
    elif low == low:
        try:
            low, high = in_unit(value, concept)
        except AdjunctError as error:
            draft.problem(evidence.reference, str(error), concept.ask, concept=concept.id)
            low = high = float("nan")
    elif value.text:
        draft.problem(evidence.reference, f"{concept.title} is given as text", concept.ask, concept=concept.id)
    if concept.plausible and low == low and (high < concept.plausible[0] or low > concept.plausible[1]):
        draft.problem(
            evidence.reference,
            f"{concept.title} is outside what can be measured, so it is not used",
            concept.ask,
            concept=concept.id,
        )
        low = high = float("nan")
    for bound in dict.fromkeys((low, high)) if low == low else (low,):
        draft.add(concept.id, span, evidence, value=bound, status=status)
    multiple = f"{concept.id}_xuln"
    if multiple in draft.knowledge.concepts:
        limit = _upper_limit(concept, ranges)
        for bound in dict.fromkeys((low, high)) if low == low else (low,):
            draft.add(multiple, span, evidence, value=bound / limit, status=status)


def _listed_ordinal(draft: Draft, value: Value) -> float | None:
    """The number that an answer code of a known list stands for."""
    table = draft.knowledge.content["knowledge"]["ordinals"]
    pairs = value.codes.pairs if value.codes else ()
    return next((float(table[f"{s}|{c}"]) for s, c in pairs if f"{s}|{c}" in table), None)


def _upper_limit(concept: Concept, ranges: Sequence[Any]) -> float:
    """The report's own upper limit in the concept's unit; NaN when it has none: the multiple is then unknown."""
    for entry in ranges:
        high = entry.get("high") if isinstance(entry, Mapping) else None
        if isinstance(high, Mapping) and isinstance(high.get("value"), (int, float)):
            try:
                limit = in_unit(_quantity(high), concept)[1]
            except AdjunctError:
                continue
            if limit > 0:
                return limit
    return float("nan")


def condition(draft: Draft, resource: Resource, reference: str) -> None:
    """A diagnosis: confirmed, refuted or open; ongoing, or over since a time that may be partial."""
    verification = _first_code(resource.get("verificationStatus"))
    clinical = _first_code(resource.get("clinicalStatus"))
    if verification == "entered-in-error":
        return
    codes = Codes.read(resource.get("code"))
    concepts, text_only = concepts_of(draft, codes), False
    if not concepts and not codes.pairs and codes.text:
        concepts = list(draft.knowledge.concepts_by_name.get(fold(codes.text), ()))
        text_only = True
        ask = "Code this entry, or confirm it with the person." if concepts else "Code this entry."
        draft.problem(reference, f"a condition is given only as text: {shown(codes.text)}", ask)
    status = YES
    if verification == "refuted":
        status = NO
    elif verification in OPEN_VERIFICATION or text_only:
        status = UNKNOWN
    onset = _condition_times(resource, "onset") or resource.get("recordedDate")
    for concept_id in concepts:
        concept = draft.knowledge.concepts[concept_id]
        if concept.kind not in ("condition", "finding", "answer"):
            continue
        span = _condition_span(draft, resource, reference, concept, clinical, onset)
        evidence = Evidence(
            reference=reference,
            concept=concept_id,
            value=codes.text or concept.title,
            at=draft.at(span),
            text_only=text_only,
        )
        draft.add(concept_id, span, evidence, code="no" if status == NO else "yes", status=status)


def _condition_times(resource: Resource, stem: str) -> Any:
    return resource.get(f"{stem}DateTime") or resource.get(f"{stem}Period")


def _condition_span(
    draft: Draft, resource: Resource, reference: str, concept: Concept, clinical: str, onset: Any
) -> Span:
    began = span_of(draft, reference, onset)
    if concept.time == "event":
        if not _condition_times(resource, "onset") and onset:
            return -FAR, began[1]  # it was recorded then; it happened at some time before
        return began
    ended = _condition_times(resource, "abatement")
    over = clinical in ("inactive", "remission", "resolved")
    if ended is None and not over:
        return draft.now.ms, draft.now.ms
    if ended is None:
        return began[0], draft.now.ms - 1
    return span_of(draft, reference, ended)


def _first_code(concept: Any) -> str:
    return next((code for _, code in Codes.read(concept).pairs), "")


def allergy(draft: Draft, resource: Resource, reference: str) -> None:
    """An allergy or intolerance to a substance; any such entry also shows that allergies were asked."""
    verification = _first_code(resource.get("verificationStatus"))
    if verification == "entered-in-error" or _first_code(resource.get("clinicalStatus")) in ("inactive", "resolved"):
        return
    codes = Codes.read(resource.get("code"))
    span = span_of(draft, reference, resource.get("recordedDate"), resource.get("onsetDateTime"))
    evidence = Evidence(reference=reference, concept="allergy", value=codes.text, at=draft.at(span))
    concepts = concepts_of(draft, codes)
    for concept in concepts:
        draft.add(concept, span, evidence, code="yes")
    if verification == "refuted" or concepts:
        return
    asked = "allergies_asked"
    draft.add(
        asked,
        span,
        Evidence(reference=reference, concept=asked, value="allergy recorded", at=draft.at(span)),
        code="yes",
    )
    status = UNKNOWN if verification in OPEN_VERIFICATION else YES
    for substance in substances_of(draft, codes):
        draft.add("allergy", (draft.now.ms, draft.now.ms), evidence, code=substance, status=status)


def substances_of(draft: Draft, codes: Codes) -> Iterator[str]:
    """Substances by code, else by the whole name as written."""
    found = [draft.knowledge.substances_by_code.get(pair) for pair in codes.pairs]
    if any(found):
        yield from dict.fromkeys(s for s in found if s)
        return
    for name in (codes.text, *codes.displays):
        ids = draft.knowledge.substances_by_name.get(fold(name), ())
        if ids:
            yield from ids
            return


def procedure(draft: Draft, resource: Resource, reference: str) -> None:
    """Something done to the person: present from then on."""
    status = resource.get("status")
    if status in DROPPED or status in ("preparation", "on-hold", "unknown"):
        return
    span = span_of(draft, reference, resource.get("performedDateTime"), resource.get("performedPeriod"))
    _coded_fact(draft, Codes.read(resource.get("code")), span, reference, NO if status == "not-done" else YES)


def encounter(draft: Draft, resource: Resource, reference: str) -> None:
    """A visit that took place, for the concepts that its type or reason stand for."""
    if resource.get("status") in (*DROPPED, "planned"):
        return
    span = span_of(draft, reference, resource.get("period"))
    for concept in (*listed(resource.get("type")), *listed(resource.get("reasonCode"))):
        _coded_fact(draft, Codes.read(concept), span, reference, YES)


def service_request(draft: Draft, resource: Resource, reference: str) -> None:
    """A referral or order counts only for concepts that ask whether something is arranged."""
    if resource.get("status") not in ("active", "completed"):
        return
    span = span_of(draft, reference, resource.get("authoredOn"))
    for concept in concepts_of(draft, Codes.read(resource.get("code"))):
        if draft.knowledge.concepts[concept].kind == "answer":
            evidence = Evidence(reference=reference, concept=concept, value="ordered", at=draft.at(span))
            draft.add(concept, span, evidence, code="yes")


def consent(draft: Draft, resource: Resource, reference: str) -> None:
    """Treatment consent: signed while active and permitting, withdrawn when rejected, inactive or denying."""
    scope, status = _first_code(resource.get("scope")), resource.get("status")
    if scope != "treatment" or status in ("entered-in-error", "draft", "proposed"):
        return
    span = span_of(draft, reference, resource.get("dateTime"))
    provision = resource.get("provision")
    denied = isinstance(provision, Mapping) and provision.get("type") == "deny"
    answer = "signed" if status == "active" and not denied else "withdrawn"
    draft.add(
        "consent", span, Evidence(reference=reference, concept="consent", value=answer, at=draft.at(span)), code=answer
    )


def related_person(draft: Draft, resource: Resource, reference: str) -> None:
    """A person named as escort for this visit."""
    if resource.get("active") is False:
        return
    for concept in (c for r in listed(resource.get("relationship")) for c in concepts_of(draft, Codes.read(r))):
        span = span_of(draft, reference, resource.get("period"))
        inside = span[0] <= draft.now.ms and "period" in resource
        moment = (draft.now.ms, draft.now.ms) if inside else span
        evidence = Evidence(reference=reference, concept=concept, value="named", at=draft.at(moment))
        draft.add(concept, moment, evidence, code="yes")


def questionnaire_response(
    draft: Draft, resource: Resource, reference: str, codes_by_link: Mapping[str, Codes]
) -> None:
    """Each answered item, by the codes its Questionnaire gives the linkId, or by a code inside the linkId."""
    if resource.get("status") in DROPPED:
        return
    span = span_of(draft, reference, resource.get("authored"))
    for item in _items(resource):
        link = str(item.get("linkId", ""))
        pairs = codes_by_link.get(link, Codes((), "")).pairs
        tail = link.rstrip("/").rpartition("/")[2]
        concepts = concepts_of(draft, Codes((*pairs, (LOINC, tail), (LOCAL, tail)), ""))
        for answer in listed(item.get("answer")):
            if isinstance(answer, Mapping):
                for concept in concepts:
                    observe(draft, concept, read_value(draft, reference, answer), span, f"{reference}#{link}")


def _items(holder: Resource) -> Iterator[Resource]:
    for item in listed(holder.get("item")):
        if isinstance(item, Mapping):
            yield item
            yield from _items(item)
            for answer in listed(item.get("answer")):
                if isinstance(answer, Mapping):
                    yield from _items(answer)


def item_codes(questionnaires: Iterable[Resource]) -> dict[str, Mapping[str, Codes]]:
    """For each Questionnaire url: linkId -> the codes of that item."""
    return {
        str(q.get("url", "")): {
            str(i.get("linkId")): Codes.read({"coding": listed(i.get("code"))}) for i in _items(q) if "code" in i
        }
        for q in questionnaires
    }


def _coded_fact(draft: Draft, codes: Codes, span: Span, reference: str, status: int) -> None:
    for concept_id in concepts_of(draft, codes):
        concept = draft.knowledge.concepts[concept_id]
        if concept.kind not in ("condition", "finding", "answer"):
            continue
        when = span if concept.time == "event" or status == NO else (draft.now.ms, draft.now.ms)
        evidence = Evidence(
            reference=reference, concept=concept_id, value=codes.text or concept.title, at=draft.at(span)
        )
        draft.add(concept_id, when, evidence, code="no" if status == NO else "yes", status=status)


def patient(draft: Draft, resource: Resource, reference: str) -> None:
    """Birth date and sex at birth. Administrative gender `male` alone does not settle sex at birth."""
    birth = resource.get("birthDate")
    if isinstance(birth, str):
        low, high = span_of(draft, reference, birth)
        if low > draft.now.ms:
            draft.problem(
                reference, "the birth date is in the future", "Correct the birth date.", concept="age", blocks=True
            )
        else:
            for years in dict.fromkeys((years_between(min(high, draft.now.ms), draft), years_between(low, draft))):
                evidence = Evidence(
                    reference=reference, concept="age", value=f"{years:g}", unit="a", at=draft.at(present(draft))
                )
                draft.add("age", present(draft), evidence, value=years)
    sex = next((e.get("valueCode") for e in listed(resource.get("extension")) if e.get("url") == BIRTH_SEX), None)
    answer = {"F": "female", "M": "male"}.get(str(sex), "female" if resource.get("gender") == "female" else "")
    if answer:
        evidence = Evidence(reference=reference, concept="sex_at_birth", value=answer)
        draft.add("sex_at_birth", present(draft), evidence, code=answer)


def present(draft: Draft) -> Span:
    """The span of what holds at this moment."""
    return draft.now.ms, draft.now.ms


def years_between(birth_ms: int, draft: Draft) -> float:
    """Completed years at `now`, by the calendar."""
    zone = timezone(draft.now.offset)
    born, today = (datetime.fromtimestamp(ms / MS_PER_SECOND, tz=zone) for ms in (birth_ms, draft.now.ms))
    return float(today.year - born.year - ((today.month, today.day) < (born.month, born.day)))
