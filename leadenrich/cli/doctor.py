"""`leadenrich doctor`: is everything there that the daemon needs, and what to do where it is not. Changes nothing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import msgspec

from leadenrich.cli.configuration import mapping_of, usable
from leadenrich.cli.loop import run_loop
from leadenrich.cli.status import DONE, FAILED
from leadenrich.config import LogSettings, secret_values
from leadenrich.daemon.clock import now_ms
from leadenrich.doctor import Finding, examine
from leadenrich.telemetry.logs import configure
from leadenrich.telemetry.redaction import Redactor

# A shell has no credentials of systemd: what is missing here may be there for the daemon.
_ELSEWHERE = (
    "; the daemon may have it as a systemd credential, which a shell lacks: `systemctl cat leadenrich` names those, "
    "and CREDENTIALS_DIRECTORY=/etc/leadenrich/credentials before this command lets it read them"
)
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def run(args: argparse.Namespace) -> int:
    """Prints the report; 1 when something is a problem."""
    config = usable(args).config
    secrets = secret_values(config)
    configure(LogSettings(level="error"), secrets=secrets)  # what goes wrong is in the report
    redactor = Redactor(secrets)
    unset = "" if os.environ.get("CREDENTIALS_DIRECTORY") else _ELSEWHERE
    looks = examine(config, mapping_of(config).entries, now_ms=now_ms, alert=args.alert, unset=unset)
    found = [_clean(finding, redactor) for finding in run_loop(looks)]
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        for finding in found:  # for grep and cut
            print(finding.what, finding.verdict, finding.found, finding.todo, sep="\t")
    return FAILED if any(finding.verdict == "problem" for finding in found) else DONE


def _clean(finding: Finding, redactor: Redactor) -> Finding:
    """No secret, whatever somebody answered, and one line a row."""
    what, found, todo = (" ".join(redactor.text(text).split()) for text in (finding.what, finding.found, finding.todo))
    return Finding(what, finding.verdict, found, todo)


def _print_table(found: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False)
    for column in ("what", "verdict", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in found:
        # Text, not str: rich would take [brackets] in an answer for its own markup.
        verdict = Text(finding.verdict, _STYLES[finding.verdict])
        table.add_row(Text(finding.what), verdict, Text(finding.found), Text(finding.todo))
    Console(no_color=bool(os.environ.get("NO_COLOR")), highlight=False).print(table)
