"""Draw docs/images/check.svg: what `adjunct check` really prints, as a terminal picture for the README."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

import adjunct
from adjunct.terminal import show

ITEMS = ["sertraline 50 mg", "phenelzine 45 mg", "kratum powder 5g 3x/day"]
TARGET = Path(__file__).resolve().parents[1] / "docs" / "images" / "check.svg"
LINES = 34


def main() -> None:
    """Print the answer into a recording console and save its first screen."""
    whole = Console(record=True, width=96, file=io.StringIO(), force_terminal=True, highlight=False)
    show(adjunct.check(ITEMS, country="US", at="2026-11-21T09:00:00-06:00"), sources=False, console=whole)
    text = whole.export_text(styles=True).splitlines()[:LINES]
    screen = Console(record=True, width=96, file=io.StringIO(), force_terminal=True, highlight=False)
    command = "$ adjunct check " + " ".join(f'"{item}"' for item in ITEMS) + " --country US"
    screen.print(command, style="bold")
    from rich.text import Text

    for line in text:
        screen.print(Text.from_ansi(line))
    screen.print("...", style="dim")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    svg = screen.export_svg(title="adjunct check")
    TARGET.write_text("".join(line for line in svg.splitlines(keepends=True) if "@font-face" not in line), encoding="utf-8")


if __name__ == "__main__":
    main()
