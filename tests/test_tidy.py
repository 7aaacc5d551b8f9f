"""Sizes, names, headers, directions: what keeps the tree a map."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path

import pytest

from leadenrich.core.job import TRANSITIONS, JobState

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "leadenrich"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted(path for path in (PACKAGE / "store" / "lua").glob("*.lua") if not path.name.startswith("_"))
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_and_its_functions_fit_in_a_head(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= FILE_LINES_MAX
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    """A function without a home is a concept without a name."""
    drawers = {"utils", "util", "helpers", "common", "models", "misc"}
    assert not [name_of(path) for path in PACKAGE.rglob("*") if path.stem in drawers]


def test_every_module_says_what_it_is() -> None:
    assert not [name_of(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]


def test_except_exception_stands_in_the_runner_only() -> None:
    """Elsewhere a handler may catch everything only if it raises it again, or its line says why not."""
    bare = []
    for path in SOURCES:
        if name_of(path) == "leadenrich/worker/runner.py":
            continue
        lines = path.read_text().splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.ExceptHandler) and _swallows_everything(node):
                reason = re.search(r"# noqa: BLE001\W+(\w+\W+){3}", lines[node.lineno - 1] + " ")
                if reason is None:
                    bare.append(f"{name_of(path)}:{node.lineno}")
    assert not bare


def _swallows_everything(node: ast.ExceptHandler) -> bool:
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    if any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node)):
        return False
    return any(kind is None or getattr(kind, "id", "") in ("Exception", "BaseException") for kind in caught)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_declares_what_it_touches(path: Path) -> None:
    """KEYS and ARGV used by number are named in the header; what it returns is said."""
    header, body = _header_and_body(path)
    for table in ("KEYS", "ARGV"):
        used = set(re.findall(rf"\b{table}\[(\d+)\]", body))
        for names in re.findall(rf"local ([\w, ]+) = unpack\({table}\)", body):
            used |= {str(number) for number in range(1, names.count(",") + 2)}
        declared = set(re.findall(rf"\b{table}\[(\d+)\]", header))
        assert used <= declared, f"{table} used but not declared: {sorted(used - declared)}"
        assert declared <= used or f"#{table}" in body, f"{table} declared but not used: {sorted(declared - used)}"
    assert "Returns" in header


def test_the_scripts_carry_out_the_state_machine_and_nothing_else() -> None:
    """`Transition: A -> B`, by the file's verb or the one in brackets. A new job comes from nowhere."""
    carried_out = set()
    for path in SCRIPTS:
        for line in re.findall(r"^Transition: (.+)$", _header_and_body(path)[0], re.MULTILINE):
            match = re.fullmatch(r"(\w+) -> (\w+)(?: \((\w+)\))?", line)
            assert match, f"{path.name}: {line}"
            before, after, verb = match[1], match[2], match[3] or path.stem
            if before == "none":
                assert (verb, after) == ("enqueue", "QUEUED")
                continue
            assert TRANSITIONS.get((JobState(before), verb)) == JobState(after), f"{path.name}: {line}"
            carried_out.add((JobState(before), verb))
    assert carried_out == set(TRANSITIONS)


def _header_and_body(path: Path) -> tuple[str, str]:
    match = re.fullmatch(r"--\[\[\n(.*?)\]\]\n(.*)", path.read_text(), re.DOTALL)
    assert match, f"{path.name} does not begin with its contract"
    return match[1], match[2]


def test_imports_point_down_the_leads_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts of pyproject.toml, as `make imports` checks them."""
    from importlinter import configuration
    from importlinter.application.use_cases import lint_imports

    configuration.configure()
    monkeypatch.chdir(ROOT)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        kept = lint_imports(cache_dir=None, no_logo=True)
    assert kept, told.getvalue()
