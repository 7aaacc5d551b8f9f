"""The daemon's configuration turned to the two fake vendors: only the command line sees both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from shlex import quote
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from leadenrich.cli.configuration import mapping_of
from leadenrich.config import Config, LocationSettings, Secret, without_password
from leadenrich.sandbox.leads import LEAD_KINDS, demo_leads
from leadenrich.sandbox.server import Sandbox

TOKEN: Final = "demo"  # noqa: S105 no secret: of the fakes' workflow webhooks, where the configuration has none
_FAULT: Final = '{"kind": "throttle", "retry_after": 5, "times": 3}'
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


def how_to_play(sandbox: Sandbox, url: str | None, *, own_token: bool, redis: tuple[str, str] | None) -> str:
    """What to call, and with what. `own_token`: the configuration has one, which is not shown.

    `redis` is its address and the queue's name; None: it is embedded, and no other process can look into it.
    """
    token = "YOUR_WEBHOOK_TOKEN" if own_token else TOKEN
    leads = demo_leads(max(_SHOWN_LEADS) + 1)
    contacts = [f"{it.contact_id}  {it.address.line1} ({it.story})" for it in (leads[at] for at in _SHOWN_LEADS)]
    place, faults = leads[0].address, "/_sandbox/faults"
    told = [
        ("send leads", [f"POST {url}/webhooks/ghl/workflow?token={token}"] if url else []),
        ("location", [sandbox.location_id]),
        (f"contacts, all in {place.city}, {place.state} {place.postal_code}", contacts),
        (
            "order faults, of one vendor each",
            [
                f"RealEstateAPI: POST {sandbox.realestateapi_url}{faults}",
                f"HighLevel:     POST {sandbox.ghl_url}{faults}",
                f"as in: curl {sandbox.realestateapi_url}{faults} -d '{_FAULT}'",
                "GET shows what is armed, DELETE clears it, and an order without a kind is answered with all kinds",
            ],
        ),
        ("other commands, in another terminal", _elsewhere(sandbox, url, own_token=own_token, redis=redis)),
    ]
    lines = [line for name, rows in told if rows for line in (f"  {name}:", *(f"    {row}" for row in rows))]
    return "\n".join(["Both vendors are fakes, and what they know ends with this process.", *lines])


def _elsewhere(sandbox: Sandbox, url: str | None, *, own_token: bool, redis: tuple[str, str] | None) -> list[str]:
    """What makes another command look at this daemon, its Redis and its vendors. No secret of the configuration's."""
    redis_url, queue = redis or ("", "")
    settings = {
        "REALESTATEAPI__BASE_URL": sandbox.realestateapi_url,
        "REALESTATEAPI__API_KEY": sandbox.api_key,
        "GHL__BASE_URL": sandbox.ghl_url,
        "GHL__LOCATIONS": f"{sandbox.location_id}={sandbox.location_token}",
        "GHL__WEBHOOK_TOKEN": "" if own_token else TOKEN,
        "REDIS__URL": without_password(redis_url) if redis_url else "",
        "QUEUE__NAME": queue,
        "SERVER__PORT": str(urlsplit(url).port) if url else "",
    }
    exports = [f"export LEADENRICH_{name}={quote(value)}" for name, value in settings.items() if value]
    if redis is None:
        return [
            *exports,
            "leadenrich setup; leadenrich backfill --dry-run",
            "(enrich, jobs and status look into Redis, and this one is embedded: use the page and the API)",
        ]
    return [*exports, f"leadenrich setup; leadenrich doctor; leadenrich enrich {demo_leads(1)[0].contact_id}"]
