"""One look at the queue: what is wrong, what of it is news, and who is told. Of several daemons one looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec
import structlog

from leadenrich.alerts.alarms import Situation, alarms
from leadenrich.alerts.episodes import Episode, Message, judge
from leadenrich.alerts.webhook import NotPosted, Webhook
from leadenrich.config import Config
from leadenrich.core.job import Lane
from leadenrich.core.retry import describe
from leadenrich.store.alert_book import AlertBook
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.schema import Keys
from leadenrich.store.switches import Switches
from leadenrich.store.views import Views

log = structlog.get_logger("leadenrich.alerts")

Result: TypeAlias = Literal["posted", "dropped"]


def title(queue: str, text: str) -> str:
    """A message as it is posted: several queues may share a channel."""
    return f"leadenrich {queue}. {text}"


class Alerting:
    """`look` as often as one likes; `count` hears what became of each message. `daemon` is this process's own name."""

    def __init__(
        self,
        config: Config,
        connection: Connection,
        keys: Keys,
        *,
        daemon: str,
        count: Callable[[Result], None] = lambda result: None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._views, self._switches = Views(connection, keys), Switches(connection, keys)
        self._book = AlertBook(connection, keys, daemon=daemon)
        self._queue = config.queue.name
        self._count = count
        self._now_ms = now_ms
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """From the next look on."""
        self._settings = config.alerts
        self._credits_limit = config.realestateapi.daily_credits
        private = config.server.allow_private_upstreams
        self._webhook = Webhook(config.alerts.url, allow_private=private) if config.alerts.url else None

    async def look(self) -> None:
        """Tells what is news. Without `alerts.url` nothing is asked. Raises: StoreUnavailable."""
        try:
            if self._webhook is not None and await self._book.take_turn():
                await self._look(self._webhook)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours in here must not end what works on leads
            broken = describe(error)
            log.error("alerts_broken", error=broken.error, stack=broken.trace, note="leads are worked on all the same")

    async def _look(self, webhook: Webhook) -> None:
        now_ms = self._now_ms()
        episodes = _decoded(await self._book.read())
        found = alarms(await self._situation(), self._settings, now_ms=now_ms)
        judgement = judge(episodes, found, now_ms=now_ms, remind_s=self._settings.remind)
        await self._book.write(_encoded(judgement.noted))
        for message in judgement.messages:
            if not await self._book.take_turn():  # a post with all its tries takes a while
                return
            await self._tell(webhook, message)

    async def _tell(self, webhook: Webhook, message: Message) -> None:
        try:
            await webhook.post(title(self._queue, message.text))
        except NotPosted as error:
            log.error("alert_dropped", alert=message.text, error=str(error))
            self._count("dropped")
        else:
            log.info("alert_posted", alert=message.text)
            self._count("posted")
        # Not before: who dies while it posts has told nobody, and the next one tells.
        await self._book.write(_encoded(message.after))

    async def _situation(self) -> Situation:
        return Situation(
            pauses=await self._switches.all(),
            oldest_live_wait_s=(await self._views.oldest_waiting_s()).get(Lane.LIVE, 0.0),
            ended=await self._views.last_ended(self._settings.failed_last) if self._settings.failed_share else (),
            credits_used=await self._views.credits_today() if self._credits_limit else 0,
            credits_limit=self._credits_limit,
        )


def _decoded(values: Mapping[str, bytes]) -> dict[str, Episode]:
    return {name: msgspec.json.decode(value, type=Episode) for name, value in values.items()}


def _encoded(episodes: Mapping[str, Episode | None]) -> dict[str, bytes | None]:
    return {name: None if episode is None else msgspec.json.encode(episode) for name, episode in episodes.items()}
