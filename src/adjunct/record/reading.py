"""FHIR R4 resources -> rows: conditions, observations, answers, procedures, allergies, consents.

Every reader takes one resource and adds to the draft. What cannot be read becomes a problem with its reference, never
a value. Medicines are in `medicines`, what follows from several values in `derived`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from adjunct.base import MS_PER_SECOND, NO, UNKNOWN, YES, AdjunctError, shown
from adjunct.knowledge.entries import Concept, fold
from adjunct.record.draft import PAST, Draft, Evidence
from adjunct.record.values import (
    DROPPED,
    INFINITY,
    Codes,
    Resource,
    Span,
    Value,
    answer_of,
    ends,
    in_unit,
    listed,
    mappings,
    one_of,
    present,
    quantity_of,
    read_value,
    span_of,
)

OPEN_VERIFICATION = frozenset({"unconfirmed", "provisional", "differential", "?"})
VERIFICATION = frozenset({"confirmed", "refuted", "entered-in-error"}) | OPEN_VERIFICATION
ONGOING = frozenset({"active", "recurrence", "relapse"})
OVER = frozenset({"inactive", "remission", "resolved"})
NUMERIC = frozenset({"measure", "score"})
STATED = frozenset({"condition", "finding", "answer"})  # kinds of concept that a code alone can state
REQUESTED = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order", "directive"})
TIMES = ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued")
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"


def concepts_of(draft: Draft, codes: Codes) -> list[str]:
    """The concepts that any coding stands for, each once."""
    found = [c for system, code in codes.pairs for c in draft.knowledge.concepts_for(system, code)]
    return list(dict.fromkeys(found))


# --- observations and answers -----------------------------------------------------------------------------------------


def observation(draft: Draft, resource: Resource, reference: str) -> None:
    """Code and value, then each component and each member inside it; the time belongs to all of them."""
    for each in (resource, *_members_inside(resource)):
        _observation(draft, each, reference)


def _observation(draft: Draft, resource: Resource, reference: str) -> None:
    status = resource.get("status")
    if status in DROPPED:
        return
    span = span_of(draft, reference, *(resource.get(key) for key in TIMES))
    certain = YES if status in ("final", "amended", "corrected") else UNKNOWN
    for part in (resource, *mappings(resource.get("component"))):
        concepts = concepts_of(draft, Codes.read(part.get("code")))
        value = read_value(draft, reference, part)
        if part is resource and value.absent and "component" in resource and "dataAbsentReason" not in resource:
            continue  # a panel: its components have the values
        for concept in concepts:
            observe(draft, concept, value, span, reference, status=certain, ranges=part.get("referenceRange"))
        if value.codes and not concepts:
            _named_by_value(draft, value.codes, span, reference, certain)


def _named_by_value(draft: Draft, codes: Codes, span: Span, reference: str, certain: int) -> None:
    """A symptom named by the value is a yes. A disease named so may be a relative's, or only suspected: it asks."""
    for concept in concepts_of(draft, codes):
        kind = draft.knowledge.concepts[concept].kind
        if kind == "finding":
            observe(draft, concept, Value(truth=YES), span, reference, status=certain)
        elif kind == "condition":
            observe(draft, concept, Value(truth=YES), span, reference, status=UNKNOWN)
            said = f"{shown(codes.text or concept)} stands as the value of an observation whose code is not known here"
            draft.problem(reference, said, "Is it a diagnosis of this person? Record it as a condition.")


def _members_inside(panel: Resource) -> Iterator[Resource]:
    """The members of a panel that are contained in it; a time that one does not have is that of the panel."""
    times = {key: panel[key] for key in TIMES if key in panel}
    inside = {f"#{c.get('id')}": c for c in mappings(panel.get("contained")) if c.get("resourceType") == "Observation"}
    for member in mappings(panel.get("hasMember")):
        if found := inside.get(str(member.get("reference"))):
            yield found if any(key in found for key in TIMES) else {**found, **times}


