"""`adjunct session`: the treatment day: rehearse one, read a log back, write its papers, look before the dose."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adjunct.base import MS_PER_SECOND, BadInput, instant
from adjunct.cli.options import (
    AsFhir,
    AsJson,
    At,
    Country,
    Database,
    as_text,
    keep,
    one_form,
    print_json,
    toml,
)

if TYPE_CHECKING:
    from adjunct.session import Event, Held, History, Replayed
    from adjunct.session.readiness import Question

app = typer.Typer(help="The treatment day: readiness, infusion, monitoring, discharge.", no_args_is_help=True)

Log = Annotated[str, typer.Argument(help="The log of a day: JSON Lines, one event a line; - reads standard input.")]
Scenario = Annotated[str, typer.Option(help="Such as hypertensive-surge; a wrong name lists them.")]
Seed = Annotated[int, typer.Option(help="The same seed, the same day.")]
ClinicFile = Annotated[
    Path | None, typer.Option("--clinic", help="The clinic's file (TOML): its own limits and emergency number count.")
]
EVERY_S = 5  # simulated seconds between two looks at the clock
SPEED = 300


@app.command()
def simulate(
    scenario: Scenario,
    seed: Seed = 1,
    out: Annotated[Path | None, typer.Option(help="Write the log (JSON Lines) for `adjunct session replay`.")] = None,
    wire: Annotated[str, typer.Option(help="How the monitor speaks: hl7 or fhir.")] = "hl7",
    speed: Annotated[float, typer.Option(help="Simulated seconds a second on a live screen; 0 does not wait.")] = SPEED,
    plain: Annotated[bool, typer.Option("--plain", help="One line a change, also on a terminal.")] = False,
    clinic: ClinicFile = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse a day with simulated monitors: chairs with curves, alarms and duties as they run."""
    import adjunct
    from adjunct.clinic import Clinic

    knowledge, place = adjunct._knowledge(), _settings(clinic)
    Clinic.of(place, knowledge)  # refused before anything is written
    items = tuple(adjunct.rehearse(scenario, seed=seed, wire=wire, knowledge=knowledge))
    if out is not None:
        _write(out, items)
    if as_json:
        print_json(adjunct.replay(items, clinic=place, knowledge=knowledge).to_json())
        return
    from adjunct.terminal import run_day

    times = [item.received for item in items if item.received is not None]
    clock = range(min(times), max(times) + 1, EVERY_S * MS_PER_SECOND)
    live = sys.stdout.isatty() and not plain
    ticks = adjunct.watch(items, clock=clock, clinic=place, knowledge=knowledge)
    run_day(ticks, knowledge, live=live, pace=_pace(speed))


def _pace(speed: float) -> Iterator[None]:
    while True:
        if speed > 0:
            time.sleep(min(EVERY_S / speed, EVERY_S))  # no slower than the day itself
        yield


def _write(out: Path, items: tuple[Event | Held, ...]) -> None:
    import adjunct
    from adjunct.documents.writing import write_all
    from adjunct.session.events import Shape
    from adjunct.session.watch import log_line

    shape = Shape.of(adjunct._knowledge())
    write_all({out: "".join(f"{log_line(item, shape)}\n" for item in items).encode()})
    typer.echo(f"written: {out}", err=True)


@app.command()
def replay(
    log: Log,
    clinic: ClinicFile = None,
    at: At = None,
    as_json: AsJson = False,
    as_fhir: AsFhir = False,
    database: Database = None,
    kept: Annotated[bool, typer.Option("--keep", help="Store the day in the record of --database.")] = False,
) -> None:
    """Read a log back: state, alarms with their times, what is due, gaps, what was kept aside."""
    import adjunct

    one_form(as_json=as_json, as_other=as_fhir)
    result = adjunct.replay(_source(log), at=at, clinic=_settings(clinic))
    if as_json:
        print_json(result.to_json())
    elif as_fhir:
        print_json(as_text(_published(result)))
    else:
        from adjunct.terminal import show_replay

        show_replay(result)
    if kept:
        keep(_alone(result).state.patient, database, _published(result))


def _published(result: Replayed) -> dict[str, Any]:
    from adjunct.publish import session_to_fhir

    history = _alone(result)
    return session_to_fhir(history.state, history.events, result.knowledge, now=result.now)


def _alone(result: Replayed) -> History:
    """The one session that a log is of."""
    sessions = result.floor.sessions
    if len(sessions) != 1:
        raise BadInput(f"the log is of {len(sessions)} sessions: give that of one", "log")
    return next(iter(sessions.values()))


@app.command()
def ready(
    log: Log,
    record: Annotated[Path | None, typer.Option(help="The person's FHIR R4 Bundle.")] = None,
    clinic: ClinicFile = None,
    at: At = None,
    country: Country = None,
    as_json: AsJson = False,
) -> None:
    """May the dose be given? Open questions first, with reasons; by the rules of `adjunct assess`."""
    from dataclasses import replace

    import adjunct
    from adjunct.clinic import Clinic
    from adjunct.fhir import read_bundle
    from adjunct.session.readiness import readiness

    result = adjunct.replay(_source(log), at=at)
    found = readiness(
        _alone(result).state,
        result.knowledge,
        now=result.now,
        bundle=read_bundle(record) if record is not None else None,
        clinic=Clinic.of(_settings(clinic), result.knowledge),
        country=(country or "").upper(),
    )
    if as_json:
        print_json(as_text(found.to_dict()))
    else:
        from adjunct.terminal import show_readiness

        show_readiness(replace(found, questions=tuple(_once(found.questions))), result.knowledge)


