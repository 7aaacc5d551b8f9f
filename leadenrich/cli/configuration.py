"""What every command that needs the configuration does first."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import NoReturn

from leadenrich.cli.status import WRONG_CONFIG
from leadenrich.config import Config, Fault, Loaded, placeholder_faults, read, worker_faults
from leadenrich.enrich.faults import SettingFaults
from leadenrich.enrich.mapping import FieldMapping, compile_mapping
from leadenrich.enrich.rules import RuleSet, compile_rules


def understood(args: argparse.Namespace) -> tuple[Loaded, list[Fault]]:
    """The configuration and everything that is wrong with it, mapping and rules included."""
    loaded, faults = read(args.config, os.environ)
    for compiled in (mapping_of, rules_of):
        try:
            compiled(loaded.config)
        except SettingFaults as wrong:
            faults += [Fault(key, message) for key, message in wrong.faults]
    if not getattr(args, "sandbox", False):  # the fakes bring a key and a location of their own
        faults += placeholder_faults(loaded.config)
    return loaded, faults


def fit_to_serve(args: argparse.Namespace) -> tuple[Loaded, list[Fault]]:
    """As `understood`, with what the daemon, or the half that `--only` names, cannot do without."""
    loaded, faults = understood(args)
    if loaded.whole and args.only != "web" and not getattr(args, "sandbox", False):
        # A key that is there and wrong is not missing as well.
        told = tuple(fault.key for fault in faults)
        faults += [fault for fault in worker_faults(loaded.config) if not any(it.startswith(fault.key) for it in told)]
    return loaded, faults


def usable(args: argparse.Namespace) -> Loaded:
    """The configuration. Exits with status 78, each fault on its own line, when it cannot be used."""
    return _or_refuse(understood(args))


def usable_to_serve(args: argparse.Namespace) -> Loaded:
    """As `usable`, with what the daemon cannot do without."""
    return _or_refuse(fit_to_serve(args))


def mapping_of(config: Config) -> FieldMapping:
    """Raises: SettingFaults."""
    return compile_mapping(config.enrichment.preset, config.mapping)


def rules_of(config: Config) -> RuleSet:
    """Raises: SettingFaults."""
    return compile_rules(config.enrichment.preset, config.rules)


def _or_refuse(found: tuple[Loaded, list[Fault]]) -> Loaded:
    loaded, faults = found
    if faults:
        refuse(faults)
    return loaded


def refuse(faults: Iterable[Fault]) -> NoReturn:
    """Print the faults and exit."""
    tell(faults)
    sys.exit(WRONG_CONFIG)


def tell(faults: Iterable[Fault]) -> None:
    """Each fault on its own line, to stderr: a value that was quoted cannot add lines of its own."""
    for fault in faults:
        print("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(fault)), file=sys.stderr)
