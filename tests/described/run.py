"""Lets schemathesis at a server, and says how it went."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SEED = 20261124


# Every check is on. Where one is wrong for us, `filter_failure` in hooks.py says so, and why.
CONFIG = """
request-timeout = 10

[generation]
database = "none"

[[operations]]
include-path = "/api/v1/events"
max-stream-events = 2
request-timeout = {silence_s}
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What schemathesis said, and whether all of it was as described; `cases` is how many requests it made up."""

    text: str
    passed: bool
    cases: int


async def run(
    url: str,
    folder: Path,
    *,
    location: str,
    admin: str,
    webhook: str,
    examples: int,
    seed: int,
    phases: str = "examples,coverage,fuzzing,stateful",
    silence_s: float = 1.0,
) -> Told:
    """Every check, `examples` for each operation of the server at `url`, which knows the location and the tokens.

    A stream of events is read until two came, or none for `silence_s`.
    """
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.format(silence_s=silence_s))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
        "SCHEMATHESIS_HOOKS": "described.hooks",
        "DESCRIBED_LOCATION": location,
        "DESCRIBED_ADMIN": admin,
        "DESCRIBED_WEBHOOK": webhook,
    }
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config),
        "run", f"{url}/openapi.json", "--checks", "all", "--max-examples", str(examples), "--seed", str(seed),
        "--phases", phases,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment, cwd=folder,
    )  # fmt: skip
    output, _ = await program.communicate()
    text = output.decode()
    cases = re.search(r"(\d+) generated", text)
    return Told(text, program.returncode == 0, int(cases[1]) if cases else 0)
