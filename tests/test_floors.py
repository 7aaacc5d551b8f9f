"""Versions with known holes cannot come back: not by the project's bounds, the lock, or what is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import http_parser
from audit_report import faults, pinned
from packaging.requirements import Requirement
from packaging.version import Version

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = (ROOT / "requirements.lock").read_text("utf-8")
RUNTIME_LOCK: Final = (ROOT / "requirements-runtime.lock").read_text("utf-8")
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
BOUNDS: Final = {(need := Requirement(text)).name: need for text in PROJECT["project"]["dependencies"]}
BOUNDS_OF_TESTS: Final = {(need := Requirement(text)).name: need for text in PROJECT["dependency-groups"]["test"]}

FLOORS: Final = {
    "aiohttp": "3.14.4",  # CVE-2026-128131: concatenated gzip members cost quadratic time; and framing, scheme, memory
    "redis": "8.1",  # Pipeline.reset() leaked connections on cancel; blocking reads ended by the 5 s default
    "cryptography": "46",  # the wheels' OpenSSL is still maintained
    "msgspec": "0.20",  # Python 3.14
    "pynacl": "1.6.2",  # CVE-2025-69277: its libsodium took points outside the main subgroup for valid
    "python-backoff": "3",  # the maintained continuation
}
# What these bring along, and where a hole was closed.
BEHIND: Final = {
    "idna": "3.7",  # CVE-2024-3651: quadratic time on a crafted name
    "multidict": "6.0",
    "yarl": "1.9",
}


def entries_of(lock: str) -> list[str]:
    """Each package with its hashes; for which Python it is needed may differ between locks."""
    entries = re.findall(r"^[a-z0-9](?:.*\\\n)*.*$", lock, flags=re.MULTILINE)
    return [re.sub(r" ; .*(?= \\\n)", "", entry) for entry in entries]


@pytest.mark.parametrize("name", FLOORS)
def test_the_project_s_own_bound_keeps_the_floor(name: str) -> None:
    """Whoever installs without the lock gets no version below it either."""
    [bound] = [Version(spec.version) for spec in (BOUNDS_OF_TESTS | BOUNDS)[name].specifier if spec.operator == ">="]
    assert bound >= Version(FLOORS[name])


@pytest.mark.parametrize("name", [*FLOORS, *BEHIND])
def test_the_lock_and_what_is_installed_keep_the_floor(name: str) -> None:
    floor = Version((FLOORS | BEHIND)[name])
    assert Version(pinned(LOCK)[name]) >= floor
    assert Version(metadata.version(name)) >= floor


def test_everything_that_is_needed_is_locked_within_its_bounds() -> None:
    locked = pinned(LOCK)
    assert not [str(need) for need in BOUNDS.values() if not need.specifier.contains(locked[need.name])]


def test_what_is_installed_is_what_is_locked() -> None:
    """Else the tests prove another program than the one that is shipped."""
    installed = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in metadata.distributions()}
    other = {name: (version, installed[name]) for name, version in pinned(LOCK).items() if name in installed}
    assert len(other) > 30
    assert not {name: versions for name, versions in other.items() if versions[0] != versions[1]}


def test_every_locked_file_has_its_hash_and_no_address() -> None:
    entries = entries_of(LOCK)
    assert len(entries) > 40
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert "://" not in LOCK


def test_a_vm_gets_what_was_tested_and_nothing_that_tests() -> None:
    """The same versions and hashes, so that audit and floors hold for it too; and what builds the program."""
    assert set(entries_of(RUNTIME_LOCK)) <= set(entries_of(LOCK))
    there, extra = pinned(RUNTIME_LOCK), PROJECT["project"]["optional-dependencies"]["uvloop"]
    assert {*BOUNDS, *(Requirement(text).name for text in extra), "hatchling"} <= there.keys()
    tools = [Requirement(text).name for group in PROJECT["dependency-groups"].values() for text in group]
    assert set(tools) & there.keys() == {"hatchling"}
    for document in ("README.md", "docs/operations.md"):
        assert "-r requirements-runtime.lock\n" in (ROOT / document).read_text("utf-8")


def test_the_parser_in_c_is_loaded() -> None:
    """Smuggling by trailers (CVE-2025-53643) and by framing (PYSEC-2026-4371) are holes of the one in Python."""
    assert http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


def test_without_it_nothing_is_served() -> None:
    code = (
        "import asyncio; from aiohttp import web; from leadenrich.web.server import CannotListen, WebServer\n"
        "try: asyncio.run(WebServer(web.Application()).start())\n"
        "except CannotListen as error: print(error)"
    )
    environment = {**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert "C parser is not loaded" in done.stdout


# --- the audit -------------------------------------------------------------------------------------------------------


def report(**changes: Any) -> str:
    rows = [{"name": name, "version": version, "vulns": []} for name, version in pinned(LOCK).items()]
    return json.dumps({"dependencies": [{**row, **changes} if row["name"] == "aiohttp" else row for row in rows]})


def test_an_audit_of_every_pinned_package_without_a_hole_is_clean() -> None:
    assert faults(report(), LOCK) == []


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (report(skip_reason="Could not connect"), "aiohttp: was not looked up (Could not connect)"),
        (report(vulns=[{"id": "CVE-2026-128131"}]), f"aiohttp {pinned(LOCK)['aiohttp']}: CVE-2026-128131"),
        (report(name="another"), "aiohttp: is not in the report"),
        ("", "there is no report"),
        ("No known vulnerabilities found", "there is no report"),
        ('{"dependencies": null}', "there is no report"),
    ],
    ids=["skipped", "hole", "absent", "empty", "words", "null"],
)
def test_a_green_audit_that_looked_nothing_up_is_red(told: str, fault: str) -> None:
    assert faults(told, LOCK) == [fault]


def test_ruff_looks_for_what_bandit_looks_for() -> None:
    """`S` are bandit's rules; in the program itself none is switched off but that for `assert`."""
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == ["S101"]
    assert not [
        glob for glob, rules in lint["per-file-ignores"].items() if "S" in str(rules) and not glob.startswith("tests/")
    ]


def test_every_silenced_rule_of_security_says_why() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "leadenrich").rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"# noqa: .*\bS\d{3}", line) and not re.search(r"# noqa: [A-Z0-9, ]+\W+(\w+\W+){2}", line + " ")
    ]
    assert not bare
