"""What holds of each activity after all decisions about it, and the log of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adjunct.routine.model import Act, Kind, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What holds of one activity after all decisions; `since` is when it was chosen, `changed` the last of them."""

    activity: str
    kind: Kind
    since: int
    changed: int
    by: str
    version: int
    step: int = 0
    goal: str = ""
    cue: str = ""
    dose: str = ""
    cleared: frozenset[str] = frozenset()


def fold(acts: Sequence[Act]) -> dict[str, Standing]:
    """Decisions in order of time, each a version; what an edit leaves out stays as it was."""
    found: dict[str, Standing] = {}
    for number, act in enumerate(acts, start=1):
        before = found.get(act.activity)
        mark: Any = {"changed": act.at, "by": act.by, "version": number}
        if act.kind == Kind.CLEARED:
            kept = before or Standing(activity=act.activity, kind=Kind.CLEARED, since=act.at, **mark)
            found[act.activity] = replace(kept, cleared=kept.cleared | {act.about})
        elif act.kind == Kind.EDITED and before is not None:
            words = {name: getattr(act, name) or getattr(before, name) for name in ("goal", "cue", "dose")}
            step = before.step if act.step is None else act.step
            found[act.activity] = replace(before, step=step, **words, **mark)
        else:
            found[act.activity] = Standing(
                activity=act.activity,
                kind=act.kind,
                since=act.at,
                step=act.step or 0,
                goal=act.goal,
                cue=act.cue,
                dose=act.dose,
                cleared=before.cleared if before else frozenset(),
                **mark,
            )
    return found


def versions(acts: Sequence[Act]) -> tuple[Version, ...]:
    """The log of what was agreed, numbered from 1."""
    return tuple(
        Version(
            number=number,
            at=act.at,
            by=act.by,
            kind=act.kind,
            activity=act.activity,
            words="; ".join(f"{name}: {text}" for name in ("goal", "cue", "dose") if (text := getattr(act, name))),
        )
        for number, act in enumerate(acts, start=1)
    )
