"""What no single type can say: settings that must fit each other, addresses, keys, names that are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from leadenrich.config.faults import ConfigFaults, Fault
from leadenrich.config.public_key import NoPublicKey, NotEd25519, ed25519_key
from leadenrich.config.redis_urls import redis_url_fault
from leadenrich.config.secret import Secret
from leadenrich.config.settings import Config
from leadenrich.config.urls import base_url_fault, host_fault, is_loopback, split_listen, webhook_url_fault

# What the enrichment writes to a contact. A trigger among them would start work by its own result, for ever.
OUTCOME_TAGS: Final = frozenset({"qualified", "review", "enrich_no_match", "enrich_no_address"})
DISQUALIFIED_TAG_PREFIX: Final = "dq_"
_PLACEHOLDER: Final = "CHANGE-ME"  # of config.example.toml
# Values that config.example.toml shows for keys without a default: whoever reads it knows them.
EXAMPLES: Final = {
    "server.admin_token": "example-of-an-admin-token",
    "server.viewer_token": "example-of-a-viewer-token",
    "ghl.app_id": "example-of-an-app-id",
    "ghl.webhook_token": "example-of-a-webhook-token",
    "alerts.url": "https://hooks.example.com/services/T000/B000/example",
}
UNIT_STOP_S: Final = 45  # TimeoutStopSec of systemd/leadenrich.service


def cross_faults(config: Config) -> list[Fault]:
    """Every fault of a configuration whose single values are all of their type."""
    checks: tuple[Callable[[Config], Iterator[Fault]], ...] = (
        _addresses,
        _alerts,
        _names,
        _secrets,
        _trigger_tags,
        _doubles,
        _public_keys,
    )
    return [fault for check in checks for fault in check(config)]


def worker_faults(config: Config) -> list[Fault]:
    """What the worker half cannot do without."""
    faults = []
    if config.realestateapi.api_key is None:
        faults.append(Fault("realestateapi.api_key", "is missing: the worker cannot buy records without it"))
    if not config.ghl.locations:
        faults.append(
            Fault("ghl.locations", "is empty: the worker needs at least one [[ghl.locations]] with id and token")
        )
    for index, location in enumerate(config.ghl.locations):
        if location.token is None:
            message = f"is missing: the worker cannot write to location {location.id} without it"
            faults.append(Fault(f"ghl.locations[{index}].token", message))
    return faults


def require_worker(config: Config) -> None:
    """Raises: ConfigFaults when the worker half cannot run with this configuration."""
    if faults := worker_faults(config):
        raise ConfigFaults(faults)


def placeholder_faults(config: Config) -> list[Fault]:
    """What config.example.toml leaves to be filled in, and still is."""
    values = {f"ghl.locations[{index}].id": location.id for index, location in enumerate(config.ghl.locations)}
    values |= {key: secret.reveal() for key, secret in _named_secrets(config)}
    cures = {"realestateapi.api_key": "your key from the RealEstateAPI developer portal"}
    cures |= {key: "the token of that sub-account's private integration" for key in values if key.endswith("].token")}
    cures |= {key: "your sub-account's id" for key in values if key.endswith("].id")}
    return [
        Fault(key, f"is still the {_PLACEHOLDER} of config.example.toml: put {cures.get(key, 'a secret')} there")
        for key, value in values.items()
        if value == _PLACEHOLDER
    ]


def notices(config: Config) -> list[Fault]:
    """What works, but probably not as meant."""
    found = []
    if not is_loopback(config.server.host) and config.server.admin_token is None:
        message = f"is not set: API and dashboard answer on a loopback bind only, and {config.server.host} is none"
        found.append(Fault("server.admin_token", message))
    if config.worker.shutdown_grace > UNIT_STOP_S - 10:
        message = (
            f"leaves no time before systemd kills the daemon: set TimeoutStopSec (shipped: {UNIT_STOP_S} s) above it"
        )
        found.append(Fault("worker.shutdown_grace", message))
    shown = {key: secret.reveal() for key, secret in _named_secrets(config)} | {"ghl.app_id": config.ghl.app_id}
    shown["alerts.url"] = config.alerts.url.reveal() if config.alerts.url else None
    for key, example in EXAMPLES.items():
        if shown.get(key) == example:
            found.append(Fault(key, "is the value that config.example.toml shows: put your own there"))
    return found


def _addresses(config: Config) -> Iterator[Fault]:
    if (fault := host_fault(config.server.host)) is not None:
        yield Fault("server.host", fault)
    if config.worker.listen is not None:
        try:
            split_listen(config.worker.listen)
        except ValueError as error:
            yield Fault("worker.listen", str(error))
    if (fault := redis_url_fault(config.redis.url)) is not None:
        yield Fault("redis.url", fault)
    private = config.server.allow_private_upstreams
    for key, url in (("realestateapi.base_url", config.realestateapi.base_url), ("ghl.base_url", config.ghl.base_url)):
        if (fault := base_url_fault(url, allow_private=private)) is not None:
            yield Fault(key, fault)


def _alerts(config: Config) -> Iterator[Fault]:
    alerts = config.alerts
    if alerts.url is not None:
        private = config.server.allow_private_upstreams
        if (fault := webhook_url_fault(alerts.url.reveal(), allow_private=private)) is not None:
            yield Fault("alerts.url", fault)
    if alerts.failed_minimum > alerts.failed_last:
        yield Fault(
            "alerts.failed_minimum", f"is above alerts.failed_last ({alerts.failed_last}): never so many are seen"
        )


def _names(config: Config) -> Iterator[Fault]:
    name = config.worker.name
    # It becomes part of a lease token and of a lock file's name.
    if name is not None and (
        not name or len(name) > 128 or "/" in name or any(not "!" <= sign <= "~" for sign in name)
    ):
        yield Fault("worker.name", "must be 1 to 128 visible ASCII characters without a slash")
    if config.server.spool is not None and not config.server.spool.strip():
        yield Fault("server.spool", "must be the path of a file; leave it out for none")
    for index, location in enumerate(config.ghl.locations):
        if not (location.id.isascii() and location.id.replace("-", "").replace("_", "").isalnum()):
            yield Fault(f"ghl.locations[{index}].id", "must be letters and digits, as HighLevel shows it")


def _named_secrets(config: Config) -> Iterator[tuple[str, Secret]]:
    named = {
        "server.admin_token": config.server.admin_token,
        "server.viewer_token": config.server.viewer_token,
        "realestateapi.api_key": config.realestateapi.api_key,
        "ghl.webhook_token": config.ghl.webhook_token,
    }
    named |= {f"ghl.locations[{index}].token": location.token for index, location in enumerate(config.ghl.locations)}
    yield from ((key, secret) for key, secret in named.items() if secret is not None)


def _secrets(config: Config) -> Iterator[Fault]:
    for key, secret in _named_secrets(config):
        if any(not "!" <= sign <= "~" for sign in secret.reveal()):
            yield Fault(key, "holds blanks or characters that an HTTP header cannot carry")
    if config.server.admin_token is not None and config.server.admin_token == config.server.viewer_token:
        yield Fault("server.viewer_token", "is the same as server.admin_token: every viewer could act")
    if config.server.metrics == "token" and config.server.admin_token is None and config.server.viewer_token is None:
        yield Fault("server.metrics", "is token, but neither server.admin_token nor server.viewer_token is set")


def _trigger_tags(config: Config) -> Iterator[Fault]:
    for tag in config.ghl.trigger_tags:
        folded = tag.strip().lower()
        if not folded:
            yield Fault("ghl.trigger_tags", "holds an empty tag")
        elif folded in OUTCOME_TAGS or folded.startswith(DISQUALIFIED_TAG_PREFIX):
            yield Fault(
                "ghl.trigger_tags", f"holds {tag}, a tag that we write ourselves: each result would start work again"
            )


def _doubles(config: Config) -> Iterator[Fault]:
    for location, times in Counter(location.id for location in config.ghl.locations).items():
        if times > 1:
            yield Fault("ghl.locations", f"names location {location} {times} times")
    for code, times in Counter(rule.code for rule in config.rules).items():
        if times > 1:
            yield Fault("rules", f"names rule {code} {times} times")


def _public_keys(config: Config) -> Iterator[Fault]:
    for index, pem in enumerate(config.ghl.public_keys):
        key = f"ghl.public_keys[{index}]"
        if "PRIVATE KEY" in pem:
            yield Fault(key, "is a private key; HighLevel's public key belongs here")
            continue
        try:
            ed25519_key(pem)
        except NotEd25519:
            yield Fault(key, "is of the wrong kind (RSA, say): webhooks are verified by Ed25519 keys only")
        except NoPublicKey:
            yield Fault(key, "is not a public key in PEM form (-----BEGIN PUBLIC KEY----- ...)")
