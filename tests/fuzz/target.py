"""What a target is, and what one input did to it."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
DATA = Path(__file__).parents[1] / "data"
CPU_S_MAX = 0.25  # for one input: as long as that nobody else would be answered
SEPARATOR = b"\x1f"  # between the parts of an input that has several


class TooSlow(Exception):
    """It raised nothing, and took so long that it is a fault."""


@dataclass(frozen=True)
class Target:
    """`refusals` are what `run` may raise. `samples` are valid inputs, `words` pieces that its grammar knows."""

    name: str
    run: Callable[[bytes], None]
    refusals: tuple[type[Exception], ...]
    samples: tuple[bytes, ...]
    words: tuple[bytes, ...]

    def trouble(self, data: bytes) -> BaseException | None:
        """What an input caused that it must not."""
        if self.name not in _WARM:  # the first input of all loads libraries
            _WARM.add(self.name)
            self._raised(self.samples[0])
        began = time.thread_time()
        error = self._raised(data)
        took = time.thread_time() - began
        return TooSlow(f"{took:.2f} s for {len(data)} bytes") if error is None and took > CPU_S_MAX else error

    def _raised(self, data: bytes) -> BaseException | None:
        try:
            self.run(data)
        except self.refusals:
            return None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of cryptography's Rust is no Exception
            return error
        return None

    def kept(self) -> list[Path]:
        """The inputs that once were found."""
        return sorted((CORPUS / self.name).glob("*"))


TARGETS: dict[str, Target] = {}
_WARM: set[str] = set()


def target(
    *refusals: type[Exception], samples: Iterable[bytes], words: str = ""
) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Makes a target of a function, under its name. `words`: divided by blanks."""

    def enter(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
        pieces = tuple(word.encode() for word in words.split())
        TARGETS[run.__name__] = Target(run.__name__, run, refusals, tuple(samples), pieces)
        return run

    return enter


def parts(data: bytes, count: int) -> list[bytes]:
    """An input in so many parts; those that it lacks are empty, the last takes what is left."""
    told = data.split(SEPARATOR, count - 1)
    return told + [b""] * (count - len(told))


def joined(*texts: str | bytes) -> bytes:
    return SEPARATOR.join(text if isinstance(text, bytes) else text.encode() for text in texts)


def files(folder: str, pattern: str = "*") -> list[bytes]:
    return [path.read_bytes() for path in sorted((DATA / folder).glob(pattern))]


def place_of(error: BaseException) -> str:
    """The kind of a finding and where in the program it arose: one fault found a thousand times is one."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "leadenrich" in Path(frame.filename).parts] or list(frames)
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
    return f"{type(error).__name__} at {where}"


def smallest(target: Target, data: bytes) -> bytes:
    """What is left of an input when all is taken out that its finding does not need."""
    error = target.trouble(data)
    if isinstance(error, TooSlow):
        return data  # a thousand tries would take for ever
    place, size = error and place_of(error), len(data)
    while place and size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            error = target.trouble(shorter)
            if error is not None and place_of(error) == place:
                data = shorter
            else:
                at += size
        size //= 2
    return data


def keep(data: bytes, folder: Path) -> Path:
    """In the folder, named by its content. In a target's corpus `make test` meets it again."""
    path = folder / hashlib.sha256(data).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
