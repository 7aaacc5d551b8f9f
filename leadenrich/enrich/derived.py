"""The derived inputs, `@…`: what mapping and rules read that no single path of the record tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, TypeAlias

from leadenrich.core.lead import Json
from leadenrich.enrich.names import LeadNames, owner_match
from leadenrich.enrich.record import YEAR_MIN, PropertyRecord, as_day, as_flag, as_number, as_text

Kind: TypeAlias = Literal["flag", "number", "text", "date", "list", "object"]

# The vendor publishes a listing with type ForSale at 2,500 on a 490,308 condo: the price tells, not the type.
_RENT_WORDS = re.compile(r"(?<!cur)rent|(?<!re)lease", re.IGNORECASE)
# As MLS_ACTIVE and MLS_PENDING read them: the summary must not contradict the tag.
_ACTIVE: Final = frozenset({"active", "coming soon"})
_PENDING: Final = frozenset({"pending", "contingent", "active under contract"})
_SIGNALS: Final = (
    ("Pre-Foreclosure", ("data.preForeclosure",)),
    ("Bank Owned", ("data.bankOwned",)),
    ("Tax Lien", ("data.taxLien",)),
    ("Tax Delinquent", ()),
    ("Judgment", ("data.judgment",)),
    ("Inherited", ("data.inherited",)),
    ("Vacant", ("data.vacant",)),
    ("Absentee Owner", ("data.absenteeOwner", "data.ownerInfo.absenteeOwner")),
    ("Free and Clear", ("data.freeClear",)),
    ("High Equity", ("data.highEquity",)),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules' file sets for the derived inputs."""

    max_price_to_value: float = 0.03  # a listing below this share of the value is a rent
    owner_patterns: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = ()  # class → patterns; the first class wins


@dataclass(frozen=True, slots=True)
class Reading:
    """A record together with what its derived inputs depend on."""

    record: PropertyRecord
    today: date
    names: LeadNames = field(default_factory=LeadNames)
    limits: Limits = field(default_factory=Limits)

    def get(self, source: str) -> Json:
        """The value of a path, or of a derived input when `source` begins with `@`. None: missing."""
        return DERIVED[source].read(self) if source.startswith("@") else self.record.get(source)


@dataclass(frozen=True, slots=True)
class Derived:
    """One derived input: the kind of its value, how it reads in a sentence, and how it is made."""

    kind: Kind
    words: str
    read: Callable[[Reading], Json]


def _rental_suspected(reading: Reading) -> bool:
    record = reading.record
    if _RENT_WORDS.search(record.text("data.mlsType") or ""):
        return True
    price, value = record.number("data.mlsListingPrice"), record.number("data.estimatedValue")
    return price is not None and value is not None and 0 < price < reading.limits.max_price_to_value * value


def _last_sale_date(reading: Reading) -> str | None:
    paths = ("data.lastSaleDate", "data.lastSale.saleDate", "data.lastSale.recordingDate")
    return next((day.isoformat() for path in paths if (day := reading.record.day(path))), None)


def _last_sale_is_market(reading: Reading) -> bool | None:
    told = reading.record.flag("data.lastSale.armsLength")
    if told is not None:
        return told
    prices = [reading.record.number(path) for path in ("data.lastSalePrice", "data.lastSale.saleAmount")]
    known = [price for price in prices if price is not None]
    return any(price > 0 for price in known) if known else None  # 0: undisclosed, or no real sale


def _equity_percent(reading: Reading) -> int | float | None:
    number = reading.record.number
    told, value, equity = number("data.equityPercent"), number("data.estimatedValue"), number("data.estimatedEquity")
    if told is not None:
        return told
    if value is None or value <= 0:
        return None
    if equity is None:
        # The estimated balance is paid down; the open balance sums the loans as they were taken out.
        balance = number("data.estimatedMortgageBalance")
        owed = number("data.openMortgageBalance") if balance is None else balance
        equity = None if owed is None else value - owed
    return None if equity is None else as_number(round(100 * equity / value, 2))


def _has_building(reading: Reading) -> bool:
    paths = ("data.propertyInfo.livingSquareFeet", "data.propertyInfo.buildingSquareFeet")
    return any((reading.record.number(path) or 0) > 0 for path in paths)


def _owner_class(reading: Reading) -> str | None:
    """`government` or `bank`, by the owner's name; never of a person: Bank, Na and City are surnames too."""
    record = reading.record
    kind = record.text("data.ownerInfo.owner1Type")
    company = record.text("data.ownerInfo.companyName")
    if kind == "Individual" or (kind is None and company is None):
        return None
    names = [name for name in (record.text("data.ownerInfo.owner1FullName"), company) if name]
    if not names and (name := record.text("data.ownerInfo.ownerNames.0")):
        names = [name]
    for owner_class, patterns in reading.limits.owner_patterns:
        if any(pattern.search(name) for pattern in patterns for name in names):
            return owner_class
    return "other" if names else None


