"""The shape of every kind of knowledge file, as JSON Schema, and the entries that do not have it.

Only a check of the knowledge comes here: nothing is validated again when an edition is loaded, its hash stands for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from adjunct.base import SHOWN
from adjunct.knowledge.compiled import COLUMNS, SINGLE, TABLES

HERE = Path(__file__).parent / "schemas"
WHOLE = {name: "set" if name == "sets" else name for name in SINGLE}  # a file that is one entry
# Files that are lists of entries:
ROWS = {
    **TABLES,
    "models": "model",
    "instruments": "instrument",
    "lexicons": "lexicon",
    "protocols": "protocol",
    "selfcare": "selfcare",
    **{name: name for name in COLUMNS},
    "valuesets": "valueset",
}
NAMED_BY = ("id", "set", "claim_id", "text", "code", "name")
LONGEST = 2 * SHOWN  # a fault repeats the entry it is about, however long


def faults(content: Mapping[str, Any]) -> Iterator[str]:
    """One line for every entry that its schema refuses: file, entry, place and why."""
    try:
        import jsonschema  # type: ignore[import-untyped]  # noqa: F401  it is asked for, not used here
    except ImportError:
        yield "the shapes were not checked: install jsonschema (part of the `test` extra)"
        return
    for name, kind in WHOLE.items():
        yield from (f"{name}.toml: {fault}" for fault in _entry(kind, content[name]))
    for name, kind in ROWS.items():
        for entry in content[name]:
            plain = {key: value for key, value in entry.items() if key != "file"}
            where = f"{entry.get('file', f'{name}.csv')}, {_label(plain)}"
            yield from (f"{where}: {fault}" for fault in _entry(kind, plain))


def _label(entry: Mapping[str, Any]) -> str:
    return str(next((entry[key] for key in NAMED_BY if entry.get(key)), "an entry without an id"))


def _entry(kind: str, entry: Any) -> Iterator[str]:
    for error in validator(kind).iter_errors(entry):
        place = ".".join(str(step) for step in error.absolute_path)
        message = error.message if len(error.message) <= LONGEST else error.message[:LONGEST] + "\u2026"
        yield f"{place}: {message}" if place else message


@cache
def validator(kind: str) -> Any:
    """The validator of one kind of entry; a schema that is itself faulty is an error at once."""
    from jsonschema import Draft202012Validator

    schema = orjson.loads((HERE / f"{kind}.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
