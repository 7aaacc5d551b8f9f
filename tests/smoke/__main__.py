"""`make binary`, `make deb`: the built program is called as its users call it, and nothing of the source is run."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from smoke import commands, serving
from smoke.program import Broken, Program

CHECKS: tuple[Callable[[Program], str | Awaitable[str]], ...] = (
    commands.version, commands.licences, commands.configuration, commands.completion, commands.demo,
    commands.foreground, serving.serve, serving.starts, serving.signalled_twice,
    serving.held_socket,
)  # fmt: skip


def main() -> int:
    """0 when every check holds; each says in a line what it saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--one-file", action="store_true", help="it is all in one file: bounds its size")
    args = parser.parse_args()
    checks = (*CHECKS, commands.size) if args.one_file else CHECKS
    failed = 0
    for check in checks:
        with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
            try:
                told = check(Program(args.program.resolve(), Path(folder)))
                seen = told if isinstance(told, str) else asyncio.run(_awaited(told))
            except (Broken, AssertionError, TimeoutError) as error:
                failed += 1
                print(f"FAILED  {check.__name__}: {error}")
            else:
                print(f"ok  {check.__name__}: {seen}", flush=True)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


async def _awaited(told: Awaitable[str]) -> str:
    return await told


if __name__ == "__main__":
    sys.exit(main())
