"""The clinic's settings as they are written, checked before anything is built from them: one clear error, by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from math import isfinite
from typing import Any

from adjunct.base import BadInput, shown
from adjunct.instruments import instrument
from adjunct.knowledge import Knowledge

ANY = "*"  # any name of the clinic's
TEXT, TRUTH, NUMBER = "a text", "true or false", "a number"
ELSEWHERE = "read by somebody else"  # one file holds the whole clinic; these parts are not for the follow-up
KINDS: Mapping[str, tuple[type, ...]] = {TEXT: (str,), TRUTH: (bool,), NUMBER: (int, float)}
WHOLE = ("settings.course", "settings.cover.hours")  # of which every part is needed
SHAPE: Mapping[str, Any] = {
    "primary": TEXT,
    "checkins": TRUTH,
    "variants": {ANY: {ANY: TEXT}},
    "cover": {
        "zone": TEXT,
        "hours": [{"day": TEXT, "opens": TEXT, "closes": TEXT}],
        "closed": [TEXT],
        "chain": [TEXT],
        "owners": {ANY: TEXT},
        "on_call": TEXT,
    },
    "course": {"gain": NUMBER, "pace": NUMBER, "residual": NUMBER, "courses": NUMBER, "reference": TEXT},
    **dict.fromkeys(("clinic", "protocol", "chair", "room", "staff"), ELSEWHERE),
}


def checked(given: object, knowledge: Knowledge) -> dict[str, Any]:
    """The settings in plain values: dates and times that TOML knows as such are text, instruments have their ids.

    Raises `BadInput` with the place for a name that is not known, a part that is missing and a value of another kind.
    """
    found: dict[str, Any] = shaped(given, SHAPE, "settings")
    found = {name: value for name, value in found.items() if SHAPE[name] != ELSEWHERE}
    if "primary" in found:
        found["primary"] = instrument(knowledge, found["primary"]).id
    if "variants" in found:
        found["variants"] = {instrument(knowledge, name).id: chosen for name, chosen in found["variants"].items()}
    return found


def shaped(given: object, shape: Any, at: str) -> Any:
    """What is written, checked against a shape like `SHAPE`. Raises `BadInput` with the place."""
    if shape == ELSEWHERE:
        return given
    if isinstance(shape, str):
        value = given.isoformat() if isinstance(given, date) else given
        value = value.isoformat("minutes") if isinstance(value, time) else value
        if not isinstance(value, KINDS[shape]) or (isinstance(value, bool) and shape != TRUTH):
            raise BadInput(f"not {shape}", at)
        if isinstance(value, float) and not isfinite(value):
            raise BadInput(f"not {shape}: write a finite one", at)
        return value
    if isinstance(shape, list):
        if not isinstance(given, list | tuple | frozenset):
            raise BadInput("not a list: write [...]", at)
        return [shaped(value, shape[0], at) for value in given]
    if not isinstance(given, Mapping):
        raise BadInput("not a table of names and values", at)
    strange = [name for name in given if not isinstance(name, str) or (name not in shape and ANY not in shape)]
    if strange:
        raise BadInput(f"a setting is not known here: {shown(str(strange[0]))}; known are {', '.join(shape)}", at)
    missing = [name for name in shape if name not in given] if at in WHOLE else []
    if missing:
        raise BadInput(f"{missing[0]} is missing", at)
    return {name: shaped(value, shape.get(name, shape.get(ANY)), f"{at}.{name}") for name, value in given.items()}
