"""What the pages about the record show is done, in the order in which they show it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from adjunct.cli import app
from adjunct.fhir.rest import Request, handle
from adjunct.fhir.wire import write_exact
from adjunct.serve.service import open_service, with_exports

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / "how-to" / f"{name}.md" for name in (
    "serve-a-record", "back-up-and-restore", "load-and-export", "query-with-views"
)]  # fmt: skip
COMMANDS = re.compile(r"^adjunct (?:load|export|backup|restore|doctor|erase|retention|view)\b.*$", re.MULTILINE)
FILES = re.compile(r"save as\s`(\S+)`:\n\n```json\n(.*?)```", re.DOTALL | re.IGNORECASE)
GROUP = {"resourceType": "Group", "id": "course-1", "type": "person", "actual": True}


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder with the examples and `record.db`, in which a command is run as a reader would."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADJUNCT_DATABASE", raising=False)
    before = os.umask(0o077)
    assert run("adjunct load examples/dana-course.json --database sqlite:///record.db") == 0
    yield "sqlite:///record.db"
    os.umask(before)


def run(line: str) -> int:
    """The exit code of a command line."""
    return app(shlex.split(line)[1:], standalone_mode=False) or 0


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_command_on_a_page_is_done(page: Path, record: str, capfd: pytest.CaptureFixture[str]) -> None:
    text = page.read_text(encoding="utf-8")
    for name, content in FILES.findall(text):
        Path(name).write_text(content, encoding="utf-8")
    lines = COMMANDS.findall(text)
    assert lines
    for line in lines:
        capfd.readouterr()
        well = (0, 2) if " doctor" in line else (0,)  # a disk that is nearly full needs attention
        assert run(line) in well, line
        assert "".join(capfd.readouterr()).strip(), line


def test_every_question_on_a_page_is_answered(record: str) -> None:
    lines = [
        line for page in PAGES for line in re.findall(r"^curl .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(lines) > len(PAGES)
    with with_exports(open_service(record, "http://127.0.0.1:8000/fhir", clock=lambda: 1_795_000_000_000)) as service:
        there = Request("PUT", "Group/course-1", body=write_exact(GROUP))
        assert handle(there, service).status == 201
        for line in lines:
            asked = requested(line)
            while (reply := handle(asked, service)).status == 429:
                pass  # two exports are being written already
            assert reply.status in (200, 202), line


def requested(line: str) -> Request:
    """What a curl command asks."""
    words = shlex.split(line)
    given = dict(pairwise(words))
    url = urlsplit(words[-1])
    name, _, value = given.get("-H", "").partition(":")
    headers = {name.lower(): value.strip()} if name else {}
    path = url.path.removeprefix("/fhir").strip("/")
    return Request(given.get("-X", "GET"), path, tuple(parse_qsl(url.query)), headers)
