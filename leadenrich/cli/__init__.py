"""The command line: each command parses, calls one function, prints, exits."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from leadenrich.cli.parser import build_parser
from leadenrich.cli.status import FAILED, INTERRUPTED, USAGE


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        sys.exit(USAGE)
    try:
        gc.disable()  # what an import makes stays: to look it through for garbage took a tenth of the start
        run = args.command.load()
        gc.enable()
        status = run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader left (`leadenrich check | head`); without this Python complains again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.exit(status)
