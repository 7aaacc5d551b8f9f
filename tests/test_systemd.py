"""The units: hardened, well-formed, and of one mind with the settings."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from redis_server import RedisServer

from leadenrich.config import ServerSettings, WorkerSettings
from leadenrich.config.checks import UNIT_STOP_S
from leadenrich.web.server import HELD_ROW

FOLDER = Path(__file__).parents[1] / "systemd"
UNIT = FOLDER / "leadenrich.service"
WORKER = FOLDER / "leadenrich-worker@.service"
SOCKET = FOLDER / "leadenrich.socket"
analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(path: Path) -> dict[str, list[str]]:
    """Name → values, in order. A unit may repeat a name, which configparser would refuse."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


@analyze
@pytest.mark.parametrize("unit", [UNIT, WORKER], ids=lambda unit: unit.name)
def test_the_daemon_is_locked_in(unit: Path) -> None:
    """1.3 of 10; a bare unit has 9.6."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=13", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@analyze
def test_the_units_are_well_formed(tmp_path: Path) -> None:
    """Verified with a command that exists: nothing is installed in /opt where tests run."""
    command = "/opt/leadenrich/bin/leadenrich"
    for unit in (UNIT, WORKER):
        text = unit.read_text()
        assert command in text
        (tmp_path / unit.name).write_text(text.replace(command, shutil.which("true") or "/bin/true"))
    shutil.copy(SOCKET, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "leadenrich" not in done.stderr, done.stderr


def test_the_unit_keeps_the_contract() -> None:
    unit = settings(UNIT)
    assert unit["Type"] == ["notify"]
    assert unit["NotifyAccess"] == ["main"]
    assert unit["WatchdogSec"] == ["30"]
    assert unit["ExecStart"] == ["/opt/leadenrich/bin/leadenrich serve --config /etc/leadenrich/config.toml"]
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["RestartPreventExitStatus"] == ["78"]
    assert unit["StateDirectory"] == unit["RuntimeDirectory"] == ["leadenrich"]
    assert int(unit["LimitNOFILE"][0]) >= 4096


def test_a_worker_of_its_own_differs_by_what_makes_it_one() -> None:
    """Its own name and folder, one pace for all, no door: all else is the daemon's unit."""
    unit, worker = settings(UNIT), settings(WORKER)
    [command] = unit["ExecStart"]
    assert worker.pop("ExecStart") == [command.replace("serve", "serve --only worker")]
    assert set(worker.pop("Environment")) - set(unit["Environment"]) == {
        "LEADENRICH_WORKER__NAME=%H:%i",
        "LEADENRICH_WORKER__RATE_SCOPE=shared",
    }
    assert worker.pop("RuntimeDirectory") == ["leadenrich-worker-%i"]
    assert worker.pop("Description") == ["leadenrich: worker %i"]
    assert unit.keys() - worker.keys() == {
        "ExecStart", "Environment", "RuntimeDirectory", "Description", "StateDirectory", "StateDirectoryMode",
    }  # fmt: skip
    assert {name: unit[name] for name in worker} == worker


def test_the_socket_is_the_daemons_own_address_and_gives_up_on_one_that_cannot_start() -> None:
    """With a wrong configuration each webhook that waits would start the daemon again, for ever."""
    socket, server = settings(SOCKET), ServerSettings()
    assert socket["ListenStream"] == [f"{server.host}:{server.port}"]
    assert "Accept" not in socket
    assert int(socket["Backlog"][0]) == HELD_ROW
    assert 0 < int(socket["TriggerLimitBurst"][0]) < int(socket["TriggerLimitIntervalSec"][0])
    assert SOCKET.stem == UNIT.stem, "else systemd would not hand it over"


def test_the_daemon_has_time_to_drain_before_systemd_kills_it() -> None:
    stop_s = int(settings(UNIT)["TimeoutStopSec"][0])
    assert stop_s == UNIT_STOP_S
    assert stop_s >= WorkerSettings().shutdown_grace + 10


def test_the_drop_in_takes_the_distributions_command_back_first() -> None:
    drop_in = FOLDER / "redis-server.service.d" / "leadenrich.conf"
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(drop_in)
    assert parser.sections() == ["Service"]
    taken_back, command = settings(drop_in)["ExecStart"]
    assert taken_back == ""
    assert "/etc/redis/redis-leadenrich.conf" in command


def test_redis_starts_with_our_file_and_keeps_every_write(tmp_path: Path) -> None:
    """The file as shipped, on top of a distribution's own that wants the opposite."""
    distribution = tmp_path / "redis.conf"
    distribution.write_text("save 900 1\nappendonly no\nappendfsync no\nmaxmemory-policy allkeys-lru\n")
    ours = (FOLDER / "redis-leadenrich.conf").read_text()
    assert "include /etc/redis/redis.conf\n" in ours
    path = tmp_path / "redis-leadenrich.conf"
    path.write_text(ours.replace("/etc/redis/redis.conf", str(distribution)))
    server = _WithFile(tmp_path, path)
    server.start()
    try:
        told = {name: server.ask(name) for name in ("appendonly", "appendfsync", "maxmemory-policy", "save")}
    finally:
        server.stop()
    assert told == {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": "3600 1"}


class _WithFile(RedisServer):
    """Started by a configuration file; only its place and port are ours."""

    def __init__(self, folder: Path, file: Path) -> None:
        super().__init__(folder)
        self.file = file

    def start(self) -> None:
        import redis_server

        command = [redis_server.binary(), str(self.file), "--port", str(self.port), "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.await_answer()

    def await_answer(self) -> None:
        import redis
        from redis.backoff import ConstantBackoff
        from redis.retry import Retry

        retry = Retry(ConstantBackoff(0.02), 500)
        self.client = redis.Redis(
            port=self.port, retry=retry, retry_on_error=[redis.ConnectionError, redis.BusyLoadingError]
        )
        self.client.ping()

    def ask(self, name: str) -> str:
        return str(self.client.config_get(name)[name])

    def stop(self) -> None:
        self.client.close()
        super().stop()
