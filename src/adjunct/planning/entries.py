"""What people write in an order file, read entry by entry: every fault names its place, nothing is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from adjunct.base import BadInput, instant, shown


def tables(section: object, kinds: Sequence[str], at: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Every table below a section as (kind, table, place), in the order written. Raises `BadInput` for anything else.

    >>> list(tables({"share": [{"id": "1"}]}, ["share"], "team"))
    [('share', {'id': '1'}, 'team.share[0]')]
    """
    if not isinstance(section, Mapping):
        raise BadInput(f"not a table: write [{at}]", at)
    for kind, entries in section.items():
        if kind not in kinds:
            raise BadInput(f"not known here: {shown(str(kind))}; known are {', '.join(kinds)}", at)
        if not isinstance(entries, list):
            raise BadInput(f"not a list of tables: write [[{at}.{kind}]]", f"{at}.{kind}")
        for number, entry in enumerate(entries):
            place = f"{at}.{kind}[{number}]"
            if not isinstance(entry, Mapping):
                raise BadInput("not a table of names and values", place)
            yield kind, entry, place


def only(entry: Mapping[str, Any], names: Sequence[str], at: str, hint: str = "") -> None:
    """Raise `BadInput` for a name that an entry does not have."""
    strange = [name for name in entry if name not in names]
    if strange:
        raise BadInput(f"not known here: {shown(str(strange[0]))}; known are {', '.join(names)}{hint}", at)


def text(entry: Mapping[str, Any], name: str, at: str) -> str:
    """A text that must be there."""
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{name} is missing: write a text", f"{at}.{name}")
    return value.strip()


def texts(entry: Mapping[str, Any], name: str, at: str) -> tuple[str, ...]:
    """A list of texts; none where it is left out."""
    value = entry.get(name, [])
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise BadInput("not a list of texts: write for example ['a', 'b']", f"{at}.{name}")
    return tuple(value)


def moment(entry: Mapping[str, Any], name: str, at: str) -> int:
    """An instant (ms since 1970), written as text or as TOML knows it; the offset is required."""
    value = entry.get(name)
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str):
        raise BadInput("no instant: write for example 2027-01-11T09:30:00+01:00", f"{at}.{name}")
    return instant(value, f"{at}.{name}").ms
