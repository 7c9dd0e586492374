"""`adjunct plan`, `protocols`, `routine`, `schedule`, `request`, `report`: what happens when, and what goes along."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adjunct.base import BadInput
from adjunct.cli.options import (
    AsFhir,
    AsJson,
    At,
    Bundle,
    Country,
    Database,
    Keep,
    as_text,
    keep,
    one_form,
    print_json,
    source,
    toml,
)

if TYPE_CHECKING:
    from adjunct.planning import Planned
    from adjunct.routine import Routine
    from adjunct.sheet import Sheet

Protocol = Annotated[str, typer.Option(help="Such as esketamine-trd; `adjunct protocols` lists them.")]
Start = Annotated[str, typer.Option(help="The day of the first visit, such as 2027-01-11.")]
ClinicFile = Annotated[Path | None, typer.Option(help="The clinic's hours, zone, settings, chairs and staff (TOML).")]
OrderFile = Annotated[Path | None, typer.Option(help="What people decided for this person (TOML).")]
OverrideText = Annotated[str | None, typer.Option(help='A prescriber\'s word: "NAME: reason".')]
Language = Annotated[str, typer.Option(help="Of the words for the person: en or es.")]


def register(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    for command in (plan, protocols, routine, schedule, request, report):
        app.command()(command)


def plan(
    record: Bundle,
    protocol: Protocol,
    start: Start,
    clinic: ClinicFile = None,
    order: OrderFile = None,
    override: OverrideText = None,
    at: At = None,
    country: Country = None,
    language: Language = "en",
    ics: Annotated[Path | None, typer.Option(help="Write the visits as a calendar (.ics).")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write the care plan as a PDF.")] = None,
    requests: Annotated[
        Path | None, typer.Option(help="Write the visits to come for `adjunct schedule` (JSON).")
    ] = None,
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
    database: Database = None,
    kept: Keep = False,
) -> None:
    """Plan a course for one person: visits and windows, what comes first, reviews, what is due."""
    import adjunct

    one_form(as_json=as_json, as_other=as_fhir)
    about = source(record, database)
    place, decided = _files(about, clinic, order, at, country)
    result = adjunct.plan(
        about,
        protocol=protocol,
        start=start,
        clinic=place,
        order=decided,
        override=override,
        at=at,
        country=country,
        language=language,
    )
    fault = None
    try:
        _written(result, ics, pdf, requests)  # before the answer: who closes the pipe early still has the files
    except BadInput as error:  # a file that cannot be written must not cost the answer
        fault = error
    if as_json:
        print_json(result.to_json())
    elif as_fhir:
        print_json(as_text(_published(result)))
    else:
        from adjunct.terminal import show_plan

        show_plan(result, adjunct._knowledge())
    if kept:
        keep(record, database, _published(result))
    if fault is not None:
        raise fault


def _published(result: Planned) -> dict[str, Any]:
    from adjunct.publish import plan_to_fhir

    return plan_to_fhir(result.to_dict(), patient_reference=result.plan.patient or None)


def _written(result: Planned, ics: Path | None, pdf: Path | None, requests: Path | None) -> None:
    """The files asked for; what has nothing to say is not written, and that is said."""
    asked = [path for path in (ics, pdf, requests) if path is not None]
    if not asked:
        return
    import adjunct
    from adjunct.documents.folder import write_plan

    done = write_plan(result, adjunct._knowledge(), ics=ics, pdf_path=pdf, requests=requests)
    if done:
        typer.echo("written: " + ", ".join(map(str, done)), err=True)
    for path in asked:
        if path not in done:
            typer.echo(f"adjunct: there is no visit to write, so no file was made: {path}", err=True)


def report(
    record: Bundle,
    protocol: Protocol,
    start: Start,
    out: Annotated[Path, typer.Option(help="The folder that the papers go to; made if it is not there.")],
    clinic: ClinicFile = None,
    order: OrderFile = None,
    override: OverrideText = None,
    at: At = None,
    country: Country = None,
    language: Language = "en",
    database: Database = None,
) -> None:
    """Write the person's papers: report, care plan, before and after, consent, routine, safety plan, handover."""
    import adjunct

    about = source(record, database)
    place, decided = _files(about, clinic, order, at, country)
    done = adjunct.report(
        about,
        out,
        protocol=protocol,
        start=start,
        clinic=place,
        order=decided,
        override=override,
        at=at,
        country=country,
        language=language,
    )
    for path in done:
        typer.echo(str(path))


