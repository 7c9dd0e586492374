"""Peer of bench/record.py: sekmet-fhir as a server on a port, with a database that holds the resources of a file.

It runs as its own command runs it, except for what only costs it time: its log of requests and its simulator of a
hospital are off. It validates what it takes in and commits each write durably, as adjunct does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import uvicorn
from sekmet.config import Settings, SimulatorSettings
from sekmet.main import create_app


def main() -> None:
    folder, port, resources = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    app = create_app(
        Settings(
            base_url=f"http://127.0.0.1:{port}/fhir",
            db_path=str(folder / "sekmet.db"),
            log_inbound=False,
            simulator=SimulatorSettings(enabled=False),
        )
    )
    store = app.state.ctx.store
    with store.transaction():
        for line in resources.read_text().splitlines():
            store.create(json.loads(line), keep_id=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
