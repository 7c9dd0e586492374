"""`adjunct serve`, and what keeps a record: backup, restore, export of one person, doctor."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from adjunct.cli.options import AsJson, Config, Database, as_text, existing, now, opened, print_json, report_done
from adjunct.cli.options import settings as read_settings


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
    as_json: Annotated[bool, typer.Option("--json", help="Print where it serves as one line of JSON.")] = False,
) -> None:
    """Serve the record as FHIR R4 to this computer, until Ctrl+C."""
    from adjunct.serve.running import run

    settings = read_settings(config, database=database, host=host, port=port, log_level=log_level)

    def ready(address: str) -> None:
        typer.echo("adjunct: no sign-in yet: this computer only", err=True)
        typer.echo(json.dumps({"address": f"{address}/fhir"}) if as_json else f"{address}/fhir")
        sys.stdout.flush()

    run(settings, clock=now, stream=sys.stderr.buffer, ready=ready)


def backup(
    file: Annotated[Path, typer.Argument(help="Where the archive goes; it takes its place once it is whole.")],
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write every version of every resource to an archive, while the record is in use."""
    from adjunct.fhir.sql.opening import backend
    from adjunct.serve import archive

    made = archive.backup(backend(existing(config, database)), file)
    text = f"written: {made.versions} versions, up to {made.newest_key}, sha256 {made.sha256}"
    report_done(made._asdict(), text, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="An archive that `adjunct backup` wrote.")],
    database: Database = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the record that is there.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put an archive into an empty database, proved: all of it, or nothing."""
    from adjunct.fhir.sql.opening import backend, migrate, schema_at
    from adjunct.serve import archive

    archive.verified(file)  # before a database is made for it
    address = read_settings(config, database=database).database
    if schema_at(address).found is None:
        migrate(address)
    else:
        existing(config, database)
    made = archive.restore(file, backend(address), replace=replace)
    text = f"restored and proved: {made.versions} versions, sha256 {made.sha256}"
    report_done(made._asdict(), text, as_json=as_json)


def export(
    patient_id: Annotated[str, typer.Argument(help="The id of the Patient.")],
    out: Annotated[Path, typer.Option(help="A file: .json is a Bundle, .ndjson one resource a line.")],
    database: Database = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write one person's whole record to a file that only its owner can read."""
    from adjunct.serve import person

    with opened(existing(config, database)) as service:
        count = person.export(service, patient_id, out)
    report_done({"resources": count}, f"written: {count} resources", as_json=as_json)


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

    address = existing(config, database, migrate=migrate)
    examined = opening.backend(address)
    found = examine(examined, now=now(), place=getattr(examined, "path", None), knowledge=_edition)
    if as_json:
        print_json(as_text({"adjunct": adjunct.__version__, "findings": [f._asdict() for f in found]}))
    else:
        for finding in found:
            typer.echo(f"{finding.state:<7} {finding.check:<10} {finding.says}")
    raise typer.Exit(exit_code(found))


def _edition() -> str:
    import adjunct

    return str(adjunct._knowledge().version)
