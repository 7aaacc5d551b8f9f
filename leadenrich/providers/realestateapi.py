"""RealEstateAPI: a property's record for an address. Every look-up may cost a credit, so none is sent twice.

Source: the vendor's public reference, as of 2026-11-23. A status inside the body of 400 or more wins over an HTTP 2xx;
an HTTP error stands whatever the body says. "No match" comes in four forms: HTTP 404, a body that says 404, `data`
empty or missing, and `data.error`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from leadenrich.config import RealEstateApiSettings
from leadenrich.core.address import NormalAddress
from leadenrich.core.errors import ProviderOut, Throttled
from leadenrich.core.lead import Json
from leadenrich.core.property import BadAddress, Found, LookupAnswer, NoMatch
from leadenrich.providers.answers import Answer, clean, refusal, retry_after_s
from leadenrich.providers.drift import DriftWatch
from leadenrich.providers.http import HttpClient, OnCall, Request, ignore_call
from leadenrich.providers.pace import Pace, Turnstile
from leadenrich.providers.shutter import Shutter, seconds_to_midnight_utc

PROVIDER: Final = "realestateapi"
RATE_MAX: Final = 1_000_000  # a second; more is a mistake, and an int may be too long for a float
_ADDRESS_WORDS = re.compile(r"\b(zip|zip ?code|postal ?code|state|house|city|address)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What an API key may do. `requests_per_second` is None where the answer names no rate."""

    live: bool
    scopes: tuple[str, ...]
    requests_per_second: float | None


class RealEstateApi:
    """The PropertySource. `paces` are waited for in their order, after its own and right before each look-up is sent.

    `now_ms` is wall-clock time, epoch milliseconds; `full_since` see Pace, `allow_private` see HttpClient.
    """

    name: str = PROVIDER

    def __init__(
        self,
        settings: RealEstateApiSettings,
        *,
        now_ms: Callable[[], int],
        paces: Sequence[Turnstile] = (),
        on_call: OnCall = ignore_call,
        full_since: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        allow_private: bool = False,
    ) -> None:
        self._key = settings.api_key.reveal().strip() if settings.api_key else ""
        self._now_ms = now_ms
        self._own_pace = Pace(settings.rate_per_second, full_since=full_since, clock=clock)
        self._paces: tuple[Turnstile, ...] = (self._own_pace, *paces)
        self._shutter = Shutter(PROVIDER, now_ms=now_ms, clock=clock)
        self._drift = DriftWatch(PROVIDER)
        self._http = HttpClient(
            settings.base_url, timeout_s=settings.timeout, on_call=on_call, allow_private=allow_private
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    def take_over(self, former: RealEstateApi) -> None:
        """Go on with the paces of the client that this one replaces, under our limits: two of them would add up."""
        self._paces = tuple(
            before.replaced_by(ours) if isinstance(before, Pace) else ours
            for before, ours in zip(former._paces, self._paces, strict=True)
        )
        self._own_pace = former._own_pace

    @property
    def rate(self) -> float:
        """Look-ups a second that are allowed at present; 0 = no limit."""
        return self._own_pace.rate

    async def lookup(
        self,
        address: NormalAddress,
        *,
        location_id: str,
        before_send: Callable[[], Awaitable[None]] | None = None,
    ) -> LookupAnswer:
        """Buy the record for an address; `before_send` runs first, then the paces, then the request leaves.

        Raises: Transient, Throttled, ProviderOut (auth, credit, certificate; operator: its records changed shape),
        Permanent (rejected_by_provider).
        """
        self._shutter.check()
        self._drift.check()
        headers = self._headers()
        if location_id.isascii() and location_id.isprintable():
            headers["x-user-id"] = location_id
        if before_send is not None:
            await before_send()
        answer = await self._http.call(
            Request(
                PROVIDER,
                "POST",
                "/v2/PropertyDetail",
                "PropertyDetail",
                headers,
                {**asked(address), "exact_match": True, "comps": False},
                gate=self._gate,
                # Logs hold no addresses, and the vendor's complaints repeat what was asked.
                secrets=(self._key, f"{address.house} {address.street}", address.street),
            )
        )
        self._judge_throttle(answer)
        result = understood(answer)
        if isinstance(result, Found) and isinstance(data := result.record.get("data"), dict):
            self._drift.saw(data)
        return result

    async def key_info(self) -> KeyInfo:
        """What the key may do. Free, so it serves as the probe; it passes neither pace nor shutter.

        Raises: Transient, Throttled, ProviderOut (auth, credit, certificate), Permanent.
        """
        answer = await self._http.call(
            Request(PROVIDER, "GET", "/v2/key/info", "key/info", self._headers(), secrets=(self._key,))
        )
        self._judge_throttle(answer)
        status = true_status(answer)
        if not 200 <= status < 300:
            raise refusal(answer, status)
        return _key_info(answer)

    def _headers(self) -> dict[str, str]:
        if not self._key:
            raise ProviderOut("realestateapi: no api_key is configured", provider=PROVIDER, kind="auth")
        if not (self._key.isascii() and self._key.isprintable()):
            raise ProviderOut("realestateapi: the api_key holds odd characters", provider=PROVIDER, kind="auth")
        return {"x-api-key": self._key}

    async def _gate(self) -> None:
        for pace in self._paces:
            await pace.take()
        self._shutter.check()  # it may have fallen while this call stood in the queue

    def _judge_throttle(self, answer: Answer) -> None:
        """Raises: Throttled, for 429: until 00:00 UTC when the day's credits are spent, else as long as it says."""
        if true_status(answer) != 429:
            self._shutter.answered()
            return
        text = answer.told(429)
        if b"daily" in answer.body.lower():
            until_ms = self._shutter.close(seconds_to_midnight_utc(self._now_ms()), text)
        else:
            self._own_pace.slow_down()
            named_s = retry_after_s(answer.headers.get("Retry-After"), self._now_ms())
            until_ms = self._shutter.complain(named_s, text)
        raise Throttled(text, provider=PROVIDER, until_ms=until_ms)


def asked(address: NormalAddress) -> dict[str, Json]:
    """The request's address: parts where the vendor takes them (house with zip and state), else one line.

    Parts in upper case as normalised; empty ones are left out.
    """
    if address.house and len(address.zip5) == 5 and len(address.state) == 2:
        parts = {
            "house": address.house,
            "street": address.street,
            "unit": address.unit,
            "city": address.city,
            "state": address.state,
            "zip": address.zip5,
        }
        return {name: part for name, part in parts.items() if part}
    unit = f"UNIT {address.unit}" if address.unit else ""
    street = " ".join(part for part in (address.house, address.street, unit) if part)
    place = " ".join(part for part in (address.city, address.state, address.zip5) if part)
    return {"address": f"{street}, {place}"}


def true_status(answer: Answer) -> int:
    """The HTTP status, or the one in the body when that is an error and HTTP's is not."""
    if not 200 <= answer.status < 300:
        return answer.status
    said = (answer.parsed() or {}).get("statusCode")
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) == 3:
        said = int(said)
    return said if isinstance(said, int) and not isinstance(said, bool) and 400 <= said <= 599 else answer.status


