"""Random verbs on three queues at once: plain Python, the embedded Redis and a real one must agree after every step.

HYPOTHESIS_PROFILE=long runs 400 examples of up to 96 verbs.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, note, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from leads import lead
from queue_desk import Desk
from queue_model import KEEP, MAX_STALLED, WAITING, Job, Model
from redis_server import RedisServer

from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.core.errors import LostLease
from leadenrich.core.job import Claim, Lane, Reason
from leadenrich.core.lead import fingerprint
from leadenrich.store import queue as queue_module
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.errors import JobGone, WrongState
from leadenrich.store.queue import Queue
from leadenrich.store.schema import address_mark
from leadenrich.store.scripts import Script
from leadenrich.store.switches import Switches

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
PROFILE = settings(
    max_examples=400 if LONG else 35,
    stateful_step_count=8 if LONG else 6,
    phases=tuple(Phase) if LONG else (Phase.generate,),  # to make a failure small takes minutes
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=not LONG,  # the same run for everybody; the long one looks elsewhere every time
    database=None,
)
CONTACTS = {"c0": "loc1", "c1": "loc1", "c2": "loc2"}
WORKERS = ("w1", "w2")
STREETS = ("", "1 First St", "2 Second St")
KINDS = (
    "create",
    "create",
    "create",
    "workflow",
    "import",
    "update",
    "update",
    "update",
    "tags",
    "opportunity",
    "delete",
)
TAGS = {None: None, (): "", ("enrich", "vip"): "enrich"}
KEYS_AND_LIFE = {  # after the queue's prefix: type, and whether it must have a time to live
    r"wait:(live|bulk|suspect)": ("list", False),
    r"sched|lease|wake|done|dead": ("zset", False),
    r"counts|meta|workers|history": ("hash", False),
    r"ev": ("stream", False),
    r"dedup:.+": ("string", True),
    r"seen:.+": ("hash", True),
    r"job:.+": ("hash", False),
    r"tl:.+": ("string", False),
    r"load:.+": ("string", None),  # as the job lives
    r"step:.+": ("hash", None),
}
# All at once: after each verb both stores are read whole, and a call for each key of each would take most of the run.
LOOK = """
local read = { hash = { "HGETALL" }, list = { "LRANGE", 0, -1 }, zset = { "ZRANGE", 0, -1, "WITHSCORES" },
  string = { "GET" }, stream = { "XLEN" } }
local names, told = redis.call("KEYS", "*"), {}
table.sort(names)
for i, name in ipairs(names) do
  local kind = redis.call("TYPE", name).ok
  local command, first, last, more = unpack(read[kind])
  local value
  if more then value = redis.call(command, name, first, last, more)
  elseif last then value = redis.call(command, name, first, last)
  else value = redis.call(command, name) end
  told[i] = { name, kind, redis.call("PTTL", name), value }
