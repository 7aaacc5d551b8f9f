"""`make deploy`: goes docs/deploy.md from top to bottom, once for each way that it describes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.debian import ROOT, CannotBoot, lacks, run_booted, run_entered, unpacked
from deploy.document import DOCUMENT, Block, blocks

_MARK = "--- block of line "


@dataclass(frozen=True, slots=True)
class Way:
    """A reader's way through the page."""

    name: str
    kinds: frozenset[str]
    systemd: bool


WAYS = (
    Way("by hand, with systemd", frozenset({"", "hand", "systemd"}), systemd=True),
    Way("by the package, with systemd", frozenset({"", "package", "systemd"}), systemd=True),
    Way("by hand, without systemd", frozenset({"", "hand", "container"}), systemd=False),
)


def script_of(way: Way, page: Sequence[Block]) -> str:
    """One shell for the whole way, as a reader has it; it ends at the first command that fails."""
    parts = [f"echo '{_MARK}{it.line}'\n{it.commands}\necho" for it in page if it.kind in way.kinds]
    return "\n".join(["set -eo pipefail", *parts, f"echo '{_MARK}0'"])


def faults_of(way: Way, page: Sequence[Block], done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was not as the page says."""
    outputs = {}
    for part in done.stdout.split(_MARK)[1:]:
        line, _, output = part.partition("\n")
        outputs[int(line)] = output
    if 0 not in outputs:
        last = max(outputs, default=0)
        return [f"line {last}: ended with status {done.returncode}:\n{outputs.get(last, done.stdout)}"]
    return [
        f"line {block.line}: not seen: {line}\n{outputs[block.line]}"
        for block in page
        if block.kind in way.kinds
        for line in block.missing(outputs[block.line])
    ]


def _go(way: Way, page: Sequence[Block], package: Path | None) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="leadenrich-deploy-") as folder, unpacked(Path(folder), package) as root:
        run = run_booted if way.systemd else run_entered
        return faults_of(way, page, run(root, script_of(way, page)))


def main() -> int:
    if why := lacks():
        print(f"make deploy needs a Debian of its own: {why}", file=sys.stderr)
        return 2
    page, failed = blocks(DOCUMENT.read_text("utf-8")), 0
    package = max((ROOT / "dist").glob("leadenrich_*.deb"), default=None, key=lambda path: path.stat().st_mtime)
    for way in WAYS:
        began = time.monotonic()
        if "package" in way.kinds and package is None:
            print(f"{way.name}: not tried, make deb has built none", flush=True)
            continue
        try:
            faults = _go(way, page, package)
        except CannotBoot as error:
            print(f"{way.name}: not tried, nothing can be booted here:\n{error}", flush=True)
            continue
        count = sum(block.kind in way.kinds for block in page)
        told = "\n".join(faults) if faults else f"{count} blocks as the page says"
        print(f"{way.name}: {told} ({time.monotonic() - began:.0f} s)", flush=True)
        failed += bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
