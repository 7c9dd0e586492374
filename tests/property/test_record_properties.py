"""What must hold for every record: order, noise and loss never make an answer surer than it is."""

from __future__ import annotations

import copy
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import NO, UNKNOWN, BadInput, instant
from adjunct.fhir import read_bundle
from adjunct.knowledge.language import PHASES, atoms
from adjunct.record import Record, from_bundle
from bundles import (
    ICD10CM,
    LOCAL,
    NOW,
    RXNORM,
    answer,
    coding,
    cssrs,
    diagnosis,
    knowledge,
    last_use,
    medicine,
    no_known_allergy,
    number,
    person,
    pressure,
)

DAYS = (
    "2026-11-21T08:00:00-06:00",
    "2026-11-21",
    "2026-11-19",
    "2026-11",
    "2026-08-01",
    "2026",
    "2019-05",
    "2027-01-01",
)
ATTESTATIONS = ("history_reviewed", "reconciled", "allergies_asked")


def resources() -> st.SearchStrategy[dict[str, Any]]:
    day = st.sampled_from(DAYS)
    icd = st.sampled_from(["J44.9", "I63.9", "I10", "F31.9", "R56.9", "M54.5", "I21.9"])
    clinical = st.sampled_from(["active", "resolved", "remission", "inactive"])
    substance = st.sampled_from(["sertraline", "phenelzine", "kratom-leaf", "diazepam", "citalopram", "naltrexone"])
    state = st.sampled_from(["active", "stopped", "completed", "unknown", "not-taken"])
    concept = st.sampled_from(["chest_pain", "pregnancy", "seizure", "copd", "escort", "suicide_evaluation"])
    word = st.sampled_from(
        ["kratom", "Nardil 15 mg", "blorptazine", "Sublocade 300 mg", "alprazolam, stopped 3 weeks ago"]
    )
    return st.one_of(
        st.builds(lambda c, d, s: diagnosis(c, c, onset=d, clinical=s), icd, day, clinical),
        st.builds(lambda n, s: medicine(n, n, 20, system=LOCAL, state=s), substance, state),
        st.builds(lambda n, s, d: medicine(n, n, system=LOCAL, state=s, end=d), substance, state, day),
        st.builds(lambda w: {**medicine("", w), "medicationCodeableConcept": {"text": w}}, word),
        st.builds(lambda c, a, d: answer(c, a, d), concept, st.booleans(), day),
        st.builds(lambda v, d: number("weight", v, "kg", d), st.integers(40, 140), day),
        st.builds(lambda v, d: number("phq9", v, "{score}", d), st.integers(0, 27), day),
        st.builds(lambda v, w, d: pressure(v, w, d), st.integers(80, 220), st.integers(40, 120), day),
        st.builds(lambda a, d: cssrs(d, q4=a)[0], st.booleans(), day),
        st.builds(last_use, substance, st.sampled_from(DAYS[:5])),
        st.builds(no_known_allergy, day),
    )


def attestations() -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.builds(answer, st.sampled_from(ATTESTATIONS), st.booleans(), st.sampled_from(DAYS))
    return st.lists(one, max_size=4)


people = st.lists(resources(), max_size=6)
phases = st.sampled_from(PHASES)


def bundle_of(facts: list[dict[str, Any]]) -> dict[str, Any]:
    return person(age=40, sex="F", extra=[{**fact, "id": f"r{i}"} for i, fact in enumerate(facts)])


def record_of(bundle: dict[str, Any], phase: str) -> Record:
    return from_bundle(read_bundle(bundle), knowledge(), now=instant(NOW), phase=phase)


def truths(record: Record) -> list[tuple[int, ...]]:
    """Each rule's outcome over all readings of the record, as a set."""
    found = knowledge().program(record.phase).run(record.events).truths
    return [tuple(sorted(set(row))) for row in found.tolist()]


@given(people, attestations(), phases, st.randoms(use_true_random=False))
def test_the_order_of_entries_changes_nothing(
    facts: list[dict[str, Any]], attested: list[dict[str, Any]], phase: str, dice: random.Random
) -> None:
    bundle = bundle_of([*facts, *attested])
    mixed = copy.deepcopy(bundle)
    dice.shuffle(mixed["entry"])
    one, other = record_of(bundle, phase), record_of(mixed, phase)
    assert truths(one) == truths(other)
    assert one.evidence == other.evidence
    assert one.problems == other.problems
    assert one.attested == other.attested


