"""The queue's verbs: leads in, claimed once, settled once, fenced always."""

from __future__ import annotations

import pytest
from leads import lead

from leadenrich.core.errors import LostLease
from leadenrich.core.job import Outcome, Reason
from leadenrich.core.retry import Bury, Complete, Failure, Release, RetryLater
from leadenrich.store.queue import Queue, Submission

DONE = Complete(Outcome.QUALIFIED)


async def submit(queue: Queue, *args: str, **more: object) -> tuple[str, str | None]:
    receipt = await queue.submit(Submission(lead(*args, **more)))
    return receipt.verb, receipt.job_id


async def test_a_lead_is_claimed_once_and_completed_once(queue: Queue) -> None:
    verb, job_id = await submit(queue)
    assert verb == "queued"
    grant = await queue.claim(5, running=0)
    [claim] = grant.claims
    assert (claim.job_id, claim.attempt, claim.rerun, claim.lead.address.city) == (job_id, 1, False, "Springfield")
    assert (await queue.claim(5, running=1)).claims == ()
    await queue.complete(claim, DONE)
    await queue.complete(claim, DONE)  # the same call, sent again after a lost answer
    with pytest.raises(LostLease):
        await queue.bury(claim, Bury(Reason.INTERNAL_ERROR, Failure("late")))


async def test_a_retry_is_claimed_when_it_is_due(queue: Queue) -> None:
    await submit(queue)
    [claim] = (await queue.claim(1, running=0)).claims
    await queue.retry_later(claim, RetryLater(0.05, Failure("502", "trace")))
    grant = await queue.claim(1, running=0)
    assert grant.claims == ()
    assert grant.next_s is not None
    assert grant.next_s <= 0.05
    while not (grant := await queue.claim(1, running=0)).claims:
        pass
    assert grant.claims[0].attempt == 2
    assert grant.claims[0].rerun


async def test_a_released_job_gets_its_try_back(queue: Queue) -> None:
    await submit(queue)
    [claim] = (await queue.claim(1, running=0)).claims
    assert await queue.release(claim, Release("shutdown", None, Failure("shutdown")))
    [again] = (await queue.claim(1, running=0)).claims
    assert again.attempt == 1
    assert again.token != claim.token
