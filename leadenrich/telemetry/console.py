"""A log line for a person at a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from leadenrich.core.job import Event
from leadenrich.telemetry.redaction import Clean

_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_EVENT_WIDTH: Final = 18


def render_console(line: Mapping[str, Clean], *, colour: bool) -> str:
    """`14:02:11.042 info    completed   job_id=... outcome=QUALIFIED`, a stack indented below. UTC, ASCII only.

    An expected end (`failed` at warning level) goes without its stack, which would bury the other lines.
    """
    level, event = str(line.get("level", "info")), str(line.get("event", ""))
    clock = str(line.get("time", ""))[11:23]
    rest = " ".join(
        f"{_paint(f'{_one_line(name)}=', '2', colour)}{_value(value)}"
        for name, value in line.items()
        if name not in ("time", "level", "event", "stack")
    )
    head = f"{_paint(clock, '2', colour)} {_paint(f'{level:<7}', _COLOURS.get(level, '0'), colour)} "
    text = f"{head}{_one_line(event):<{_EVENT_WIDTH}} {rest}".rstrip()
    stack = "" if (level, event) == ("warning", Event.FAILED) else str(line.get("stack") or "").rstrip()
    below = "".join(f"\n    {_one_line(row)}" for row in stack.split("\n")) if stack else ""
    return text + below


def _value(value: Clean) -> str:
    if isinstance(value, str):
        plain = value and value.isascii() and value.isprintable() and not any(sign in value for sign in " =\"'")
        return value if plain else json.dumps(value)
    return json.dumps(value)


def _one_line(text: str) -> str:
    """Line breaks in a message would let its author write log lines of his own."""
    return "".join(sign if " " <= sign <= "~" else json.dumps(sign)[1:-1] for sign in text)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