def routine(
    record: Bundle,
    order: OrderFile = None,
    clinic: ClinicFile = None,
    energy: Annotated[int | None, typer.Option(help="0 none to 10 full, today.")] = None,
    pain: Annotated[int | None, typer.Option(help="0 none to 10 worst, today.")] = None,
    session: Annotated[str | None, typer.Option(help="When today's or the last session is or was.")] = None,
    at: At = None,
    country: Country = None,
    language: Language = "en",
    page: Annotated[Path | None, typer.Option(help="Write it as one page to print (.html).")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """A few small habits that the person chooses, fitted to the day; graded, with what speaks against them."""
    import adjunct

    about = source(record, database)
    place, decided = _files(about, clinic, order, at, country)
    result = adjunct.suggest(
        about,
        order=decided,
        clinic=place,
        energy=energy,
        pain=pain,
        session=session,
        at=at,
        country=country,
        language=language,
    )
    if as_json:
        print_json(result.to_json())
    elif page is None:
        from adjunct.terminal import show_sheet

        show_sheet(_routine_sheet(result))
    if page is not None:
        from adjunct.documents.page import page as html
        from adjunct.documents.writing import write

        sheet = _routine_sheet(result)
        write(page, html([sheet], adjunct._knowledge(), language=sheet.language, title=sheet.title), str(page))
        typer.echo(f"written: {page}", err=True)


def _routine_sheet(result: Routine) -> Sheet:
    import adjunct
    from adjunct.routine import sheet

    return sheet(result, adjunct._knowledge(), result.language)


def schedule(
    requests: Annotated[Path, typer.Argument(help="The visits asked for (JSON).")],
    clinic: Annotated[Path, typer.Option(help="The clinic's hours, chairs, rooms and staff (TOML).")],
    at: At = None,
    best: Annotated[bool, typer.Option("--best", help="Look for a better timetable (needs OR-tools).")] = False,
    cancelled: Annotated[list[str] | None, typer.Option(help="A visit that was cancelled: who is offered it?")] = None,
    as_json: AsJson = False,
) -> None:
    """Place visits into the clinic's chairs and hours; say in words what cannot be placed, and what would help."""
    import adjunct

    place = toml(clinic)
    result = adjunct.schedule(_json(requests), clinic=place, at=at, best=best, cancelled=cancelled or ())
    if as_json:
        print_json(result.to_json())
    else:
        from adjunct.terminal import show_timetable

        show_timetable(result, place.get("cover", {}).get("zone", "UTC"))


def request(
    answers: Annotated[Path, typer.Argument(help="What somebody answered (TOML): question = value.")],
    clinic: ClinicFile = None,
    at: At = None,
    language: Language = "en",
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
) -> None:
    """Read somebody's first request: red flags first, then how urgent it is, who answers, and what is still to ask."""
    import adjunct

    one_form(as_json=as_json, as_other=as_fhir)
    given = toml(answers)
    try:
        place = _read(clinic)
    except BadInput as error:  # nor may a broken file of the clinic keep back a red flag
        error.advice = adjunct.request(given, at=at, language=language).urgent
        raise
    result = adjunct.request(given, clinic=place, at=at, language=language)
    if as_fhir:
        print_json(as_text(result.to_bundle()))
    elif as_json:
        print_json(result.to_json())
    else:
        from adjunct.terminal import show_request

        show_request(result)


def protocols(
    name: Annotated[str | None, typer.Argument(help="Such as esketamine-trd; left out, all are listed.")] = None,
    at: At = None,
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
) -> None:
    """The courses that can be planned, with every setting, its bounds and where it is from."""
    import adjunct
    from adjunct.planning.protocols import names
    from adjunct.planning.protocols import protocol as find

    one_form(as_json=as_json, as_other=as_fhir)
    knowledge = adjunct._knowledge()
    if name is None:
        if as_fhir:
            raise BadInput("name one protocol for --fhir")
        from adjunct.terminal import show_protocols

        if as_json:
            print_json(as_text([{"id": n, "title": find(knowledge, n).title["en"]} for n in names(knowledge)]))
        else:
            show_protocols(knowledge)
        return
    found = find(knowledge, name)
    if as_fhir:
        from adjunct.publish import protocol_to_fhir

        print_json(as_text(protocol_to_fhir(found, knowledge, now_iso=adjunct._instant(at).iso())))
    elif as_json:
        print_json(as_text(dict(knowledge.protocols[found.id])))
    else:
        from adjunct.terminal import show_protocol

        show_protocol(found, knowledge)


Values = dict[str, Any] | None


def _files(
    about: Any, clinic: Path | None, order: Path | None, at: str | None, country: str | None
) -> tuple[Values, Values]:
    """The clinic's file and the order. One that cannot be read keeps back nothing that the record calls for at once."""
    try:
        return _read(clinic), _read(order)
    except BadInput as error:
        import adjunct

        error.advice = adjunct._red_flags(about, at=at, country=country)
        raise


def _read(path: Path | None) -> dict[str, Any] | None:
    return None if path is None else toml(path)


def _json(path: Path) -> Any:
    import orjson

    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"the file cannot be read ({error.strerror})", path.name) from None
    except orjson.JSONDecodeError as error:
        raise BadInput(f"this is not JSON: {error}", path.name) from None
