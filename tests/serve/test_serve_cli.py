"""The commands: one line for what is wrong, and an end that loses nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from adjunct.base import BadInput
from adjunct.cli import serve

ADJUNCT = [str(Path(sys.executable).parent / "adjunct")]
FHIR = {"content-type": "application/fhir+json"}
PATIENT = b'{"resourceType":"Patient","id":"p","name":[{"family":"Muster"}],"multipleBirthInteger":2}'
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("ADJUNCT_")}


APP = typer.Typer()
serve.register(APP)


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """The commands keep what they write for its owner; in a process of their own that ends with them."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def run(*words: str | Path, **more: str) -> Result:
    own = {name: None for name in os.environ if name.startswith("ADJUNCT_")}
    return CliRunner().invoke(APP, list(map(str, words)), env=own | more)


def refused(done: Result) -> str:
    assert isinstance(done.exception, BadInput)
    assert done.output == ""
    assert "hunter2" not in str(done.exception)
    return str(done.exception)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A record that a server wrote, which was told to stop while a request was on its way."""
    folder = tmp_path_factory.mktemp("served")
    database = f"sqlite:///{folder / 'record.db'}"
    command = [*ADJUNCT, "serve", "--port", "0", "--database", database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().decode().strip()
            written_while_told_to_stop(server, address)
            _, log = server.communicate(timeout=30)
        finally:
            server.kill()
    assert server.returncode == 0
    human, *lines = sorted(log.decode().splitlines())
    assert human == "adjunct: no sign-in yet: this computer only"
    assert [line["event"] for line in map(json.loads, lines)][-1] == "closed"
    assert (folder / "record.db").stat().st_mode & 0o077 == 0
    return database


def written_while_told_to_stop(server: subprocess.Popen[bytes], address: str) -> None:
    assert httpx.put(f"{address}/Patient/p", content=PATIENT, headers=FHIR).status_code == 201
    host, port = address.removeprefix("http://").removesuffix("/fhir").split(":")
    head = f"PUT /fhir/Patient/p HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/fhir+json\r\n"
    head += f"Expect: 100-continue\r\nContent-Length: {len(PATIENT)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        wire.sendall(head.encode())
        assert wire.recv(1000).startswith(b"HTTP/1.1 100 ")  # it waits for the body now
        server.send_signal(signal.SIGTERM)
        wire.sendall(PATIENT)
        assert wire.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_request_in_flight_is_finished_before_the_end(kept: str, tmp_path: Path) -> None:
    out = tmp_path / "p.ndjson"
    done = run("export", "p", "--database", kept, "--out", out)
    assert (done.exit_code, done.output) == (0, "written: 1 resources\n")
    assert json.loads(out.read_text("utf-8"))["meta"]["versionId"] == "2"
    assert out.stat().st_mode & 0o077 == 0


def test_export_as_a_bundle(kept: str, tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    assert run("export", "p", "--out", out, ADJUNCT_DATABASE=kept).exit_code == 0
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
    assert well.exit_code == 0
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
