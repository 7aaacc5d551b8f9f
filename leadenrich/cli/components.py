"""What the program is made of besides its own code, and under which licences: as it is installed, or built in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final, Literal

OWN: Final = "leadenrich"
# Files of the pages: npm package, version, licence, text. The table in web/static/README.md says the same.
BROWSER: Final = (
    ("htmx.org", "4.0.1", "0BSD", "htmx.txt"),
    ("uplot", "1.6.32", "MIT", "uPlot.txt"),
    ("@picocss/pico", "2.1.1", "MIT", "pico.txt"),
)

_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^]]*)\])?[^;]*;?(.*)", re.DOTALL)
_EXTRA: Final = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")
_TEXT: Final = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE)
_NAME_CHARS_MAX: Final = 60  # some put the whole text in the place of the name

# Texts that the packages do not bring: <package>.<library>.txt of a C library compiled in, or <package>.txt.
_NOTICES: Final = "notices"
# Of what a build takes from its system, <name>_<version>.txt: packaging/leadenrich.spec puts them there.
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class Component:
    """`origin`: a Python package, a file of the pages, or what only the one file and the Debian package bring along."""

    name: str
    version: str
    licence: str
    origin: Literal["python", "page", "system"]
    texts: tuple[str, ...]


def components() -> list[Component]:
    """All of them, the program itself not counted; by origin, then by name."""
    python = [_python_package(name) for name in distributions() if name != OWN]
    return [*python, *(_page_file(*row) for row in BROWSER), *_system()]


@cache
def distributions() -> tuple[str, ...]:
    """The program and every installed distribution that it needs, by name.

    A requirement of an extra counts where that extra was asked for; the program's own extras count where they are
    installed. Other conditions need no reading: what they rule out is not installed.
    """
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str] | None]] = [(OWN, None)]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for text in requires:
            needed = _needed(text, extras)
            if needed and needed not in seen:
                seen.add(needed)
                waiting.append(needed)
    return tuple(sorted(found))


def _needed(requirement: str, extras: frozenset[str] | None) -> tuple[str, frozenset[str]] | None:
    """Name and extras, unless it belongs to an extra that nobody asked for; `extras` None asks for all."""
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return None
    of_extra = _EXTRA.search(match[3])
    if of_extra and extras is not None and of_extra[1] not in extras:
        return None
    asked = frozenset(extra.strip() for extra in (match[2] or "").split(",") if extra.strip())
    return re.sub(r"[-_.]+", "-", match[1]).lower(), asked


def _python_package(name: str) -> Component:
    distribution = metadata.distribution(name)
    paths = [path for path in distribution.files or () if path.parts[0].endswith(".dist-info") and _is_text(path)]
    texts = [path.read_text("utf-8") for path in paths if path.locate().is_file()]  # type: ignore[attr-defined]
    texts += [text for file, text in _notices(_NOTICES) if file.partition(".")[0] == name]
    return Component(name, distribution.version, _licence(distribution.metadata), "python", tuple(texts))


def _is_text(path: PurePosixPath) -> bool:
    return "licenses" in path.parts[1:-1] or bool(_TEXT.match(path.name))


def _licence(about: metadata.PackageMetadata) -> str:
    """In the package's own words, from the newest of the three ways to say it to the oldest."""
    for word in about.get_all("License-Expression", []) + about.get_all("License", []):
        if word and word != "UNKNOWN" and len(word) <= _NAME_CHARS_MAX and "\n" not in word:
            return str(word)
    classes = [row.rpartition(" :: ")[2] for row in about.get_all("Classifier", []) if row.startswith("License ::")]
    return " or ".join(classes) or "see its text"


def _page_file(name: str, version: str, licence: str, file: str) -> Component:
    text = (files("leadenrich.web") / "static" / "licenses" / file).read_text("utf-8")
    return Component(name, version, licence, "page", (text,))


def _system() -> Iterator[Component]:
    """What a built file holds of the system it was built on: Python itself, OpenSSL and other libraries in C."""
    for file, text in _notices(f"{_NOTICES}/{SYSTEM}"):
        name, _, version = file.removesuffix(".txt").partition("_")
        yield Component(name, version, "see its text", "system", (text,))


def _notices(folder: str) -> list[tuple[str, str]]:
    """The texts that lie in a folder beside this module: name of the file, text."""
    place = files("leadenrich.cli").joinpath(*folder.split("/"))
    if not place.is_dir():
        return []
    return sorted((entry.name, entry.read_text("utf-8")) for entry in place.iterdir() if entry.name.endswith(".txt"))
