"""SQL on FHIR: the public cases of the specification judge both engines; then both are held against each other.

The public cases are not part of this repository: SQL_ON_FHIR_CASES names a folder that holds a copy, and every
case of it runs on both engines. `views/` are views of ours, run over the official R4 examples; the last part makes
random resources and paths, for which DuckDB must say what Python says, or refuse.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from adjunct.base import BadInput
from adjunct.cli.views import view as command
from adjunct.fhir.views import View, columns, rows
from adjunct.fhir.wire import read_exact, write_exact
from fhir_corpora import examples_folder

duckdb = pytest.importorskip("duckdb", reason="the DuckDB engine needs the extra 'views': pip install adjunct[views]")
from adjunct.fhir.views_sql import duckdb_rows, duckdb_sql, relation  # noqa: E402  it is no use without duckdb

Json = dict[str, Any]
HERE = Path(__file__).parent
FOLDERS = [Path(folder) for folder in [os.environ.get("SQL_ON_FHIR_CASES", "")] if folder]

# Public cases that an engine does not pass, each with its reason. The table may only shrink.
NOT_PASSED: dict[tuple[str, str, str], str] = {}


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as opened:
        yield opened


@pytest.fixture(scope="module")
def by_duckdb(connection, tmp_path_factory) -> Callable[[View, Iterable[Json]], list[Json]]:
    file = tmp_path_factory.mktemp("views") / "resources of o'neil.ndjson"

    def run(view: View, resources: Iterable[Json]) -> list[Json]:
        file.write_bytes(b"".join(write_exact(resource) + b"\n" for resource in resources))
        return list(duckdb_rows(view, relation([file]), connection))

    return run


@pytest.fixture(scope="module")
def engines(by_duckdb) -> dict[str, Callable[[View, Iterable[Json]], list[Json]]]:
    return {"python": lambda view, resources: list(rows(view, resources)), "duckdb": by_duckdb}


# --- the public cases -------------------------------------------------------------------------------------------------


@cache
def published(file: Path) -> Json:
    return read_exact(file.read_bytes())  # type: ignore[return-value]


def cases() -> list[Any]:
    found = []
    for file in sorted(path for folder in FOLDERS for path in folder.glob("*.json")):
        for i, case in enumerate(published(file)["tests"]):
            found.append(pytest.param(file, i, id=f"{file.stem}-{i}-{case['title']}"))
    return found


def plain(value: Any) -> Any:
    """A row to compare: numbers by value (the cases write 1.50 and 1.5 alike), without an order of columns."""
    if isinstance(value, dict):
        return sorted((key, plain(part)) for key, part in value.items())
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, float | int) and not isinstance(value, bool):
        value = Decimal(str(getattr(value, "text", value)))
        return f"{value.normalize():f}" if value else "0"
    return json.dumps(value)


@pytest.mark.parametrize("engine", ["python", "duckdb"])
@pytest.mark.parametrize(("file", "number"), cases())
def test_public_case(engine, file, number, engines):
    case = published(file)["tests"][number]
    reason = NOT_PASSED.get((engine, file.stem, case["title"]))
    try:
        passed = passes(case, published(file)["resources"], engines[engine])
    except AssertionError:
        if reason is None:
            raise
        return
    assert reason is None, f"this case passes now: take it out of NOT_PASSED ({passed})"


def passes(case: Json, resources: list[Json], engine: Callable[[View, Iterable[Json]], list[Json]]) -> bool:
    if case.get("expectError"):
        with pytest.raises(BadInput):
            engine(View.of(case["view"]), resources)
        return True
    view = View.of(case["view"])
    assert sorted(map(plain, engine(view, resources))) == sorted(map(plain, case["expect"]))
    if "expectColumns" in case:
        assert [column.name for column in columns(view)] == case["expectColumns"]
    return True


# --- views of ours ----------------------------------------------------------------------------------------------------


@cache
def official(kind: str) -> tuple[Json, ...]:
    found = [read_exact(path.read_bytes()) for path in sorted(examples_folder().glob(f"{kind}-*.json"))]
    return tuple(resource for resource in found if resource.get("resourceType") == kind)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "least"), [("blood_pressure", 3), ("patient_telecom", 10), ("questionnaire_answers", 200)]
)
def test_a_view_over_the_official_examples(name, least, by_duckdb):
    view = View.of(json.loads((HERE / "views" / f"{name}.json").read_text()))
    found = list(rows(view, official(view.resource)))
    assert len(found) >= least
    assert list(map(write_exact, by_duckdb(view, official(view.resource)))) == list(map(write_exact, found))


def test_blood_pressure_row():
    view = View.of(json.loads((HERE / "views" / "blood_pressure.json").read_text()))
    found = {row["id"]: row for row in rows(view, official("Observation"))}
    assert found["blood-pressure"] == {
        "id": "blood-pressure",
        "patient": "example",
        "at": "2012-09-17",
        "systolic": 107,
        "diastolic": 60,
    }


def seen(resource: str, *paths: str, **more: Any) -> View:
    """A view with one column for each path: a, b, c ..."""
    cells = [{"name": chr(ord("a") + i), "path": path} | more for i, path in enumerate(paths)]
    return View.of({"resource": resource, "select": [{"column": cells}]})


WRITTEN = b"""{"resourceType":"Observation","id":"o","status":"final","code":{"text":"1.50, \\"2.0\\": 3.00 \\\\"},
"valueQuantity":{"value":120.50,"unit":"mm[Hg]"},
"component":[{"code":{},"valueQuantity":{"value":1E-3}},{"code":{},"valueQuantity":{"value":0.10000000000000000001}}]}"""


@pytest.mark.parametrize("engine", ["python", "duckdb"])
def test_a_decimal_keeps_its_digits(engine, engines):
    value, parts = "value.ofType(Quantity)", "component.value.ofType(Quantity).value"
    one = engines[engine](seen("Observation", f"{value}.value", value, "code.text"), [read_exact(WRITTEN)])
    many = engines[engine](seen("Observation", parts, collection=True), [read_exact(WRITTEN)])
    assert write_exact(one) == (b'[{"a":120.50,"b":{"value":120.50,"unit":"mm[Hg]"},"c":"1.50, \\"2.0\\": 3.00 \\\\"}]')
    assert write_exact(many) == b'[{"a":[1E-3,0.10000000000000000001]}]'


PARTIAL = [  # born, what is asked, answer: what a date leaves open is unknown
    ("2026", "birthDate = @2026", True),
    ("2026", "birthDate = @2026-11", None),
    ("2026-11", "birthDate = @2025-11-22", False),
    ("2026-11-22", "birthDate >= @2026-11", None),
    ("2026-11-22", "birthDate > @2026-10", True),
    ("2026-11", "birthDate <= @2026-10-31", False),
    ("2026-11-22", "birthDate <= @2026-11-22", True),
    ("2026-02", "birthDate.highBoundary() = @2026-02-28", True),
    ("2026-11-22", "@2026-11-22T10:00:00Z = @2026-11-22T11:00:00+01:00", True),
    ("2026-11-22", "@2026-11-22T10:00:00.5Z > @2026-11-22T11:00:00+01:00", True),
]


@pytest.mark.parametrize("engine", ["python", "duckdb"])
@pytest.mark.parametrize(("born", "asked", "answered"), PARTIAL)
def test_partial_dates(engine, born, asked, answered, engines):
    assert engines[engine](seen("Patient", asked), [{"resourceType": "Patient", "birthDate": born}]) == [
        {"a": answered}
    ]


@pytest.mark.parametrize("engine", ["python", "duckdb"])
def test_rows_are_crossed_in_order(engine, engines):
    """The first select varies slowest, and a union is its parts one after the other."""
    cell = {name: [{"name": name, "path": "$this"}] for name in "abc"}
    select = [
        {"forEach": "name.given", "column": cell["a"]},
        {"forEach": "name.prefix", "column": cell["b"]},
        {"unionAll": [{"forEach": f"name.{n}", "column": cell["c"]} for n in ("suffix", "given")]},
    ]
    person = {"resourceType": "Patient", "name": [{"given": ["1", "2"], "prefix": ["x", "y"], "suffix": ["s"]}]}
    found = engines[engine](View.of({"resource": "Patient", "select": select}), [person])
    assert "".join(f"{row['a']}{row['b']}{row['c']} " for row in found) == (
        "1xs 1x1 1x2 1ys 1y1 1y2 2xs 2x1 2x2 2ys 2y1 2y2 "
    )


@pytest.mark.parametrize("engine", ["python", "duckdb"])
def test_no_row_of_nulls_is_multiplied(engine, engines):
    """`forEachOrNull` of nothing is one row, whatever stands inside it; `%rowIndex` is 0 there (Process, step 3)."""
    inside = [{"forEach": "telecom", "column": [{"name": "value", "path": "value"}]}]
    cells = [
        {"name": "i", "path": "%rowIndex"},
        {"name": "said", "path": "'x'"},
        {"name": "has", "path": "name.exists()"},
    ]
    view = View.of({"resource": "Patient", "select": [{"forEachOrNull": "contact", "column": cells, "select": inside}]})
    nothing = {"i": 0, "said": None, "has": None, "value": None}
    assert engines[engine](view, [{"resourceType": "Patient"}]) == [nothing]
    assert engines[engine](view, [{"resourceType": "Patient", "contact": [{"gender": "male"}]}]) == []


@pytest.mark.parametrize("engine", ["python", "duckdb"])
def test_what_a_user_writes_is_never_sql(engine, engines):
    constant = [{"name": "x", "valueString": "' OR 1=1 --"}]
    select = [{"column": [{"name": "select", "path": "name.where(family = %x).given.join('\\'\"')"}]}]
    view = View.of({"resource": "Patient", "constant": constant, "select": select})
    person = {"resourceType": "Patient", "name": [{"family": "' OR 1=1 --", "given": ["a", "b"]}]}
    assert engines[engine](view, [person, {"resourceType": "Patient", "name": [{"family": "x"}]}])[0] == {
        "select": "a'\"b"
    }


# --- what is refused --------------------------------------------------------------------------------------------------

ID = {"column": [{"name": "id", "path": "id"}]}


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"select": [ID]}, "a view needs the R4 resource type that it reads: write for example Patient (at resource)"),
        ({"resource": "Patients", "select": [ID]}, "needs the R4 resource type"),
        ({"resource": "Patient"}, "a select without columns"),
        ({"resource": "Patient", "select": [ID, ID]}, "column 'id' comes twice: give it another name (at select[1]"),
        (
            {"resource": "Patient", "select": [{"forEeach": "name", **ID}]},
            "'forEeach' is not known here: known are column",
        ),
        ({"resource": "Patient", "wheer": [], "select": [ID]}, "'wheer' is not known here"),
        ({"resource": "Patient", "select": [{"forEach": "name", "repeat": ["name"], **ID}]}, "only one of forEach,"),
        (
            {"resource": "Patient", "select": [{"repeat": "name", **ID}]},
            "repeat needs a list of paths (at select[0].rep",
        ),
        ({"resource": "Patient", "select": [{"repeat": ["$this"], **ID}]}, "repeat does not come to an end"),
        (
            {"resource": "Patient", "select": [{"column": [{"name": "1d", "path": "id"}]}]},
            "a name begins with a letter",
        ),
        (
            {"resource": "Patient", "select": [{"column": [{"name": "a", "path": "%b"}]}]},
            "%b is not defined: add it to c",
        ),
        ({"resource": "Patient", "select": [{"column": [{"name": "a", "path": "id +"}]}]}, "the expression ends here"),
        ({"resource": "Patient", "select": [ID], "where": [{"path": "name.family"}]}, "must be true or false"),
        (
            {"resource": "Patient", "select": [ID], "constant": [{"name": "a", "valueDate": "today"}]},
            "not a date: write",
        ),
        ({"resource": "Patient", "select": [ID], "constant": [{"name": "a", "valueInteger": True}]}, "not a integer"),
        ({"resource": "Patient", "select": ["id"]}, "a list of objects is needed here (at select)"),
        (
            {"resource": "Patient", "select": [{"unionAll": [ID, {"column": [{"name": "id", "path": "active"}]}]}]},
            "the parts of a union must have the same columns in the same order and of the same types",
        ),
    ],
)
def test_a_view_that_cannot_work_is_refused(definition, said):
    with pytest.raises(BadInput) as refused:
        list(rows(View.of(definition), [{"resourceType": "Patient"}]))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "path",
    [
        "name.family.upper()",
        "birthDate + 1 year",
        "deceased",
        "name.given | name.family",
        "contained.id",
        "identifier = name",
    ],
)
def test_duckdb_refuses_by_name_what_it_cannot_say(path):
    with pytest.raises(BadInput, match=r"DuckDB cannot be asked for '.+': use the python engine"):
        duckdb_sql(seen("Patient", path), "FROM patients")


@pytest.mark.parametrize(
    ("path", "born", "said"),
    [
        (
            "birthDate > @2000-01-01T10:00:00Z",
            "2000-01-01",
            "dates and times of mixed precision: use the python engine",
        ),
        ("1.0000000000000000001 > 1.0", "2000", "a decimal with many digits: use the python engine"),
        ("1.0 / 3.0", "2000", "a quotient that does not end: use the python engine"),
        ("name.family", "2000", "column 'a' has several values: set collection, or take first()"),
    ],
)
def test_duckdb_stops_where_it_cannot_judge(path, born, said, by_duckdb):
    person = {"resourceType": "Patient", "birthDate": born, "name": [{"family": "A"}, {"family": "B"}]}
    with pytest.raises(BadInput, match=f"^{said.replace('(', '[(]').replace(')', '[)]')}$"):
        by_duckdb(seen("Patient", path), [person])


def test_duckdb_stops_at_a_listed_value_that_has_only_extensions(by_duckdb):
    beside = {"resourceType": "Patient", "name": [{"_family": {"extension": [{"url": "u", "valueCode": "x"}]}}]}
    assert [row["a"] for row in rows(seen("Patient", "name.family.count()"), [beside])] == [1]
    with pytest.raises(BadInput, match=r"^family with extensions only: use the python engine$"):
        by_duckdb(seen("Patient", "name.family.count()"), [beside])
    alone = {"resourceType": "Patient", "_birthDate": {"extension": [{"url": "u", "valueCode": "x"}]}}
    assert by_duckdb(seen("Patient", "birthDate.exists()", "birthDate"), [alone]) == [{"a": True, "b": None}]


def test_duckdb_stops_where_repeat_goes_deeper_than_its_query(by_duckdb):
    view = View.of(
        {
            "resource": "QuestionnaireResponse",
            "select": [{"repeat": ["item"], "column": [{"name": "a", "path": "linkId"}]}],
        }
    )
    answers: Json = {"linkId": "20"}
    for depth in range(19, 0, -1):
        answers = {"linkId": str(depth), "item": [answers]}
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [answers]}
    assert [row["a"] for row in rows(view, [response])] == [str(n) for n in range(1, 21)]
    with pytest.raises(BadInput, match="repeat goes deeper than the query"):
        by_duckdb(view, [response])


def test_what_duckdb_says_of_the_data_is_not_repeated(by_duckdb, tmp_path, connection):
    file = tmp_path / "bad.ndjson"
    file.write_text('{"resourceType": "Patient", "id": "secret"\n')
    with pytest.raises(BadInput) as refused:
        list(duckdb_rows(seen("Patient", "id"), relation([file]), connection))
    assert str(refused.value) == "DuckDB cannot read these resources: check them"


# --- both engines alike -----------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["a", "b", "A", "official", "old", "", "é'\"\\"])
DAYS = st.sampled_from(["2026", "2026-11", "2026-11-22", "2025-12-31"])
DATES = DAYS | st.sampled_from(["2026-11-22T10:00:00Z", "2026-11-22T11:00:00.5+01:00"])
NUMBERS = st.sampled_from([0, 1, -2, 10])
MEASURED = st.sampled_from(["0.10", "120.50", "-3.0", "7.25"])
NAMES = st.fixed_dictionaries(
    {},
    optional={
        "use": WORDS,
        "family": WORDS,
        "given": st.lists(WORDS, min_size=1, max_size=3),
        "_family": st.just({"extension": [{"url": "u", "valueCode": "x"}]}),
        "period": st.fixed_dictionaries({}, optional={"start": DATES, "end": DATES}),
    },
)
TELECOMS = st.fixed_dictionaries({}, optional={"system": WORDS, "value": WORDS, "rank": st.integers(1, 3)})
REFERENCES = st.sampled_from(
    ["Patient/a", "http://x.org/fhir/Practitioner/b", "#c", "urn:uuid:1", "Patient/a/_history/2"]
)
PATIENTS = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "id": WORDS,
        "active": st.booleans(),
        "birthDate": DAYS,
        "name": st.lists(NAMES.filter(bool), min_size=1, max_size=3),
        "telecom": st.lists(TELECOMS.filter(bool), min_size=1, max_size=3),
        "contact": st.lists(
            st.fixed_dictionaries({"telecom": st.lists(TELECOMS.filter(bool), max_size=2)}), max_size=2
        ),
        "deceasedBoolean": st.booleans(),
        "multipleBirthInteger": NUMBERS,
        "generalPractitioner": st.lists(REFERENCES.map(lambda r: {"reference": r}), min_size=1, max_size=2),
        "extension": st.lists(
            st.builds(lambda u, n: {"url": u, "valueDecimal": json.loads(n)}, st.sampled_from("uv"), MEASURED),
            min_size=1,
        ),
    },
)

TEXTS = st.sampled_from(
    [
        "name.family",
        "name.given",
        "telecom.value",
        "id",
        "name.where(use = 'official').family",
        "name.first().given.first()",
        "name[1].family",
        "contact.telecom.system",
        "name.given.where($index = 0)",
        "generalPractitioner.getReferenceKey()",
        "generalPractitioner.getReferenceKey(Patient)",
        "getResourceKey()",
        "name.select(given.first())",
        "name.last().use",
        "iif(active, 'yes', 'no')",
        "(name.family.first() & id)",
        "name.where($this.family.exists()).given",
        "extension('u').url",
    ]
)
TIMES = st.sampled_from(
    [
        "birthDate",
        "name.period.start",
        "name.first().period.end",
        "@2026-11-22",
        "birthDate.lowBoundary()",
        "name.period.start.first().highBoundary()",
    ]
)
FIGURES = st.sampled_from(
    [
        "multipleBirth.ofType(integer)",
        "telecom.rank",
        "name.count()",
        "name.family.count()",
        "birthDate.count()",
        "1.5",
        "extension('u').value.ofType(decimal)",
        "extension.value.ofType(decimal).first()",
        "extension('v').value.ofType(decimal).first().highBoundary()",
        "name.first().family.length()",
        "%rowIndex",
    ]
)
ORDERS = st.sampled_from(["<", "<=", ">", ">="])
EQUALS = st.sampled_from(["=", "!="])
TRUTHS = st.one_of(
    st.sampled_from(
        [
            "active",
            "deceased.ofType(boolean)",
            "true",
            "name.exists()",
            "name.family.exists()",
            "deceased.exists()",
            "telecom.empty()",
            "name.exists(use = 'official' and family.exists())",
        ]
    ),
    st.builds("{} {} 'a'".format, TEXTS, EQUALS),
    st.builds("{} {} 'b'".format, TEXTS, ORDERS),
    st.builds("{}.{}('{}')".format, TEXTS, st.sampled_from(["startsWith", "contains"]), st.sampled_from("ab")),
    st.builds("{} {} {}".format, FIGURES, EQUALS | ORDERS, FIGURES),
    st.builds("{} {} {}".format, TIMES, EQUALS | ORDERS, TIMES),
)
PATHS = st.one_of(
    TEXTS,
    TIMES,
    FIGURES,
    TRUTHS,
    st.builds("({}) {} ({})".format, TRUTHS, st.sampled_from(["and", "or", "xor", "implies"]), TRUTHS),
    st.builds("({}).not()".format, TRUTHS),
    st.builds("{} {} {}".format, FIGURES, st.sampled_from(["+", "-", "*"]), FIGURES),
)
NESTED = st.sampled_from(["", "name", "contact.telecom"])
SEARCHES, USUAL = 60, 100  # each asks DuckDB at least once; a profile with more examples than usual makes more


def answer(engine: Callable[[], list[Json]]) -> Any:
    """The rows as text; "stopped" if the engine refuses the data."""
    try:
        return list(map(plain, engine()))
    except BadInput:
        return "stopped"


@settings(max_examples=max(SEARCHES, settings.default.max_examples - USUAL))
@given(people=st.lists(PATIENTS, min_size=1, max_size=4), path=PATHS, many=st.booleans(), nested=NESTED)
def test_duckdb_says_what_python_says(people, path, many, nested, by_duckdb):
    """Each resource by itself, so that one which stops an engine does not hide the others."""
    column = {"name": "a", "path": path, "collection": many}
    select: list[Json] = [{"column": [column]}]
    if nested:
        more = [{"name": "b", "path": "%rowIndex"}, {"name": "c", "path": "$this.id"}]
        select += [{"forEachOrNull": nested, "column": more}]
    view = View.of({"resource": "Patient", "select": select})
    try:
        duckdb_sql(view, "FROM x")
    except BadInput:
        return
    whole = answer(lambda: by_duckdb(view, people))
    said = answer(lambda: list(rows(view, people)))
    if whole == said:
        return
    for person in people:
        one = answer(lambda person=person: by_duckdb(view, [person]))
        assert one in (answer(lambda person=person: list(rows(view, [person]))), "stopped"), path


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run():
    import typer

    app = typer.Typer()
    app.command()(command)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize("engine", ["python", "duckdb"])
def test_command(engine, run, tmp_path):
    definition, source = tmp_path / "view.json", tmp_path / "o.ndjson"
    select = [{"column": [{"name": "id", "path": "id"}, {"name": "v", "path": "value.ofType(Quantity).value"}]}]
    definition.write_text(json.dumps({"resource": "Observation", "select": select}))
    source.write_bytes(WRITTEN.replace(b"\n", b"") + b'\n\n{"resourceType":"Observation","id":"p,q"}\n')
    table = run(definition, source, "--engine", engine)
    assert table.stdout == 'id,v\no,120.50\n"p,q",\n'
    assert json.loads(run(definition, source, "--engine", engine, "--json").stdout) == [
        {"id": "o", "v": 120.5},
        {"id": "p,q", "v": None},
    ]
    query = run(definition, source, "--sql").stdout
    assert duckdb.sql(query).fetchall() == [("o", "120.50"), ("p,q", None)]


@pytest.mark.parametrize(
    ("line", "said"),
    [('{"a": 1', "not a resource in JSON: write one on each line (at o.ndjson line 2)"), ("[]", "line 2")],
)
def test_command_names_the_line_that_it_cannot_read(line, said, run, tmp_path):
    definition, source = tmp_path / "view.json", tmp_path / "o.ndjson"
    definition.write_text(json.dumps({"resource": "Observation", "select": [ID]}))
    source.write_text(f'{{"resourceType":"Observation","id":"o"}}\n{line}\n')
    assert said in str(run(definition, source).exception)
    assert "no such file" in str(run(definition, tmp_path / "none.ndjson").exception)
    assert "one of --csv" in str(run(definition, source, "--csv", "--json").exception)