def observe(
    draft: Draft,
    concept_id: str,
    value: Value,
    span: Span,
    reference: str,
    *,
    status: int = YES,
    ranges: Any = None,
) -> None:
    """One value of one concept, whatever its kind."""
    concept = draft.knowledge.concepts[concept_id]
    if value.span and concept.time == "event" and concept.kind not in NUMERIC:
        evidence = Evidence(reference=reference, concept=concept_id, value=value.shown, at=draft.at(value.span))
        draft.add(concept_id, value.span, evidence, code="yes", status=status)
        return
    unit = (value.unit or value.unit_text) if value.is_number else ""
    evidence = Evidence(reference=reference, concept=concept_id, value=value.shown, unit=unit, at=draft.at(span))
    if concept.kind in NUMERIC:
        _measure(draft, concept, value, span, evidence, status, mappings(ranges))
        return
    answer = answer_of(draft, concept, value)
    if not answer:
        if not value.absent:
            said = f"the answer for {concept.title} is not understood"
            draft.problem(reference, said, concept.ask, concept=concept_id)
        draft.add(concept_id, span, evidence, status=UNKNOWN)
        return
    if answer == "yes" and concept.kind != "answer" and concept.time == "until" and span[0] <= draft.now.ms:
        span = (span[0], draft.now.ms) if concept.ages[draft.phase] else present(draft)  # a state lasts until it ends
    draft.add(concept_id, span, evidence, code=answer, status=NO if answer == "no" and status == YES else status)


def _measure(
    draft: Draft,
    concept: Concept,
    value: Value,
    span: Span,
    evidence: Evidence,
    status: int,
    ranges: Sequence[Resource],
) -> None:
    low, high = _number(draft, concept, value, evidence.reference)
    for bound in ends(low, high):  # a number that cannot be read was perhaps never measured
        draft.add(concept.id, span, evidence, value=bound, status=status if bound == bound else UNKNOWN)
    multiple = f"{concept.id}_xuln"
    if multiple in draft.knowledge.concepts:
        least, most = _upper_limit(concept, ranges)
        evidence = Evidence(
            reference=evidence.reference, concept=multiple, value=evidence.value, unit=evidence.unit, at=evidence.at
        )
        for bound in ends(low / most, high / least):
            draft.add(multiple, span, evidence, value=bound, status=status)


def _number(draft: Draft, concept: Concept, value: Value, reference: str) -> tuple[float, float]:
    """Both bounds in the concept's own unit; NaN, with a problem that says why, where that cannot be had."""
    ordinal = value.ordinal if value.ordinal is not None else _listed_ordinal(draft, value)
    ordinal = ordinal if ordinal is not None else _worded_ordinal(draft, value, concept.id)
    said, low, high = "", value.low, value.high
    if ordinal is not None:
        low = high = ordinal
    elif value.is_number:
        try:
            low, high = in_unit(value, concept)
        except AdjunctError as error:
            said = str(error)
    elif not value.absent:
        said = f"{concept.title} is not given as a number"
    if concept.plausible and (high < concept.plausible[0] or low > concept.plausible[1]):
        said = said or f"{concept.title} is outside what can be measured, so it is not used"
    if said:
        draft.problem(reference, said, concept.ask, concept=concept.id)
        return float("nan"), float("nan")
    return low, high


def _listed_ordinal(draft: Draft, value: Value) -> float | None:
    """The number that an answer code of a known list stands for."""
    table = draft.knowledge.content["knowledge"]["ordinals"]
    pairs = value.codes.pairs if value.codes else ()
    return next((float(table[f"{s}|{c}"]) for s, c in pairs if f"{s}|{c}" in table), None)


def _worded_ordinal(draft: Draft, value: Value, concept: str) -> float | None:
    """The number of an answer that is given in the words of its instrument."""
    if not (value.text or value.codes):
        return None
    from adjunct.instruments.responses import in_words, item_of  # late: most records hold numbers

    item = item_of(draft.knowledge, concept)
    words = (value.text, *value.codes.names) if value.codes else (value.text,)
    said = {in_words(text, item) for text in words if text} - {None} if item else set()
    return said.pop() if len(said) == 1 else None


def _upper_limit(concept: Concept, ranges: Sequence[Resource]) -> tuple[float, float]:
    """The report's own upper limit, as an interval over its normal ranges; NaN when it has none: then it is unknown."""
    limits = []
    for entry in ranges:
        normal = "type" not in entry or any(code == "normal" for _, code in Codes.read(entry["type"]).pairs)
        if normal and isinstance(entry.get("high"), Mapping):
            try:
                limits.append(in_unit(quantity_of(entry["high"]), concept)[0])
            except AdjunctError:
                continue
    if not limits or any(not 0 < limit < INFINITY for limit in limits):
        return float("nan"), float("nan")
    return min(limits), max(limits)


