"""One way to write a text: folded spelling, tokens, and the compact key by which a name is found."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from adjunct.base import BadInput

PUNCTUATION = " -.,;:'\"()[]{}/_*!?#^`~|\u00b7\u2044"

_MARKS = re.compile("[\u0300-\u036f]")
_TRADE = str.maketrans(
    {
        **dict.fromkeys("®™©℠\u00ad\u200b\u200c\u200d\u2060\ufeff", None),
        **dict.fromkeys("‘’‛´′`ʼ", "'"),
        **dict.fromkeys("“”„″", '"'),
        **dict.fromkeys("‐‑‒–—−", "-"),
        **dict.fromkeys("\u00a0\u2009\u202f", " "),
        "×": "x",
        "→": "->",
        "ø": "o",
        "Ø": "o",
        "ł": "l",
        "Ł": "l",
        "œ": "oe",
        "æ": "ae",
        "ı": "i",
    }
)
_DROPPED = str.maketrans(dict.fromkeys(PUNCTUATION))
_FRACTION = re.compile("(\\d*)\\s*([\u00bc-\u00be\u2150-\u215e])")
_DOTTED = re.compile(r"(?<![^\W_])(?:[^\W\d_]\.){1,}[^\W\d_](?![^\W\d_])\.?")
_TOKEN = re.compile(
    r"\d+(?:[.,']\d+)*(?:e[+-]?\d+(?![^\W\d_]))?"
    r"|(?:qu|[cdjlmnst])'(?=[^\W\d_])"
    r"|[^\s\d!-/:-@\[-`{-~¿¡°%…≈≤≥]+(?:'[^\s\d!-/:-@\[-`{-~]+)*"
    r"|\S"
)
_BARE_POINT = re.compile(r"(?<![\w.,])\.(\d)")  # ".5 mg" is half a milligram, never five
_AND_MORE = re.compile(r"(?<![\w.,])(\d[\d.,]*\s*[a-z]*)\+(?=\s|$)")  # "10g+"
_SPACED_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3}) (?=000(?!\d))")
_GROUPED = re.compile("(?<=\\d)[\u00a0\u2009\u202f'](?=\\d{3}(?!\\d))")


class Token(NamedTuple):
    """A word, a number or a sign, and where it stands in the folded text."""

    text: str
    start: int
    end: int


def fold(text: str) -> str:
    """Case, accents, quotes, dashes, trade marks and width folded away; letters of every script are kept.

    >>> fold("Kétamine® 0,5 mg"), fold("St. John’s Wort")
    ('ketamine 0,5 mg', "st. john's wort")
    """
    text = text.replace("(-)", "minus ") if "(-)" in text else text
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text.translate(_TRADE)).translate(_TRADE).casefold()
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text)))


def compact(folded: str) -> str:
    """The key of a name: without blanks, hyphens and other punctuation.

    >>> compact(fold("7-OH")), compact(fold("L-Tryptophan"))
    ('7oh', 'ltryptophan')
    """
    return folded.translate(_DROPPED)


def clean(text: str) -> str:
    """The folded text of one item, or BadInput if it holds characters that cannot be seen.

    >>> clean("  ½ tsp  Maeng Da ")
    '0.5 tsp maeng da'
    """
    text = text.strip()
    if not text.isascii() or not text.isprintable():
        _refuse_invisible(text)
        text = _GROUPED.sub("", text)
        text = _FRACTION.sub(_decimal, text)
    text = _DOTTED.sub(lambda found: found[0].replace(".", ""), fold(text))
    text = _AND_MORE.sub(r">\1", _BARE_POINT.sub(r"0.\1", text.replace("->", " to ")))
    return " ".join(_SPACED_THOUSANDS.sub(r"\1", text).split())


def _refuse_invisible(text: str) -> None:
    """Control characters, half characters and marks that turn the reading direction can hide what is written."""
    for character in text:
        kind = unicodedata.category(character)
        turns = kind == "Cf" and unicodedata.bidirectional(character) in _TURNING
        if kind in ("Cc", "Cs", "Co", "Zl", "Zp") or turns:
            shown = text[: len("as much of it as a reader needs")]
            raise BadInput(f"a control character (U+{ord(character):04X}) in the item {shown!r}; send it without")


_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def _decimal(found: re.Match[str]) -> str:
    return f"{int(found[1] or 0) + unicodedata.numeric(found[2]):g}"


def tokens(folded: str) -> list[Token]:
    """Words, numbers and signs.

    >>> [t.text for t in tokens("kratum powder 5g 3x/day")]
    ['kratum', 'powder', '5', 'g', '3', 'x', '/', 'day']
    """
    return [Token(m[0], m.start(), m.end()) for m in _TOKEN.finditer(folded)]
