"""The sandbox's streets: the street decides what record a house on it has, in any town and with any number.

An operator can type `12 Listed Ln` into a contact and knows what will come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from leadenrich.sandbox.faults import Fault


@dataclass(frozen=True, slots=True)
class Street:
    """`sample` is a file in samples/, or `no_match`, whose form the house number decides (see catalogue.no_match).

    `owner` is the first and the last name on title. `at_first` befalls the first call for each address.
    """

    name: str
    sample: str
    owner: tuple[str, str] = ("Alex", "Sample")
    at_first: Fault | None = None

    @property
    def key(self) -> str:
        return street_key(self.name.upper())


def street_key(street: str) -> str:
    """The street's name without its type, so that `Listed Lane` is `LISTED LN`."""
    return street.rpartition(" ")[0] or street


_ALL: Final = (
    Street("Evergreen Ter", "sfr_clean"),
    Street("Listed Ln", "mls_active", ("Maria", "Delgado")),
    Street("Pending Pl", "mls_pending", ("Devon", "Price")),
    Street("Landlord Ln", "mls_rental_suspect", ("Priya", "Nair")),
    Street("Withdrawn Way", "mls_cancelled", ("Owen", "Fischer")),
    Street("Holdings Blvd", "corporate_owned", ("Grace", "Okafor")),
    Street("Foreclosed Rd", "bank_owned", ("Luis", "Romero")),
    Street("Civic Plz", "government_owned", ("Hannah", "Weiss")),
    Street("Trustee Ct", "trust_owned", ("Noah", "Lindqvist")),
    Street("Banker St", "owner_surname_bank", ("Ella", "Marsh")),
    Street("Leverage Ln", "low_equity", ("Marcus", "Hale")),
    Street("Underwater Dr", "negative_equity", ("Tessa", "Boyd")),
    Street("Freehold Ave", "free_clear", ("Walter", "Kim")),
    Street("Newowner Rd", "recent_sale", ("Irene", "Castillo")),
    Street("Quitclaim Ct", "recent_transfer_non_arms_length", ("Samir", "Haddad")),
    Street("Trailer Park Rd", "mobile_home", ("Bonnie", "Tate")),
    Street("Meadow Lot Rd", "vacant_land", ("Victor", "Novak")),
    Street("Office Park Dr", "commercial", ("Denise", "Albright")),
    Street("Apartment Row", "multifamily_5plus", ("Kofi", "Mensah")),
    Street("Courthouse Sq", "preforeclosure_auction", ("Rita", "Vaughn")),
    Street("Heritage Dr", "inherited_tax_delinquent", ("June", "Whitaker")),
    Street("Lakeview Ct", "condo_unit", ("Nina", "Petrov")),
    Street("Mismatch Rd", "address_mismatch", ("Carl", "Jensen")),
    Street("Zeroless Pass", "zip_without_leading_zero", ("Aisha", "Rahman")),
    Street("Stringer St", "numbers_as_strings", ("Leo", "Barnes")),
    Street("Sparse St", "sparse_nulls", ("Mona", "Frost")),
    Street("Minimal Ln", "minimal_keys", ("Theo", "Banks")),
    Street("Snakebark Trl", "last_sale_snake_key", ("Ivy", "Sutton")),
    Street("Centavo Ct", "tax_in_cents", ("Pablo", "Ortega")),
    Street("Novelty Way", "unknown_fields", ("Zoe", "Hart")),
    Street("Rehearsal Ave", "test_key", ("Felix", "Moreau")),
    Street("Flaky St", "sfr_clean", ("Ruth", "Adler"), Fault("bad_gateway")),
    Street("Turnstile Rd", "sfr_clean", ("Omar", "Farouk"), Fault("throttle", retry_after=1)),
    Street("Nowhere Ln", "no_match"),
)
STREETS: Final = {street.key: street for street in _ALL}
