"""`leadenrich serve`: the daemon."""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
from collections.abc import Callable

from msgspec.structs import replace

from leadenrich.cli.configuration import fit_to_serve, usable_to_serve
from leadenrich.cli.loop import run_loop
from leadenrich.cli.status import DONE
from leadenrich.config import Config, Source
from leadenrich.daemon import CannotStart, Running, ServeOptions, serve

EMBEDDED = "fakeredis://"


def run(args: argparse.Namespace) -> int:
    """Run until a signal ends it. 69 when Redis cannot be reached, 78 when the configuration cannot be used."""
    loaded = usable_to_serve(args)
    config = local(loaded.config) if args.local else loaded.config
    sources = dict(loaded.sources)
    reload = None if args.sandbox else _reader(args, sources)
    options = ServeOptions(only=args.only, reload=reload, sources=lambda: sources)
    try:
        run_loop(_sandboxed(config, options) if args.sandbox else serve(config, options, on_ready=_settled))
    except CannotStart as error:
        return error.told()
    return DONE


def _settled(running: Running) -> None:
    # What is loaded by now stays: each full collection that walked through it stopped the loop for 30 ms.
    gc.freeze()
    # Of hundreds of jobs in hand nothing is garbage yet: to look after every 700 new objects is a tenth of a drain.
    gc.set_threshold(20_000, 20, 20)


def local(config: Config) -> Config:
    """The same with the embedded Redis."""
    return replace(config, redis=replace(config.redis, url=EMBEDDED))


async def _sandboxed(config: Config, options: ServeOptions) -> None:
    from leadenrich.cli.sandboxed import how_to_play, sandboxed

    own_token = config.ghl.webhook_token is not None

    def ready(running: Running) -> None:
        if running.url is not None:
            sandbox.echo_to(f"{running.url}/webhooks/ghl")
        with contextlib.suppress(OSError):  # nobody reads: no reason to end
            redis = None if config.redis.url == EMBEDDED else (config.redis.url, config.queue.name)
            told = how_to_play(sandbox, running.url, own_token=own_token, redis=redis)
            print(told, file=sys.stderr, flush=True)

    async with sandboxed(config) as (turned, sandbox):
        await serve(turned, options, on_ready=ready)


def _reader(args: argparse.Namespace, sources: dict[str, Source]) -> Callable[[], Config]:
    """Reads the configuration again, as at the start; `sources` then tells where its settings are from."""

    def read() -> Config:
        loaded, faults = fit_to_serve(args)
        if faults:
            raise ValueError("; ".join(str(fault) for fault in faults))
        sources.clear()
        sources.update(loaded.sources)
        return local(loaded.config) if args.local else loaded.config

    return read
