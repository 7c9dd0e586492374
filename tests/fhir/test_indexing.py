"""What a search parameter finds in a resource, type by type, as R4 3.1.1 describes it."""

from __future__ import annotations

import copy
import unicodedata
from collections import Counter, defaultdict
from decimal import Decimal
from functools import cache

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import MS_PER_DAY, instant
from adjunct.fhir import definitions, indexing
from adjunct.fhir.criteria import INFINITE
from adjunct.fhir.indexing import UCUM, canonical, cut, fold, identifier_index, interval, referred, text_index
from adjunct.fhir.path import compile_path
from fhir_corpora import examples_folder

LOINC = "http://loinc.org"
SHORTEST = 30  # examples of a type that are looked at twice
BP = {"coding": [{"system": LOINC, "code": "85354-9", "display": "Blood pressure panel"}], "text": "Blutdruck, Döner"}
MMHG = {"value": 120, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
SYSTOLIC = {"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}, "valueQuantity": MMHG}
DIASTOLIC = {"code": {"coding": [{"system": LOINC, "code": "8462-4"}]}, "valueQuantity": MMHG | {"value": 80}}


def found(type_name, elements, name, *, of=lambda index: index, kind=None):
    """The rows of one parameter, without the index; `of` leads to an index beside it."""
    parameter = definitions.parameters(type_name)[name]
    rows = getattr(indexing.rows({"resourceType": type_name, **elements}), kind or parameter.type)
    return [row[1:] for row in rows if row[0] == of(parameter.index)]


def ms(text):
    return instant(text).ms


TELECOM = {"telecom": [{"system": "phone", "use": "home", "value": "5"}, {"system": "email", "value": "a@b"}]}
# type, elements, parameter, rows: code, element, system
TOKENS = [
    ("Observation", {"status": "final"}, "status", [("final", 0, "")]),
    ("Observation", {"code": BP}, "code", [("85354-9", 0, LOINC)]),
    ("Observation", {"code": {"coding": [{"code": "a"}, {"system": "s"}]}}, "code", [("a", 0, ""), ("", 0, "s")]),
    # Said in words only is not the same as missing.
    ("Observation", {"code": {"text": "headache"}}, "code", [("", 0, "")]),
    ("Patient", {"active": False}, "active", [("false", 0, "")]),
    ("Patient", {"identifier": [{"system": "urn:mrn", "value": "7"}, {"value": "8"}]}, "identifier",
     [("7", 0, "urn:mrn"), ("8", 0, "")]),
    ("Patient", TELECOM,
     "telecom", [("5", 0, "home"), ("a@b", 0, "")]),
    ("Patient", TELECOM,
     "email", [("a@b", 0, "")]),
    ("Patient", {}, "deceased", [("false", 0, "")]),
    ("Patient", {"deceasedDateTime": "2026"}, "deceased", [("true", 0, "")]),
    ("Patient", {"deceasedBoolean": False}, "deceased", [("false", 0, "")]),
    ("Encounter", {"class": {"system": "s", "code": "AMB"}}, "class", [("AMB", 0, "s")]),
    ("Observation", {"meta": {"tag": [{"system": "t", "code": "HTEST"}]}}, "_tag", [("HTEST", 0, "t")]),
    ("MessageHeader", {"eventUri": "urn:e"}, "event", [("urn:e", 0, "")]),
    ("Group", {"characteristic": [{"valueBoolean": True}, {"valueCodeableConcept": {"coding": [{"code": "x"}]}}]},
     "value", [("true", 0, ""), ("x", 0, "")]),
    ("Patient", {"extension": [{"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "extension": [
        {"url": "ombCategory", "valueCoding": {"system": "urn:o", "code": "2028-9"}}]}]}, "race", [("2028-9", 0, "")]),
    ("Patient", {"gender": 7, "link": "x"}, "gender", []),  # no code
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "elements", "name", "rows"), TOKENS)
def test_tokens(type_name, elements, name, rows):
    assert found(type_name, elements, name) == rows


