"""Text from outside: without control characters; and what an id looks like."""

from __future__ import annotations

import re
from typing import Final

ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}")  # safe in a path, a key and a log line

_BREAKS: Final = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"
_CONTROLS: Final[dict[int, str | None]] = {
    code: " " if chr(code) in _BREAKS else None for code in (*range(0x20), *range(0x7F, 0xA0))
}


def clean(text: str | None) -> str:
    """Without NUL and the other C0 and C1 control characters; what breaks a line becomes a space."""
    told = text or ""
    return (told if told.isprintable() else told.translate(_CONTROLS)).strip()  # no control character is printable
