"""`adjunct check`, `assess`: is what somebody takes a danger, and may a treatment start?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adjunct.cli.options import (
    AsFhir,
    AsJson,
    At,
    Bundle,
    Country,
    Database,
    Keep,
    Sources,
    age_years,
    jurisdiction_code,
    keep,
    one_form,
    print_json,
    source,
)

if TYPE_CHECKING:
    from adjunct.assessment import Assessment


def register(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    for command in (check, assess):
        app.command()(command)


def check(
    items: Annotated[list[str], typer.Argument(help="What is taken, as people write it.", show_default=False)],
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
    jurisdiction: Annotated[
        str | None, typer.Option(callback=jurisdiction_code, help="Whose law to show (ISO 3166-2, such as US-TX).")
    ] = None,
    country: Country = None,
    age: Annotated[float | None, typer.Option(callback=age_years, help="Age in years.")] = None,
    condition: Annotated[list[str] | None, typer.Option(help="A condition the person has. May be repeated.")] = None,
    at: At = None,
    sources: Sources = False,
) -> None:
    """Check a list of medicines and substances taken together."""
    import adjunct

    one_form(as_json=as_json, as_other=as_fhir)
    result = adjunct.check(
        items, conditions=condition or (), age=age, country=country, jurisdiction=jurisdiction, at=at
    )
    _show(result, as_json=as_json, as_fhir=as_fhir, sources=sources)


def assess(
    bundle: Bundle,
    treatment: Annotated[str, typer.Option("--for", help="ketamine-iv, -im, -sc, esketamine-nasal or none.")],
    phase: Annotated[str, typer.Option(help="intake, pre-dose, during, discharge or follow-up.")] = "intake",
    at: At = None,
    country: Country = None,
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
    sources: Sources = False,
    database: Database = None,
    kept: Keep = False,
) -> None:
    """Assess one person's record for a treatment and a phase of care."""
    import adjunct

    one_form(as_json=as_json, as_other=as_fhir)
    result = adjunct.assess(source(bundle, database), treatment=treatment, phase=phase, at=at, country=country)
    _show(result, as_json=as_json, as_fhir=as_fhir, sources=sources)
    if kept:
        keep(bundle, database, _published(result))


def _show(result: Assessment, *, as_json: bool, as_fhir: bool, sources: bool) -> None:
    if as_json:
        print_json(result.to_json())
    elif as_fhir:
        import json

        print_json(json.dumps(_published(result), indent=2, ensure_ascii=False))
    else:
        from adjunct.terminal import show

        show(result, sources=sources)


def _published(result: Assessment) -> dict[str, Any]:
    from adjunct.publish import to_fhir

    return to_fhir(result.to_dict(), now_iso=result.at, patient_reference=result.patient or None)
