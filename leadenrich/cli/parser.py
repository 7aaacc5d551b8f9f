"""The command table. Nothing here imports what a command needs: start-up time is felt on every command."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, cast

from leadenrich import __version__

PROVIDER_NAMES: Final = "realestateapi, or ghl:<location id>"

Run: TypeAlias = Callable[[argparse.Namespace], int]

_EPILOG: Final = """\
Without --config the configuration is looked for in $LEADENRICH_CONFIG, ./config.toml and
/etc/leadenrich/config.toml, in this order; any key can be given as LEADENRICH_<SECTION>__<KEY>.

Exit status: 0 done, 1 the work failed, 2 usage, 69 Redis cannot be reached at start, 78 the configuration is wrong.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table. `module` holds a `run(args) -> int`; it is imported when the command is called.

    `examples` are lines for a shell, one for each action of a command that has several: tests run them all.
    """

    name: str
    module: str
    summary: str
    examples: str
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None

    def load(self) -> Run:
        return cast(Run, importlib.import_module(self.module).run)


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=("web", "worker"), help="run one half of the daemon")
    parser.add_argument("--local", action="store_true", help="use the embedded Redis: nothing outlives the process")
    parser.add_argument("--sandbox", action="store_true", help="run fake vendors in the process and call only those")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=("web", "worker"), help="judge what that half of the daemon needs")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--leads", type=_positive, default=25, metavar="N", help="how many leads (default: 25)")
    parser.add_argument("--once", action="store_true", help="end when the last lead has ended, with a summary")


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--alert", action="store_true", help="also post a message to alerts.url, to see it arrive")
    parser.add_argument("--json", action="store_true", help="the report as JSON, for scripts")


def _setup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--location", metavar="ID", help="the HighLevel location (default: every configured one)")
    parser.add_argument("--yes", action="store_true", help="do not ask, for scripts")


def _jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "show", "retry", "cancel"))
    parser.add_argument("ids", nargs="*", metavar="ID", help="jobs by their ids; to show, retry or cancel")
    parser.add_argument("--state", metavar="STATE", help="QUEUED, PROCESSING, RETRY_SCHEDULED, SUCCEEDED, FAILED_FINAL")
    parser.add_argument("--lane", metavar="LANE", help="live or bulk")
    parser.add_argument("--contact", metavar="ID", help="of this contact")
    parser.add_argument("--location", metavar="ID", help="of this HighLevel location")
    parser.add_argument("--q", metavar="TEXT", help="an id, a phone in any form, or text or words anywhere in the lead")
    parser.add_argument("--outcome", metavar="NAME", help="the lead's fate, as DISQUALIFIED")
    parser.add_argument("--reason", metavar="NAME", help="why it failed, as attempts_exhausted")
    parser.add_argument("--failure", metavar="KIND", help="not_cancelled, or unexpected: of these, without an outcome")
    parser.add_argument("--since", metavar="TIME", help="created then or later: 2026-11-24, 2026-11-24T15:04Z")
    parser.add_argument("--until", metavar="TIME", help="created before then")
    parser.add_argument("--ended-since", metavar="TIME", help="ended then or later")
    parser.add_argument("--limit", type=_positive, metavar="N", help="most jobs (to list: 50; to act on: all)")
    parser.add_argument("--yes", action="store_true", help="retry and cancel many without asking, for scripts")
    parser.add_argument("--json", action="store_true", help="for scripts: a job a line, or what came of it")


def _enrich(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contact", metavar="CONTACT_ID", help="the HighLevel contact")
    parser.add_argument("--location", metavar="ID", help="its location (default: the only configured one)")
    parser.add_argument(
        "--dry-run", action="store_true", help="write nothing to HighLevel; a look-up may cost a credit"
    )
    parser.add_argument("--yes", action="store_true", help="with --dry-run: buy a record without asking, for scripts")
    parser.add_argument("--sandbox", action="store_true", help="against fake vendors and an embedded Redis")
    parser.set_defaults(only="worker")  # what a worker half needs of the configuration


def _queue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("status", "pause", "resume"))
    parser.add_argument("--reason", metavar="TEXT", help="why, shown while it is paused")
    parser.add_argument("--json", action="store_true", help="for scripts")


def _providers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "pause", "resume"))
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"{PROVIDER_NAMES}; to pause or resume")
    parser.add_argument("--reason", metavar="TEXT", help="why, shown while it is paused")
    parser.add_argument("--json", action="store_true", help="for scripts")


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="its first row names the columns")
    parser.add_argument("--location", metavar="ID", help="of rows that name none (default: the only configured one)")
    parser.add_argument(
        "--map", type=_assignment, action="append", default=[], metavar="MEMBER=COLUMN",
        help='contact_id="Contact Id", address1="Street": where the column\'s name does not say it; "" leaves it out',
    )  # fmt: skip
    parser.add_argument("--encoding", type=_encoding, metavar="NAME", help="utf-8, utf-16, cp1252 (default: found out)")
    parser.add_argument("--delimiter", type=_delimiter, metavar="SIGN", help="one sign, or tab (default: found out)")
    parser.add_argument("--rejected", type=Path, metavar="PATH", help="for rejected rows (default: FILE.rejected.csv)")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done; reach and write nothing")
    parser.add_argument("--json", action="store_true", help="the summary as JSON, for scripts")


def _backfill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--location", metavar="ID", help="the HighLevel location (default: the only configured one)")
    parser.add_argument("--tag", metavar="TAG", help="only contacts that have it")
    parser.add_argument("--since", type=_time_ms, metavar="DATE", help="only contacts added then or later: 2026-11-24")
    parser.add_argument("--dry-run", action="store_true", help="read the contacts and write nothing")
    parser.add_argument("--json", action="store_true", help="the summary as JSON, for scripts")


def _status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="look each second, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="for scripts; with --watch a line a second")


def _erase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contact", metavar="CONTACT_ID", help="the HighLevel contact")
    parser.add_argument("--location", metavar="ID", help="of this location only (default: of all)")
    parser.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    parser.add_argument("--json", action="store_true", help="how much was removed, for scripts")


def _version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="with Python and libraries, for bug reports and scripts")


def _licenses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="print the licence texts of these")
    parser.add_argument("--texts", action="store_true", help="print the texts of all")
    parser.add_argument("--json", action="store_true", help="names, versions, licences and texts, for scripts")


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


COMMANDS: Final = (
    Command(
        "serve",
        "leadenrich.cli.serve",
        "run the daemon: webhooks in, leads enriched, contacts updated",
        "leadenrich serve --config /etc/leadenrich/config.toml",
        _serve,
    ),
    Command(
        "demo",
        "leadenrich.cli.demo",
        "see it work in a minute: sample leads, fake vendors, no account needed",
        "leadenrich demo --leads 10 --once",
        _demo,
    ),
    Command(
        "check",
        "leadenrich.cli.check",
        "say whether `serve` would take the configuration, and show it as understood; reaches nothing",
        "leadenrich check --config config.toml",
        _check,
    ),
    Command(
        "doctor",
        "leadenrich.cli.doctor",
        "ask Redis and both vendors whether everything is there, and say what to do where it is not",
        "leadenrich doctor --config config.toml --json",
        _doctor,
    ),
    Command(
        "setup",
        "leadenrich.cli.setup",
        "create the custom fields that the mapping needs in HighLevel",
        "leadenrich setup --location ve9EPM428h8vShlRW1KT",
        _setup,
    ),
    Command(
        "status",
        "leadenrich.cli.status_view",
        "the running daemons at a glance: what waits, what is paused, what failed",
        "leadenrich status --watch",
        _status,
    ),
    Command(
        "enrich",
        "leadenrich.cli.enrich",
        "enrich one lead in the foreground and print each step; or only show what would become of it",
        "leadenrich enrich N6CF1HCeoXcgIEbT2Lp9 --sandbox --dry-run --yes",
        _enrich,
    ),
    Command(
        "jobs",
        "leadenrich.cli.jobs",
        "what became of a lead; run failed jobs again, end waiting ones: one, or all that fit a filter",
        "leadenrich jobs list --contact XvbqI0UKgMPJ7NLTezjX\n"
        "leadenrich jobs show 1m86y08bc0yk22dj\n"
        "leadenrich jobs retry --reason attempts_exhausted --since 2026-11-24 --yes\n"
        "leadenrich jobs cancel 1m86y0bap9955ntp",
        _jobs,
    ),
    Command(
        "queue",
        "leadenrich.cli.queue",
        "how much waits; stop and start taking jobs, for every daemon on the queue",
        "leadenrich queue status\nleadenrich queue pause --reason clean-up\nleadenrich queue resume",
        _queue,
    ),
    Command(
        "providers",
        "leadenrich.cli.providers",
        "who is paused and why; stop and start calls to a vendor",
        "leadenrich providers list\n"
        "leadenrich providers pause ghl:ve9EPM428h8vShlRW1KT --reason 'a new token comes'\n"
        "leadenrich providers resume realestateapi",
        _providers,
    ),
    Command(
        "import",
        "leadenrich.cli.import_leads",
        "queue the leads of a CSV file, behind the live ones; run again after a break it queues nothing twice",
        "leadenrich import leads.csv --map contact_id=Id --dry-run",
        _import,
    ),
    Command(
        "backfill",
        "leadenrich.cli.backfill",
        "queue the contacts of a HighLevel location that are not enriched yet, behind the live leads",
        "leadenrich backfill --location ve9EPM428h8vShlRW1KT --since 2026-11-01 --dry-run",
        _backfill,
    ),
    Command(
        "erase",
        "leadenrich.cli.erase",
        "remove all that is kept of a contact, and say what is not ours to remove",
        "leadenrich erase XvbqI0UKgMPJ7NLTezjX --yes",
        _erase,
    ),
    Command("version", "leadenrich.cli.version", "print the version", "leadenrich version --json", _version),
    Command(
        "licenses",
        "leadenrich.cli.licenses",
        "what the program is made of, and under which licences",
        "leadenrich licenses aiohttp",
        _licenses,
    ),
    Command(
        "completion",
        "leadenrich.cli.completion",
        "print a completion script for your shell",
        "leadenrich completion bash > /etc/bash_completion.d/leadenrich\n"
        "leadenrich completion zsh > /usr/local/share/zsh/site-functions/_leadenrich\n"
        "leadenrich completion fish > ~/.config/fish/completions/leadenrich.fish",
        _completion,
    ),
)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. `args.command` is the row of the table, None when no command was given."""
    parser = argparse.ArgumentParser(
        prog="leadenrich",
        description="Enriches every HighLevel lead with its property record, and never loses one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # an abbreviation in a script breaks when an option is added
    )
    parser.add_argument("--version", action="version", version=f"leadenrich {__version__}")
    parser.add_argument("--config", type=Path, metavar="PATH", help="the configuration file")
    parser.set_defaults(command=None)
    rows = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        row = rows.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=_told_examples(command.examples.splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        # SUPPRESS: a --config in front of the command must not be undone by this one's default.
        row.add_argument(
            "--config", type=Path, metavar="PATH", default=argparse.SUPPRESS, help="the configuration file"
        )
        command.arguments(row)
        row.set_defaults(command=command)
    return parser


def _told_examples(lines: list[str]) -> str:
    return "\n  ".join(["Example:" if len(lines) == 1 else "Examples:", *lines])


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError("must be a whole number from 1 on")
    return int(text)


def _assignment(text: str) -> tuple[str, str]:
    member, sign, column = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError('must be MEMBER=COLUMN, as contact_id="Contact Id"')
    return member.strip(), column.strip()


def _encoding(text: str) -> str:
    try:
        "".encode(text)  # codecs that are none of text are refused too
    except (LookupError, ValueError):
        raise argparse.ArgumentTypeError("must be an encoding that Python knows, as utf-8 or cp1252") from None
    return text


def _delimiter(text: str) -> str:
    sign = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(sign) != 1 or sign in '"\r\n':
        raise argparse.ArgumentTypeError("must be one sign, or the word tab")
    return sign


def _time_ms(text: str) -> int:
    """Epoch milliseconds; without a zone it is UTC."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a date or a time, as 2026-11-24 or 2026-11-24T15:04Z") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
