"""FHIRPath: what the specification says of each operator and function, R4's own expressions, a second engine."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
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
from adjunct.fhir.path.functions import FUNCTIONS
from adjunct.fhir.path.syntax import CALENDAR, MAX_DEPTH, MAX_LENGTH, below

EXAMPLES = Path(__file__).parents[2] / "node_modules" / "hl7.fhir.r4.examples"

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
ANA: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "ana",
    "active": True,
    "birthDate": "1992-05-17",
    "_birthDate": {"extension": [{"url": "http://example.org/birth-time", "valueDateTime": "1992-05-17T14:35-05:00"}]},
    "name": [
        {"use": "official", "family": "Reyes", "given": ["Ana", "Lucia"]},
        {
            "use": "nickname",
            "given": ["Lu", None],
            "_given": [None, {"extension": [{"url": "http://example.org/masked"}]}],
        },
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
PRESSURE: dict[str, Any] = {
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
        {
            "linkId": "1",
            "type": "group",
            "item": [{"linkId": "1.1", "type": "string"}, {"linkId": "1.2", "type": "date"}],
        },
        {"linkId": "2", "type": "display"},
    ],
}
NOW = {"now": "2026-11-22T09:30:00+01:00"}


# --- what the specification says --------------------------------------------------------------------------------------


def said() -> list[list[str]]:
    lines = (Path(__file__).parent / "path_cases.txt").read_text(encoding="utf-8").splitlines()
    return [line.rsplit(" ==> ", 1) for line in lines if line and not line.startswith("# ")]


VARIABLES = NOW | {"factor": 2, "codes": ["a", "b"], "none": None, "since": Typed("date", "1990")}


@pytest.mark.parametrize(("text", "answer"), said())
def test_says(text: str, answer: str) -> None:
    for start in ("Patient", ""):  # the type known beforehand, or found at run time
        if answer == "error":
            with pytest.raises(PathError):
                compile_path(text, start)(ANA, variables=VARIABLES)
        else:
            expected = json.loads(answer, parse_float=Decimal)
            assert compile_path(text, start)(ANA, variables=VARIABLES) == expected


def test_comments_end_with_the_line_or_with_their_mark() -> None:
    assert compile_path("2 // two\n + 2 /* and\n another\n two */ + 1")(ANA) == [5]


def test_of_a_resource_that_is_typed_beforehand() -> None:
    systolic = compile_path(
        "component.where(code.coding.exists(code = '8480-6')).value.ofType(Quantity)", "Observation"
    )
    assert systolic.type == "Quantity"
    assert [v["value"] for v in systolic(PRESSURE)] == [120]
    assert compile_path("component.value", "Observation").typed(PRESSURE)[1] == Typed(
        "Quantity",
        PRESSURE["component"][1]["valueQuantity"],
    )
    assert compile_path("value > 80 'mm[Hg]'", "Observation.component").holds(PRESSURE["component"][1])
    assert compile_path("value < 12 'kPa'", "Observation.component").holds(PRESSURE["component"][1])
    assert compile_path("$this < 16 'kPa'")(Typed("Quantity", PRESSURE["component"][1]["valueQuantity"])) == [True]


def test_repeats_to_any_depth() -> None:
    assert compile_path("repeat(item).linkId", "Questionnaire")(FORM) == ["1", "2", "1.1", "1.2"]
    assert compile_path("descendants().linkId.isDistinct()", "Questionnaire").holds(FORM) is True
    with pytest.raises(PathError, match="repeat"):
        compile_path("repeat($this & 'a')")("a")


def test_a_decimal_keeps_its_digits_and_a_comparator_makes_an_amount_unknown() -> None:
    dose = {"value": Decimal("120.50"), "unit": "mg", "system": UCUM, "code": "mg"}
    assert str(compile_path("value", "Quantity")(dose)[0]) == "120.50"
    assert compile_path("$this = 120.5 'mg'", "Quantity").holds(dose) is True
    assert compile_path("value = 0.1 and value + 0.2 = 0.3", "Quantity").holds({"value": 0.1}) is True
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
    [
        "memberOf('x')",
        "name.conformsTo('x')",
        "name.unheardOf()",
        "1.log(2)",
        "subject.resolve().name",
        "extension(url)",
    ],
)
def test_unsupported_is_known_when_it_is_compiled(text: str) -> None:
    with pytest.raises(Unsupported, match="is not supported"):
        compile_path(text, "Observation")


NOT_FHIRPATH = """a b; a.; a[; 'x; (a; a.(b); 1 +; 2 + 2 /* open; @2015-13; @2015-02-1; a.$this; a is; ofType(1)
@T14:34:28Z.is(Time); where(); first(1); is(Patient, Patient); $that; %; a ? b; {a}; is(a.b)"""
TOO_LARGE = ("(" * 5000, "a" + ".a" * (MAX_LENGTH // 2 - 1), "-" * 3000 + "1", "a" * (MAX_LENGTH + 1), "not(" * 400)


@pytest.mark.parametrize("text", ["", *re.split("; |\n", NOT_FHIRPATH), *TOO_LARGE, "1" + "|1" * MAX_DEPTH])
def test_what_is_not_fhirpath_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PathError) as refused:
        compile_path(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


NO_ANSWER = """name.use = 1 or name.given.startsWith('L'); name.single(); (1|2).not(); -1.convertsToInteger(); 'a' - 'b'
birthDate + 7; birthDate + 1 'cm'; birthDate + 1 'mo'; birthDate < 1; name.startsWith('R'); (1|2) & 'b'; now()
(true | 'x').allTrue(); 'a'.matches('('); 'abc'.substring('1'); %undeclared; active.lowBoundary()"""


@pytest.mark.parametrize("text", re.split("; |\n", NO_ANSWER))
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


ODD = [None, 7, "text", [], {}, {"code": 7}, {"code": [[None]]}, {"component": "x", "subject": []}]
READ = ("code.coding.code", "component.value.ofType(Quantity).value", "value", "subject.where(resolve() is Patient)")


@pytest.mark.parametrize("odd", ODD)
def test_odd_data_has_no_values_and_raises_nothing(odd: Any) -> None:
    assert [compile_path(text, "Observation")(odd) for text in READ] == [[], [], [], []]
    compile_path("descendants()", "Observation")(odd)


# --- the tree ---------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["name", "value", "contains", "is", "in", "as", "div", "and", "true", "day", "years", "a b", "`", "\\n'"]
)
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


CALLS = st.sampled_from([*FUNCTIONS, "is", "as", "ofType"])
ELEMENTS = st.sampled_from(
    ["name", "given", "birthDate", "multipleBirth", "contained", "active", "Patient", "extension", "id"]
)
ROOTS = st.one_of(LITERALS, ELEMENTS.map(lambda n: Member(None, n)), st.just(Special("this")), st.just(Empty()))


def _asking(node: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(Member, node, ELEMENTS),
        st.builds(Call, node, CALLS, st.lists(node, max_size=2).map(tuple)),
        st.builds(Index, node, node),
        st.builds(Unary, st.just("-"), node),
        st.builds(Binary, OPERATOR, node, node),
    )


@given(st.recursive(ROOTS, _asking, max_leaves=8))
def test_any_expression_has_an_answer_or_is_refused(tree: Node) -> None:
    """And the same answer, whether types are known beforehand or found at run time."""
    answers = []
    for start in ("Patient", ""):
        with suppress(PathError):
            answers.append(compile_path(str(tree), start)(ANA, variables=NOW))
    assert answers[1:] in ([], answers[:1])  # what cannot be there is not even looked for, so only one may be refused


@given(st.text(alphabet="ab.()[]'`@%$|&=~<>+-*/ {}0123456789T:Z\\,", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = parse(text)
    except PathError:
        return
    assert parse(str(tree)) == tree
    assert {id(n) for n in walk(tree)} >= {id(n) for n in below(tree)}


# --- a second engine --------------------------------------------------------------------------------------------------

ABSENT = ("resolve", "hasValue", "htmlChecks", "getResourceKey")  # what the other engine does not have
# Where the two engines differ, and why ours is right.
DIFFER = {
    "dom-3": "R4 writes `as` on many values and means the ones of the type; the other engine refuses them",
    "ext-1": "of a value apart from its resource the other engine does not see value[x]",
    "inv-1": "of a value apart from its resource the other engine does not see value[x]",
    "ras-2": "of a value apart from its resource the other engine does not see probability[x]",
    "rng-2": "two Quantities are ordered by value and unit; the other engine cannot order objects",
}


@cache
def examples(per_type: int = 2) -> tuple[dict[str, Any], ...]:
    """Of each resource type some official examples of middling size."""
    by_type: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(EXAMPLES.glob("[A-Z]*-*.json")):
        size = path.stat().st_size
        by_type.setdefault(path.name.partition("-")[0], []).append((abs(size - 6000), path))
    chosen = [path for paths in by_type.values() for _, path in sorted(paths)[:per_type]]
    return tuple(json.loads(path.read_bytes()) for path in chosen)


def plain(value: Any) -> Any:
    """An answer of either engine: numbers by value, the other engine's dates as text."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, Decimal | float):
        return float(value)
    return value.asStr if hasattr(value, "asStr") else value


@cache
def theirs(text: str) -> Any:
    return fhirpathpy.compile(
        text.removeprefix("Domain").removeprefix("Resource."), model=models["r4"]
    )  # no base types


def asked() -> Iterator[tuple[str, str, str, Any, dict[str, Any]]]:
    """What is asked, the expression, the type and value it is asked of, and the resource around it."""
    for resource in examples():
        start = resource["resourceType"]
        for parameter in parameters(start).values():
            for text in {parameter.expression, *(c.expression for c in parameter.components if c.rooted)} - {""}:
                yield text.removeprefix(f"{start}."), text, start, resource, resource
        inside = islice(compile_path("descendants()", start).typed(resource), 150)
        for kind, value in [Typed(start, resource), *inside]:
            if isinstance(value, dict):
                for rule in invariants(kind):
                    yield rule.key, rule.expression, kind, value, resource


def test_a_second_engine_agrees_on_r4s_own_expressions() -> None:
    compared, differ = 0, Counter[str]()
    for name, text, start, value, resource in asked():
        if any(f"{absent}(" in text for absent in ABSENT):
            continue
        ours = plain(compile_path(text, start)(value, resource))
        try:
            other = plain(theirs(text)(value, {"resource": resource, "rootResource": resource}))
        except Exception:  # noqa: BLE001 - whatever it raises, it has no answer
            other = None
        compared += 1
        if ours != other:
            differ[name] += 1
    assert set(differ) == set(DIFFER), differ
    assert compared > 4000


def test_every_expression_of_r4_compiles() -> None:
    for kind in resource_types():
        for parameter in parameters(kind).values():
            if parameter.expression:
                assert compile_path(parameter.expression, kind).unknown == (), parameter.name
    assert all(is_subtype(resource["resourceType"], "Resource") for resource in examples())
