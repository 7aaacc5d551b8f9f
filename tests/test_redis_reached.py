"""The whole daemon on a Redis as people run it: over TLS, with a certificate of ours, over a socket."""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Authority, Certificate
from daemon_process import inside, new_sandbox, people, settings_for
from redis_server import RedisServer, binary, free_port

from leadenrich.config import RedisSettings
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.connection import open_redis
from leadenrich.store.errors import StoreDenied


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with new_sandbox() as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Guarded:
    """A Redis that speaks TLS on two ports, as `localhost` and as another host; the second asks for our certificate."""

    ours: Authority
    client: Certificate
    port: int
    as_another: int
    for_known: int

    def url(self, port: int, **options: Path) -> str:
        query = "&".join(f"ssl_{name}={path}" for name, path in options.items())
        return f"rediss://localhost:{port}/0?{query}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if not speaks_tls(binary()):
        pytest.skip("this redis-server was built without TLS")
    folder = tmp_path_factory.mktemp("guarded")
    ours = Authority(folder / "ours")
    right, wrong = ours.issue("localhost", "localhost", "127.0.0.1"), ours.issue("redis.example.com")
    servers, ports = [], []
    try:
        for number, (shown, asks) in enumerate(((right, "no"), (wrong, "no"), (right, "yes"))):
            (folder / str(number)).mkdir()
            ports.append(free_port())
            server = RedisServer(
                folder / str(number), "--tls-port", str(ports[-1]), "--tls-cert-file", str(shown.certificate),
                "--tls-key-file", str(shown.key), "--tls-ca-cert-file", str(ours.certificate),
                "--tls-auth-clients", asks,
            )  # fmt: skip
            server.start()
            servers.append(server)
        yield Guarded(ours, ours.issue("client"), *ports)
    finally:
        for server in servers:
            server.stop()


def speaks_tls(server: str) -> bool:
    """One built without TLS does not know the word; one with it does not find the folder."""
    told = subprocess.run(
        [server, "--port", "0", "--tls-port", "0", "--dir", "/nowhere"], capture_output=True, text=True
    )
    return "Bad directive" not in told.stdout + told.stderr


async def goes_through(sandbox: Sandbox, folder: Path, url: str) -> None:
    """A lead comes in and ends, and the daemon goes its way down."""
    async with inside(sandbox, folder, settings_for(sandbox, url)) as daemon:
        [contact] = people(sandbox, 1)
        [job] = await daemon.ended([await daemon.tell(contact)])
        assert job["state"] == "SUCCEEDED"
        assert (await daemon.get("/readyz"))[0] == 200


async def test_a_lead_goes_through_over_tls(guarded: Guarded, sandbox: Sandbox, tmp_path: Path) -> None:
    await goes_through(sandbox, tmp_path, guarded.url(guarded.port, ca_certs=guarded.ours.certificate))


async def test_and_where_redis_asks_who_we_are(guarded: Guarded, sandbox: Sandbox, tmp_path: Path) -> None:
    mine = {"certfile": guarded.client.certificate, "keyfile": guarded.client.key}
    await goes_through(sandbox, tmp_path, guarded.url(guarded.for_known, ca_certs=guarded.ours.certificate, **mine))


async def test_a_certificate_that_proves_nothing_is_refused_at_once_with_the_way_out(
    guarded: Guarded, tmp_path: Path
) -> None:
    strange, ca = Authority(tmp_path / "strange", "Somebody else's CA"), guarded.ours.certificate
    cases = {
        guarded.url(guarded.port, ca_certs=strange.certificate): "name the CA that signed Redis' certificate",
        guarded.url(guarded.as_another, ca_certs=ca): "name the host in redis.url as Redis' certificate names it",
        guarded.url(guarded.for_known, ca_certs=ca): "Redis asks who we are",
        guarded.url(guarded.port, ca_certs=tmp_path / "nobody.pem"): "cannot be read",
    }
    for url, words in cases.items():
        began = time.monotonic()
        with pytest.raises(StoreDenied, match=words):
            async with open_redis(RedisSettings(url=url, connect_timeout=30.0)):
                pass
        assert time.monotonic() - began < 5


async def test_a_lead_goes_through_over_a_socket(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    path = tmp_path / "redis" / "redis.sock"
    server = RedisServer(tmp_path / "redis", "--unixsocket", str(path), "--requirepass", "of-the-socket")
    server.start()
    try:
        await goes_through(sandbox, tmp_path, f"unix://:of-the-socket@{path}?db=3")
    finally:
        server.stop()
