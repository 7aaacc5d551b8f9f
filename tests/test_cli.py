"""The command line: what it prints where, and what its exit status says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leadenrich import __version__
from leadenrich.cli import main
from leadenrich.cli.parser import COMMANDS, build_parser

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration but the test's own."""
    for name in [name for name in os.environ if name.startswith("LEADENRICH_") or name == "CREDENTIALS_DIRECTORY"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def status_of(*argv: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def write(text: str) -> str:
    Path("config.toml").write_text(text)
    return "config.toml"


def test_the_version_in_both_spellings(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == status_of("version") == 0
    assert capsys.readouterr().out == f"leadenrich {__version__}\n" * 2
    assert status_of("version", "--json") == 0
    about = json.loads(capsys.readouterr().out)
    assert about["version"] == __version__
    assert about["libraries"]["msgspec"]
    assert about["frozen"] is False
    assert about["openssl"].startswith("OpenSSL ")
    assert "commit" in about


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["check", "--nonsense"],
        ["serve", "--only", "half"],
        ["check", "--conf", "x"],
        ["jobs", "list", "--limit", "abc"],
    ],
)
def test_wrong_usage_is_2_and_told_on_stderr(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*argv) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "usage: leadenrich" in told.err


def test_a_configuration_before_the_command_counts_too() -> None:
    parser = build_parser()
    assert parser.parse_args(["--config", "a.toml", "check"]).config == Path("a.toml")
    assert parser.parse_args(["check", "--config", "b.toml"]).config == Path("b.toml")
    assert parser.parse_args(["check"]).config is None


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("completion", shell) == 0
    script = capsys.readouterr().out
    assert all(command.name in script for command in COMMANDS)
    assert "--config" in script or "-l config" in script or "config" in script


def test_check_shows_values_with_their_sources_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        f"""
        [queue]
        attempts = 5
        [redis]
        url = "redis://:{SECRET}@127.0.0.1:6379/0"
        [realestateapi]
        api_key = "{SECRET}"
        [[ghl.locations]]
        id = "abc"
        token = "{SECRET}"
        """
    )
    monkeypatch.setenv("LEADENRICH_SERVER__ADMIN_TOKEN", SECRET)
    assert status_of("check", "--config", path) == 0
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    rows = dict(line.split("\t", 1) for line in told.out.splitlines() if "\t" in line)
    assert rows["queue.attempts"] == "5\tfile config.toml"
    assert rows["queue.backoff_delay"] == "30.0\tdefault"
    assert rows["redis.url"] == '"redis://********@127.0.0.1:6379/0"\tfile config.toml'
    assert rows["server.admin_token"] == "********\tenvironment LEADENRICH_SERVER__ADMIN_TOKEN"
    assert rows["ghl.locations[0].token"] == "********\tfile config.toml"
    assert "BANK_OWNED (disqualifies): when" in told.out
    assert told.err == ""


def test_check_names_each_fault_on_its_own_line_mapping_and_rules_included(capsys: pytest.CaptureFixture[str]) -> None:
    write(
        """
        [queue]
        attempts = 0
        name = "line\\nbreak"
        [mapping.owner_name]
        transform = "no_such_transform"
        [[rules]]
        code = "BANK_OWNED"
        when = { field = "data.noSuchField", op = "is_true" }
        [[ghl.locations]]
        id = "a"
        id2 = "b"
        """
    )
    assert status_of("check") == 78
    told = capsys.readouterr()
    keys = [line.partition(": ")[0] for line in told.err.splitlines()]
    assert keys[:3] == ["queue.name", "queue.attempts", "ghl.locations[0].id2"]
    assert keys[-2:] == ["realestateapi.api_key", "ghl.locations[0].token"], "and what the worker lacks"
    assert any(key.startswith("mapping.owner_name") for key in keys)
    assert any(key.startswith("rules") for key in keys)
    assert "queue.attempts\t3\tdefault" in told.out


LACKING = ["realestateapi.api_key", "ghl.locations"]
AS_SHOWN = ["ghl.locations[0].id", "realestateapi.api_key", "ghl.locations[0].token"]


def keys_of(told: str) -> list[str]:
    return [line.partition(": ")[0] for line in told.splitlines()]