end
return told
"""
# A run that never met one of these would prove nothing about it; the rare ones are for the long run.
SITUATIONS = {
    "queued", "duplicate", "contact never seen", "no address", "no new trigger tag", "contact deleted", "claimed",
    "alone", "paused", "complete", "complete before the next", "bury", "retry", "release", "throttle", "reclaimed",
    "late", "cancel: ok", "cancel: WrongState", "cancel: JobGone", "revive: ok", "revive: WrongState",
    "revive: JobGone",
}  # fmt: skip
RARE = {
    "older than what is known of this contact", "address unchanged", "drain", "condemned", "bury before the next",
    "retry before the next", "release before the next",
}  # fmt: skip
TIMES = {"created", "started", "begun", "finished", "next", "throttled"}
BURST = 12  # verbs a step
Answer = TypeVar("Answer")


VERBS: list[tuple[str, dict[str, Sequence[Any]]]] = []
Method = TypeVar("Method", bound=Callable[..., None])


def verb(weight: int, **arguments: Sequence[Any]) -> Callable[[Method], Method]:
    """A method that is one of the random verbs, taken `weight` times as often as one of weight 1."""

    def enter(method: Method) -> Method:
        VERBS.extend([(method.__name__, arguments)] * weight)
        return method

    return enter


class Store:
    """One of the two stores, and the queue of each worker's present boot."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.desks: dict[str, Desk] = {}

    def boot(self, worker: str, number: int) -> None:
        queue = Queue(
            self.connection,
            QueueSettings(lease=3600.0, keep_succeeded=KEEP, keep_failed=KEEP, max_stalled=MAX_STALLED),
            worker=worker,
            trigger_tags=("enrich",),
        )
        queue.owner = f"{worker}/b{number}"
        self.desks[worker] = Desk(self.connection, queue)

    async def dump(self) -> dict[str, tuple[str, Any, bool]]:
        """Key -> type, what it holds, whether it has a time to live."""
        told = await self.connection.execute("EVAL", LOOK, 0)
        return {
            name.decode().partition("}:")[2]: (
                kind.decode(),
                dict(zip(value[::2], value[1::2], strict=True)) if kind == b"hash" else value,
                life >= 0,
            )
            for name, kind, life, value in told
        }


def comparable(key: str, value: Any) -> Any:
    """Without times: they differ between two stores."""
    if key.startswith("job:"):
        return {name: value[name] for name in value if name.decode() not in TIMES}
    if key.startswith("tl:"):
        return re.sub(rb'^(\["\w+"),\d+', rb"\1", value, flags=re.MULTILINE)
    if key.startswith("step:"):
        return {name: re.sub(rb"\d{9,}", b"T", text) for name, text in value.items()}
    if key.startswith("seen:"):
        return {name: text for name, text in value.items() if name != b"made"}
    if key == "workers":
        return {name: text for name, text in value.items() if not name.startswith(b"beat:")}
    if key == "meta":
        return {name: re.sub(rb"\d{9,}", b"T", text) for name, text in value.items()}
    if key == "sched":
        return {pair[0]: pair[1] == 1 for pair in scored(value)}
    return scored(value) if key in ("lease", "done", "dead") else value


def scored(value: Any) -> list[tuple[bytes, float]]:
    pairs = value if value and isinstance(value[0], list | tuple) else zip(value[::2], value[1::2], strict=True)
    return [(member, float(score)) for member, score in pairs]