# --- conditions -------------------------------------------------------------------------------------------------------


def condition(draft: Draft, resource: Resource, reference: str) -> None:
    """A diagnosis: confirmed, refuted or open; ongoing, or over since a time that may be partial."""
    verification = one_of(resource.get("verificationStatus"), VERIFICATION)
    if verification == "entered-in-error":
        return
    codes = Codes.read(resource.get("code"))
    concepts, text_only = concepts_of(draft, codes), False
    if not concepts:
        concepts, text_only = _named(draft, codes, reference), True
    status = YES
    if verification in OPEN_VERIFICATION or text_only:
        status = UNKNOWN
    elif verification == "refuted":
        status = NO
    for concept_id in concepts:
        concept = draft.knowledge.concepts[concept_id]
        if concept.kind not in STATED:
            continue
        span = _denied_span(draft, resource, reference) if status == NO else None
        span = span or _condition_span(draft, resource, reference, concept)
        said = codes.text or concept.title
        evidence = Evidence(reference=reference, concept=concept_id, value=said, at=draft.at(span), text_only=text_only)
        draft.add(concept_id, span, evidence, code="no" if status == NO else "yes", status=status)


def _named(draft: Draft, codes: Codes, reference: str) -> list[str]:
    """The concepts that the words of an entry name. A name is no code: it asks."""
    table = draft.knowledge.concepts_by_name
    whole = [c for name in codes.names for c in table.get(fold(name), ())]
    concepts = list(
        dict.fromkeys(whole or (c for name in codes.names for c in draft.knowledge.conditions_within(name)))
    )
    if concepts:
        said = f"a condition is known only by its name: {shown(codes.text)}"
        draft.problem(reference, said, "Code this entry, or confirm it with the person.")
    elif not any(system in draft.knowledge.content["knowledge"]["prefix_systems"] for system, _ in codes.pairs):
        # An ICD-10 code that is in no list is something else; of any other code that cannot be said.
        name = shown(codes.text) if codes.text else "an entry without a name"
        said = f"{name} has no code that is known here, so it was not looked at"
        draft.problem(reference, said, "Code this entry with ICD-10-CM.")
    return concepts


def _condition_times(resource: Resource, stem: str) -> Any:
    return resource.get(f"{stem}DateTime") or resource.get(f"{stem}Period")


def _denied_span(draft: Draft, resource: Resource, reference: str) -> Span:
    """A refuted entry speaks of the time that it bears; without one it speaks of now."""
    when = _condition_times(resource, "onset") or resource.get("recordedDate")
    return span_of(draft, reference, when) if when else present(draft)


def _condition_span(draft: Draft, resource: Resource, reference: str, concept: Concept) -> Span:
    """An event: when it was. A state: the last moment at which it held."""
    now = draft.now.ms
    onset, recorded = _condition_times(resource, "onset"), resource.get("recordedDate")
    began = span_of(draft, reference, onset, recorded)
    if began[0] > now:
        return began
    if not onset:
        began = (PAST, began[1])  # it was recorded then, and began at some time before
    if concept.time == "event":
        return began
    clinical = one_of(resource.get("clinicalStatus"), ONGOING | OVER)
    if (ended := _condition_times(resource, "abatement")) is not None:
        low, high = span_of(draft, reference, ended)
        if low > now:
            return now, now
        return (low, now) if clinical in ONGOING else (low, high)  # said to be over and ongoing: possibly ongoing
    told_over = any(key.startswith("abatement") for key in resource)  # an age, a range, words
    if clinical in OVER or (told_over and clinical not in ONGOING):
        return began[0], now - 1
    return (began[0], now) if clinical == "?" or told_over else (now, now)


# --- allergies --------------------------------------------------------------------------------------------------------


