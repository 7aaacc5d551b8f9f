"""The settings in force, and what they make of a lead that was enriched before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from leadenrich.config import Config, Loaded, Row, RuleEntry, Source, outline, secret_values
from leadenrich.core.address import AddressRejected, NormalAddress, long_form, normalise
from leadenrich.core.property import LookupAnswer, NoMatch
from leadenrich.telemetry.redaction import Redactor
from leadenrich.web.shown import JobShown

# The rules and the mapping are read when a page first asks: no start and no idle daemon waits or holds memory for them.
if TYPE_CHECKING:
    from leadenrich.enrich.hindsight import Hindsight, Known
    from leadenrich.enrich.mapping import FieldMapping
    from leadenrich.enrich.rules import RuleSet

Sources: TypeAlias = Callable[[], Mapping[str, Source]]
_DUPLICATE: Final = "DUPLICATE_LEAD"


class Records(Protocol):
    """What was bought before. Raises: StoreUnavailable."""

    async def find(self, address: NormalAddress) -> LookupAnswer | None: ...


class Unknown(LookupError):
    """Why nothing can be said of a lead any more, in a sentence."""


class InForce:
    """`configure` may be called while it serves. `sources` tells where each setting is from; without `records` nothing
    that was bought is known."""

    def __init__(
        self,
        config: Config | None = None,
        sources: Sources = dict,
        records: Records | None = None,
    ) -> None:
        self._sources = sources
        self._records = records
        self.configure(config or Config())

    def configure(self, config: Config) -> None:
        self.config = config
        self._rules: RuleSet | None = None
        self._mapping: FieldMapping | None = None
        self._redactor: Redactor | None = None

    def rows(self) -> list[Row]:
        """Every setting, masked where it is secret, and where it is from."""
        return outline(Loaded(self.config, self._sources(), None))

    @property
    def redactor(self) -> Redactor:
        if self._redactor is None:
            self._redactor = Redactor(secret_values(self.config))
        return self._redactor

    @property
    def rules(self) -> RuleSet:
        if self._rules is None:
            self._rules = self.rules_with(self.config.rules)
        return self._rules

    def rules_with(self, entries: Sequence[RuleEntry]) -> RuleSet:
        """The preset's rules with others than the configuration's laid over them. Raises: SettingFaults."""
        from leadenrich.enrich.rules import compile_rules

        return compile_rules(self.config.enrichment.preset, entries)

    @property
    def mapping(self) -> FieldMapping:
        if self._mapping is None:
            from leadenrich.enrich.mapping import compile_mapping

            self._mapping = compile_mapping(self.config.enrichment.preset, self.config.mapping)
        return self._mapping

    async def look_back(self, job: JobShown, now: datetime, rules: RuleSet | None = None) -> Hindsight:
        """What these rules, else those in force, make of the job's lead. Buys nothing.

        Raises: Unknown; StoreUnavailable.
        """
        from leadenrich.enrich.hindsight import ends_before_a_look_up, look_back

        rules = rules or self.rules
        known = _known(job)
        if ends_before_a_look_up(rules, known):
            return look_back(rules, self.mapping, known, None, now)
        answer = await self._bought(known.address) if known.address else None
        if answer is None:
            raise Unknown(
                "the bought record is kept no longer (realestateapi.cache_ttl), or was bought for another address"
            )
        return look_back(rules, self.mapping, known, answer, now)

    async def _bought(self, address: NormalAddress) -> LookupAnswer | None:
        if self._records is None:
            return None
        answer = await self._records.find(address)
        if isinstance(answer, NoMatch) and self.config.realestateapi.second_spelling and (second := long_form(address)):
            return await self._records.find(second) or answer
        return answer


def _known(job: JobShown) -> Known:
    """Raises: Unknown."""
    from leadenrich.enrich.hindsight import Known
    from leadenrich.enrich.names import LeadNames

    lead = job.lead
    if lead is None:
        raise Unknown("the lead itself is kept no longer (queue.payload_retention)")
    names = LeadNames(lead.first_name, lead.last_name) if lead.first_name or lead.last_name else LeadNames(lead.name)
    if not lead.address and job.reason != "missing_address":
        raise Unknown("the lead came in without an address: HighLevel's contact had it, and only the run knew it")
    try:
        return Known(normalise(lead.address), names, _DUPLICATE in job.disqualified_by)
    except AddressRejected as rejected:
        return Known(None, names, reject=rejected.code)
