"""Makes leadenrich/store/lead.zdict: what leads have in common, so that a small one is kept in a third of its bytes.

`python tests/lead_dictionary.py` trains it on made leads. Payloads in Redis name the dictionary they were packed with:
one that changes gets a new name, and the old file stays for what was packed with it.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import zstandard

from leadenrich.core.lead import EventKind, Lead, PostalAddress

DICTIONARY = Path(__file__).parent.parent / "leadenrich" / "store" / "lead.zdict"
BYTES = 6_144
LEADS = 20_000


def words(text: str) -> list[str]:
    return text.split()


FIRST = words(
    """James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph
    Jessica Thomas Karen Christopher Sarah Charles Lisa Daniel Nancy Matthew Sandra Anthony Betty Mark Ashley Jose
    Maria Luis Carmen"""
)
LAST = words(
    """Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson
    Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis
    Robinson"""
)
STREETS = words(
    """Main Oak Maple Cedar Pine Elm Washington Lake Hill Walnut Park River Sunset Highland Church Meadow Forest
    Jackson Lincoln Jefferson Spring Ridge Valley Franklin Willow 1st 2nd 3rd 4th 5th 27th"""
)
WAYS = words("St Ave Dr Rd Ln Ct Blvd Way Street Avenue Drive Road Lane Court Boulevard Circle Terrace Trail Place")
CITIES = (
    ("New York", "NY", "100"), ("Los Angeles", "CA", "900"), ("Chicago", "IL", "606"), ("Houston", "TX", "770"),
    ("Phoenix", "AZ", "850"), ("Philadelphia", "PA", "191"), ("San Antonio", "TX", "782"), ("San Diego", "CA", "921"),
    ("Dallas", "TX", "752"), ("Jacksonville", "FL", "322"), ("Austin", "TX", "787"), ("Fort Worth", "TX", "761"),
    ("Columbus", "OH", "432"), ("Charlotte", "NC", "282"), ("Indianapolis", "IN", "462"), ("Denver", "CO", "802"),
    ("Nashville", "TN", "372"), ("Oklahoma City", "OK", "731"), ("Las Vegas", "NV", "891"), ("Detroit", "MI", "482"),
    ("Memphis", "TN", "381"), ("Baltimore", "MD", "212"), ("Milwaukee", "WI", "532"), ("Tucson", "AZ", "857"),
    ("Kansas City", "MO", "641"), ("Atlanta", "GA", "303"), ("Miami", "FL", "331"), ("Tampa", "FL", "336"),
    ("Cleveland", "OH", "441"), ("Orlando", "FL", "328"), ("Saint Louis", "MO", "631"), ("Birmingham", "AL", "352"),
)  # fmt: skip
HOSTS = words("gmail.com gmail.com gmail.com yahoo.com hotmail.com outlook.com icloud.com aol.com comcast.net")
TAGS = """new lead|facebook|google ads|cash offer|absentee owner|motivated seller|hot lead|probate|foreclosure|vacant
|direct mail|cold call|website|inherited|tired landlord|pre-foreclosure|sms|skip traced|referral|appointment set"""
ANSWERS = """Yes|No|ASAP|30 days|Within 30 days|3-6 months|Just looking|Vacant|Owner occupied|Tenant occupied|Good|Fair
|Needs repairs|3 bed / 2 bath|4 bed / 2 bath|Inherited|Relocating|Divorce|$250,000|$180,000|Single Family|Not sure"""
KINDS: tuple[EventKind, ...] = ("create", "create", "workflow", "workflow", "update", "import", "api")
ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def made_lead(rng: Random) -> Lead:
    """As webhooks, imports and programs bring them; of nobody."""
    city, state, zip3 = rng.choice(CITIES)
    first, last = rng.choice(FIRST), rng.choice(LAST)
    kind = rng.choice(KINDS)
    told = {an_id(rng): rng.choice(ANSWERS.replace("\n", "").split("|")) for _ in range(rng.randrange(6))}
    street = (
        f"{rng.randrange(1, 20_000)} {rng.choice(['', '', '', 'N ', 'SW '])}{rng.choice(STREETS)} {rng.choice(WAYS)}"
    )
    return Lead(
        location_id=an_id(rng),
        contact_id=an_id(rng),
        kind=kind,
        event_ms=0 if kind in ("workflow", "import", "api") else 1_700_000_000_000 + rng.randrange(10**11),
        address=PostalAddress(street, city, state, f"{zip3}{rng.randrange(100):02}", rng.choice(["US", "US", ""])),
        first_name=first,
        last_name=last,
        name=rng.choice(["", f"{first} {last}"]),
        email=f"{first}{rng.choice(['.', '', '_'])}{last}{rng.randrange(100)}@{rng.choice(HOSTS)}".lower(),
        phone=f"+1{rng.randrange(2_010_000_000, 9_899_999_999)}",
        tags=tuple(rng.sample(TAGS.replace("\n", "").split("|"), rng.randrange(5))),
        custom_fields=told or None,
        workflow_id=f"{rng.getrandbits(64):016x}" if kind == "workflow" else "",
    )


def an_id(rng: Random) -> str:
    return "".join(rng.choices(ID, k=20))


if __name__ == "__main__":
    source = Random(1)
    leads = [msgspec.json.encode(made_lead(source)) for _ in range(LEADS)]
    DICTIONARY.write_bytes(zstandard.train_dictionary(BYTES, leads, dict_id=1, level=3).as_bytes())
