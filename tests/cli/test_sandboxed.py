"""What `--sandbox` and the demo make of a configuration: nobody outside hears of it."""

from __future__ import annotations

import re

from leadenrich.cli.sandboxed import how_to_play, sandboxed
from leadenrich.config import AlertSettings, Config, Secret, secret_values
from leadenrich.sandbox.leads import demo_leads


async def test_nothing_of_the_real_ones_is_left() -> None:
    real = Config(alerts=AlertSettings(url=Secret("https://hooks.example.org/services/x")))
    async with sandboxed(real) as (config, sandbox):
        assert config.alerts.url is None
        assert config.realestateapi.base_url == sandbox.realestateapi_url
        assert config.ghl.base_url == sandbox.ghl_url
        assert "https://hooks.example.org/services/x" not in secret_values(config)


async def test_a_long_demo_meets_no_contact_that_is_unknown() -> None:
    async with sandboxed(Config(), leads=120) as (_, sandbox):
        known = sandbox.ghl.contacts
        assert not [lead.story for lead in demo_leads(120) if lead.in_ghl and lead.contact_id not in known]


async def test_what_another_command_needs_to_look_at_the_same_is_told_without_a_secret() -> None:
    async with sandboxed(Config()) as (_, sandbox):
        told = how_to_play(
            sandbox, "http://127.0.0.1:8090", own_token=True, redis=("redis://:a-password@127.0.0.1:6399/2", "played")
        )
        embedded = how_to_play(sandbox, None, own_token=False, redis=None)
    given = dict(re.findall(r"export LEADENRICH_(\w+)=(.+)", told))
    assert given["SERVER__PORT"] == "8090"
    assert "127.0.0.1:6399/2" in given["REDIS__URL"]
    assert given["QUEUE__NAME"] == "played"
    assert "a-password" not in told
    assert "GHL__WEBHOOK_TOKEN" not in given, "its own is not shown"
    assert "export LEADENRICH_GHL__WEBHOOK_TOKEN=demo\n" in embedded
    assert "REDIS__URL" not in embedded
    assert "SERVER__PORT" not in embedded
