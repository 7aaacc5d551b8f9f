"""A built program, called from a folder of its own and with nothing of the tests' environment."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


class Broken(Exception):
    """The built program does not do what it should; the message says what it did."""


@dataclass(frozen=True, slots=True)
class Program:
    """`path` of the program; `folder` is its working directory, home and place for temporary files."""

    path: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """No PYTHONPATH, no LEADENRICH_ variables, no locale: as a service has it."""
        return {"PATH": os.defpath, "HOME": str(self.folder), "TMPDIR": str(self.temporary)}

    @property
    def temporary(self) -> Path:
        path = self.folder / "tmp"
        path.mkdir(exist_ok=True)
        return path

    def run(self, *arguments: str, status: int = 0, within_s: float = 60.0) -> str:
        """What it printed. Raises: Broken, where it ended with another status."""
        done = subprocess.run(
            [str(self.path), *arguments],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=within_s, check=False,
        )  # fmt: skip
        if done.returncode != status:
            told = f"{done.stdout}{done.stderr}".strip()
            raise Broken(f"`{' '.join(arguments)}` ended with {done.returncode}, not {status}:\n{told[-2000:]}")
        return done.stdout
