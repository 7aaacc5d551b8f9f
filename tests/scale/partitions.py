"""The queue split over a Cluster, played through: which partition and which master gets how much, what a claim costs.

On paper only: the product has one queue. Partition p of P has the keys `le:{<queue.name>:<p>}:`, so that each lies in a
slot of its own; a location belongs to one partition, since one lane, one row a contact and one pause are asked of it.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

EVEN: Final = 1.05  # the fullest master may have so much of the mean
Looks: TypeAlias = Literal["all", "marked"]


def zipf(locations: int, exponent: float) -> list[float]:
    """Each location's share of the leads, the busiest first; exponent 0: all alike."""
    weights = [rank**-exponent for rank in range(1, locations + 1)]
    total = sum(weights)
    return [weight / total for weight in weights]


def partition_of(location: str, partitions: int) -> int:
    return int.from_bytes(hashlib.blake2b(location.encode(), digest_size=8).digest()) % partitions


def master_of(partition: int, masters: int) -> int:
    """Where its slot lies in a Cluster that shares them out in equal runs, as `redis-cli --cluster create` does."""
    slot = key_slot(f"le:{{lead-enrichment:{partition}}}:".encode())
    return slot * masters // REDIS_CLUSTER_HASH_SLOTS


@dataclass(frozen=True, slots=True)
class Spread:
    """Leads a second by partition, and who has which: `masters[p]` is the place of partition p."""

    partitions: tuple[float, ...]
    masters: tuple[int, ...]
    master_count: int

    def by_master(self) -> list[float]:
        loads = [0.0] * self.master_count
        for load, master in zip(self.partitions, self.masters, strict=True):
            loads[master] += load
        return loads

    @property
    def fullest_partition(self) -> float:
        """As a share of the mean."""
        return max(self.partitions) * len(self.partitions) / sum(self.partitions)

    @property
    def fullest_master(self) -> float:
        return max(self.by_master()) * self.master_count / sum(self.partitions)


def spread(loads: Sequence[float], partitions: int, masters: int) -> Spread:
    """`loads`: leads a second of each location."""
    of_partition = [0.0] * partitions
    for number, load in enumerate(loads):
        of_partition[partition_of(f"location-{number:05d}", partitions)] += load
    return Spread(tuple(of_partition), tuple(master_of(p, masters) for p in range(partitions)), masters)


def moved(before: Spread) -> tuple[Spread, int]:
    """Partitions go from the fullest master to the emptiest until all are even or no move helps; how many went."""
    places, moves = list(before.masters), 0
    while True:
        now = Spread(before.partitions, tuple(places), before.master_count)
        loads = now.by_master()
        full, empty = loads.index(max(loads)), loads.index(min(loads))
        gap = loads[full] - loads[empty]
        candidates = [p for p, place in enumerate(places) if place == full and before.partitions[p] < gap]
        if now.fullest_master <= EVEN or not candidates:
            return now, moves
        best = min(candidates, key=lambda p: abs(before.partitions[p] - gap / 2))
        places[best] = empty
        moves += 1


@dataclass(frozen=True, slots=True)
class Claiming:
    """Of one lead: calls that brought jobs, calls that found none, Redis' CPU in µs, and how long it waited."""

    calls: float
    empty: float
    redis_us: float
    wait_ms: float


def claiming(
    partitions: int, busy: float, looks: Looks, cost_us: tuple[float, float, float], *, leads: int = 2_000
) -> Claiming:
    """A worker of 50 slots, jobs of 1 s, `busy` of its slots in use on average; leads come at random to its partitions.

    `looks`: it asks all of them in turn for each free slot, or those alone whose marker came. A call takes a
    millisecond, and one is under way at a time. `cost_us`: a claim that finds none, its first job, each further one.
    """
    slots, job_s, call_s = 50, 1.0, 0.001
    times, places = random.Random(1), random.Random(2)
    none_us, first_us, more_us = cost_us
    waiting: list[deque[float]] = [deque() for _ in range(partitions)]
    ends: list[float] = []
    marked: deque[int] = deque()  # partitions whose marker came, the oldest first
    now, turn, free, calls, empty, us, waited, done = 0.0, 0, slots, 0, 0, 0.0, 0.0, 0
    coming = times.expovariate(busy * slots / job_s)
    asked = partitions  # how many are still to be asked; a lead or a free slot begins the round anew
    while done < leads:
        while coming <= now:
            place = places.randrange(partitions)
            if not waiting[place]:
                marked.append(place)
            waiting[place].append(coming)
            coming += times.expovariate(busy * slots / job_s)
            asked = 0
        while ends and ends[0] <= now:
            heapq.heappop(ends)
            free += 1
        if free and (marked if looks == "marked" else asked < partitions):
            place = marked[0] if looks == "marked" else turn % partitions
            turn, asked, now = turn + 1, asked + 1, now + call_s
            took = [waiting[place].popleft() for _ in range(min(free, len(waiting[place])))]
            if looks == "marked" and not waiting[place]:
                marked.popleft()
            elif looks == "marked":
                marked.rotate(-1)
            waited += sum(now - came for came in took)
            free, done = free - len(took), done + len(took)
            for _ in took:
                heapq.heappush(ends, now + job_s)
            calls, empty = calls + bool(took), empty + (not took)
            us += first_us + more_us * (len(took) - 1) if took else none_us
        else:
            now = min(coming, ends[0]) if ends else coming
    return Claiming(calls / done, empty / done, us / done, 1000 * waited / done)
