"""Knowledge files -> one compiled text with a hash of every file in it. Standard library only: the build runs this.

`data/` is what people write; `knowledge.json` is what is read at run time. Each file's hash stands in the manifest, so
that a missing or changed file is refused instead of quietly answering with less.
"""

from __future__ import annotations

import csv
import hashlib
import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

TABLES = {
    "sources": "source",
    "facts": "fact",
    "concepts": "concept",
    "rules": "rule",
    "substances": "substance",
    "victims": "victim",
    "perpetrators": "perpetrator",
}
FOLLOWUP = ("outcomes", "courses", "workflow", "checkins", "surveillance", "context")
PLANNING = (
    "plan",
    "timeline",
    "consent",
    "preparation",
    "aftercare",
    "team",
    "outgoing",
    "request",
    "documents",
    "routine",
)
SESSION = ("events", "alarms", "monitoring", "readiness", "discharge", "forms", "stock", "monitors", "scenarios")
SINGLE = (
    "knowledge",
    "derive",
    "sets",
    "phrases",
    "wording",
    "method",
    "fit",
    "synthetic",
    *FOLLOWUP,
    *PLANNING,
    *SESSION,
)
WHOLE = {
    "models": "models",
    "instruments": "instruments",
    "lexicons": "messages",
    "protocols": "protocols",
    "selfcare": "selfcare",
}  # one file is one entry: its folder
COLUMNS = ("names", "claims", "jurisdictions", "crisis_lines", "observed_ratios", "observed_exposure")
# What belongs together stands in a folder of its own.
FOLDER = (
    dict.fromkeys(("victims", "perpetrators", "method", "fit"), "exposure")
    | dict.fromkeys(FOLLOWUP, "followup")
    | dict.fromkeys(PLANNING, "planning")
    | dict.fromkeys(SESSION, "session")
)


class FileError(ValueError):
    """A knowledge file that is not what its name says. The message names the file."""


def manifest(data: Path) -> dict[str, str]:
    """Each knowledge file's SHA-256, by its path below `data`."""
    files = sorted(p for p in data.rglob("*") if p.suffix in (".toml", ".csv"))
    return {p.relative_to(data).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def compile_knowledge(data: Path) -> bytes:
    """All knowledge files as one JSON text: `{version, manifest, ...}`. Raises `FileError` for what does not parse."""
    hashes = manifest(data)
    content: dict[str, Any] = {"manifest": hashes, "version": _digest(hashes)}
    for name in SINGLE:
        content[name] = _toml(data / FOLDER.get(name, "") / f"{name}.toml")
    for folder, key in TABLES.items():
        content[folder] = [
            entry | {"file": path.relative_to(data).as_posix()}
            for path in sorted(
                data.glob(f"{FOLDER[folder]}/{folder}*.toml" if folder in FOLDER else f"{folder}/*.toml")
            )
            for entry in _entries(path, key)
        ]
    for name, folder in WHOLE.items():
        paths = sorted((data / folder).glob("*.toml"))
        content[name] = [_toml(path) | {"file": path.relative_to(data).as_posix()} for path in paths]
    for name in COLUMNS:
        content[name] = _csv(data / f"{name}.csv")
    content["valuesets"] = [
        row | {"file": path.relative_to(data).as_posix()}
        for path in sorted((data / "valuesets").glob("*.csv"))
        for row in _csv(path)
    ]
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain).encode()


SEAL = b'{"sha256":"'


def sealed(text: bytes) -> bytes:
    """A compiled knowledge base with the hash of its own content in front; still one JSON object.

    >>> unsealed(sealed(b'{"a":1}'))
    b'{"a":1}'
    """
    return SEAL + hashlib.sha256(text).hexdigest().encode() + b'",' + text[1:]


def unsealed(raw: bytes) -> bytes:
    """The content of a sealed text. Raises `FileError` where content and hash do not belong together."""
    seal, comma, rest = raw.partition(b'",')
    text = b"{" + rest
    if not comma or seal != SEAL + hashlib.sha256(text).hexdigest().encode():
        raise FileError("the compiled knowledge does not match its own hash")
    return text


def _digest(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _entries(path: Path, key: str) -> list[dict[str, Any]]:
    content = _toml(path)
    if set(content) != {key}:
        raise FileError(f"{path.name}: expected only [[{key}]] tables, found {', '.join(sorted(content)) or 'nothing'}")
    return list(content[key])


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path.name}: {error}") from None


def _csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise FileError(f"{path.name}: {error}") from None
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise FileError(f"{path.name}, line {number}: wrong number of columns")
    return rows


def _plain(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise FileError(f"a {type(value).__name__} cannot stand in a knowledge file")