def test_words_beside_codes():
    words = [("blood pressure panel", 0, "Blood pressure panel"), ("blutdruck, doner", 0, "Blutdruck, Döner")]
    assert found("Observation", {"code": BP}, "code", of=text_index, kind="string") == words
    identifier = {"identifier": [{"type": {"text": "Chart"}, "value": "7"}]}
    assert found("Patient", identifier, "identifier", of=text_index, kind="string") == [("chart", 0, "Chart")]


def test_an_identifier_of_a_type():
    typed = {"type": {"coding": [{"system": "urn:v2", "code": "MR"}]}, "system": "urn:h", "value": "446|053"}
    rows = found("Patient", {"identifier": [typed]}, "identifier", of=indexing.type_index)
    assert rows == [("MR|446|053", 0, "urn:v2")]


def test_a_composite_keeps_what_belongs_together():
    """120 is systolic and 80 diastolic: the rows of one component carry its number, so that no others are paired."""
    panel = {"resourceType": "Observation", "code": BP, "component": [SYSTOLIC, DIASTOLIC]}
    rows = indexing.rows(panel)
    said = definitions.parameters("Observation")

    def pairs(name):
        code, value = said[name].components
        return {
            (c[1], q[1]) for c in rows.token for q in rows.quantity
            if (c[0], q[0]) == (code.index, value.index) and c[2] == q[3] and not q[2].startswith("=")
        }  # fmt: skip

    assert not said["component-code-value-quantity"].components[0].rooted
    assert pairs("component-code-value-quantity") == {("8480-6", 120), ("8462-4", 80)}
    panel["valueQuantity"] = MMHG | {"value": 93}
    rows = indexing.rows(panel)
    assert pairs("component-code-value-quantity") == {("8480-6", 120), ("8462-4", 80)}
    assert pairs("code-value-quantity") == {("85354-9", 93)}


COMBINED = [
    ("combo-code", {"code", "component-code"}),
    ("combo-code-value-quantity", {"code-value-quantity", "component-code-value-quantity"}),
    ("combo-value-quantity", {"value-quantity", "component-value-quantity"}),  # each of two branches
    ("code", set()),
    ("code-value-quantity", set()),
]


@pytest.mark.parametrize(("name", "parts"), COMBINED)
def test_what_others_find_together_has_no_rows_of_its_own(name, parts):
    """A row more is a page more to write: combined parameters ask in the rows of their parts."""
    observation = {"code": BP, "component": [SYSTOLIC], "valueQuantity": MMHG | {"value": 93}}
    asked = definitions.parameters("Observation")[name]
    assert {part.name for part in asked.parts} == parts
    own = {c.index for c in asked.components} or {asked.index}
    there = {row[0] for kind in indexing.rows({"resourceType": "Observation", **observation}) for row in kind}
    assert bool(own & there) == (not parts)


def test_a_composite_of_the_whole_resource_is_a_pair_of_parameters():
    code, value = definitions.parameters("Observation")["code-value-quantity"].components
    rows = indexing.rows({"resourceType": "Observation", "code": BP, "valueQuantity": MMHG})
    assert code.rooted
    assert value.rooted
    assert {row[2] for row in rows.token if row[0] == code.index} == {0}
    assert {row[3] for row in rows.quantity if row[0] == value.index} == {0}


def test_a_composite_part_that_belongs_to_the_resource():
    """MolecularSequence: the chromosome is said once, for every variant."""
    sequence = {
        "referenceSeq": {"chromosome": {"coding": [{"code": "1"}]}},
        "variant": [{"start": 5, "end": 6}, {"start": 9}],
    }
    rows = indexing.rows({"resourceType": "MolecularSequence", **sequence})
    parts = definitions.parameters("MolecularSequence")["chromosome-variant-coordinate"].components
    assert [row[1:3] for row in rows.token if row[0] == parts[0].index] == [("1", 0), ("1", 1)]
    assert [(row[1], row[3]) for row in rows.number if row[0] == parts[1].index] == [(5.0, 0), (9.0, 1)]


