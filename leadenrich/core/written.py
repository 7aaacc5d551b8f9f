"""What was written to a contact, as a job's checkpoints keep it: small, for it stays as long as the job does.

JSON, deflated with a dictionary of what such JSON has in common: the 46 fields of a record are some 1,100 bytes, and
take about 220 so. A first byte names the dictionary: one that is changed gets the next number, and the old one stays.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from leadenrich.core.lead import FieldValue

FIELDS_STEP: Final = "fields"
TAGS_STEP: Final = "tags"
PACKED_MAX: Final = 2_048  # bytes
_TEXT_SIGNS: Final = 200  # of one value

_DICTIONARY: Final = (
    b"Condominium Corporate Townhouse Multi Family Trust Bank Pending Sold Active TX 7 CA 9 FL 3 IL 6 OH 4 NY 1 AZ 8 "
    b'St, Ave, Dr, Rd, Ln, Ct, Blvd, "INSUFFICIENT_DATA OWNER_MISMATCH,MLS_ACTIVE,LOW_EQUITY"'
    b'{"added":["DQ_MLS_ACTIVE","REVIEW","QUALIFIED"],"removed":[]}{"enrichment_status":"REVIEW","DISQUALIFIED",'
    b'"enrichment_status":"QUALIFIED","enriched_at":"2026-11-2","disqualified":"Yes","disqualified":"No",'
    b'"disqualify_reasons":"","property_data_id":"19184","owner_name":"Robin Smith","owner_2_name":"Robin Smith",'
    b'"owner_type":"Individual","owner_occupied":"Yes","absentee_owner":"No","corporate_owned":"No","years_owned":4.5,'
    b'"owner_mailing_address":"103 Main St, Springfield, IL 62704","property_type":"Single Family",'
    b'"property_use":"Single Family Residence","bedrooms":3,"bathrooms":2,"living_sqft":1710,"lot_sqft":8276,'
    b'"year_built":1962,"apn":"14-28.0-405-012","county":"Jefferson","property_address_matched":'
    b'"103 Main St, Springfield, IL 62704","vacant":"No","estimated_value":342000,"estimated_equity":40600,'
    b'"equity_percent":11,"mortgage_balance":301400,"mortgage_payment":2144,"lender_name":"Home Mortgage",'
    b'"free_and_clear":"No","assessed_value":103900,"suggested_rent":1240,"last_sale_date":"2022-05-20",'
    b'"last_sale_price":331000,"mls_status":"Off Market","mls_active":"No","mls_list_price":"","mls_list_date":"",'
    b'"mls_days_on_market":"","pre_foreclosure":"No","foreclosure_active":"No","auction_date":"","tax_lien":"No",'
    b'"tax_delinquent_year":"","inherited":"No","deal_signals":""}'
)
_VERSION: Final = b"\x01"


class Tags(msgspec.Struct, frozen=True):
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def pack_fields(written: Mapping[str, FieldValue]) -> bytes:
    """Key → value as it was sent. A long text is cut, ending in an ellipsis; where it is too much all the same, the
    keys stay and the values are None."""
    return _bounded(_pack({key: _short(value) for key, value in written.items()})) or _bounded(
        _pack(dict.fromkeys(written))
    )


def unpack_fields(packed: bytes | None) -> dict[str, FieldValue]:
    """Nothing of what cannot be read."""
    return _unpack(packed, dict[str, FieldValue]) or {}


def pack_tags(added: tuple[str, ...], removed: tuple[str, ...]) -> bytes:
    return _bounded(_pack(Tags(added, removed)))


def unpack_tags(packed: bytes | None) -> Tags:
    return _unpack(packed, Tags) or Tags()


def _bounded(packed: bytes) -> bytes:
    """Nothing of what is too long."""
    return packed if len(packed) <= PACKED_MAX else b""


def _short(value: FieldValue) -> FieldValue:
    if isinstance(value, list):
        return [str(_short(option)) for option in value]
    return f"{value[: _TEXT_SIGNS - 1]}…" if isinstance(value, str) and len(value) > _TEXT_SIGNS else value


def _pack(value: Any) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=_DICTIONARY)
    return _VERSION + deflate.compress(msgspec.json.encode(value)) + deflate.flush()


def _unpack(packed: bytes | None, kind: type[Any]) -> Any:
    if not packed or packed[:1] != _VERSION:
        return None
    inflate = zlib.decompressobj(-zlib.MAX_WBITS, zdict=_DICTIONARY)
    try:
        return msgspec.json.decode(inflate.decompress(packed[1:]) + inflate.flush(), type=kind)
    except (zlib.error, msgspec.DecodeError):
        return None
