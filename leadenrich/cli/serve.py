"""`leadenrich serve`: the daemon."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from msgspec.structs import replace

from leadenrich.cli.configuration import fit_to_serve, usable_to_serve
from leadenrich.cli.loop import run_loop
from leadenrich.cli.status import DONE
from leadenrich.config import Config
from leadenrich.daemon import CannotStart, ServeOptions, serve

EMBEDDED = "fakeredis://"


def run(args: argparse.Namespace) -> int:
    """Run until a signal ends it. 69 when Redis cannot be reached, 78 when the configuration cannot be used."""
    config = usable_to_serve(args).config
    config = local(config) if args.local else config
    options = ServeOptions(only=args.only, reload=None if args.sandbox else _reader(args))
    try:
        run_loop(_sandboxed(config, options) if args.sandbox else serve(config, options))
    except CannotStart as error:
        return error.told()
    return DONE


def local(config: Config) -> Config:
    """The same with the embedded Redis."""
    return replace(config, redis=replace(config.redis, url=EMBEDDED))


async def _sandboxed(config: Config, options: ServeOptions) -> None:
    from leadenrich.cli.sandboxed import sandboxed

    async with sandboxed(config) as (turned, sandbox):
        await serve(turned, options, on_ready=lambda running: sandbox.echo_to(f"{running.url}/webhooks/ghl"))


def _reader(args: argparse.Namespace) -> Callable[[], Config]:
    """Reads the configuration again, as at the start."""

    def read() -> Config:
        loaded, faults = fit_to_serve(args)
        if faults:
            raise ValueError("; ".join(str(fault) for fault in faults))
        return local(loaded.config) if args.local else loaded.config

    return read
