"""How a server is set up: the command line before the environment (`ADJUNCT_PORT`) before a TOML file before defaults.

Whatever is not understood is refused: a misspelt `ADJUNCT_DATABSE` would otherwise keep the record in another place.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from adjunct.base import BadInput

PREFIX = "ADJUNCT_"
CONFIG = "config"

PORT = 8000
LAST_PORT = 65_535
LOWEST_BODY = 1024
BODY = 32 * 1024 * 1024  # bytes; a transaction with a year of somebody's record has two or three
SECONDS = 30
LONGEST = 3600  # s
THREADS = 40  # a write waits in one for the common commit
WAITING = 400
GZIP_FROM = 1400  # bytes; what is smaller travels in one packet anyway

LOCAL_ONLY = (
    "not an address of this computer only: there is no sign-in yet, and whoever reaches the server reads everything; "
    "name 127.0.0.1, ::1 or localhost"
)


def local(host: str) -> str:
    """A loopback address as it is bound, or ValueError. No other name is looked up: whoever answers could be lying."""
    address = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise ValueError(LOCAL_ONLY)


class Settings(BaseModel):
    """What may be set, with its defaults. Build it with `load`, which says where a wrong value came from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: Annotated[str, Field(min_length=1)] = "sqlite:///adjunct.db"
    host: Annotated[str, AfterValidator(local)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=LAST_PORT)] = PORT  # 0: any that is free
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    body_bytes: Annotated[int, Field(ge=LOWEST_BODY)] = BODY
    request_seconds: Annotated[float, Field(gt=0, le=LONGEST)] = SECONDS
    stop_seconds: Annotated[int, Field(gt=0, le=LONGEST)] = SECONDS  # for requests in flight when told to stop
    threads: Annotated[int, Field(ge=1)] = THREADS
    waiting: Annotated[int, Field(ge=1)] = WAITING  # requests beyond this are sent away at once
    gzip_from: Annotated[int, Field(ge=0)] = GZIP_FROM


def load(given: Mapping[str, Any], environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """The settings from the command line (`given`; None is not given), the environment and a TOML file.

    Raises `BadInput` in one line that names where the value stands. Values are not repeated: a URL holds a password.
    """
    named = {k.removeprefix(PREFIX).lower(): (v, k) for k, v in environment.items() if k.startswith(PREFIX)}
    file, origin = named.pop(CONFIG, (None, ""))
    path, origin = (config, "--config") if config is not None else (Path(file) if file else None, origin)
    values = {key: (value, f"{key} in {path.name}") for key, value in _toml(path, origin).items()} if path else {}
    values |= named
    values |= {key: (value, "--" + key.replace("_", "-")) for key, value in given.items() if value is not None}
    for key, (_, where) in values.items():
        if key not in Settings.model_fields:
            raise BadInput(f"no such setting: there are {', '.join(Settings.model_fields)}", where)
    try:
        return Settings(**{key: value for key, (value, _) in values.items()})
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        key = str(fault["loc"][0])
        raise BadInput(fault["msg"].removeprefix("Value error, "), values[key][1]) from None


def _toml(path: Path, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"the file cannot be read ({error.strerror})", where) from None
    except ValueError:
        raise BadInput("this is not TOML: write for example port = 8000", where) from None
