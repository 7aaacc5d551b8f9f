"""What operators write: the file, the environment, addresses, conditions."""

from __future__ import annotations

import tempfile
import tomllib
from functools import cache
from pathlib import Path

import msgspec

from fuzz.target import DATA, SEPARATOR, joined, target
from fuzz.vendors import HOME, NOON
from leadenrich.config.load import read
from leadenrich.config.outline import outline
from leadenrich.config.redis_urls import redis_address, redis_url_fault
from leadenrich.config.urls import base_url_fault, passwords_in, split_listen, without_password
from leadenrich.enrich.condition_reader import ConditionReader
from leadenrich.enrich.conditions import Scene
from leadenrich.enrich.derived import Limits, Reading
from leadenrich.enrich.faults import FaultList, SettingFaults
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.enrich.names import LeadNames
from leadenrich.enrich.presets import rules_file
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import compile_rules

EXAMPLE = (Path(__file__).parents[2] / "config.example.toml").read_bytes()
RULES = b"""
[queue]
attempts = 3
[[ghl.locations]]
id = "ve9EPM428h8vShlRW1KT"
token = "t"
[mapping.year_built]
source = "data.propertyInfo.yearBuilt"
transform = "integer"
data_type = "NUMERICAL"
[[rules]]
code = "OLD"
when = {all = [{field = "data.estimatedValue", op = "lt", value = 1900}, {field = "data.vacant", op = "is_true"}]}
unless.not = {field = "data.lastSale.saleDate", op = "on_or_after", value = 2023-01-01}
params = {months = 12}
"""
CONDITIONS = [
    {"field": "data.estimatedValue", "op": "ge", "value": 100000},
    {"all": [{"field": "lead.state", "op": "in", "value": ["IL"]}, {"not": {"field": "data.vacant", "op": "is_true"}}]},
    {"known_fewer_than": 2, "of": ["data.estimatedValue", "data.propertyInfo.yearBuilt"]},
    {"field": "data.lastSale.saleDate", "op": "within_months"},
    {"field": "lead.zip_or_state_or_county", "op": "not_in_area"},
]  # fmt: skip
PARAMS = {"months": 12, "states": ["IL"], "zips": ["62704"], "counties": ["Sangamon"]}


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="leadenrich-fuzz-")


def _understood(path: Path, environ: dict[str, str]) -> None:
    loaded, faults = read(path, environ)
    for fault in faults:
        str(fault).encode("utf-8", "surrogateescape")
    if not faults:
        outline(loaded)
        compile_rules(loaded.config.enrichment.preset, loaded.config.rules)
        compile_mapping(loaded.config.enrichment.preset, loaded.config.mapping)


@target(
    SettingFaults,
    samples=[RULES, b'[redis]\nurl = "redis://u:p@h:1/0"\n', EXAMPLE],
    words="[[rules]] [mapping.x] 1979-05-27T07:32:00Z 0x1F inf nan ''' \"\"\" when.not. = { } [[ ]]",
)
def config_file(data: bytes) -> None:
    """Any file is a configuration or a list of faults."""
    path = Path(_folder().name) / "config.toml"
    path.write_bytes(data)
    _understood(path, {})


@target(
    SettingFaults,
    samples=[
        joined("QUEUE__ATTEMPTS=5", "GHL__LOCATIONS=a=b,c=d", "SERVER__HOST=::1"),
        joined(b"RULES=" + msgspec.json.encode([{"code": "OLD", "when": CONDITIONS[0]}]), "WORKER__LISTEN=[::1]:9"),
        joined('MAPPING={"x": {"source": "data.id"}}', "MAPPING__X__SOURCE=data.id", "REDIS__URL=unix:///x"),
    ],
    words="RULES= MAPPING= MAPPING__ GHL__LOCATIONS= GHL__PUBLIC_KEYS= __ PORT= QUEUE__LEASE= 1_0 ١",
)
def environment(data: bytes) -> None:
    """Any environment is a configuration or a list of faults."""
    path = Path(_folder().name) / "empty.toml"
    path.write_bytes(b"")
    told = (part.decode("utf-8", "surrogateescape").replace("\0", "").partition("=") for part in data.split(SEPARATOR))
    _understood(path, {f"LEADENRICH_{name}": value for name, _, value in told})


@target(
    samples=[
        b"redis://user:p%40ss@127.0.0.1:6379/0", b"rediss+sentinel://:p@h:26379,[::1]:1/main/2?sentinel_password=x",
        b"unix://u:p@/run/redis.sock?db=0", b"redis+cluster://a:1,b:2", b"https://api.example.com/v2", b"[::1]:9100",
    ],
    words="redis:// rediss+sentinel:// redis+cluster:// fakeredis:// unix:// @ : / ? # % [ ] ::1 , db= password=",
)  # fmt: skip
def server_urls(data: bytes) -> None:
    """Any text is an address of a server, or is told why not."""
    text = data.decode("utf-8", "surrogateescape")
    if redis_url_fault(text) is None:
        for _, port in redis_address(text).nodes:
            assert 0 < port <= 65535
    base_url_fault(text)
    base_url_fault(text, allow_private=True)
    without_password(text)
    passwords_in(text)
    try:
        assert 0 <= split_listen(text)[1] <= 65535
    except ValueError:
        return


@cache
def _scenes() -> tuple[Scene, ...]:
    record = PropertyRecord(msgspec.json.decode((DATA / "samples" / "property_detail.200.sfr_clean.json").read_bytes()))
    today = NOON.date()
    return Scene(today), Scene(today, HOME, None, False, Reading(record, today, LeadNames(), Limits()))


@target(
    samples=[msgspec.json.encode([condition, PARAMS]) for condition in CONDITIONS],
    words="""field op value all any not known_fewer_than of eq in lt within_months contains_ci not_in_area states zips
    months on_or_after data.vacant lead.state""",
)
def conditions(data: bytes) -> None:
    """Anything that JSON or TOML can hold is a condition, which can be asked and told in words, or a list of faults."""
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            raw = [tomllib.loads(data.decode("utf-8", "replace")), {}]
        except (ValueError, RecursionError):
            return
    condition, params = raw if isinstance(raw, list) and len(raw) == 2 else (raw, {})
    faults = FaultList()
    params = params if isinstance(params, dict) else {}
    reader = ConditionReader(params, "params", rules_file("standard").forbidden_inputs, faults)
    told = reader.read(condition, "when")
    if told is not None:
        told.words()
        for scene in _scenes():
            assert told.holds(scene) in (True, False, None)
    else:
        assert faults.faults
