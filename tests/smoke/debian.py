"""`make deb`: the package's whole life, and the one file, on a Debian 12 without Python and without a network."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.debian import CannotBoot

from smoke.machine import Machine, missing, unpack, until
from smoke.program import Broken

CONFIG = "/etc/leadenrich/config.toml"
LEAD = {
    "contact_id": "N6CF1HCeoXcgIEbT2Lp9", "address1": "742 Evergreen Ter", "city": "Springfield", "state": "IL",
    "postal_code": "62704",
}  # fmt: skip
# The unit as shipped, with the fake vendors in the place of the real ones: there is no way to those. A watchdog of two
# seconds ends a daemon soon that does not reach it.
SANDBOXED = """[Service]
ExecStart=
ExecStart=/opt/leadenrich/bin/leadenrich serve --sandbox --config /etc/leadenrich/config.toml
WatchdogSec=2
"""
UNITS = Path(__file__).parents[2] / "systemd"


class Life:
    """One machine, one package, step by step; each step says what it saw."""

    def __init__(self, machine: Machine, one_file: Path, package: Path, work: Path) -> None:
        self.machine = machine
        self.one_file = one_file
        self.package = package
        self.work = work

    def keeps_its_redis(self) -> None:
        """Debian's own, with the append-only file that the daemon insists on."""
        path = self.machine.root / "etc/redis/redis.conf"
        path.write_text(path.read_text().replace("appendonly no", "appendonly yes"))
        self.machine.run("systemctl", "restart", "redis-server")

    def runs_as_one_file(self) -> str:
        path = self.machine.copy(self.one_file)
        self.machine.run(path, "version")
        return self.machine.run(path, "demo", "--once").splitlines()[-1]

    def serves_as_one_file(self) -> str:
        """Laid down by hand, with the one line that docs/operations.md asks for."""
        root = self.machine.root
        for folder in ("opt/leadenrich/bin", "etc/leadenrich"):
            (root / folder).mkdir(parents=True)
        shutil.copy(self.one_file, root / "opt/leadenrich/bin/leadenrich")
        (root / "etc/leadenrich/config.toml").touch(0o644)
        for unit in ("leadenrich.service", "leadenrich.socket"):
            shutil.copy(UNITS / unit, root / "etc/systemd/system")
        told = self._lives(SANDBOXED + "NotifyAccess=all\n")
        self.machine.run("systemctl", "stop", "leadenrich.socket", "leadenrich.service")
        self._nothing_runs()
        for folder in ("opt/leadenrich", "etc/leadenrich", "etc/systemd/system/leadenrich.service.d"):
            shutil.rmtree(root / folder)
        for unit in ("leadenrich.service", "leadenrich.socket"):
            (root / "etc/systemd/system" / unit).unlink()
        self.machine.run("systemctl", "daemon-reload")
        return told

    def installs(self) -> str:
        """Nothing runs by itself: there is no key yet."""
        self.machine.run("dpkg", "--install", self.machine.copy(self.package))
        self._is("leadenrich.service", "is-enabled", "disabled")
        self._is("leadenrich.service", "is-active", "inactive")
        owner = self.machine.run("stat", "--format=%a %U:%G", CONFIG)
        if owner != "640 root:leadenrich":
            raise Broken(f"{CONFIG}: {owner}")
        self.machine.run("runuser", "-u", "nobody", "--", "leadenrich", "version")
        self.machine.run("leadenrich", "check", status=78)
        told = self.machine.run("systemd-analyze", "verify", "leadenrich.service", "leadenrich.socket")
        if told:
            raise Broken(told)
        return "no unit enabled or started, the configuration is for root and the daemon, the units are sound"

    def serves(self) -> str:
        self._configure("queue", 'name = "of-the-operator"')
        self.machine.run("systemctl", "enable", "leadenrich.socket", "leadenrich.service")
        return self._lives(SANDBOXED)

    def _lives(self, drop_in: str) -> str:
        """As the unit has it, locked in, with Debian's own Redis; READY and the pings come from the daemon."""
        path = self.machine.root / "etc/systemd/system/leadenrich.service.d/sandbox.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(drop_in)
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "start", "leadenrich.socket", "leadenrich.service")
        status, answer = self.machine.call("POST", "/webhooks/ghl/workflow", LEAD)
        if status != 202:
            raise Broken(f"{status} {answer}")
        job = f"/api/v1/jobs/{answer['job_id']}"
        until(lambda: self.machine.call("GET", job)[1]["state"] == "SUCCEEDED", "the job's end")
        self.machine.run("systemctl", "reload", "leadenrich.service")
        begun = self._shown("ActiveEnterTimestampMonotonic")
        until(lambda: int(self._shown("WatchdogTimestampMonotonic")) > int(begun) + 3_000_000, "the watchdog's pings")
        self._is("leadenrich.service", "is-active", "active")
        if self._shown("NRestarts") != "0":
            raise Broken("it was started more than once")
        self.machine.run("/opt/leadenrich/bin/leadenrich", "jobs", "show", answer["job_id"])
        return "socket and service start, a webhook's lead succeeds, it reloads, the watchdog hears it"

    def works_with_more_workers(self) -> str:
        """With a user of its own, it reads the configuration that only root and the daemon's group may."""
        self._configure("realestateapi", 'api_key = "no-key"')
        self._configure("ghl", "locations = [{ id = 've9EPM428h8vShlRW1KT', token = 'no-token' }]")
        self.machine.run("systemctl", "enable", "--now", "leadenrich-worker@1.service")
        self._is("leadenrich-worker@1.service", "is-active", "active")
        return "leadenrich-worker@1 runs beside it"

    def upgrades(self) -> str:
        """A newer package with another default file: the operator's stays, and the daemon runs the new one."""
        before = self._shown("MainPID")
        newer = self.machine.copy(self._newer())
        self.machine.run("dpkg", "--force-confdef", "--force-confold", "--install", newer)
        if "of-the-operator" not in self._file(CONFIG) or "# newer" not in self._file(f"{CONFIG}.dpkg-dist"):
            raise Broken("the operator's configuration did not stay")
        self._is("leadenrich.service", "is-active", "active")
        self._is("leadenrich.service", "is-enabled", "enabled")
        self._is("leadenrich-worker@1.service", "is-active", "active")
        if self._shown("MainPID") == before:
            raise Broken("the old daemon still runs")
        if (total := len(self.machine.call("GET", "/api/v1/jobs")[1]["jobs"])) != 1:
            raise Broken(f"{total} jobs, not the one from before")
        return (
            "the changed configuration stays, the new one lies beside it, the daemon was restarted and knows its jobs"
        )

    def is_removed(self) -> str:
        """The configuration stays for whoever comes back."""
        self.machine.run("dpkg", "--remove", "leadenrich")
        self._nothing_runs()
        self.machine.run("test", "-f", CONFIG)
        if (root := self.machine.root / "opt/leadenrich").exists():
            raise Broken(f"left: {sorted(map(str, root.rglob('*')))[:5]}")
        return "nothing runs, nothing is left in /opt, the configuration is kept"

    def keeps_leads_that_wait(self) -> str:
        spool = self.machine.root / "var/lib/private/leadenrich/spool"
        spool.write_bytes(b"leadenrich spool 1\n" + b"a webhook that nobody has worked on")
        told = self.machine.run("dpkg", "--purge", "leadenrich")
        if "spool" not in told or not spool.exists():
            raise Broken(f"a spool with leads is gone: {told}")
        return "purge keeps a spool with leads in it, and says so"

    def is_purged(self) -> str:
        self.machine.run("dpkg", "--install", self.machine.copy(self.package))
        self._is("leadenrich.service", "is-enabled", "disabled")
        spool = self.machine.root / "var/lib/private/leadenrich/spool"
        spool.write_bytes(b"leadenrich spool 1\n")
        credential = self.machine.root / "etc/leadenrich/credentials/realestateapi.api_key"
        credential.write_text("secret")
        self.machine.run("dpkg", "--purge", "leadenrich")
        ours = (
            "etc/leadenrich",
            "opt/leadenrich",
            "var/lib/leadenrich",
            "var/lib/private/leadenrich",
            "usr/bin/leadenrich",
        )
        left = [path for name in ours if os.path.lexists(path := self.machine.root / name)]
        left += (self.machine.root / "etc/systemd/system").glob("*.wants/leadenrich*")
        if left:
            raise Broken(f"left: {left}")
        told = self.machine.run("dpkg-query", "--list", "leadenrich", status=None)
        if "\nii" in told or "\nrc" in told:
            raise Broken(told)
        return "no file, no secret and no unit is left"

    STEPS: tuple[Callable[[Life], str], ...] = (
        serves_as_one_file, installs, serves, works_with_more_workers, upgrades, is_removed,
        keeps_leads_that_wait, is_purged,
    )  # fmt: skip

    def _is(self, unit: str, question: str, wanted: str) -> None:
        told = self.machine.run("systemctl", question, unit, status=None)
        if told != wanted:
            log = self.machine.run("journalctl", "--no-pager", "--lines=30", f"--unit={unit}", status=None)
            raise Broken(f"{unit} {question}: {told}, not {wanted}\n{log}")

    def _nothing_runs(self) -> None:
        if told := self.machine.run("pgrep", "--list-full", "--exact", "leadenrich", status=None):
            raise Broken(f"still runs: {told}")

    def _shown(self, name: str) -> str:
        return self.machine.run("systemctl", "show", "--value", f"--property={name}", "leadenrich.service")

    def _configure(self, section: str, line: str) -> None:
        path = self.machine.root / CONFIG[1:]
        path.write_text(path.read_text().replace(f"[{section}]\n", f"[{section}]\n{line}\n", 1))

    def _file(self, path: str) -> str:
        return (self.machine.root / path[1:]).read_text()

    def _newer(self) -> Path:
        """The same package with a higher version and another default file."""
        folder, path = self.work / "newer", self.work / "leadenrich_newer.deb"
        subprocess.run(["dpkg-deb", "--raw-extract", str(self.package), str(folder)], check=True)
        control, config = folder / "DEBIAN/control", folder / CONFIG[1:]
        control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 1:"))
        config.write_text(config.read_text() + "# newer\n")
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(folder), str(path)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return path


