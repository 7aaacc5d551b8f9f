"""Which Debian packages the libraries inside of a build are from, and their licences."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


class NotFromDebian(Exception):
    """A library whose licence nobody can tell, or no Debian."""


def licence_texts(binaries: Iterable[tuple[str, str, str]], folder: Path) -> list[Path]:
    """<package>_<version>.txt of each, written to `folder`; `binaries` as PyInstaller collects them.

    What lies in the environment's own site-packages is told by its distribution there.

    Raises: NotFromDebian.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = {Path(source).resolve() for _, source, _ in binaries if not source.startswith(sys.prefix)}
    owners = {owner_of(path) for path in sources}
    return sorted(_written(package, folder) for package in owners)


def owner_of(path: Path) -> str:
    """The Debian package that installed a file.

    Raises: NotFromDebian.
    """
    # dpkg remembers some by the name before /lib became a link into /usr.
    spelled = [str(path), str(path).removeprefix("/usr")]
    done = _dpkg("dpkg-query", "--search", *spelled)
    if not (line := done.splitlines()[:1]):
        raise NotFromDebian(
            f"{path} belongs to no Debian package: build with Debian's own Python (BUILD_PYTHON=/usr/bin/python3)"
        )
    return line[0].partition(": ")[0].partition(":")[0]


def _written(package: str, folder: Path) -> Path:
    version = _dpkg("dpkg-query", "--showformat", "${Version}", "--show", package).replace(":", "-").replace("/", "-")
    path = folder / f"{package}_{version}.txt"
    path.write_bytes((Path("/usr/share/doc") / package / "copyright").read_bytes())
    return path


def _dpkg(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - paths of a build
    except FileNotFoundError as error:
        raise NotFromDebian("dpkg is not here: build on Debian 12") from error
    return done.stdout
