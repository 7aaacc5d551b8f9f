"""The daemon's configuration turned to the two fake vendors: only the command line sees both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec.structs import replace

from leadenrich.cli.configuration import mapping_of
from leadenrich.config import Config, LocationSettings, Secret
from leadenrich.sandbox.leads import LEAD_KINDS, demo_leads
from leadenrich.sandbox.server import Sandbox

TOKEN: Final = "demo"  # noqa: S105 no secret: of the fakes' workflow webhooks, where the configuration has none
_SHOWN_LEADS: Final = (0, 1, 4)  # of the demo's: one that qualifies, one that does not, one that takes two tries


@asynccontextmanager
async def sandboxed(config: Config, *, leads: int = 0) -> AsyncIterator[tuple[Config, Sandbox]]:
    """Start the fake vendors; the configuration calls only them, with their key and token, until the end.

    `leads` is how many of the demo's leads they must know; one of each kind they always do.
    """
    fields = [(entry.name, entry.data_type) for entry in mapping_of(config).entries if entry.enabled]
    async with Sandbox(custom_fields=fields, leads=demo_leads(max(leads, LEAD_KINDS))) as sandbox:
        yield turned_to(config, sandbox), sandbox


def turned_to(config: Config, sandbox: Sandbox) -> Config:
    """Nothing of the real vendors is left in it, so that no mistake can reach them; nor is anybody alarmed."""
    location = LocationSettings(id=sandbox.location_id, token=Secret(sandbox.location_token))
    return replace(
        config,
        alerts=replace(config.alerts, url=None),
        realestateapi=replace(
            config.realestateapi, base_url=sandbox.realestateapi_url, api_key=Secret(sandbox.api_key)
        ),
        ghl=replace(
            config.ghl,
            base_url=sandbox.ghl_url,
            public_keys=(sandbox.keys.public_pem,),
            app_id=None,
            locations=(location,),
            webhook_token=config.ghl.webhook_token or Secret(TOKEN),
        ),
    )


def how_to_play(sandbox: Sandbox, url: str | None, *, own_token: bool, embedded: bool) -> str:
    """What to call, and with what. `own_token`: the configuration has one, which is not shown.

    `embedded`: so is Redis, and no other process can look into it.
    """
    token = "YOUR_WEBHOOK_TOKEN" if own_token else TOKEN
    leads = demo_leads(max(_SHOWN_LEADS) + 1)
    contacts = [f"{it.contact_id}  {it.address.line1} ({it.story})" for it in (leads[at] for at in _SHOWN_LEADS)]
    place = leads[0].address
    elsewhere = [
        f"export LEADENRICH_REALESTATEAPI__BASE_URL={sandbox.realestateapi_url}",
        f"export LEADENRICH_REALESTATEAPI__API_KEY={sandbox.api_key}",
        f"export LEADENRICH_GHL__BASE_URL={sandbox.ghl_url}",
        f"export LEADENRICH_GHL__LOCATIONS={sandbox.location_id}={sandbox.location_token}",
        "leadenrich setup; leadenrich backfill --dry-run"
        if embedded
        else f"leadenrich setup; leadenrich doctor; leadenrich enrich {leads[0].contact_id}",
    ]
    if embedded:
        elsewhere.append(
            "(enrich, jobs and status look into Redis, and this one is embedded: use the page and the API)"
        )
    told = [
        ("send leads", [f"POST {url}/webhooks/ghl/workflow?token={token}"] if url else []),
        ("location", [sandbox.location_id]),
        (f"contacts, all in {place.city}, {place.state} {place.postal_code}", contacts),
        ("order faults", [f"POST {it}/_sandbox/faults" for it in (sandbox.realestateapi_url, sandbox.ghl_url)]),
        ("other commands, in another terminal", elsewhere),
    ]
    lines = [line for name, rows in told if rows for line in (f"  {name}:", *(f"    {row}" for row in rows))]
    return "\n".join(["Both vendors are fakes, and what they know ends with this process.", *lines])
