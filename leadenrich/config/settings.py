"""Every setting: type, unit, default, bound, sentence.

The comment by a setting is its documentation; `config.example.toml` is held against this file by a test.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from leadenrich.config.secret import Secret
from leadenrich.core.lead import Json

NotNegative: TypeAlias = Annotated[float, Meta(ge=0)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Rate: TypeAlias = Annotated[float, Meta(ge=0, le=1_000_000)]  # a second; 0 = no limit


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the configuration file."""


class ServerSettings(Section, frozen=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080  # 0: any free port
    admin_token: Secret | None = None
    viewer_token: Secret | None = None
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 262_144  # also after decompression
    spool: str | None = None  # a file that takes webhooks while Redis is away
    metrics: Literal["open", "token", "off"] = "open"
    allow_private_upstreams: bool = False


class RedisSettings(Section, frozen=True):
    url: str = "redis://127.0.0.1:6379/0"
    allow_volatile: bool = False
    connect_timeout: NotNegative = 10.0  # seconds


class QueueSettings(Section, frozen=True):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "lead-enrichment"
    attempts: Annotated[int, Meta(ge=1)] = 3
    backoff_delay: NotNegative = 30.0  # seconds
    backoff_jitter: NotNegative = 0.0  # share of the delay
    keep_succeeded: Count = 10_000  # jobs
    keep_failed: Count = 10_000  # jobs
    dedup_window: NotNegative = 86_400.0  # seconds
    delivery_window: NotNegative = 604_800.0  # seconds
    workflow_window: NotNegative = 600.0  # seconds
    throttle_deadline: NotNegative = 86_400.0  # seconds
    payload_retention: NotNegative = 2_592_000.0  # seconds
    max_stalled: Count = 1
    lease: Annotated[float, Meta(ge=0.5)] = 30.0  # seconds


class WorkerSettings(Section, frozen=True):
    concurrency: Annotated[int, Meta(ge=1, le=500)] = 5
    name: str | None = None  # default <hostname>:<server.port>
    listen: str | None = None  # host:port of a worker half's own /healthz, /readyz, /metrics
    rate_per_second: Rate = 5.0
    rate_scope: Literal["process", "shared"] = "process"
    shutdown_grace: NotNegative = 25.0  # seconds


class RealEstateApiSettings(Section, frozen=True):
    base_url: str = "https://api.realestateapi.com"
    api_key: Secret | None = None
    timeout: Annotated[float, Meta(gt=0)] = 15.0  # seconds
    rate_per_second: Rate = 10.0
    cache_ttl: NotNegative = 604_800.0  # seconds
    cache_miss_ttl: NotNegative = 86_400.0  # seconds
    daily_credits: Count = 0  # 0: no limit
    second_spelling: bool = False


class LocationSettings(Section, frozen=True):
    id: Annotated[str, Meta(min_length=1)]
    token: Secret | None = None


class GhlSettings(Section, frozen=True):
    base_url: str = "https://services.leadconnectorhq.com"
    api_version: str = "2021-07-28"
    timeout: Annotated[float, Meta(gt=0)] = 15.0  # seconds
    requests_per_10s: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    public_keys: tuple[str, ...] = ()  # PEM; empty: the vendor's published ones
    app_id: str | None = None
    trigger_tags: tuple[str, ...] = ()
    address_fields: tuple[str, ...] = ()
    notes: bool = False
    enrich_unknown_updates: bool = False
    webhook_token: Secret | None = None
    locations: tuple[LocationSettings, ...] = ()


class EnrichmentSettings(Section, frozen=True):
    preset: Literal["standard", "classic"] = "standard"


class MappingEntry(Section, frozen=True):
    """One custom field: adds to the preset, or changes the members that are given."""

    source: tuple[str, ...] | str | None = None
    transform: str | None = None
    data_type: str | None = None
    name: str | None = None
    clear_when_null: bool | None = None
    enabled: bool | None = None


class RuleEntry(Section, frozen=True):
    """One disqualification rule: adds to the preset, or changes the members that are given, by `code`."""

    code: str
    stage: Literal["address", "lookup", "property"] | None = None
    severity: Literal["no_address", "no_match", "disqualify", "review", "info"] | None = None
    when: dict[str, Json] | None = None
    unless: dict[str, Json] | None = None
    downgrade_to: Literal["disqualify", "review", "info"] | None = None
    params: dict[str, Json] | None = None
    enabled: bool | None = None
    why: str | None = None


class AlertSettings(Section, frozen=True):
    url: Secret | None = None  # an incoming webhook as Slack has them; without one nothing is posted
    oldest_live_wait: NotNegative = 900.0  # seconds; 0: never
    failed_share: Annotated[float, Meta(ge=0, le=1)] = 0.5  # of the leads that ended last; 0: never
    failed_last: Annotated[int, Meta(ge=1, le=1000)] = 50  # so many are looked at
    failed_minimum: Annotated[int, Meta(ge=1)] = 20  # so many must have ended
    budget: tuple[Annotated[float, Meta(gt=0, le=1)], ...] = (0.8, 1.0)  # shares of realestateapi.daily_credits
    remind: NotNegative = 86_400.0  # seconds; 0: never


class LogSettings(Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Config(Section, frozen=True):
    server: ServerSettings = field(default_factory=ServerSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    realestateapi: RealEstateApiSettings = field(default_factory=RealEstateApiSettings)
    ghl: GhlSettings = field(default_factory=GhlSettings)
    enrichment: EnrichmentSettings = field(default_factory=EnrichmentSettings)
    mapping: dict[str, MappingEntry] = field(default_factory=dict)
    rules: tuple[RuleEntry, ...] = ()
    alerts: AlertSettings = field(default_factory=AlertSettings)
    log: LogSettings = field(default_factory=LogSettings)
