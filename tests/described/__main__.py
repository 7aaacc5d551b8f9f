"""`make described`: as many made-up requests as you like against a daemon that is started for them."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from daemon_process import ADMIN, WEBHOOK_TOKEN, new_sandbox, people, process, settings_for

from described.key import PUBLIC_PEM
from described.run import SEED, Told, run


async def against_a_daemon(folder: Path, examples: int, seed: int) -> tuple[Told, list[str]]:
    """What came of it, and the errors in the daemon's log. Its worker half works the leads off meanwhile."""
    async with new_sandbox() as sandbox:
        keys = {"public_keys": [PUBLIC_PEM, sandbox.keys.public_pem]}
        async with process(sandbox, folder, settings_for(sandbox, "fakeredis://", ghl=keys)) as daemon:
            await daemon.start()
            await daemon.ended([await daemon.tell(contact) for contact in people(sandbox, 2)])
            told = await run(
                daemon.url, folder, location=sandbox.location_id, admin=ADMIN, webhook=WEBHOOK_TOKEN,
                examples=examples, seed=seed,
            )  # fmt: skip
            status = await daemon.terminate()
            return told, [*map(str, daemon.said("request_failed")), *([f"exit status {status}"] if status else [])]


def main() -> int:
    """0 when every answer was as /openapi.json says, and the daemon's log tells no error of ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="for each operation (default: 200)")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told, errors = asyncio.run(against_a_daemon(Path(folder), args.examples, args.seed))
    print(told.text, *errors, sep="\n")
    return 0 if told.passed and not errors else 1


if __name__ == "__main__":
    sys.exit(main())
