"""HighLevel (GHL): reads contacts and writes fields, tags and notes back. One request a method, each sent once.

Source: HighLevel's OpenAPI files, `Version: 2021-07-28`, as of 2026-06-19, and answers measured in 2026.
Tags go through the `/tags` calls only: `tags` in a PUT would replace a person's own.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from leadenrich.config import GhlSettings, LocationSettings
from leadenrich.core.contact import Contact, CustomField
from leadenrich.core.errors import Permanent, ProviderOut
from leadenrich.core.job import Reason
from leadenrich.core.lead import FieldValue, Json
from leadenrich.providers.answers import Answer, refusal
from leadenrich.providers.ghl_limits import LocationLimits
from leadenrich.providers.ghl_shapes import (
    ContactPage,
    Location,
    PageMark,
    contact_of,
    custom_field_of,
    field_values,
    objects,
    page_of,
    text,
)
from leadenrich.providers.http import HttpClient, OnCall, Request, ignore_call
from leadenrich.providers.pace import Turnstile

PAGE_SIZE: Final = 100
_NEWEST_FIRST: Final[dict[str, Json]] = {"field": "dateAdded", "direction": "desc"}
_NO_CONTACT = re.compile(r"\bcontact\b.*\bnot found\b", re.IGNORECASE)


def provider_name(location_id: str) -> str:
    """HighLevel is one provider a location: each has its own token, limits and switch."""
    return f"ghl:{location_id}"


@dataclass(frozen=True, slots=True)
class _Account:
    provider: str
    token: str
    limits: LocationLimits
    reading: asyncio.Lock  # one reader of the custom fields at a time


class Ghl:
    """The Crm, for all configured locations. `now_ms` is wall-clock time, epoch milliseconds.

    `allow_private` see HttpClient; `share` is how much of each location's limit may be used, the rest is for others;
    `paces_of` names the paces of a location that its calls wait for besides their own.
    """

    def __init__(
        self,
        settings: GhlSettings,
        *,
        now_ms: Callable[[], int],
        on_call: OnCall = ignore_call,
        clock: Callable[[], float] = time.monotonic,
        allow_private: bool = False,
        share: float = 1.0,
        paces_of: Callable[[str], Sequence[Turnstile]] = lambda provider: (),
    ) -> None:
        self._version = settings.api_version
        self._value_name = "fieldValue" if settings.api_version == "v3" else "field_value"
        self._http = HttpClient(
            settings.base_url, timeout_s=settings.timeout, on_call=on_call, allow_private=allow_private
        )
        self._fields: dict[str, Mapping[str, CustomField]] = {}

        def account(location: LocationSettings) -> _Account:
            provider = provider_name(location.id)
            token = location.token.reveal().strip() if location.token else ""
            limits = LocationLimits(
                provider,
                settings.requests_per_10s,
                now_ms=now_ms,
                clock=clock,
                share=share,
                paces=paces_of(provider),
            )
            return _Account(provider, token, limits, asyncio.Lock())

        self._accounts = {location.id: account(location) for location in settings.locations}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    def take_over(self, former: Ghl) -> None:
        """Go on with the paces of the client that this one replaces, location by location."""
        for location_id, account in self._accounts.items():
            if location_id in former._accounts:
                account.limits.take_over(former._accounts[location_id].limits)

    def rates(self) -> dict[str, float]:
        """Calls a second that are allowed at present, by provider name; 0 = no limit."""
        return {account.provider: account.limits.pace.rate for account in self._accounts.values()}

    async def contact(self, location_id: str, contact_id: str) -> Contact:
        """Raises: Permanent(contact_not_found) for a deleted or unknown one, and what Crm names."""
        answer = await self._call(location_id, "GET", f"/contacts/{_segment(contact_id)}", "contacts/{id}")
        data = _member(answer, "contact")
        if data.get("deleted") is True:
            raise _no_contact(answer)
        return contact_of(data, location_id=location_id, contact_id=contact_id)

    async def contact_page(
        self, location_id: str, mark: PageMark | None = None, *, page_size: int = PAGE_SIZE
    ) -> ContactPage:
        """One page of all contacts of a location, the newest first, `page_size` at most 500; go on with its `next`.

        No filters are sent: their grammar is not in the vendor's files, so the caller looks at tags and dates. Nor is
        the sort's, which public clients send so; whoever depends on the order looks whether it was kept.
        """
        mark = mark or PageMark(1)
        body: dict[str, Json] = {"locationId": location_id, "pageLimit": page_size, "sort": [_NEWEST_FIRST]}
        if mark.search_after:
            body["searchAfter"] = list(mark.search_after)
        else:
            body["page"] = mark.page
        answer = await self._call(location_id, "POST", "/contacts/search", "contacts/search", body)
        return page_of(answer.object(), location_id=location_id, mark=mark, size=page_size)

    async def update_fields(
        self, location_id: str, contact_id: str, fields: Mapping[str, FieldValue]
    ) -> Mapping[str, FieldValue]:
        """Set custom fields by id in one PUT; None blanks a field. Unnamed fields stay. Safe to repeat.

        Answers what the contact holds afterwards: 200 alone does not prove that a field was written.
        """
        values: list[Json] = [
            # A list is invariant for mypy, so it is copied; "" is how HighLevel is told to blank a field.
            {
                "id": field_id,
                self._value_name: list(value) if isinstance(value, list) else "" if value is None else value,
            }
            for field_id, value in fields.items()
        ]
        path = f"/contacts/{_segment(contact_id)}"
        answer = await self._call(location_id, "PUT", path, "contacts/{id}", {"customFields": values})
        return field_values(_member(answer, "contact"))

    async def add_tags(self, location_id: str, contact_id: str, tags: Sequence[str]) -> None:
        """Safe to repeat. No tags, no call."""
        await self._tags("POST", location_id, contact_id, tags)

    async def remove_tags(self, location_id: str, contact_id: str, tags: Sequence[str]) -> None:
        """Safe to repeat. No tags, no call."""
        await self._tags("DELETE", location_id, contact_id, tags)

    async def notes(self, location_id: str, contact_id: str) -> Sequence[str]:
        """The bodies of the contact's notes."""
        path = f"/contacts/{_segment(contact_id)}/notes"
        answer = await self._call(location_id, "GET", path, "contacts/{id}/notes")
        return tuple(text(note.get("body")) for note in objects(answer.object().get("notes")))

    async def add_note(self, location_id: str, contact_id: str, body: str) -> None:
        """Not safe to repeat by itself: look for its marker in `notes` first."""
        path = f"/contacts/{_segment(contact_id)}/notes"
        _complete(await self._call(location_id, "POST", path, "contacts/{id}/notes", {"body": body}))

    async def location(self, location_id: str) -> Location:
        """The sub-account itself: proves the token, changes nothing."""
        answer = await self._call(location_id, "GET", f"/locations/{_segment(location_id)}", "locations/{id}")
        data = _member(answer, "location")
        return Location(text(data.get("id")) or location_id, text(data.get("name")))

    async def custom_fields(self, location_id: str, *, refresh: bool = False) -> Mapping[str, CustomField]:
        """Key (`fieldKey` without `contact.`) to field, cached per location; `refresh` reads again."""
        account = self._account(location_id)
        known = self._fields.get(location_id)
        if known is not None and not refresh:
            return known
        async with account.reading:
            now_known = self._fields.get(location_id)
            if now_known is not None and now_known is not known:
                return now_known  # another job read them while this one waited
            path = f"/locations/{_segment(location_id)}/customFields?model=contact"
            answer = await self._call(location_id, "GET", path, "locations/{id}/customFields")
            listed = answer.object().get("customFields")
            if not isinstance(listed, list):
                raise answer.malformed("`customFields` is no list")
            fields = [custom_field_of(entry) for entry in objects(listed)]
            # A field without a key is still found by its name.
            self._fields[location_id] = {field.key or field.name: field for field in fields if field.field_id}
            return self._fields[location_id]

    async def create_custom_field(self, location_id: str, name: str, data_type: str) -> CustomField:
        """Create a contact field; HighLevel makes its key from the name. Not safe to repeat: look for it first."""
        path = f"/locations/{_segment(location_id)}/customFields"
        body: dict[str, Json] = {"name": name, "dataType": data_type, "model": "contact"}
        answer = await self._call(location_id, "POST", path, "locations/{id}/customFields", body)
        self._fields.pop(location_id, None)
        return custom_field_of(_member(answer, "customField"))

    async def _tags(self, method: str, location_id: str, contact_id: str, tags: Sequence[str]) -> None:
        if not tags:
            return
        path = f"/contacts/{_segment(contact_id)}/tags"
        _complete(await self._call(location_id, method, path, "contacts/{id}/tags", {"tags": list(tags)}))

    async def _call(
        self, location_id: str, method: str, path: str, endpoint: str, body: dict[str, Json] | None = None
    ) -> Answer:
        """The answer, if it is any 2xx. Raises everything else as what it means."""
        account = self._account(location_id)
        account.limits.check()
        headers = {"Authorization": f"Bearer {account.token}", "Version": self._version}
        answer = await self._http.call(
            Request(
                account.provider,
                method,
                path,
                f"{method} {endpoint}",
                headers,
                body,
                gate=account.limits.gate,
                secrets=(account.token,),
            )
        )
        account.limits.heard(answer)
        if 200 <= answer.status < 300:
            return answer
        if answer.status in (400, 404) and endpoint.startswith("contacts/") and _NO_CONTACT.search(answer.message()):
            raise _no_contact(answer)
        raise refusal(answer)

    def _account(self, location_id: str) -> _Account:
        account = self._accounts.get(location_id)
        provider = provider_name(location_id)
        if account is None or not account.token:
            raise ProviderOut(f"{provider}: no token configured", provider=provider, kind="auth")
        if not (account.token.isascii() and account.token.isprintable()):
            raise ProviderOut(f"{provider}: its token holds odd characters", provider=provider, kind="auth")
        return account


def _segment(identifier: str) -> str:
    """An id as one piece of a path, whatever an event brought: no slash, no dots that climb."""
    return quote(identifier, safe="").replace(".", "%2E")


def _member(answer: Answer, name: str) -> dict[str, Json]:
    data = answer.object().get(name)
    if not isinstance(data, dict):
        raise answer.malformed(f"`{name}` is no object")
    return data


def _complete(answer: Answer) -> None:
    """A write whose answer tells nothing we need: an empty one will do, a page of HTML will not."""
    if answer.body.strip():
        answer.object()


def _no_contact(answer: Answer) -> Permanent:
    return Permanent(answer.told(), reason=Reason.CONTACT_NOT_FOUND, provider=answer.provider, status=answer.status)
