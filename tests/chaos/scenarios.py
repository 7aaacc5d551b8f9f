"""The scenarios of `make chaos`. Each builds its own stage, does its harm by seed, and counts."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter

from daemon_process import people, until

from chaos.costs import runs_of, succeeded, what_it_cost
from chaos.crash_points import POINTS, matrix
from chaos.cut_off import netns
from chaos.figures import Figure, Findings, at_least, at_most, exactly, machine, now, told
from chaos.harm import KILL_AFTER_S, Crew, keep_it_up, kill_while_it_works, sleep_in_a_job
from chaos.loris import slow_clients
from chaos.order import Order, findings
from chaos.peers import PEERS, Toll, kill_test, set_up, why_not
from chaos.restarts import restarts
from chaos.soak import soak
from chaos.stage import ALWAYS, Stage, stage
from chaos.storm import storm
from chaos.topologies import cluster_moves, sentinel

EFFECT_S = 0.05  # what a look-up and a write take once they had their effect


async def crash_matrix(order: Order) -> Findings:
    """T1: every crash point, over and over."""
    rounds, began, seen = (1 if order.quick else 10), time.monotonic(), []
    async with matrix(order.folder) as world:
        for _ in range(rounds):
            seen += [await world.crash(point) for point in POINTS]
    wrong, costs = [fact for one in seen for fact in one.wrong], {point.name: point.paid for point in POINTS}
    rows = [("point", "the process dies", "look-ups paid", "shown unknown", "writes", "READY to the end, at most")]
    for point in POINTS:
        mine = [one for one in seen if one.point == point.name]
        rows.append((
            point.name, point.told, _span(one.paid for one in mine), _span(one.unknown for one in mine),
            _span(one.written for one in mine), f"{max(one.again_s for one in mine):.2f} s",
        ))  # fmt: skip
    return Findings(
        "crash-matrix", "The crash matrix", order.seed, time.monotonic() - began,
        (
            told("crash points, kills", f"{len(POINTS)}, {len(seen)}"),
            exactly("leads not ended as if nothing had been", sum(bool(one.wrong) for one in seen), 0),
            exactly("look-ups beyond what the point may cost", sum(one.paid > costs[one.point] for one in seen), 0),
        ),
        tuple(rows), _joined(wrong), order.quick, now(), machine(),
    )  # fmt: skip


async def kills(order: Order) -> Findings:
    """The kill test of the peers: 600 jobs, 5 at a time, 20 kills."""
    jobs, times = (60, 4) if order.quick else (600, 20)
    began = time.monotonic()
    async with stage(order.folder, *ALWAYS, after_s=EFFECT_S, seed=order.seed, queue={"lease": 5.0}) as scene:
        daemon = scene.daemon()
        await daemon.start("--only", "web")
        await scene.deliver_all(people(scene.sandbox, jobs))
        await daemon.terminate()
        await daemon.start()
        in_flight = 0
        for _ in range(times):
            await kill_while_it_works(scene, daemon)
            in_flight += await scene.in_flight(daemon)
            cut = await scene.interrupted()
            await daemon.start()
        left = await scene.open_jobs()
        again_s = await scene.ended(cut, within_s=300)
        last_s = again_s + await scene.all_done(within_s=120)
        found = await scene.jobs()
        figures = (
            told("jobs, kills, at a time", f"{jobs}, {times}, 5"),
            *what_it_cost(scene, found),
            at_most("bought twice", scene.book.bought_again(), in_flight, because="jobs in flight at the kills"),
            told("worst runs of one job", max(runs_of(job) for job in found.values() if job)),
            at_most("last restart to the end of what was cut off", again_s, 20, unit=" s", because="lease + 15 s"),
            told("last restart to all done", f"{last_s:.1f} s, {left} jobs were left"),
        )
        mine = Toll(
            len(found) - succeeded(found), scene.written_twice(), scene.book.bought_again(),
            max(runs_of(job) for job in found.values() if job), last_s, left,
        )  # fmt: skip
    rows, note = await _beside(order, mine, jobs, times)
    return findings("kills", "The kill test beside the peers", order, began, figures, rows, note)


async def _beside(order: Order, mine: Toll, jobs: int, times: int) -> tuple[tuple[tuple[str, ...], ...], str]:
    """The peers' tolls under ours; none, and why, where they cannot be measured."""
    if order.quick or (why := why_not()):
        return (), "The peers were not put to it: " + ("a quick run." if order.quick else f"{why}.")
    tolls = {"leadenrich: lease 5 s, defaults": mine}
    for name in await asyncio.to_thread(set_up):
        tolls[PEERS[name]] = await kill_test(name, order.folder / name, jobs=jobs, kills=times, seed=order.seed)
    head = ("system", "never done", "written twice", "bought twice", "worst runs of one job",
            "jobs left at the last restart", "last restart to all done")  # fmt: skip
    rows = (
        (name, str(it.lost), str(it.written_twice), str(it.bought_twice), str(it.worst_runs), str(it.left),
         "never" if it.last_s is None else f"{it.last_s:.1f} s")
        for name, it in tolls.items()
    )  # fmt: skip
    return (head, *rows), ""


