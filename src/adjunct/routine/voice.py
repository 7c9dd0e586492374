"""In which language a routine speaks, and how sure it says it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adjunct.knowledge import Knowledge
from adjunct.sheet import Line, cited, how_sure, line


@dataclass(frozen=True, slots=True)
class Voice:
    """The texts of the routine in one language; what exists only in English is marked by `sheet.line`."""

    knowledge: Knowledge
    language: str

    @property
    def data(self) -> Mapping[str, Any]:
        return self.knowledge.content["routine"]  # type: ignore[no-any-return]

    def told(self, texts: Mapping[str, str], *, source: str = "", status: str = "", **words: str) -> Line:
        """A text with its places filled. `source` is the id of a source, `status` how far it was read."""
        sure = how_sure(self.knowledge, status, source, self.language) if status else ""
        filled: Any = words  # names of places, none of them an option of `line`
        return line(texts, self.language, self.knowledge, source=cited(self.knowledge, source), sure=sure, **filled)

    def word(self, name: str, part: str = "words", **words: str) -> Line:
        """A sentence of `planning/routine.toml`, such as `because.low`."""
        return self.told(self.data[part][name], **words)

    def within(self, name: str, inner: Line, **words: str) -> Line:
        """A line put into a sentence; source and certainty stay."""
        return replace(inner, text=self.word(name, text=inner.text, **words).text)

    def pick(self, texts: Mapping[str, str]) -> str:
        """A text without places."""
        return line(texts, self.language, self.knowledge).text
