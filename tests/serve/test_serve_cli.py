"""The commands as processes: one line for what is wrong, and an end that loses nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ADJUNCT = [str(Path(sys.executable).parent / "adjunct")]
FHIR = {"content-type": "application/fhir+json"}
PATIENT = b'{"resourceType":"Patient","id":"p","name":[{"family":"Muster"}],"multipleBirthInteger":2}'
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("ADJUNCT_")}


def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [*ADJUNCT, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | more, timeout=60, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("adjunct: ")
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A record that a server wrote, which was told to stop while a request was on its way."""
    folder = tmp_path_factory.mktemp("served")
    database = f"sqlite:///{folder / 'record.db'}"
    command = [*ADJUNCT, "serve", "--port", "0", "--database", database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as server:
        assert server.stdout is not None
        address = server.stdout.readline().decode().strip()
        assert httpx.put(f"{address}/Patient/p", content=PATIENT, headers=FHIR).status_code == 201
        host, port = address.removeprefix("http://").removesuffix("/fhir").split(":")
        head = f"PUT /fhir/Patient/p HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/fhir+json\r\n"
        head += f"Expect: 100-continue\r\nContent-Length: {len(PATIENT)}\r\n\r\n"
        with socket.create_connection((host, int(port))) as wire:
            wire.sendall(head.encode())
            assert wire.recv(1000).startswith(b"HTTP/1.1 100 ")  # it waits for the body now
            server.send_signal(signal.SIGTERM)
            wire.sendall(PATIENT)
            assert wire.recv(1000).startswith(b"HTTP/1.1 200 ")
        _, log = server.communicate(timeout=30)
        assert server.returncode == 0
    first, *lines = log.decode().splitlines()
    assert first == "adjunct: no sign-in yet: this computer only"
    assert json.loads(lines[-1])["event"] == "closed"
    assert (folder / "record.db").stat().st_mode & 0o077 == 0
    return database


def test_a_request_in_flight_is_finished_before_the_end(kept: str, tmp_path: Path) -> None:
    out = tmp_path / "p.ndjson"
    done = run("export", "p", "--database", kept, "--out", out)
    assert (done.returncode, done.stderr) == (0, "written: 1 resources\n")
    assert json.loads(out.read_text("utf-8"))["meta"]["versionId"] == "2"
    assert out.stat().st_mode & 0o077 == 0


def test_export_as_a_bundle(kept: str, tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    assert run("export", "p", "--out", out, ADJUNCT_DATABASE=kept).returncode == 0
    bundle = json.loads(out.read_text("utf-8"))
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == ["p"]
    assert "nobody with this id" in refused(run("export", "q", "--database", kept, "--out", tmp_path / "q.json"))
    assert not (tmp_path / "q.json").exists()
    assert "ends in .json or .ndjson" in refused(run("export", "p", "--database", kept, "--out", tmp_path / "q.xml"))


def test_backup_restore_and_doctor(kept: str, tmp_path: Path) -> None:
    archive, copy = tmp_path / "backup.gz", f"sqlite:///{tmp_path / 'copy.db'}"
    made = run("backup", archive, "--database", kept)
    assert made.stderr.startswith("written: 2 versions")
    assert run("restore", archive, "--database", copy).stderr.split()[-1] == made.stderr.split()[-1]
    assert "--replace" in refused(run("restore", archive, "--database", copy))
    well = run("doctor", "--database", copy, "--json")
    assert well.returncode == 0
    assert {finding["state"] for finding in json.loads(well.stdout)["findings"]} == {"well"}
    archive.write_bytes(archive.read_bytes()[:-20])
    assert "not a whole archive" in refused(run("restore", archive, "--database", f"sqlite:///{tmp_path / 'no.db'}"))
    assert not (tmp_path / "no.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serve", "--host", "0.0.0.0"), "no sign-in yet"),
        (("serve", "--database", "postgresql://a:hunter2@127.0.0.1:1/b", "--port", "0"), "cannot be reached"),
        (("serve", "--database", "mysql://a:hunter2@127.0.0.1/b", "--port", "0"), "sqlite:///FILE"),
        (("doctor", "--database", "sqlite:///nowhere.db"), "no record here"),
        (("backup", "x.gz", "--database", "sqlite:///nowhere/nowhere.db"), "folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: tuple[str, ...], said: str) -> None:
    assert said in refused(run(*words))
