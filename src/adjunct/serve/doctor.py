"""What `adjunct doctor` looks at: whether the record is whole, and whether this computer can go on keeping it.

Each check answers with one finding and changes nothing. Nothing of a person is in a finding: counts, names of tables,
numbers of versions.
"""

from __future__ import annotations

import platform
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, and_, bindparam, case, func, or_, select
from sqlalchemy.orm import aliased

from adjunct.base import MS_PER_SECOND, AdjunctError, BadInput, Refused
from adjunct.fhir.indexing import Rows, rows
from adjunct.fhir.sql.schema import INDEXES, version
from adjunct.fhir.sql.statement import COLUMNS, Connection, Statement
from adjunct.fhir.sql.store import Backend
from adjunct.fhir.wire import Json, mapped, read_exact

SAMPLE = 200  # resources whose index rows are made again
NAMED = 5  # versions that a finding names
FREE_BYTES = 1024**3
MIB = 1024**2
PATIENCE_S = 60  # a clock behind by less is only another machine's

State = Literal["well", "attend", "wrong"]
PARTS = ("adjunct", "fastapi", "fhirkit-rs", "sqlalchemy", "uvicorn")


class Finding(NamedTuple):
    """`attend`: somebody should act soon; `wrong`: the record or the knowledge cannot be relied on."""

    check: str
    state: State
    says: str


def exit_code(findings: tuple[Finding, ...]) -> int:
    """0 all is well, 2 something needs attention, 3 something is wrong."""
    states = {finding.state for finding in findings}
    if "wrong" in states:
        return Refused.exit_code
    return BadInput.exit_code if "attend" in states else 0


def examine(backend: Backend, *, now: int, place: Path | None, knowledge: Callable[[], str]) -> tuple[Finding, ...]:
    """Every check. `now`: ms since 1970; `place`: the file of the record, if it is one; `knowledge`: its version."""
    found = [_software(), _knowledge(knowledge)]
    try:
        with closing(backend.connect(writes=False)) as connection:
            found += _record(connection, backend, now)
    except backend.errors as error:
        found.append(Finding("database", "wrong", str(backend.unavailable(error))))
    if place is not None:
        found.append(_room(place))
    return tuple(found)


