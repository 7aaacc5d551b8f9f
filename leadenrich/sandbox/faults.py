"""Faults on order: what the fake vendors shall do wrong, how often, and to whom.

By code: `faults.add(Fault("throttle", retry_after=1), times=2, match=Match(address="742|EVERGREEN TER"))`.
Over HTTP, on the fake that shall fail: `POST /_sandbox/faults` with `{"kind": "throttle", "retry_after": 1, "times": 2,
"match": {"address": "742|EVERGREEN TER"}}`; there `GET` shows what is armed and `DELETE` clears it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msgspec import Meta, MsgspecError, Struct
from msgspec.json import decode
from msgspec.structs import replace

from leadenrich.sandbox.calls import Call

FaultKind: TypeAlias = Literal[
    "throttle",  # 429; Retry-After from `retry_after`
    "daily",  # 429: the day's allowance is spent
    "unauthorized",  # 401
    "forbidden",  # 403 as JSON: the key or token lacks a right
    "forbidden_html",  # 403 of the edge, not JSON
    "out_of_credit",  # 402
    "bad_request",  # 400; `body` replaces the message
    "not_found",  # 404
    "server_error",  # 500
    "bad_gateway",  # 502 as HTML
    "status",  # `status` with `body` as it is
    "empty",  # 200 without a body
    "no_content",  # 204
    "redirect",  # 302 to another host
    "slow",  # the true answer, `seconds` late; the effect happens even when the client has left
    "hang",  # no answer for `seconds` (0: until the sandbox closes), then the connection drops
    "truncated",  # the true answer's first half, as a complete HTTP message
    "cut_off",  # the true answer's first half, then the connection drops
    "reset",  # the connection is reset and nothing happens
    "lost_answer",  # the effect happens, then the connection is reset
    "neighbour",  # RealEstateAPI only: the record of the house next door
]


STATUS_MIN: Final = 200  # below it the answer would not be over


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to fail. `retry_after`: seconds; "date+5": an HTTP date 5 s ahead; any other text goes out as it is."""

    kind: FaultKind
    status: Annotated[int, Meta(ge=0, le=599)] = 0
    retry_after: int | str | None = None
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    body: str = ""

    def __post_init__(self) -> None:
        if self.status < STATUS_MIN if self.kind == "status" else self.status:
            raise ValueError(
                f"`status` is {self.status}: the kind `status`, and no other, takes one of {STATUS_MIN} to 599"
            )


class Match(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which calls: every member that is given must hold. `path` and `address` match a part, without case."""

    provider: Literal["", "realestateapi", "ghl"] = ""
    method: str = ""
    path: str = ""
    address: str = ""
    contact: str = ""

    def __call__(self, call: Call) -> bool:
        return (
            self.provider in ("", call.provider)
            and self.method.upper() in ("", call.method)
            and self.path.lower() in call.path.lower()
            and self.address.upper() in call.address_key
            and self.contact in ("", call.contact_id)
        )


class FaultOrder(Fault, frozen=True, forbid_unknown_fields=True):
    """A fault as ordered over HTTP. `times` null: until cleared; `after`: so many matching calls pass first."""

    times: Annotated[int, Meta(ge=1)] | None = 1
    after: Annotated[int, Meta(ge=0)] = 0
    match: Match = Match()


def read_order(raw: bytes, provider: str) -> FaultOrder:
    """An order as it came to this vendor's address, which makes it this vendor's.

    Raises: ValueError, with what would be right.
    """
    try:
        order = decode(raw, type=FaultOrder)
    except MsgspecError as error:
        raise ValueError(f"{error}{_right(str(error))}") from None
    if order.match.provider not in ("", provider):
        raise ValueError(
            f"`match.provider` is `{order.match.provider}`: send it to that vendor's address, this is {provider}"
        )
    if order.kind == "neighbour" and provider != "realestateapi":
        raise ValueError("`kind` is `neighbour`: only RealEstateAPI has records of houses")
    return replace(order, match=replace(order.match, provider=provider))


def _right(error: str) -> str:
    """What could stand where msgspec found something else."""
    if "unknown field" in error:
        kind = Match if "$.match" in error else FaultOrder
        return f"; known: {', '.join(kind.__struct_fields__)}"
    if "enum value" in error and "$.match.provider" in error:
        return "; one of realestateapi, ghl"
    return f"; one of {', '.join(get_args(FaultKind))}" if "`$.kind`" in error or "field `kind`" in error else ""


Predicate: TypeAlias = Callable[[Call], bool]


@dataclass(slots=True)
class Armed:
    """A fault that waits for its calls. `left` is None when it never ends, `fired` counts what it hit."""

    fault: Fault
    match: Predicate
    left: int | None
    after: int
    fired: int = 0


class Faults:
    """Shared by both fakes. The oldest armed fault that matches a call takes it."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []

    def add(self, fault: Fault, *, times: int | None = 1, match: Predicate | None = None, after: int = 0) -> Armed:
        """Arm a fault for the next `times` matching calls (None: all), after letting `after` of them through."""
        armed = Armed(fault, match or Match(), times, after)
        self._armed.append(armed)
        return armed

    def order(self, order: FaultOrder) -> Armed:
        """Arm what came in over HTTP."""
        fault = Fault(order.kind, order.status, order.retry_after, order.seconds, order.body)
        return self.add(fault, times=order.times, match=order.match, after=order.after)

    def clear(self, provider: str = "") -> int:
        """Disarm everything, or what may hit one vendor; answers how many were armed."""
        gone = self.armed_for(provider)
        self._armed = [armed for armed in self._armed if armed not in gone]
        return len(gone)

    @property
    def armed(self) -> tuple[Armed, ...]:
        return tuple(self._armed)

    def armed_for(self, provider: str) -> tuple[Armed, ...]:
        """What may hit this vendor; "" for all. A predicate may hit any."""
        return tuple(
            armed
            for armed in self._armed
            if not provider or not isinstance(armed.match, Match) or armed.match.provider in ("", provider)
        )

    def take(self, call: Call) -> Fault | None:
        """The fault for this call, used up by it; None when the call shall be answered truly."""
        for armed in self._armed:
            if not armed.match(call):
                continue
            if armed.after > 0:
                armed.after -= 1
                continue
            self._fire(armed)
            return armed.fault
        return None

    def _fire(self, armed: Armed) -> None:
        armed.fired += 1
        if armed.left is not None:
            armed.left -= 1
            if armed.left <= 0:
                self._armed.remove(armed)
