"""A real browser for the tests: Debian's chromium, driven by Playwright, with no network but this machine's own.

Without chromium or without LHC-Forms the tests are skipped with one line, except in CI, where that is an error.
"""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

LFORMS = Path(__file__).parent.parent.parent / ".lforms" / "package" / "dist" / "lforms"


def missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing("chromium is not there: the tests in a browser are skipped; install Debian's chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield found
        found.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Nothing on stderr for every file."""


@pytest.fixture(scope="session")
def lforms() -> Iterator[str]:
    """The address under which the packed LHC-Forms is served."""
    if not (LFORMS / "webcomponent" / "main.js").is_file():
        missing("LHC-Forms is not there: the comparison is skipped; run `python tools/lforms.py`")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(LFORMS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
