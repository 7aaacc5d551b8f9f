"""Settings as environment variables: which there are, and what a variable nobody knows was probably meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import fields

from leadenrich.config.faults import Fault, nearest
from leadenrich.config.reading import Source, Text
from leadenrich.config.settings import Config

PREFIX: Final = "LEADENRICH_"
_OURS: Final = frozenset({"LEADENRICH_CONFIG"})  # no settings; read elsewhere
_WHOLE: Final = frozenset({"RULES", "MAPPING"})  # sections that one variable gives as JSON
# Kubernetes sets these in every container beside a service that is named leadenrich.
_OF_KUBERNETES: Final = re.compile(r"SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_OF_KUBERNETES_PORT: Final = re.compile(r"(tcp|udp|sctp)://")  # as a value of LEADENRICH_PORT


def variables(environ: Mapping[str, str], faults: list[Fault]) -> dict[str, Text]:
    """`LEADENRICH_<SECTION>__<KEY>` by dotted key. Any other variable of our prefix is a fault: it would do nothing."""
    texts: dict[str, Text] = {}
    for name, value in environ.items():
        rest = name.removeprefix(PREFIX)
        if rest == name or name in _OURS:
            continue
        if not _is_utf8(name + value):
            faults.append(Fault(name.encode(errors="backslashreplace").decode(), "is not UTF-8"))
        elif "__" in rest or rest in _WHOLE:
            texts[rest.replace("__", ".").lower()] = Text(value, Source("environment", name))
        elif not _of_kubernetes(rest, value):
            faults.append(Fault(name, f"unknown variable{_meant(rest)}"))
    return texts


def keys(kind: type[Struct], key: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its type; of tables of tables the name alone."""
    for member in fields(kind):
        path = f"{key}.{member.name}" if key else member.name
        if isinstance(member.type, type) and issubclass(member.type, Struct):
            yield from keys(member.type, path)
        else:
            yield path, member.type


def nearest_key(key: str) -> str:
    """The hint for a dotted key nobody knows: within its section, where that is known."""
    known = [name for name, _ in keys(Config)]
    section, dot, name = key.partition(".")
    there = {it.partition(".")[2]: it for it in known if it.startswith(f"{section}.")}
    if not (dot and there):
        return nearest(key, known)
    hint = nearest(name, there)
    for short, whole in there.items():
        hint = hint.replace(f"`{short}`", f"`{whole}`")
    return hint


def _meant(rest: str) -> str:
    """The hint for a variable that lacks the double underscore, or more than that."""
    known = {key.replace(".", "_"): key for key, _ in keys(Config)}
    wanted = rest.lower()
    if wanted not in known:
        section = next((it.name for it in fields(Config) if wanted.startswith(f"{it.name}_")), "")
        known = {flat: key for flat, key in known.items() if flat.startswith(f"{section}_")} or known
    hint = "" if wanted in Config.__struct_fields__ else nearest(wanted, known)
    if "did you mean" not in hint:
        return f"; a setting is written {PREFIX}<SECTION>__<KEY>, as in {_variable('queue.attempts')}"
    for flat, key in known.items():
        hint = hint.replace(f"`{flat}`", f"`{_variable(key)}`")
    return hint


def _is_utf8(text: str) -> bool:
    """Bytes that are none come as lone surrogates, which nothing can encode again."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "__").upper()


def _of_kubernetes(rest: str, value: str) -> bool:
    if rest == "PORT":
        return _OF_KUBERNETES_PORT.match(value) is not None
    return _OF_KUBERNETES.fullmatch(rest) is not None
