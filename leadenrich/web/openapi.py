"""`GET /openapi.json`: the description of everything under /api and /webhooks, made from the types that are sent.

Each handler says next to itself what it takes and gives (`@operation`); the document is read off the routes, so that
what is served is described and nothing else is. Shapes come from msgspec's schemas of the very structs that the
handlers decode and encode.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from aiohttp import web

from leadenrich import __version__
from leadenrich.web.problems import PROBLEM_TYPE, Problem

Json: TypeAlias = dict[str, Any]
Handler = TypeVar("Handler", bound=Callable[..., Any])
Security: TypeAlias = tuple[str, ...]  # names of SCHEMES, any of which is enough

DESCRIBED: Final = ("/api/", "/webhooks/")
EVENT_STREAM: Final = "text/event-stream"
_REF: Final = "#/components/schemas/{name}"

_ABOUT: Final = """\
Brings leads in, shows what became of them, and acts on them.

Errors are problem details (RFC 9457). Beside those that each operation names, a path that does not exist is a 404, a
method that a path does not take a 405 with `Allow`, and a request that is no well-formed HTTP/1.1 a 400.
Times are ISO 8601 in UTC with milliseconds. Where neither server.admin_token nor server.viewer_token is set,
everything under /api needs no token and is answered on the loopback only."""

SCHEMES: Final[dict[str, Json]] = {
    "admin": {"type": "http", "scheme": "bearer", "description": "server.admin_token: looks and acts."},
    "viewer": {"type": "http", "scheme": "bearer", "description": "server.viewer_token: looks without touching."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "leadenrich_session",
        "description": "A log-in at the dashboard: looks. To act a token is needed, for browsers send a cookie whoever "
        "asks them to.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-GHL-Signature",
        "description": "HighLevel's Ed25519 signature of the raw body, base64. Its public key is ghl.public_keys.",
    },
    "webhookBearer": {"type": "http", "scheme": "bearer", "description": "ghl.webhook_token."},
    "webhookHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Webhook-Token",
        "description": "ghl.webhook_token.",
    },
    "webhookQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "ghl.webhook_token, for senders that offer no headers. It may also stand in the body, as "
        "customData.secret.",
    },
}
LOOKS: Final[Security] = ("viewer", "admin", "session")
ACTS: Final[Security] = ("admin",)

# The sentences that several operations share; an operation adds its own or says one of these better.
REFUSED_LOOK: Final[dict[int, str]] = {
    401: "There is no token, or a wrong one.",
    403: "No token is set, and the request did not stay on this machine.",
    429: "Too many wrong tokens are waiting for their answer.",
    503: "Redis cannot be read now.",
}
REFUSED_ACT: Final[dict[int, str]] = REFUSED_LOOK | {
    403: "The token looks without touching; or no token is set, and the request came from elsewhere.",
}
REFUSED_BODY: Final[dict[int, str]] = {
    400: "The body is not what it says it is: broken JSON, framing, compression or text.",
    408: "The body was not complete in time; the connection ends.",
    413: "The body is larger than server.max_body_bytes.",
    415: "The body is of a type or encoding that is not taken.",
    422: "The body is JSON, and a member of it is not what it must be.",
}
_HEADERS: Final[dict[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": "Which kind of proof is asked for."},
    429: {"Retry-After": "Seconds until it is worth another try."},
    503: {"Retry-After": "Seconds until it is worth another try."},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back: one of `kinds`, as JSON, or as the data of an event stream's events."""

    description: str
    kinds: tuple[Any, ...] = ()
    example: Any = None
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Content:
    """What a body holds: one of `kinds`. `also` tells what the handler asks for beyond a kind's type."""

    kinds: tuple[Any, ...]
    example: Any = None
    also: Mapping[Any, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One route, as it is described. `query` and `headers` are structs; a field's name, or its renaming, is sent."""

    summary: str
    tag: str
    security: Security
    answers: Mapping[int, Answer]
    refuses: Mapping[int, str]
    description: str = ""
    path: Mapping[str, Json] = field(default_factory=dict)
    query: type[msgspec.Struct] | None = None
    headers: type[msgspec.Struct] | None = None
    body_required: bool = True
    bodies: Mapping[str, Content] = field(default_factory=dict)
    problems: Mapping[int, type[msgspec.Struct]] = field(default_factory=dict)  # a problem with more members

    def kinds(self) -> Iterable[Any]:
        """Every type whose schema the document needs."""
        yield from (kind for kind in (self.query, self.headers) if kind is not None)
        for answer in self.answers.values():
            yield from answer.kinds
        for content in self.bodies.values():
            yield from content.kinds
        yield from self.problems.values()


def operation(**members: Any) -> Callable[[Handler], Handler]:
    """Describes the handler it stands above, in the members of `Operation`."""

    def describe(handler: Handler) -> Handler:
        handler.operation = Operation(**members)  # type: ignore[attr-defined]  # read back by `document`
        return handler

    return describe


def document(routes: Iterable[web.AbstractRoute]) -> Json:
    """The OpenAPI 3.1 document. Raises: LookupError, where a route under /api or /webhooks says nothing of itself."""
    described: list[tuple[str, str, Operation]] = []
    for route in routes:
        path = route.resource.canonical if route.resource is not None else ""
        if not path.startswith(DESCRIBED) or route.method == "HEAD":
            continue
        told: Operation | None = getattr(route.handler, "operation", None)
        if told is None:
            raise LookupError(f"{route.method} {path} is not described: put @operation above its handler")
        described.append((path, route.method.lower(), told))
    kinds = dict.fromkeys([Problem, *(kind for *_, told in described for kind in told.kinds())])
    shapes, components = msgspec.json.schema_components(list(kinds), ref_template=_REF)
    schema_of = dict(zip(kinds, shapes, strict=True))
    paths: dict[str, Json] = {}
    for path, method, told in described:
        paths.setdefault(path, {})[method] = {"operationId": _name(method, path)} | _operation(
            told, schema_of, components
        )
    apart = {kind.__name__ for *_, told in described for kind in (told.query, told.headers) if kind is not None}
    return {
        "openapi": "3.1.0",
        "info": {"title": "leadenrich", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": {name: _tidy(shape) for name, shape in components.items() if name not in apart},
            "securitySchemes": SCHEMES,
        },
    }


def _name(method: str, path: str) -> str:
    """`getJobsById` for GET /api/v1/jobs/{id}: what generators of clients make their functions' names of."""
    words = path.removeprefix("/api/v1").replace("{", "by_").strip("/}").replace("}", "")
    return method + "".join(word.capitalize() for word in re.split(r"[/_]", words))


def _operation(told: Operation, schema_of: Mapping[Any, Json], components: Mapping[str, Json]) -> Json:
    parameters = [{"name": it, "in": "path", "required": True, **shown} for it, shown in told.path.items()]
    for kind, place in ((told.query, "query"), (told.headers, "header")):
        if kind is not None:
            parameters += _parameters(components[kind.__name__], place)
    shown: Json = {"summary": told.summary, "tags": [told.tag]}
    shown |= {"description": told.description} if told.description else {}
    shown |= {"parameters": parameters} if parameters else {}
    if told.bodies:
        content = {media: _content(body, schema_of) for media, body in told.bodies.items()}
        shown["requestBody"] = {"required": told.body_required, "content": content}
    shown["security"] = [{scheme: []} for scheme in told.security]
    shown["responses"] = {str(status): _answer(told.answers[status], schema_of) for status in sorted(told.answers)}
    for status in sorted(told.refuses):
        kind = told.problems.get(status, Problem)
        refusal: Json = {
            "description": told.refuses[status],
            "content": {PROBLEM_TYPE: {"schema": schema_of[kind]}},
        }
        if status in _HEADERS:
            refusal["headers"] = {
                header: {"description": why, "required": True, "schema": {"type": "string"}}
                for header, why in _HEADERS[status].items()
            }
        shown["responses"][str(status)] = refusal
    return shown


def _answer(answer: Answer, schema_of: Mapping[Any, Json]) -> Json:
    if not answer.kinds:
        return {"description": answer.description}
    if answer.media == EVENT_STREAM:
        return {
            "description": answer.description,
            "content": {answer.media: {"schema": _event(schema_of[answer.kinds[0]])}},
        }
    return {
        "description": answer.description,
        "content": {answer.media: _content(Content(answer.kinds, answer.example), schema_of)},
    }


def _event(data: Json) -> Json:
    """One event of a stream, told as OpenAPI 3.2 does and tools read in 3.1: its fields, and its data as JSON."""
    told = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    return {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": told},
    }


def _content(content: Content, schema_of: Mapping[Any, Json]) -> Json:
    shapes = [
        {"allOf": [schema_of[kind], content.also[kind]]} if kind in content.also else schema_of[kind]
        for kind in content.kinds
    ]
    schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    return {"schema": schema} | ({"example": content.example} if content.example is not None else {})


def _parameters(shape: Json, place: str) -> Iterable[Json]:
    """A struct's members as parameters of their own. What is left out is not null: null is no way to say so."""
    for name, told in shape["properties"].items():
        schema = {key: value for key, value in told.items() if key not in ("description", "anyOf")}
        schema.pop("default", None) if told.get("default", 0) is None else None
        choices = [choice for choice in told.get("anyOf", ()) if choice != {"type": "null"}]
        schema |= choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}
        parameter: Json = {"name": name, "in": place, "required": name in shape["required"], "schema": schema}
        if place == "query":
            parameter["allowEmptyValue"] = True  # as good as none: see `query_of`
        yield parameter | ({"description": told["description"]} if "description" in told else {})


def _tidy(shape: Json) -> Json:
    """A struct's docstring as prose: without the code's indentation and backticked inner names' line breaks."""
    if "description" not in shape:
        return shape
    return shape | {"description": re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(shape["description"]))}
