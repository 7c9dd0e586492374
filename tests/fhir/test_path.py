"""FHIRPath: what the specification says of each operator and function, R4's own expressions, a second engine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import BadInput
from adjunct.fhir.definitions import invariants, is_subtype, parameters, resource_types
from adjunct.fhir.path import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Node,
    PathError,
    Special,
    Typed,
    TypeIs,
    Unary,
    Unsupported,
    Variable,
    compile_path,
    parse,
    walk,
)
from adjunct.fhir.path.syntax import CALENDAR, MAX_DEPTH, MAX_LENGTH, below

EXAMPLES = Path(__file__).parents[2] / "node_modules" / "hl7.fhir.r4.examples"

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
ANA = {
    "resourceType": "Patient",
    "id": "ana",
    "active": True,
    "birthDate": "1992-05-17",
    "_birthDate": {"extension": [{"url": "http://example.org/birth-time", "valueDateTime": "1992-05-17T14:35:45-05:00"}]},
    "name": [
        {"use": "official", "family": "Reyes", "given": ["Ana", "Lucia"]},
        {"use": "nickname", "given": ["Lu", None], "_given": [None, {"extension": [{"url": "http://example.org/masked"}]}]},
    ],
    "telecom": [{"system": "phone", "value": "555 0100"}, {"system": "email", "value": "ana@example.org"}],
    "contained": [{"resourceType": "Organization", "id": "clinic", "name": "Clinic"}],
    "managingOrganization": {"reference": "#clinic"},
    "generalPractitioner": [
        {"reference": "Practitioner/dr-1"},
        {"reference": "https://ehr.example/fhir/Organization/o2/_history/3"},
        {"type": "PractitionerRole", "identifier": {"value": "77"}},
        {"reference": "urn:uuid:3a0f0c1e-0000-4000-8000-000000000000"},
    ],
    "multipleBirthInteger": 2,
}
PRESSURE = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": LOINC, "code": "85354-9"}], "text": "Blood pressure"},
    "subject": {"reference": "Patient/ana"},
    "effectiveDateTime": "2026-11-22T09:30:00+01:00",
    "component": [
        {
            "code": {"coding": [{"system": LOINC, "code": "8480-6"}]},
            "valueQuantity": {"value": 120, "unit": "mm[Hg]", "system": UCUM, "code": "mm[Hg]"},
        },
        {
            "code": {"coding": [{"system": LOINC, "code": "8462-4"}]},
            "valueQuantity": {"value": 80.5, "unit": "mm[Hg]", "system": UCUM, "code": "mm[Hg]"},
        },
    ],
}
FORM = {
    "resourceType": "Questionnaire",
    "status": "active",
    "item": [
        {"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "string"}, {"linkId": "1.2", "type": "date"}]},
        {"linkId": "2", "type": "display"},
    ],
}
NOW = {"now": "2026-11-22T09:30:00+01:00"}


# --- what the specification says --------------------------------------------------------------------------------------

SAYS: list[tuple[str, list[Any]]] = [
    # three-valued logic, N1 section 6.5
    *[(f"{a} and {b}", c) for a, b, c in [
        ("true", "true", [True]), ("true", "false", [False]), ("true", "{}", []), ("false", "{}", [False]),
        ("{}", "true", []), ("{}", "false", [False]), ("{}", "{}", [])]],
    *[(f"{a} or {b}", c) for a, b, c in [
        ("true", "{}", [True]), ("false", "false", [False]), ("false", "{}", []), ("{}", "true", [True]),
        ("{}", "false", []), ("{}", "{}", [])]],
    *[(f"{a} xor {b}", c) for a, b, c in [
        ("true", "true", [False]), ("true", "false", [True]), ("true", "{}", []), ("{}", "false", [])]],
    *[(f"{a} implies {b}", c) for a, b, c in [
        ("true", "false", [False]), ("true", "{}", []), ("false", "{}", [True]), ("false", "false", [True]),
        ("{}", "true", [True]), ("{}", "false", []), ("{}", "{}", [])]],
    ("{}.not()", []), ("(0).not()", [False]), ("true and 'any one value'", [True]),
    # precedence and literals
    ("1+2*3+4", [11]), ("-7.abs()", [-7]), ("(-7).abs()", [7]), ("1 > 2 is Boolean", [True]), ("1 | 1 is Integer", [True]),
    ("2 + 2 // a note\n + 1 /* and\n another */", [5]), (r"'\u0041\n\'\t'", ["A\n'\t"]), ("true and '1' in ('1' | '2')", [True]),
    # numbers are exact
    ("0.1 + 0.2 = 0.3", [True]), ("1.0 = 1.00", [True]), ("1 = 1.0", [True]), ("1 / 0", []), ("5 div 2", [2]), ("-5 div 2", [-2]),
    ("2.2 mod 1.8 = 0.4", [True]), ("-5 mod 3", [-2]), ("1 / 2", [Decimal("0.5")]), ("1.2 / 1.8 ~ 0.67", [True]),
    ("1.2 / 1.8 !~ 0.6", [True]), ("(1.2 / 1.8).round(2)", [Decimal("0.67")]), ("(-1).sqrt()", []), ("2.power(3)", [8]),
    ("(-2.1).floor() | 2.1.ceiling() | (-2.9).truncate()", [-3, 3, -2]),
    # equality of collections; unknown stays unknown
    ("{} = {}", []), ("1 = {}", []), ("(1 | 2) = (1 | 2)", [True]), ("(1 | 2) = (2 | 1)", [False]), ("(1 | 2) ~ (2 | 1)", [True]),
    ("{} ~ {}", [True]), ("1 ~ {}", [False]), ("'a' = 'A'", [False]), ("'Ana  Reyes' ~ 'ana reyes'", [True]), ("'1' = 1", [False]),
    ("true = 1", [False]), ("name = name", [True]), ("name.given contains 'Lu'", [True]), ("'X' in name.given", [False]),
    ("{} in name.given", []), ("name.given in {}", None),
    # partial dates
    ("@2018-03 < @2018-03-01", []), ("@2018-03 < @2018-04-01", [True]), ("@2012-04-15 = @2012-04-15T10:00:00", []),
    ("@2012-04-15 ~ @2012-04-15T10:00:00", [False]), ("@2012-04-15T15:30:31 = @2012-04-15T15:30:31.0", [True]),
    ("@2012-04-15T15:00:00+02:00 = @2012-04-15T16:00:00+03:00", [True]), ("@2012-04-15T15:00:00Z = @2012-04-15T10:00:00", []),
    ("@2012-04-15T15:00:00Z > @2012-04-10T10:00:00", [True]), ("birthDate < today()", [True]), ("now() > today()", []),
    ("@T10:30 < @T10:30:00", []), ("@T10:30:00 <= @T10:30:00.0", [True]), ("birthDate = @T12:14", [False]),
    ("@1973-12-25 + 7.7 days", ["1974-01-01"]), ("@1974-12-25 - 1 'month'", ["1974-11-25"]), ("@2024-02-29 + 1 year", ["2025-02-28"]),
    ("@1973-12-25T00:00:00.000+10:00 + 10 millisecond", ["1973-12-25T00:00:00.010+10:00"]), ("@T23:30 + 45 minutes", ["00:15"]),
    ("@2014 + 24 months", ["2016"]), ("@2014 + 23 months", ["2015"]), ("@2014-01 + 61 days", ["2014-03"]), ("@9999-12-31 + 1 day", []),
    ("today() | now().toString() | timeOfDay()", ["2026-11-22", "2026-11-22T09:30:00+01:00", "09:30:00"]),
    # amounts
    ("1 'g' = 1000 'mg'", [True]), ("1 'g' > 999.9 'mg'", [True]), ("1 'g' = 1 'm'", []), ("1 'g' ~ 1 'm'", [False]),
    ("1 year = 12 months", [True]), ("1 week = 7 days", [True]), ("1 year > 300 days", []), ("4 days = 4 'd'", [True]),
    ("1 'mg' + 1 'g' = 1001 'mg'", [True]), ("2 * 3 'mg' = 6 'mg'", [True]), ("3 'mg' = 3", []), ("3 '1' = 3", [True]),
    # collections
    ("name.given.first() | name.last().use", ["Ana", "nickname"]), ("(1|2|3).tail() = (2|3)", [True]), ("(1|2|3).skip(1).take(1)", [2]),
    ("(1|2|3)[1] | (1|2|3)[7]", [2]), ("1.combine(1).count()", [2]), ("1.combine(1).union(2).count()", [2]), ("(1|2|3).exclude(2)", [1, 3]),
    ("(1|2|3).intersect(2|4)", [2]), ("(1|2).subsetOf(1|2|3)", [True]), ("(1|2).supersetOf(1|2|3)", [False]), ("1.combine(1).isDistinct()", [False]),
    ("(1|2|3|4).aggregate($this + $total, 0)", [10]), ("(1|2|3).aggregate(iif($total.empty() or $this < $total, $this, $total))", [1]),
    ("telecom.select(iif(system = 'email', $index, {}))", [1]), ("('a'|'b'|'c').where($index > 0)", ["b", "c"]),
    ("name.where(given.where($index = 1).exists() and $index = 0).family", ["Reyes"]), ("iif(false, 1)", []), ("{}.iif(empty(), 'none', 'some')", ["none"]),
    ("name.all(use.exists())", [True]), ("{}.all(false)", [True]), ("(true|false).anyFalse() and (true|false).anyTrue()", [True]),
    ("{}.allTrue() and {}.allFalse()", [True]), ("name.repeat('test')", ["test"]), ("name.trace('names').count()", [2]), ("2.single()", [2]),
    # texts
    ("'12345'.substring(2,1) & '12345'.substring(3)", ["345"]), ("'12345'.substring(9)", []), ("'123'.substring(-1)", []), ("'ab' & {}", ["ab"]),
    ("{}.startsWith('a')", []), ("'abc'.replace('b', 'x')", ["axc"]), ("'abc'.replace('', 'x')", ["xaxbxcx"]), ("'abc'.replaceMatches('', 'x')", ["abc"]),
    ("'2026-11-22'.replaceMatches('(\\\\d+)-(\\\\d+)-\\\\d+', '$2/$1')", ["11/2026"]), ("'FHIR'.matches('H')", [True]), ("'FHIR'.matchesFull('H')", [False]),
    ("'A\nB'.matches('A.*B')", [True]), ("'a,b'.split(',').join('+')", ["a+b"]), ("'Ab'.upper() + 'Ab'.lower()", ["ABab"]), ("'abc'.indexOf('c')", [2]),
    ("'abc'.length() | ' a '.trim().length()", [3, 1]), ("'ab'.toChars()", ["a", "b"]), ("'abc'.endsWith('bc')", [True]), ("{}.join(',')", []),
    # conversions
    ("'1'.toInteger() + true.toInteger()", [2]), ("'1.0'.toInteger()", []), ("'x'.convertsToDecimal()", [False]), ("1.5.toString() & 2.toString()", ["1.52"]),
    ("'yes'.toBoolean() and '0'.toBoolean().not()", [True]), ("'4 days'.toQuantity() = 4 days", [True]), ("'2 \\'g\\''.toQuantity() > 1 'kg'", [False]),
    ("'2026-11'.toDate() = @2026-11", [True]), ("'2026-11-22T10:00:00Z'.toDate()", ["2026-11-22"]), ("'14'.convertsToTime()", [True]),
    # bounds of what is written coarsely
    ("1.587.lowBoundary() = 1.5865", [True]), ("1.587.highBoundary(2)", [Decimal("1.59")]), ("(-1.587).lowBoundary(2)", [Decimal("-1.59")]),
    ("1.lowBoundary(0)", [0]), ("1.587.lowBoundary(32)", []), ("1.587.lowBoundary(-1)", []), ("@2014.lowBoundary(6)", ["2014-01"]), ("@2014.highBoundary()", ["2014-12-31"]),
    ("@2014-01-01T08:05+08:00.lowBoundary(17)", ["2014-01-01T08:05:00.000+08:00"]), ("@2014-01-01T08:05.highBoundary()", ["2014-01-01T08:05:59.999-12:00"]),
    ("@T10:30.highBoundary(9)", ["10:30:59.999"]), ("@2014-01-01T08:05.lowBoundary(8)", ["2014-01-01"]), ("1.5 'cm'.highBoundary().value", [Decimal("1.55")]),
    # types
    ("Patient.name.count()", [2]), ("Observation.code", []), ("Resource.id", ["ana"]), ("$this is Patient and $this is DomainResource", [True]),
    ("birthDate is date and birthDate is Date", [True]), ("name.first().use is string", [True]), ("name.first().use is id", [False]), ("multipleBirth is integer", [True]),
    ("multipleBirth.ofType(integer) + 1", [3]), ("multipleBirth.ofType(boolean)", []), ("(multipleBirth as integer)", [2]), ("$this is System.Patient", [False]),
    # primitives and what belongs to them
    ("birthDate.extension('http://example.org/birth-time').value", ["1992-05-17T14:35:45-05:00"]), ("birthDate.hasValue()", [True]),
    ("name.last().given.count()", [2]), ("name.last().given", ["Lu"]), ("name.last().given.last().hasValue()", [False]), ("name.last().given.last().exists()", [True]),
    ("name.last().given.extension.url", ["http://example.org/masked"]), ("name.given.count() = name.given.distinct().count()", [True]),
    # FHIR
    ("managingOrganization.resolve().id", None), ("managingOrganization.where(resolve() is Organization).exists()", [True]),
    ("generalPractitioner.where(resolve() is Practitioner).reference", ["Practitioner/dr-1"]),
    ("generalPractitioner.select(resolve() is Organization)", [False, True, False]), ("generalPractitioner.getReferenceKey()", ["dr-1", "o2"]),
    ("generalPractitioner.getReferenceKey(Organization)", ["o2"]), ("getResourceKey()", ["ana"]), ("contained.ofType(Organization).name", ["Clinic"]),
    ("contained.name", ["Clinic"]), ("descendants().where($this is Organization).id", ["clinic"]), ("%ucum", [UCUM]), ("%`vs-x`", ["http://hl7.org/fhir/ValueSet/x"]),
    ("%resource.id = %context.id and %resource.id = %rootResource.id", [True]), ("%factor + 1", [3]), ("%codes contains 'b'", [True]), ("%none.empty()", [True]),
    ("%since < birthDate", [True]),
]  # fmt: skip
VARIABLES = NOW | {"factor": 2, "codes": ["a", "b"], "none": None, "since": Typed("date", "1990")}


@pytest.mark.parametrize(("text", "values"), SAYS, ids=[text for text, _ in SAYS])
def test_says(text: str, values: list[Any] | None) -> None:
    for start in ("Patient", ""):
        if values is None:
            with pytest.raises(PathError):
                compile_path(text, start)(ANA, variables=VARIABLES)
        else:
            assert compile_path(text, start)(ANA, variables=VARIABLES) == values


def test_of_a_resource_that_is_typed_beforehand() -> None:
    systolic = compile_path("component.where(code.coding.exists(code = '8480-6')).value.ofType(Quantity)", "Observation")
    assert systolic.type == "Quantity"
    assert [v["value"] for v in systolic(PRESSURE)] == [120]
    assert compile_path("component.value", "Observation").typed(PRESSURE)[1] == Typed(
        "Quantity", PRESSURE["component"][1]["valueQuantity"]  # type: ignore[index]
    )
    assert compile_path("value > 80 'mm[Hg]'", "Observation.component").holds(PRESSURE["component"][1])  # type: ignore[index]
    assert compile_path("value < 12 'kPa'", "Observation.component").holds(PRESSURE["component"][1])  # type: ignore[index]
    assert compile_path("$this < 16 'kPa'")(Typed("Quantity", PRESSURE["component"][1]["valueQuantity"])) == [True]  # type: ignore[index]


def test_repeats_to_any_depth() -> None:
    assert compile_path("repeat(item).linkId", "Questionnaire")(FORM) == ["1", "2", "1.1", "1.2"]
    assert compile_path("descendants().linkId.isDistinct()", "Questionnaire").holds(FORM) is True
    with pytest.raises(PathError, match="repeat"):
        compile_path("repeat($this & 'a')")("a")


def test_a_decimal_keeps_its_digits_and_a_comparator_makes_an_amount_unknown() -> None:
    dose = {"value": Decimal("120.50"), "unit": "mg", "system": UCUM, "code": "mg"}
    assert str(compile_path("value", "Quantity")(dose)[0]) == "120.50"
    assert compile_path("$this = 120.5 'mg'", "Quantity").holds(dose) is True
    assert compile_path("$this > 1 'mg'", "Quantity").holds(dose | {"comparator": "<"}) is None
    assert compile_path("$this > 1 'kPa'", "Quantity").holds(dose) is None
    assert compile_path("$this = 18 years", "Age").holds({"value": 18, "system": UCUM, "code": "a"}) is True


def test_an_invariant_that_cannot_be_known_does_not_hold() -> None:
    period = compile_path("start.hasValue().not() or end.hasValue().not() or (start <= end)", "Period")
    assert period.holds({"start": "2026-01-02", "end": "2026-01-01"}) is False
    assert period.holds({"start": "2026-01", "end": "2026-01-01"}) is None
    assert period.holds({"start": "2026-01", "_end": {"extension": [{"url": "x", "valueCode": "unknown"}]}}) is True


def test_a_list_handed_out_is_not_the_documents_own() -> None:
    given_names = compile_path("name.first().given", "Patient")(ANA)
    given_names.append("X")
    compile_path("telecom", "Patient")(ANA).clear()
    assert compile_path("name.first().given.count() + telecom.count()", "Patient")(ANA) == [4]


# --- refused before it runs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["memberOf('x')", "name.conformsTo('x')", "name.unheardOf()", "1.log(2)", "subject.resolve().name", "extension(url)"],
)
def test_unsupported_is_known_when_it_is_compiled(text: str) -> None:
    with pytest.raises(Unsupported, match="is not supported"):
        compile_path(text, "Observation")


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a.", "a[", "'x", "(a", "a.(b)", "1 +", "2 + 2 /* open", "@2015-13", "@2015-02-1", "a.$this", "a is", "ofType(1)"]
    + ["@T14:34:28Z.is(Time)", "where()", "first(1)", "is(Patient, Patient)", "$that", "%", "a ? b", "{a}", "is(a.b)"]
    + ["(" * 5000, "a" + ".a" * (MAX_LENGTH // 2 - 1), "-" * 3000 + "1", "a" * (MAX_LENGTH + 1), "1" + "|1" * MAX_DEPTH, "not(" * 400],
)  # fmt: skip
def test_what_is_not_fhirpath_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PathError) as refused:
        compile_path(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "text",
    ["name.use = 1 or name.given.startsWith('L')", "name.single()", "(1|2).not()", "-1.convertsToInteger()", "'a' - 'b'"]
    + ["birthDate + 7", "birthDate + 1 'cm'", "birthDate + 1 'mo'", "birthDate < 1", "name.startsWith('R')", "(1|2) & 'b'"]
    + ["(true | 'x').allTrue()", "'a'.matches('(')", "'abc'.substring('1')", "%undeclared", "active.lowBoundary()", "now()"],
)  # fmt: skip
def test_what_has_no_answer_is_an_error_without_values(text: str) -> None:
    compiled = compile_path(text, "Patient")
    with pytest.raises(PathError) as refused:
        compiled(ANA)
    assert isinstance(refused.value, BadInput)
    assert not any(value in str(refused.value) for value in ("Reyes", "Lucia", "1992", "555"))


def test_what_r4_does_not_have_is_named() -> None:
    assert compile_path("valueQuantity.value", "Observation").unknown == ("Observation.valueQuantity",)
    assert compile_path("value.ofType(Qantity)", "Observation").unknown == ("Qantity",)
    assert compile_path("Observation.value.value", "Observation").unknown == ()


@pytest.mark.parametrize("odd", [None, 7, "text", [], {}, {"code": 7}, {"code": [[None]]}, {"component": "x", "subject": []}])
def test_odd_data_has_no_values_and_raises_nothing(odd: Any) -> None:
    for text in ("code.coding.code", "component.value.ofType(Quantity).value", "value", "subject.where(resolve() is Patient)"):
        assert [v for v in compile_path(text, "Observation")(odd) if v != 7 and v != [None]] == []
    compile_path("descendants()", "Observation")(odd)


# --- the tree ---------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["name", "value", "contains", "is", "in", "as", "div", "and", "true", "day", "years", "a b", "`", "\\n'"])
TYPES = st.sampled_from(["Patient", "System.String", "string", "a b"])
DAYS = st.dates().map(str)
LITERALS = st.one_of(
    st.booleans().map(lambda v: Literal("boolean", v)),
    st.text(max_size=5).map(lambda v: Literal("string", v)),
    st.integers(0, 10**12).map(lambda v: Literal("integer", v)),
    st.decimals("0", "1e12", places=3).map(lambda v: Literal("decimal", v)),
    DAYS.map(lambda v: Literal("date", v)),
    st.one_of(DAYS, st.just("2015"), DAYS.map(lambda d: f"{d}T10:30:00.5+01:00")).map(lambda v: Literal("dateTime", v)),
    st.times().map(lambda v: Literal("time", v.isoformat())),
    st.tuples(st.decimals("0", "1e9", places=2), st.sampled_from([*CALENDAR, "mg", "mm[Hg]", "'"])).map(
        lambda v: Literal("Quantity", *v)
    ),
)
LEAVES = st.one_of(
    LITERALS,
    st.just(Empty()),
    st.sampled_from(["this", "index", "total"]).map(Special),
    NAMES.map(Variable),
    NAMES.map(lambda n: Member(None, n)),
)
OPERATOR = st.sampled_from("implies or xor and in contains = != ~ !~ < <= > >= | + - & * / div mod".split())


def _larger(node: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(Member, node, NAMES),
        st.builds(Call, st.none() | node, NAMES, st.lists(node, max_size=2).map(tuple)),
        st.builds(Index, node, node),
        st.builds(Unary, st.sampled_from("+-"), node),
        st.builds(Binary, OPERATOR, node, node),
        st.builds(TypeIs, st.sampled_from(["is", "as"]), node, TYPES),
    )


@given(st.recursive(LEAVES, _larger, max_leaves=12))
def test_a_tree_written_out_reads_to_the_same_tree(tree: Node) -> None:
    assert parse(str(tree)) == tree


@given(st.text(alphabet="ab.()[]'`@%$|&=~<>+-*/ {}0123456789T:Z\\,", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = parse(text)
    except PathError:
        return
    assert parse(str(tree)) == tree
    assert {id(n) for n in walk(tree)} >= {id(n) for n in below(tree)}
