"""The Lua scripts: one verb a file in lua/, loaded by EVALSHA and reloaded when Redis forgot them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

from leadenrich.store.errors import StoreDenied, StoreUnavailable

if TYPE_CHECKING:
    from leadenrich.store.connection import Connection

# Must work when Redis is out of memory: everything that ends, frees or records. Taking in new leads must not.
REFUSED_WHEN_FULL = frozenset({"enqueue", "begin", "revive"})


@cache
def source(name: str, *, flags: bool) -> bytes:
    """A script's text behind the shared functions. `flags` adds the line that only real Redis 7 and newer know."""
    folder = files("leadenrich.store") / "lua"
    text = (folder / "_lib.lua").read_text("utf-8") + (folder / f"{name}.lua").read_text("utf-8")
    if flags:
        text = ("#!lua\n" if name in REFUSED_WHEN_FULL else "#!lua flags=allow-oom\n") + text
    return text.encode()


class Script:
    """One verb. Every script is safe to run twice, so a lost answer is asked for once more."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name
        self._text = source(name, flags=connection.script_flags)
        self._sha = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Raises: StoreUnavailable."""
        began = time.perf_counter()
        try:
            return await self._run(keys, args)
        except StoreDenied as error:
            self._connection.note_refusal(error)
            raise
        except StoreUnavailable as error:
            if not error.__cause__ or not self._connection.may_have_run(error.__cause__):
                raise
            return await self._run(keys, args)
        finally:
            self._connection.on_script(self.name, time.perf_counter() - began)

    async def _run(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        try:
            return await self._connection.execute("EVALSHA", self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._connection.execute("EVAL", self._text, len(keys), *keys, *args)
