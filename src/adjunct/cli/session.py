"""`adjunct session`: the treatment day: rehearse one, read a log back, write its papers, look before the dose."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from adjunct.cli.options import AsFhir, AsJson, At, as_text, one_form, print_json

app = typer.Typer(help="The treatment day: readiness, infusion, monitoring, discharge.", no_args_is_help=True)

Log = Annotated[str, typer.Argument(help="The log of a day: JSON Lines, one event a line; - reads standard input.")]
Scenario = Annotated[str, typer.Option(help="Such as hypertensive-surge; a wrong name lists them.")]
Seed = Annotated[int, typer.Option(help="The same seed, the same day.")]
EVERY_S = 5  # simulated seconds between two looks at the clock


@app.command()
def simulate(
    scenario: Scenario,
    seed: Seed = 1,
    out: Annotated[Path | None, typer.Option(help="Write the log (JSON Lines) for `adjunct session replay`.")] = None,
    wire: Annotated[str, typer.Option(help="How the monitor speaks: hl7 or fhir.")] = "hl7",
    speed: Annotated[float, typer.Option(help="Simulated seconds a second on a live screen; 0 does not wait.")] = 300,
    plain: Annotated[bool, typer.Option("--plain", help="One line a change, also on a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rehearse a day with simulated monitors: chairs with curves, alarms and duties as they run."""
    import adjunct
    from adjunct.session.watch import watch

    knowledge = adjunct._knowledge()
    items = tuple(adjunct.rehearse(scenario, seed=seed, wire=wire, knowledge=knowledge))
    if out is not None:
        _write(out, items)
    if as_json:
        print_json(adjunct.replay(items, knowledge=knowledge).to_json())
        return
    from adjunct.terminal import run_day

    times = [item.received for item in items if item.received is not None]
    clock = range(min(times), max(times) + 1, EVERY_S * 1000)
    live = sys.stdout.isatty() and not plain
    run_day(watch(items, clock, knowledge), knowledge, live=live, pace=_pace(speed))


def _pace(speed: float) -> Iterator[None]:
    while True:
        if speed > 0:
            time.sleep(EVERY_S / speed)
        yield


def _write(out: Path, items: tuple[object, ...]) -> None:
    import adjunct
    from adjunct.documents.writing import write_all
    from adjunct.session.events import Shape
    from adjunct.session.watch import log_line

    shape = Shape.of(adjunct._knowledge())
    write_all({out: "".join(f"{log_line(item, shape)}\n" for item in items).encode()})
    typer.echo(f"written: {out}", err=True)


@app.command()
def replay(log: Log, at: At = None, as_json: AsJson = False, as_fhir: AsFhir = False) -> None:
    """Read a log back: state, alarms with their times, what is due, gaps, what was kept aside."""
    import adjunct

    one_form(as_json=as_json, as_other=as_fhir)
    result = adjunct.replay(_source(log), at=at)
    if as_json:
        print_json(result.to_json())
    elif as_fhir:
        from adjunct.publish import session_to_fhir

        print_json(as_text(session_to_fhir(result)))
    else:
        from adjunct.terminal import show_replay

        show_replay(result)


def _source(name: str) -> str | bytes:
    return sys.stdin.buffer.read() if name == "-" else name
