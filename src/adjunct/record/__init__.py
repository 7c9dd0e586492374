"""What is known of one person: a FHIR bundle, or a list in their own words, as a `Record`.

Every known value keeps its reference, every unknown its reason. Which FHIR elements and codes are read for each fact is
generated into `docs/reference/record.md` from the same declarations that this room reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from adjunct.base import UNKNOWN, YES, BadInput, Instant, shown
from adjunct.fhir import Bundle, Entry
from adjunct.items import Item, Reader
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import ATTESTATIONS, fold
from adjunct.record import dosing, medicines, reading
from adjunct.record.derived import derive
from adjunct.record.draft import PAST, Draft, Evidence, Intake, Problem, Record
from adjunct.record.medicines import MEDICATIONS
from adjunct.record.values import DROPPED, Resource, ever, present

if TYPE_CHECKING:
    from adjunct.record.questionnaires import ItemCodes

__all__ = ["Evidence", "Intake", "Problem", "Record", "from_bundle", "from_items", "reader_of"]

FORMS = frozenset({"Questionnaire", "QuestionnaireResponse"})
READERS: dict[str, Callable[[Draft, Resource, str], None]] = {
    "Patient": reading.patient,
    "Condition": reading.condition,
    "AllergyIntolerance": reading.allergy,
    "Observation": reading.observation,
    "Procedure": reading.procedure,
    "Encounter": reading.encounter,
    "RelatedPerson": reading.related_person,
    "Consent": reading.consent,
    "ServiceRequest": reading.service_request,
}


@cache
def reader_of(knowledge: Knowledge) -> Reader:
    """The reader of people's own words over this knowledge's names and phrases."""
    return Reader(knowledge.content["names"], knowledge.content["phrases"])


def from_bundle(bundle: Bundle, knowledge: Knowledge, *, now: Instant, phase: str, country: str = "") -> Record:
    """Read a FHIR R4 bundle of one person as it stands at `now`, for one phase of care."""
    draft = Draft(knowledge, now, phase)
    for problem in bundle.problems:
        if problem.blocks:
            where = problem.reference or problem.at
            draft.problem(where, problem.message, "Ask the sender for a corrected record.", blocks=True)
    forms: dict[str, ItemCodes] = {}
    if any(_kind(e) in FORMS for e in bundle.resources):
        from adjunct.record import questionnaires  # late: a list of medicines needs no instruments

        forms = questionnaires.item_codes(e.resource for e in bundle.resources if _kind(e) == "Questionnaire")
    readable = [e for e in bundle.resources if not e.uninterpretable]
    # Medicines last: they ask for stated last uses. By reference, so that the order of entries changes nothing.
    for entry in sorted(readable, key=lambda e: (_kind(e) in MEDICATIONS, e.reference)):
        _read(draft, entry, bundle, forms)
    derive(draft)
    return draft.finish(_attested(draft), country=country, patient=bundle.patient_reference)


def _read(draft: Draft, entry: Entry, bundle: Bundle, forms: Mapping[str, ItemCodes]) -> None:
    kind, resource, mark = _kind(entry), entry.resource, draft.mark()
    try:
        if kind in MEDICATIONS:
            medicines.medication(
                draft,
                resource,
                entry.reference,
                lambda r: _resolve(bundle, r, entry),
                lambda: reader_of(draft.knowledge),
            )
        elif kind == "Observation" and medicines.states_last_use(resource):
            if resource.get("status") not in DROPPED:
                medicines.last_use(draft, resource, entry.reference, lambda: reader_of(draft.knowledge))
        elif kind == "QuestionnaireResponse":
            from adjunct.record import questionnaires

            codes = questionnaires.codes_for(resource, forms)
            questionnaires.questionnaire_response(draft, resource, entry.reference, codes)
        elif kind in READERS:
            READERS[kind](draft, resource, entry.reference)
    except (AttributeError, TypeError, ValueError, KeyError, OverflowError):
        # A resource of the wrong shape: nothing of it is used half-read, and the person who sent it is told which one.
        draft.undo(mark)
        said = f"this {kind} does not have the shape of FHIR R4, so it is not read"
        draft.problem(entry.reference, said, "Correct the resource.", blocks=True)


def _kind(entry: Entry) -> str:
    return str(entry.resource.get("resourceType", ""))


def _resolve(bundle: Bundle, reference: Any, entry: Entry) -> Resource | None:
    text = reference.get("reference") if isinstance(reference, dict) else None
    found = bundle.resolve(text, entry) if isinstance(text, str) else None
    return found.resource if found and not found.uninterpretable else None


def _attested(draft: Draft) -> list[str]:
    """The attestations that hold: said yes, certainly within their age limit, and not taken back later."""
    held = []
    for kind, concept in ATTESTATIONS.items():
        limit = draft.now.ms - draft.knowledge.concepts[concept].ages[draft.phase]
        given = [r.t0 for r in draft.seen.get(concept, ()) if r.status == YES and r.t0 >= limit]
        taken_back = [r.t1 for r in draft.seen.get(concept, ()) if r.status != YES]
        if given and max(given) > max(taken_back, default=limit - 1):
            held.append(kind)
    return held


def from_items(
    texts: Sequence[str],
    knowledge: Knowledge,
    *,
    conditions: Sequence[str] = (),
    age_years: float | None = None,
    now: Instant,
    country: str = "",
    jurisdiction: str = "",
) -> tuple[Record, tuple[Item, ...]]:
    """Read what somebody wrote that they take. The list itself is what was asked about, so it counts as complete."""
    draft = Draft(knowledge, now, "intake")
    reader = reader_of(knowledge)
    items = tuple(reader.read(text) for text in texts)
    for number, item in enumerate(items):
        _take(draft, item, f"items[{number}]")
    for number, text in enumerate(conditions):
        _state(draft, text, f"conditions[{number}]")
    if age_years is not None:
        low, high = knowledge.concepts["age"].plausible or (age_years, age_years)
        if not low <= age_years <= high:
            raise BadInput(f"an age of {age_years:g} years is nobody's: write {low:g} to {high:g}", "age")
        evidence = Evidence(reference="age", concept="age", value=f"{age_years:g}", unit="a")
        draft.add("age", present(draft), evidence, value=age_years)
    derive(draft)
    return draft.finish(["reconciled"], country=country, jurisdiction=jurisdiction), items


def _take(draft: Draft, item: Item, reference: str) -> None:
    options = medicines.item_options(draft, item)
    if item.status == "allergy":
        for substance in dict.fromkeys(s for ids in options.values() for s in ids):
            evidence = Evidence(reference=reference, concept="allergy", value=item.text)
            status = YES if len(options) == 1 else UNKNOWN
            draft.add("allergy", present(draft), evidence, code=substance, status=status)
        return
    if item.status == "planned" or not options:
        return
    used = medicines.item_last_use(draft, item)
    before = used or (PAST, draft.now.ms - 1)
    t0, t1 = before if item.status == "stopped" else present(draft)
    words = " ".join(filter(None, (item.text, item.read_as, item.route, item.form)))
    t0, t1, _ = medicines.depot(draft, options, words, (t0, t1, YES))
    draft.take(
        Intake(
            reference=reference,
            options=options,
            text=item.text,
            t0=t0,
            t1=t1,
            per_day_mg=dosing.item_per_day_mg(item),
            times_a_day=dosing.item_times_a_day(item),
            last_use=used,
            denied=item.status == "not-taken",
            as_needed=item.as_needed,
        )
    )


def _state(draft: Draft, text: str, reference: str) -> None:
    """A condition that the asker names counts as stated; one that is not understood stays open."""
    named = draft.knowledge.concepts_by_name.get(fold(text)) or (text,)
    concepts = [draft.knowledge.concepts[c] for c in named if c in draft.knowledge.concepts]
    concepts = [c for c in concepts if c.kind in ("condition", "finding")]
    if not concepts:
        said = f"the condition {shown(text)} is not known here and was not checked"
        draft.problem(reference, said, "Write it another way.", blocks=True)
    for concept in concepts:
        # A symptom that is named is meant as of now; an event such as a stroke may be long ago.
        span = ever(draft) if concept.kind == "condition" and concept.time == "event" else present(draft)
        draft.add(concept.id, span, Evidence(reference=reference, concept=concept.id, value=text), code="yes")
