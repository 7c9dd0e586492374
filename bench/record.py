"""How fast the record is served, beside sekmet-fhir: both over HTTP on this computer, durable commits, 32 connections.

Both servers hold the same resources in SQLite files on the same disk, validate what they take in, and are asked by the
same program in turns; the best of several turns counts. sekmet-fhir lives in an environment of its own
(`.venv-peers/record`, git-ignored). `--full` loads a million resources and asks for an hour's worth of requests;
without it a tenth of both. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from adjunct.fhir.load import load
from adjunct.serve.service import open_service
from load import CONNECTIONS, Seen, Task

PEERS = Path(__file__).parent / "peers"
ENVIRONMENT = Path(__file__).parent.parent / ".venv-peers" / "record"
PEER = "sekmet-fhir==0.1.1"
PEOPLE, EACH = 200, 50  # people and observations of each: what both servers hold
MANY, MANY_FULL = 100_000, 1_000_000  # resources
HOUR = 360_000  # requests: a hundred a second
KINDS = ("create", "read", "search", "sorted search")
TURNS, TURN_S, STEADY_S = 3, 3.0, 5.0
START_S = 300
TIMES, SLOWER, P99_MS, GROWTH, BULK = 5.0, 1.5, 50.0, 1.1, 5_000.0  # the limits
CODES = (("8480-6", "mm[Hg]", 120), ("8867-4", "/min", 70), ("59408-5", "%", 97), ("9279-1", "/min", 14))
FIRST = datetime(2025, 6, 1, 8, tzinfo=UTC)


class Served(NamedTuple):
    """A server that answers, and its process."""

    port: int
    pid: int


def main() -> None:
    """Print one line a measurement: what, measured, limit, kept or not."""
    reading = argparse.ArgumentParser(description=__doc__)
    reading.add_argument("--full", action="store_true", help="a million resources and an hour's requests")
    full = reading.parse_args().full
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}: above 1, only ratios count")
    with tempfile.TemporaryDirectory(prefix="adjunct-bench-") as folder:
        where = Path(folder)
        some = where / "some.ndjson"
        some.write_bytes(b"\n".join(resources(PEOPLE)))
        _load(where / "some.db", PEOPLE)
        with _adjunct(where / "some.db") as ours:
            top = _beside(ours, where, some)
            print(f"at half of these rates, {CONNECTIONS} connections:")
            for kind in KINDS:
                seen = _asked(ours, kind, STEADY_S, rate=top[kind].rate / 2)
                _line(f"  {kind}, {seen.rate:.0f}/s: p99", seen.p99, "ms", P99_MS)
            _memory(ours, HOUR if full else HOUR // 10, GROWTH if full else None)
        _many(where, MANY_FULL if full else MANY)
    if not full:
        print("a tenth of the resources and of the requests; bench/record.py --full measures all")


def _beside(ours: Served, where: Path, some: Path) -> dict[str, Seen]:
    """The top rate of each kind of request, and the peer's in the same minutes."""
    with ExitStack() as stack:
        servers = {"adjunct": ours}
        try:
            servers["sekmet-fhir"] = stack.enter_context(_sekmet(where, some))
        except (OSError, subprocess.SubprocessError) as error:
            print(f"sekmet-fhir: not measured ({type(error).__name__})")
        servers["an empty server"] = stack.enter_context(_bare())
        print(f"{PEOPLE * (EACH + 1)} resources, {CONNECTIONS} connections, best of {TURNS} turns of {TURN_S:g} s:")
        top = {}
        for kind in KINDS:
            before = {name: _processor_s(server.pid) for name, server in servers.items()}
            turns = [{name: _asked(server, kind, TURN_S) for name, server in servers.items()} for _ in range(TURNS)]
            best = {name: max((turn[name] for turn in turns), key=lambda seen: seen.rate) for name in servers}
            each = {
                name: (_processor_s(server.pid) - before[name]) / sum(turn[name].answered for turn in turns) * 1e6
                for name, server in servers.items()
            }
            for name, seen in best.items():
                took = f"/s, p50 {seen.p50:.2f} ms, p99 {seen.p99:.2f} ms, {each[name]:.0f} us of a processor"
                _line(f"  {kind}, {name}", seen.rate, took)
            if peer := best.get("sekmet-fhir"):
                _line(f"  {kind}, ratio to sekmet-fhir", best["adjunct"].rate / peer.rate, "x", TIMES, least=True)
                _line("    of processor time", each["sekmet-fhir"] / each["adjunct"], "x")
            top[kind] = best["adjunct"]
        return top


