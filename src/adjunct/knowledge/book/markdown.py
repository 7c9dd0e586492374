"""Pieces of a Markdown page: escaped text, tables, anchors and the links to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from adjunct.knowledge.entries import Locator
from adjunct.knowledge.load import Knowledge

MADE = "<!-- Made by `make docs` from the knowledge files. Edit those, not this page. -->"
FILLED_LATER = {"names": "*the substances found*", "stop_sentence": "*the sentence about stopping, filled in*"}
_SPECIAL = re.compile(r"([\\`*_\[\]<>~])")
_BLANK = re.compile(r"\s+")
_PLACE = re.compile(r"\{([a-z0-9_.-]+)\}")


def plain(text: object) -> str:
    """Text that means only itself in Markdown.

    >>> plain("a*b <c>")
    'a\\\\*b \\\\<c\\\\>'
    """
    return _SPECIAL.sub(r"\\\1", _BLANK.sub(" ", str(text)).strip())


def code(text: object) -> str:
    """Text that is quoted as it stands in a file."""
    fence = "``" if "`" in str(text) else "`"
    return f"{fence}{text}{fence}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown already, only what would end a cell is escaped here."""
    body = ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    if not body:
        return "None."
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads), *body])


def _cell(text: str) -> str:
    return _BLANK.sub(" ", text).strip().replace("|", "\\|")


def listed(items: Iterable[str]) -> str:
    """A list with one line an item; empty items are left out."""
    return "\n".join(f"- {item}" for item in items if item)


def anchor(kind: str, name: str) -> str:
    """A place that other pages point to."""
    return f'<a id="{kind}-{name}"></a>'


def link(label: str, page: str, kind: str = "", name: str = "") -> str:
    """A link to a page, or to an anchor on it. `label` is Markdown."""
    return f"[{label}]({page}{f'#{kind}-{name}' if kind else ''})"


def web(label: str, address: str) -> str:
    """A link that leaves the book."""
    return f"[{label}]({address.replace('(', '%28').replace(')', '%29').replace(' ', '%20')})"


def page(title: str, *blocks: str) -> str:
    """A whole page under its title."""
    return "\n\n".join([f"# {title}", MADE, *(b for b in blocks if b)]) + "\n"


def filled(text: str, knowledge: Knowledge) -> str:
    """A text of a rule as people will read it: each number linked to the fact that it comes from."""
    parts = _PLACE.split(text)
    return "".join(_fact(part, knowledge) if place % 2 else _spaced(part) for place, part in enumerate(parts))


def _spaced(text: str) -> str:
    """Escaped text that keeps the blanks around the places beside it."""
    return _SPECIAL.sub(r"\\\1", _BLANK.sub(" ", text))


def _fact(name: str, knowledge: Knowledge) -> str:
    if name not in knowledge.facts:
        return FILLED_LATER.get(name, code("{" + name + "}"))
    return link(plain(knowledge.fact_text(name)), "facts.md", "fact", name)


def source(name: str, knowledge: Knowledge) -> str:
    """A source by its id, linked to where the book describes it."""
    return link(code(name), "sources.md", "source", name) if name in knowledge.sources else code(name)


def sources(names: str, knowledge: Knowledge) -> str:
    """The sources of a table row, as written there with semicolons between them."""
    return ", ".join(source(n, knowledge) for n in names.split(";") if n)


def cited(locator: Locator, knowledge: Knowledge) -> str:
    """Where a source says it, what it says if it disagrees, and how much of the source was read."""
    read = knowledge.sources[locator.id].read_as if locator.id in knowledge.sources else ""
    words = knowledge.wording["certainty"]["read_as"].get(read, read)
    place = f", {plain(locator.locator)}" if locator.locator else ""
    says = f": {plain(locator.says)}" if locator.says else ""
    return f"{source(locator.id, knowledge)}{place}{says} ({plain(words)})"