NAME = {"use": "official", "family": "Müller", "given": ["Åsa", "Maria  Eva"], "suffix": ["PhD"]}
HOME = {"line": ["Main St. 5"], "city": "Zürich", "postalCode": "8001", "country": "CH", "use": "home"}
# type, elements, parameter, rows: folded, element, as written
STRINGS = [
    ("Patient", {"name": [NAME]}, "name", [("muller", 0, "Müller"), ("asa", 0, "Åsa"),
                                           ("maria eva", 0, "Maria  Eva"), ("phd", 0, "PhD")]),
    ("Patient", {"name": [NAME]}, "family", [("muller", 0, "Müller")]),
    ("Patient", {"name": [NAME]}, "given", [("asa", 0, "Åsa"), ("maria eva", 0, "Maria  Eva")]),
    ("Patient", {"address": [HOME]}, "address", [("main st. 5", 0, "Main St. 5"), ("zurich", 0, "Zürich"),
                                                 ("ch", 0, "CH"), ("8001", 0, "8001")]),
    ("Patient", {"address": [HOME]}, "address-city", [("zurich", 0, "Zürich")]),
    ("Observation", {"valueString": "Mild"}, "value-string", [("mild", 0, "Mild")]),
    ("Observation", {"valueCodeableConcept": {"text": "Mild"}}, "value-string", [("mild", 0, "Mild")]),
    ("Patient", {"name": [{"family": 7, "given": "Ann"}]}, "name", [("ann", 0, "Ann")]),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "elements", "name", "rows"), STRINGS)
def test_strings(type_name, elements, name, rows):
    assert found(type_name, elements, name) == rows


