"""What the built program tells and does without a daemon."""

from __future__ import annotations

import json

from leadenrich import __version__
from smoke.program import Broken, Program

SIZE_MB_MAX = 25.0


def size(program: Program) -> str:
    """The one file's; a folder's program is small, and this says nothing of it."""
    megabytes = program.path.stat().st_size / 1e6
    if megabytes > SIZE_MB_MAX:
        raise Broken(f"{megabytes:.1f} MB, more than {SIZE_MB_MAX}")
    return f"{megabytes:.1f} MB, at most {SIZE_MB_MAX:.0f}"


def version(program: Program) -> str:
    about = json.loads(program.run("version", "--json"))
    if (
        about["version"] != __version__
        or not about["frozen"]
        or not about["commit"]
        or None in about["libraries"].values()
    ):
        raise Broken(str(about))
    return f"{about['version']}, commit {about['commit']}, Python {about['python']}, {about['openssl']}"


def licences(program: Program) -> str:
    """The texts of Python packages, of the pages' files, and of what comes from the system."""
    rows = json.loads(program.run("licenses", "--json"))
    bare = [row["name"] for row in rows if not row["texts"]]
    names = {row["name"] for row in rows}
    missing = {"aiohttp", "redis", "uvloop", "htmx.org", "libssl3"} - names
    if bare or missing or not any(name.startswith("libpython3") for name in names):
        raise Broken(f"without a text: {bare}; not told: {sorted(missing)}")
    return f"{len(rows)} components, {sum(row['origin'] == 'system' for row in rows)} of them from the system"


def configuration(program: Program) -> str:
    """A good one, a wrong one; and what needs no daemon but many modules."""
    good, wrong = program.folder / "good.toml", program.folder / "wrong.toml"
    good.write_text(
        '[realestateapi]\napi_key = "a-key"\n[[ghl.locations]]\nid = "ve9EPM428h8vShlRW1KT"\ntoken = "a-token"\n'
    )
    wrong.write_text("[queue]\nattemps = 5\n")
    told = program.run("check", "--config", str(good))
    if "a-key" in told or "ve9EPM428h8vShlRW1KT" not in told:
        raise Broken(told[-2000:])
    program.run("check", "--config", str(wrong), status=78)
    return "a good one is shown, a wrong one is 78"


def demo(program: Program) -> str:
    """Embedded Redis, Lua scripts, presets, samples, pages, signatures: all from inside."""
    told = program.run("demo", "--once")
    return told.strip().splitlines()[-1]


def foreground(program: Program) -> str:
    """One lead against the fake vendors, told in words that are not ASCII, without a locale."""
    told = program.run("enrich", "N6CF1HCeoXcgIEbT2Lp9", "--sandbox", "--dry-run", "--yes")
    if "QUALIFIED" not in told:
        raise Broken(told[-2000:])
    return "a dry run ends QUALIFIED"


def completion(program: Program) -> str:
    for shell in ("bash", "zsh", "fish"):
        if "leadenrich" not in program.run("completion", shell):
            raise Broken(f"no completion for {shell}")
    return "for bash, zsh and fish"
