"""The pages at `/` and `/jobs/{id}`, their log-in, and their style sheet."""

from __future__ import annotations

import asyncio
import hmac
import re
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from leadenrich.core.job import JobState
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.views import BadCursor, JobQuery
from leadenrich.telemetry.health import Health
from leadenrich.web.access import COOKIE, SESSION_S, Access, Session, same_origin
from leadenrich.web.api import JOB_ID, job_query
from leadenrich.web.body import media_type, read_body
from leadenrich.web.job_page import job_page
from leadenrich.web.pages import filter_of, login_page, overview_page, trouble_page
from leadenrich.web.ports import Views
from leadenrich.web.problems import Refused
from leadenrich.web.shown import JobShown, JobsShown, StatsShown, shown

NEWEST_JOBS: Final = 25
_FORM_BYTES: Final = 4096
_THEN: Final = re.compile(rf"/jobs/{JOB_ID.pattern}")  # where a log-in may lead to besides the overview
_AWAY: Final = "Redis cannot be read now. Leads are answered with 429 and come again."

# From the package's data into a fixed dict: no path of a request ever reaches the disk.
_STATIC: Final = {
    "style.css": ("text/css", files("leadenrich.web").joinpath("static/style.css").read_bytes()),
}
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Not no-referrer: with it, browsers send "Origin: null" with our own forms, and the check below would refuse them.
    "Referrer-Policy": "same-origin",
}


class Dashboard:
    """Server-rendered; works without JavaScript."""

    def __init__(self, views: Views, access: Access, health: Health, *, body_s: float) -> None:
        self._views = views
        self._access = access
        self._health = health
        self._body_s = body_s

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.overview),
            web.get("/jobs/{id}", self.job),
            web.post("/login", self.log_in),
            web.post("/logout", self.log_out),
            web.get("/static/{name}", self.static),
        ]

    async def overview(self, request: web.Request) -> web.Response:
        if stranger := await self._stranger(request):
            return stranger
        query = msgspec.structs.replace(job_query(request), limit=NEWEST_JOBS)
        try:
            stats = shown(await self._views.stats(), StatsShown)
            jobs = await self._found(query) if filter_of(query) or query.cursor else await self._newest()
        except BadCursor:
            return _html(trouble_page("This address is out of date: search again."), 400)
        except StoreUnavailable:
            return _html(trouble_page(_AWAY), 503)
        return _html(overview_page(stats, jobs, query, await self._health.fresh_report(), self._csrf(request)))

    async def job(self, request: web.Request) -> web.Response:
        if stranger := await self._stranger(request):
            return stranger
        job_id = request.match_info["id"]
        try:
            found = await self._views.job(job_id) if JOB_ID.fullmatch(job_id) else None
        except StoreUnavailable:
            return _html(trouble_page(_AWAY), 503)
        if found is None:
            return _html(trouble_page("There is no such job; finished ones are kept for a while only."), 404)
        return _html(job_page(shown(found, JobShown), self._csrf(request)))

    async def _found(self, query: JobQuery) -> JobsShown:
        return shown(await self._views.jobs(query), JobsShown)

    async def _newest(self) -> JobsShown:
        """Of all states together: the store's own order would show no success while there are failures."""
        each = [self._found(JobQuery(state=state, limit=NEWEST_JOBS)) for state in JobState]
        jobs = {
            job.id: job for page in await asyncio.gather(*each) for job in page.jobs
        }  # one may have moved meanwhile
        return JobsShown([jobs[job_id] for job_id in sorted(jobs, reverse=True)[:NEWEST_JOBS]])

    async def _stranger(self, request: web.Request) -> web.Response | None:
        """The log-in page for those who may not look. Raises: Refused 403, 429."""
        try:
            await self._access.role(request)
        except Refused as refused:
            if refused.status != 401:
                raise
            then = request.path if _THEN.fullmatch(request.path) else ""
            return _html(login_page(then=then), 401, refused.headers)
        return None

    def _csrf(self, request: web.Request) -> str | None:
        session = self._access.session(request)
        return session.csrf if session else None

    async def log_in(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        then = form.get("then", "")
        then = then if _THEN.fullmatch(then) else "/"
        try:
            value = await self._access.log_in(form.get("token", ""))
        except Refused as refused:
            return _html(login_page(refused.detail, then), refused.status, refused.headers)
        answer = _back(then)
        answer.set_cookie(
            COOKIE, value, path="/", max_age=int(SESSION_S), httponly=True, samesite="Strict", secure=request.secure
        )
        return answer

    async def log_out(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        session = self._access.session(request)
        if session is not None:
            _check_csrf(session, form)
            self._access.log_out(request)
        answer = _back()
        answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return answer

    async def static(self, request: web.Request) -> web.Response:
        found = _STATIC.get(request.match_info["name"])
        if found is None:
            raise Refused(404, "There is no such file.")
        kind, content = found
        return web.Response(body=content, content_type=kind, headers={"Cache-Control": "max-age=3600"})

    async def _form(self, request: web.Request) -> dict[str, str]:
        """Raises: Refused 403, from another site's page; 400, 408, 413, 415."""
        if not same_origin(request):
            raise Refused(403, "The form was sent from another site.")
        if media_type(request) != "application/x-www-form-urlencoded":
            raise Refused(415, "The Content-Type must be application/x-www-form-urlencoded.")
        body = await read_body(request, bytes_max=_FORM_BYTES, seconds=self._body_s)
        try:
            told = parse_qs(body.decode(), max_num_fields=20)
        except ValueError:
            raise Refused(400, "The form cannot be read.") from None
        return {name: values[-1] for name, values in told.items()}


def _check_csrf(session: Session, form: dict[str, str]) -> None:
    if not hmac.compare_digest(form.get("csrf", "").encode("utf-8", "surrogatepass"), session.csrf.encode()):
        raise Refused(403, "The form is out of date: load the page again.")


def _html(page: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, text=page, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS | (headers or {})
    )


def _back(to: str = "/") -> web.Response:
    return web.Response(status=303, headers={"Location": to})
