"""The knowledge as a book: Markdown pages of rules, facts, substances, instruments, sources, and how a record is read.

The pages hold nothing that is not in the knowledge files, and no date of their own: the same knowledge gives the same
bytes. `adjunct knowledge book` writes them to `docs/reference/`.
"""

from __future__ import annotations

from adjunct.knowledge.book import evidence
from adjunct.knowledge.book.activities import activities
from adjunct.knowledge.book.instruments import instruments
from adjunct.knowledge.book.markdown import link, page, plain, table
from adjunct.knowledge.book.record import record
from adjunct.knowledge.book.rules import rules
from adjunct.knowledge.load import Knowledge

__all__ = ["pages"]

CONTENTS = (
    ("rules.md", "Rules", "every rule: sentences, expression, evidence and cases", "rules"),
    ("facts.md", "Facts", "every number with its unit, source and date of review", "facts"),
    (
        "substances.md",
        "Substances",
        "what each one is, does to enzymes and people, and how long it stays",
        "substances",
    ),
    ("claims.md", "Claims", "what is said in circulation and what may be said instead", "claims"),
    (
        "activities.md",
        "Activities",
        "what the articles advise, what is true of it, where a person meets it",
        "selfcare",
    ),
    ("sources.md", "Sources", "what the knowledge rests on, and how much of it was read", "sources"),
    ("instruments.md", "Instruments", "how each scale is scored and read, what it raises, its licence", "instruments"),
    ("law.md", "Law", "what was read about each place, and until when it stands", "jurisdictions"),
    ("crisis-lines.md", "Crisis lines", "whom to call, country by country", "crisis_lines"),
    ("record.md", "What is read from a record", "how to write a bundle, fact by fact", "concepts"),
)


def pages(knowledge: Knowledge) -> dict[str, str]:
    """Every page by its file name, in the order in which the index lists them."""
    return {
        "index.md": _index(knowledge),
        "rules.md": rules(knowledge),
        "facts.md": evidence.facts(knowledge),
        "substances.md": evidence.substances(knowledge),
        "claims.md": evidence.claims(knowledge),
        "activities.md": activities(knowledge),
        "sources.md": evidence.source_list(knowledge),
        "instruments.md": instruments(knowledge),
        "law.md": evidence.law(knowledge),
        "crisis-lines.md": evidence.crisis_lines(knowledge),
        "record.md": record(knowledge),
    }


def _index(knowledge: Knowledge) -> str:
    rows = [
        (link(plain(title), name), plain(what), str(len(knowledge.content[part])))
        for name, title, what, part in CONTENTS
    ]
    return page(
        "Reference",
        f"The knowledge of this edition, as of {knowledge.as_of}, rendered from the files that the software reads. "
        "Nobody independent has reviewed it yet: grade, status and *read* say how far each entry can be trusted. "
        "To disagree with an entry, see [Review the knowledge](../how-to/review-the-knowledge.md).",
        table(("page", "what it holds", "entries"), rows),
        "Made by running what rests on it: [the models](models.md) and how they compare with what was "
        "[measured](validation.md), [follow-up](follow-up.md), [the treatment day](treatment-day.md), [the record "
        "store](record-store.md) and [the official examples that it refuses](fhir-examples.md).",
    )
