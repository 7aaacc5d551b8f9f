"""config.example.toml documents every key with its default: held against the settings, both ways."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from leadenrich.config import Config, load, notices

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"
# Set in the example because nothing works without them; the tables of tables are shown by examples.
MUST_BE_SET = {"realestateapi.api_key", "ghl.locations"}
BY_EXAMPLE = {"mapping", "rules"}


def documented() -> dict[str, Any]:
    """Key → value as the example has it, commented out or not."""
    values: dict[str, Any] = {}
    section = ""
    for line in EXAMPLE.read_text().splitlines():
        if header := re.fullmatch(r"#?\[+([a-z.]+)\]+", line):
            section = header[1]
        elif setting := re.fullmatch(r"#?([a-z_0-9]+) = (.+)", line):
            values[f"{section}.{setting[1]}"] = tomllib.loads(f"x = {setting[2]}")["x"]
    return values


def defaults() -> dict[str, Any]:
    """Key → default as the structs have it."""
    config = Config()
    return {
        f"{section.name}.{member.name}": getattr(getattr(config, section.name), member.name)
        for section in fields(Config)
        if isinstance(getattr(config, section.name), Struct)
        for member in fields(getattr(config, section.name))
    }


def test_every_key_stands_in_the_example_with_its_default() -> None:
    shown, ours = documented(), defaults()
    assert ours.keys() | shown.keys() >= MUST_BE_SET
    for key, default in ours.items():
        if key in MUST_BE_SET:
            continue
        assert key in shown, f"{key} is not documented"
        expected = "" if default is None else list(default) if isinstance(default, tuple) else default
        assert shown[key] == expected, key
        assert type(shown[key]) is type(expected), key


def test_the_example_shows_no_key_that_does_not_exist() -> None:
    known = defaults().keys() | {"ghl.locations.id", "ghl.locations.token"}
    assert {key for key in documented() if key.partition(".")[0] not in BY_EXAMPLE} <= known


def test_every_key_has_its_words() -> None:
    """A comment above it; few names need none."""
    lines = EXAMPLE.read_text().splitlines()
    settings = [
        (line.lstrip("#").partition(" = ")[0], before)
        for before, line in itertools.pairwise(lines)
        if re.match(r"#?[a-z_0-9]+ = ", line)
    ]
    bare = {
        name for name, before in settings if not before.startswith("# ") and not before.startswith("#keep_succeeded")
    }
    assert bare <= {"base_url", "api_version", "timeout", "id", "token", "annual_tax", "stories", "code", "enabled"}


def test_the_example_loads_and_reminds_of_what_is_to_be_set() -> None:
    loaded = load(EXAMPLE, {})
    assert [notice.key for notice in notices(loaded.config)] == ["realestateapi.api_key", "ghl.locations[0].token"]


def test_the_example_loads_with_every_comment_taken_away(tmp_path: Path) -> None:
    """What an operator gets who uncomments a line: valid TOML, of the right type. Empty secrets stay out."""
    text = re.sub(r"^#(?=[a-z_0-9]+ = |\[)", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    text = re.sub(r'^\w+ = ""\n', "", text, flags=re.MULTILINE)
    path = tmp_path / "config.toml"
    path.write_text(text)
    config = load(path, {}).config
    assert config.queue == Config().queue
    assert config.rules[0].code == "MOBILE_HOME"
    assert config.mapping["annual_tax"].enabled is True