def main() -> int:
    """0 when every step went well, or where no Debian can be made: it says why."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("one_file", type=Path)
    parser.add_argument("package", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="the archive of the minimal Debian")
    args = parser.parse_args()
    if why := missing():
        print(f"skipped: {why}")
        return 0
    done = 0
    with tempfile.TemporaryDirectory(prefix="smoke-debian-") as folder:
        try:
            for step, told in _steps(args, Path(folder)):
                print(f"ok  {step}: {told}", flush=True)
                done += 1
        except CannotBoot as error:
            print(f"skipped, nothing can be booted here: {error}")
            return 0
        except Broken as error:
            print(f"FAILED  {error}")
    print(f"{done} passed, {len(Life.STEPS) + 1 - done} failed")
    return 0 if done == len(Life.STEPS) + 1 else 1


def _steps(args: argparse.Namespace, work: Path) -> Iterator[tuple[str, str]]:
    """Each step's name and what it saw. Raises: CannotBoot, Broken."""
    root = work / "root"
    unpack(args.base, root)
    machine = Machine(root)
    life = Life(machine, args.one_file, args.package, work)
    yield "runs_as_one_file", life.runs_as_one_file()
    with machine.booted():
        life.keeps_its_redis()
        for step in Life.STEPS:
            yield step.__name__, step(life)


if __name__ == "__main__":
    sys.exit(main())
