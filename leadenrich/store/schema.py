"""Every key: name, type, lifetime. One hash tag a queue, so that Cluster and ACLs work.

| key (after `le:{<queue.name>}:`) | type | lives | holds |
| --- | --- | --- | --- |
| `wait:live` `wait:bulk` `wait:suspect` | LIST | while non-empty | ids waiting; suspects run alone |
| `sched` | ZSET | while non-empty | id -> due, ms: retries, throttled and parked jobs |
| `lease` | ZSET | while non-empty | id -> generation x 1e6 + beat: what is being worked on |
| `wake` | ZSET | one member | the marker a sleeping worker waits on |
| `job:<id>` | HASH | until retention removes it | the job |
| `load:<id>` | STRING | as the job; `payload_retention` once it ended | the lead as it came in, packed |
| `tl:<id>` | STRING | as the job | its timeline, a JSON array a line; not the present run, nor one that succeeded |
| `step:<id>` | HASH | as the job; `payload_retention` once it ended | its checkpoints |
| `done` `dead` | ZSET | the newest `keep_*` | id -> finish, ms |
| `dedup:<key>` | STRING | its own window | delivery -> job id |
| `seen:<location>:<contact>` | HASH | 180 days | last address fingerprint, tags, job |
| `erased:<hash>` | STRING | 180 days | of a contact that was erased: ids of its jobs before that are smaller |
| `ev` | STREAM | about 2,000 entries | the events, up to eight an entry |
| `audit` | STREAM | about 10,000 entries | what people did: who, what, on what, how many |
| `counts` | HASH | permanent, bounded by names | jobs by lane and state; totals |
| `history` | HASH | permanent, 1,776 samples at most | the totals, minute by minute for a day, by hours for two weeks |
| `meta` | HASH | permanent, bounded by names | what is paused and why, schema version |
| `alerts` | HASH | a day after the last look | which alerts are under way |
| `alerts:turn` | STRING | two minutes | the daemon that looks after them |
| `workers` | HASH | permanent, one entry a worker name | last claim, beat and boot of each daemon |

Outside the queue's slot, each with a tag of its own: `le:{prop:<provider>:v1:<hash>}:record` and `:flight`,
`le:{credits:<provider>}:<day>`, `le:spending:{credits:<provider>}:<request>` (a minute), `le:{pace:<provider>}:next`,
`le:{addr:<location>:<hash>}:contacts`.
"""

from __future__ import annotations

import hashlib

SCHEMA_VERSION = 1
SEEN_MS = 180 * 86_400_000
SIGHTINGS = "le:{addr:"  # how their keys begin
ADDRESS_VERSION = "v1"  # raise it when the normaliser changes: keys of bought properties depend on it


class Keys:
    """The key names of one queue."""

    def __init__(self, queue: str) -> None:
        self.prefix = p = f"le:{{{queue}}}:"
        self.wait_live = p + "wait:live"
        self.wait_bulk = p + "wait:bulk"
        self.suspects = p + "wait:suspect"
        self.sched = p + "sched"
        self.lease = p + "lease"
        self.wake = p + "wake"
        self.done = p + "done"
        self.dead = p + "dead"
        self.events = p + "ev"
        self.audit = p + "audit"
        self.counts = p + "counts"
        self.meta = p + "meta"
        self.workers = p + "workers"
        self.history = p + "history"
        self.alerts = p + "alerts"
        self.alerts_turn = p + "alerts:turn"

    def wait(self, lane: str) -> str:
        return f"{self.prefix}wait:{lane}"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}job:{job_id}"

    def load(self, job_id: str) -> str:
        return f"{self.prefix}load:{job_id}"

    def timeline(self, job_id: str) -> str:
        return f"{self.prefix}tl:{job_id}"

    def steps(self, job_id: str) -> str:
        return f"{self.prefix}step:{job_id}"

    def dedup(self, key: str) -> str:
        return f"{self.prefix}dedup:{key}"

    def erased(self, location_id: str, contact_id: str) -> str:
        return f"{self.prefix}erased:{erased_hash(location_id, contact_id)}"

    def seen(self, location_id: str, contact_id: str) -> str:
        return f"{self.prefix}seen:{location_id}:{contact_id}"


def property_keys(provider: str, address_key: str) -> tuple[str, str]:
    """Record and in-flight mark of one address; hashed, so that keys show no addresses."""
    record = record_key(provider, digest(address_key))
    return record, record.removesuffix("record") + "flight"


def record_key(provider: str, hashed: str) -> str:
    return f"le:{{prop:{provider}:{ADDRESS_VERSION}:{hashed}}}:record"


def credits_key(provider: str, day: str) -> str:
    return f"le:{{credits:{provider}}}:{day}"


def spending_key(provider: str, request: str) -> str:
    """Marks that a request to reserve or return credits was carried out: sent again, it must not count twice."""
    return f"le:spending:{{credits:{provider}}}:{request}"


def pace_key(provider: str) -> str:
    return f"le:{{pace:{provider}}}:next"


def sighting_key(location_id: str, address: str) -> str:
    return f"{SIGHTINGS}{location_id}:{digest(address)}}}:contacts"


def sighting_digest(name: str) -> str:
    """The address of a sighting's key, hashed as in the key of its record."""
    return name.removesuffix("}:contacts").rpartition(":")[2]


def digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def address_mark(fingerprint: str) -> str:
    """What a contact's last address is compared by: enough to tell a change, and no address to read; "" for none."""
    return digest(fingerprint)[:16] if fingerprint else ""


def erased_hash(location_id: str, contact_id: str) -> str:
    """Says that a contact was erased, and names nobody."""
    return digest(f"{location_id}\n{contact_id}")
