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
def simulate(
    model_or_drug: Annotated[str, typer.Argument(help="A model (see `adjunct models`) or a drug, such as ketamine.")],
    dose: Annotated[str, typer.Option(help="With its unit, such as '0.5 mg/kg' or '56 mg'.")],
    route: Annotated[str, typer.Option(help="iv, im, sc, nasal, oral, sublingual, buccal, rectal or tea.")],
    weight: Annotated[float | None, typer.Option(help="Body weight in kg.")] = None,
    over: Annotated[str | None, typer.Option(help="How long an infusion runs, such as '40 min'.")] = None,
    age: Annotated[float | None, typer.Option(callback=_age, help="Age in years.")] = None,
    repeat: Annotated[str | None, typer.Option(help="Such as '2x/week for 4 weeks'.")] = None,
    missed: Annotated[
        list[int] | None, typer.Option(help="A dose that is left out (1 is the first). Repeatable.")
    ] = None,
    pause: Annotated[
        list[str] | None, typer.Option(help="Hold the infusion, such as '20 min for 10 min'. May be repeated.")
    ] = None,
    stop: Annotated[str | None, typer.Option(help="Stop the infusion early, such as '30 min'.")] = None,
    covariate: Annotated[
        list[str] | None, typer.Option(help="What a model asks for besides, such as japanese=1. May be repeated.")
    ] = None,
    hours: Annotated[float | None, typer.Option(help="How long to look, in hours.")] = None,
    above: Annotated[str | None, typer.Option(help="Report the time above this level, such as '100 ng/mL'.")] = None,
    n: Annotated[int | None, typer.Option("--n", help="How many different people; left out, 100.")] = None,
    seed: Annotated[int, typer.Option(help="Which people: the same number gives the same people.")] = 1,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the curves as a table.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw to this .svg or .png file, its table beside it.")] = None,
) -> None:
    """How high, how long, when is the peak: published models, as an envelope, for one person or many."""
    import adjunct

    if as_json and as_csv:
        raise BadInput("--json and --csv are two answers: ask for one of them")
    result = adjunct.simulate(
        model_or_drug,
        dose=dose,
        route=route,
        weight=weight,
        over=over,
        age=age,
        repeat=repeat,
        missed=missed or (),
        pauses=pause or (),
        stop=stop,
        hours=hours,
        above=above,
        n=n,
        seed=seed,
        **_pairs(covariate, "--covariate", float),
    )
    if plot:
        from adjunct.documents.plots import draw

        typer.echo("written: " + ", ".join(str(p) for p in draw(result.to_dict(), plot)), err=True)
    if as_csv:
        from adjunct.documents.plots import table

        typer.echo(table(result.to_dict()), nl=False)
    elif as_json:
        _print_json(result.to_json())
    else:
        from adjunct.terminal import show_exposure

        show_exposure(result.to_dict())


@app.command()
def interact(
    victim: Annotated[str, typer.Argument(help="Whose level may change, such as risperidone or S-ketamine.")],
    perpetrators: Annotated[list[str], typer.Option("--with", help="What is taken with it. May be repeated.")],
    victim_route: Annotated[str, typer.Option(help="How the first one is given.")] = "oral",
    regimen: Annotated[str | None, typer.Option(help="Of the other, such as '20 mg daily, 9 d'.")] = None,
    phenotype: Annotated[list[str] | None, typer.Option(help="Such as CYP2D6=poor. May be repeated.")] = None,
    stopped_days: Annotated[float | None, typer.Option(help="Days since the other was stopped.")] = None,
    lag: Annotated[float | None, typer.Option(help="Hours from the other to the first one.")] = None,
    predict: Annotated[bool, typer.Option("--predict", help="Leave out what was measured; predict.")] = False,
    as_json: AsJson = False,
) -> None:
    """What one substance does to the level of another: measured where studied, else predicted with its interval."""
    import adjunct
    from adjunct.base import convert

    result = adjunct.interact(
        victim,
        perpetrators,
        victim_route=victim_route,
        regimen=regimen,
        phenotype=_pairs(phenotype, "--phenotype", str) or None,
        stopped_h=None if stopped_days is None else convert(stopped_days, "d", "h"),
        lag_h=lag,
        predict=predict,
    )
    if as_json:
        _print_json(result.to_json())
    else:
        from adjunct.terminal import show_ratio

        show_ratio(result.to_dict())


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Show one model with its numbers and sources.")] = None,
    validate: Annotated[bool, typer.Option("--validate", help="Rebuild every published table; misses first.")] = False,
    as_json: AsJson = False,
) -> None:
    """The published models: list them, show one with its sources, or rebuild every table they were published with."""
    import adjunct
    from adjunct.pharmacology.simulation.models import model
    from adjunct.pharmacology.simulation.tables import ORDER, all_checks

    knowledge = adjunct._knowledge()
    chosen = [model(knowledge, name).raw] if name else list(knowledge.models.values())
    if validate:
        checks = sorted(all_checks(knowledge, [entry["id"] for entry in chosen]), key=lambda c: ORDER.index(c.status))
        if as_json:
            _print_json(_json([c.to_dict() for c in checks]))
        else:
            from adjunct.terminal import show_checks

            show_checks([c.to_dict() for c in checks])
        if any(c.status in ("miss", "refused") for c in checks):
            raise typer.Exit(code=Refused.exit_code)
    elif as_json:
        _print_json(_json(chosen[0] if name else chosen))
    else:
        from adjunct.terminal import show_model, show_models

        show_model(chosen[0], knowledge.sources) if name else show_models(chosen)


def _pairs(given: Sequence[str] | None, option: str, read: Callable[[str], Any]) -> dict[str, Any]:
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


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


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
    """Print every rule, fact, substance, claim and model with its sources, and the validation report, as Markdown."""
    import adjunct
    from adjunct.documents import validation
    from adjunct.knowledge import book

    knowledge = adjunct._knowledge()
    stale = []
    for name, text in {**book.pages(knowledge), **validation.pages(knowledge)}.items():
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
