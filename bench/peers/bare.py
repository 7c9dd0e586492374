"""Peer of bench/record.py: an answer of the same size from nothing at all, to see how fast anything can be asked."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

ANSWER = b"x" * 600


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False, lifespan="off")