def allergy(draft: Draft, resource: Resource, reference: str) -> None:
    """An allergy or intolerance to a substance; any such entry also shows that allergies were asked."""
    verification = one_of(resource.get("verificationStatus"), VERIFICATION)
    clinical = one_of(resource.get("clinicalStatus"), ONGOING | OVER)
    if verification == "entered-in-error":
        return
    codes = Codes.read(resource.get("code"))
    span = span_of(draft, reference, resource.get("recordedDate"), resource.get("onsetDateTime"))
    certain = UNKNOWN if verification in OPEN_VERIFICATION else YES
    concepts = concepts_of(draft, codes)
    stated = {c: certain for c in concepts if verification != "refuted"} | {"allergies_asked": YES}
    for concept, status in stated.items():
        evidence = Evidence(reference=reference, concept=concept, value=codes.text, at=draft.at(span))
        draft.add(concept, span, evidence, code="yes", status=status)
    if concepts or verification == "refuted" or clinical in OVER:
        return
    reactions = (Codes.read(r["substance"]) for r in mappings(resource.get("reaction")) if "substance" in r)
    found: dict[str, bool] = {}
    for part in (codes, *reactions):
        substances, text_only = substances_of(draft, part)
        found |= {s: text_only and found.get(s, True) for s in substances}
    for substance, text_only in found.items():
        evidence = Evidence(
            reference=reference,
            concept="allergy",
            value=codes.text or substance,
            at=draft.at(span),
            text_only=text_only,
        )
        draft.add("allergy", present(draft), evidence, code=substance, status=certain)
    if not found:
        name = shown(codes.text) if codes.text else "something without a name"
        said = f"an allergy to {name} is not matched to any substance known here"
        draft.problem(reference, said, "Is it to one of the medicines or an ingredient of the treatment? Code it.")


def substances_of(draft: Draft, codes: Codes) -> tuple[tuple[str, ...], bool]:
    """Substances by code, else by the whole name as written; the second tells whether only the name was known."""
    found = [draft.knowledge.substances_by_code.get(pair) for pair in codes.pairs]
    if any(found):
        return tuple(dict.fromkeys(s for s in found if s)), False
    named = (draft.knowledge.substances_by_name.get(fold(name), ()) for name in codes.names)
    return next((ids for ids in named if ids), ()), True


# --- what was done, arranged, agreed ----------------------------------------------------------------------------------


def procedure(draft: Draft, resource: Resource, reference: str) -> None:
    """Something done to the person: present from then on."""
    status = resource.get("status")
    if status in DROPPED or status in ("preparation", "on-hold"):
        return
    span = span_of(draft, reference, resource.get("performedDateTime"), resource.get("performedPeriod"))
    done = {"not-done": NO, "stopped": UNKNOWN, "unknown": UNKNOWN}.get(str(status), YES)
    _coded_fact(draft, Codes.read(resource.get("code")), span, reference, done)


def encounter(draft: Draft, resource: Resource, reference: str) -> None:
    """A visit that took place: what its type says was done; a symptom it was for; a disease it was for only asks."""
    if resource.get("status") in (*DROPPED, "planned"):
        return
    span = span_of(draft, reference, resource.get("period"))
    for kind in listed(resource.get("type")):
        _coded_fact(draft, Codes.read(kind), span, reference, YES)
    for reason in listed(resource.get("reasonCode")):
        _named_by_value(draft, Codes.read(reason), span, reference, YES)


def service_request(draft: Draft, resource: Resource, reference: str) -> None:
    """An order counts only for facts of which "arranged" is an answer: an ordered test is not a test that was done."""
    if resource.get("status") not in ("active", "completed") or resource.get("intent") not in REQUESTED:
        return
    if resource.get("doNotPerform") is True:
        return
    span = span_of(draft, reference, resource.get("authoredOn"))
    for concept in concepts_of(draft, Codes.read(resource.get("code"))):
        if "arranged" in draft.knowledge.answers[concept]:
            observe(draft, concept, Value(text="arranged"), span, reference)


def consent(draft: Draft, resource: Resource, reference: str) -> None:
    """Treatment consent: signed while active and permitting, declined if rejected, withdrawn if inactive or denied."""
    scopes = {code for _, code in Codes.read(resource.get("scope")).pairs}
    status = resource.get("status")
    if "treatment" not in scopes or status not in ("active", "inactive", "rejected"):
        return
    provision = resource.get("provision")
    provision = provision if isinstance(provision, Mapping) else {}
    answer = {"active": "signed", "rejected": "declined"}.get(status, "withdrawn")
    answer = "withdrawn" if provision.get("type") == "deny" and answer == "signed" else answer
    covers = span_of(draft, reference, provision.get("period"))
    span = span_of(draft, reference, resource.get("dateTime"))
    if answer == "signed" and not covers[0] <= draft.now.ms <= covers[1]:
        ask = draft.knowledge.concepts["consent"].ask
        draft.problem(reference, "the consent is for a time that does not cover now", ask, concept="consent")
        return
    draft.add(
        "consent", span, Evidence(reference=reference, concept="consent", value=answer, at=draft.at(span)), code=answer
    )


