"""Draw docs/images/check.svg: what `adjunct check` really prints, as a terminal picture for the README."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

import adjunct
from adjunct.terminal import show

ITEMS = ["sertraline 50 mg", "phenelzine 45 mg", "kratum powder 5g 3x/day"]
AT = "2026-11-21T09:00:00-06:00"
TARGET = Path(__file__).resolve().parents[1] / "docs" / "images" / "check.svg"
LINES = 34
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def main() -> None:
    """Print the answer into a recording console and save its first screen."""
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(drawn(), encoding="utf-8")


def drawn() -> str:
    """The picture as SVG text: always the same for the same knowledge, and complete in itself."""
    whole = _console()
    show(adjunct.check(ITEMS, country="US", at=AT), sources=False, console=whole)
    screen = _console()
    command = "$ adjunct check " + " ".join(f'"{item}"' for item in ITEMS) + " --country US"
    screen.print(command, style="bold")
    for line in whole.export_text(styles=True).splitlines()[:LINES]:
        screen.print(Text.from_ansi(line))
    screen.print("...", style="dim")
    return _self_contained(screen.export_svg(title="adjunct check", unique_id="check"))


def _console() -> Console:
    return Console(record=True, width=96, file=io.StringIO(), force_terminal=True, highlight=False)


def _self_contained(svg: str) -> str:
    """Rich asks for a web font from elsewhere: whoever looks at a picture should not be seen doing so."""
    svg = re.sub(r"\s*@font-face\s*\{[^}]*\}", "", svg)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)  # else some viewers drop the indentation
    svg = svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    return "".join(line.rstrip() + "\n" for line in svg.splitlines())


if __name__ == "__main__":
    main()
