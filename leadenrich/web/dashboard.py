"""The pages' routes: who logs in, what is shown, what a form does. They work without JavaScript."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from leadenrich.store.feed import Feed
from leadenrich.store.history import FAILED, Period
from leadenrich.store.interventions import UNTOLD, UnknownProvider
from leadenrich.store.text_filter import QUESTION_CHARS
from leadenrich.telemetry.health import Health
from leadenrich.web.access import COOKIE, SESSION_S, Access, Session
from leadenrich.web.api import JOB_ID
from leadenrich.web.attention import Failed
from leadenrich.web.frame import login_page
from leadenrich.web.job_desk import JobDesk
from leadenrich.web.live import Live
from leadenrich.web.overview_page import Figures, overview_page
from leadenrich.web.payload import clean
from leadenrich.web.ports import Finding, Operations, Views
from leadenrich.web.problems import Refused
from leadenrich.web.query import query_of
from leadenrich.web.search_page import FindingsShown, search_page
from leadenrich.web.settings_desk import SettingsDesk
from leadenrich.web.shown import JobShown, StatsShown, shown
from leadenrich.web.static_files import static
from leadenrich.web.visitors import Deed, Page, Visitors, check_csrf, html, see

NAME_CHARS: Final = 60
REASON_CHARS: Final = 300
_LOGIN_BYTES: Final = 4096
_LOGIN_FIELDS: Final = 20
# Where a log-in may lead: a path of ours, never another site.
_THEN: Final = re.compile(rf"/jobs/{JOB_ID.pattern}|/(?:jobs|settings|search)(?:\?[\w.&=%+~-]*)?")


class OverviewQuery(msgspec.Struct):
    """How far the overview's chart looks back."""

    period: Period = Period.HOUR


class SearchQuery(msgspec.Struct):
    """What to find, and the job that an earlier part ended with."""

    q: str = ""
    before: Annotated[str, Meta(pattern=f"^{JOB_ID.pattern}$")] = ""


class Dashboard:
    """Server-rendered pages."""

    def __init__(
        self,
        views: Views,
        finding: Finding,
        operations: Operations,
        feed: Feed,
        access: Access,
        health: Health,
        *,
        body_s: float,
    ) -> None:
        self._views = views
        self._history, self._search, self._budgets = finding.history, finding.search, finding.budgets
        self._do = operations
        self._access = access
        self._health = health
        self._visitors = Visitors(access, body_s=body_s)
        self._live = Live(feed, access)
        self._jobs = JobDesk(views, operations, finding.in_force)
        self._settings = SettingsDesk(views, finding.in_force)

    def routes(self) -> list[web.RouteDef]:
        page, act = self._visitors.page, self._visitors.act
        return [
            web.get("/", page(self.overview)),
            web.get("/search", page(self.search)),
            *self._jobs.routes(self._visitors),
            *self._settings.routes(self._visitors),
            web.post("/queue/pause", act(self.pause_queue)),
            web.post("/queue/resume", act(self.resume_queue)),
            web.post("/providers/{name}/pause", act(self.pause_provider)),
            web.post("/providers/{name}/resume", act(self.resume_provider)),
            web.post("/login", self.log_in),
            web.post("/logout", self.log_out),
            web.get("/live", self._live.live, allow_head=False),
            web.get("/static/{name}", static),
        ]

    async def overview(self, request: web.Request, visitor: Session) -> str:
        period = query_of(request, OverviewQuery, strangers=True).period
        history = self._history
        stats, health, chart, day, speed, calls = await asyncio.gather(
            self._views.stats(),
            self._health.fresh_report(),
            history.chart(period),
            history.chart(Period.DAY),
            history.speed(period),
            history.calls_a_second(),
        )
        budget, failed = self._budgets.get("realestateapi", 0), Failed(day.total(FAILED), day.starts[0])
        pauses = await self._views.pauses()
        figures = Figures(shown(stats, StatsShown), pauses, health, chart, speed, calls, failed, budget)
        return overview_page(figures, visitor)

    async def search(self, request: web.Request, visitor: Session) -> Page:
        query = query_of(request, SearchQuery, strangers=True)
        text = " ".join(query.q.split())[:QUESTION_CHARS]
        if not text:
            return search_page(FindingsShown("", "", [], 0, ""), {}, visitor)
        if not query.before and (job_id := await self._search.exact(text)):
            return see(f"/jobs/{job_id}")
        found = await self._search.find(text, before=query.before)
        jobs, pauses = [shown(job, JobShown) for job in found.jobs], await self._views.pauses()
        return search_page(FindingsShown(text, query.before, jobs, found.looked_at, found.older), pauses, visitor)

    async def pause_queue(self, request: web.Request, deed: Deed) -> web.Response:
        await self._do.controls.pause_queue(_reason(deed), deed.actor)
        return see("/")  # whose notice says it, and who did it

    async def resume_queue(self, request: web.Request, deed: Deed) -> web.Response:
        await self._do.controls.resume_queue(deed.actor)
        return deed.done("The queue takes leads again.", "/")

    async def pause_provider(self, request: web.Request, deed: Deed) -> web.Response:
        name = clean(request.match_info["name"])
        try:
            await self._do.controls.pause_provider(name, _reason(deed), deed.actor)
        except UnknownProvider as error:
            raise Refused(404, f"There is no such provider: {error}.") from None
        return see("/")

    async def resume_provider(self, request: web.Request, deed: Deed) -> web.Response:
        name = clean(request.match_info["name"])
        try:
            await self._do.controls.resume_provider(name, deed.actor)
        except UnknownProvider as error:
            raise Refused(404, f"There is no such provider: {error}.") from None
        return deed.done(f"{name} gets calls again.", "/")

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        async def answered() -> web.StreamResponse:
            form = await self._visitors.form(request, _LOGIN_BYTES, _LOGIN_FIELDS)
            then = form.text("then")
            then = then if _THEN.fullmatch(then) else "/"
            try:
                value = await self._access.log_in(form.text("token"), clean(form.text("name")).strip()[:NAME_CHARS])
            except Refused as refused:
                return html(login_page(refused.detail, then), refused.status, refused.headers)
            answer = see(then)
            answer.set_cookie(
                COOKIE, value, path="/", max_age=int(SESSION_S), httponly=True, samesite="Strict", secure=request.secure
            )
            return answer

        return await self._visitors.answer(request, answered)

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        async def answered() -> web.StreamResponse:
            form = await self._visitors.form(request, _LOGIN_BYTES, _LOGIN_FIELDS)
            session = self._access.session(request)
            if session is not None:
                check_csrf(session, form)
                self._access.log_out(request)
            answer = see("/")
            answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
            return answer

        return await self._visitors.answer(request, answered)


def _reason(deed: Deed) -> str:
    """As the person told it."""
    return " ".join(clean(deed.form.text("reason")).split())[:REASON_CHARS] or UNTOLD
