"""A command asks before it acts; a script says --yes instead."""

from __future__ import annotations

import sys


def agreed(question: str, *, yes: bool) -> bool:
    """True with --yes, or when a person at the terminal says so; where nobody can be asked, what to add is told."""
    if yes:
        return True
    if not sys.stdin.isatty():
        print(f"leadenrich: {question} Not a terminal, so nothing can be asked: add --yes", file=sys.stderr)
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # what is piped on stays clean
    return sys.stdin.readline().strip().casefold() in ("y", "yes")