def _software() -> Finding:
    parts = ", ".join(f"{name} {installed(name)}" for name in PARTS)
    return Finding("software", "well", f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {parts}")


def _knowledge(load: Callable[[], str]) -> Finding:
    try:
        return Finding("knowledge", "well", f"edition {load()}, as its hash says")
    except AdjunctError as error:
        return Finding("knowledge", "wrong", str(error))


def _room(place: Path) -> Finding:
    held, free = place.stat().st_size, shutil.disk_usage(place.parent).free
    state: State = "well" if free >= max(FREE_BYTES, held) else "attend"
    return Finding("disk", state, f"{held // MIB} MiB kept, {free // MIB} MiB free; a backup may need as much again")


# --- the record -------------------------------------------------------------------------------------------------------


def _record(connection: Connection, backend: Backend, now: int) -> Iterator[Finding]:
    def one(asked: Select[tuple[int]], **values: int) -> int:
        statement = Statement(asked, backend.dialect)
        return int(connection.execute(statement.text, statement.binds(dict(values))).fetchone()[0] or 0)

    checks: dict[str, Callable[[], Finding]] = {
        "database": lambda: _pages(connection, backend),
        "versions": lambda: _versions(one),
        "clock": lambda: _clock(one, now),
        "indexes": lambda: _indexes(connection, backend, one),
    }
    for name, check in checks.items():
        try:
            yield check()
        except backend.errors as error:
            yield Finding(name, "wrong", str(backend.unavailable(error)))
        except (ValueError, TypeError):  # a value of another kind than its column's
            yield Finding(name, "wrong", "the tables hold what cannot be read: restore a backup")


def _pages(connection: Connection, backend: Backend) -> Finding:
    """Whether the database finds itself in order."""
    if backend.dialect.name != "sqlite":
        server = connection.execute("SHOW server_version").fetchone()[0]
        return Finding("database", "well", f"PostgreSQL {server} answers; its pages are for its own tools (amcheck)")
    said = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if said == "ok":
        return Finding("database", "well", "every page and every index of the file is in order")
    return Finding("database", "wrong", "the file is damaged: stop writing to it and restore a backup")


def _versions(one: Callable[..., int]) -> Finding:
    """Versions of each resource are 1, 2, 3 ...; each but the newest names the one that followed it."""
    v, after = version.c, aliased(version).c
    newest = func.sum(case((v.until.is_(None), 1), else_=0))
    each = select(v.type).group_by(v.type, v.id)
    gaps = each.having(or_(func.min(v.version) != 1, func.max(v.version) != func.count(), newest != 1))
    follows = and_(after.key == v.until, after.type == v.type, after.id == v.id, after.version == v.version + 1)
    lost = select(func.count()).where(v.until.is_not(None), ~select(after.key).where(follows).exists())
    broken = one(select(func.count()).select_from(gaps.subquery())) + one(lost)
    count, resources = one(select(func.count(v.key))), one(select(func.count()).select_from(each.subquery()))
    if broken:
        return Finding("versions", "wrong", f"{broken} resources with a gap in their versions: restore a backup")
    return Finding("versions", "well", f"{count} versions of {resources} resources, without a gap")


def _clock(one: Callable[..., int], now: int) -> Finding:
    ahead = (one(select(func.max(version.c.at))) - now) // MS_PER_SECOND
    if ahead > PATIENCE_S:
        return Finding(
            "clock", "attend", f"the newest entry is {ahead} s ahead of this computer's clock: set the clock"
        )
    return Finding("clock", "well", "not behind the newest entry")


def _indexes(connection: Connection, backend: Backend, one: Callable[..., int]) -> Finding:
    """Whether a search finds what the resources say: index rows made again from a sample, spread evenly."""
    v = version.c
    step = max(1, one(select(func.count(v.key))) // SAMPLE)
    picked = (
        select(v.key, v.type, v.version, v.content)
        .where(v.gone == 0, v.key % bindparam("step") == 0)
        .limit(bindparam("count"))
    )
    sample = Statement(picked, backend.dialect)
    chosen = connection.execute(sample.text, sample.binds({"step": step, "count": SAMPLE})).fetchall()
    tables = []
    for name in Rows._fields:
        held = INDEXES[name].c
        of_key = select(*(held[column] for column in COLUMNS[name])).where(held.key == bindparam("own"))
        tables.append(Statement(of_key, backend.dialect))
    differ, unreadable = 0, set()
    for key, kind, number, content in chosen:
        document = _document(content)
        if document.get("resourceType") != kind:
            unreadable.add(f"{kind} version {number}")
            differ += 1
            continue
        wanted: tuple[list[Any], ...] = rows(document)
        differ += any(
            set(again) != {tuple(row) for row in connection.execute(table.text, table.binds({"own": key})).fetchall()}
            for again, table in zip(wanted, tables, strict=True)
        )
    if unreadable:
        some = ", ".join(sorted(unreadable)[:NAMED])
        said = (
            f"{differ} of {len(chosen)} resources are damaged, some of them cannot be read ({some}): restore a backup"
        )
        return Finding("indexes", "wrong", said)
    if differ:
        return Finding(
            "indexes", "wrong", f"{differ} of {len(chosen)} resources are not found as they are: restore a backup"
        )
    return Finding("indexes", "well", f"{len(chosen)} resources looked at are found as they are")


def _document(content: object) -> Json:
    """The content of a version; nothing if it is not what a record keeps."""
    try:
        return mapped(read_exact(content)) if isinstance(content, bytes) else {}
    except AdjunctError:
        return {}
