"""Notices when a vendor's records change their shape.

A renamed member reads like "not known", and every lead would pass. One odd record is for the rules to judge
(INSUFFICIENT_DATA). Many say that the vendor changed its answers: then nothing is bought until a person has looked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

import structlog

from leadenrich.core.errors import ProviderOut
from leadenrich.core.lead import Json

WINDOW: Final = 50  # records
ODD_MAX: Final = 10  # of them: a fifth

# What every full record of the vendor's reference holds and the rules decide on; null counts as held.
EXPECTED: Final[Mapping[str, tuple[type, ...]]] = {
    "id": (str, int, float),
    "propertyType": (str,),
    "propertyInfo": (dict,),
    "ownerInfo": (dict,),
    "estimatedValue": (int, float, str),
    "mlsActive": (bool,),
    "lastSaleDate": (str,),
    "equityPercent": (int, float, str),
}

log = structlog.get_logger("leadenrich.providers")


class DriftWatch:
    """Looks at each record that was bought; `check` before the next one is."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._seen: deque[tuple[str, ...]] = deque(maxlen=WINDOW)

    def saw(self, data: Mapping[str, Json]) -> None:
        """`data` is the record without what is around it. Nothing of its values is kept or told."""
        odd = oddities(data)
        self._seen.append(odd)
        if odd:
            log.warning("record_of_another_shape", provider=self._provider, odd=list(odd), members=sorted(data)[:200])

    def check(self) -> None:
        """Raises: ProviderOut, once: the pause that it makes is for everybody, and ends when a person says so."""
        odd = [oddity for oddity in self._seen if oddity]
        if len(odd) <= ODD_MAX:
            return
        names = sorted({name for oddity in odd for name in oddity})
        text = (
            f"{self._provider}: {len(odd)} of the last {len(self._seen)} records have another shape than documented "
            f"({', '.join(names)}): compare one with the mapping, then resume"
        )
        self._seen.clear()  # whoever resumes has looked
        raise ProviderOut(text, provider=self._provider, kind="operator")


def oddities(data: Mapping[str, Json]) -> tuple[str, ...]:
    """The expected members that are missing or of another type."""
    return tuple(
        name
        for name, types in EXPECTED.items()
        if name not in data or not (data[name] is None or _is(data[name], types))
    )


def _is(value: Json, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):  # a bool is an int to Python
        return bool in types
    return isinstance(value, types)
