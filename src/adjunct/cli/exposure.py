"""`adjunct simulate`, `interact`, `models`: how much of it is in the blood."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adjunct.base import BadInput, Refused
from adjunct.cli.options import AsJson, age_years, as_text, pairs, print_json


def register(app: typer.Typer) -> None:
    """Put the commands of this file on the command line."""
    for command in (simulate, interact, models):
        app.command()(command)


def simulate(
    model_or_drug: Annotated[str, typer.Argument(help="A model (see `adjunct models`) or a drug, such as ketamine.")],
    dose: Annotated[str, typer.Option(help="With its unit, such as '0.5 mg/kg' or '56 mg'.")],
    route: Annotated[str, typer.Option(help="iv, im, sc, nasal, oral, sublingual, buccal, rectal or tea.")],
    weight: Annotated[float | None, typer.Option(help="Body weight in kg.")] = None,
    over: Annotated[str | None, typer.Option(help="How long an infusion runs, such as '40 min'.")] = None,
    age: Annotated[float | None, typer.Option(callback=age_years, help="Age in years.")] = None,
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
        **pairs(covariate, "--covariate", float),
    )
    if plot:
        from adjunct.documents.plots import draw

        typer.echo("written: " + ", ".join(str(p) for p in draw(result.to_dict(), plot)), err=True)
    if as_csv:
        from adjunct.documents.plots import table

        typer.echo(table(result.to_dict()), nl=False)
    elif as_json:
        print_json(result.to_json())
    else:
        from adjunct.terminal import show_exposure

        show_exposure(result.to_dict())


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
        phenotype=pairs(phenotype, "--phenotype", str) or None,
        stopped_h=None if stopped_days is None else convert(stopped_days, "d", "h"),
        lag_h=lag,
        predict=predict,
    )
    if as_json:
        print_json(result.to_json())
    else:
        from adjunct.terminal import show_ratio

        show_ratio(result.to_dict())


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
            print_json(as_text([c.to_dict() for c in checks]))
        else:
            from adjunct.terminal import show_checks

            show_checks([c.to_dict() for c in checks])
        if any(c.status in ("miss", "refused") for c in checks):
            raise typer.Exit(code=Refused.exit_code)
    elif as_json:
        print_json(as_text(chosen[0] if name else chosen))
    else:
        from adjunct.terminal import show_model, show_models

        show_model(chosen[0], knowledge.sources) if name else show_models(chosen)
