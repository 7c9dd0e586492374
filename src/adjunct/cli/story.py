"""`adjunct demo`: one invented person from the first question to month six, with her papers; then a clinic, served."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote
from urllib.request import urlopen

import typer

from adjunct.base import BadInput
from adjunct.cli.options import counting, now, settings

if TYPE_CHECKING:
    from adjunct.demo import Scene

DAY = len("2026-05-04")
CLOCK = slice(len("2026-05-04T"), len("2026-05-04T20:12"))
MOST = 3  # of a list: the demo is a story, the command shows all of it
OUT = Path("adjunct-demo")
PEOPLE = 60
SEED = 1
WAIT_S = 30
PLAYED = 500  # people whose days are played minute by minute; a load test wants many, not long ones


def register(app: typer.Typer) -> None:
    """Put the command of this file on the command line."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="The folder that her record and papers go to.")] = OUT,
    people: Annotated[int, typer.Option(min=0, help="How many people the clinic has; 0: the story alone.")] = PEOPLE,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = SEED,
    database: Annotated[str | None, typer.Option(help="Keep the clinic here; else it goes when the demo ends.")] = None,
    port: Annotated[
        int | None, typer.Option(help="8000 unless told otherwise, any that is free with --once; 0: any that is free.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Ask the server a few questions and end.")] = False,
) -> None:
    """Mara's half year, from the first question to month six; then a clinic of invented people, served until Ctrl+C."""
    if database is not None:
        from adjunct.fhir.sql.opening import schema_at

        schema_at(database)  # a wrong address is told before the story, not after it
    _story(out)
    if people:
        with TemporaryDirectory(prefix="adjunct-demo-") as folder:
            port = 0 if once and port is None else port
            _clinic(database or f"sqlite:///{folder}/clinic.db", people, seed, port, once)


def _story(out: Path) -> None:
    from adjunct.demo import RECORD, SCENES, bundle_path, until

    record = json.loads(bundle_path(RECORD).read_bytes())
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"this folder cannot be made ({error.strerror})", str(out)) from None
    for scene in SCENES:
        day = scene.at[:DAY]
        typer.echo(f"\n{day}  {scene.story}\n")
        path = out / f"{day}-record.json"
        if scene.shows != "request":
            path.write_text(json.dumps(until(record, scene.at), ensure_ascii=False), encoding="utf-8")
        SHOWN[scene.shows](scene, path)
    typer.echo(f"\nMara is invented. Her record at each turn and her papers are in {out}/: open the .html files.")


# --- the clinic -------------------------------------------------------------------------------------------------------


def _clinic(database: str, people: int, seed: int, port: int | None, once: bool) -> None:
    """Fill a record, serve it, and say what can be asked; or ask it."""
    import adjunct
    from adjunct.demo import seed_record
    from adjunct.serve.running import run, serving

    set_up = settings(None, database=database, port=port, log_level="warning")
    typer.echo(f"\nAnd a clinic: {people} invented people over a year and a half. Writing them down ...")
    light = people > PLAYED
    if light:
        typer.echo(f"More than {PLAYED}: no day is played minute by minute.")
    with counting("resources") as show:
        stored = seed_record(
            database, adjunct.Knowledge.load(), people=people, seed=seed, light=light, clock=now, progress=show
        )
    typer.echo(f"{stored} resources, every one tagged as test data." if stored else "They were there already.")
    if not once:
        run(set_up, clock=now, stream=sys.stderr.buffer, ready=_invite)
        return
    with serving(set_up, clock=now, stream=sys.stderr.buffer) as address:
        _ask(address)


def _invite(address: str) -> None:
    """What to open. Quotation marks: a shell would take `&` and `$` for its own."""
    from adjunct.demo import QUESTIONS

    typer.echo(f"\nIt is served at {address}/fhir, to this computer only: there is no sign-in yet. Open or ask, e.g.")
    typer.echo(f"  What can be asked?\n    '{address}/fhir/metadata'")
    for question in QUESTIONS:
        typer.echo(f"  {question.asks}\n    '{address}/fhir/{question.search}'")
    typer.echo("Ctrl+C ends it.")


def _ask(address: str) -> None:
    """The same questions over HTTP, and how many answers each has."""
    from adjunct.demo import QUESTIONS

    for question in QUESTIONS:
        url = f"{address}/fhir/{quote(question.search, safe='?&=:/$,-')}&_total=accurate"
        with urlopen(url, timeout=WAIT_S) as reply:  # noqa: S310  our own server, whose address we made
            typer.echo(
                f"$ curl '{address}/fhir/{question.search}'\n  {question.asks} {json.load(reply)['total']} found."
            )


# --- her story --------------------------------------------------------------------------------------------------------


def _say(command: str, lines: Sequence[str]) -> None:
    typer.echo(f"$ adjunct {command}")
    for line in lines:
        typer.echo(f"  {line}")


def _example(name: str) -> dict[str, Any]:
    from adjunct.demo import bundle_path

    return tomllib.loads(bundle_path(name).read_text(encoding="utf-8"))


