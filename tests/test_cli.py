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


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["check", "--nonsense"], ["serve", "--only", "half"], ["check", "--conf", "x"]]
)
def test_wrong_usage_is_2_and_told_on_stderr(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*argv) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "usage: leadenrich" in told.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help_with_an_example_and_takes_a_configuration(
    command: object, capsys: pytest.CaptureFixture[str]
) -> None:
    name, example = command.name, command.example  # type: ignore[attr-defined]
    assert status_of(name, "--help") == 0
    told = capsys.readouterr().out
    assert f"Example:\n  {example}" in told
    assert example.startswith(f"leadenrich {name}")
    assert "--config PATH" in told
    build_parser().parse_args(
        [word for word in example.split()[1:] if word != ">" and not word.startswith("/etc/bash")]
    )


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
    keys = [line.partition(": ")[0] for line in told.err.splitlines() if not line.startswith("note: ")]
    assert keys[:3] == ["queue.name", "queue.attempts", "ghl.locations[0].id2"]
    assert any(key.startswith("mapping.owner_name") for key in keys)
    assert any(key.startswith("rules") for key in keys)
    assert "queue.attempts\t3\tdefault" in told.out


def test_check_reminds_of_what_the_worker_half_would_lack(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("check") == 0
    told = capsys.readouterr().err
    assert "note: realestateapi.api_key" in told
    assert "note: ghl.locations" in told


def test_check_on_a_terminal_is_a_table(tmp_path: Path) -> None:
    """A real terminal: rich looks at it, and so does NO_COLOR."""
    seen = {no_color: _on_a_terminal(tmp_path, no_color) for no_color in ("", "1")}
    assert all("server.port" in text and "8080" in text and "\t" not in text for text in seen.values())
    assert "\x1b[3" not in seen["1"]


def _on_a_terminal(cwd: Path, no_color: str) -> str:
    master, slave = os.openpty()
    environ = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm-256color", "COLUMNS": "120"}
    command = [sys.executable, "-m", "leadenrich", "check"]
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


def test_serve_refuses_a_worker_without_key_and_location(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["serve"], ["serve", "--only", "worker"], ["serve", "--local"]):
        assert status_of(*argv) == 78
        assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
            "realestateapi.api_key",
            "ghl.locations",
        ]


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
