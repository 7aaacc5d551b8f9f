"""One location at HighLevel's limit of 100 calls in 10 s: what a fresh lead costs, and how many a second go through."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from bench.process import LOAD_CORE, Process, until
from bench.samples import OURS, Measure, Phase, Sample
from bench.server import PREFIX, a_redis
from bench.stage import Stage
from bench.vendors import GHL_PER_10S

LEADS, QUICK_LEADS = 200, 80
BURST: Final = 10  # leads that the window's first calls let through at once: no rate


def at_its_limit(stage: Stage) -> Sample:
    """The real enrichment; more leads wait than go through. Raises: RuntimeError, where a lead did not succeed."""
    leads = QUICK_LEADS if stage.quick else LEADS
    told = stage.new_folder() / "vendors.json"
    argv = [sys.executable, "-m", "bench.vendors", str(told), "--limited"]
    with Process(argv, told.parent, core=LOAD_CORE) as vendors, a_redis() as redis:
        until(told.exists, f"the fake vendors: {vendors.words()}")
        limited = replace(stage, vendors=json.loads(told.read_text()))
        stage.enqueue(redis, leads, form="house")
        with limited.daemon(redis, only="worker", ghl={"requests_per_10s": GHL_PER_10S}):
            redis.until_ended(leads)
        ends = [at / 1000 for _, at in redis.client.zrange(f"{PREFIX}done", 0, -1, withscores=True)]
        vendors.end()
        calls = json.loads(told.with_suffix(".calls").read_text())
    if len(ends) != leads:
        raise RuntimeError(f"{len(ends)} of {leads} leads succeeded")
    of_leads = [provider for provider, of_whom, _ in calls if of_whom]  # the rest is the start's
    return {
        "leads_per_s": (leads - BURST) / (ends[-1] - ends[BURST - 1]),
        "ghl_calls": of_leads.count("ghl") / leads,
        "rea_calls": of_leads.count("realestateapi") / leads,
        "answered_429": sum(status == 429 for _, _, status in calls),
    }


def _subjects(stage: Stage) -> Mapping[str, Measure]:
    return {OURS: partial(at_its_limit, stage)}


PHASES = (
    Phase(
        "location",
        "One location at HighLevel's limit of 100 calls in 10 s",
        {
            "leads_per_s": "leads/s",
            "ghl_calls": "calls of HighLevel a lead",
            "rea_calls": "calls of RealEstateAPI a lead",
            "answered_429": "calls answered 429",
        },
        _subjects,
        repetitions=1,
    ),
)
