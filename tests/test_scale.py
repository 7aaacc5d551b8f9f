"""Beyond one Redis: the page is what the script says, and the script's reckoning holds what must hold."""

from __future__ import annotations

import pytest
from scale.bill import Bill, Kind, Part
from scale.model import DAY_S, LIVES_DAYS, MEMORY_FULL, QUEUE_KEPT, Lead, Need, Queue, limits
from scale.page import PAGE, queue_now, read, written
from scale.partitions import claiming, moved, partition_of, spread, zipf

COST_US = (30.0, 80.0, 12.0)


def a_lead(**more: float) -> Lead:
    part = Part(commands=10, reads=1, to_redis=500, from_redis=100, disk=1_000, redis_us=100, daemon_us=3_000)
    bill = Bill(
        on="2026-11-24", machine="", versions={}, taken_in=part, worked_off=part, one_by_one=part,
        kinds={"job": Kind(1, 400), "contact": Kind(1, 300), "record": Kind(0.5, 3_000)},
        calls={"realestateapi POST /x": 1, "ghl PUT /x": 1, "ghl POST /x": 1},
        wire={"ghl": {"sent": 3_000, "got": 3_000}, "realestateapi": {"sent": 500, "got": 8_000}},
        claim_us={"none": 30, "one": 80, "fifty": 700}, moved_per_s=50_000,
    )  # fmt: skip
    return Lead(bill, Queue("", 1_000, 40, 50, 35, more.get("door_us")))


def test_the_page_is_what_the_script_writes() -> None:
    """`make scale` after a change of either."""
    page = PAGE.read_text("utf-8")
    assert written(page, read()) == page


def test_the_figures_of_performance_json_can_be_taken() -> None:
    queue = queue_now()
    assert queue.waiting_bytes > 0
    assert queue.noop_daemon_us > 0


# --- the model --------------------------------------------------------------------------------------------------------


def test_memory_is_what_comes_in_a_kinds_life() -> None:
    lead = a_lead()
    assert lead.kept(2, "contact") == (2 * 180 * DAY_S, 2 * 180 * DAY_S * 300)
    assert lead.kept(2, "record") == (7 * DAY_S, 7 * DAY_S * 3_000)
    assert lead.kept(2, "job") == lead.kept(9, "job") == (QUEUE_KEPT, QUEUE_KEPT * 400)
    assert lead.kept(2, "timeline") == (0, 0)
    assert lead.memory(2) == sum(lead.kept(2, kind)[1] for kind in LIVES_DAYS)


def test_limits_are_where_the_needs_reach_them() -> None:
    lead = a_lead(door_us=100)
    found = {it.what: it.per_s for it in limits(lead)}
    assert list(found.values()) == sorted(found.values())
    assert Need(found["one Redis, by its core"], lead).redis_cores == pytest.approx(0.6)
    assert Need(found["a worker process, by its core"], lead).worker_cores == pytest.approx(0.6)
    assert Need(found["a web process, by its core"], lead).web_cores == pytest.approx(0.6)
    assert Need(found["one HighLevel location, all day"], lead).locations == 1
    assert Need(found["one RealEstateAPI key, all day"], lead).keys == (1, 1)
    rate = found["one Redis of 16 GB, by what it remembers"]
    assert (lead.memory(rate) - lead.memory(0)) / MEMORY_FULL == pytest.approx(16e9)


def test_what_is_not_measured_yet_is_taken_from_the_profile() -> None:
    assert a_lead().door_us == 126.0
    assert a_lead(door_us=90.0).door_us == 90.0


# --- partitions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.0, 1.1])
def test_no_lead_is_lost_between_locations_partitions_and_masters(exponent: float) -> None:
    loads = [1_000 * share for share in zipf(500, exponent)]
    assert sum(loads) == pytest.approx(1_000)
    assert loads == sorted(loads, reverse=True)
    before = spread(loads, 64, 4)
    after, moves = moved(before)
    for it in (before, after):
        assert (sum(it.partitions), sum(it.by_master())) == pytest.approx((1_000, 1_000))
    assert after.partitions == before.partitions
    assert sum(a != b for a, b in zip(before.masters, after.masters, strict=True)) <= moves
    assert after.fullest_master <= before.fullest_master


def test_a_busy_location_is_what_no_move_can_mend() -> None:
    alone = spread([900.0] + [1.0] * 100, 64, 4)
    assert moved(alone)[0].fullest_master >= 4 * 900 / 1_000
    assert alone.fullest_partition >= 64 * 900 / 1_000


def test_a_location_stays_where_it_is() -> None:
    assert [partition_of(f"location-{number:05d}", 64) for number in range(4)] == [33, 51, 53, 14]


def test_whoever_follows_the_markers_asks_for_nothing_in_vain() -> None:
    marked = [claiming(partitions, 0.1, "marked", COST_US, leads=500) for partitions in (1, 16)]
    assert [it.empty for it in marked] == [0, 0]
    assert all(it.redis_us <= COST_US[1] for it in marked)
    blind = [claiming(partitions, 0.1, "all", COST_US, leads=500) for partitions in (1, 16)]
    assert blind[0] == marked[0], "of one partition there is only one way"
    assert blind[1].empty > 5
    assert blind[1].redis_us > 2 * marked[1].redis_us


def test_a_busy_worker_takes_several_at_once() -> None:
    it = claiming(1, 0.9, "all", COST_US, leads=1_000)
    assert it.calls < 1
    assert it.wait_ms > claiming(1, 0.1, "all", COST_US, leads=500).wait_ms
