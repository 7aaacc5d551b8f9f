"""What a package is made from is well formed and of one mind with the rest; `make deb` tries what is built from it."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shutil
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from audit_report import pinned

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "packaging"
SCRIPTS = ("postinst", "prerm", "postrm")


def module(name: str) -> ModuleType:
    """A file of packaging/, which is no package of Python's."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def entries(lock: Path) -> set[str]:
    return set(re.findall(r"^[a-z0-9](?:.*\\\n)*.*$", lock.read_text("utf-8"), flags=re.MULTILINE))


def test_what_is_packed_is_what_was_tested() -> None:
    """The same versions and hashes as on a VM, and what packs them; every file by its hash, from no address."""
    lock = FOLDER / "requirements.lock"
    assert entries(ROOT / "requirements-runtime.lock") <= entries(lock)
    assert {"pyinstaller", "argparse-manpage"} <= pinned(lock.read_text("utf-8")).keys()
    assert not [entry.split()[0] for entry in entries(lock) if "--hash=sha256:" not in entry]
    assert "://" not in lock.read_text("utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_maintainer_script_is_small_stops_at_a_fault_and_can_be_read(name: str) -> None:
    text = module("build_deb")._filled(name, {"UNITS": "leadenrich.service leadenrich.socket"})
    assert text.startswith("#!/bin/sh\nset -e\n")
    assert len(text.splitlines()) <= 40
    read = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, timeout=20, check=False)
    assert (read.returncode, read.stderr) == (0, "")


def test_every_unit_of_the_package_is_there() -> None:
    assert all((ROOT / "systemd" / name).is_file() for name in module("build_deb").UNITS)


def test_nobody_is_named_whom_mail_would_reach() -> None:
    assert re.search(r"<[a-z]+@[a-z.]+\.invalid>$", module("build_deb").MAINTAINER)


def test_the_packages_configuration_waits_for_keys() -> None:
    """The example, but nothing in it that must be changed: secrets come from files beside it."""
    example = (ROOT / "config.example.toml").read_text("utf-8")
    text = module("build_deb").configuration(example)
    assert [line.removeprefix("#") for line in text.splitlines()] == [
        line.removeprefix("#") for line in example.splitlines()
    ]
    assert '#api_key = "CHANGE-ME"\n' in text
    settings = tomllib.loads(text)
    assert settings["realestateapi"] == {}
    assert "locations" not in settings["ghl"]


@pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump (binutils) is not installed")
def test_a_folder_that_needs_more_than_the_c_library_is_refused(tmp_path: Path) -> None:
    build_deb = module("build_deb")
    [library] = Path(str(importlib.util.find_spec("pycrfsuite").origin)).parent.glob("_pycrfsuite*.so")  # type: ignore[union-attr]
    shutil.copy(library, tmp_path)
    with pytest.raises(build_deb.Incomplete, match=r"needs libstdc\+\+"):
        build_deb.glibc_of(tmp_path)
    for needed in ("libstdc++.so.6", "libgcc_s.so.1"):
        (tmp_path / needed).touch()
    assert re.fullmatch(r"2\.\d+", build_deb.glibc_of(tmp_path))


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no Debian")
def test_a_library_of_nobodys_is_refused(tmp_path: Path) -> None:
    """Else the one file would hold something whose licence nobody can tell."""
    libraries = module("system_libraries")
    stray = tmp_path / "libstray.so"
    stray.touch()
    with pytest.raises(libraries.NotFromDebian, match="belongs to no Debian package"):
        libraries.licence_texts([("libstray.so", str(stray), "BINARY")], tmp_path / "licences")
    shell = Path(str(shutil.which("sh"))).resolve()
    [text] = libraries.licence_texts([("sh", str(shell), "BINARY")], tmp_path / "licences")
    assert re.fullmatch(r"(dash|bash)_[0-9].*\.txt", text.name)
    assert text.stat().st_size > 100


def hooked(monkeypatch: pytest.MonkeyPatch, where: tuple[str, ...], **paths: str | None) -> str | None:
    """SSL_CERT_FILE after the hook, where OpenSSL looks at `paths` and the system keeps its own at `where`."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(**paths))
    is_file = Path.is_file
    monkeypatch.setattr(
        Path, "is_file", lambda self: str(self) in where or (str(self)[:5] != "/etc/" and is_file(self))
    )
    runpy.run_path(str(FOLDER / "certificates_hook.py"))
    return os.environ.get("SSL_CERT_FILE")


def test_certificates_are_found_where_another_system_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    fedora = "/etc/pki/tls/certs/ca-bundle.crt"
    assert hooked(monkeypatch, (fedora,), cafile=None, capath=None) == fedora


def test_certificates_stay_where_openssl_finds_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fedora = "/etc/pki/tls/certs/ca-bundle.crt"
    assert hooked(monkeypatch, (fedora,), cafile="/somebody's/own.pem", capath=None) is None
    empty, filled = tmp_path / "empty", tmp_path / "filled"
    empty.mkdir()
    filled.mkdir()
    (filled / "one.pem").touch()
    assert hooked(monkeypatch, (fedora,), cafile=None, capath=str(filled)) is None
    assert hooked(monkeypatch, (fedora,), cafile=None, capath=str(empty)) == fedora


def test_the_one_files_child_hears_of_the_watchdog_that_means_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = str(FOLDER / "watchdog_hook.py")
    for pid, becomes in (
        (os.getppid(), os.getpid()),
        (os.getpid(), os.getpid()),
        (1, 1 if os.getppid() != 1 else os.getpid()),
    ):
        monkeypatch.setenv("WATCHDOG_PID", str(pid))
        runpy.run_path(hook)
        assert os.environ["WATCHDOG_PID"] == str(becomes)
    monkeypatch.delenv("WATCHDOG_PID")
    runpy.run_path(hook)
    assert "WATCHDOG_PID" not in os.environ


def test_the_smoke_tests_can_be_started() -> None:
    """They run when something is built; that they still fit the rest is seen here."""
    for name in ("smoke", "smoke.debian"):
        done = subprocess.run(
            [sys.executable, "-m", name, "--help"],
            cwd=ROOT / "tests",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
