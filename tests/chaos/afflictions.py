"""What befalls a daemon that runs for long: one affliction after the other, none of which ends it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from daemon_process import ADMIN, DaemonProcess, until

from chaos.slow_clients import hold_all
from chaos.stage import Stage
from leadenrich.sandbox.events import signed_headers
from leadenrich.sandbox.faults import Fault, Match

Affliction = Callable[[Stage, DaemonProcess, float], Awaitable[None]]
Vendor = Literal["realestateapi", "ghl"]
VENDORS: Final[tuple[Vendor, ...]] = ("realestateapi", "ghl")

HOOK = b"POST /webhooks/ghl HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
MALFORMED: Final = (  # and the status that each gets
    (HOOK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", b"400"),
    (HOOK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", b"400"),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n", b"400"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 64, b"400"),
    (HOOK + b"Content-Length: 2\r\n\r\n{}", b"401"),
    (HOOK + b"Content-Length: 999999\r\n\r\n{}", b"413"),
    (HOOK.replace(b"application/json", b"text/html") + b"Content-Length: 2\r\n\r\n{}", b"415"),
)


async def _vendor(scene: Stage, seconds: float, *faults: Fault) -> None:
    """One of the two vendors fails, in one of the ways given."""
    fault, vendor = scene.rng.choice(faults), scene.rng.choice(VENDORS)
    scene.sandbox.faults.add(fault, times=None, match=Match(provider=vendor))
    await asyncio.sleep(seconds)
    scene.sandbox.faults.clear()


async def throttled(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    await _vendor(scene, seconds, Fault("throttle", retry_after=2), Fault("throttle", retry_after="date+3"))


async def broken(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    await _vendor(scene, seconds, Fault("server_error"), Fault("bad_gateway"), Fault("truncated"))


async def slow(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    await _vendor(scene, seconds, Fault("slow", seconds=1), Fault("slow", seconds=4))


async def dropped(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    await _vendor(scene, seconds, Fault("reset"), Fault("cut_off"), Fault("lost_answer"))


async def unauthorized(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    await _vendor(scene, seconds, Fault("unauthorized"))


async def redis_restarted(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    await scene.restart_redis()


async def redis_stopped(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    """It keeps its connections and answers nothing."""
    assert scene.redis.process is not None
    scene.redis.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(10)
    scene.redis.process.send_signal(signal.SIGCONT)


async def reloaded(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    """Good files and a bad one."""
    good = daemon.path.read_text()
    for file, event in ((good, "reloaded"), ("nonsense", "reload_refused"), (good, "reloaded"), (good, "reloaded")):
        daemon.configure(file)
        before = len(daemon.said(event))
        daemon.signal(signal.SIGHUP)
        await until(lambda event=event, before=before: len(daemon.said(event)) > before, event, within_s=10)
    await asyncio.sleep(seconds / 2)


async def duplicates(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    """The last 20 deliveries, 15 times each, at once."""
    copies = list(scene.told)[-20:] * 15
    scene.rng.shuffle(copies)

    async def again(body: bytes, job_id: str) -> None:
        status, answer, _ = await daemon.post("/webhooks/ghl", body, signed_headers(body, scene.sandbox.keys.sign))
        assert (status, answer.get("job_id")) == (200, job_id), (status, answer)

    await asyncio.gather(*(again(body, job_id) for _, body, job_id in copies))


async def malformed(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    for _ in range(20):
        for request, status in MALFORMED:
            reader, writer = await asyncio.open_connection("127.0.0.1", _port(daemon))
            writer.write(request)
            answer = await reader.read()
            assert answer.split(b" ", 2)[1] == status, (request[:60], answer[:60])
            writer.close()
        await asyncio.sleep(seconds / 20)


async def slow_clients(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    await hold_all(_port(daemon), 60)


async def looked_at(scene: Stage, daemon: DaemonProcess, seconds: float) -> None:
    """Somebody reads the lists and the live events, and leaves in the middle."""
    for _ in range(20):
        for path in ("/api/v1/stats", "/api/v1/jobs?limit=200", "/readyz", "/nowhere"):
            await daemon.get(path)
        task = asyncio.create_task(daemon.get("/api/v1/jobs?limit=200"))
        await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        headers = {"Authorization": f"Bearer {ADMIN}"}
        async with daemon.session.get(f"{daemon.url}/api/v1/events", headers=headers) as events:
            assert events.status == 200
            assert await events.content.readany()


AFFLICTIONS: Final[dict[str, Affliction]] = {
    "vendor: 429": throttled,
    "vendor: 5xx, half answers": broken,
    "vendor: slow": slow,
    "vendor: drops": dropped,
    "vendor: 401, then right": unauthorized,
    "Redis killed": redis_restarted,
    "Redis stopped 10 s": redis_stopped,
    "SIGHUP": reloaded,
    "duplicates": duplicates,
    "malformed requests": malformed,
    "slow clients": slow_clients,
    "lists read": looked_at,
}


def _port(daemon: DaemonProcess) -> int:
    return int(daemon.url.rpartition(":")[2])