# text, first moment, first moment after it
INTERVALS = [
    ("2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ("2026-02", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
    ("2024-12", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"),
    ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
    ("2026-11-22T09:30:00+01:00", "2026-11-22T08:30:00Z", "2026-11-22T08:30:01Z"),
    ("2026-11-22T09:30:00.25Z", "2026-11-22T09:30:00.250Z", "2026-11-22T09:30:00.260Z"),
    ("2026-11-22T09:30:00.1234567Z", "2026-11-22T09:30:00.123Z", "2026-11-22T09:30:00.124Z"),
    ("2026-11-22T09:30Z", "2026-11-22T09:30:00Z", "2026-11-22T09:31:00Z"),  # only a search may say it
    ("2026-11-22T09:30:00", "2026-11-22T09:30:00Z", "2026-11-22T09:30:01Z"),  # no zone: read in UTC
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", "2017-01-01T00:00:01Z"),  # a leap second
]


@pytest.mark.parametrize(("text", "low", "high"), INTERVALS)
def test_a_partial_date_is_an_interval(text, low, high):
    assert interval(text) == (ms(low), ms(high))


def test_the_ends_of_the_calendar():
    assert interval("9999-12") == (ms("9999-12-01T00:00:00Z"), interval("9999")[1])
    assert interval("9999")[1] == interval("9999-12-31T23:59:59Z")[1]
    assert interval("0001-01-01T00:00:00+14:00")[0] < interval("0001")[0] == interval("0001-01-01")[0]


@pytest.mark.parametrize(
    "text",
    ["", "20260101", "2026-W01-1", "2026-13", "2026-02-30", "2026-1", "0000", "in May", 2026, None, "２０２６",
     "2026-11-22T", "2026-11-22T24:00:00Z", "2026-11-22T09:30:61Z",
     "2026-11-22T09:30:00+99:00", "2026-11-22 09:30:00Z"],
)  # fmt: skip
def test_what_is_no_date_is_no_interval(text):
    assert interval(text) is None


DAY_1, DAY_2, DAY_3 = (interval(f"2026-11-0{n}") for n in (1, 2, 3))
# elements of an Observation, rows: low, high, element
DATES = [
    ({"effectiveDateTime": "2026-11-01"}, [(*DAY_1, 0)]),
    ({"effectiveInstant": "2026-11-01T00:00:00Z"}, [(DAY_1[0], DAY_1[0] + 1000, 0)]),
    ({"effectivePeriod": {"start": "2026-11-01", "end": "2026-11-02"}}, [(DAY_1[0], DAY_2[1], 0)]),
    ({"effectivePeriod": {"start": "2026-11-01"}}, [(DAY_1[0], INFINITE, 0)]),
    ({"effectivePeriod": {"end": "2026-11-01"}}, [(-INFINITE, DAY_1[1], 0)]),
    ({"effectivePeriod": {}}, []),
    ({"effectivePeriod": {"start": "2026-11-03", "end": "2026-11-01"}}, []),  # ends before it begins
    ({"effectiveTiming": {"event": ["2026-11-03", "2026-11-01"]}}, [(DAY_1[0], DAY_3[1], 0)]),
    ({"effectiveTiming": {"repeat": {"boundsPeriod": {"start": "2026-11-01", "end": "2026-11-02"}}}},
     [(DAY_1[0], DAY_2[1], 0)]),
    ({"effectiveTiming": {"repeat": {"frequency": 1}}}, []),
    ({"effectiveDateTime": "soon"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("elements", "rows"), DATES)
def test_dates(elements, rows):
    assert found("Observation", elements, "date") == rows


MG = {"value": 250, "unit": "mg", "system": UCUM, "code": "mg"}
# type, elements, parameter, rows: value, unit, element, system
QUANTITIES = [
    ("Observation", {"valueQuantity": MG}, "value-quantity", [(250.0, "mg", 0, UCUM), (0.25, "=M", 0, UCUM)]),
    ("Observation", {"valueQuantity": MG | {"value": 0.25, "code": "g"}}, "value-quantity",
     [(0.25, "g", 0, UCUM), (0.25, "=M", 0, UCUM)]),
    ("Observation", {"valueQuantity": MG | {"code": "{spoon}"}}, "value-quantity", [(250.0, "{spoon}", 0, UCUM)]),
    ("Observation", {"valueQuantity": {"value": 3, "unit": "puffs"}}, "value-quantity", [(3.0, "puffs", 0, "")]),
    ("Observation", {"valueQuantity": {"value": 3}}, "value-quantity", [(3.0, "", 0, "")]),
    ("Observation", {"valueQuantity": {"value": Decimal("1.50"), "system": "s", "code": "mg"}}, "value-quantity",
     [(1.5, "mg", 0, "s")]),
    ("Observation", {"valueQuantity": {"unit": "mg"}}, "value-quantity", []),
    ("Observation", {"valueQuantity": {"value": True}}, "value-quantity", []),
    ("Observation", {"valueSampledData": {"origin": {"value": 10, "unit": "mV"}, "factor": 2, "data": "1 E -3 2.5 U"}},
     "value-quantity", [(4.0, "mV", 0, ""), (15.0, "mV", 0, "")]),
    ("Condition", {"onsetAge": {"value": 2, "system": UCUM, "code": "a"}}, "onset-age",
     [(2.0, "a", 0, UCUM), (63115200.0, "=T", 0, UCUM)]),
    ("Condition", {"onsetRange": {"low": {"value": 1, "unit": "y"}, "high": {"value": 3, "unit": "y"}}}, "onset-age",
     [(1.0, "y", 0, ""), (3.0, "y", 0, "")]),
    ("Invoice", {"totalNet": {"value": 5, "currency": "EUR"}}, "totalnet", [(5.0, "EUR", 0, "urn:iso:std:iso:4217")]),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "elements", "name", "rows"), QUANTITIES)
def test_quantities(type_name, elements, name, rows):
    assert found(type_name, elements, name) == rows


def test_equal_amounts_are_equal_in_every_unit():
    assert canonical(37, "Cel") == canonical(98.6, "[degF]")
    assert canonical(0.1, "mg") == canonical(100, "ug")
    assert canonical(1, "mm[Hg]")[1] != canonical(1, "mg")[1]


NUMBERS = [
    ("RiskAssessment", {"prediction": [{"probabilityDecimal": 0.25}]}, "probability", [(0.25, 0.25, 0)]),
    ("RiskAssessment", {"prediction": [{"probabilityRange": {"low": {"value": 0.1}}}]}, "probability",
     [(0.1, float(INFINITE), 0)]),
    ("ImmunizationRecommendation", {"recommendation": [{"forecastStatus": {}}]}, "status", []),
    ("MolecularSequence", {"variant": [{"start": 5}, {"start": "6"}]}, "variant-start", [(5.0, 5.0, 0)]),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "elements", "name", "rows"), NUMBERS)
def test_numbers(type_name, elements, name, rows):
    assert found(type_name, elements, name, kind="number") == rows


# literal reference, id, type
REFERENCES = [
    ("Patient/7", "7", "Patient"),
    ("Patient/7/_history/2", "7", "Patient"),
    ("https://a.example/fhir/Patient/7", "https://a.example/fhir/Patient/7", "Patient"),
    ("https://a.example/fhir/Patient/7/_history/2", "https://a.example/fhir/Patient/7", "Patient"),
    ("https://a.example/Teapot/7", "https://a.example/Teapot/7", ""),
    ("urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", ""),
    ("Teapot/7", "Teapot/7", ""),
    ("Patient/a/b", "Patient/a/b", ""),
    ("#contained", "", ""),
]


@pytest.mark.parametrize(("text", "id_", "type_name"), REFERENCES)
def test_references(text, id_, type_name):
    assert referred(text) == (type_name, id_)
    assert found("Observation", {"subject": {"reference": text}}, "subject") == [(id_, type_name, 0)]
    assert found("Observation", {"subject": {"reference": text}}, "patient") == [(id_, type_name, 0)]


def test_a_reference_by_identifier():
    subject = {"type": "Patient", "identifier": {"system": "urn:mrn", "value": "7"}}
    rows = found("Observation", {"subject": subject}, "subject", of=identifier_index, kind="token")
    assert rows == [("7", 0, "urn:mrn")]
    assert found("Observation", {"subject": subject}, "subject") == [("", "Patient", 0)]  # there, and leads nowhere


def test_what_is_no_resource_has_no_rows():
    for document in ({}, {"resourceType": ["Patient"]}, {"resourceType": "Teapot", "status": "final"}):
        assert not any(indexing.rows(document))


def test_what_is_contained_is_not_found_as_if_it_were_the_resource():
    inner = {"resourceType": "Observation", "id": "in", "status": "final", "code": BP, "subject": {"reference": "#p"}}
    rows = indexing.rows({"resourceType": "Observation", "contained": [inner]})
    assert [kind for kind in rows if kind] == []


def test_a_canonical_is_found_with_and_without_its_version():
    response = {"questionnaire": "http://a.example/q/phq9|2.0"}
    assert found("QuestionnaireResponse", response, "questionnaire") == [
        ("http://a.example/q/phq9|2.0", "", 0),
        ("http://a.example/q/phq9", "", 0),
    ]
    profile = {"meta": {"profile": ["http://a.example/p|1"], "source": "urn:s|1"}}
    assert found("Patient", profile, "_profile") == [("http://a.example/p|1", 0), ("http://a.example/p", 0)]
    assert found("Patient", profile, "_source") == [("urn:s|1", 0)]  # a plain URI has no version


def test_folding():
    assert fold("ÅSA  straße\tÉcole Ⅳ ﬁn") == "asa strasse ecole iv fin"
    assert fold("a" * 600) == "a" * 512
    assert fold("€" * 400) == cut("€" * 400) == "€" * 341  # never half a character


@given(st.text(max_size=80))
def test_folding_again_changes_nothing_and_no_mark_is_left(text):
    folded = fold(text)
    assert fold(folded) == folded
    assert not any(unicodedata.combining(c) for c in folded)
    assert fold(text.upper()) == fold(text.upper().lower())


@given(st.text(max_size=700))
def test_what_is_kept_of_a_text_is_its_beginning_and_short_enough(text):
    kept = cut(text)
    assert text.startswith(kept)
    assert len(kept.encode()) <= indexing.KEPT_BYTES
    assert kept == text or len(kept) == indexing.KEPT or len(kept.encode()) > indexing.KEPT_BYTES - 4


@given(st.dates(), st.integers(0, MS_PER_DAY - 1))
def test_a_moment_lies_in_its_day_its_month_and_its_year(day, into):
    text = day.isoformat()
    seconds = f"{text}T{into // 3_600_000:02}:{into // 60_000 % 60:02}:{into // 1000 % 60:02}.{into % 1000:03}Z"
    inner = interval(seconds)
    for outer in (interval(seconds[:19] + "Z"), interval(text), interval(text[:7]), interval(text[:4])):
        assert outer[0] <= inner[0] < inner[1] <= outer[1]
        inner = outer


# --- the official examples --------------------------------------------------------------------------------------------


@cache
def examples():
    documents = [orjson.loads(path.read_bytes()) for path in sorted(examples_folder().glob("*-*.json"))]
    return [d for d in documents if d.get("resourceType") in definitions.resource_types()]


def test_every_official_example_is_indexed():
    kinds = defaultdict(int)
    for document in examples():
        for kind, rows in indexing.rows(document)._asdict().items():
            kinds[kind] += len(rows)
            assert len(kind)
            assert all(isinstance(row, tuple) for row in rows)
    assert min(kinds.values()) > 100
    assert set(kinds) == set(indexing.Rows._fields)


def without_element(rows):
    place = {"token": 2, "string": 2, "date": 3, "number": 3, "quantity": 3, "reference": 3, "uri": 2}
    return {
        kind: Counter(row[: place[kind]] + row[place[kind] + 1 :] for row in some)
        for kind, some in rows._asdict().items()
    }


def test_the_tree_finds_what_fhirpath_finds():
    """Every expression of every type, each evaluated by itself, on the shortest examples of its type."""
    by_type = defaultdict(list)
    for document in sorted(examples(), key=lambda d: len(orjson.dumps(d))):
        by_type[document["resourceType"]].append(document)
    for type_name, documents in by_type.items():
        steps = [
            indexing._Evaluated(compile_path(path, type_name), target, each)
            for target, path, each in indexing._wanted(type_name)
        ]
        for document in documents[:SHORTEST]:
            found = indexing.Rows([], [], [], [], [], [], [])
            for step in steps:
                step.visit(document, found)
            assert without_element(found) == without_element(indexing.rows(document)), document.get("id")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["coding", "value", "low"]), inner),
    max_leaves=4,
)


@given(st.data())
def test_a_damaged_resource_is_indexed_as_far_as_it_can_be_read(data):
    documents = [
        d for d in examples() if d["resourceType"] in ("Observation", "Patient", "Condition", "RiskAssessment")
    ]
    document = copy.deepcopy(data.draw(st.sampled_from(documents)))
    for _ in range(data.draw(st.integers(1, 4))):
        node = document
        while True:
            key = data.draw(st.sampled_from(sorted(node)) if isinstance(node, dict) else st.integers(0, len(node) - 1))
            if isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
                node = node[key]
            elif key != "resourceType":
                node[key] = data.draw(anything)
                break
            else:
                break
    for name, rows in indexing.rows(document)._asdict().items():
        types = {"token": (int, str, int, str), "string": (int, str, int, str), "date": (int, int, int, int),
                 "number": (int, float, float, int), "quantity": (int, float, str, int, str),
                 "reference": (int, str, str, int), "uri": (int, str, int)}[name]  # fmt: skip
        assert all(tuple(map(type, row)) == types for row in rows)
