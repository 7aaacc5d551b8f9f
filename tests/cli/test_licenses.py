"""What the program is made of: all of it, with a text of each licence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from audit_report import pinned

from leadenrich.cli import main
from leadenrich.cli.components import BROWSER, components

ROOT = Path(__file__).parents[2]
# Locked for a VM, but not part of the program: what builds it there, and what older Pythons alone need.
BUILDS = {"hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
OLDER_PYTHON = {"async-timeout", "typing-extensions"}


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["licenses", *argv])
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def test_every_locked_dependency_is_told_with_its_licence_and_a_text() -> None:
    locked = pinned((ROOT / "requirements-runtime.lock").read_text("utf-8"))
    python = {it.name: it for it in components() if it.origin == "python"}
    assert set(locked) - BUILDS - OLDER_PYTHON <= python.keys() <= set(locked) - BUILDS | OLDER_PYTHON
    assert not {name: it.version for name, it in python.items() if it.version != locked.get(name, it.version)}
    assert not [it.name for it in components() if not it.licence or not it.texts or min(map(len, it.texts)) < 70]


def test_nothing_that_only_tests_is_told() -> None:
    assert not {it.name for it in components()} & {"pytest", "hypothesis", "ruff", "mypy", "cryptography", "leadenrich"}


def test_c_libraries_inside_of_packages_are_told_too() -> None:
    texts = {it.name: "\n".join(it.texts) for it in components()}
    for name, library in (("pynacl", "Frank Denis"), ("uvloop", "libuv"), ("lupa", "Lua.org"), ("cffi", "libffi")):
        assert library in texts[name], name


def test_every_notice_belongs_to_a_package() -> None:
    names = {it.name for it in components()}
    notices = [path.name.partition(".")[0] for path in (ROOT / "leadenrich" / "cli" / "notices").glob("*.txt")]
    assert notices
    assert set(notices) <= names


def test_the_pages_files_are_told_as_their_readme_tells_them() -> None:
    folder = ROOT / "leadenrich" / "web" / "static"
    rows = re.findall(
        r"^\| `.*` \| (\S+) \| (\S+) \| (.+) \|$", (folder / "README.md").read_text("utf-8"), re.MULTILINE
    )
    spelled = {"Zero-Clause BSD": "0BSD"}
    assert [(name, version, spelled.get(licence, licence)) for name, version, licence in rows] == [
        row[:3] for row in BROWSER
    ]
    assert {row[3] for row in BROWSER} == {path.name for path in (folder / "licenses").iterdir()}


def test_the_command_lists_tells_and_serves_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    status, listed, _ = told(capsys)
    assert status == 0
    assert re.search(r"^aiohttp +3\.\S+ +Apache-2.0 AND MIT$", listed, re.MULTILINE)
    status, text, _ = told(capsys, "aiohttp")
    assert status == 0
    assert "Apache License" in text
    assert "llhttp" in text or "Fedor Indutny" in text
    status, everything, _ = told(capsys, "--texts")
    assert status == 0
    assert all(f"{it.name} {it.version}: {it.licence}\n==" in everything for it in components())
    status, rows, _ = told(capsys, "--json")
    assert status == 0
    assert {row["name"] for row in json.loads(rows)} == {it.name for it in components()}


def test_a_name_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "aiohttp", "left-pad") == (2, "", "leadenrich: licenses: not part of it: left-pad\n")


def test_a_wheel_knows_its_commit_and_has_every_file(tmp_path: Path) -> None:
    """Whoever installs by pip gets the scripts, presets, pages and licences; `version --json` tells the commit."""
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    [path] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        tracked = subprocess.run(
            ["git", "ls-files", "leadenrich"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        if tracked.returncode:
            pytest.skip("no git checkout: the commit cannot be known")
        assert not {name for name in tracked.stdout.split() if (ROOT / name).exists()} - names
        commit = json.loads(wheel.read("leadenrich/build.json"))["commit"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?", commit)
    assert head.stdout.startswith(commit[:12])
