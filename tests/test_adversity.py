"""The daemon's process, and the Redis under it, are killed, stopped, restarted: nothing is lost, nothing done twice."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from daemon_process import (
    ENDED,
    WEBHOOK_TOKEN,
    DaemonProcess,
    Job,
    events_of,
    look_ups,
    new_sandbox,
    people,
    process,
    settings_for,
    until,
    writes,
)
from redis_server import RedisServer, running

from leadenrich.config import RedisSettings
from leadenrich.sandbox.events import contact_event, signed_headers
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.connection import open_redis
from leadenrich.store.schema import Keys
from leadenrich.store.views import JobView, Views


class Hold:
    """A vendor that has done what was asked, and whose answer does not come while it is held."""

    def __init__(self) -> None:
        self.when: Callable[[web.Request], bool] = lambda request: False
        self.held = 0
        self._release = asyncio.Event()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if self.when(request):
            self.held += 1
            await self._release.wait()
        return answer

    def release(self) -> None:
        self.when = lambda request: False
        self._release.set()


@asynccontextmanager
async def scene(
    folder: Path, *redis_options: str, hold: Hold | None = None, **sections: Any
) -> AsyncIterator[tuple[DaemonProcess, Sandbox, RedisServer]]:
    """A Redis and a sandbox of their own, and a daemon that is not started yet."""
    (folder / "redis").mkdir()
    with running(folder / "redis", *redis_options) as redis:
        async with (
            new_sandbox(middlewares=[hold.middleware] if hold else []) as sandbox,
            process(sandbox, folder, settings_for(sandbox, redis.url, **sections)) as daemon,
        ):
            try:
                yield daemon, sandbox, redis
            finally:
                if hold:
                    hold.release()


async def kept(redis: RedisServer, ids: list[str]) -> list[JobView]:
    """The jobs as Redis has them while no daemon runs."""
    async with open_redis(RedisSettings(url=redis.url)) as connection:
        views = Views(connection, Keys("lead-enrichment"))
        found = [await views.job(job_id) for job_id in ids]
    assert None not in found, "a job is lost"
    return [job for job in found if job is not None]


def ended_well(jobs: list[Job]) -> None:
    assert Counter((job["state"], job["outcome"]) for job in jobs) == {("SUCCEEDED", "QUALIFIED"): len(jobs)}


# --- the daemon is killed -------------------------------------------------------------------------------------------


async def test_kills_lose_nothing_and_repeat_nothing_that_was_recorded(tmp_path: Path) -> None:
    """kill -9 twice among 30 leads: all end well, and only what was on its way is bought again."""
    async with scene(tmp_path) as (daemon, sandbox, redis):
        sandbox.faults.add(Fault("slow", seconds=0.08), times=None, match=Match(path="PropertyDetail"))
        contacts = people(sandbox, 30)
        await daemon.start()
        ids = [await daemon.tell(contact) for contact in contacts]
        numbers = {contact.contact_id: f"{100 + index}|MAPLE ST||62704" for index, contact in enumerate(contacts)}
        recorded: dict[str, int] = {}  # the address, and how often it had been asked when its answer was in Redis
        for milestone in (8, 16):
            await until(lambda goal=milestone: len(look_ups(sandbox)) >= goal, f"{milestone} look-ups")
            await daemon.kill()
            asked = Counter(call.address_key for call in look_ups(sandbox))
            for job in await kept(redis, ids):
                if any(step.name == "lookup" and step.ended_at for step in job.steps):
                    recorded.setdefault(numbers[job.contact_id], asked[numbers[job.contact_id]])
            await daemon.start()
        jobs = await daemon.ended(ids, within_s=30)
        ended_well(jobs)
        assert {job["attempts_made"] for job in jobs} == {1}
        # The second kill can hit a suspect that runs alone, and only that one is charged.
        assert sum(job["stalled_count"] for job in jobs) <= 1
        calls = Counter(call.address_key for call in look_ups(sandbox))
        assert len(recorded) >= 6
        assert {address: calls[address] for address in recorded} == recorded, "a recorded look-up was made again"
        assert sum(calls.values()) <= 30 + 2 * 5, "no more than what was in flight is bought again"
        assert {tuple(writes(sandbox, contact.contact_id)) for contact in contacts} == {("PUT", "POST /tags")}


CRASH_POINTS: dict[str, tuple[Callable[[web.Request], bool], dict[str, int]]] = {
    "the look-up": (lambda request: request.path == "/v2/PropertyDetail", {"look-ups": 2, "PUT": 1, "POST /tags": 1}),
    "the fields": (lambda request: request.method == "PUT", {"look-ups": 1, "PUT": 1, "POST /tags": 1}),
    "the tags": (lambda request: request.path.endswith("/tags"), {"look-ups": 1, "PUT": 1, "POST /tags": 1}),
}


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_a_kill_between_the_effect_and_its_answer(tmp_path: Path, point: str) -> None:
    """Writes are compared before they are repeated; a look-up whose answer is lost is asked again, and shown."""
    hold, (when, effects) = Hold(), CRASH_POINTS[point]
    async with scene(tmp_path, hold=hold) as (daemon, sandbox, _):
        hold.when = when
        [contact] = people(sandbox, 1)
        await daemon.start()
        job_id = await daemon.tell(contact)
        await until(lambda: hold.held, f"{point} done, the answer on its way")
        await daemon.kill()
        hold.release()
        await daemon.start()
        # At once: the look-up that the dead process had in flight keeps nobody waiting.
        jobs = await daemon.ended([job_id], within_s=8)
        ended_well(jobs)
        assert effects == {"look-ups": len(look_ups(sandbox)), **Counter(writes(sandbox, contact.contact_id))}
        unknown = {step["name"]: step.get("unknown", 0) for step in jobs[0]["steps"]}
        assert unknown["lookup"] == (1 if point == "the look-up" else 0)
        assert events_of(jobs[0]) == ["queued", "started", "stalled", "started", "completed"]
        assert (jobs[0]["attempts_made"], jobs[0]["stalled_count"]) == (1, 0)


async def test_a_poison_lead_is_put_aside_and_no_neighbour_is_charged(tmp_path: Path) -> None:
    """Whenever its look-up is under way the process dies. 20 healthy leads do not suffer."""
    async with scene(tmp_path) as (daemon, sandbox, _):
        sandbox.faults.add(Fault("hang"), times=None, match=Match(address="POISON"))
        sandbox.faults.add(Fault("slow", seconds=0.05), times=None, match=Match(path="PropertyDetail"))
        healthy = people(sandbox, 20)
        [poison] = people(sandbox, 1, start=20, street="Poison Ave")
        await daemon.start()
        told = [*healthy[:2], poison, *healthy[2:]]
        ids = {contact.contact_id: await daemon.tell(contact) for contact in told}
        runs = 0
        while True:
            await until(
                lambda done=runs: poisoned(sandbox) > done or all_ended(daemon, ids), "a poison run, or the end"
            )
            if poisoned(sandbox) == runs:
                break
            runs = poisoned(sandbox)
            assert runs <= 4, "it runs again and again"
            await daemon.kill()
            await daemon.start()
        jobs = {job["contact_id"]: job for job in await daemon.ended(ids.values())}
        bad = jobs.pop(poison.contact_id)
        assert (bad["state"], bad["reason"], bad["stalled_count"]) == ("FAILED_FINAL", "stalled", 2)
        ended_well(list(jobs.values()))
        assert {(job["attempts_made"], job["stalled_count"]) for job in jobs.values()} == {(1, 0)}
        assert runs <= 4


def poisoned(sandbox: Sandbox) -> int:
    return sum("POISON" in call.address_key for call in look_ups(sandbox))


async def all_ended(daemon: DaemonProcess, ids: dict[str, str]) -> bool:
    jobs = await daemon.jobs()
    return len(jobs) == len(ids) and all(job["state"] in ENDED for job in jobs.values())


# --- Redis is killed ------------------------------------------------------------------------------------------------


async def test_redis_goes_and_comes_back(tmp_path: Path) -> None:
    """Webhooks hear 429 meanwhile, the daemon stays alive, and what was bought in the dark is not bought again."""
    hold = Hold()
    async with scene(tmp_path, "--appendfsync", "always", hold=hold, queue={"lease": 1.0}) as (daemon, sandbox, redis):
        hold.when = lambda request: request.path == "/v2/PropertyDetail"
        early, late = people(sandbox, 2)
        await daemon.start()
        first = await daemon.tell(early)
        await until(lambda: hold.held, "a look-up under way")
        redis.kill()
        hold.release()  # the answer comes while Redis is away
        body = contact_event("ContactCreate", late)
        headers = signed_headers(body, sandbox.keys.sign)
        status, answer, answered = await daemon.post("/webhooks/ghl", body, headers)
        assert (status, answer["status"]) == (429, 429)
        assert int(answered["Retry-After"]) > 0
        assert (await daemon.get("/healthz"))[0] == 200
        unready = await until(lambda: ready(daemon, 503), "unready", within_s=12)
        assert "redis" in str(unready).lower()

        redis.start()
        await until(lambda: ready(daemon, 200), "ready again", within_s=15)
        status, answer = await daemon.hook(body)  # HighLevel sends it again
        assert status == 202
        jobs = await daemon.ended([first, answer["job_id"]], within_s=20)
        ended_well(jobs)
        assert set(sandbox.rea.paid.values()) == {1}
        assert {job["stalled_count"] for job in jobs} == {0}
        assert daemon.running


async def ready(daemon: DaemonProcess, wanted: int) -> Any:
    status, report = await daemon.get("/readyz")
    return report if status == wanted else None


# --- what cannot start says why -------------------------------------------------------------------------------------


async def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "volatile").mkdir()
    with socket.socket() as taken, running(tmp_path / "volatile", "--appendonly", "no") as volatile:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with scene(tmp_path) as (first, sandbox, redis):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                nobody = f"redis://127.0.0.1:{free.getsockname()[1]}/0"

            def other(name: str, url: str = redis.url, **sections: Any) -> DaemonProcess:
                sections.setdefault("worker", {"name": name})
                return DaemonProcess(sandbox, first.session, tmp_path / name, settings_for(sandbox, url, **sections))

            broken = other("broken")
            broken.configure('[queue]\nattemps = 3\nlease = 0.1\n[log]\nformat = "json"\n')
            await first.start()
            willing = other("willing", volatile.url, redis={"url": volatile.url, "allow_volatile": True})
            answers = await asyncio.gather(
                other("absent", nobody, redis={"url": nobody, "connect_timeout": 0.3}).refused(),
                other("forgetful", volatile.url).refused(),
                broken.refused(),
                other("crowded", server={"port": port}).refused(),
                other("twin", worker={"name": "worker-one"}).refused(),
            )
            texts = dict(zip(("absent", "forgetful", "broken", "crowded", "twin"), answers, strict=True))
            assert {name: status for name, (status, _) in texts.items()} == {
                "absent": 69, "forgetful": 69, "broken": 78, "crowded": 1, "twin": 1
            }  # fmt: skip
            assert nobody in texts["absent"][1]
            assert "append-only" in texts["forgetful"][1]
            assert "redis.allow_volatile" in texts["forgetful"][1]
            faults = texts["broken"][1].splitlines()
            assert any("queue.attemps" in fault and "attempts" in fault for fault in faults)
            assert any("queue.lease" in fault for fault in faults)
            assert str(port) in texts["crowded"][1]
            assert "worker-one" in texts["twin"][1]
            assert not any("Traceback" in text for _, text in answers)

            await willing.start()
            assert willing.said("redis_volatile")
            assert await willing.terminate() == 0
            assert first.running


# --- signals --------------------------------------------------------------------------------------------------------


async def test_sigterm_lets_what_is_in_flight_finish(tmp_path: Path) -> None:
    async with scene(tmp_path, worker={"concurrency": 3, "shutdown_grace": 10.0}) as (daemon, sandbox, redis):
        sandbox.faults.add(Fault("slow", seconds=0.3), times=None, match=Match(path="PropertyDetail"))
        await daemon.start()
        ids = [await daemon.tell(contact) for contact in people(sandbox, 5)]
        await until(lambda: len(look_ups(sandbox)) == 3, "three in flight")
        assert await daemon.terminate() == 0
        states = Counter(job.state for job in await kept(redis, ids))
        assert states == {"SUCCEEDED": 3, "QUEUED": 2}
        await daemon.start()
        jobs = await daemon.ended(ids)
        ended_well(jobs)
        assert {events_of(job).count("started") for job in jobs} == {1}


async def test_what_outlasts_the_grace_is_handed_back_uncounted(tmp_path: Path) -> None:
    async with scene(tmp_path, worker={"shutdown_grace": 0.2}) as (daemon, sandbox, redis):
        sandbox.faults.add(Fault("hang"), times=None, match=Match(path="PropertyDetail"))
        await daemon.start()
        ids = [await daemon.tell(contact) for contact in people(sandbox, 6)]
        await until(lambda: len(look_ups(sandbox)) == 5, "five in flight")
        assert await daemon.terminate() == 0
        for job in await kept(redis, ids):
            assert (job.state, job.attempts_made, job.stalled_count) == ("QUEUED", 0, 0)
        sandbox.faults.clear()
        await daemon.start()
        jobs = await daemon.ended(ids)
        ended_well(jobs)
        assert {(job["attempts_made"], job["stalled_count"]) for job in jobs} == {(1, 0)}
        assert "stalled" not in {event for job in jobs for event in events_of(job)}


async def test_a_second_sigterm_forces(tmp_path: Path) -> None:
    async with scene(tmp_path, worker={"shutdown_grace": 60.0}) as (daemon, sandbox, _):
        sandbox.faults.add(Fault("hang"), times=1, match=Match(path="PropertyDetail"))
        await daemon.start()
        job_id = await daemon.tell(people(sandbox, 1)[0])
        await until(lambda: look_ups(sandbox), "one in flight")
        daemon.signal(signal.SIGTERM)
        await until(lambda: daemon.said("draining"), "draining")
        daemon.signal(signal.SIGTERM)
        assert await daemon.exit_status(within_s=3) == 1
        assert daemon.said("forced")
        await daemon.start()
        [job] = await daemon.ended([job_id])
        ended_well([job])
        assert job["stalled_count"] == 0, "an operator's kill is no proof against the lead"


async def test_sighup_takes_a_good_configuration_and_refuses_a_bad_one(tmp_path: Path) -> None:
    async with scene(tmp_path) as (daemon, sandbox, redis):
        await daemon.start()
        good = daemon.path.read_text()

        async def accepted(token: str) -> int:
            headers = {"Content-Type": "application/json", "X-Webhook-Token": token}
            return (await daemon.post("/webhooks/ghl/workflow", b'{"contact_id": ""}', headers))[0]

        assert await accepted(WEBHOOK_TOKEN) == 422
        daemon.configure(good.replace("lease = 1.0", "lease = -1.0").replace(WEBHOOK_TOKEN, "the-new-token"))
        daemon.signal(signal.SIGHUP)
        await until(lambda: daemon.said("reload_refused"), "refused")
        assert "queue.lease" in str(daemon.said("reload_refused"))
        assert (await accepted(WEBHOOK_TOKEN), await accepted("the-new-token")) == (422, 401)

        daemon.configure(settings_for(sandbox, redis.url, ghl={"webhook_token": "the-new-token"}))
        daemon.signal(signal.SIGHUP)
        await until(lambda: daemon.said("reloaded"), "reloaded")
        assert (await accepted(WEBHOOK_TOKEN), await accepted("the-new-token")) == (401, 422)
        ended_well(await daemon.ended([await daemon.tell(people(sandbox, 1)[0])]))
