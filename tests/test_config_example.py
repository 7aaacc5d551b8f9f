"""config.example.toml documents every key with its default: held against the settings, both ways."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import fields

from leadenrich.config import Config, load, notices, placeholder_faults, worker_faults
from leadenrich.config.checks import EXAMPLES

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"
# Set in the example because nothing works without them; the tables of tables are shown by examples.
MUST_BE_SET = {"realestateapi.api_key", "ghl.locations"}
BY_EXAMPLE = {"mapping", "rules"}


def documented() -> dict[str, Any]:
    """Key → value as the example has it, commented out or not."""
    values: dict[str, Any] = {}
    section = ""
    for line in EXAMPLE.read_text().splitlines():
        if header := re.fullmatch(r"(?:#  )?\[+([a-z.]+)\]+", line):
            section = header[1]
        elif setting := re.fullmatch(r"#?(?:  )?([a-z_0-9]+) = (.+)", line):
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
        if default is None:
            assert shown[key], f"{key} has no default: an example is of more use than an empty text"
            assert "an example" in words_of(key), f"{key} does not say that it is one"
            continue
        expected = list(default) if isinstance(default, tuple) else default
        assert shown[key] == expected, key
        assert type(shown[key]) is type(expected), key


def words_of(key: str) -> str:
    """The comment above a key."""
    section, name = key.split(".")
    text = EXAMPLE.read_text().split(f"\n[{section}]\n")[1]
    return re.split(r"\n(?!# )", text.split(f"\n#{name} = ")[0])[-1]


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


def test_the_example_says_what_is_still_to_be_set() -> None:
    config = load(EXAMPLE, {}).config
    assert [fault.key for fault in placeholder_faults(config)] == [
        "ghl.locations[0].id",
        "realestateapi.api_key",
        "ghl.locations[0].token",
    ]
    assert not notices(config)


def filled_in(tmp_path: Path, pattern: str) -> Config:
    """The example with its placeholders filled in, and the # taken from all lines that match."""
    text = re.sub(pattern, "", EXAMPLE.read_text().replace('"CHANGE-ME"', '"filled-in"'), flags=re.MULTILINE)
    (tmp_path / "config.toml").write_text(text)
    return load(tmp_path / "config.toml", {}).config


@pytest.mark.parametrize("pattern", [r"^#(?=[a-z_0-9]+ = )", r"^#(?=(  )?([a-z_0-9]+ = |\[))"], ids=["keys", "all"])
def test_the_example_loads_with_every_comment_taken_away(tmp_path: Path, pattern: str) -> None:
    """What an operator gets who uncomments every line: nothing that `check` refuses."""
    config = filled_in(tmp_path, pattern)
    assert not placeholder_faults(config) + worker_faults(config)
    assert config.queue == Config().queue
    assert config.mapping["annual_tax"].enabled is True
    assert [rule.code for rule in config.rules] == ([] if "(  )" not in pattern else ["MOBILE_HOME"])


def test_a_token_that_everybody_can_read_in_the_example_is_told(tmp_path: Path) -> None:
    assert [notice.key for notice in notices(filled_in(tmp_path, r"^#(?=[a-z_0-9]+ = )"))] == list(EXAMPLES)
    assert not notices(filled_in(tmp_path, "$^"))
