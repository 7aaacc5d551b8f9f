"""A Debian 12 of its own, without Python and without a network: its files in a folder, its systemd in a container."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.debian import booted

from smoke.program import Broken

# What the package asks for, and a Redis; nothing of it brings Python.
PACKAGES = ("ca-certificates", "dbus", "procps", "redis-server", "systemd-sysv")
TOOLS = ("mmdebstrap", "nsenter", "ip")

# Runs in the container's network, with the Python outside: it has no program that speaks HTTP.
_CALL = """
import json, sys, urllib.error, urllib.request
method, url, body = sys.argv[1:]
headers = {"Content-Type": "application/json", "X-Webhook-Token": "demo"}
request = urllib.request.Request(url, body.encode() or None, headers, method=method)
try:
    answer = urllib.request.urlopen(request, timeout=30)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps([answer.status, answer.read().decode()]))
"""


def missing() -> str | None:
    """Why there can be none here."""
    if os.geteuid() != 0:
        return "only root can make a Debian of its own"
    if tools := [name for name in TOOLS if shutil.which(name) is None]:
        return f"not installed: {', '.join(tools)} (apt-get install mmdebstrap iproute2)"
    return None


def unpack(archive: Path, root: Path) -> None:
    """A fresh minimal Debian 12 at `root`, out of an archive that is fetched once.

    Raises: Broken, where there is Python in it.
    """
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        new = archive.with_suffix(".new.tar")
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            "bookworm",
            str(new),
        ]
        subprocess.run(command, timeout=540, check=True)
        new.rename(archive)
    root.mkdir()
    subprocess.run(["tar", "-C", str(root), "-xf", str(archive)], check=True)
    if python := [str(it) for it in root.glob("usr/**/*python*") if it.is_file() and os.access(it, os.X_OK)]:
        raise Broken(f"there is Python in it: {python}")


class Machine:
    """A copy of the base. `run` works in it as root; once it is booted, among its own processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._init = 0

    def run(self, *command: str, status: int | None = 0, within_s: float = 60.0) -> str:
        """What it printed. Raises: Broken, where it ended with another status; None takes any."""
        way = ["nsenter", f"--target={self._init}", "--all", "--root", "--wd"] if self._init else [
            "unshare", "--net", "--pid", "--fork", f"--mount-proc={self.root}/proc",
            "sh", "-c", 'ip link set lo up && exec chroot "$@"', "sh", str(self.root)
        ]  # fmt: skip
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            [*way, *command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=within_s, check=False,
        )  # fmt: skip
        if status is not None and done.returncode != status:
            raise Broken(f"`{' '.join(command)}` ended with {done.returncode}, not {status}:\n{done.stdout[-3000:]}")
        return done.stdout.strip()

    def copy(self, path: Path) -> str:
        """A file from outside; its name inside."""
        shutil.copy(path, self.root / "root" / path.name)
        return f"/root/{path.name}"

    @contextlib.contextmanager
    def booted(self) -> Iterator[None]:
        """Its systemd runs, and at the end it is shut down. Raises: CannotBoot."""
        with booted(self.root) as self._init:
            yield
        self._init = 0

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask what listens on its port 8080; status and JSON."""
        text = "" if body is None else json.dumps(body)
        way = ["nsenter", f"--target={self._init}", "--net", sys.executable, "-c", _CALL]
        done = subprocess.run(
            [*way, method, f"http://127.0.0.1:8080{path}", text],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise Broken(f"{method} {path}: {done.stderr[-500:]}")
        status, answer = json.loads(done.stdout)
        return status, json.loads(answer)


def until(fact: Any, what: str, *, within_s: float = 60.0) -> None:
    """Waits for a fact. Raises: Broken."""
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(Broken):
            if fact():
                return
        if time.monotonic() > deadline:
            raise Broken(f"did not come within {within_s:.0f} s: {what}")
        time.sleep(0.1)