async def many_daemons(order: Order) -> Findings:
    """T2: 1,000 leads, 100 kills of 1 to 3 daemons, 20 kills of Redis."""
    leads, daemon_kills, redis_kills = (60, 8, 2) if order.quick else (1000, 100, 20)
    rng, began = random.Random(order.seed), time.monotonic()
    async with stage(order.folder, *ALWAYS, after_s=EFFECT_S, seed=order.seed, queue={"lease": 2.0}) as scene:
        fleet = [scene.daemon(f"worker-{number}") for number in range(1, 4)]
        await asyncio.gather(*(daemon.start() for daemon in fleet))
        contacts = people(scene.sandbox, leads)
        harm = ["daemon"] * daemon_kills + ["redis"] * redis_kills
        rng.shuffle(harm)
        share, waiting, in_flight = -(-leads // len(harm)), contacts[:], 0
        crew = Crew(fleet, rng)
        for what in harm:
            now_in, waiting = waiting[:share], waiting[share:]
            delivery = asyncio.create_task(scene.deliver_all(now_in))
            await asyncio.sleep(rng.uniform(*KILL_AFTER_S))
            if what == "redis":
                await scene.restart_redis()
            else:
                victim = await crew.victim()
                await scene.kill(victim)
                in_flight += await scene.in_flight(victim)
                crew.mend()
            await delivery
        ended, cut, left = time.monotonic(), await scene.interrupted(), await scene.open_jobs()
        await crew.all_up()
        await scene.ended(cut, within_s=300)
        again_s = time.monotonic() - ended
        await scene.all_done(within_s=180)
        last_s = time.monotonic() - ended
        found = await scene.jobs()
        unjustified = scene.book.unjustified(scene.kills, found.values())
        figures = (
            told("leads", leads),
            told("kills of a daemon, of Redis", f"{daemon_kills}, {redis_kills}"),
            told("daemons", "1 to 3, their own names"),
            told("answers 429 or none, sent again", scene.refusals),
            *what_it_cost(scene, found),
            exactly("unjustified look-ups", len(unjustified), 0),
            at_most("bought twice", scene.book.bought_again(), in_flight, because="jobs in flight at the kills"),
            told("worst runs of one job", max(runs_of(job) for job in found.values() if job)),
            at_most("last kill to the end of what was cut off", again_s, 17, unit=" s", because="lease + 15 s"),
            told("cut off and not ended at the last kill", len(cut)),
            told("last kill to all done", f"{last_s:.1f} s, {left} jobs were left"),
        )
    return findings("many-daemons", "Kills of daemons and of Redis at random", order, began, figures)


async def redis_always(order: Order) -> Findings:
    return await _redis_kills(order, "redis-always", "Kills of Redis under ingest, appendfsync always", strict=True)


async def redis_everysec(order: Order) -> Findings:
    return await _redis_kills(
        order, "redis-everysec", "Kills of Redis under ingest, appendfsync everysec", strict=False
    )


async def _redis_kills(order: Order, name: str, title: str, *, strict: bool) -> Findings:
    """T5."""
    times = 5 if order.quick else 50
    rng, began = random.Random(order.seed), time.monotonic()
    async with stage(order.folder, *(ALWAYS if strict else ()), seed=order.seed) as scene:
        daemon = scene.daemon()
        await daemon.start("--only", "web")
        over, count, back = asyncio.Event(), 0, []

        async def sender() -> None:
            nonlocal count
            while not over.is_set():
                count += 1
                [contact] = people(scene.sandbox, 1, start=count)
                await scene.deliver(contact)

        senders = [asyncio.create_task(sender()) for _ in range(16)]
        for _ in range(times):
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            await scene.restart_redis()
            back.append(await _taken_again(scene))
        over.set()
        await asyncio.gather(*senders)
        found = await scene.jobs()
        lost = sum(job is None for job in found.values())
        figures = (
            told("kills of Redis", times),
            told("leads acknowledged, sent again meanwhile", f"{len(found)}, {scene.refusals}"),
            exactly("acknowledged leads lost", lost, 0) if strict else told("acknowledged leads lost", lost),
            exactly("leads kept twice", len(found) - len(set(scene.accepted.values())), 0),
            at_most("Redis back to a lead taken", max(back), 5, unit=" s"),
            Figure("the daemon lived on", "yes" if daemon.running else "no", "yes", daemon.running),
        )
    return findings(name, title, order, began, figures)


async def _taken_again(scene: Stage) -> float:
    """Seconds until a lead is acknowledged."""
    began, before = time.monotonic(), len(scene.accepted)
    await until(lambda: len(scene.accepted) > before, "leads are taken again", within_s=15)
    return time.monotonic() - began


async def poison(order: Order) -> Findings:
    """T3: one lead whose look-up kills the process, among 50 healthy ones."""
    healthy_count, began = (10 if order.quick else 50), time.monotonic()
    async with stage(order.folder, *ALWAYS, after_s=EFFECT_S, seed=order.seed, queue={"lease": 5.0}) as scene:
        daemon = scene.daemon()
        struck = asyncio.Event()

        def strike(key: str) -> None:
            if "POISON" in key:
                daemon.signal(signal.SIGKILL)
                struck.set()

        scene.book.on_look_up = strike
        healthy = people(scene.sandbox, healthy_count)
        [bad] = people(scene.sandbox, 1, start=healthy_count, street="Poison Ave")
        await daemon.start("--only", "web")
        await scene.deliver_all([*healthy[:3], bad, *healthy[3:]], at_once=1)
        await daemon.terminate()
        first = time.monotonic()
        runs = await keep_it_up(scene, daemon, struck)
        seconds = time.monotonic() - first
        found = await scene.jobs()
        end = found.pop(bad.contact_id)
        charged = sum(job.stalled_count > 0 or job.attempts_made > 1 for job in found.values() if job)
        figures = (
            exactly("healthy leads done", succeeded(found), healthy_count),
            exactly("healthy leads charged", charged, 0),
            exactly("healthy leads written twice", scene.written_twice(), 0),
            at_most("runs of the poison", runs, 4),
            Figure("its end", f"{end and end.state} / {end and end.reason}", "FAILED_FINAL / stalled",
                   end is not None and end.reason == "stalled"),
            at_most("first start to all ended", seconds, 60, unit=" s"),
        )  # fmt: skip
    return findings("poison", "A lead that kills its process", order, began, figures)


async def stopped_owner(order: Order) -> Findings:
    """T4: one of two daemons is stopped for three leases, and then goes on where it was."""
    jobs, lease_s, began = (10 if order.quick else 50), 1.0, time.monotonic()
    async with stage(order.folder, *ALWAYS, after_s=0.2, seed=order.seed, queue={"lease": lease_s}) as scene:
        first, second = scene.daemon("worker-1"), scene.daemon("worker-2")
        await first.start()
        await second.start()
        stops, slept, contacts = (1 if order.quick else 5), 0, people(scene.sandbox, jobs)
        for turn in range(stops):
            await scene.deliver_all(contacts[turn::stops])
            slept += await sleep_in_a_job(scene, (first, second)[turn % 2], 3 * lease_s)
        await scene.all_done(within_s=60)
        found = await scene.jobs()
        completions = Counter(
            sum(entry["event"] == "completed" for entry in job.timeline) for job in found.values() if job
        )
        taken_over = sum(any(entry["event"] == "stalled" for entry in job.timeline) for job in found.values() if job)
        lost_leases = sum(len(it.said("lost_lease")) for it in (first, second))
        figures = (
            told("jobs, daemons, stops of three leases", f"{jobs}, 2, {stops}"),
            told("jobs in hand when it was stopped", slept),
            at_least("jobs taken over meanwhile", taken_over, 1),
            told("stale owners told in the log", lost_leases),
            exactly("stale completions accepted", jobs - completions[1], 0),
            *what_it_cost(scene, found),
            told("bought twice", scene.book.bought_again()),
        )
    return findings("stopped-owner", "An owner that sleeps through its lease", order, began, figures)


SCENARIOS = {
    "crash-matrix": crash_matrix,
    "kills": kills,
    "many-daemons": many_daemons,
    "redis-always": redis_always,
    "redis-everysec": redis_everysec,
    "poison": poison,
    "stopped-owner": stopped_owner,
    "netns": netns,
    "sentinel": sentinel,
    "cluster": cluster_moves,
    "storm": storm,
    "slow-clients": slow_clients,
    "restarts": restarts,
    "soak": soak,
}


def _span(values: object) -> str:
    found = sorted(set(values))  # type: ignore[call-overload]
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _joined(wrong: list[str]) -> str:
    return "; ".join(f"{fact} ({times} times)" for fact, times in Counter(wrong).items())
