"""`adjunct view`: the rows that a ViewDefinition (SQL on FHIR v2) makes of resources, as a table or as SQL."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from adjunct.base import BadInput


class Engine(StrEnum):
    """Who reads the resources."""

    PYTHON = "python"
    DUCKDB = "duckdb"


def register(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    app.command()(view)


def view(
    definition: Annotated[Path, typer.Argument(help="A ViewDefinition (JSON).")],
    sources: Annotated[list[Path], typer.Argument(help="Resources, one on each line (NDJSON).")],
    engine: Annotated[
        Engine, typer.Option(help="DuckDB runs one SQL query and knows a part of FHIRPath.")
    ] = Engine.PYTHON,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table; this is the default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")] = False,
    as_sql: Annotated[bool, typer.Option("--sql", help="Print the DuckDB query instead of running it.")] = False,
) -> None:
    """Make a flat table of FHIR resources."""
    from adjunct.fhir import views
    from adjunct.fhir.wire import read_exact

    if as_csv + as_json + as_sql > 1:
        raise BadInput("give one of --csv, --json and --sql")
    said = read_exact(_bytes(definition))
    if not isinstance(said, dict):
        raise BadInput("not a ViewDefinition: name a file with one JSON object", str(definition))
    chosen = views.View.of(said)
    for path in sources:
        if not path.is_file():
            raise BadInput("no such file: name NDJSON files of resources", str(path))
    if as_sql or engine is Engine.DUCKDB:
        from adjunct.fhir.views_sql import duckdb_rows, duckdb_sql, relation

        if as_sql:
            typer.echo(duckdb_sql(chosen, relation(sources)))
            return
        found: Iterable[views.Row] = duckdb_rows(chosen, relation(sources))
    else:
        found = views.rows(chosen, _resources(sources))
    if as_json:
        _print_json(found)
    else:
        _print_csv([column.name for column in views.columns(chosen)], found)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read the file: {error.strerror}; name a ViewDefinition", str(path)) from None


def _resources(sources: list[Path]) -> Iterator[dict[str, Any]]:
    from adjunct.fhir.wire import read_exact

    for path in sources:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                at = f"{path.name} line {number}"
                try:
                    resource = read_exact(line)
                except BadInput:
                    raise BadInput("not a resource in JSON: write one on each line", at) from None
                if not isinstance(resource, dict):
                    raise BadInput("not a resource in JSON: write one on each line", at)
                yield resource


def _print_json(rows: Iterable[dict[str, Any]]) -> None:
    from adjunct.fhir.wire import write_exact

    between = "["
    for row in rows:
        sys.stdout.write(f"{between}\n{write_exact(row).decode()}")
        between = ","
    sys.stdout.write("[]\n" if between == "[" else "\n]\n")


def _print_csv(names: list[str], rows: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(names)
    for row in rows:
        table.writerow([_cell(row[name]) for name in names])
        sys.stdout.write(text.getvalue())
        text.seek(0)
        text.truncate()
    sys.stdout.write(text.getvalue())


def _cell(value: Any) -> str:
    """A value as FHIR writes it; an object or a list as JSON; nothing for nothing."""
    from adjunct.fhir.wire import Exact, write_exact

    match value:
        case None:
            return ""
        case str():
            return value
        case Exact():
            return value.text
    return write_exact(value).decode()
