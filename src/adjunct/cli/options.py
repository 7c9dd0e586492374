"""What the commands share: their options, how a wrong one is refused, where a record is, how an answer is printed."""

from __future__ import annotations

import io
import math
import os
import re
import stat
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adjunct.base import MS_PER_SECOND, BadInput

if TYPE_CHECKING:
    from adjunct.fhir.rest import Service
    from adjunct.serve.settings import Settings

BASE = "http://localhost/fhir"  # of a record that nobody asks over HTTP

_COUNTRY = re.compile("[A-Za-z]{2}")
_PATIENT = re.compile("Patient/([A-Za-z0-9.-]{1,64})")
_JURISDICTION = re.compile("[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?")


def country_code(given: str | None) -> str | None:
    """A country written any other way would silently be an unknown one, and its numbers would not be shown."""
    if given is not None and not _COUNTRY.fullmatch(given):
        raise typer.BadParameter("not a country code of two letters: write for example US")
    return given


def jurisdiction_code(given: str | None) -> str | None:
    """The code of a country or its part, or a refusal."""
    if given is not None and not _JURISDICTION.fullmatch(given):
        raise typer.BadParameter("not a code of a country or its part: write for example US-TX")
    return given


def age_years(given: float | None) -> float | None:
    """An age in years, or a refusal."""
    if given is not None and not (math.isfinite(given) and given >= 0):
        raise typer.BadParameter("not an age in years: write for example 34")
    return given


AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
AsFhir = Annotated[bool, typer.Option("--fhir", help="Print the answer as a FHIR R4 Bundle.")]
At = Annotated[str | None, typer.Option("--at", help="The instant that counts as now, with its offset.")]
Country = Annotated[
    str | None,
    typer.Option("--country", callback=country_code, help="Where the person is now (ISO 3166-1, such as US)."),
]
Database = Annotated[
    str | None,
    typer.Option(help="sqlite:///FILE or postgresql://USER@HOST/NAME; else ADJUNCT_DATABASE or the --config."),
]
Config = Annotated[Path | None, typer.Option(help="A TOML file of settings; also ADJUNCT_CONFIG.")]
Bundle = Annotated[
    str, typer.Argument(help="A FHIR R4 Bundle (JSON file; - reads standard input), or Patient/ID of the --database.")
]
Keep = Annotated[bool, typer.Option("--keep", help="Store the answer in the record that the person is read from.")]
Sources = Annotated[bool, typer.Option("--sources", help="Show the sources of every finding.")]


def pairs(given: Sequence[str] | None, option: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """`NAME=VALUE`, each once."""
    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        try:
            if not (name and equals and value) or name in found:
                raise ValueError
            found[name] = read(value)
        except ValueError:
            raise BadInput(f"not NAME=VALUE, each name once: {text!r}", option) from None
    return found


def as_text(value: Any) -> str:
    """Plain values as JSON."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def print_json(text: str) -> None:
    """JSON is UTF-8, whatever the terminal says."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    typer.echo(text)


def report_done(said: dict[str, Any], text: str, *, as_json: bool) -> None:
    """What a command did: a note for people, or JSON."""
    if as_json:
        print_json(as_text(said))
    else:
        typer.echo(text, err=True)


def one_form(*, as_json: bool, as_other: bool, other: str = "--fhir") -> None:
    """Refuse two forms of one answer at once."""
    if as_json and as_other:
        raise BadInput(f"--json and {other} are two answers: ask for one of them")


def toml(path: Path) -> dict[str, Any]:
    """A file of settings or decisions, as plain values."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"the file cannot be read ({error.strerror})", path.name) from None
    except ValueError as error:
        raise BadInput(f"this is not TOML: {error}", path.name) from None


@contextmanager
def counting(things: str) -> Iterator[Callable[[int], None]]:
    """A count of things on a terminal, and silence elsewhere."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{{task.completed}} {things}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(things, total=None)
        yield lambda count: bar.update(task, completed=count)


# --- the record -------------------------------------------------------------------------------------------------------


def now() -> int:
    """The machine's clock, ms since 1970 UTC."""
    return time.time_ns() // (MS_PER_SECOND * MS_PER_SECOND)


def settings(config: Path | None, **given: Any) -> Settings:
    """The settings. Whatever these commands write, a database or an archive, is for its owner only."""
    from adjunct.serve.settings import load

    os.umask(stat.S_IRWXG | stat.S_IRWXO)
    return load(given, os.environ, config)


def existing(config: Path | None, database: str | None, *, migrate: bool = False) -> str:
    """The address of a record that is there, of this version's schema."""
    from adjunct.fhir.sql import opening

    address = settings(config, database=database).database
    schema = opening.schema_at(address)
    if schema.found is None:
        raise BadInput("there is no record here: name the database of one", "--database")
    if schema.found != schema.wanted:
        if not migrate or schema.newer:
            raise BadInput(schema.advice, "--database")
        opening.migrate(address)
    return address


@contextmanager
def opened(address: str) -> Iterator[Service]:
    """The record at this address, closed when the block ends."""
    from adjunct.serve.service import open_service

    service = open_service(address, BASE, clock=now)
    try:
        yield service
    finally:
        service.repository.close()


def source(record: str, database: str | None) -> Any:
    """What a command reads about one person: `Patient/ID` out of a record, a file, or standard input."""
    if patient := _patient(record, database):
        from adjunct.serve.records import bundle_of

        with opened(existing(None, database)) as service:
            return bundle_of(service.repository, patient)
    return sys.stdin.buffer if record == "-" else Path(record)


def keep(record: str, database: str | None, published: Mapping[str, Any]) -> None:
    """Store what was published about `Patient/ID` in the record that it was read from."""
    from adjunct.serve import records

    if not _patient(record, database):
        raise BadInput("only an answer about a Patient/ID of a record can be kept there", "--keep")
    with opened(existing(None, database)) as service:
        kept = records.keep(service, published)
    typer.echo(f"kept: {len(kept)} resources", err=True)


def _patient(record: str, database: str | None) -> str:
    """The id in `Patient/ID`; empty for anything else."""
    found = _PATIENT.fullmatch(record)
    if found is None and database is not None:
        raise BadInput("name the person as Patient/ID: a file is not read together with a database", "--database")
    return found[1] if found else ""
