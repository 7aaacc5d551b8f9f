"""The same kill test for other queues, each in an environment of its own, on the same machine in the same hour."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from redis_server import RedisServer, running

from chaos.stage import ALWAYS

HERE = Path(__file__).parent
BENCH = HERE.parents[1] / ".." / "shared" / "bench" / "peers"
HOME = Path(os.environ.get("PEERS_HOME", Path(tempfile.gettempdir()) / "peers"))
NO_NEWS_S = 40.0  # nothing happened for so long: what is not done by now stays so
PEERS = {
    "arq": "arq: timeout 5 s, max_tries 5",
    "saq": "SAQ: timeout 5 s, default retries",
    "streaq": "streaq: idle_timeout 5 s, max_tries 3",
    "bullmq": "BullMQ: lock 5 s, check 2 s, stalled 1",
}


@dataclass(frozen=True, slots=True)
class Toll:
    """What 20 kills cost. `last_s` is from the last restart to all done, None when that never came."""

    lost: int
    written_twice: int
    bought_twice: int
    worst_runs: int
    last_s: float | None
    left: int


def why_not() -> str:
    """Why the peers cannot be measured here; "" when they can."""
    if not BENCH.is_dir():
        return "the peers' benchmark, which makes their environments, is not beside the project"
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    return ""


def set_up() -> list[str]:
    """Their environments, made by their own benchmark; the peers that are there."""
    if not all(_stands(peer) for peer in PEERS):
        environment = {**os.environ, "PEERS_HOME": str(HOME)}
        names = ",".join("bullmq-node" if peer == "bullmq" else peer for peer in PEERS)
        command = [sys.executable, str(BENCH / "run.py"), "--phases", "none", "--only", names]
        subprocess.run(command, env=environment, capture_output=True, timeout=600, check=False)
    return [peer for peer in PEERS if _stands(peer)]


def _stands(peer: str) -> bool:
    return (HOME / "node" / "node_modules" / "bullmq" if peer == "bullmq" else _python(peer)).exists()


def _python(peer: str) -> Path:
    return HOME / "venvs" / peer / "bin" / "python"


class Peer:
    """One peer's processes, and the book in which its jobs note what they did."""

    def __init__(self, name: str, folder: Path, redis: RedisServer, jobs: int) -> None:
        self.name, self.redis, self.jobs = name, redis, jobs
        self.book = folder / "book"
        self.book.touch()

    def _command(self, role: str) -> list[str]:
        program = [str(_python(self.name)), str(HERE / "peer_worker.py")]
        if self.name == "bullmq":
            program = ["node", str(HERE / "peer_worker.mjs")]
        return [*program, self.name, role, self.redis.url, str(self.book), str(self.jobs)]

    async def start(self, role: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command(role),
            env={**os.environ, "NODE_HOME": str(HOME / "node")},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    def notes(self) -> list[list[str]]:
        return [line.split() for line in self.book.read_text().splitlines() if line.count(" ") == 2]

    def count(self, what: str) -> Counter[str]:
        return Counter(number for word, number, _ in self.notes() if word == what)

    def works(self, pid: int) -> bool:
        return any(it == str(pid) for _, _, it in self.notes())


async def kill_test(name: str, folder: Path, *, jobs: int, kills: int, seed: int) -> Toll:
    """Jobs in, then kill -9 while it works, restarted at once; waits for the rest until nothing happens any more."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    with running(folder, *ALWAYS) as redis:
        peer = Peer(name, folder, redis, jobs)
        enqueuer = await peer.start("enqueue")
        assert await enqueuer.wait() == 0, f"{name} could not enqueue"
        worker = await peer.start("work")
        try:
            for _ in range(kills):
                await _begun(peer, worker)
                await asyncio.sleep(rng.uniform(0.05, 0.6))
                worker.kill()
                await worker.wait()
                worker = await peer.start("work")
            left = jobs - len(peer.count("ended"))
            last_s = await _all_done(peer)
        finally:
            worker.kill()
            await worker.wait()
        paid, written, ended = (peer.count(what) for what in ("paid", "written", "ended"))
        twice = written.total() - len(written), paid.total() - len(paid)
        return Toll(jobs - len(ended), *twice, max(paid.values()), last_s, left)


async def _begun(peer: Peer, worker: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + 90
    while not peer.works(worker.pid):
        assert worker.returncode is None, f"{peer.name} ended by itself"
        assert time.monotonic() < deadline, f"{peer.name} began nothing"
        await asyncio.sleep(0.02)


async def _all_done(peer: Peer) -> float | None:
    began = news = time.monotonic()
    size = 0
    while len(peer.count("ended")) < peer.jobs:
        if (now_size := peer.book.stat().st_size) != size:
            size, news = now_size, time.monotonic()
        elif time.monotonic() - news > NO_NEWS_S:
            return None
        await asyncio.sleep(0.1)
    return time.monotonic() - began
