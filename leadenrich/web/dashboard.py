"""The page at `/`, its log-in, and its style sheet."""

from __future__ import annotations

import hmac
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.views import JobQuery
from leadenrich.telemetry.health import Health
from leadenrich.web.access import COOKIE, SESSION_S, Access, Session, same_origin
from leadenrich.web.body import read_body
from leadenrich.web.pages import JobsShown, StatsShown, login_page, overview_page, trouble_page
from leadenrich.web.ports import Views
from leadenrich.web.problems import Refused

NEWEST_JOBS: Final = 25
_FORM_BYTES: Final = 4096

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
            web.post("/login", self.log_in),
            web.post("/logout", self.log_out),
            web.get("/static/{name}", self.static),
        ]

    async def overview(self, request: web.Request) -> web.Response:
        try:
            await self._access.role(request)
        except Refused as refused:
            if refused.status != 401:
                raise
            return _html(login_page(), 401, refused.headers)
        try:
            stats = msgspec.convert(msgspec.to_builtins(await self._views.stats()), StatsShown)
            page = await self._views.jobs(JobQuery(limit=NEWEST_JOBS))
        except StoreUnavailable:
            return _html(trouble_page("Redis cannot be read now. Leads are answered with 429 and come again."), 503)
        jobs = msgspec.convert(msgspec.to_builtins(page), JobsShown)
        session = self._access.session(request)
        return _html(overview_page(stats, jobs, self._health.report_now(), session.csrf if session else None))

    async def log_in(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        try:
            value = await self._access.log_in(form.get("token", ""))
        except Refused as refused:
            return _html(login_page(refused.detail), refused.status, refused.headers)
        answer = _back()
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
        if request.content_type != "application/x-www-form-urlencoded":
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


def _back() -> web.Response:
    return web.Response(status=303, headers={"Location": "/"})
