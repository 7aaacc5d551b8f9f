"""A preloaded library that shifts a process' wall clock, and only that one, by seconds that the test writes."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile int64_t *shift;
__attribute__((constructor)) static void open_shift(void) {
  int fd = open(getenv("CLOCK_SHIFT_FILE"), O_RDONLY);
  void *page = fd < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
  if (page != MAP_FAILED) shift = page;
}
/* The call itself and not libc's: looking that up would allocate, and an allocator asks for the time. */
int clock_gettime(clockid_t id, struct timespec *now) {
  int answer = syscall(SYS_clock_gettime, id, now);
  if (!answer && shift && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += *shift;
  return answer;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  now->tv_sec = at.tv_sec;
  now->tv_usec = at.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *into) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (into) *into = at.tv_sec;
  return at.tv_sec;
}
"""


def compiler() -> str | None:
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


class ShiftedClock:
    """Processes started with `environment` have their wall clock `seconds` off, from then on, whenever it is set."""

    def __init__(self, folder: Path) -> None:
        """Compiles the library. Needs a C compiler."""
        source, self._library, self._file = folder / "shift.c", folder / "shift.so", folder / "shift"
        source.write_text(SOURCE)
        command = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        self._file.write_bytes(bytes(8))
        with self._file.open("r+b") as opened:
            self._page = mmap.mmap(opened.fileno(), 8)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CLOCK_SHIFT_FILE": str(self._file)}

    def shift(self, seconds: int) -> None:
        self._page[:] = struct.pack("q", seconds)

    def close(self) -> None:
        self._page.close()
        self._library.unlink()