@pytest.mark.parametrize("only", ["", "worker", "web"])
def test_check_predicts_what_serve_says(only: str, capsys: pytest.CaptureFixture[str]) -> None:
    half = ["--only", only] if only else []
    assert status_of("check", *half) == (0 if only == "web" else 78)
    assert keys_of(capsys.readouterr().err) == ([] if only == "web" else LACKING)
    if only != "web":
        assert status_of("serve", "--local", *half) == 78
        assert keys_of(capsys.readouterr().err) == LACKING


@pytest.mark.parametrize(
    "argv", [["check"], ["check", "--only", "web"], ["serve"], ["serve", "--only", "web"], ["setup"]]
)
def test_what_the_example_leaves_to_be_filled_in_is_a_fault(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write((Path(__file__).parents[1] / "config.example.toml").read_text())
    assert status_of(*argv) == 78
    told = capsys.readouterr().err
    assert keys_of(told) == AS_SHOWN
    assert told.count("CHANGE-ME of config.example.toml: put ") == 3


def test_beside_a_fault_nothing_is_merely_noted(capsys: pytest.CaptureFixture[str]) -> None:
    noted = '[server]\nhost = "0.0.0.0"\n'
    write(noted)
    assert status_of("check", "--only", "web") == 0
    assert capsys.readouterr().err.startswith("note: server.admin_token: ")
    write(noted + "port = -1\n")
    assert status_of("check", "--only", "web") == 78
    assert keys_of(capsys.readouterr().err) == ["server.port"]


@pytest.mark.parametrize("text", ["[server\n", None], ids=["no TOML", "no file"])
def test_of_a_file_that_cannot_be_read_nothing_is_shown(text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Defaults and rules would pass for what it says."""
    if text is not None:
        write(text)
    for command in ("check", "serve"):
        assert status_of(command, "--config", "config.toml") == 78
        told = capsys.readouterr()
        assert told.out == ""
        assert keys_of(told.err) == ["config.toml"]


def test_a_key_that_is_wrong_is_not_missing_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    write('[realestateapi]\napi_key = 5\n[[ghl.locations]]\ntoken = "t"\n')
    assert status_of("check") == 78
    assert keys_of(capsys.readouterr().err) == ["realestateapi.api_key", "ghl.locations[0].id"]


def test_check_on_a_terminal_is_a_table(tmp_path: Path) -> None:
    """A real terminal: rich looks at it, and so does NO_COLOR."""
    seen = {no_color: _on_a_terminal(tmp_path, no_color) for no_color in ("", "1")}
    assert all("server.port" in text and "8080" in text and "\t" not in text for text in seen.values())
    assert "\x1b[3" not in seen["1"]


def _on_a_terminal(cwd: Path, no_color: str) -> str:
    master, slave = os.openpty()
    environ = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm-256color", "COLUMNS": "120"}
    command = [sys.executable, "-m", "leadenrich", "check", "--only", "web"]
    with subprocess.Popen(command, stdout=slave, stderr=slave, cwd=cwd, env=environ) as running:
        os.close(slave)
        shown = b""
        while True:
            try:
                shown += os.read(master, 65_536)
            except OSError:  # the other side closed: how a terminal ends
                break
        assert running.wait() == 0
    os.close(master)
    return shown.decode()


def test_a_reader_that_leaves_is_no_drama(tmp_path: Path) -> None:
    command = f"{sys.executable} -m leadenrich check 2>/dev/null | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True)
    assert done.stdout == 'server.host\t"127.0.0.1"\tdefault\n'
    closed = subprocess.run(
        ["sh", "-c", f"({sys.executable} -m leadenrich check; echo status $? >&2) | true"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True,
    )  # fmt: skip
    assert "Traceback" not in closed.stderr
    assert "Exception ignored" not in closed.stderr


def test_the_command_line_starts_without_what_a_command_needs() -> None:
    """Start-up time is felt on every command: 40 ms for --version, measured; 200 ms with these imports."""
    code = (
        "import sys; from leadenrich.cli import main, parser; parser.build_parser(); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} "
        "& {'msgspec', 'aiohttp', 'rich', 'shtab', 'redis', 'cryptography', 'structlog', 'asyncio'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