def _once(questions: Iterable[Question]) -> Iterator[Question]:
    """Without what is open for several rules and was asked by those before: the answers that a rule waits for."""
    asked: set[str] = set()
    for question in questions:
        facts = question.id.split(", ")
        if not (question.open and asked.issuperset(facts)):
            asked.update(facts)
            yield question


@app.command()
def sign(
    log: Log,
    by: Annotated[str, typer.Option(help="The name of who signs the discharge.")],
    role: Annotated[str, typer.Option(help="prescriber or nurse.")],
    record: Annotated[Path | None, typer.Option(help="The person's FHIR R4 Bundle; what it says counts too.")] = None,
    at: At = None,
) -> None:
    """Sign a discharge: prints the event to add to the log, or refuses and names everything that is open."""
    import adjunct
    from adjunct.fhir import read_bundle
    from adjunct.record import from_bundle
    from adjunct.session import Event, Shape
    from adjunct.session.discharge import sign as signed
    from adjunct.session.events import line, read_event
    from adjunct.session.readiness import with_today

    result = adjunct.replay(_source(log), at=at)
    history, now = _alone(result), result.now
    if history.state.ended is not None:
        raise BadInput(f"the session has ended already ({history.state.phase.value}): nothing is left to sign", "log")
    if by in {event.source for event in history.events if event.by == event.source}:
        raise BadInput("a discharge is signed by a person, not by a device: give a name", "--by")
    whole = None
    if record is not None:
        bundle = with_today(history.state, result.knowledge, read_bundle(record), dose=True)
        whole = from_bundle(bundle, result.knowledge, now=now, phase="discharge")
    data = signed(history.state, now.ms, by, role, result.knowledge, record=whole)
    state = history.state
    event = Event(
        f"discharged-{state.count}", now.ms, now.ms, "discharged", by, "chair", data, state.session, now.offset
    )
    shape = Shape.of(result.knowledge)
    text = line(event, shape)
    if not isinstance(checked := read_event(text, shape), Event):
        raise BadInput(f"this cannot stand in a log: {checked.why}", "--by")
    print_json(text)


@app.command()
def report(
    log: Log,
    out: Annotated[Path, typer.Option(help="The folder that the papers go to; made if it is not there.")],
    answers: Annotated[
        Path | None, typer.Option(help="What only a person can say on the forms, and who signs them (TOML).")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="The person's FHIR R4 Bundle: who it is, for the monitoring form.")
    ] = None,
    at: At = None,
) -> None:
    """Write the day's papers as pages and PDF: the session on one page, the monitoring form, adverse event reports.

    A form that is not complete is written as a draft that names what is missing; one that is signed must be complete.
    """
    import adjunct
    from adjunct.documents.day_folder import write_day
    from adjunct.fhir import read_bundle
    from adjunct.session.forms import of_person

    result = adjunct.replay(_source(log), at=at)
    history = _alone(result)
    given = toml(answers) if answers is not None else {}
    if record is not None:
        who = of_person(read_bundle(record), history.state, result.knowledge)
        said = given.get("monitoring", {})
        given["monitoring"] = who | said if isinstance(said, dict) else said
    done, drafts = write_day(history, result.knowledge, out, now=result.now, answers=given)
    typer.echo("written: " + ", ".join(map(str, done)), err=True)
    for form, missing in drafts:
        typer.echo(f"adjunct: {form} is a draft, still empty: {'; '.join(missing)}", err=True)


@app.command()
def messages(
    source: Annotated[
        list[str], typer.Argument(help="Files of HL7 v2 messages (MLLP or one after another) or FHIR NDJSON.")
    ],
    log: Annotated[Path | None, typer.Option(help="The log that says which monitor is on whom.")] = None,
    received: Annotated[
        str | None, typer.Option(help="When they arrived; left out, when each says that it was sent.")
    ] = None,
) -> None:
    """Read the messages of monitors into lines of a log; what cannot be used is kept aside with the reason."""
    import adjunct
    from adjunct.devices import read_files
    from adjunct.session import Event, Shape, log_line, read_items

    knowledge = adjunct._knowledge()
    shape = Shape.of(knowledge)
    lines = _bytes(str(log)).splitlines() if log is not None else ()
    seen = [item for item in read_items(lines, shape) if isinstance(item, Event)]
    when = instant(received, "--received").ms if received is not None else None
    for item in read_files([_bytes(name) for name in source], seen, knowledge, received=when):
        print_json(log_line(item, shape))


@app.command()
def stock(
    ledger: Annotated[str, typer.Argument(help="The controlled-drug ledger: JSON Lines; - reads standard input.")],
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Add up the controlled-drug ledger: balances by lot, waste, counts that differ, what needs a second signature."""
    import adjunct
    from adjunct.session.model import Held
    from adjunct.session.stock import read_ledger, reconcile, to_dict

    knowledge, now = adjunct._knowledge(), adjunct._instant(at)
    text = _source(ledger)
    read = list(read_ledger(_bytes(text).splitlines(), knowledge))
    book = reconcile([x for x in read if not isinstance(x, Held)], now.ms, knowledge)
    held = [x for x in read if isinstance(x, Held)]
    if book.later:
        typer.echo(f"adjunct: {book.later} entries were written down after {now.iso()} and do not count yet", err=True)
    if as_json:
        print_json(as_text(to_dict(book) | {"held": [{"where": h.where, "why": h.why} for h in held]}))
    else:
        from adjunct.terminal import show_stock

        show_stock(book, held, now)


def _settings(clinic: Path | None) -> dict[str, Any] | None:
    return toml(clinic) if clinic is not None else None


def _source(name: str) -> str | bytes:
    return sys.stdin.buffer.read() if name == "-" else name


def _bytes(source: str | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise BadInput(f"the file cannot be read ({error.strerror})", Path(source).name) from None
