"""Errors as people and programs get them: RFC 9457 problem details, never a stack trace."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

PROBLEM_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct):
    """Why a request was refused (RFC 9457). The type is the status itself, so the title is the status' phrase."""

    type: Annotated[str, Meta(extra_json_schema={"const": "about:blank"})]
    title: str
    status: int
    detail: Annotated[str, Meta(description="What is wrong, and what to do about it.")]


class Refused(Exception):
    """Ends a request with a problem. `close` ends the connection too: the rest of its body is not waited for."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, close: bool = False
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.close = close


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, members: Mapping[str, Any] | None = None
) -> web.Response:
    """An answer; `members` are those that this kind of problem has besides (RFC 9457, 3.2)."""
    told = Problem("about:blank", HTTPStatus(status).phrase, status, detail)
    return web.Response(
        status=status,
        body=msgspec.json.encode(msgspec.to_builtins(told) | dict(members or {})),
        content_type=PROBLEM_TYPE,
        headers=headers,
    )


def problem_of(refusal: web.HTTPException) -> web.Response:
    """aiohttp's own refusals (404, 405, 413, 417) in our shape, with the headers that matter."""
    kept = {name: refusal.headers[name] for name in ("Allow", "Location") if name in refusal.headers}
    return problem(refusal.status, _DETAILS.get(refusal.status, refusal.reason), kept)


_DETAILS: Final = {
    404: "There is nothing at this path.",
    405: "This path does not take this method; see the Allow header.",
    413: "The body is larger than server.max_body_bytes.",
    417: "Only 'Expect: 100-continue' can be met.",
}
