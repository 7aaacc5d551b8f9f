"""Which sources there are: the paths of a record and the derived inputs, the kind of each, and which are forbidden."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final, get_args

from leadenrich.enrich.derived import DERIVED, Kind
from leadenrich.enrich.presets import paths_file

_INDEX = re.compile(r"\.\d+(?=\.|$)")
_TRAITS: Final = re.compile(
    r"ethnic|marital|gender|occupation|religio|^(age|race|sex|disability|nationality|nationalOrigin)$", re.IGNORECASE
)


@cache
def known_paths() -> dict[str, Kind]:
    """Path → kind; `*` stands for an index."""
    file = paths_file()
    kinds: tuple[Kind, ...] = get_args(Kind)
    return {path: kind for kind in kinds for path in getattr(file, kind)}


def kind_of(source: str) -> Kind | None:
    """The kind of value a path or a derived input has; None when nobody knows it."""
    if source.startswith("@"):
        return DERIVED[source].kind if source in DERIVED else None
    return known_paths().get(_INDEX.sub(".*", source))


def known_sources() -> list[str]:
    """Every name `kind_of` knows, as people write it."""
    return [*DERIVED, *(path.replace("*", "0") for path in known_paths())]


def forbidden(source: str, prefixes: Iterable[str]) -> bool:
    """Whether a rule may not read it: `prefixes` are the file's forbidden inputs (`persons[].age`, `data.schools`)."""
    plain = _INDEX.sub("", source.replace("[]", "")).casefold()
    for prefix in prefixes:
        banned = prefix.replace("[]", "").casefold()
        if plain == banned or plain.startswith(f"{banned}."):
            return True
    return plain.startswith("persons") or any(_TRAITS.search(part) for part in plain.split("."))
