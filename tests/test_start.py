"""A daemon loads what it needs: each module costs time at every start and memory for as long as it lives."""

from __future__ import annotations

import subprocess
import sys

# Redis in the process, tables, the address model, which is warmed where a worker runs, and signatures, which the web
# half checks.
NOT_BEFORE = frozenset({"cryptography.hazmat", "fakeredis", "lupa", "nacl", "pycrfsuite", "rich", "shtab"})


def test_serve_loads_nothing_that_only_others_need() -> None:
    code = "import sys, leadenrich.cli.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()) & NOT_BEFORE == set()
