"""`leadenrich version`."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata
from typing import Final

from leadenrich import __version__
from leadenrich.cli.status import DONE

_LIBRARIES: Final = (
    "aiohttp", "fakeredis", "hiredis", "msgspec", "pynacl", "redis", "structlog", "uvloop", "zstandard",
)  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Print the version; `--json` tells what a bug report needs."""
    if not args.json:
        print(f"leadenrich {__version__}")
        return DONE
    about = {
        "version": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "libraries": {name: _installed(name) for name in _LIBRARIES},
    }
    print(json.dumps(about, indent=2))
    return DONE


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
