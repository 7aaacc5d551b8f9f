"""Hatchling's hook: writes into the wheel which commit it is, for `leadenrich version --json`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):  # type: ignore[type-arg, misc]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Outside of a git checkout, without git, and in an editable installation the wheel does not say it."""
        if version == "editable" or not (commit := commit_of(Path(self.root))):
            return
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "build.json"
        path.write_text(json.dumps({"commit": commit}) + "\n")
        build_data["force_include"][str(path)] = "leadenrich/build.json"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def commit_of(folder: Path) -> str | None:
    """Twelve digits of it, with -dirty behind where files differ from it; None where git does not know."""
    if not (folder / ".git").exists():
        return None  # unpacked inside of somebody else's checkout
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - words of our own
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
