"""One send a call, within its time, of bounded size: the ground both vendors' clients stand on.

aiohttp by itself sends a GET, PUT or DELETE again when a reused connection breaks, even though the vendor may have
carried out the first one. Here a middleware hides that break from it, so connections are kept open and nothing is
repeated. Only what surely never left us, because no connection opened, is tried a second time.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, TypeAlias

import aiohttp
import msgspec
from aiohttp.connector import Connection
from yarl import URL

from leadenrich import __version__
from leadenrich.core.errors import ProviderOut, Transient, Trouble
from leadenrich.providers.answers import Answer
from leadenrich.providers.resolver import GuardedResolver, Misled

BODY_BYTES_MAX: Final = 2 * 1024 * 1024  # also after decompression
CONNECT_S: Final = 5.0
SILENCE_SHARE: Final = 2 / 3  # of the whole time may pass without a byte: 10 s of the default 15 s
IDLE_S: Final = 4.0  # shorter than servers keep a quiet connection, so we seldom write into a closing one
USER_AGENT: Final = f"leadenrich/{__version__}"

Gate: TypeAlias = Callable[[], Awaitable[None]]
OnCall: TypeAlias = Callable[[str, str, int | None, float, float | None], None]


def ignore_call(provider: str, endpoint: str, status: int | None, seconds: float, waited_s: float | None) -> None:
    """The observer that looks away."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `endpoint` is its name in metrics, without ids; `path` is percent-encoded already.

    `gate` is waited for with the connection open, right before the first byte leaves; its time is not the vendor's.
    """

    provider: str
    method: str
    path: str
    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    body: object = None
    gate: Gate | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


class _Dropped(Exception):
    """The connection broke after the request was, or may have been, sent. aiohttp does not know this error."""


class _NeverLeft(Exception):
    """The connection closed while the request waited at its gate."""


class _Turn:
    """One call on its way: its time limit, its gate, whether it was sent and how long it waited at the gate."""

    __slots__ = ("at_gate", "gate", "limit", "sent", "waited_s")

    def __init__(self, gate: Gate | None, limit: asyncio.Timeout) -> None:
        self.gate = gate
        self.limit = limit
        self.at_gate = False
        self.sent = False
        self.waited_s = 0.0

    async def wait(self) -> None:
        """Stand at the gate with the clock stopped: a queue of our own is not the vendor's slowness."""
        if self.gate is None:
            return
        loop = asyncio.get_running_loop()
        began, ends = loop.time(), self.limit.when()
        self.limit.reschedule(None)
        self.at_gate = True
        await self.gate()
        self.at_gate = False
        waited_s = loop.time() - began
        self.waited_s += waited_s
        self.limit.reschedule(None if ends is None else ends + waited_s)

    async def once(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """The middleware between aiohttp's repeating loop and the connection."""
        if isinstance(request, _GatedRequest):
            request.turn = self
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _Dropped(type(error).__name__) from error


class _GatedRequest(aiohttp.ClientRequest):
    """Waits at the gate between connecting and sending: a handshake after it would blur the vendor's count."""

    turn: _Turn | None = None

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if self.turn is not None:
            await self.turn.wait()
            if conn.transport is None or conn.transport.is_closing():
                raise _NeverLeft
            self.turn.sent = True
        return await super().send(conn)


class HttpClient:
    """One session for one provider. Opens at the first call; `close` it, or use it with `async with`.

    `timeout_s` is a call's whole time. `on_call` hears of each call: provider, endpoint, status (None: no answer),
    seconds without the wait at the gate, and those of that wait (None: no gate). `allow_private`: the name may lead to
    a private address.
    """

    def __init__(
        self, base_url: str, *, timeout_s: float, on_call: OnCall = ignore_call, allow_private: bool = False
    ) -> None:
        self._allow_private = allow_private
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._on_call = on_call
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, request: Request) -> Answer:
        """Send it once; any status is an answer.

        Raises: Transient (no answer, a cut-off or too large one), ProviderOut (certificate), and what the gate raises.
        """
        began, status = time.monotonic(), None
        turn = _Turn(request.gate, asyncio.timeout(self._timeout_s))
        try:
            async with turn.limit:
                answer = await self._send(request, turn)
            status = answer.status
            return answer
        except (aiohttp.ClientError, _Dropped, _NeverLeft, OSError) as error:  # TimeoutError is an OSError
            # Without the cause: aiohttp's errors carry the request, and so its key.
            raise _trouble(error, request.provider, sent=turn.sent, timeout_s=self._timeout_s) from None
        finally:
            if not turn.at_gate:  # refused or cancelled there, it was no call
                seconds = time.monotonic() - began - turn.waited_s
                waited_s = None if request.gate is None else turn.waited_s
                self._on_call(request.provider, request.endpoint, status, seconds, waited_s)

    async def _send(self, request: Request, turn: _Turn) -> Answer:
        try:
            return await self._exchange(request, turn)
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
            raise
        except (aiohttp.ClientConnectorError, _NeverLeft):
            return await self._exchange(request, turn)  # it never left: the only thing that is tried again

    async def _exchange(self, request: Request, turn: _Turn) -> Answer:
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", **request.headers}
        data = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(request.body)
        async with self._opened().request(
            request.method,
            URL(self._base_url + request.path, encoded=True),
            data=data,
            headers=headers,
            allow_redirects=False,
            middlewares=(turn.once,),
        ) as response:
            body = await _read(response)
            return Answer(request.provider, response.status, response.headers, body, request.secrets)

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """One that gives up what the vendor's host has not acknowledged within a call's time.

        Else the kernel sends it again for minutes, even when it is closed: after a cut a look-up would be bought, and
        a field written, long after another daemon took the lead over.
        """
        family, kind, protocol, _, _ = address
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._timeout_s * 1000))
        return found

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit of connections: a queue inside the time limit would be nobody's fault and all's timeout.
                connector=aiohttp.TCPConnector(
                    limit=0,
                    keepalive_timeout=IDLE_S,
                    socket_factory=self._socket,
                    resolver=GuardedResolver(allow_private=self._allow_private),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=_GatedRequest,
                timeout=aiohttp.ClientTimeout(
                    total=None,  # counted in `call`, which can stop the clock at the gate
                    connect=CONNECT_S,
                    sock_connect=CONNECT_S,
                    sock_read=self._timeout_s * SILENCE_SHARE,
                    ceil_threshold=3600,  # else every limit above 5 s ends up to a second late
                ),
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, decompressed, 2 MB at most. That of an error is worth having, but never worth losing its status."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                response.close()
                if response.ok:
                    raise aiohttp.ClientPayloadError("larger than 2 MB")
                break
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
        if response.ok:
            raise
    return bytes(body[:BODY_BYTES_MAX])


def _trouble(error: Exception, provider: str, *, sent: bool, timeout_s: float) -> Trouble:
    """What an exception of the way there and back means. Its own text may hold bytes of the answer: not repeated."""
    kind = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ProviderOut(f"{provider}: its certificate is not valid", provider=provider, kind="certificate")
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, Misled):
        text = str(error.os_error)
    elif isinstance(error, aiohttp.ConnectionTimeoutError):
        text = f"no connection within {CONNECT_S:g} s"
    elif isinstance(error, aiohttp.SocketTimeoutError):
        text = f"silent for {timeout_s * SILENCE_SHARE:g} s"
    elif isinstance(error, TimeoutError):
        text = f"no complete answer within {timeout_s:g} s" if sent else f"no connection within {timeout_s:g} s"
    elif isinstance(error, aiohttp.ClientPayloadError):
        text = "the answer is cut off, broken or larger than 2 MB"
    elif isinstance(error, aiohttp.ClientResponseError):
        text = "the answer is no proper HTTP"  # aiohttp calls this 400; the vendor never said so
    elif sent:
        text = f"the connection broke before the answer ({kind})"
    else:
        text = f"no connection ({kind})"
    return Transient(f"{provider}: {text}", provider=provider, sent=sent)
