"""`leadenrich completion`."""

from __future__ import annotations

import argparse

import shtab

from leadenrich.cli.parser import build_parser
from leadenrich.cli.status import DONE


def run(args: argparse.Namespace) -> int:
    """Print a completion script."""
    parser = build_parser()
    for row in _parsers(parser):
        for action in row._actions:
            if action.dest == "config":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=args.shell))
    return DONE


def _parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    rows = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [parser, *(row for action in rows for row in action.choices.values())]