def understood(answer: Answer) -> LookupAnswer:
    """What an answer to a look-up means, 429 excepted. Raises: Transient, ProviderOut, Permanent."""
    status = true_status(answer)
    if status == 404:
        return NoMatch(answer.message() or "not found")
    if status == 400 and _names_the_address(answer):
        return BadAddress(answer.message() or "the address was refused")
    if not 200 <= status < 300:
        raise refusal(answer, status)
    body = answer.object()
    data = body.get("data")
    if not data:
        return NoMatch(answer.message() if body.get("reason") else "the answer holds no property")
    if not isinstance(data, dict):
        raise answer.malformed("`data` is no object")
    if data.get("error") is True:
        told = data.get("errorMessage")
        return NoMatch(clean(told) if isinstance(told, str) and told else "no such property")
    return Found(body, _id_text(data.get("id")), live=body.get("live") is not False)


def _names_the_address(answer: Answer) -> bool:
    body = answer.parsed() or {}
    validation = body.get("validation")
    keys = validation.get("keys") if isinstance(validation, dict) else None
    named = " ".join(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else ""
    return bool(_ADDRESS_WORDS.search(f"{answer.message()} {named}"))


def _id_text(value: Json) -> str:
    """Property ids come as numbers or as strings."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""


def _key_info(answer: Answer) -> KeyInfo:
    data = answer.object().get("data")
    if not isinstance(data, dict):
        raise answer.malformed("`data` is no object")
    scopes, limits = data.get("scopes"), data.get("rateLimits")
    rate = limits.get("requestsPerSecond") if isinstance(limits, dict) else None
    return KeyInfo(
        live=data.get("keyType") != "test",
        scopes=tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else (),
        requests_per_second=float(rate) if isinstance(rate, int | float) and 0 <= rate <= RATE_MAX else None,
    )
