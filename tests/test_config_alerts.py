"""The settings of alerts: a secret address, bounds, lists of numbers from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leadenrich.config import AlertSettings, ConfigFaults, Secret, load, outline
from leadenrich.config.outline import secret_values

URL = "https://hooks.example.org/services/T1/B1/hunter2-hunter2"


def alerts(**environ: str) -> AlertSettings:
    named = {f"LEADENRICH_ALERTS__{name.upper()}": value for name, value in environ.items()}
    return load(None, named, cwd=Path("/nonexistent")).config.alerts


def fault(key: str, **environ: str) -> str:
    with pytest.raises(ConfigFaults) as wrong:
        alerts(**environ)
    [found] = [fault.message for fault in wrong.value.faults if fault.key == f"alerts.{key}"]
    assert "hunter2" not in found
    return found


def test_the_address_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "alerts.url").write_text(f"{URL}\n")
    loaded = load(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, cwd=tmp_path)
    assert loaded.config.alerts.url == Secret(URL)
    assert "hunter2" not in str(outline(loaded)) + str(loaded.config)
    assert URL in secret_values(loaded.config)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://hooks.example.org/hunter2", "must be https"),
        ("https://10.0.0.1/hunter2", "leads to a private address; that needs server.allow_private_upstreams"),
        ("https://user:hunter2@hooks.example.org/", "must not hold a user or a password"),
        ("https://hooks.example.org/x?hunter2=a b", "must not hold blanks"),
        ("https://hooks.example.org/x?y#hunter2", "must not hold blanks, a fragment"),
        ("hooks.example.org/hunter2", "must be a URL like"),
    ],
)
def test_an_address_that_nothing_may_be_posted_to_is_a_fault(url: str, told: str) -> None:
    assert told in fault("url", url=url)


def test_a_query_may_hold_the_secret() -> None:
    assert alerts(url=f"{URL}?key=1&token=2").url == Secret(f"{URL}?key=1&token=2")


@pytest.mark.parametrize(
    ("text", "budget"), [("0.5", (0.5,)), ("0.8, 1", (0.8, 1.0)), ("[0.25, 0.75]", (0.25, 0.75)), ("", ())]
)
def test_thresholds_come_from_the_environment(text: str, budget: Any) -> None:
    assert alerts(budget=text).budget == budget


@pytest.mark.parametrize("text", ["80", "0.5,nan", "0", "-1", "much"])
def test_a_threshold_is_a_share(text: str) -> None:
    assert fault("budget", budget=text).startswith("expected a list of numbers above 0")


def test_a_minimum_that_never_comes_is_a_fault() -> None:
    assert "is above alerts.failed_last (10)" in fault("failed_minimum", failed_last="10")
