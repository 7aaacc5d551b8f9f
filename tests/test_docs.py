"""The documents against the code: links, commands, settings, tests, names and pictures they speak of are there."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec
import pytest
from msgspec.structs import fields

from leadenrich import __version__
from leadenrich.cli.parser import build_parser
from leadenrich.config import Config, MappingEntry
from leadenrich.core.job import TRANSITIONS, Event, JobState, Outcome, Reason
from leadenrich.store.switches import PauseKind
from leadenrich.telemetry.metrics import Metrics, QueueDepth

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "leadenrich"
README: Final = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE: Final = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text("utf-8")
BULLMQ: Final = (ROOT / "docs" / "coming-from-bullmq.md").read_text("utf-8")
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

# What the earlier service's guide names, each in its own spelling.
OF_THE_EARLIER_SERVICE: Final = (
    "LeadEnrichmentQueueService", "LeadEnrichmentWorker", "LeadEnrichmentService", "lead-enrichment",
    "defaultJobOptions", "attempts: 3", "backoff: { type: 'exponential', delay: 30000 }", "// 30s, 1m, 2m",
    "removeOnComplete: 10000", "removeOnFail: 10000", "concurrency: 5", "limiter: { max, duration: 1000 }",
    "max: env.enrichRatePerSecond", "env.enrichQueueName", "npm run worker", "completed", "failed", "stalled",
    "PROCESSING", "SUCCEEDED", "FAILED_FINAL", "docs/ai/LOGIC_AND_RULES.md",
)  # fmt: skip


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    return re.sub(r"^(    |```).*$|`[^`\n]*`", "", text, flags=re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The names that headings get: lower case, blanks to dashes, the rest of the punctuation dropped."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def table_rows(text: str) -> list[list[str]]:
    """The cells of all tables' rows, without the lines under the heads."""
    rows = [line for line in text.splitlines() if line.startswith("|") and not set(line) <= set("|- ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def tables_first_words(text: str) -> set[str]:
    """The backticked first cell of every table row."""
    return {found[1] for row in table_rows(text) if (found := re.match(r"`([^`]+)`", row[0]))}


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        led_to = (path.parent / file).resolve() if file else path
        stands = led_to.exists() and led_to.is_relative_to(ROOT)
        if not stands or (anchor and anchor not in anchors(led_to.read_text("utf-8"))):
            broken.append(target)
    assert not broken


def test_the_readme_leads_to_every_document() -> None:
    known = README + OPERATIONS + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert not [name_of(path) for path in DOCUMENTS if path.parent.name != "adr" and path.name not in known]


def test_files_that_are_named_are_there() -> None:
    """Backticked paths of the tree, in every document."""
    missing = []
    for path in DOCUMENTS:
        named = re.findall(r"`((?:leadenrich|systemd|tests|docs)/[\w./-]*)`", path.read_text("utf-8"))
        missing += [f"{name_of(path)}: {name}" for name in named if not (ROOT / name).exists()]
    # The earlier service's own document is not ours to have.
    assert missing == ["docs/coming-from-bullmq.md: docs/ai/LOGIC_AND_RULES.md"]


# --- commands ---------------------------------------------------------------------------------------------------------


def commands() -> dict[str, argparse.ArgumentParser]:
    [table] = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(table.choices)


def told_commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """`leadenrich COMMAND …` in code, with its options."""
    for code in re.findall(r"`([^`\n]+)`|^    (.+)$", text, re.MULTILINE):
        line = (code[0] or code[1]).split("#")[0]
        for command, rest in re.findall(r"(?:^|[\s/])leadenrich ([a-z]+)((?: +[^|;&]*)?)", line):
            yield command, re.findall(r"(?<=\s)--[a-z-]+", rest)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_command_that_is_told_exists_with_its_options(path: Path) -> None:
    known, wrong = commands(), []
    text = re.sub(r"^## Not yet\n.*?^## ", "## ", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for command, options in told_commands(text):
        if command not in known:
            wrong.append(command)
            continue
        flags = {flag for action in known[command]._actions for flag in action.option_strings}
        wrong += [f"{command} {option}" for option in options if option not in flags]
    assert not wrong


def test_the_readme_tells_every_command() -> None:
    assert set(commands()) == {command for command, _ in told_commands(README)}


def test_the_two_commands_stand_at_the_top() -> None:
    top = README.split("\n## ")[0]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"run", "test"} <= set(targets)
    assert "    make run" in top
    assert "    make test" in top


def test_what_has_come_is_no_longer_said_to_be_missing() -> None:
    """Commands and routes of "Not yet" that exist: take them out of that paragraph."""
    not_yet = README.split("\n## Not yet\n")[1].split("\n## ")[0]
    sources = "".join(path.read_text("utf-8") for path in (PACKAGE / "web").glob("*.py"))
    routes = re.findall(r"""(?:web\.|add_)(get|post)\(\s*["'](/[^"']*)["']""", sources)
    there = [*commands(), *(f"{method.upper()} {path}" for method, path in routes)]
    assert "GET /api/v1/jobs" in there
    assert not [name for name in there if f"`{name}`" in not_yet]


# --- settings ---------------------------------------------------------------------------------------------------------


def known_keys() -> set[str]:
    """Every dotted key, and those of a location and of a field."""
    keys = {"ghl.locations", "ghl.locations.token", "mapping", "rules"}
    for section in fields(Config):
        if isinstance(section.type, type) and issubclass(section.type, msgspec.Struct):
            keys |= {f"{section.name}.{key.name}" for key in fields(section.type)}
    return keys | {f"mapping.{key.name}" for key in fields(MappingEntry)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_setting_that_is_told_exists(path: Path) -> None:
    sections = "|".join(section.name for section in fields(Config))
    told = re.findall(rf"`((?:{sections})\.[a-z_0-9]+)(?: = [^`]*)?`", path.read_text("utf-8"))
    assert not sorted(set(told) - known_keys())


def test_settings_of_the_environment_exist() -> None:
    known = {"LEADENRICH_" + key.replace(".", "__").upper() for key in known_keys()}
    told = {name for path in DOCUMENTS for name in re.findall(r"LEADENRICH_[A-Z]+__[A-Z_]+", path.read_text("utf-8"))}
    assert told
    assert told <= known


# --- tests ------------------------------------------------------------------------------------------------------------


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_guarantee_names_tests_that_exist() -> None:
    guarantees = README.split("\n## Guarantees")[1].split("\n## ")[0]
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", guarantees)
    missing = [f"{file}::{test}" for file, test in named if test not in functions_of(ROOT / file)]
    assert len(named) >= 10
    assert not missing


def test_no_guarantee_stands_without_a_test() -> None:
    guarantees = README.split("\n## Guarantees")[1].split("\n## ")[0]
    promises = re.split(r"^- ", guarantees, flags=re.MULTILINE)[1:]
    assert promises
    assert not [promise.split(".")[0] for promise in promises if "::test_" not in promise]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [JobState, Outcome, Reason], ids=lambda kind: kind.__name__)
def test_every_name_of_a_lead_s_end_is_explained(kind: type[JobState | Outcome | Reason]) -> None:
    assert {name.value for name in kind} <= tables_first_words(README)


def test_every_event_is_named() -> None:
    assert not [event.value for event in Event if f"`{event.value}`" not in README]


def test_every_metric_that_is_told_exists() -> None:
    metrics = Metrics(process=False)
    metrics.watch_queue(QueueDepth)
    metrics.watch_spool(lambda: 0, lambda: 0, limit=0)
    metrics.watch_tasks(lambda: 0)
    known = set(re.findall(r"^# TYPE (\w+)", metrics.render().decode(), re.MULTILINE))
    told = {name for path in DOCUMENTS for name in re.findall(r"`(leadenrich_\w+)", path.read_text("utf-8"))}
    assert told
    assert not sorted(told - known)


def test_every_kind_of_pause_is_explained() -> None:
    kinds = set(PauseKind.__args__)  # type: ignore[attr-defined]  # a Literal's members
    section = OPERATIONS.split("\n## Pauses")[1].split("\n## ")[0]
    assert kinds - {"operator"} == tables_first_words(section)


def test_everything_of_the_earlier_service_is_in_the_table() -> None:
    there = " ".join(row[0] for row in table_rows(BULLMQ))
    assert not [name for name in OF_THE_EARLIER_SERVICE if f"`{name}`" not in there]


def test_the_change_log_knows_this_version() -> None:
    log = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in log
    assert f"## [{__version__}]" in log


def test_every_decision_names_its_price() -> None:
    """One page a decision, numbered without a gap, in the template's form."""
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(len(pages))]
    for page in pages[1:]:
        text = page.read_text("utf-8")
        assert text.startswith(f"# {page.name[:4]}: ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Price"]


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_the_picture_of_the_states_is_the_state_machine() -> None:
    picture = ARCHITECTURE.split("```mermaid\nstateDiagram-v2\n")[1].split("```")[0]
    drawn = re.findall(r"^    (\w+) --> (\w+): (\w+)$", picture, re.MULTILINE)
    coded = [(before.value, after.value, verb) for (before, verb), after in TRANSITIONS.items()]
    assert drawn == coded


def tree_of_the_map() -> set[str]:
    """The paths in ARCHITECTURE's tree, below leadenrich/."""
    found, folder = set(), ""
    for indent, name in re.findall(r"^    (  +)([\w./*]+) {2,}\S", ARCHITECTURE, re.MULTILINE):
        if name.endswith("/"):
            folder = name
            found.add(name)
        else:
            found.add(name if len(indent) == 2 else folder + name)
    return found


def test_the_map_shows_every_file_and_no_other() -> None:
    """A new module gets its line in ARCHITECTURE.md, one that is gone loses it."""
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    modules = {path for path in modules if not path.endswith("__init__.py")} | {"enrich/presets/__init__.py"}
    folders = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert tree_of_the_map() == modules | folders | {"store/lua/*.lua"}


def test_no_document_knows_a_machine() -> None:
    """Paths that are true on one machine only, and marks of what is still to be written."""
    told = [
        f"{name_of(path)}: {found}"
        for path in DOCUMENTS
        for found in re.findall(r"/wor[k]/|/home/|/tmp/|@@|TODO|FIXME", path.read_text("utf-8"))
    ]
    assert not told
