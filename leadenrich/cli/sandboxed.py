"""The daemon's configuration turned to the two fake vendors: only the command line sees both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from leadenrich.cli.configuration import mapping_of
from leadenrich.config import Config, LocationSettings, Secret
from leadenrich.sandbox.server import Sandbox


@asynccontextmanager
async def sandboxed(config: Config) -> AsyncIterator[tuple[Config, Sandbox]]:
    """Start the fake vendors; the configuration calls only them, with their key and token, until the end."""
    fields = [(entry.name, entry.data_type) for entry in mapping_of(config).entries if entry.enabled]
    async with Sandbox(custom_fields=fields) as sandbox:
        yield turned_to(config, sandbox), sandbox


def turned_to(config: Config, sandbox: Sandbox) -> Config:
    """Nothing of the real vendors is left in it, so that no mistake can reach them."""
    location = LocationSettings(id=sandbox.location_id, token=Secret(sandbox.location_token))
    return replace(
        config,
        realestateapi=replace(
            config.realestateapi, base_url=sandbox.realestateapi_url, api_key=Secret(sandbox.api_key)
        ),
        ghl=replace(
            config.ghl,
            base_url=sandbox.ghl_url,
            public_keys=(sandbox.keys.public_pem,),
            app_id=None,
            locations=(location,),
        ),
    )
