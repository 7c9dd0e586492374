"""How an answer about a person is put on disk: whole or not at all, and readable by nobody but who asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from adjunct.base import BadInput


@contextmanager
def written(path: Path, at: str) -> Iterator[IO[str]]:
    """A text file (UTF-8) that stands in its place once everything is written; until then what was there stays.

    What is no ordinary file, such as a pipe, is written to as it is. Raises `BadInput` where that cannot be done; `at`
    names the option or the file.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("w", encoding="utf-8", newline="") as file:
                yield file
            return
        if path.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        with _beside(path) as file:
            yield file
    except OSError as error:
        raise BadInput(f"cannot be written ({error.strerror or type(error).__name__})", at) from None


@contextmanager
def _beside(path: Path) -> Iterator[IO[str]]:
    with NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
    ) as file:  # made for its owner only
        try:
            yield file
            file.close()
            Path(file.name).replace(path)
        finally:
            Path(file.name).unlink(missing_ok=True)


def write(path: Path, content: str | bytes, at: str) -> None:
    """Put a whole text or picture in its place."""
    with written(path, at) as file:
        if isinstance(content, str):
            file.write(content)
        else:
            file.flush()
            file.buffer.write(content)  # type: ignore[attr-defined]


def write_all(files: Mapping[Path, bytes]) -> None:
    """Put several files in their places: all of them, or none."""
    with ExitStack() as all_or_none:
        opened = [all_or_none.enter_context(written(path, str(path))) for path in files]
        for file, content in zip(opened, files.values(), strict=True):
            file.buffer.write(content)  # type: ignore[attr-defined]
