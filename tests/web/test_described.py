"""Requests made up from /openapi.json, all checks of schemathesis on: every answer is as described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from described.key import PUBLIC_PEM
from described.run import SEED, run
from store_office import office_store

from leadenrich.core.job import Lane

LOCATION = "ve9EPM428h8vShlRW1KT"
EXAMPLES = 3  # for each operation; `make described` asks for 200

PHASES = "coverage,fuzzing,stateful"  # the description's own examples are tried in test_openapi.py


async def test_every_answer_is_as_the_description_says(start_web: Any, tmp_path: Path) -> None:
    async with office_store() as (desk, operations, feed):
        for number in range(6):
            await desk.new(f"c{number}", lane=Lane.BULK if number % 2 else Lane.LIVE)
        done, failed, *_ = await desk.claim(3)
        await desk.complete(done)
        await desk.bury(failed)
        async with start_web(
            ghl={"public_keys": (PUBLIC_PEM,)}, intake=desk.queue, views=desk.views, operations=operations, feed=feed
        ) as web:
            told = await run(
                web.server.url, tmp_path, location=LOCATION, admin="the-admin-token", webhook="shared-secret-goes-here",
                examples=EXAMPLES, seed=SEED, phases=PHASES, silence_s=0.2,
            )  # fmt: skip
            failures = [answer for answer in web.answers if answer[1] >= 500]
    assert told.passed, told.text
    assert told.cases > 300
    assert not failures