def related_person(draft: Draft, resource: Resource, reference: str) -> None:
    """A person named as escort for this visit."""
    if resource.get("active") is False:
        return
    span = span_of(draft, reference, resource.get("period"))
    if "period" in resource and span[0] <= draft.now.ms <= span[1]:
        span = present(draft)
    for concept in dict.fromkeys(
        c for role in listed(resource.get("relationship")) for c in concepts_of(draft, Codes.read(role))
    ):
        evidence = Evidence(reference=reference, concept=concept, value="named", at=draft.at(span))
        draft.add(concept, span, evidence, code="yes")


def _coded_fact(draft: Draft, codes: Codes, span: Span, reference: str, status: int) -> None:
    """What a code states by itself, where the concept has a word for that: a test that was done has no result yet."""
    for concept_id in concepts_of(draft, codes):
        concept = draft.knowledge.concepts[concept_id]
        words = ("not-done", "no") if status == NO else ("done", "yes")
        answer = next((word for word in words if word in (concept.answers or ("yes", "no"))), "")
        if concept.kind not in STATED or not answer:
            continue
        lasts = concept.time == "until" and concept.kind != "answer" and status != NO and span[0] <= draft.now.ms
        when = present(draft) if lasts else span
        said = codes.text or concept.title
        evidence = Evidence(reference=reference, concept=concept_id, value=said, at=draft.at(span))
        draft.add(concept_id, when, evidence, code=answer, status=YES if answer == "not-done" else status)


# --- the person -------------------------------------------------------------------------------------------------------


def patient(draft: Draft, resource: Resource, reference: str) -> None:
    """Birth date and sex at birth. Administrative gender `male` alone does not settle sex at birth."""
    if resource.get("deceasedBoolean") is True or resource.get("deceasedDateTime"):
        draft.died = True
        said = "the person is recorded as having died"
        draft.problem(reference, said, "Is this the right record? Correct it.", blocks=True)
    _age(draft, resource.get("birthDate"), reference)
    sex = next((e.get("valueCode") for e in mappings(resource.get("extension")) if e.get("url") == BIRTH_SEX), None)
    answer = {"F": "female", "M": "male"}.get(str(sex), "female" if resource.get("gender") == "female" else "")
    if answer:
        evidence = Evidence(reference=reference, concept="sex_at_birth", value=answer)
        draft.add("sex_at_birth", present(draft), evidence, code=answer)


def _age(draft: Draft, birth: Any, reference: str) -> None:
    """Completed years; a partial birth date leaves two ages, and then unknown what lies between them."""
    low, high = span_of(draft, reference, birth)
    if low == PAST:
        return
    if low > draft.now.ms:
        draft.refusal = "the birth date is in the future, so nobody can tell the age: correct it"
        return
    concept = draft.knowledge.concepts["age"]
    ages = sorted({years_between(min(high, draft.now.ms), draft), years_between(low, draft)})
    if concept.plausible and not concept.plausible[0] <= ages[0] <= ages[-1] <= concept.plausible[1]:
        said = "the birth date makes the person older than anyone"
        draft.problem(reference, said, "Correct the birth date.", concept="age", blocks=True)
        return
    value = "\u2013".join(f"{years:g}" for years in ages)
    for years in ages:
        evidence = Evidence(reference=reference, concept="age", value=value, unit="a", at=draft.at(present(draft)))
        draft.add("age", present(draft), evidence, value=years)


def years_between(birth_ms: int, draft: Draft) -> float:
    """Completed years at `now`, by the calendar."""
    zone = timezone(draft.now.offset)
    born, today = (datetime.fromtimestamp(ms / MS_PER_SECOND, tz=zone) for ms in (birth_ms, draft.now.ms))
    return float(today.year - born.year - ((today.month, today.day) < (born.month, born.day)))
