"""`adjunct score`, `questionnaire`, `follow`, `safety-plan`, `triage`: how is this person, and is anyone in danger?"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
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
    from adjunct.followup import FollowUp

OWN = ("check-in", "safety-plan")  # forms of our own, which no instrument file describes
Patient = Annotated[str | None, typer.Option(help="Whose answers these are, for --fhir, such as Patient/123.")]


def register(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    for command in (score, questionnaire, follow, safety_plan, triage):
        app.command()(command)


def score(
    instrument: Annotated[str, typer.Argument(help="Such as phq-9; `adjunct questionnaire` lists them.")],
    answers: Annotated[
        str | None, typer.Option(help="In printed order, such as 1,2,1,0,2,1,0,0,-; - is missing, na not applicable.")
    ] = None,
    form: Annotated[str | None, typer.Option(help="Which form, where bands differ, such as woman.")] = None,
    version: Annotated[str | None, typer.Option(help="The edition that was filled in, if it is known.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Score every row of this CSV file: an id, then the answers.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the scores of --table go (CSV).")] = None,
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
    at: At = None,
    patient: Patient = None,
) -> None:
    """Score one questionnaire: total, band, subscales, and what its answers call for."""
    import adjunct

    one_form(as_json=as_json, as_other=as_fhir)
    if (answers is None) == (table is None):
        raise BadInput("give --answers of one person, or --table with many")
    if table is not None:
        _only({"--version": version, "--json": as_json, "--fhir": as_fhir, "--at": at, "--patient": patient}, "a table")
        if out is None:
            raise BadInput("say where the scores go: --out FILE.csv")
        from adjunct.cli.tables import score_table

        typer.echo(score_table(instrument, table, out, form=form), err=True)
        return
    _note_out(out)
    given = re.split("[,;]", answers or "")
    result = adjunct.score(instrument, given, form=form, version=version)
    if as_fhir:
        from adjunct.publish import score_to_fhir

        instant = adjunct._instant(at).iso()
        print_json(as_text(score_to_fhir(result, given, adjunct._knowledge(), at=instant, patient_reference=patient)))
    elif as_json:
        print_json(result.to_json())
    else:
        from adjunct.terminal import show_score

        show_score(result, adjunct._knowledge())


def questionnaire(
    instrument: Annotated[
        str | None, typer.Argument(help="Such as phq-9, check-in or safety-plan; left out, all are listed.")
    ] = None,
    text: Annotated[Path | None, typer.Option(help="Your own licensed wording (TOML).")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Neutral labels instead of the wording.")] = False,
    form: Annotated[str | None, typer.Option(help="Which form, where scores differ.")] = None,
) -> None:
    """An instrument as a FHIR Questionnaire that adds itself up; without a name, the list of instruments."""
    import adjunct

    knowledge = adjunct._knowledge()
    if instrument is None:
        from adjunct.terminal import show_instruments

        show_instruments(knowledge)
        return
    if instrument in OWN:
        from adjunct.publish.own_forms import own_questionnaire

        _only({"--text": text, "--labels": labels, "--form": form}, "our own forms")
        print_json(as_text(own_questionnaire(instrument, knowledge)))
        return
    from adjunct.instruments import instrument as find
    from adjunct.publish import questionnaire as publish

    if text is not None and labels:
        raise BadInput("--text and --labels are two wordings: ask for one of them")
    words = None if text is None else toml(text)
    print_json(as_text(publish(find(knowledge, instrument), text=words, labels=labels, form=form)))


def follow(
    record: Annotated[
        str,
        typer.Argument(help="A FHIR R4 Bundle (JSON; - reads standard input), Patient/ID, or a table (CSV)."),
    ],
    at: At = None,
    country: Country = None,
    route: Annotated[str | None, typer.Option(help="How doses are given, where the record does not say.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw to this .svg or .png file, its table beside it.")] = None,
    level: Annotated[float | None, typer.Option(help="Chance of having lost half of the gain to look for.")] = None,
    settings: Annotated[Path | None, typer.Option(help="The clinic's hours, people and own courses (TOML).")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the courses of a CSV table go (CSV).")] = None,
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
    database: Database = None,
    kept: Keep = False,
) -> None:
    """Is this person getting better, is anyone in danger, and what is due? For one record, or a table of many."""
    import adjunct

    one_form(as_json=as_json, as_other=as_fhir)
    if record.lower().endswith(".csv"):
        of_one = {
            "--country": country,
            "--route": route,
            "--plot": plot,
            "--settings": settings,
            "--database": database,
            "--keep": kept,
        }
        _only({**of_one, "--json": as_json, "--fhir": as_fhir}, "a table")
        if out is None:
            raise BadInput("say where the courses go: --out FILE.csv")
        from adjunct.cli.tables import follow_table

        follow_table(Path(record), out, at=at, level=level)
        return
    _note_out(out)
    about = source(record, database)
    given, fault = _settings(settings)
    result = adjunct.follow(about, at=at, country=country, route=route, level=level, settings=given)
    if fault is not None:
        fault.advice = adjunct._urgent(result)
        raise fault
    if as_json:
        print_json(result.to_json())
    elif as_fhir:
        print_json(as_text(_published(result)))
    else:
        from adjunct.terminal import show_follow_up

        show_follow_up(result.to_dict())
    if kept:
        keep(record, database, _published(result))
    if plot:  # after the answer: a picture that cannot be drawn must not cost it
        from adjunct.documents.course import draw

        typer.echo("written: " + ", ".join(str(p) for p in draw(result, plot)), err=True)


def _published(result: FollowUp) -> dict[str, Any]:
    from adjunct.publish import follow_up_to_fhir

    return follow_up_to_fhir(result.to_dict(), patient_reference=result.patient or None)


def safety_plan(
    record: Bundle,
    at: At = None,
    country: Country = None,
    page: Annotated[Path | None, typer.Option(help="Write it as one page to print (.html).")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """The person's own safety plan, its newest version, with whom to call where the person is now."""
    import adjunct

    result = adjunct.follow(source(record, database), at=at, country=country)
    if page:
        from adjunct.documents.writing import write

        write(page, result.safety_plan_page(), str(page))
        typer.echo(f"written: {page}", err=True)
    if as_json:
        print_json(as_text(result.to_dict()["safety_plan"]))
    elif not page:
        from adjunct.terminal import show_safety_plan

        show_safety_plan(result)


