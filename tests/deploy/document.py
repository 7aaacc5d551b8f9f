"""The blocks of docs/deploy.md: what is run, on which ways, and what must be seen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "deploy.md"
_BLOCK = re.compile(r"^```(?P<info>[a-z ]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = ("", "hand", "package", "systemd", "container", "account")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands. `kind` says on which ways they are run, "" on all of them; `seen` is what the page shows after them."""

    line: int
    kind: str
    commands: str
    seen: str

    def missing(self, output: str) -> list[str]:
        """The lines of `seen` that the output does not have; `…` stands for anything."""
        wanted = [re.escape(line).replace("…", ".*") for line in self.seen.splitlines()]
        return [line for line in wanted if not re.search(f"^{line}$", output, re.MULTILINE)]


def blocks(text: str) -> list[Block]:
    """In their order. A block without a language shows what the one before it prints. Raises: ValueError."""
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        line = text[: match.start()].count("\n") + 1
        language, _, kind = match["info"].partition(" ")
        if language == "sh" and kind in KINDS:
            found.append(Block(line, kind, match["text"], ""))
        elif language:
            raise ValueError(f"line {line}: {match['info']!r} is no kind of block")
        elif found and not text[end : match.start()].strip():
            before = found.pop()
            found.append(Block(before.line, before.kind, before.commands, match["text"]))
        end = match.end()
    return found
