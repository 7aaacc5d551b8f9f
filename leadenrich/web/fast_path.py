"""The fast path of the webhooks: past aiohttp's request, routing, task and response.

Only for what is in order and came whole: a POST to a door's exact path over HTTP/1.1, whose body is there and passes
every check. All else goes aiohttp's way, from its start, so that there is one place that refuses. aiohttp's own
handling costs about a third of what a webhook costs here (measured with 3.14.5).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDictProxy, MultiDict, MultiMapping

from leadenrich.store.queue import Receipt
from leadenrich.web.body import Body, json_body
from leadenrich.web.door import Judged, answer_of
from leadenrich.web.json_answer import whole
from leadenrich.web.problems import PROBLEM_TYPE, Refused, problem_json

Judge: TypeAlias = Callable[[CIMultiDictProxy[str], MultiMapping[str], Body], Judged]

_NO_QUERY: Final[MultiDict[str]] = MultiDict()


class FastPath:
    """`doors` by their paths, each of which judges headers, query and body; `settle` brings what they let in.

    `on_answer` hears the route, the status and the seconds, as it does of aiohttp's way.
    """

    def __init__(
        self,
        doors: Mapping[str, Judge],
        settle: Callable[[Judged], Awaitable[Receipt]],
        *,
        bytes_max: int,
        on_answer: Callable[[str, int, float], None],
    ) -> None:
        self._doors = doors
        self._settle = settle
        self._bytes_max = bytes_max
        self._on_answer = on_answer

    def fits(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Whether it may be judged here."""
        return (
            message.path.partition("?")[0] in self._doors
            and message.method == "POST"
            and message.version == HttpVersion11
            and not (message.should_close or message.upgrade)
            and "Expect" not in message.headers
            and payload.is_eof()
            and payload.exception() is None
        )

    def judge(self, message: RawRequestMessage, sent: bytes) -> Coroutine[Any, Any, bytes] | None:
        """What brings the lead to the store and gives the whole answer; None, where aiohttp's way shall refuse it."""
        began = time.monotonic()
        path, _, asked = message.path.partition("?")
        try:
            body = json_body(message.headers, sent, bytes_max=self._bytes_max)
            judged = self._doors[path](message.headers, message.url.query if asked else _NO_QUERY, body)
        except Exception:  # noqa: BLE001  a refusal, or a mistake of ours: aiohttp's way meets it again, and tells it
            return None
        return self._answer(path, judged, began)

    async def _answer(self, route: str, judged: Judged, began: float) -> bytes:
        try:
            status, members = answer_of(await self._settle(judged))
            answer = whole(status, msgspec.json.encode(members))
        except Refused as refused:  # the store is away
            status, told = refused.status, problem_json(refused.status, refused.detail)
            answer = whole(status, told, PROBLEM_TYPE, tuple(refused.headers.items()))
        self._on_answer(route, status, time.monotonic() - began)
        return answer


FAST_PATH: Final = web.AppKey("fast_path", FastPath)