def triage(
    text: Annotated[str, typer.Argument(help="What somebody wrote; - reads standard input.")],
    language: Annotated[str | None, typer.Option(help="en, es, fr or de, for the answer.")] = None,
    country: Country = None,
    as_json: AsJson = False,
) -> None:
    """Look for red flags in a message. It only ever raises: nothing found is no all-clear."""
    import adjunct

    said = _read_words() if text == "-" else text
    result = adjunct.triage(said, language=language, country=country)
    if as_json:
        print_json(result.to_json())
    else:
        from adjunct.terminal import show_message

        show_message(result)


def _read_words() -> str:
    """What stands on standard input, in UTF-8 or else as older systems write it: no letter of it may be lost."""
    raw = sys.stdin.buffer.read()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _only(options: Mapping[str, object], what: str) -> None:
    """Refuse an option that would change nothing: who gave it expects that it does."""
    given = [name for name, value in options.items() if value]
    if given:
        raise BadInput(f"{given[0]} says nothing here, for {what}: leave it out")


def _note_out(out: Path | None) -> None:
    """Said beside the answer, never in its place: an alarm must not wait for a right command line."""
    if out is not None:
        typer.echo("adjunct: --out is for tables: nothing is written to it", err=True)


def _settings(path: Path | None) -> tuple[dict[str, Any] | None, BadInput | None]:
    """The settings of a file, or why it cannot be read: that is told after the record was looked at for alarms."""
    try:
        return (None if path is None else toml(path)), None
    except BadInput as error:
        return None, error
