"""The machine that puts faults into the program: its faults are real, its excuses needed, and it tells them apart."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lupa import lua51  # type: ignore[import-untyped, unused-ignore]
from mutation import lua_faults, python_faults
from mutation.equivalents import equivalents
from mutation.mutant import Mutant, mutants_of
from mutation.scope import PACKAGE, SCOPE, mutants_in

TESTS = Path(__file__).parent


def changes(mutants: list[Mutant]) -> set[str]:
    return {mutant.becomes for mutant in mutants}


def of_python(text: str) -> set[str]:
    return changes(mutants_of("f.py", text.encode(), python_faults.faults(text.encode())))


def of_lua(text: str) -> set[str]:
    return changes(mutants_of("f.lua", text.encode(), lua_faults.faults(text.encode())))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("x = a < 1", {"x = a <= 1", "x = a < 2", "x = None"}),
        ("x = a is not b or c", {"x = a is b or c", "x = a is not b and c", "x = None"}),
        ("if not a: f()", {"if a: f()", "if not a: pass"}),
        ("if a: raise E('é')", {"if (not (a)): raise E('é')", "if a: pass", "if a: raise E('XXéXX')"}),
        ("def f(a: int = 2) -> str:\n    return ''", {"def f(a: int = 3) -> str:", "return 'XXXX'"}),
        ("K: TypeAlias = Literal['a', 'b']", set()),
        ("x: list[int] = g", {"x: list[int] = None"}),
        ("t = f'{a} b'", {'t = "XXXX"', "t = None"}),
        ("def f():\n    '''Says 1 < 2.'''", set()),
    ],
)
def test_a_python_source_has_these_faults(text: str, faults: set[str]) -> None:
    assert of_python(text) == faults


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("x = a == b", {"x = a ~= b"}),
        ("x = t[1] + KEYS[1]  -- 1 < 2", {"x = t[2] + KEYS[1] -- 1 < 2", "x = t[1] - KEYS[1] -- 1 < 2"}),
        ('x = "a < 1 and 2"', set()),
        ("if a then b() end", {"if not (a) then b() end", "if a then do end end"}),
        ('\nredis.call("ZREM", s,\n  id)', {"do end"}),
        ('\nredis.call("RPUSH", s, id)', {"do end", 'redis.call("LPUSH", s, id)'}),
        ('if a ~= "x" then return "no" end', {'if a == "x" then return "no" end', 'if false then return "no" end'}),
        ('x = redis.call("HDEL", k, "a", "b")', {'x = redis.call("HDEL", k, "b")', 'x = redis.call("HDEL", k, "a")'}),
        ('return "QUEUED"', {'return "PROCESSING"'}),
        ("x = not a and true", {"x = a and true", "x = not a or true", "x = not a and false"}),
    ],
)
def test_a_script_has_these_faults(text: str, faults: set[str]) -> None:
    assert of_lua(text) == faults


@pytest.mark.parametrize("file", SCOPE)
def test_every_fault_is_a_program(file: str) -> None:
    """One that cannot even be read would be noticed by any test, and count for nothing."""
    mutants = mutants_in(file)
    assert mutants
    lua = lua51.LuaRuntime()
    for mutant in mutants:
        assert mutant.source != mutant.original
        if file.endswith(".lua"):
            lua.compile(mutant.source)
        else:
            ast.parse(mutant.source)


def test_every_script_of_the_queue_is_in_the_scope() -> None:
    not_of_the_queue = {"acquire", "reserve", "settle", "spend", "turn"}  # purchases, the limiter, alerts
    scripts = {path.stem for path in (PACKAGE / "store" / "lua").glob("*.lua")}
    assert {Path(file).stem for file in SCOPE if file.endswith(".lua")} == scripts - not_of_the_queue


def test_the_tests_that_must_notice_are_there() -> None:
    named = {test.partition("::")[0] for tests in SCOPE.values() for test in tests}
    assert [name for name in named if not (TESTS / name).exists()] == []


def test_every_excuse_is_of_a_fault_and_has_its_reason() -> None:
    """A line that was changed takes its excuse with it."""
    mutants = {file: mutants_in(file) for file in SCOPE}
    stale = [one for one in equivalents() if not any(one.is_of(mutant) for mutant in mutants[one.file])]
    assert stale == []
    assert all(len(one.why.split()) >= 3 for one in equivalents())


def test_it_tells_what_was_noticed() -> None:
    """Faults of the signature's door, tried for real: at most four, to be quick; each of them is noticed."""
    command = [sys.executable, "-m", "mutation", "--only", "signature", "--most", "4", "--at-once", "1", "--no-page"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    ran = subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "| signature | 4 of 29 | 4 | 0 | 0 | 100.0 % |" in ran.stdout
