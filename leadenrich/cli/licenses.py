"""`leadenrich licenses`: what the program is made of, and under which licences."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from leadenrich.cli.components import Component, components
from leadenrich.cli.status import DONE, USAGE

_OWN: Final = "leadenrich itself is under the MIT licence."


def run(args: argparse.Namespace) -> int:
    """2 for a name that is not there."""
    found = components()
    if args.names:
        wanted = {name.lower() for name in args.names}
        chosen = [it for it in found if it.name.lower() in wanted]
        if unknown := sorted(wanted - {it.name.lower() for it in chosen}):
            print(f"leadenrich: licenses: not part of it: {', '.join(unknown)}", file=sys.stderr)
            return USAGE
        found = chosen
    if args.json:
        print(msgspec.json.encode(found).decode())
    elif args.texts or args.names:
        print("\n\n".join(_told(it) for it in found))
    else:
        print(_listed(found))
    return DONE


def _listed(found: Sequence[Component]) -> str:
    """Plain columns: a licence is looked up by grep as often as by eye."""
    names = max(len(it.name) for it in found)
    versions = max(len(it.version) for it in found)
    rows = [f"{it.name:{names}}  {it.version:{versions}}  {it.licence}" for it in found]
    return "\n".join([*rows, "", f"{_OWN} The texts: leadenrich licenses --texts, or leadenrich licenses NAME"])


def _told(component: Component) -> str:
    head = f"{component.name} {component.version}: {component.licence}"
    texts = [text.strip("\n") for text in component.texts]
    return "\n\n".join([f"{head}\n{'=' * len(head)}", *texts])
