"""Every setting, read from TOML, environment and credentials, with every fault named at once."""

from leadenrich.config.checks import OUTCOME_TAGS, notices, placeholder_faults, require_worker, worker_faults
from leadenrich.config.faults import ConfigFaults, Fault
from leadenrich.config.load import Loaded, find, load, read
from leadenrich.config.outline import Row, outline, secret_values
from leadenrich.config.reading import Source
from leadenrich.config.secret import Secret
from leadenrich.config.settings import (
    AlertSettings,
    Config,
    EnrichmentSettings,
    GhlSettings,
    LocationSettings,
    LogSettings,
    MappingEntry,
    QueueSettings,
    RealEstateApiSettings,
    RedisSettings,
    RuleEntry,
    Section,
    ServerSettings,
    WorkerSettings,
)
from leadenrich.config.urls import address_fault, base_url_fault, is_loopback, split_listen, without_password

__all__ = [
    "OUTCOME_TAGS",
    "AlertSettings",
    "Config",
    "ConfigFaults",
    "EnrichmentSettings",
    "Fault",
    "GhlSettings",
    "Loaded",
    "LocationSettings",
    "LogSettings",
    "MappingEntry",
    "QueueSettings",
    "RealEstateApiSettings",
    "RedisSettings",
    "Row",
    "RuleEntry",
    "Secret",
    "Section",
    "ServerSettings",
    "Source",
    "WorkerSettings",
    "address_fault",
    "base_url_fault",
    "find",
    "is_loopback",
    "load",
    "notices",
    "outline",
    "placeholder_faults",
    "read",
    "require_worker",
    "secret_values",
    "split_listen",
    "without_password",
    "worker_faults",
]
