"""A command's own look at the queue in Redis: no daemon needs to run for it."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from msgspec.structs import replace

from leadenrich.cli.configuration import usable
from leadenrich.cli.loop import run_loop
from leadenrich.cli.status import FAILED, NO_REDIS
from leadenrich.config import Config, LogSettings, secret_values, without_password
from leadenrich.providers.ghl import provider_name
from leadenrich.store.audit import Actor, Audit
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.errors import StoreRefused, StoreUnavailable
from leadenrich.store.interventions import Controls
from leadenrich.store.schema import Keys
from leadenrich.store.switches import Switches
from leadenrich.store.views import Views
from leadenrich.telemetry.logs import configure
from leadenrich.telemetry.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Store:
    """What commands read and switch."""

    config: Config
    connection: Connection
    controls: Controls
    views: Views

    def clean(self, text: str) -> str:
        """What others wrote, as one line for a terminal: no control characters, and none of our secrets."""
        return " ".join(Redactor(secret_values(self.config)).text(text, personal=False).split())


def with_store(args: argparse.Namespace, act: Callable[[Store], Awaitable[int]]) -> int:
    """Runs one action on the configured queue. 69 when Redis cannot be reached."""
    config = usable(args).config
    if config.redis.url.startswith("fakeredis://"):
        print("leadenrich: the embedded Redis lives inside the daemon: use its API", file=sys.stderr)
        return FAILED

    async def run() -> int:
        async with open_store(config) as store:
            return await act(store)

    try:
        return run_loop(run())
    except (StoreUnavailable, StoreRefused) as error:
        return no_redis(error, config)


def no_redis(error: StoreUnavailable | StoreRefused, config: Config) -> int:
    """Says what keeps us from Redis and where that was looked for; the status to exit with."""
    told = f"leadenrich: {error} (redis.url is {without_password(config.redis.url)})"
    if error.__cause__ is not None and Connection.may_have_run(error.__cause__):  # else the error itself names the cure
        told += ": start Redis, or put its address into redis.url"
    print(told, file=sys.stderr)
    return NO_REDIS


@asynccontextmanager
async def open_store(config: Config) -> AsyncIterator[Store]:
    """Raises: StoreUnavailable, StoreRefused."""
    # The answer is the output; what Redis' settings can cost is the daemon's and the doctor's to tell.
    configure(LogSettings(level="error"), secrets=secret_values(config))
    async with open_redis(replace(config.redis, allow_volatile=True)) as connection:
        keys = Keys(config.queue.name)
        rates = {"realestateapi": config.realestateapi.rate_per_second}
        rates |= {provider_name(place.id): config.ghl.requests_per_10s / 10 for place in config.ghl.locations}
        controls = Controls(Switches(connection, keys), Audit(connection, keys), rates)
        yield Store(config, connection, controls, Views(connection, keys, rates=rates))


def whoever() -> Actor:
    """Who is at the shell, for the audit log."""
    try:
        return Actor("cli", getpass.getuser())
    except (KeyError, OSError):  # a container's user may have no name
        return Actor("cli", f"uid {os.getuid()}")
