"""The reading half of the admin API: jobs and statistics, as the store shows them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from leadenrich.core.job import JobState, Lane
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.views import BadCursor, JobQuery
from leadenrich.web.access import Access
from leadenrich.web.payload import clean
from leadenrich.web.ports import Views
from leadenrich.web.problems import Refused

LIMIT_DEFAULT: Final = 50

JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

Choice = TypeVar("Choice", bound=StrEnum)


class Api:
    """Handlers under /api/v1; each asks `access` first."""

    def __init__(self, views: Views, access: Access) -> None:
        self._views = views
        self._access = access

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/jobs", self.jobs),
            web.get("/api/v1/jobs/{id}", self.job),
            web.get("/api/v1/stats", self.stats),
        ]

    async def jobs(self, request: web.Request) -> web.Response:
        await self._access.role(request)
        query = job_query(request)
        try:
            return _shown(await self._views.jobs(query))
        except BadCursor:
            raise Refused(400, "cursor must be a next_cursor of an earlier answer.") from None
        except StoreUnavailable:
            raise _away() from None

    async def job(self, request: web.Request) -> web.Response:
        await self._access.role(request)
        job_id = request.match_info["id"]
        try:
            job = await self._views.job(job_id) if JOB_ID.fullmatch(job_id) else None
        except StoreUnavailable:
            raise _away() from None
        if job is None:
            raise Refused(404, "There is no such job; finished ones are kept for a while only.")
        return _shown(job)

    async def stats(self, request: web.Request) -> web.Response:
        await self._access.role(request)
        try:
            return _shown(await self._views.stats())
        except StoreUnavailable:
            raise _away() from None


def job_query(request: web.Request) -> JobQuery:
    """The filter of a list; an empty value is no filter. Raises: Refused 400."""
    told = {name: clean(request.query.get(name)) for name in ("state", "lane", "contact", "location", "q", "cursor")}
    return JobQuery(
        state=_choice(JobState, "state", told["state"]),
        lane=_choice(Lane, "lane", told["lane"]),
        contact=told["contact"] or None,
        location=told["location"] or None,
        q=told["q"] or None,
        limit=_limit(request.query.get("limit", "")),
        cursor=told["cursor"] or None,
    )


def _choice(kind: type[Choice], name: str, told: str) -> Choice | None:
    if not told:
        return None
    try:
        return kind(told)
    except ValueError:
        raise Refused(400, f"{name} must be one of {', '.join(kind)}.") from None


def _limit(told: str) -> int:
    """More than the store gives at once is no mistake: the page is shorter, and its cursor goes on."""
    if not told:
        return LIMIT_DEFAULT
    if not (told.isascii() and told.isdigit() and len(told) <= 6 and int(told) >= 1):
        raise Refused(400, "limit must be a whole number from 1.")
    return int(told)


def _shown(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def _away() -> Refused:
    return Refused(503, "Redis cannot be read now.", headers={"Retry-After": "5"})
