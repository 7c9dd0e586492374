"""`adjunct load`, `erase`, `retention`: what comes into a record in bulk, and what leaves it for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adjunct.base import BadInput
from adjunct.cli.options import (
    AsJson,
    Config,
    Database,
    as_text,
    counting,
    existing,
    now,
    opened,
    print_json,
    report_done,
)
from adjunct.cli.options import settings as read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from adjunct.fhir.load import Line
    from adjunct.fhir.repository import Reader

SHOWN = 10  # refused lines; the report names them all

ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Write what was done, and what was not, to this file (JSON).")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this nothing is changed, and the report says so.")]


def register(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    for command in (load, erase, retention):
        app.command()(command)


def load(
    files: Annotated[
        list[Path], typer.Argument(help="NDJSON (.ndjson), one resource a line, or a Bundle (.json); also .gz.")
    ],
    database: Database = None,
    report: ReportFile = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Load resources into a record: lines one by one, a Bundle whole or not at all. Exit 2 if any was refused."""
    from adjunct.fhir.load import load_file

    stored = 0
    refused: list[Line] = []
    with opened(read_settings(config, database=database).database) as service, counting("resources") as show:
        for file in files:
            done = load_file(service, file, progress=lambda count, before=stored: show(before + count))  # type: ignore[misc]
            stored, refused = stored + done.stored, [*refused, *done.refused]
    told = [{"file": r.source, "line": r.number, "issues": [i._asdict() for i in r.issues]} for r in refused]
    said = {"stored": stored, "refused": told}
    _write(report, said)
    for wrong in refused[:SHOWN]:
        issue = wrong.issues[0]
        place = f"{issue.expression}: " if issue.expression else ""
        typer.echo(f"refused: {wrong.source}:{wrong.number}: {place}{issue.diagnostics}", err=True)
    if len(refused) > SHOWN:
        typer.echo(f"refused: {len(refused) - SHOWN} more; --report names them all", err=True)
    report_done(said, f"stored: {stored}, refused: {len(refused)}", as_json=as_json)
    raise typer.Exit(BadInput.exit_code if refused else 0)


def erase(
    person: Annotated[str, typer.Argument(help="Patient/ID", metavar="PERSON")],
    database: Database = None,
    report: ReportFile = None,
    yes: Yes = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove one person for good: every version of what is theirs alone. What others share is kept and listed."""
    kind, _, patient = person.partition("/")
    if kind != "Patient" or not patient:
        raise BadInput("name the person as Patient/ID", "PERSON")
    _leave(existing(config, database), lambda _: frozenset({patient}), report, yes=yes, as_json=as_json)


def retention(
    years: Annotated[int, typer.Option(help="How long a record is kept after its last entry: your law's number.")],
    database: Database = None,
    report: ReportFile = None,
    yes: Yes = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove everybody for good in whose record nothing was written or deleted for so many years."""
    from adjunct.fhir.retention import untouched, years_before

    address, before = existing(config, database), years_before(now(), years)
    _leave(address, lambda record: untouched(record, before=before), report, yes=yes, as_json=as_json)


def _leave(
    address: str, who: Callable[[Reader], frozenset[str]], report: Path | None, *, yes: bool, as_json: bool
) -> None:
    """Say what is these people's alone, and erase it if told so. The report is there before anything is gone."""
    from adjunct.fhir.retention import erase, look, sweep
    from adjunct.fhir.sql.opening import backend

    try:
        with opened(address) as service:
            with service.repository.reading() as record:
                found = look(record, who(record))
            _write(report, found.to_dict(at=now(), erased=False))
            if yes:
                erase(service.repository, found)
                _write(report, found.to_dict(at=now(), erased=True))
    finally:
        if yes:  # whatever was found: an earlier run may have been stopped before this
            sweep(backend(address))
    said = found.to_dict(at=now(), erased=yes)
    if as_json:
        print_json(as_text(said))
        return
    typer.echo(f"people: {len(found.people)}, versions of what is theirs alone: {len(found.keys)}")
    for kind, count in said["resources"].items():
        typer.echo(f"  {kind}: {count}")
    typer.echo(f"kept because others share it or it only names them: {len(found.kept)}")
    for text in said["remains"]:
        typer.echo(f"note: {text}")
    typer.echo("erased" if yes else "nothing was changed: say --yes to erase", err=True)


def _write(path: Path | None, said: dict[str, Any]) -> None:
    if path is not None:
        from adjunct.serve.archive import whole

        with whole(path) as file:
            file.write(as_text(said).encode() + b"\n")
