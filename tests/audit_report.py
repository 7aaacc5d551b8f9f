"""What pip-audit's report proves: `pip-audit … --format json | python tests/audit_report.py requirements.lock`.

Without a network pip-audit skips what it cannot look up and ends with "No known vulnerabilities": such a report proves
nothing, and here it fails.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def faults(report: str, lock: str) -> list[str]:
    """Everything that keeps a report from being clean: a hole, a package that was skipped, one that is not in it."""
    try:
        told = {row["name"].lower(): row for row in json.loads(report)["dependencies"]}
    except (ValueError, KeyError, TypeError):
        return ["there is no report"]
    found = [f"{name}: was not looked up ({row['skip_reason']})" for name, row in told.items() if "skip_reason" in row]
    found += [
        f"{name} {row.get('version')}: {hole['id']}" for name, row in told.items() for hole in row.get("vulns", [])
    ]
    return found + [f"{name}: is not in the report" for name in pinned(lock) if name not in told]


def pinned(lock: str) -> dict[str, str]:
    """Name to version of what is installed on Linux; lines for other systems and older Pythons are left out."""
    lines = re.findall(r"^([a-z0-9._-]+)==(\S+)(?: ; (.*?))? \\$", lock, re.MULTILINE)
    return {name: version for name, version, marker in lines if "win32" not in marker and "<" not in marker}


if __name__ == "__main__":
    wrong = faults(sys.stdin.read(), Path(sys.argv[1]).read_text("utf-8"))
    print("\n".join(wrong) if wrong else "Every pinned package was looked up, and none has a known hole.")
    sys.exit(bool(wrong))
