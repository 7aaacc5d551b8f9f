"""Reading jobs and figures; who may."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from leadenrich.core.job import JobState, Lane
from leadenrich.store.views import JobQuery
from leadenrich.web.access import Brake, same_origin
from leadenrich.web.app import Limits
from leadenrich.web.problems import Refused

Web = Any
READS = ["/api/v1/jobs", "/api/v1/jobs/00job1", "/api/v1/stats"]
ADMIN = {"Authorization": "Bearer the-admin-token"}
VIEWER = {"Authorization": "bearer the-viewer-token"}
OPEN = {"admin_token": None, "viewer_token": None}


async def test_a_job_is_shown_as_it_is(web: Web) -> None:
    response, answer = await web.call("GET", "/api/v1/jobs/00job1", headers=VIEWER)
    assert response.status == 200
    assert (answer["id"], answer["state"], answer["outcome"], answer["reason"]) == (
        "00job1", "SUCCEEDED", "QUALIFIED", None
    )  # fmt: skip
    assert response.headers["Cache-Control"] == "no-store"


async def test_a_list_is_filtered(web: Web) -> None:
    path = "/api/v1/jobs?state=RETRY_SCHEDULED&lane=bulk&contact=c&location=l&q=main+st&limit=7&cursor=1.2"
    response, answer = await web.call("GET", path, headers=ADMIN)
    assert response.status == 200
    assert set(answer) == {"jobs", "next_cursor"}
    await web.call("GET", "/api/v1/jobs?state=&lane=&contact=&location=&q=&limit=&cursor=", headers=ADMIN)
    assert web.views.asked == [
        JobQuery(
            state=JobState.RETRY_SCHEDULED,
            lane=Lane.BULK,
            contact="c",
            location="l",
            q="main st",
            limit=7,
            cursor="1.2",
        ),
        JobQuery(),
    ]


@pytest.mark.parametrize(
    "query", ["state=queued", "state=DONE", "lane=fast", "limit=0", "limit=-1", "limit=x", "limit=٣", "cursor=nonsense"]
)
async def test_a_filter_that_means_nothing_is_refused(web: Web, query: str) -> None:
    response, answer = await web.call("GET", f"/api/v1/jobs?{query}", headers=ADMIN)
    assert (response.status, response.content_type) == (400, "application/problem+json")
    assert query.partition("=")[0] in answer["detail"]


@pytest.mark.parametrize("job_id", ["unknown", "%00", "a%2Fb", "x" * 500, "é"])
async def test_an_unknown_job_is_not_found(web: Web, job_id: str) -> None:
    response, _ = await web.call("GET", f"/api/v1/jobs/{job_id}", headers=ADMIN)
    assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_figures_keep_their_shape(web: Web) -> None:
    _, answer = await web.call("GET", "/api/v1/stats", headers=VIEWER)
    assert answer["lanes"]["live"] == {"QUEUED": 1234}
    assert answer["providers"]["realestateapi"]["credits_today"] == 7


async def test_without_redis_nothing_can_be_read(web: Web) -> None:
    web.views.away = True
    for path in READS:
        response, answer = await web.call("GET", path, headers=ADMIN)
        assert (response.status, answer["status"]) == (503, 503)
        assert response.headers["Retry-After"]


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic dGhlLWFkbWluLXRva2Vu"},
        {"Authorization": "the-admin-token"},
        {"Authorization": "Bearer thé-admin-token"},
        {"Cookie": "leadenrich_session=the-admin-token"},
        {"X-Webhook-Token": "the-admin-token"},
    ],
)
async def test_nobody_reads_without_a_token(web: Web, path: str, headers: dict[str, str]) -> None:
    response, answer = await web.call("GET", path, headers=headers)
    assert (response.status, response.content_type) == (401, "application/problem+json")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert "jobs" not in answer


@pytest.mark.parametrize("path", READS)
async def test_without_tokens_the_loopback_may_read(start_web: Any, path: str) -> None:
    async with start_web(server=OPEN) as web:
        assert (await web.call("GET", path))[0].status == 200
        assert (await web.call("GET", path, headers={"Host": "localhost:8080"}))[0].status == 200
        for stranger in ("leads.example.com", "127.0.0.1.example.com", "[", ""):
            response, answer = await web.call("GET", path, headers={"Host": stranger})
            assert response.status in (400, 403), stranger
            assert "jobs" not in answer


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "leads.example.com", ""])
async def test_without_tokens_a_wider_bind_answers_nobody(start_web: Any, host: str) -> None:
    async with start_web(server=OPEN | {"host": host}) as web:
        for path in [*READS, "/"]:
            response, answer = await web.call("GET", path)
            assert response.status == 403
            assert "server.admin_token" in (answer if path == "/" else answer["detail"])


async def test_failed_log_ins_wait_and_the_right_token_does_not() -> None:
    brake = Brake(delay_s=0.1, waiting_max=2)
    began = time.monotonic()
    first, second = asyncio.create_task(brake.failed()), asyncio.create_task(brake.failed())
    await asyncio.sleep(0)
    with pytest.raises(Refused) as refused:
        await brake.failed()
    assert refused.value.status == 429
    await asyncio.gather(first, second)
    assert time.monotonic() - began >= 0.2


async def test_the_right_token_passes_a_crowd_of_wrong_ones(start_web: Any) -> None:
    async with start_web(limits=Limits(log_in_s=3.0, drain_s=0.01, grace_s=0.1)) as web:
        await among_wrong_ones(web)


async def among_wrong_ones(web: Web) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    crowd = [asyncio.create_task(web.call("GET", "/api/v1/stats", headers=wrong)) for _ in range(20)]
    began = time.monotonic()
    assert (await web.call("GET", "/api/v1/stats", headers=ADMIN))[0].status == 200
    assert time.monotonic() - began < 2.0
    for failed in crowd:
        failed.cancel()
    statuses = await asyncio.gather(*crowd, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) or one[0].status in (401, 429) for one in statuses)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://h:1"}, False),
        ({"Origin": "http://h:1"}, True),
        ({"Origin": "http://h:2"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_forms_of_other_sites_are_told_apart(headers: dict[str, str], ours: bool) -> None:
    from aiohttp.test_utils import make_mocked_request

    assert same_origin(make_mocked_request("POST", "/login", headers={"Host": "h:1"} | headers)) is ours
