"""The forms that `redis.url` may have: one Redis, a master that Sentinel names, a Cluster, the embedded one.

    redis://[user:password@]host:6379/0             rediss:// the same over TLS
    unix://[user:password@]/path/to/socket?db=0     fakeredis://
    redis+sentinel://[user:password@]host:26379,host2:26379/<service>[/<db>]
    redis+cluster://[user:password@]host:6379,host2:6379

User and password are those of the Redis servers. A Sentinel with a password of its own is told it in the query:
`?sentinel_username=...&sentinel_password=...`. `rediss+sentinel://` speaks TLS to the Sentinels as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

from leadenrich.config.urls import host_fault

Form: TypeAlias = Literal["single", "sentinel", "cluster", "embedded"]
Node: TypeAlias = tuple[str, int]

REDIS_SCHEMES: Final = (
    "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster", "fakeredis",
)  # fmt: skip
_PORTS: Final = {"sentinel": 26379, "cluster": 6379, "single": 6379}
# Of redis-py's own options those that say who we are and how TLS is checked; its timeouts and retries are the store's.
_TLS_OPTIONS: Final = frozenset({
    "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_cert_reqs",
    "ssl_check_hostname", "ssl_ciphers", "ssl_min_version",
})  # fmt: skip
_WHO: Final = frozenset({"username", "password"})
_OPTIONS: Final = {
    "single": _WHO | {"db"},
    "cluster": _WHO,
    "sentinel": _WHO | {"sentinel_username", "sentinel_password"},
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """What a `redis.url` says. `nodes` are Sentinels, or the first nodes of a Cluster to ask; "single" has none.

    `node_url` is one that redis-py understands: for TLS, user, password, database and options of every node.
    """

    form: Form
    node_url: str
    nodes: tuple[Node, ...] = ()
    service: str = ""


def redis_url_fault(url: str) -> str | None:
    """Why this is no address of a Redis; None when it is."""
    try:
        redis_address(url)
    except ValueError as error:
        return str(error)
    return None


def redis_address(url: str) -> RedisAddress:
    """Raises ValueError with what is wrong, in words that fit behind the key's name and show no password."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in REDIS_SCHEMES:
        found = f", found {scheme}://" if colon and scheme.replace("+", "").isalnum() else ""
        raise ValueError(f"must begin with one of {', '.join(f'{known}://' for known in REDIS_SCHEMES)}{found}")
    if scheme == "fakeredis":
        return RedisAddress("embedded", url)
    if scheme == "unix":
        if not (rest.partition("@")[2].startswith("/") or rest.startswith("/")):
            raise ValueError("must name a socket's path")
        _check_options(rest.partition("#")[0].partition("?")[2], "single", tls=False)
        return RedisAddress("single", url)
    scheme, _, extra = scheme.partition("+")
    form: Form = "cluster" if extra == "cluster" else "sentinel" if extra == "sentinel" else "single"
    before_query, question, query = rest.partition("#")[0].partition("?")
    authority, _, path = before_query.partition("/")
    if "@" in path or ("@" in query and "@" not in authority and "=" not in query):
        raise ValueError("must have the signs / ? # of its user and password written as %2F, %3F, %23")
    userinfo, at, hosts = authority.rpartition("@")
    nodes = _nodes(hosts, form)
    if form != "single" and "@" in userinfo:
        raise ValueError("must have user and password once, before the first host, with an @ in them written as %40")
    _check_options(query, form, tls=scheme == "rediss")
    if form == "single":
        _check_database(path)
        _check_database(dict(parse_qsl(query)).get("db", ""))
        return RedisAddress(form, url)
    service, database = _service(path) if form == "sentinel" else ("", "")
    if form == "cluster" and path not in ("", "0"):
        raise ValueError("must not name a database: a Cluster has database 0 only")
    host, port = nodes[0]
    node = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return RedisAddress(form, f"{scheme}://{userinfo}{at}{node}/{database}{question}{query}", nodes, service)


def _nodes(hosts: str, form: Form) -> tuple[Node, ...]:
    parts = hosts.split(",")
    if form == "single" and len(parts) > 1:
        raise ValueError("must name one host; several are named with redis+sentinel:// or redis+cluster://")
    return tuple(_node(part, _PORTS[form]) for part in parts)


def _node(node: str, default_port: int) -> Node:
    host, colon, port = node.rpartition(":")
    if not colon or node.endswith("]"):
        host, port = node, str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise ValueError("names no host")
    if host_fault(host) is not None:
        raise ValueError("has a host that is neither a name nor an IP address")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise ValueError("has a port that is not from 1 to 65535")
    return host, int(port)


def _service(path: str) -> tuple[str, str]:
    service, slash, database = path.partition("/")
    if not service:
        raise ValueError("must name the service that the Sentinels watch: redis+sentinel://host:26379/<service name>")
    if slash:
        _check_database(database)
    return unquote(service), database


def _check_database(path: str) -> None:
    if path and not (path.isascii() and path.isdigit()):
        raise ValueError("must end in the number of a database: redis-py takes any other word for database 0")


def _check_options(query: str, form: Form, *, tls: bool) -> None:
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if name in _TLS_OPTIONS and not tls:
            raise ValueError(f"must begin with rediss, for {name} is about TLS")
        if name not in _OPTIONS[form] | _TLS_OPTIONS:
            raise ValueError(f"has an option that is not known here: {name[:40]}")
