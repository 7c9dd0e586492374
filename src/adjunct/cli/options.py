"""What the commands share: their options, how a wrong one is refused, how an answer is printed."""

from __future__ import annotations

import io
import math
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from adjunct.base import BadInput

_COUNTRY = re.compile("[A-Za-z]{2}")
_JURISDICTION = re.compile("[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?")


def country_code(given: str | None) -> str | None:
    """A country written any other way would silently be an unknown one, and its numbers would not be shown."""
    if given is not None and not _COUNTRY.fullmatch(given):
        raise typer.BadParameter("not a country code of two letters: write for example US")
    return given


def jurisdiction_code(given: str | None) -> str | None:
    """The code of a country or its part, or a refusal."""
    if given is not None and not _JURISDICTION.fullmatch(given):
        raise typer.BadParameter("not a code of a country or its part: write for example US-TX")
    return given


def age_years(given: float | None) -> float | None:
    """An age in years, or a refusal."""
    if given is not None and not (math.isfinite(given) and given >= 0):
        raise typer.BadParameter("not an age in years: write for example 34")
    return given


AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
AsFhir = Annotated[bool, typer.Option("--fhir", help="Print the answer as a FHIR R4 Bundle.")]
At = Annotated[str | None, typer.Option("--at", help="The instant that counts as now, with its offset.")]
Country = Annotated[
    str | None,
    typer.Option("--country", callback=country_code, help="Where the person is now (ISO 3166-1, such as US)."),
]
Sources = Annotated[bool, typer.Option("--sources", help="Show the sources of every finding.")]


def pairs(given: Sequence[str] | None, option: str, read: Callable[[str], Any]) -> dict[str, Any]:
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


def as_text(value: Any) -> str:
    """Plain values as JSON."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def print_json(text: str) -> None:
    """JSON is UTF-8, whatever the terminal says."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    typer.echo(text)


def one_form(*, as_json: bool, as_other: bool, other: str = "--fhir") -> None:
    """Refuse two forms of one answer at once."""
    if as_json and as_other:
        raise BadInput(f"--json and {other} are two answers: ask for one of them")


def toml(path: Path) -> dict[str, Any]:
    """A file of settings or decisions, as plain values."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"the file cannot be read ({error.strerror})", path.name) from None
    except ValueError as error:
        raise BadInput(f"this is not TOML: {error}", path.name) from None
