"""Where a setting comes from, and what is refused: one line, the place, and never the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adjunct.base import BadInput
from adjunct.serve.settings import Settings, load

SECRET = "postgresql://clinic:hunter2@host/record"


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "adjunct.toml"
    file.write_text('port = 8001\nlog_level = "error"\nthreads = 7\n', encoding="utf-8")
    environment = {"ADJUNCT_CONFIG": str(file), "ADJUNCT_PORT": "8002", "ADJUNCT_LOG_LEVEL": "warning", "HOME": "x"}
    found = load({"port": 8003, "host": None}, environment)
    assert (found.port, found.log_level, found.threads, found.host) == (8003, "warning", 7, "127.0.0.1")


def test_the_option_names_another_file_than_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "this.toml"
    file.write_text("port = 8001", encoding="utf-8")
    assert load({}, {"ADJUNCT_CONFIG": "that.toml"}, file).port == 8001


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost"])
def test_this_computer_may_be_named(host: str) -> None:
    assert load({"host": host}, {}).host in ("127.0.0.1", "127.8.9.10", "::1")


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1", "example.org", "localhost.example.org", "", "127.1", "::ffff:8.8.8.8"],
)
def test_any_other_host_is_refused_with_the_reason(host: str) -> None:
    with pytest.raises(BadInput, match=r"no sign-in yet.*\(at --host\)"):
        load({"host": host}, {})


WRONG: list[tuple[dict[str, Any], dict[str, str], str, str]] = [
    # command line, environment, file, what the one line says
    ({}, {"ADJUNCT_DATABSE": SECRET}, "", "no such setting.*at ADJUNCT_DATABSE"),
    ({}, {"ADJUNCT_PORT": SECRET}, "", "integer.*at ADJUNCT_PORT"),
    ({"port": 70000}, {}, "", "65535.*at --port"),
    ({"log_level": "loud"}, {}, "", "'debug', 'info'.*at --log-level"),
    ({"database": ""}, {}, "", "at --database"),
    ({}, {}, "prot = 1", "no such setting.*prot in adjunct.toml"),
    ({}, {}, "body_bytes = 12", "1024.*body_bytes in adjunct.toml"),
    ({}, {}, "port 8000", "not TOML.*at --config"),
]


@pytest.mark.parametrize(("given", "environment", "file", "said"), WRONG)
def test_what_is_not_understood_is_refused_by_its_place(
    given: dict[str, Any], environment: dict[str, str], file: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "adjunct.toml"
    path.write_text(file, encoding="utf-8")
    with pytest.raises(BadInput, match=said) as caught:
        load(given, environment, path)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused_by_the_name_of_what_named_it() -> None:
    with pytest.raises(BadInput, match=r"cannot be read.*ADJUNCT_CONFIG"):
        load({}, {"ADJUNCT_CONFIG": "nowhere.toml"})


def test_settings_do_not_change_while_a_server_runs() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1