@given(people, attestations(), phases)
def test_a_resource_of_no_interest_changes_no_finding(
    facts: list[dict[str, Any]], attested: list[dict[str, Any]], phase: str
) -> None:
    noise: list[dict[str, Any]] = [
        {"resourceType": "Immunization", "id": "n1", "status": "completed", "patient": {"reference": "Patient/p"},
         "vaccineCode": {"text": "tetanus"}, "occurrenceDateTime": "2020"},
        {**diagnosis("M54.5", "Low back pain"), "id": "n2"},
        {**number("nothing", 3, "kg", loinc="99999-9"), "id": "n3"},
    ]  # fmt: skip
    bundle = bundle_of([*facts, *attested])
    more = {**bundle, "entry": [*bundle["entry"], *({"resource": n} for n in noise)]}
    assert truths(record_of(bundle, phase)) == truths(record_of(more, phase))


@given(people, attestations(), phases)
def test_without_its_attestations_a_record_denies_less(
    facts: list[dict[str, Any]], attested: list[dict[str, Any]], phase: str
) -> None:
    """Taking an attestation away never turns unknown into no, nor anything into the contrary."""
    attested = [a for a in attested if a["valueBoolean"]]  # one that is taken back says something by itself
    with_, without = record_of(bundle_of([*facts, *attested]), phase), record_of(bundle_of(facts), phase)
    rules = enumerate(knowledge().rule_list)
    asked = {n for n, rule in rules if not any(atom.concept in ATTESTATIONS for atom in atoms(rule.when))}
    for number_, (before, after) in enumerate(zip(truths(with_), truths(without), strict=True)):
        if number_ in asked and UNKNOWN not in after:
            assert after == before, knowledge().rule_list[number_].id


@given(people, st.data(), phases)
def test_what_is_erased_becomes_unknown_and_nothing_else(
    facts: list[dict[str, Any]], data: st.DataObject, phase: str
) -> None:
    """A value replaced by "not known" may open an answer; it never closes or turns one."""
    valued = [i for i, f in enumerate(facts) if "valueQuantity" in f or "valueBoolean" in f]
    if not valued:
        return
    which = data.draw(st.sampled_from(valued))
    erased = [dict(f) for f in facts]
    for key in ("valueQuantity", "valueBoolean"):
        erased[which].pop(key, None)
    erased[which]["dataAbsentReason"] = coding("http://x", "unknown")
    before, after = truths(record_of(bundle_of(facts), phase)), truths(record_of(bundle_of(erased), phase))
    for rule, old, new in zip(knowledge().rule_list, before, after, strict=True):
        if UNKNOWN not in new and "suicide" not in rule.text:  # an evaluation that is erased leaves the risk unanswered
            assert new == old, rule.id


@given(people, st.data(), phases)
def test_silence_is_never_a_no(facts: list[dict[str, Any]], data: st.DataObject, phase: str) -> None:
    """Without an attestation, a condition or medicine that is taken out of the record leaves unknown behind."""
    listed = [i for i, f in enumerate(facts) if f["resourceType"] in ("Condition", "MedicationStatement")]
    if not listed:
        return
    which = data.draw(st.sampled_from(listed))
    fewer = record_of(bundle_of([f for i, f in enumerate(facts) if i != which]), phase)
    absent = {c: fewer.events.absent[n, 0] for c, n in knowledge().vocabulary.concepts.items()}
    for concept in ("substance", "copd", "seizure_disorder", "bipolar_disorder", "hypertension"):
        assert absent[concept] != NO


@given(people, attestations(), phases)
def test_every_row_refers_to_a_resource_of_the_bundle(
    facts: list[dict[str, Any]], attested: list[dict[str, Any]], phase: str
) -> None:
    bundle = read_bundle(bundle_of([*facts, *attested]))
    record = from_bundle(bundle, knowledge(), now=instant(NOW), phase=phase)
    known = {entry.reference for entry in bundle.resources}
    assert {e.reference for e in record.evidence} <= known
    assert all(0 <= s < len(record.evidence) for s in record.events.source.tolist())
    assert all(record.events.t0 <= record.events.t1)


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.text(max_size=8),
    st.just([]), st.just({}), st.just([[]]), st.just({"coding": [None]}), st.sampled_from(DAYS),
)  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return found + [p for key, child in steps for p in places(child, (*path, key))]


@given(people, attestations(), phases, st.data())
def test_a_broken_bundle_gives_a_record_or_bad_input(
    facts: list[dict[str, Any]], attested: list[dict[str, Any]], phase: str, data: st.DataObject
) -> None:
    more = [
        diagnosis("I63.9", "Stroke"),
        {**medicine("36437", "sertraline", 50, system=RXNORM), "note": [{"text": "x"}]},
    ]
    bundle = copy.deepcopy(
        bundle_of([*facts, *attested, *more, {**diagnosis("I10", "x"), "code": coding(ICD10CM, "I10")}])
    )
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(places(bundle)))
        node: Any = bundle
        for step in way:
            node = node[step]
        if data.draw(st.booleans()):
            node[last] = data.draw(JUNK)
        elif isinstance(node, dict):
            del node[last]
    try:
        record = record_of(bundle, phase)
    except BadInput:
        return
    truths(record)
