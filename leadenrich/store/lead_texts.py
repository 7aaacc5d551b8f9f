"""What the leads of kept jobs say, each as one text to search in; those of ended jobs are remembered for a while.

Unpacking is what a search spends its time on, and people search more than once. A job that waits may still be told
something newer, so only what an ended one says is remembered, and no longer than it takes to look somebody up: what is
erased or has passed its retention leaves this memory soon too.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Final

from leadenrich.core.lead import Lead
from leadenrich.core.phone import digits_of
from leadenrich.store.connection import Connection
from leadenrich.store.payload import Unreadable, unpack
from leadenrich.store.schema import Keys

REMEMBER_S: Final = 600.0
REMEMBER_MAX: Final = 20_000  # some 400 bytes each
PHONE_ENDS: Final = "\x01"
_NOT_WORD: Final = re.compile(r"[\W_]+")


class LeadTexts:
    """Of the kept jobs of one queue. `remember_s` is counted from the first text remembered."""

    def __init__(self, connection: Connection, keys: Keys, *, remember_s: float = REMEMBER_S) -> None:
        self._connection = connection
        self._keys = keys
        self._remember_s = remember_s
        self._known: dict[bytes, str] = {}
        self._ended_last = dict.fromkeys((keys.dead, keys.done), "-inf")  # the newest end that was seen there

    async def refresh(self) -> None:
        """Forget what was known of those that ended since the last look: they may have been told something else first.

        Raises: StoreUnavailable.
        """
        for key, last in self._ended_last.items():
            for _, ended_ms in await self._connection.execute("ZRANGE", key, -1, -1, "WITHSCORES"):
                self._ended_last[key] = f"{float(ended_ms):.0f}"
            if self._known:
                for job_id in await self._connection.execute("ZRANGE", key, last, "+inf", "BYSCORE"):
                    self._known.pop(job_id, None)

    async def of(self, ids: Sequence[bytes], *, moving: Collection[bytes]) -> list[str]:
        """In the order of `ids`, "" where the lead is kept no longer or cannot be read. `moving` have not ended.

        Raises: StoreUnavailable.
        """
        texts = [None if job_id in moving else self._known.get(job_id) for job_id in ids]
        unknown = [job_id for job_id, text in zip(ids, texts, strict=True) if text is None]
        if not unknown:
            return [text or "" for text in texts]
        # One command: in a pipeline of as many a client spends three times as long on their answers.
        payloads = await self._connection.execute("MGET", *(self._keys.load(job_id.decode()) for job_id in unknown))
        read = dict(zip(unknown, map(_text, payloads), strict=True))
        self._remember({job_id: text for job_id, text in read.items() if job_id not in moving})
        return [read[job_id] if text is None else text for job_id, text in zip(ids, texts, strict=True)]

    def _remember(self, texts: dict[bytes, str]) -> None:
        if texts and not self._known:
            asyncio.get_running_loop().call_later(self._remember_s, self._known.clear)
        if len(self._known) < REMEMBER_MAX:
            self._known.update(texts)


def searchable(lead: Lead) -> str:
    """The phone's digits, the e-mail, then every word of name, address and ids, each between two blanks."""
    address = lead.address
    words = folded(
        f"{lead.first_name} {lead.last_name} {lead.name} {address.line1} {address.full} {address.city} {address.state} "
        f"{address.postal_code} {lead.email} {lead.phone} {lead.contact_id}"
    )
    email = "".join(lead.email.casefold().split())
    return f"{digits_of(lead.phone)}{PHONE_ENDS}{email} {words} "


def folded(text: str) -> str:
    """Small words without accents, one blank between two."""
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return _NOT_WORD.sub(" ", text.casefold()).strip()


def _text(payload: bytes | None) -> str:
    try:
        return searchable(unpack(payload)) if payload else ""
    except Unreadable:
        return ""
