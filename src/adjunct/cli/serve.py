"""`adjunct serve`, and what keeps a record: backup, restore, export of one person, doctor."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from adjunct.base import MS_PER_SECOND
from adjunct.cli.options import AsJson, as_text, print_json

Database = Annotated[
    str | None,
    typer.Option(help="sqlite:///FILE or postgresql://USER@HOST/NAME; else ADJUNCT_DATABASE or the --config."),
]
Config = Annotated[Path | None, typer.Option(help="A TOML file of settings; also ADJUNCT_CONFIG.")]
BASE = "http://localhost/fhir"  # of a record that nobody asks over HTTP


def register(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    for command in (serve, backup, restore, export, doctor):
        app.command()(command)


def serve(
    database: Database = None,
    host: Annotated[str | None, typer.Option(help="An address of this computer: 127.0.0.1, ::1, localhost.")] = None,
    port: Annotated[int | None, typer.Option(help="8000 unless told otherwise; 0 takes any that is free.")] = None,
    config: Config = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Serve the record as FHIR R4 to this computer, until Ctrl+C."""
    from adjunct.serve.running import run

    settings = _settings(config, database=database, host=host, port=port, log_level=log_level)

    def ready(address: str) -> None:
        typer.echo("adjunct: no sign-in yet: this computer only", err=True)
        typer.echo(f"{address}/fhir")
        sys.stdout.flush()

    run(settings, clock=_now, stream=sys.stderr.buffer, ready=ready)


def backup(
    file: Annotated[Path, typer.Argument(help="Where the archive goes; it takes its place once it is whole.")],
    database: Database = None,
    config: Config = None,
) -> None:
    """Write every version of every resource to an archive, while the record is in use."""
    from adjunct.fhir.sql.opening import backend
    from adjunct.serve import archive

    made = archive.backup(backend(_existing(config, database)), file)
    typer.echo(f"written: {made.versions} versions, up to {made.newest_key}, sha256 {made.sha256}", err=True)


def restore(
    file: Annotated[Path, typer.Argument(help="An archive that `adjunct backup` wrote.")],
    database: Database = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the record that is there.")] = False,
    config: Config = None,
) -> None:
    """Put an archive into an empty database, proved: all of it, or nothing."""
    from adjunct.fhir.sql.opening import backend, migrate, schema_at
    from adjunct.serve import archive

    archive.verified(file)  # before a database is made for it
    address = _settings(config, database=database).database
    if schema_at(address).found is None:
        migrate(address)
    else:
        _existing(config, database)
    made = archive.restore(file, backend(address), replace=replace)
    typer.echo(f"restored and proved: {made.versions} versions, sha256 {made.sha256}", err=True)


def export(
    patient_id: Annotated[str, typer.Argument(help="The id of the Patient.")],
    out: Annotated[Path, typer.Option(help="A file: .json is a Bundle, .ndjson one resource a line.")],
    database: Database = None,
    config: Config = None,
) -> None:
    """Write one person's whole record to a file that only its owner can read."""
    from adjunct.serve import person
    from adjunct.serve.service import open_service

    service = open_service(_existing(config, database), BASE, clock=_now)
    try:
        count = person.export(service, patient_id, out)
    finally:
        service.repository.close()
    typer.echo(f"written: {count} resources", err=True)


def doctor(
    database: Database = None,
    config: Config = None,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Bring the record to this version's schema first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look whether the record is whole and can be kept: exit 0 well, 2 needs attention, 3 something is wrong."""
    import adjunct
    from adjunct.fhir.sql import opening
    from adjunct.serve.doctor import examine, exit_code

    address = _existing(config, database, migrate=migrate)
    examined = opening.backend(address)
    found = examine(examined, now=_now(), place=getattr(examined, "path", None), knowledge=_edition)
    if as_json:
        print_json(as_text({"adjunct": adjunct.__version__, "findings": [f._asdict() for f in found]}))
    else:
        for finding in found:
            typer.echo(f"{finding.state:<7} {finding.check:<10} {finding.says}")
    raise typer.Exit(exit_code(found))


def _settings(config: Path | None, **given: Any) -> Any:
    """The settings. Whatever these commands write, a database or an archive, is for its owner only."""
    from adjunct.serve.settings import load

    os.umask(stat.S_IRWXG | stat.S_IRWXO)
    return load(given, os.environ, config)


def _existing(config: Path | None, database: str | None, *, migrate: bool = False) -> str:
    """The address of a record that is there, of this version's schema."""
    from adjunct.base import BadInput
    from adjunct.fhir.sql import opening

    address: str = _settings(config, database=database).database
    schema = opening.schema_at(address)
    if schema.found is None:
        raise BadInput("there is no record here: name the database of one", "--database")
    if schema.found != schema.wanted:
        if not migrate or schema.newer:
            raise BadInput(schema.advice, "--database")
        opening.migrate(address)
    return address


def _edition() -> str:
    import adjunct

    return str(adjunct._knowledge().version)


def _now() -> int:
    return time.time_ns() // (MS_PER_SECOND * MS_PER_SECOND)
