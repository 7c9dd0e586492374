"""`adjunct demo`: one invented person from the first question to month six, with her papers."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adjunct.base import BadInput

if TYPE_CHECKING:
    from adjunct.demo import Scene

DAY = len("2026-05-04")
CLOCK = slice(len("2026-05-04T"), len("2026-05-04T20:12"))
MOST = 3  # of a list: the demo is a story, the command shows all of it
OUT = Path("adjunct-demo")


def register(app: typer.Typer) -> None:
    """Put the command of this file on the command line."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="The folder that her record and papers go to.")] = OUT,
) -> None:
    """Mara's half year: first question, what was missing, the plan, the first day, a missed visit, month six."""
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
