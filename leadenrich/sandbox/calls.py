"""What a fake vendor saw: one Call a request, kept for tests and for an operator's curiosity."""

from __future__ import annotations

from dataclasses import dataclass, field

from leadenrich.core.lead import Json


@dataclass(slots=True)
class Call:
    """One request as it arrived. `time` is monotonic seconds; `body` is None where none, or no JSON, was sent.

    `status` is 0 until the answer is known and stays 0 where the connection was dropped instead.
    `address_key` has the form of `NormalAddress.key`; `contact_id` and `location_id` are from the path or the body.
    """

    time: float
    provider: str
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Json = None
    address_key: str = ""
    contact_id: str = ""
    location_id: str = ""
    status: int = 0
