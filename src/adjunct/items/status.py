"""Is it taken, by this person, and when last: read from the phrases of a sentence in their order."""

from __future__ import annotations

from adjunct.items.grammar import Sentence
from adjunct.items.model import Status
from adjunct.items.numbers import Interval


def status_of(said: Sentence) -> Status:
    """The status that the phrases leave. Doubt between taken and not taken goes to taken.

    Phrases are read whole, so "do not skip" and "never stopped" deny nothing; a later "restarted" undoes "stopped".
    """
    keys = [t.key for t in said.statuses]
    if "no-allergy" in keys:
        said.notes["denied_allergy"] = None
        return "current" if said.amounts or said.counts or said.frequencies or "current" in keys else "not-taken"
    if "allergy" in keys:
        return "allergy"
    if said.other and not said.own:
        said.notes["other_person"] = None
        return "not-taken"
    if said.other:
        said.notes["shared"] = None
    return _own_status(said, keys)


def _own_status(said: Sentence, keys: list[str]) -> Status:
    if "stopped" in keys:
        if "current" in keys:
            undone = _last(keys, "current") > _last(keys, "stopped")
            said.notes["several_status"] = None
            return "current" if undone else "stopped"
        return "stopped"
    if "current" in keys and {"not-taken", "planned"} & set(keys):
        said.notes["several_status"] = None
        return "current"
    if "planned" in keys:
        return "planned"
    if "not-taken" in keys:
        # "no kratom for three weeks", "none today" speak of somebody who took it before
        return "stopped" if _says_time(said) or said.since_weekday else "not-taken"
    return "current"


def _last(keys: list[str], key: str) -> int:
    return max(i for i, k in enumerate(keys) if k == key)


def _says_time(said: Sentence) -> bool:
    return bool(said.ago_hours or said.lasting_hours)


def last_use_of(said: Sentence, status: Status) -> tuple[float, float] | None:
    """Hours before now of the last use: "5h ago", "yesterday"; "for 3 weeks" only of something stopped."""
    spans: list[Interval] = list(said.ago_hours)
    if not spans and status == "stopped":
        spans = list(said.lasting_hours)
    denied = any(t.key == "not-taken" for t in said.statuses)
    if not spans or status in ("planned", "allergy") or (denied and not said.since and not said.lasting_hours):
        return None
    lows = [low for low, _ in spans if low is not None]
    highs = [high for _, high in spans if high is not None]
    return (min(lows), max(highs)) if lows and highs else None
