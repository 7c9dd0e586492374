"""Every schema that was ever released comes to the one of this version, and that is the one that the code describes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select

from adjunct.base import BadInput
from adjunct.fhir import definitions
from adjunct.fhir.sql import opening
from adjunct.fhir.sql.schema import INDEXES, metadata
from stores import Clock, address, put

RELEASED = sorted(r.revision for r in ScriptDirectory(opening._scripts()).walk_revisions())
DATABASES = ("sqlite", "postgres")


@pytest.mark.parametrize("backend", DATABASES)
@pytest.mark.parametrize("revision", RELEASED)
def test_every_released_schema_comes_to_this_one(backend: str, revision: str, tmp_path: Path) -> None:
    place = address(backend, tmp_path)
    opening.migrate(place, to=revision)
    at = opening.schema_at(place)
    assert at.found == revision
    opening.migrate(place)
    assert opening.schema_at(place).found == at.wanted
    with opening._engine(opening._url(place)).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    record = opening.open_record(place, Clock())
    assert put(record, resourceType="Patient", id="ana").version == 1
    record.close()


@pytest.mark.parametrize("backend", DATABASES)
def test_rows_that_others_hold_too_are_removed(backend: str, tmp_path: Path) -> None:
    """Schema 0001 kept the codes of `combo-code` a second time: doctor would call them wrong."""
    asked = definitions.parameters("Observation")
    place = address(backend, tmp_path)
    opening.migrate(place, to="0001")
    token = INDEXES["token"]
    with opening._engine(opening._url(place)).begin() as connection:
        for name in ("code", "combo-code", "component-code"):
            connection.execute(token.insert(), {"idx": asked[name].index, "code": "8480-6", "key": 1, **REST})
    opening.migrate(place)
    with opening._engine(opening._url(place)).begin() as connection:
        left = set(connection.execute(select(token.c.idx)).scalars())
    assert left == {asked["code"].index, asked["component-code"].index}


REST = {"element": 0, "system": "http://loinc.org"}


def test_a_record_of_a_newer_adjunct_is_refused(tmp_path: Path) -> None:
    place = address("sqlite", tmp_path)
    opening.migrate(place)
    with sqlite3.connect(opening._url(place).database or "") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(BadInput, match="newer Adjunct"):
        opening.open_record(place, Clock())


REFUSED = [
    # address, what is in the file, what is said
    ("frob", None, "not the address of a database"),
    ("mysql://u@h/d", None, "not a database that a record can live in"),
    ("sqlite://", None, "not a database that a record can live in"),
    ("sqlite:///{folder}/none/record.db", None, "folder of the database does not exist"),
    ("sqlite:///{folder}/record.db", b"PK\x03\x04 something else entirely", "not an SQLite database"),
    ("postgresql://nobody@127.0.0.1:1/none", None, "cannot be reached"),
]


@pytest.mark.parametrize(("place", "content", "said"), REFUSED)
def test_what_is_no_record_is_refused_in_one_line(place: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "record.db").write_bytes(content)
    with pytest.raises(BadInput, match=said) as refused:
        opening.open_record(place.format(folder=tmp_path), Clock())
    assert "\n" not in str(refused.value)
    assert "nobody" not in str(refused.value)  # an address may hold a password


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE invoices (total INTEGER)")
    before = file.read_bytes()
    with pytest.raises(BadInput, match="holds something else"):
        opening.open_record(f"sqlite:///{file}", Clock())
    assert file.read_bytes() == before
