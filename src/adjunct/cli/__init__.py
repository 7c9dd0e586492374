"""The command line: a thin shell. It reads arguments, calls, prints; nothing clinical is decided here."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from adjunct.base import AdjunctError, BadInput, Refused
from adjunct.cli import assessment, exposure, knowledge, measures, planning, record, serve, session, story, views

app = typer.Typer(
    name="adjunct",
    help="What do these substances do together, and may this treatment start? Answers with reasons, sources and gaps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _commands in (assessment, exposure, measures, planning, serve, record, views, story):
    _commands.register(app)
app.add_typer(knowledge.app, name="knowledge")
app.add_typer(session.app, name="session")

COLLECT_EVERY = 200_000  # objects: a command is short, and most of what it makes stays until its end
HELP_STILL = (
    "If somebody is in danger now, call your local emergency number (112 works from mobiles in many countries)."
)


def main() -> None:
    """Run, and turn every refusal into one line and its exit code. Help is offered even where no answer can be."""
    gc.set_threshold(COLLECT_EVERY)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the terminal cannot show must not cost the answer
    _run(lambda: app(standalone_mode=False))


def _run(command: Callable[[], Any]) -> None:
    import click

    try:
        code = command()
        sys.stdout.flush()  # here a closed pipe can still be met quietly
    except AdjunctError as error:
        _refuse(str(error), error.exit_code, error.advice)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        said = error.format_message().rstrip(".")  # empty when no command was given: then the help is shown
        _refuse(f"{said}; see adjunct --help" if said else "name a command, as above", BadInput.exit_code)
    except (BrokenPipeError, KeyboardInterrupt, click.exceptions.Abort):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  a traceback could show the record, and would be no answer either
        _refuse(f"{_where(error)}, so nothing can be answered: please report it", Refused.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(line: str, code: int, advice: Sequence[str] = ()) -> NoReturn:
    print("adjunct: " + " ".join(line.split()), file=sys.stderr)
    for text in advice:  # a refusal never silences a red flag
        print(text)
    if code == Refused.exit_code:
        print(HELP_STILL)
    sys.exit(code)


def _where(error: Exception) -> str:
    """Kind and place of a fault of ours; its message may hold values of the record and is left out."""
    step = error.__traceback__
    while step and step.tb_next:
        step = step.tb_next
    place = f" at {Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}" if step else ""
    return f"an internal error ({type(error).__name__}{place})"
