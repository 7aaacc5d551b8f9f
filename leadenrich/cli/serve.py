"""`leadenrich serve`: the daemon."""

from __future__ import annotations

import argparse

from leadenrich.cli.configuration import refuse, usable
from leadenrich.cli.loop import run_loop
from leadenrich.config import Config, secret_values, worker_faults
from leadenrich.daemon import ServeOptions, serve
from leadenrich.telemetry.logs import configure


def run(args: argparse.Namespace) -> int:
    """Run until a signal ends it. 69 when Redis cannot be reached, 78 when the configuration cannot be used."""
    config = usable(args).config
    if args.only != "web" and not args.sandbox and (faults := worker_faults(config)):
        refuse(faults)
    configure(config.log, secrets=secret_values(config))
    options = ServeOptions(only=args.only, local=args.local, sandbox=args.sandbox)
    return run_loop(_sandboxed(config, options) if args.sandbox else serve(config, options))


async def _sandboxed(config: Config, options: ServeOptions) -> int:
    from leadenrich.cli.sandboxed import sandboxed

    async with sandboxed(config) as (turned, _sandbox):
        configure(turned.log, secrets=secret_values(turned))
        return await serve(turned, options)
