"""Every danger under every fault of the wire, a thousand simulated sessions: `make torture`.

Exits with 1 if an alarm came late or never, or if anything graver than missing data was raised without a danger.
"""

from __future__ import annotations

import argparse
import sys

from adjunct.devices.faults import Row, runs, told
from adjunct.knowledge import Knowledge

EVERY = 25  # sessions between two signs of life


def main() -> int:
    """Play the sessions, show how far it is, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1000, help="sessions")
    parser.add_argument("--seed", type=int, default=20270111)
    asked = parser.parse_args()
    knowledge = Knowledge.load()
    content = knowledge.content["scenarios"]
    tables = [{e["id"]: Row(id=e["id"], title=e["title"]) for e in content[name]} for name in ("danger", "trouble")]
    for number, each in enumerate(runs(asked.n, asked.seed, knowledge), start=1):
        found = told(each, knowledge)
        for rows, name in zip(tables, (each.danger["id"], each.trouble["id"]), strict=True):
            rows[name] = rows[name].with_run(found)
        if number % EVERY == 0:
            print(f"\r{number} of {asked.n} sessions", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    wrong = sum(_shown(rows) for rows in tables)
    print("every danger was told at the first message that shows it" if not wrong else f"{wrong} FAILED")
    return 1 if wrong else 0


def _shown(rows: dict[str, Row]) -> int:
    print(f"{'':44}{'runs':>6}{'shown':>7}{'at once':>9}{'late':>6}{'never':>7}{'hours':>8}{'false':>7}{'no data':>9}")
    for row in rows.values():
        told_ = f"{row.runs:6}{row.shown:7}{row.at_once:9}{row.late:6}{row.never:7}"
        print(f"{row.title[:43]:44}{told_}{row.hours:8.1f}{row.grave + row.mild:7}{row.silent:9}")
    print()
    return sum(row.late + row.never + row.grave for row in rows.values())


if __name__ == "__main__":
    sys.exit(main())
