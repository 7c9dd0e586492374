"""The command line: a thin shell. It reads arguments, calls, prints; nothing clinical is decided here."""

from __future__ import annotations

import io
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from adjunct.base import AdjunctError, BadInput, Refused

if TYPE_CHECKING:
    from adjunct.assessment import Assessment

app = typer.Typer(
    name="adjunct",
    help="What do these substances do together, and may this treatment start? Answers with reasons, sources and gaps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
knowledge_app = typer.Typer(help="The knowledge base: check it, compile it, print its book.", no_args_is_help=True)
app.add_typer(knowledge_app, name="knowledge")

HELP_STILL = (
    "If somebody is in danger now, call your local emergency number (112 works from mobiles in many countries)."
)

_COUNTRY = re.compile("[A-Za-z]{2}")
_JURISDICTION = re.compile("[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?")


def _country(given: str | None) -> str | None:
    """A country written any other way would silently be an unknown one, and its numbers would not be shown."""
    if given is not None and not _COUNTRY.fullmatch(given):
        raise typer.BadParameter("not a country code of two letters: write for example US")
    return given


def _jurisdiction(given: str | None) -> str | None:
    if given is not None and not _JURISDICTION.fullmatch(given):
        raise typer.BadParameter("not a code of a country or its part: write for example US-TX")
    return given


def _age(given: float | None) -> float | None:
    if given is not None and not (math.isfinite(given) and given >= 0):
        raise typer.BadParameter("not an age in years: write for example 34")
    return given


AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
AsFhir = Annotated[bool, typer.Option("--fhir", help="Print the answer as a FHIR R4 Bundle.")]
At = Annotated[str | None, typer.Option("--at", help="The instant that counts as now, with its offset.")]
Country = Annotated[
    str | None,
    typer.Option("--country", callback=_country, help="Where the person is now (ISO 3166-1, such as US)."),
]
Sources = Annotated[bool, typer.Option("--sources", help="Show the sources of every finding.")]


@app.command()
def check(
    items: Annotated[list[str], typer.Argument(help="What is taken, as people write it.", show_default=False)],
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
    jurisdiction: Annotated[
        str | None, typer.Option(callback=_jurisdiction, help="Whose law to show (ISO 3166-2, such as US-TX).")
    ] = None,
    country: Country = None,
    age: Annotated[float | None, typer.Option(callback=_age, help="Age in years.")] = None,
    condition: Annotated[list[str] | None, typer.Option(help="A condition the person has. May be repeated.")] = None,
    at: At = None,
    sources: Sources = False,
) -> None:
    """Check a list of medicines and substances taken together."""
    import adjunct

    _one_form(as_json=as_json, as_fhir=as_fhir)
    result = adjunct.check(
        items, conditions=condition or (), age=age, country=country, jurisdiction=jurisdiction, at=at
    )
    _show(result, as_json=as_json, as_fhir=as_fhir, sources=sources)


@app.command()
def assess(
    bundle: Annotated[str, typer.Argument(help="A FHIR R4 Bundle (JSON file); - reads standard input.")],
    treatment: Annotated[str, typer.Option("--for", help="ketamine-iv, -im, -sc, esketamine-nasal or none.")],
    phase: Annotated[str, typer.Option(help="intake, pre-dose, during, discharge or follow-up.")] = "intake",
    at: At = None,
    country: Country = None,
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
    sources: Sources = False,
) -> None:
    """Assess one person's record for a treatment and a phase of care."""
    import adjunct

    _one_form(as_json=as_json, as_fhir=as_fhir)
    source = sys.stdin.buffer if bundle == "-" else Path(bundle)
    result = adjunct.assess(source, treatment=treatment, phase=phase, at=at, country=country)
    _show(result, as_json=as_json, as_fhir=as_fhir, sources=sources)


@app.command()
def demo() -> None:
    """Assess three invented people from the bundles that come with Adjunct."""
    import adjunct
    from adjunct.demo import PEOPLE, bundle_path

    for person in PEOPLE:
        question = f"--for {person.treatment} --phase {person.phase} --at {person.at}"
        typer.echo(f"\n$ adjunct assess examples/{person.file} {question}")
        typer.echo(person.story + "\n")
        result = adjunct.assess(
            bundle_path(person.file),
            treatment=person.treatment,
            phase=person.phase,
            at=person.at,
            country=person.country,
        )
        _show(result, as_json=False, as_fhir=False, sources=False)


@knowledge_app.command("check")
def knowledge_check(
    as_of: Annotated[str | None, typer.Option("--as-of", help="Judge expiry on this date (YYYY-MM-DD).")] = None,
) -> None:
    """Refuse numbers without a source, rules without cases, texts beyond their grade, and what has expired."""
    from datetime import date

    from adjunct.knowledge.compiled import FileError, compile_knowledge
    from adjunct.knowledge.lint import check
    from adjunct.knowledge.load import HERE

    if as_of is not None:
        try:
            date.fromisoformat(as_of)
        except ValueError:
            raise BadInput("not a date: write YYYY-MM-DD", "--as-of") from None
    try:
        text = compile_knowledge(HERE / "data")
    except FileError as error:
        raise Refused(f"knowledge file {error}") from None
    import orjson

    content = orjson.loads(text)
    faults = check(content, as_of=as_of)
    for fault in faults:
        typer.echo(fault)
    counts = ", ".join(
        f"{len(content[k])} {k}" for k in ("sources", "facts", "concepts", "rules", "substances", "names")
    )
    typer.echo(f"{counts}: {len(faults)} faults", err=True)
    if faults:
        raise typer.Exit(code=Refused.exit_code)


@knowledge_app.command("compile")
def knowledge_compile() -> None:
    """Compile the knowledge files after an edit."""
    from adjunct.knowledge import Knowledge

    typer.echo(f"knowledge {Knowledge.compile().version}", err=True)


@knowledge_app.command("book")
def knowledge_book(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("docs/reference"),
    check_only: Annotated[bool, typer.Option("--check", help="Only compare; fail if the book is out of date.")] = False,
) -> None:
    """Print every rule, fact, substance and claim with its sources as Markdown."""
    import adjunct
    from adjunct.knowledge.book import pages

    stale = []
    for name, text in pages(adjunct._knowledge()).items():
        path = out / name
        if check_only:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        raise BadInput(f"the book is out of date: {', '.join(stale)}; run `adjunct knowledge book`")


def _show(result: Assessment, *, as_json: bool, as_fhir: bool, sources: bool) -> None:
    if as_json:
        _print_json(result.to_json())
    elif as_fhir:
        import json

        from adjunct.publish import to_fhir

        published = to_fhir(result.to_dict(), now_iso=result.at, patient_reference=result.patient or None)
        _print_json(json.dumps(published, indent=2, ensure_ascii=False))
    else:
        from adjunct.terminal import show

        show(result, sources=sources)


def _one_form(*, as_json: bool, as_fhir: bool) -> None:
    if as_json and as_fhir:
        raise BadInput("--json and --fhir are two answers: ask for one of them")


def _print_json(text: str) -> None:
    """JSON is UTF-8, whatever the terminal says."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    typer.echo(text)


def main() -> None:
    """Run, and turn every refusal into one line and its exit code. Help is offered even where no answer can be."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the terminal cannot show must not cost the answer
    _run(lambda: app(standalone_mode=False))


def _run(command: Callable[[], Any]) -> None:
    import click

    try:
        code = command()
        sys.stdout.flush()  # here a closed pipe can still be met quietly
    except AdjunctError as error:
        _refuse(str(error), error.exit_code, error.advice)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        said = error.format_message().rstrip(".")  # empty when no command was given: then the help is shown
        _refuse(f"{said}; see adjunct --help" if said else "name a command, as above", BadInput.exit_code)
    except (BrokenPipeError, KeyboardInterrupt, click.exceptions.Abort):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  a traceback could show the record, and would be no answer either
        _refuse(f"{_where(error)}, so nothing can be answered: please report it", Refused.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(line: str, code: int, advice: Sequence[str] = ()) -> NoReturn:
    print("adjunct: " + " ".join(line.split()), file=sys.stderr)
    for text in advice:  # a refusal never silences a red flag
        print(text)
    if code == Refused.exit_code:
        print(HELP_STILL)
    sys.exit(code)


def _where(error: Exception) -> str:
    """Kind and place of a fault of ours; its message may hold values of the record and is left out."""
    step = error.__traceback__
    while step and step.tb_next:
        step = step.tb_next
    place = f" at {Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}" if step else ""
    return f"an internal error ({type(error).__name__}{place})"


if __name__ == "__main__":
    main()
