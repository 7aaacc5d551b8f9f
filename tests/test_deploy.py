"""docs/deploy.md is well-formed and of one mind with what is shipped; `make deploy` runs it, for it takes minutes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from deploy.__main__ import WAYS, faults_of, script_of
from deploy.document import DOCUMENT, KINDS, Block, blocks

ROOT = Path(__file__).parents[1]
PAGE = blocks(DOCUMENT.read_text("utf-8"))


@pytest.mark.parametrize("block", PAGE, ids=lambda block: f"line-{block.line}")
def test_a_shell_can_read_every_block(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.commands, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_every_kind_of_block_is_there_and_only_those_for_accounts_are_never_run() -> None:
    assert {block.kind for block in PAGE} == set(KINDS)
    assert set(KINDS) - set().union(*(way.kinds for way in WAYS)) == {"account"}
    assert {block.kind for block in PAGE if block.seen} >= {"", "hand", "systemd"}


def test_the_commands_are_those_of_the_units() -> None:
    unit = (ROOT / "systemd" / "leadenrich.service").read_text("utf-8")
    command = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)[0]
    with_fakes = command.replace("serve", "serve --sandbox")
    for kind in ("systemd", "container"):
        assert any(with_fakes in block.commands for block in PAGE if block.kind == kind), kind


def test_every_file_that_the_page_takes_from_here_is_there() -> None:
    words = [word for block in PAGE for word in block.commands.split() if not word.startswith("/")]
    named = {word for word in words if re.fullmatch(r"[\w./-]+\.(service|socket|lock|toml|md|conf)", word)}
    ours = {name for name in named if (ROOT / name).is_file() or (ROOT / "systemd" / name).is_file()}
    assert named - ours == set()
    assert {"systemd/leadenrich.socket", "requirements-runtime.lock", "redis-leadenrich.conf"} <= ours


def test_what_is_not_seen_is_a_fault_and_so_is_a_command_that_fails() -> None:
    page = blocks("```sh\ntrue\n```\n```\nfirst …\nlast\n```\n```sh\nfalse\n```\nThen\n```\nnot shown\n```\n")
    assert [(block.line, block.seen) for block in page] == [(1, "first …\nlast\n"), (8, "")]
    assert page[0].missing("first of all\nat last\n") == ["last"]
    assert page[0].missing("first \nlast\n") == []
    script = script_of(WAYS[0], page)
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    [fault] = faults_of(WAYS[0], page, done)
    assert fault.startswith("line 8: ended with status 1")
    done = subprocess.run(["bash", "-c", script_of(WAYS[0], page[:1])], stdout=subprocess.PIPE, text=True, check=False)
    assert [fault.split(":")[1] for fault in faults_of(WAYS[0], page[:1], done)] == [" not seen", " not seen"]
    with pytest.raises(ValueError, match="line 1: 'sh elsewhere' is no kind"):
        blocks("```sh elsewhere\n```\n")
