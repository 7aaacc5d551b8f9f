"""`make chaos`: runs the scenarios, prints their figures, keeps them in docs/reliability.md."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
from pathlib import Path

import structlog

from chaos.figures import Findings, as_text, keep
from chaos.order import Order
from chaos.scenarios import SCENARIOS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {', '.join(SCENARIOS)}, by comma")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--quick", action="store_true", help="a tenth of the harm; the page keeps its figures")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak")
    parser.add_argument("--no-page", action="store_true", help="print only")
    return parser.parse_args()


async def _run(names: list[str], arguments: argparse.Namespace) -> list[Findings]:
    found = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="leadenrich-chaos-") as folder:
            order = Order(Path(folder) / name, arguments.seed, arguments.quick, arguments.minutes)
            findings = await SCENARIOS[name](order)
        print(as_text(findings), flush=True)
        found.append(findings)
        if not (arguments.no_page or arguments.quick):
            keep([findings], list(SCENARIOS))
    return found


def main() -> int:
    arguments = _arguments()
    names = [name for name in arguments.only.split(",") if name] or list(SCENARIOS)
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        print(f"no such scenario: {', '.join(unknown)}", file=sys.stderr)
        return 2
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
    )  # ours: the store's own words
    found = asyncio.run(_run(names, arguments))
    return 0 if all(findings.holds for findings in found) else 1


if __name__ == "__main__":
    sys.exit(main())
