"""`leadenrich version`."""

from __future__ import annotations

import argparse
import json
import platform
import ssl
import sys
from importlib import metadata
from importlib.resources import files
from typing import Final

from leadenrich import __version__
from leadenrich.cli.status import DONE

_LIBRARIES: Final = (
    "aiohttp", "fakeredis", "hiredis", "msgspec", "pynacl", "redis", "structlog", "uvloop", "zstandard",
)  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Print the version; `--json` tells what a bug report needs. `frozen`: the one file, or the Debian package."""
    if not args.json:
        print(f"leadenrich {__version__}")
        return DONE
    about = {
        "version": __version__,
        "commit": _commit(),
        "frozen": bool(getattr(sys, "frozen", False)),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "openssl": ssl.OPENSSL_VERSION,
        "libraries": {name: _installed(name) for name in _LIBRARIES},
    }
    print(json.dumps(about, indent=2))
    return DONE


def _commit() -> str | None:
    """The git commit it was built from, as packaging/hatch_build.py wrote it down; None in a checkout."""
    built = files("leadenrich") / "build.json"
    return str(json.loads(built.read_bytes())["commit"]) if built.is_file() else None


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
