"""The very `leadenrich serve`, with one thing replaced: an enrichment that notes its start and is done.

    python -m bench.noop_daemon serve --config CONFIG --only worker

The environment says what it notes, see Notes: BENCH_NOTES is the file, BENCH_MODE the mode.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from leadenrich.cli import main
from leadenrich.core.job import Claim, Outcome
from leadenrich.core.retry import Complete
from leadenrich.daemon import worker_half
from leadenrich.daemon.vendors import Vendors
from leadenrich.worker.steps import JobSteps

DONE = Complete(Outcome.QUALIFIED)
NAP_S = 1_000.0  # mode `hang`
TURN_S = 0.001  # mode `turns`


class Noop:
    """The handler. Modes:

    first   once, at the first start: time and CPU time of this process until then
    starts  a line a start: contact and time
    paced   as `starts`, after the product's own pace
    turns   as `starts`, and the jobs end one a millisecond: however many slots there are, so often one comes free
    hang    as `starts`, and never ends
    """

    def __init__(self, vendors: Vendors, mode: str, notes: Path) -> None:
        self._vendors = vendors
        self._mode = mode
        self._notes = notes.open("a", buffering=1)
        self._began = 0
        self._next_end = 0.0

    async def run(self, claim: Claim, steps: JobSteps) -> Complete:
        if self._mode == "paced":
            for pace in self._vendors.rea._paces:
                await pace.take()
        now_ns = time.time_ns()
        self._began += 1
        if self._mode != "first":
            self._notes.write(f"{claim.contact_id} {now_ns}\n")
        elif self._began == 1:
            self._notes.write(json.dumps({"first_s": now_ns / 1e9, "cpu_s": time.process_time()}) + "\n")
        if self._mode == "hang":
            await asyncio.sleep(NAP_S)
        elif self._mode == "turns":
            self._next_end = max(self._next_end + TURN_S, time.monotonic())
            await asyncio.sleep(self._next_end - time.monotonic())
        return DONE

    async def leave_failed_mark(self, claim: Claim) -> None:
        return None


def replace_enrichment() -> None:
    """All else is the product's, the vendors' clients and their warm-up too."""
    open_vendors = vars(worker_half)["open_vendors"]
    mode, notes = os.environ["BENCH_MODE"], Path(os.environ["BENCH_NOTES"])

    def with_noop(*args: Any, **options: Any) -> Vendors:
        vendors: Vendors = open_vendors(*args, **options)
        noop: Any = Noop(vendors, mode, notes)
        return replace(vendors, pipeline=noop)

    vars(worker_half)["open_vendors"] = with_noop


if __name__ == "__main__":
    replace_enrichment()
    main()