class ThreeQueues(RuleBasedStateMachine):
    loop: asyncio.Runner
    stores: tuple[Store, Store]  # embedded, real
    clock: SimpleNamespace  # what stands for chance: `job`, `request`; `twice` sends every script twice

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.boots = 0
        self.ids: list[str] = []
        self.hands: dict[str, dict[str, tuple[Claim, Claim]]] = {}  # worker: its jobs, as each store gave them
        self.lost: list[tuple[str, tuple[Claim, Claim]]] = []
        self.parted: dict[str, int] = {}
        self.clock.twice = False

    # --- saying the same to both ---------------------------------------------------------------------------------

    def both(self, act: Callable[[Store, int], Awaitable[Answer]]) -> list[Answer]:
        async def told(store: Store, place: int) -> Answer | str:
            try:
                return await act(store, place)
            except (LostLease, JobGone, WrongState) as error:
                return type(error).__name__

        self.model.clock += 1
        self.clock.request = f"r{self.model.clock}"
        return [self.loop.run(_alone(told(store, place))) for place, store in enumerate(self.stores)]

    def agree(self, act: Callable[[Store, int], Awaitable[Any]]) -> Any:
        embedded, real = self.both(act)
        assert embedded == real
        return real

    def met(self, *situations: str) -> None:
        self.clock.met.update(situations)

    def after_endings(self) -> None:
        """The time of an ending is the step's number, so that both stores remove the same."""

        async def stamp(store: Store, _: int) -> None:
            for key in (store.desks["w1"].keys.done, store.desks["w1"].keys.dead):
                for job_id, score in scored(await store.connection.execute("ZRANGE", key, 0, -1, "WITHSCORES")):
                    if score > 1e9:
                        await store.connection.execute("ZADD", key, "XX", now, job_id)

        now = self.model.clock
        self.both(stamp)

    # --- rules ---------------------------------------------------------------------------------------------------

    @initialize()
    def open(self) -> None:
        self.both(lambda store, _: store.connection.execute("FLUSHALL"))
        for worker in WORKERS:
            self.new_boot(worker)
        self.both(lambda store, _: store.desks["w1"].queue.open())

    def new_boot(self, worker: str) -> None:
        self.boots += 1
        self.hands[worker] = {}
        for store in self.stores:
            store.boot(worker, self.boots)

    @verb(
        6,
        kind=KINDS,
        contact=["c0", "c0", "c0", "c1", "c2"],
        street=STREETS,
        key=[None, None, "k1", "k2"],
        tags=list(TAGS),
        at=[0, 0, 10, 20],
        bulk=(False, True),
        twice=(False, True),
    )
    def submit(
        self, kind: Any, contact: str, street: str, key: str | None, tags: Any, at: int, bulk: bool, twice: bool
    ) -> None:
        lane, location = Lane.BULK if bulk else Lane.LIVE, CONTACTS[contact]
        job_id = f"j{len(self.ids):04}"
        self.ids.append(job_id)
        self.clock.job, self.clock.twice = job_id, twice
        receipt = self.agree(
            lambda store, _: store.desks["w1"].submit(
                contact, street, kind=kind, lane=lane, key=key or "", tags=tags, event_ms=at, location_id=location
            )
        )
        job = Job(job_id, contact, location, lane.value, street)
        expected = self.model.submit(job, kind, key, TAGS[tags], at)
        self.after_endings()
        assert (receipt.verb, receipt.job_id or receipt.why) == expected
        self.met(receipt.verb if receipt.job_id else receipt.why)

    def may_claim(self, worker: str) -> bool:
        """A pool claims nothing while it runs a suspect."""
        return not any(claim.alone for claim, _ in self.hands[worker].values())

    @verb(5, worker=WORKERS, want=range(1, 5), twice=(False, True))
    def claim(self, worker: str, want: int, twice: bool) -> None:
        if not self.may_claim(worker):
            return
        # Sent twice it is the same claim only if the first answer gave something: else there was nothing to repeat.
        running = len(self.hands[worker])
        if not self.model.paused:  # the marker woke it, and is gone
            self.both(lambda store, _: store.connection.execute("ZPOPMIN", store.desks[worker].keys.wake))
        self.clock.twice = False
        grants = self.both(lambda store, _: store.desks[worker].grant(want, running=running))
        owner = self.stores[0].desks[worker].queue.owner
        jobs, hold = self.model.claim(worker, want, running, owner)
        self.met(hold or "claimed", *("alone" for job in jobs if job.alone))
        if twice and jobs:
            desks = [store.desks[worker] for store in self.stores]
            for desk in desks:
                desk.queue._unanswered = True  # so its next claim is the same
            again = [self.loop.run(desk.grant(want, running=running)) for desk in desks]
            assert [[claim.job_id for claim in grant.claims] for grant in again] == [[job.id for job in jobs]] * 2
            assert [grant.claims for grant in again] == [grant.claims for grant in grants]
        for grant in grants:
            assert grant.hold == hold
            assert [_told(claim) for claim in grant.claims] == [
                (
                    job.id, job.token, job.tries, job.stalls, job.alone, job.generation > 1 or job.stale,
                    job.street, job.unknown,
                )
                for job in jobs
            ]  # fmt: skip
        for first, second in zip(grants[0].claims, grants[1].claims, strict=True):
            generation = int(first.token.rpartition(":")[2])
            assert generation > self.parted.get(first.job_id, 0)  # tokens only grow
            self.parted[first.job_id] = generation
            self.hands[worker][first.job_id] = (first, second)

    @verb(1, worker=WORKERS)
    def beat(self, worker: str) -> None:
        held = self.hands[worker]
        lost = self.agree(
            lambda store, place: store.desks[worker].queue.extend([claims[place] for claims in held.values()])
        )
        assert lost == set()
        for job_id in held:
            self.model.jobs[job_id].beats += 2 if self.clock.twice else 1

    def work(self, worker: str, pick: int, twice: bool) -> tuple[Job, tuple[Claim, Claim]] | None:
        if not self.hands[worker]:
            return None
        self.clock.twice = twice
        held = self.hands[worker]
        job_id = sorted(held)[pick % len(held)]
        return self.model.jobs[job_id], held[job_id]

    @verb(5, worker=WORKERS, pick=range(10), twice=(False, True),
          how=["complete", "complete", "bury", "retry", "release", "throttle"])  # fmt: skip
    def end(self, worker: str, pick: int, twice: bool, how: str) -> None:
        if not self.hands[worker]:
            worker = WORKERS[1 - WORKERS.index(worker)]
        if not (work := self.work(worker, pick, twice)):
            return
        job, claims = work
        verbs: dict[str, Callable[[Desk, Claim], Coroutine[Any, Any, Any]]] = {
            "complete": lambda desk, claim: desk.complete(claim),
            "bury": lambda desk, claim: desk.bury(claim, Reason.BAD_ADDRESS),
            "retry": lambda desk, claim: desk.retry(claim, 10_000.0),
            "release": lambda desk, claim: desk.release(claim),
            "throttle": lambda desk, claim: desk.release(claim, "throttled", 9_999_999_999_999),
        }
        answer = self.agree(lambda store, place: verbs[how](store.desks[worker], claims[place]))
        assert answer in (None, True)
        self.met(how, *([f"{how} before the next"] if len(self.model.rows[job.contact]) > 1 else []))
        match how:
            case "complete":
                self.model.complete(job)
            case "bury":
                self.model.bury(job, "bad_address")
            case "retry":
                self.model.retry(job)
            case _:
                self.model.release(job, later=how == "throttle")
        del self.hands[worker][job.id]
        self.after_endings()

    @verb(2, worker=WORKERS, pick=range(10), twice=(False, True))
    def step(self, worker: str, pick: int, twice: bool) -> None:
        """The intent of a purchase, and next time its result."""
        if not (work := self.work(worker, pick, twice)) or work[0].step == "done":
            return
        job, claims = work
        if job.step == "open" and job.step_token == job.token:
            self.model.record(job)
            record = self.both(
                lambda store, place: store.desks[worker].queue.checkpoint(
                    claims[place], "lookup", result=b"x", credits=1
                )
            )
        else:
            self.model.intend(job)
            record = self.both(
                lambda store, place: store.desks[worker].queue.checkpoint(claims[place], "lookup", paid=True)
            )
        assert [one.unknown for one in record] == [job.unknown] * 2

    def leave(self, worker: str) -> None:
        """The process is gone: its jobs stay at work in the store, and nobody beats for them."""
        self.lost += [(worker, claims) for claims in self.hands[worker].values()]
        self.new_boot(worker)

    @verb(1, worker=WORKERS, taken_over=(False, True))
    def crash(self, worker: str, taken_over: bool) -> None:
        """A restart under the same name takes over at once, or does not come."""
        self.clock.twice = False
        if not taken_over:
            self.leave(worker)
            return
        self.leave(worker)
        mine = [job for job in self.at_work() if job.token.startswith(f"{worker}/")]
        order = sorted(mine, key=lambda job: (job.generation * 1_000_000 + job.beats, job.id))
        words = self.agree(lambda store, _: store.desks[worker].queue.takeover())
        assert words == {job.id: self.model.reclaim(job) for job in order}
        self.after_endings()

    def at_work(self) -> list[Job]:
        return [job for job in self.model.jobs.values() if job.state == "PROCESSING"]

    @verb(3, pick=range(10), twice=(False, True), moved=(False, False, True))
    def reclaim(self, pick: int, twice: bool, moved: bool) -> None:
        """A watcher takes a job, be its owner dead or only slow; one whose beat moved stays where it is."""
        if not (jobs := self.at_work()):
            return
        self.clock.twice = twice
        jobs = [job for job in jobs if job.alone] or jobs  # who dies alone is what has consequences
        job = jobs[pick % len(jobs)]
        beat = float(job.generation * 1_000_000 + job.beats)
        if moved:
            assert self.agree(lambda store, _: store.desks["w1"].queue.reclaim(job.id, beat - 1)) == "alive"
            return
        word = self.agree(lambda store, _: store.desks["w1"].queue.reclaim(job.id, beat))
        for worker in WORKERS:
            if job.id in self.hands[worker]:
                self.lost.append((worker, self.hands[worker].pop(job.id)))
        assert word == self.model.reclaim(job)
        self.met(word)
        self.after_endings()

    @verb(1, pick=range(100), how=["complete", "bury", "retry", "release", "step"])
    def late(self, pick: int, how: str) -> None:
        """Whoever lost his lease changes nothing."""
        if not self.lost:
            return
        worker, claims = self.lost[pick % len(self.lost)]
        if self.model.jobs.get(claims[0].job_id, Job("", "", "", "", "")).token == claims[0].token:
            return  # crashed, but not taken back yet: to the store it is still his
        verbs: dict[str, Callable[[Desk, Claim], Coroutine[Any, Any, Any]]] = {
            "complete": lambda desk, claim: desk.complete(claim),
            "bury": lambda desk, claim: desk.bury(claim),
            "retry": lambda desk, claim: desk.retry(claim),
            "release": lambda desk, claim: desk.release(claim),
            "step": lambda desk, claim: desk.queue.checkpoint(claim, "lookup", result=b"late"),
        }
        assert self.agree(lambda store, place: verbs[how](store.desks[worker], claims[place])) == "LostLease"
        self.met("late")
        assert claims[0].job_id in self.agree(lambda store, place: store.desks[worker].queue.extend([claims[place]]))

    @verb(3, pick=range(10))
    def time_passes(self, pick: int) -> None:
        if not self.model.sched:
            return
        job_id = sorted(self.model.sched)[pick % len(self.model.sched)]
        self.model.jobs[job_id].due = True
        self.both(lambda store, _: store.connection.execute("ZADD", store.desks["w1"].keys.sched, "XX", 1, job_id))

    @verb(3, pick=range(100), twice=(False, True), again=(False, True))
    def operate(self, pick: int, twice: bool, again: bool) -> None:
        """An operator cancels or retries any job that ever was."""
        if not self.ids:
            return
        self.clock.twice = twice
        job_id = self.ids[pick % len(self.ids)]
        verb = "revive" if again else "cancel"
        word = self.agree(lambda store, _: getattr(store.desks["w1"].queue, verb)(job_id, by="ops"))
        expected = self.model.revive(job_id) if again else self.model.cancel(job_id)
        self.after_endings()
        assert (word or "ok") == expected
        self.met(f"{verb}: {expected}")

    @verb(3)
    def resume(self) -> None:
        """What is paused is so for a few verbs only: else most would find nothing to do."""
        if self.model.paused or self.model.away:
            self.pause_or_resume("" if self.model.paused else min(self.model.away))

    @verb(1, location=["", "loc1", "loc2"])
    def pause_or_resume(self, location: str) -> None:
        """The queue itself, or a location; its parked jobs go on at once when it is back. And Redis forgets scripts."""
        self.clock.twice = False
        self.both(lambda store, _: store.connection.execute("SCRIPT", "FLUSH"))

        async def switch(store: Store, _: int) -> None:
            switches = Switches(store.connection, store.desks["w1"].keys)
            if not location:
                await (switches.resume_queue() if self.model.paused else switches.pause_queue("ops"))
            elif location in self.model.away:
                await switches.resume_provider(f"ghl:{location}", why="ops")
                for job_id in freed:
                    await store.connection.execute("ZADD", store.desks["w1"].keys.sched, "XX", 1, job_id)
            else:
                await switches.pause_provider(f"ghl:{location}", "operator", "ops")

        freed = [job.id for job in self.model.jobs.values() if job.held and job.location == location]
        self.both(switch)
        if not location:
            self.model.paused = not self.model.paused
        elif location in self.model.away:
            self.model.away.remove(location)
            for job_id in freed:
                self.model.jobs[job_id].due = True
        else:
            self.model.away.add(location)

    @rule(seed=st.integers(0, 2**64 - 1))
    def a_few_verbs(self, seed: int) -> None:
        """Taken by chance and not drawn one by one: Hypothesis' own draws repeat themselves so much that in a short
        run hardly a job came to its end."""
        chance = Random(f"{seed} {self.model.clock}")
        for _ in range(BURST):
            name, choices = chance.choice(VERBS)
            arguments = {argument: chance.choice(values) for argument, values in choices.items()}
            note(f"    {name}(**{arguments})")
            getattr(self, name)(**arguments)
            self.all_three_hold_the_same()

    # --- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def all_three_hold_the_same(self) -> None:
        embedded, real = self.both(lambda store, _: store.dump())
        assert {key: (kind, comparable(key, value), life) for key, (kind, value, life) in embedded.items()} == {
            key: (kind, comparable(key, value), life) for key, (kind, value, life) in real.items()
        }
        self.check_lives(real)
        self.check_places(real)
        self.check_counts(real)
        self.check_contacts(real)
        self.check_marker(real)

    def check_lives(self, dump: dict[str, tuple[str, Any, bool]]) -> None:
        """No key outside the table, and each bounded as it says."""
        for key, (kind, _, has_life) in dump.items():
            [(expected, mortal)] = [life for name, life in KEYS_AND_LIFE.items() if re.fullmatch(name, key)]
            assert kind == expected, key
            if key.startswith(("job:", "tl:", "load:", "step:")):
                job = self.model.jobs[key.partition(":")[2]]
                if mortal is None:
                    mortal = job.state not in (*WAITING, "PROCESSING")
            assert has_life == mortal, key

    def check_places(self, dump: dict[str, tuple[str, Any, bool]]) -> None:
        """Every job is in exactly one place, and the place fits its state."""

        def members(key: str) -> list[str]:
            _, value, _ = dump.get(key, ("", [], False))
            if key.startswith("wait:"):  # without what was cancelled there, which a claim passes over
                return [it for entry in value if "QUEUED" in hash_of(it := entry.decode()).values()]
            return [member.decode() for member, _ in scored(value)]

        def hash_of(job_id: str) -> dict[str, str]:
            fields = dump.get(f"job:{job_id}", ("", {}, False))[1]
            return {name.decode(): text.decode() for name, text in fields.items()}

        model = self.model
        assert (members("wait:live"), members("wait:bulk")) == (model.live, model.bulk)
        assert members("wait:suspect") == model.suspects
        assert set(members("sched")) == model.sched
        assert set(members("lease")) == {job.id for job in self.at_work()}
        for key, state in (("done", "SUCCEEDED"), ("dead", "FAILED_FINAL")):
            assert set(members(key)) == {job.id for job in model.jobs.values() if job.state == state}
            assert len(members(key)) <= KEEP
        places = ("wait:live", "wait:bulk", "wait:suspect", "sched", "lease", "done", "dead")
        assert sorted(job_id for key in places for job_id in members(key)) == sorted(model.jobs)
        for job in model.jobs.values():
            fields = {name.decode(): text.decode() for name, text in dump[f"job:{job.id}"][1].items()}
            shown = (
                fields["state"],
                int(fields.get("tries", 0)),
                int(fields.get("stalls", 0)),
                fields.get("token", ""),
            )
            assert shown == (job.state, job.tries, job.stalls, job.token)
            assert fields.get("reason", "") == job.reason
            assert ("suspect" in fields, "alone" in fields) == (job.suspect, job.alone)

    def check_counts(self, dump: dict[str, tuple[str, Any, bool]]) -> None:
        counts = {name.decode(): int(number) for name, number in dump.get("counts", ("", {}, False))[1].items()}
        for lane in ("live", "bulk"):
            for state in ("QUEUED", "PROCESSING", "RETRY_SCHEDULED", "SUCCEEDED", "FAILED_FINAL"):
                there = sum(job.lane == lane and job.state == state for job in self.model.jobs.values())
                assert counts.get(f"{lane}:{state}", 0) == there, (lane, state)
        assert counts.get("unknown_purchases", 0) == self.model.unknown_purchases
        assert counts.get("credits", 0) == self.model.credits

    def check_contacts(self, dump: dict[str, tuple[str, Any, bool]]) -> None:
        """One job a contact is at work, and what is known of it is what its events told."""
        busy = [job.contact for job in self.at_work()]
        assert len(busy) == len(set(busy))
        for contact, seen in self.model.seen.items():
            _, fields, _ = dump.get(f"seen:{CONTACTS[contact]}:{contact}", ("", {}, True))
            street = fields.get(b"fp")
            assert (street is None) == (seen.street is None)
            if street is not None and seen.street is not None:
                assert street.decode() == address_mark(fingerprint(lead(contact, street=seen.street).address))
            assert fields.get(b"job", b"").decode() == (seen.job or "")

    def check_marker(self, dump: dict[str, tuple[str, Any, bool]]) -> None:
        """Nothing waits unheard: whoever sleeps is woken."""
        if self.model.live or self.model.bulk:
            assert "wake" in dump


