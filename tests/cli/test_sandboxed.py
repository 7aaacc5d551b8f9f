"""What `--sandbox` and the demo make of a configuration: nobody outside hears of it."""

from __future__ import annotations

from leadenrich.cli.sandboxed import sandboxed
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
