import pytest

from leadenrich.core.errors import Throttled
from leadenrich.providers.shutter import Shutter, seconds_to_midnight_utc


@pytest.fixture
def shutter(clock):
    return Shutter("p", now_ms=clock.now_ms, clock=clock.seconds)


def test_closed_until_the_named_time_for_everybody(shutter, clock):
    shutter.check()
    until_ms = shutter.complain(5.0, "slow down")
    assert until_ms == clock.now_ms() + 5000
    clock.advance(4.9)
    with pytest.raises(Throttled, match="slow down") as caught:
        shutter.check()
    assert caught.value.until_ms == until_ms
    clock.advance(0.2)
    shutter.check()


def test_without_a_named_time_the_wait_doubles_up_to_a_minute_and_a_good_answer_resets_it(shutter, clock):
    waits = []
    for _ in range(8):
        waits.append((shutter.complain(None, "") - clock.now_ms()) / 1000)
        clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    shutter.answered()
    assert shutter.complain(None, "") - clock.now_ms() == 1000


def test_calls_that_were_under_way_together_are_one_complaint(shutter, clock):
    assert {shutter.complain(None, "") - clock.now_ms() for _ in range(5)} == {1000}


def test_a_shorter_time_does_not_open_it_early(shutter, clock):
    shutter.close(60, "day")
    assert shutter.close(1, "burst") == clock.now_ms() + 60_000


def test_a_jump_of_the_wall_clock_neither_opens_it_nor_keeps_it_shut(shutter, clock):
    shutter.close(10, "")
    clock.wall_ms += 3_600_000
    with pytest.raises(Throttled):
        shutter.check()
    clock.wall_ms -= 7_200_000
    clock.monotonic_s += 10
    shutter.check()


@pytest.mark.parametrize(
    ("now_ms", "seconds"),
    [(0, 86_400.0), (86_399_999, 0.001), (1_795_435_200_000, 43_200.0)],
)
def test_midnight_is_always_ahead(now_ms, seconds):
    assert seconds_to_midnight_utc(now_ms) == seconds
