"""Finds and reads the configuration: environment before credentials, these before the file, it before defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from msgspec.structs import fields

from leadenrich.config.checks import cross_faults
from leadenrich.config.environment import keys, nearest_key, variables
from leadenrich.config.expectation import holds_secret
from leadenrich.config.faults import ConfigFaults, Fault, nearest
from leadenrich.config.reading import Reading, Source, Text
from leadenrich.config.secret import Secret
from leadenrich.config.settings import Config, LocationSettings

SYSTEM_PATH: Final = Path("/etc/leadenrich/config.toml")
_CREDENTIAL_BYTES_MAX: Final = 65_536
_INT_BITS_MAX: Final = 1024  # TOML promises 64
_TOO_LONG: Final = "holds a number that is too long"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration as understood. `sources` has one entry for each key; `path` is None where no file was found.

    `whole` is False where the file could not be read: what else would be said of the settings is then beside the point.
    """

    config: Config
    sources: Mapping[str, Source]
    path: Path | None
    whole: bool = True


def load(path: Path | None, environ: Mapping[str, str], *, cwd: Path | None = None) -> Loaded:
    """Read the configuration.

    Raises: ConfigFaults with every fault there is.
    """
    loaded, faults = read(path, environ, cwd=cwd)
    if faults:
        raise ConfigFaults(faults)
    return loaded


def read(path: Path | None, environ: Mapping[str, str], *, cwd: Path | None = None) -> tuple[Loaded, list[Fault]]:
    """As `load`, but answers what could be understood along with the faults; a faulty key has its default."""
    faults: list[Fault] = []
    found = find(path, environ, cwd=cwd)
    table = _parse(found, faults) if found else {}
    texts = {**_credentials(environ, faults), **variables(environ, faults)}
    reading = Reading(texts, Source("file", str(found or "")), faults)
    config = cast(Config, reading.struct(Config, "", table or {}))
    config = _with_location_tokens(config, reading)
    faults += _unknown(reading)
    if table is not None:
        faults += cross_faults(config)
    return Loaded(config, reading.sources, found, whole=table is not None), faults


def find(path: Path | None, environ: Mapping[str, str], *, cwd: Path | None = None) -> Path | None:
    """The file to read: `--config`, $LEADENRICH_CONFIG, ./config.toml, /etc/leadenrich/config.toml.

    The first two are answered whether they exist or not: who names a file wants that one.
    """
    if path is not None:
        return path
    if named := environ.get("LEADENRICH_CONFIG"):
        return Path(named)
    here = (cwd or Path.cwd()) / "config.toml"
    return next((candidate for candidate in (here, SYSTEM_PATH) if _stands(candidate)), None)


def _stands(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # there, but closed to us: a fault to report, not a file to skip
    return True


def _parse(path: Path, faults: list[Fault]) -> dict[str, Any] | None:
    """None when the file cannot be read: the fault is noted."""
    try:
        # Editors on other systems put a byte order mark in front, which TOML does not know.
        return parsed(path.read_bytes().decode("utf-8-sig"), str(path), faults)
    except OSError as error:
        faults.append(Fault(str(path), f"cannot be read: {error.strerror or error}"))
    except UnicodeDecodeError as error:
        faults.append(Fault(str(path), f"is not UTF-8 (byte {error.start + 1})"))
    return None


def parsed(text: str, name: str, faults: list[Fault]) -> dict[str, Any] | None:
    """A TOML text as a table; None when it is none: the fault is noted under `name`."""
    try:
        table = tomllib.loads(text)
        if not _holds_too_long_a_number(table):
            return table
        faults.append(Fault(name, _TOO_LONG))
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault(name, f"is not valid TOML: {error}"))
    except RecursionError:
        faults.append(Fault(name, "is nested too deeply"))
    except ValueError:  # of an int with more than 4,300 digits; tomllib lets it through
        faults.append(Fault(name, _TOO_LONG))
    return None


def _holds_too_long_a_number(table: dict[str, Any]) -> bool:
    """Python reads a hexadecimal int of any length, and then refuses to show it."""
    waiting: list[Any] = [table]  # without recursion: dotted keys nest as deep as they like
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, int) and value.bit_length() > _INT_BITS_MAX:
            return True
    return False


def _credentials(environ: Mapping[str, str], faults: list[Fault]) -> dict[str, Text]:
    """The files of $CREDENTIALS_DIRECTORY that bear the name of one of our keys; others are somebody else's."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return {}
    try:
        files = sorted(file for file in Path(folder).iterdir() if file.is_file())
    except OSError as error:
        faults.append(Fault("CREDENTIALS_DIRECTORY", f"cannot be read: {error.strerror or error}"))
        return {}
    secrets = {key for key, kind in keys(Config) if holds_secret(kind)} | {"redis.url"}  # that may hold a password
    sections = {section.name for section in fields(Config)}
    texts: dict[str, Text] = {}
    for file in files:
        if file.name.partition(".")[0] not in sections or "." not in file.name:
            continue
        if file.name not in secrets and not _is_location_token(file.name):
            faults.append(Fault(f"credential {file.name}", f"is no secret of ours{nearest(file.name, secrets)}"))
            continue
        try:
            content = file.read_bytes()[: _CREDENTIAL_BYTES_MAX + 1]
            if len(content) > _CREDENTIAL_BYTES_MAX:
                raise ValueError
            texts[file.name] = Text(content.decode().strip(), Source("credential", file.name))
        except OSError as error:
            faults.append(Fault(f"credential {file.name}", f"cannot be read: {error.strerror or error}"))
        except ValueError:
            faults.append(Fault(f"credential {file.name}", "is not a text of a sensible length"))
    return texts


def _is_location_token(key: str) -> bool:
    return key.startswith("ghl.locations.") and key.endswith(".token") and key.count(".") == 3


def _with_location_tokens(config: Config, reading: Reading) -> Config:
    """Put `ghl.locations.<id>.token` credentials into their locations; one that no list names is a location too."""
    tokens = {
        key.split(".")[2]: text
        for key, text in reading.texts.items()
        if _is_location_token(key) and text.source.name == key
    }
    listed_in_environment = reading.sources.get("ghl.locations", Source("default")).kind == "environment"
    locations = list(config.ghl.locations)
    for index, location in enumerate(locations):
        text = tokens.pop(location.id, None)
        reading.used.add(f"ghl.locations.{location.id}.token")
        if text is None or (listed_in_environment and location.token is not None):
            continue
        locations[index] = msgspec.structs.replace(location, token=_token(text, reading))
        reading.sources[f"ghl.locations[{index}].token"] = text.source
    for name, text in tokens.items():
        reading.used.add(f"ghl.locations.{name}.token")
        index = len(locations)
        locations.append(LocationSettings(id=name, token=_token(text, reading)))
        reading.sources |= {f"ghl.locations[{index}].id": text.source, f"ghl.locations[{index}].token": text.source}
    return msgspec.structs.replace(config, ghl=msgspec.structs.replace(config.ghl, locations=tuple(locations)))


def _token(text: Text, reading: Reading) -> Secret | None:
    if text.text:
        return Secret(text.text)
    reading.faults.append(Fault(f"credential {text.source.name}", "is empty"))
    return None


def _unknown(reading: Reading) -> Iterator[Fault]:
    for key, text in reading.texts.items():
        if key not in reading.used:
            yield Fault(key, f"unknown key (from {text.source}){nearest_key(key)}")