def _request(scene: Scene, _: Path) -> None:
    import adjunct
    from adjunct.demo import CLINIC, LANGUAGE, REQUEST

    found = adjunct.request(_example(REQUEST), clinic=_example(CLINIC), at=scene.at, language=LANGUAGE).triage
    command = f"request examples/{REQUEST} --clinic examples/{CLINIC} --at {scene.at} --language {LANGUAGE}"
    todo = [f"To do: {step.title} ({step.owner})" for step in found.steps]
    _say(command, [f"{found.level.upper()}  {found.told.lines[0]}", *todo, *(early.says for early in found.early)])


def _assess(scene: Scene, path: Path) -> None:
    import adjunct
    from adjunct.demo import COUNTRY, TREATMENT

    found = adjunct.assess(path, treatment=TREATMENT, phase=scene.phase, at=scene.at, country=COUNTRY)
    lines = [f"{found.verdict}  {found.headline['says']}"]
    lines += [f"- {f.title}" for f in found.findings if f.action not in ("inform", "monitor")][:MOST]
    lines += [f"? {g.ask}" for g in found.gaps if g.blocks][:MOST]
    _say(f"assess {path} --for {TREATMENT} --phase {scene.phase} --at {scene.at} --country {COUNTRY}", lines)


def _plan_words(scene: Scene, path: Path) -> tuple[str, dict[str, Any]]:
    from adjunct.demo import CLINIC, COUNTRY, PROTOCOL, START

    words = (
        f"{path} --protocol {PROTOCOL} --start {START} --at {scene.at} --country {COUNTRY} "
        f"--clinic examples/{CLINIC} --order examples/{scene.order}"
    )
    given = {"protocol": PROTOCOL, "start": START, "at": scene.at, "country": COUNTRY}
    return words, given | {"clinic": _example(CLINIC), "order": _example(scene.order)}


def _plan(scene: Scene, path: Path) -> None:
    import adjunct

    words, given = _plan_words(scene, path)
    found = adjunct.plan(path, **given).to_dict()
    lines = [f"{found['status'].upper()}  {found['protocol']['title']}"]
    lines += [f"first: {told['title']} ({told['owner']})" for told in found["open"][:MOST]]
    lines += [f"missed: {told['title']} ({told['owner']})" for told in found["missed"]]
    coming = [v for v in found["visits"] if v["state"] not in ("done", "missed")][:MOST]
    _say(f"plan {words}", [*lines, *(f"visit {v['number']}: {v['starts'][: len(scene.at)]}" for v in coming)])


def _follow(scene: Scene, path: Path) -> None:
    import adjunct
    from adjunct.demo import COUNTRY

    found = adjunct.follow(path, at=scene.at, country=COUNTRY)
    lines = [f"{alert['level']}: {alert['says']}" for alert in found.alerts] or ["No alert."]
    for course in found.courses.values():
        if course.state is not None:
            held = [f"{j.id.replace('_', ' ')}" for j in course.judgements if j.chosen and j.holds > 1]
            lines.append(f"{course.title}: {course.state.name}" + (f" ({', '.join(held[:MOST])})" if held else ""))
    _say(f"follow {path} --at {scene.at} --country {COUNTRY}", lines)


def _report(scene: Scene, path: Path) -> None:
    import adjunct
    from adjunct.demo import LANGUAGE

    words, given = _plan_words(scene, path)
    folder = path.parent / f"{scene.at[:DAY]}-papers"
    _plan(scene, path)
    done = adjunct.report(path, folder, language=LANGUAGE, **given)
    _say(f"report {words} --language {LANGUAGE} --out {folder}", [", ".join(p.name for p in done)])


def _day(scene: Scene, path: Path) -> None:
    import adjunct
    from adjunct.demo import DAY_LOG, bundle_path
    from adjunct.documents.day_folder import write_day

    found = adjunct.replay(bundle_path(DAY_LOG), at=scene.at)
    told = found.to_dict()
    dose = told["state"]["dose"]
    lines = [f"{told['state']['phase'].upper()}  {dose['so_far_mg']:g} mg in {len(dose['parts'])} devices"]
    for alarm in told["alarms"]:
        seen = f"{alarm['acknowledged_by']} {alarm['acknowledged'][CLOCK]}" if alarm["acknowledged"] else "nobody"
        over = f"over {alarm['cleared'][CLOCK]}" if alarm["cleared"] else "stands"
        lines.append(f"{alarm['raised'][CLOCK]} {alarm['title']}: {alarm['do'][0]} Seen by {seen}, {over}.")
    _say(f"session replay examples/{DAY_LOG} --at {scene.at}", lines)
    folder = path.parent / f"{scene.at[:DAY]}-day"
    (history,) = found.floor.sessions.values()
    done, drafts = write_day(history, found.knowledge, folder, now=found.now)
    open_ = [f"{name} is a draft, {len(missing)} fields are still empty" for name, missing in drafts]
    _say(f"session report examples/{DAY_LOG} --out {folder}", [", ".join(p.name for p in done), *open_])


SHOWN = {"request": _request, "assess": _assess, "plan": _plan, "day": _day, "follow": _follow, "report": _report}
