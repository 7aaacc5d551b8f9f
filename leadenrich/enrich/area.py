"""The area a user works in: states, counties, zips, zip prefixes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COUNTY_WORD = re.compile(r"\b(county|parish|borough)\b")


def plain_county(name: str) -> str:
    """`Cook County` and `COOK` alike."""
    return " ".join(_COUNTY_WORD.sub(" ", name.casefold()).replace(".", " ").split())


@dataclass(frozen=True, slots=True)
class Area:
    """States are upper-case codes. A county is `name` or `name, ST`: many states have a Washington County.

    A place is inside when its zip is listed (whole or by prefix), or when it passes the lists of states and of
    counties that are filled: counties narrow states, zips add to them.
    """

    states: tuple[str, ...] = ()
    counties: tuple[str, ...] = ()
    zips: tuple[str, ...] = ()
    zip_prefixes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.states or self.counties or self.zips or self.zip_prefixes)

    def outside(self, *, state: str, zip5: str, county: str) -> bool | None:
        """None while that cannot be told: parts not known are ""."""
        by_zip = bool(self.zips or self.zip_prefixes)
        if by_zip and zip5 and (zip5 in self.zips or zip5.startswith(self.zip_prefixes)):
            return False
        inside: bool | None = False
        if self.states or self.counties:
            told = (self._in_states(state), self._in_counties(county, state))
            inside = False if False in told else None if None in told else True
        if inside is False and by_zip and not zip5:
            return None
        return None if inside is None else not inside

    def _in_states(self, state: str) -> bool | None:
        if not self.states:
            return True
        return state in self.states if state else None

    def _in_counties(self, county: str, state: str) -> bool | None:
        if not self.counties:
            return True
        if not county:
            return None
        for entry in self.counties:
            name, _, of_state = entry.partition(",")
            if plain_county(name) == plain_county(county) and _same_state(of_state, state):
                return True
        return False

    def words(self) -> str:
        lists = (
            ("states", self.states),
            ("counties", self.counties),
            ("zips", self.zips),
            ("zips that begin with", self.zip_prefixes),
        )
        return "; ".join(f"{name} {', '.join(entries)}" for name, entries in lists if entries) or "none is set"


def _same_state(wanted: str, state: str) -> bool:
    return not wanted.strip() or not state or wanted.strip().upper() == state
