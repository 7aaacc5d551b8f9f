"""An incoming webhook as Slack has them: a POST of {"text": ...} to an address that is itself the secret.

Source: Slack's developer documentation, "Sending messages using incoming webhooks" and "Formatting text": `&`, `<` and
`>` are escaped. Mattermost, Rocket.Chat and Discord (at an address that ends in /slack) take the same.
"""

from __future__ import annotations

import html
from typing import Final
from urllib.parse import urlsplit

import backoff

from leadenrich.config import Secret
from leadenrich.core.errors import Trouble
from leadenrich.providers.http import HttpClient, Request

TIMEOUT_S: Final = 10.0
TRIES: Final = 4
BACKOFF_S: Final = 2.0  # then twice as long each time: with the timeouts below a minute in all


class NotPosted(Exception):
    """The message did not get there. Safe to show: without the address."""


class _MayPass(NotPosted):
    """Trying again may help."""


class Webhook:
    """`allow_private` see HttpClient; `backoff_s` is the wait before the second try."""

    def __init__(
        self, url: Secret, *, allow_private: bool = False, tries: int = TRIES, backoff_s: float = BACKOFF_S
    ) -> None:
        parts = urlsplit(url.reveal())
        self.host = parts.netloc
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret = url
        self._allow_private = allow_private
        self._tries, self._backoff_s = tries, backoff_s

    async def post(self, text: str) -> None:
        """Raises: NotPosted, after all its tries."""
        try:
            await self._repeat(text)
        except _MayPass as error:
            tried = f" ({self._tries} tries)" if self._tries > 1 else ""
            raise NotPosted(f"{error}{tried}") from None

    async def _repeat(self, text: str) -> None:
        @backoff.on_exception(
            backoff.expo, _MayPass, max_tries=self._tries, factor=self._backoff_s, jitter=None, logger=None
        )
        async def send() -> None:
            await self._send(text)

        await send()

    async def _send(self, text: str) -> None:
        request = Request(
            "alerts.url",
            "POST",
            self._path,
            "alert",
            {},
            body={"text": html.escape(text, quote=False)},
            secrets=(self._secret.reveal(),),
        )
        # Seldom enough for a connection of its own: nothing is kept open for an alert that may never come.
        async with HttpClient(self._base, timeout_s=TIMEOUT_S, allow_private=self._allow_private) as http:
            try:
                answer = await http.call(request)
            except Trouble as error:
                raise _MayPass(str(error)) from None
        if answer.status == 429 or answer.status >= 500:
            raise _MayPass(f"alerts.url answered {answer.status}")
        if not 200 <= answer.status < 300:
            raise NotPosted(f"alerts.url answered {answer.status}: is the webhook still there?")
