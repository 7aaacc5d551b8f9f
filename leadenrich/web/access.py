"""Who may look and who may act: tokens, log-in sessions, and what happens with neither."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from leadenrich.config import Secret, ServerSettings
from leadenrich.web.problems import Refused

Role: TypeAlias = Literal["admin", "viewer"]

COOKIE: Final = "leadenrich_session"
SESSION_S: Final = 43_200.0
_SESSIONS_MAX: Final = 1000


@dataclass(slots=True)
class Session:
    """Who looks at the pages: a log-in, or where no token is set whoever is on this machine.

    It lives in this process only. `csrf` must come back with every form; "" for a program with a Bearer token, which
    sends none. `name` is what the person told, for the audit log. `said` is shown once, on the next page.
    """

    role: Role
    csrf: str
    until_s: float = math.inf
    name: str = ""
    by_log_in: bool = False
    said: str = ""

    @property
    def may_act(self) -> bool:
        return self.role == "admin" and bool(self.csrf)


class Brake:
    """Slows failed log-ins down: one at a time, each a while. The right token never waits, so nobody is locked out."""

    def __init__(self, delay_s: float = 0.5, waiting_max: int = 8) -> None:
        self._delay_s = delay_s
        self._waiting_max = waiting_max
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def failed(self) -> None:
        """Raises: Refused 429, when many wait already: they must not use up the connections."""
        if self._waiting >= self._waiting_max:
            raise Refused(429, "Too many failed log-ins at once.", headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.sleep(self._delay_s)
        finally:
            self._waiting -= 1


class Access:
    """Judges requests for the API and the pages. `configure` may be called while it serves."""

    def __init__(
        self, server: ServerSettings, *, brake: Brake | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._brake = brake or Brake()
        self._sessions: dict[str, Session] = {}
        self._tokens: tuple[tuple[Role, bytes], ...] = ()
        self._here = Session("admin", secrets.token_urlsafe(24))  # whoever is on this machine, where no token is set
        self.configure(server)

    def configure(self, server: ServerSettings) -> None:
        """Take new tokens; where they changed, every log-in ends."""
        told: tuple[tuple[Role, Secret | None], ...] = (("admin", server.admin_token), ("viewer", server.viewer_token))
        tokens = tuple((role, token.reveal().encode()) for role, token in told if token)
        if tokens != self._tokens:
            self._sessions.clear()
        self._tokens = tokens
        self._host = server.host

    async def role(self, request: web.Request) -> Role:
        """What this request may do: a Bearer token, else the log-in's cookie, else the loopback.

        Raises: Refused 401; 403, where no token is set and the request did not stay on this machine.
        """
        return (await self.visitor(request)).role

    async def visitor(self, request: web.Request) -> Session:
        """Whose request this is.

        Raises: Refused 401; 403, where no token is set and it did not stay on this machine.
        """
        if not self._tokens:
            self._on_this_machine(request)
            return self._here
        bearer = _bearer(request)
        if bearer is not None:
            return Session(await self._role_of(bearer), "")
        session = self.session(request)
        if session is None:
            raise _unknown("A token is needed: Authorization: Bearer with server.admin_token or server.viewer_token.")
        return session

    async def acting(self, request: web.Request) -> Session:
        """Whose form this is: by the log-in's cookie, from a page of ours. Its `csrf` is still to be compared.

        Raises: Refused 401; 403, for a form of another site and for who may only look.
        """
        session = await self.visitor(request)
        if not same_origin(request):
            raise Refused(403, "The form was sent from another site.")
        if session.role != "admin":
            raise Refused(403, "This log-in looks without touching: log in with server.admin_token to act.")
        return session

    async def admin(self, request: web.Request) -> None:
        """Let those pass who may act, by Bearer token. A log-in's cookie counts for nothing here: browsers send it
        whoever asks them to. Where no token is set, the loopback may act, except for pages of other sites.

        Raises: Refused 401, 403.
        """
        if not self._tokens:
            self._on_this_machine(request)
            if not same_origin(request):
                raise Refused(403, "The request was sent from another site's page.")
            return
        bearer = _bearer(request)
        if bearer is None:
            raise _unknown("A token is needed: Authorization: Bearer with server.admin_token; a log-in is not enough.")
        if await self._role_of(bearer) != "admin":
            raise Refused(403, "server.viewer_token looks without touching: this needs server.admin_token.")

    async def log_in(self, token: str, name: str = "") -> str:
        """The cookie's value for a new session of a person of this name. Raises: Refused 401, 429."""
        role = await self._role_of(token)
        now = self._clock()
        self._sessions = {key: kept for key, kept in self._sessions.items() if kept.until_s > now}
        while len(self._sessions) >= _SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        value = secrets.token_urlsafe(32)
        self._sessions[_key(value)] = Session(role, secrets.token_urlsafe(24), now + SESSION_S, name, by_log_in=True)
        return value

    def session(self, request: web.Request) -> Session | None:
        session = self._sessions.get(_key(request.cookies.get(COOKIE, "")))
        return session if session is not None and session.until_s > self._clock() else None

    def log_out(self, request: web.Request) -> None:
        self._sessions.pop(_key(request.cookies.get(COOKIE, "")), None)

    async def _role_of(self, told: str) -> Role:
        raw = told.encode("utf-8", "surrogatepass")
        fitting = [role for role, token in self._tokens if hmac.compare_digest(raw, token)]
        if not fitting:
            await self._brake.failed()
            raise _unknown("This token is not server.admin_token or server.viewer_token.")
        return fitting[0]

    def _on_this_machine(self, request: web.Request) -> Role:
        """Bind, socket and Host header must all be the loopback's: a page elsewhere, whose name was made to point
        here, and a proxy that serves the world are told apart from the operator by the Host alone."""
        peer = request.transport.get_extra_info("sockname") if request.transport else None
        arrived = str(peer[0]) if isinstance(peer, tuple) else ""
        if all(is_loopback(name) for name in (self._host, arrived, _host_name(request.host))):
            return "admin"
        raise Refused(403, "No token is set, so this answers on the loopback only: set server.admin_token.")


def same_origin(request: web.Request) -> bool:
    """Whether a form came from our own page, by what browsers add and pages cannot forge; no browser, no cookie."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _key(cookie: str) -> str:
    """Sessions are found by a hash: looking one up tells nothing about the value by its time."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


def _unknown(detail: str) -> Refused:
    return Refused(401, detail, headers={"WWW-Authenticate": 'Bearer realm="leadenrich"'})
