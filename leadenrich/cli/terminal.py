"""Where commands write tables: a terminal as wide as it is, or a pipe that has room and wants no blanks at the end."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import Final, TextIO

from rich.console import Console

PIPE_WIDTH: Final = 160
_TRAILING: Final = re.compile(r" +$", re.MULTILINE)


class _Trimmed(io.StringIO):
    """A pipe's end: tables fill their columns with blanks, which nobody there needs at the end of a line."""

    def __init__(self, pipe: TextIO) -> None:
        super().__init__()
        self._pipe = pipe

    def write(self, text: str) -> int:
        self._pipe.write(_TRAILING.sub("", text))
        return len(text)

    def flush(self) -> None:
        self._pipe.flush()

    def isatty(self) -> bool:
        return False


class WorkGoesOn(Console):
    """A reader who leaves (`| head`) ends the words, and not the work that they tell of."""

    def on_broken_pipe(self) -> None:
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()


def console(kind: type[Console] = Console) -> Console:
    """Of stdout, as it is now; NO_COLOR is honoured, and an id is no number to be coloured. A pipe has room."""
    no_color = bool(os.environ.get("NO_COLOR"))
    if sys.stdout.isatty():
        return kind(file=sys.stdout, no_color=no_color, highlight=False)
    return kind(file=_Trimmed(sys.stdout), width=PIPE_WIDTH, no_color=no_color, highlight=False)
