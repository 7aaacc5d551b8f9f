"""People at the pages: who looks, what their forms say, and what goes wrong, told as a page."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import parse_qs

from aiohttp import web

from leadenrich.store.audit import Actor
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.views import BadCursor
from leadenrich.web.access import Access, Session, same_origin
from leadenrich.web.body import media_type, read_body
from leadenrich.web.connection import Hush, hang_up
from leadenrich.web.frame import login_page, trouble_page
from leadenrich.web.problems import Refused

FORM_BYTES: Final = 65_536
FIELDS_MAX: Final = 500
_AWAY: Final = "Redis cannot be read now. Leads are answered with 429 and come again."
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Not no-referrer: with it, browsers send "Origin: null" with our own forms, and the check of them would refuse it.
    "Referrer-Policy": "same-origin",
}


class Form(dict[str, list[str]]):
    """What a form said: each name with all its values."""

    def text(self, name: str) -> str:
        """The last value; "" for none."""
        return self.get(name, [""])[-1]


@dataclass(frozen=True, slots=True)
class Deed:
    """A form of somebody who may act."""

    form: Form
    session: Session
    actor: Actor

    def done(self, said: str, to: str) -> web.Response:
        """Back to a page (a path of ours), which shows what was done."""
        self.session.said = said
        return see(to)


Page: TypeAlias = str | web.StreamResponse  # HTML, or an answer of its own
Show: TypeAlias = Callable[[web.Request, Session], Awaitable[Page]]
Act: TypeAlias = Callable[[web.Request, Deed], Awaitable[Page]]
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Visitors:
    """Makes handlers of what shows a page and of what acts on a form."""

    def __init__(self, access: Access, *, body_s: float) -> None:
        self._access = access
        self._body_s = body_s
        self._hush = Hush()

    def page(self, show: Show) -> Handler:
        """Whoever may look sees what `show` makes; strangers get the log-in, and a refusal is told as a page."""

        async def handler(request: web.Request) -> web.StreamResponse:
            async def shown() -> Page:
                visitor = await self._access.visitor(request)
                said = visitor.said
                page = await show(request, visitor)
                if "HX-Request" in request.headers:  # it takes its refreshing part only: who comes to the page reads it
                    visitor.said = said
                return page

            return await self.answer(request, shown)

        return handler

    def act(self, act: Act, *, bytes_max: int = FORM_BYTES) -> Handler:
        """Whoever may act, by a form of ours with its token, has done what `act` does."""

        async def handler(request: web.Request) -> web.StreamResponse:
            async def acted() -> Page:
                session = await self._access.acting(request)
                form = await self.form(request, bytes_max)
                check_csrf(session, form)
                name = session.name or request.remote or "unknown"
                return await act(request, Deed(form, session, Actor("admin", name)))

            return await self.answer(request, acted)

        return handler

    async def answer(self, request: web.Request, make: Callable[[], Awaitable[Page]]) -> web.StreamResponse:
        try:
            page = await make()
        except Refused as refused:
            return self._refusal(request, refused)
        except BadCursor:
            return html(trouble_page("This address is out of date: search again."), 400)
        except StoreUnavailable:
            return html(trouble_page(_AWAY), 503)
        return html(page) if isinstance(page, str) else page

    def _refusal(self, request: web.Request, refused: Refused) -> web.Response:
        if refused.status == 403:
            self._hush.warn("request_refused", route=request.path[:100], status=403, why=refused.detail)
        if refused.status == 401:
            then = request.path_qs if request.method == "GET" and request.path != "/" else ""
            page = login_page(then=then)
        else:
            page = trouble_page(refused.detail)
        answer = html(page, refused.status, refused.headers)
        if refused.close:
            hang_up(request, answer)
        return answer

    async def form(self, request: web.Request, bytes_max: int = FORM_BYTES, fields_max: int = FIELDS_MAX) -> Form:
        """Raises: Refused 403, from another site's page; 400, 408, 413, 415."""
        if not same_origin(request):
            raise Refused(403, "The form was sent from another site.")
        if media_type(request) != "application/x-www-form-urlencoded":
            raise Refused(415, "The Content-Type must be application/x-www-form-urlencoded.")
        body = await read_body(request, bytes_max=bytes_max, seconds=self._body_s)
        try:
            return Form(parse_qs(body.decode(), keep_blank_values=True, max_num_fields=fields_max))
        except ValueError:
            raise Refused(400, "The form cannot be read.") from None


def check_csrf(session: Session, form: Form) -> None:
    """Raises: Refused 403."""
    told = form.text("csrf").encode("utf-8", "surrogatepass")
    if not session.csrf or not hmac.compare_digest(told, session.csrf.encode()):
        raise Refused(403, "The form is out of date: load the page again.")


def html(page: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, text=page, content_type="text/html", charset="utf-8", headers=_HEADERS | (headers or {})
    )


def see(to: str) -> web.Response:
    """On to another page, after a form."""
    return web.Response(status=303, headers={"Location": to})
