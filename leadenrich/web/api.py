"""The reading half of the admin API: jobs and statistics, as the store shows them."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from aiohttp import web

from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.views import BadCursor, JobPage, JobQuery, JobView, Stats
from leadenrich.web.access import Access
from leadenrich.web.openapi import LOOKS, REFUSED_LOOK, Answer, operation
from leadenrich.web.ports import Views
from leadenrich.web.problems import Refused
from leadenrich.web.query import query_of

NO_SUCH_JOB: Final = "There is no such job; finished ones are kept for a while only."
NO_VERB: Final = r"(?!(?:retry|cancel)$)[^{}/]+"  # those two are paths of their own, which only take a POST
JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
ID_IN_PATH: Final[dict[str, Any]] = {
    "id": {"description": "A job's id.", "schema": {"type": "string"}, "example": "0mw3kq2v5x7c1a9d"}
}


class Api:
    """Handlers under /api/v1; each asks `access` first."""

    def __init__(self, views: Views, access: Access) -> None:
        self._views = views
        self._access = access

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/jobs", self.jobs),
            web.get("/api/v1/jobs/{id:" + NO_VERB + "}", self.job),
            web.get("/api/v1/stats", self.stats),
        ]

    @operation(
        summary="Lists jobs",
        description="By state (waiting, at work, to be retried, failed, succeeded), within a state the newest first. "
        "An answer looks at a bounded number of jobs, so it may hold fewer than `limit`, even none, and still have a "
        "next_cursor.",
        tag="jobs",
        security=LOOKS,
        query=JobQuery,
        answers={200: Answer("The jobs that fit.", (JobPage,))},
        refuses=REFUSED_LOOK | {400: "A parameter is unknown, or not what it must be."},
    )
    async def jobs(self, request: web.Request) -> web.Response:
        await self._access.role(request)
        query = query_of(request, JobQuery)
        try:
            return shown(await self._views.jobs(query))
        except BadCursor:
            raise Refused(400, "cursor must be a next_cursor of an earlier answer.") from None
        except StoreUnavailable:
            raise away() from None

    @operation(
        summary="Shows one job",
        tag="jobs",
        security=LOOKS,
        path=ID_IN_PATH,
        answers={200: Answer("The job.", (JobView,))},
        refuses=REFUSED_LOOK | {404: NO_SUCH_JOB},
    )
    async def job(self, request: web.Request) -> web.Response:
        role = await self._access.role(request)
        job_id = request.match_info["id"]
        try:
            job = await self._views.job(job_id) if JOB_ID.fullmatch(job_id) else None
        except StoreUnavailable:
            raise away() from None
        if job is None:
            raise Refused(404, NO_SUCH_JOB)
        return shown(job if role == "admin" else without_values(job))

    @operation(
        summary="Counts what waits, runs and ended",
        description="And tells how the vendors are doing.",
        tag="queue",
        security=LOOKS,
        answers={200: Answer("The figures of this moment.", (Stats,))},
        refuses=REFUSED_LOOK,
    )
    async def stats(self, request: web.Request) -> web.Response:
        await self._access.role(request)
        try:
            return shown(await self._views.stats())
        except StoreUnavailable:
            raise away() from None


def job_query(request: web.Request) -> JobQuery:
    """The filter of a page's list. Raises: Refused 400."""
    return query_of(request, JobQuery, strangers=True)  # addresses of pages carry what others put there


def shown(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def without_values(job: JobView) -> JobView:
    """For who may only look: which fields were written, and nothing of what a record says."""
    if job.written is None:
        return job
    names = msgspec.structs.replace(job.written, fields=dict.fromkeys(job.written.fields))
    return msgspec.structs.replace(job, written=names)


def away() -> Refused:
    return Refused(503, "Redis cannot be read now.", headers={"Retry-After": "5"})
