"""A Debian of its own, made once and unpacked for each way: booted with its systemd, or entered without one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".venv" / "deploy"
# What a fresh VM has, and what the document installs: there is no network inside.
PACKAGES = "systemd-sysv,dbus,ca-certificates,procps,redis-server,python3-venv,curl"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/var/wheels", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SCRIPT = "/root/deploy.sh"


class CannotBoot(Exception):
    """No systemd comes up here; the message says what was seen."""


def lacks() -> str:
    """Why no Debian can be made here; "" where one can."""
    if os.geteuid() != 0:
        return "only root may make one"
    return "" if shutil.which("mmdebstrap") else "mmdebstrap is not installed"


def base() -> Path:
    """The archive of a fresh one. Fetched once."""
    archive = KEPT / "debian.tar"
    if not archive.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm"]
        subprocess.run([*command, str(archive.with_suffix(".new.tar"))], check=True)
        archive.with_suffix(".new.tar").rename(archive)
    return archive


def wheels() -> Path:
    """Every locked dependency of a VM, also those that only another Python than ours needs. Fetched once."""
    folder, lock = KEPT / "wheels", (ROOT / "requirements-runtime.lock").read_text("utf-8")
    mark = folder / "requirements.txt"
    wanted = re.sub(r" ;[^\\\n]*\\", r" \\", lock)
    if not (mark.exists() and mark.read_text("utf-8") == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (KEPT / "wanted.txt").write_text(wanted, "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--require-hashes", "--dest", str(folder), "--requirement", str(KEPT / "wanted.txt")]
        subprocess.run(command, check=True)
        (KEPT / "wanted.txt").rename(mark)
    return folder


@contextmanager
def unpacked(folder: Path, package: Path | None) -> Iterator[Path]:
    """A fresh one, with this checkout at /srv/leadenrich, the wheels, and the package if there is one."""
    root = folder / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", base()], check=True)
    shutil.copytree(wheels(), root / "var" / "wheels")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in files.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = root / "srv" / "leadenrich" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    if package is not None:
        shutil.copy(package, root / "srv")
    (root / "etc" / "resolv.conf").unlink(missing_ok=True)
    yield root


def run_booted(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Runs it as root under a systemd of its own. Raises: CannotBoot."""
    (root / _SCRIPT[1:]).write_text(script)
    with booted(root) as leader:
        return _run([*_enter(leader), "/bin/bash", _SCRIPT])


@contextmanager
def booted(root: Path, within_s: float = 60.0) -> Iterator[int]:
    """The process id of its systemd, once its start is over. Raises: CannotBoot."""
    if shutil.which("systemd-nspawn") is None:
        raise CannotBoot("systemd-nspawn is not installed (systemd-container)")
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"]
    command += ["--console=pipe", f"--directory={root}", "--boot"]
    log = root.parent / "boot.log"
    with log.open("wb") as told:
        nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=subprocess.STDOUT)
    try:
        leader, deadline = 0, time.monotonic() + within_s
        while not (leader and _is_up(leader)):
            if nspawn.poll() is not None or time.monotonic() > deadline:
                raise CannotBoot(log.read_text("utf-8", "replace")[-2000:])
            time.sleep(0.2)
            leader = leader or _child_of(nspawn.pid)
        yield leader
    finally:
        if nspawn.poll() is None:
            nspawn.send_signal(signal.SIGTERM)  # it shuts down what runs inside
            try:
                nspawn.wait(60)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.wait()


def _enter(leader: int) -> list[str]:
    return ["nsenter", "--target", str(leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root",
            "--wd=/root"]  # fmt: skip


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _is_up(leader: int) -> bool:
    command = [*_enter(leader), "systemctl", "is-system-running"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() in ("running", "degraded")


def run_entered(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Runs it as root of a container: processes, mounts and a loopback of its own, no systemd."""
    (root / _SCRIPT[1:]).write_text(script)
    prepare = (
        f"ip link set lo up && mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && "
        f"exec chroot {root} /bin/bash {_SCRIPT}"
    )
    return _run(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "/bin/bash", "-c", prepare])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = OFFLINE | {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=500, check=False,
    )  # fmt: skip