def _mls_summary(reading: Reading) -> str | None:
    active, pending = reading.record.flag("data.mlsActive"), reading.record.flag("data.mlsPending")
    status = (reading.record.text("data.mlsStatus") or "").casefold()
    if status in _ACTIVE | _PENDING:
        active, pending = active or status in _ACTIVE, pending or status in _PENDING
    if active or pending:
        if _rental_suspected(reading):
            return "Rental Listing"
        return "Listed" if active else "Pending"
    return None if active is None and pending is None else "Off Market"


def _foreclosure_flags(reading: Reading, *, with_auction: bool) -> bool | None:
    listed = reading.record.get("data.foreclosureInfo")
    told = [as_flag(row.get("active")) for row in reading.record.rows("data.foreclosureInfo")]
    if with_auction:
        told.append(reading.record.flag("data.auctionInfo.active"))
    if True in told:
        return True
    return False if False in told or listed == [] else None


def _next_auction_date(reading: Reading) -> str | None:
    """The next one from today, else the latest past one."""
    rows = (row.get("auctionDate") for row in reading.record.rows("data.foreclosureInfo"))
    raw = [reading.record.get("data.auctionInfo.auctionDate"), *rows]
    days = sorted(day for value in raw if (day := as_day(value)))
    coming = [day for day in days if day >= reading.today]
    return (coming[0] if coming else days[-1]).isoformat() if days else None


def _delinquent_year(reading: Reading) -> int | None:
    year = reading.record.number("data.taxInfo.taxDelinquentYear")
    return year if isinstance(year, int) and YEAR_MIN <= year <= reading.today.year + 1 else None


def _deal_signals(reading: Reading) -> list[Json]:
    flag = reading.record.flag
    labels: list[Json] = []
    if flag("data.auction"):
        labels.append(" ".join(filter(None, ("Auction", _next_auction_date(reading)))))
    for label, paths in _SIGNALS:
        if label == "Tax Delinquent":
            year = _delinquent_year(reading)
            labels += [f"{label} {year}"] if year else []
        elif next((told for path in paths if (told := flag(path)) is not None), False):
            labels.append(label)
    equity = _equity_percent(reading)
    if equity is not None and equity < 0:  # the record has no flag for it
        labels.append("Negative Equity")
    return labels


def _newest_listing(reading: Reading) -> tuple[str, dict[str, Json]] | None:
    dated = [
        (day.isoformat(), row)
        for row in reading.record.rows("data.mlsHistory")
        if (day := as_day(row.get("statusDate")) or as_day(row.get("lastStatusDate")))
    ]
    return max(dated, key=lambda pair: pair[0], default=None)


def _newest_listing_price(reading: Reading) -> int | float | None:
    newest = _newest_listing(reading)
    return as_number(newest[1].get("price")) if newest else None


def _newest_listing_date(reading: Reading) -> str | None:
    newest = _newest_listing(reading)
    return newest[0] if newest else None


def _open_mortgage_amount(reading: Reading) -> int | float | None:
    """The first open loan's amount when it was taken out; the sum of all when no loan is listed."""
    current = reading.record.rows("data.currentMortgages")
    history = [row for row in reading.record.rows("data.mortgageHistory") if row.get("open") is True]
    for loans in (current, history):
        first_lien = sorted(loans, key=lambda loan: as_text(loan.get("position")) != "First")  # keeps the order else
        amounts = [as_number(loan.get("amount")) for loan in first_lien]
        if known := [amount for amount in amounts if amount]:
            return known[0]
    return reading.record.number("data.openMortgageBalance")


DERIVED: Final[dict[str, Derived]] = {
    "@rental_suspected": Derived("flag", "the listing looks like a rental", _rental_suspected),
    "@last_sale_date": Derived("date", "the last sale", _last_sale_date),
    "@last_sale_is_market": Derived("flag", "the last sale was at arm's length", _last_sale_is_market),
    "@equity_percent": Derived("number", "equity in percent", _equity_percent),
    "@has_building": Derived("flag", "the property has a building", _has_building),
    "@owner_class": Derived("text", "the kind of owner by its name", _owner_class),
    "@owner_match": Derived(
        "text", "the lead's name against the owners", lambda reading: owner_match(reading.record, reading.names)
    ),
    "@mls_summary": Derived("text", "the listing in a word", _mls_summary),
    "@deal_signals": Derived("list", "the deal signals", _deal_signals),
    "@foreclosure_active": Derived(
        "flag", "a foreclosure or auction is active", lambda reading: _foreclosure_flags(reading, with_auction=True)
    ),
    "@foreclosure_listed": Derived(
        "flag", "a foreclosure is active", lambda reading: _foreclosure_flags(reading, with_auction=False)
    ),
    "@next_auction_date": Derived("date", "the auction", _next_auction_date),
    "@newest_listing_price": Derived("number", "the price of the newest past listing", _newest_listing_price),
    "@newest_listing_date": Derived("date", "the newest past listing", _newest_listing_date),
    "@open_mortgage_amount": Derived("number", "the amount of the open mortgage", _open_mortgage_amount),
}
