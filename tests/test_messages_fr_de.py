"""French and German messages as people write them at night, read at the level a charge nurse would give."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from adjunct.knowledge import Knowledge
from adjunct.messages import read_message

KNOWLEDGE = Knowledge.load()
with (Path(__file__).parent / "cases" / "messages_fr_de.csv").open(encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"][:60])
def test_a_french_or_german_message_is_read_as_its_row_says(row):
    message = read_message(KNOWLEDGE, row["text"])
    assert message.level == row["level"], [(h.flag, h.words, h.context) for h in message.hits]
    assert set(filter(None, row["flags"].split(";"))) <= set(message.flags)