def _memory(server: Served, requests: int, limit: float | None) -> None:
    """What the process itself takes, without the pages of the file, after the first third and at the end.

    Its caches are of limited size: 40 connections fill theirs with some 100,000 requests; a limit has a meaning then.
    """
    mixed = [
        request for kinds in zip(*(_requests(server.port, kind) for kind in KINDS), strict=True) for request in kinds
    ]
    answered, before = 0, 0.0
    while answered < requests:
        answered += _ask(server.port, mixed, STEADY_S).answered
        before = before or (_megabytes(server.pid) if answered >= requests / 3 else 0.0)
    _line(f"memory after {answered} requests", _megabytes(server.pid), f"MB, after a third {before:.0f} MB")
    _line("  grown to", _megabytes(server.pid) / before, "x", limit)


def _many(where: Path, count: int) -> None:
    """Bulk loading with validation, and how much slower a record of many resources answers than one of few."""
    rate = _load(where / "many.db", count // (EACH + 1))
    _line(f"bulk load of {count}, validated", rate, "/s", BULK, least=True)
    _load(where / "few.db", PEOPLE)
    with _adjunct(where / "few.db") as few, _adjunct(where / "many.db") as many:
        for kind, limit in (("read", SLOWER), ("search", None)):
            people = {few.port: PEOPLE, many.port: count // (EACH + 1)}
            turns = [
                [_ask(s.port, _requests(s.port, kind, people[s.port]), TURN_S).p50 for s in (few, many)]
                for _ in range(TURNS)
            ]
            slower = min(turn[1] for turn in turns) / min(turn[0] for turn in turns)
            _line(f"  {kind}, among {count} / among {PEOPLE * (EACH + 1)}", slower, "x", limit)


# --- what is asked ----------------------------------------------------------------------------------------------------


def resources(people: int) -> Iterator[bytes]:
    """Invented people, each with observations over a year and a half, one resource a line."""
    dice = random.Random(7)
    for person in range(people):
        patient = {"resourceType": "Patient", "id": f"p{person}", "name": [{"family": f"Invented-{person}"}]}
        yield json.dumps({**patient, "gender": "female", "birthDate": f"{1950 + person % 50}-03-01"}).encode()
        for number in range(EACH):
            yield json.dumps({"id": f"o{person}-{number}", **observation(person, number, dice)}).encode()


def observation(person: int, number: int, dice: random.Random) -> dict[str, object]:
    code, unit, usual = CODES[number % len(CODES)]
    vital = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [vital]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/p{person}"},
        "effectiveDateTime": (FIRST + timedelta(days=11 * number, minutes=person)).isoformat(),
        "valueQuantity": {
            "value": usual + dice.randrange(-9, 10),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }


def _requests(port: int, kind: str, people: int = PEOPLE, count: int = 2000) -> list[str]:
    """Requests of one kind as they go over the wire, about people at random."""
    dice = random.Random(11)
    head = f"Host: 127.0.0.1:{port}\r\nAccept: application/fhir+json\r\n"
    made = []
    for _ in range(count):
        person, number = dice.randrange(people), dice.randrange(EACH)
        if kind == "read":
            made.append(f"GET /fhir/Observation/o{person}-{number} HTTP/1.1\r\n{head}\r\n")
        elif kind in ("search", "sorted search"):
            asked = f"patient=p{person}&code=http://loinc.org|{CODES[number % len(CODES)][0]}&_count=10"
            asked += "&_sort=-date" if kind == "sorted search" else ""
            made.append(f"GET /fhir/Observation?{asked} HTTP/1.1\r\n{head}\r\n")
        else:
            body = json.dumps(observation(person, number, dice))
            length = f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
            made.append(f"POST /fhir/Observation HTTP/1.1\r\n{head}{length}\r\n{body}")
    return made


def _asked(server: Served, kind: str, seconds: float, rate: float = 0.0) -> Seen:
    return _ask(server.port, _requests(server.port, kind), seconds, rate)


def _ask(port: int, requests: Sequence[str], seconds: float, rate: float = 0.0) -> Seen:
    """What a program of its own sees that asks these; any answer but the right one ends the measurement."""
    task = Task(port, list(requests), seconds, rate)
    command = [sys.executable, str(Path(__file__).parent / "load.py")]
    said = subprocess.run(
        command, input=json.dumps(task._asdict()), capture_output=True, text=True, check=True, timeout=seconds + 60
    )
    seen = Seen(**json.loads(said.stdout))
    if set(seen.statuses) - {"200", "201"}:
        raise SystemExit(f"answered with {seen.statuses}: not measured")
    return seen


# --- the servers ------------------------------------------------------------------------------------------------------


def _load(database: Path, people: int) -> float:
    """Load so many people into a new database; resources a second, validation and durable commits included."""
    service = open_service(f"sqlite:///{database}", "http://127.0.0.1/fhir", clock=lambda: time.time_ns() // 1_000_000)
    try:
        start = time.perf_counter()
        done = load(service.repository, [("", resources(people))], service.rules, progress=lambda _: None)
        took = time.perf_counter() - start
    finally:
        service.repository.close()
    if done.refused:
        raise SystemExit(f"not loaded: {done.refused[0]}")
    return done.stored / took


@contextmanager
def _adjunct(database: Path) -> Iterator[Served]:
    port = _free_port()
    command = [str(Path(sys.executable).parent / "adjunct"), "serve", "--port", str(port)]
    with _running([*command, "--database", f"sqlite:///{database}"], port, database.with_suffix(".log")) as served:
        yield served


@contextmanager
def _sekmet(where: Path, some: Path) -> Iterator[Served]:
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", PEER, "uvloop", "httptools"]
        subprocess.run(install, check=True, capture_output=True, timeout=600)
    port = _free_port()
    command = [str(python), str(PEERS / "sekmet_fhir.py"), str(where), str(port), str(some)]
    with _running(command, port, where / "sekmet.log") as served:
        yield served


@contextmanager
def _bare() -> Iterator[Served]:
    port = _free_port()
    with _running([sys.executable, str(PEERS / "bare.py"), str(port)], port, Path(os.devnull)) as served:
        yield served


@contextmanager
def _running(command: Sequence[str], port: int, log: Path) -> Iterator[Served]:
    with log.open("wb") as told, subprocess.Popen(command, stdout=told, stderr=told) as process:
        try:
            deadline = time.monotonic() + START_S
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise subprocess.SubprocessError(f"did not start: {log.read_text()[-400:]}")
                time.sleep(0.1)
            yield Served(port, process.pid)
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _processor_s(pid: int) -> float:
    """What all threads of a process have taken so far; unlike rates it depends little on what else runs here."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024


def _line(what: str, value: float, unit: str, limit: float | None = None, *, least: bool = False) -> None:
    kept = limit is None or (value >= limit if least else value <= limit)
    said = "" if limit is None else f"   limit {limit:g}: {'kept' if kept else 'MISSED'}"
    print(f"{what:44} {value:10.4g} {unit}{said}", flush=True)


if __name__ == "__main__":
    main()
