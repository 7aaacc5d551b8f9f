"""A fake RealEstateAPI: holds requests against the vendor's published rules, sells records, counts the sales."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import ClassVar

from aiohttp import web

from leadenrich.core.lead import Json
from leadenrich.sandbox import catalogue
from leadenrich.sandbox.asked import Asked, Refused, read_request
from leadenrich.sandbox.calls import Call
from leadenrich.sandbox.faults import Faults
from leadenrich.sandbox.mischief import NEIGHBOUR, carry_out
from leadenrich.sandbox.streets import STREETS, street_key
from leadenrich.sandbox.vendor import FakeVendor, as_json, parsed

_WORDS = {
    400: ("Bad Request", "the request is not valid"),
    401: ("Unauthorized Request", "x-api-key must be valid"),
    402: ("Payment Required", "no credit is left on this key"),
    403: ("Forbidden", "the key lacks the PropertyDetail scope"),
    404: ("Not Found", ""),
    429: ("Rate Limit Exceeded", ""),
    500: ("Server Error", ""),
}
_TEXT_PLAIN = frozenset({401, 404, 429, 500})  # declared so by the vendor, although they carry JSON


def utc_today() -> date:
    return datetime.now(UTC).date()


class FakeRealEstateApi(FakeVendor):
    """`paid` counts the lookups that were carried out, by address key: each is billed, a no-match too.

    `today` is the day on which the records are true; `per_second` the key's rate limit, 0 for none.
    """

    name: ClassVar[str] = "realestateapi"

    def __init__(
        self,
        *,
        api_key: str,
        faults: Faults | None = None,
        today: Callable[[], date] = utc_today,
        per_second: int = 60,
        keep_calls: int = 20_000,
    ) -> None:
        super().__init__(faults, keep_calls=keep_calls)
        self.api_key = api_key
        self.paid: Counter[str] = Counter()
        self._today = today
        self._per_second = per_second
        self._recent: deque[float] = deque()
        self._greeted: set[str] = set()  # addresses whose street was difficult once already

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v2/PropertyDetail", self._property_detail)
        router.add_get("/v2/key/info", self._key_info)

    def describe(self, call: Call, request: web.Request) -> None:
        call.location_id = request.headers.get("x-user-id", "")
        if isinstance(call.body, dict):
            try:
                call.address_key = read_request(call.body).key
            except Refused:
                call.address_key = ""

    def refuse(self, status: int, message: str = "", keys: tuple[str, ...] = ()) -> web.Response:
        error, usual = _WORDS.get(status, ("Error", ""))
        body: dict[str, Json] = {"statusCode": status, "error": error, "message": message or usual}
        body["validation"] = {"source": "payload", "keys": list(keys)} if keys else {}
        content_type = "text/plain" if status in _TEXT_PLAIN else "application/json"
        return as_json(body, status=status, content_type=content_type)

    def daily_spent(self) -> web.Response:
        return self.refuse(429, "The daily credit limit of this key is reached; it starts anew at midnight UTC.")

    async def _property_detail(self, request: web.Request) -> web.StreamResponse:
        refusal = self._turned_away(request)
        if refusal is not None:
            return refusal
        body = parsed(await request.read())
        try:
            asked = read_request(body)
        except Refused as refused:
            return self.refuse(400, str(refused), refused.keys)

        async def answer() -> web.StreamResponse:
            return self._sell(asked, body if isinstance(body, dict) else {}, neighbour=NEIGHBOUR in request)

        street = STREETS.get(street_key(asked.street))
        if street is not None and street.at_first is not None and asked.key not in self._greeted:
            self._greeted.add(asked.key)
            return await carry_out(street.at_first, request, self, answer)
        return await answer()

    def _sell(self, asked: Asked, body: dict[str, Json], *, neighbour: bool) -> web.Response:
        self.paid[asked.key] += 1
        found = catalogue.find(asked, body, self._today(), neighbour=neighbour)
        content_type = "text/plain" if found.status in _TEXT_PLAIN else "application/json"
        return as_json(found.body, status=found.status, content_type=content_type)

    async def _key_info(self, request: web.Request) -> web.Response:
        refusal = self._turned_away(request)
        if refusal is not None:
            return refusal
        limits: Json = {"requestsPerSecond": self._per_second}
        data: Json = {"keyType": "live", "version": "v2", "scopes": ["PropertyDetail"], "rateLimits": limits}
        return as_json({"statusCode": 200, "statusMessage": "OK", "data": data})

    def _turned_away(self, request: web.Request) -> web.Response | None:
        if request.headers.get("x-api-key") != self.api_key:
            return self.refuse(401)
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        if self._per_second and len(self._recent) >= self._per_second:
            return self.refuse(429)
        self._recent.append(now)
        return None