def _told(claim: Claim) -> tuple[Any, ...]:
    step = claim.steps.get("lookup")
    return (
        claim.job_id, claim.token, claim.attempt, claim.stalled_count, claim.alone, claim.rerun,
        claim.lead.address.line1, step.unknown if step else 0,
    )  # fmt: skip


async def _alone(awaitable: Awaitable[Answer]) -> Answer:
    return await awaitable


def test_three_queues_agree_on_everything(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(job="", request="", twice=False, met=Counter())
    once = Script.__call__

    async def call(script: Script, keys: Any, args: Any) -> Any:
        answer = await once(script, keys, args)
        if clock.twice and script.name != "claim":
            again = await once(script, keys, args)
            if script.name != "checkpoint":  # it tells the time
                assert again == answer, script.name
        return answer

    monkeypatch.setattr(Script, "__call__", call)
    monkeypatch.setattr(queue_module, "new_job_id", lambda now_ms: clock.job)
    monkeypatch.setattr(queue_module.secrets, "token_hex", lambda size: clock.request)
    with asyncio.Runner() as loop:
        contexts = [open_redis(RedisSettings(url=url)) for url in ("fakeredis://", redis_server.url)]
        stores = tuple(Store(loop.run(_alone(context.__aenter__()))) for context in contexts)
        machine = type("ThreeQueues", (ThreeQueues,), {"loop": loop, "stores": stores, "clock": clock})
        try:
            run_state_machine_as_test(machine, settings=PROFILE)
        finally:
            for context in contexts:
                loop.run(_alone(context.__aexit__(None, None, None)))
    expected = SITUATIONS | RARE if LONG else SITUATIONS
    assert clock.met.keys() >= expected, expected - clock.met.keys()
