"""`leadenrich check`: the configuration as understood, and whether `serve` would take it. Reaches nothing."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from leadenrich.cli.configuration import fit_to_serve, rules_of, tell
from leadenrich.cli.status import DONE, WRONG_CONFIG
from leadenrich.config import Loaded, Row, notices, outline
from leadenrich.enrich.faults import SettingFaults


def run(args: argparse.Namespace) -> int:
    """Print every setting with its source, and the rules in words; the faults go to stderr.

    Of a file that could not be read nothing is shown: defaults would pass for what it says.
    """
    loaded, faults = fit_to_serve(args)
    if loaded.whole:
        _print(loaded)
    sys.stdout.flush()  # before stderr, where both are one terminal
    if faults:
        tell(faults)
        return WRONG_CONFIG
    for notice in notices(loaded.config):
        print(f"note: {notice}", file=sys.stderr)
    return DONE


def _print(loaded: Loaded) -> None:
    rows = outline(loaded)
    if sys.stdout.isatty():
        _print_table(rows, str(loaded.path or "no file found: defaults, environment and credentials only"))
    else:
        for row in rows:  # for grep and cut
            print(row.key, row.value, row.source, sep="\t")
    with contextlib.suppress(SettingFaults):  # they are among the faults already
        _print_rules(rules_of(loaded.config).explain())


def _print_table(rows: Sequence[Row], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", show_edge=False, pad_edge=False)
    for column in ("key", "value", "from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, not str: rich would take [brackets] in a value for its own markup.
        style = "dim" if row.source.kind == "default" else ""
        table.add_row(Text(row.key, style), Text(row.value, style), Text(str(row.source), style))
    Console(no_color=bool(os.environ.get("NO_COLOR")), highlight=False).print(table)


def _print_rules(sentences: Sequence[str]) -> None:
    print()
    for sentence in sentences:
        print(sentence)
