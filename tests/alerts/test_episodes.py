"""Once when it comes, once when it is over: judged by a clock that is an argument."""

from __future__ import annotations

from hypothesis import given, strategies as st

from leadenrich.alerts.episodes import CALM_LOOKS, Episode, judge

LOOK_MS = 15_000


class Watcher:
    """Looks again and again, as a daemon does; everything it tells is kept."""

    def __init__(self, *, remind_s: float = 0.0) -> None:
        self.remind_s = remind_s
        self.now_ms = 1_800_000_000_000
        self.episodes: dict[str, Episode] = {}
        self.told: list[str] = []

    def look(self, *names: str, words: str = "") -> list[str]:
        found = {name: words or f"{name} is wrong" for name in names}
        judgement = judge(self.episodes, found, now_ms=self.now_ms, remind_s=self.remind_s)
        self.episodes |= judgement.noted
        for message in judgement.messages:
            self.episodes |= {name: after for name, after in message.after.items() if after}
            for name in [name for name, after in message.after.items() if after is None]:
                del self.episodes[name]
        self.now_ms += LOOK_MS
        texts = [message.text for message in judgement.messages]
        self.told += texts
        return texts


def test_it_is_told_once_and_once_when_it_is_over() -> None:
    watcher = Watcher()
    assert watcher.look("paused:ghl:loc1") == ["Alert: paused:ghl:loc1 is wrong"]
    for _ in range(1000):
        assert watcher.look("paused:ghl:loc1") == []
    for _ in range(CALM_LOOKS - 1):
        assert watcher.look() == []
    assert watcher.look() == ["Over: ghl:loc1 is called again."]
    assert watcher.episodes == {}
    assert watcher.look() == []


def test_what_comes_and_goes_is_one_episode() -> None:
    watcher = Watcher()
    watcher.look("failed_share")
    for _ in range(50):
        for _ in range(CALM_LOOKS - 1):
            watcher.look()
        watcher.look("failed_share")
    assert len(watcher.told) == 1


def test_a_second_episode_is_told_again() -> None:
    watcher = Watcher()
    for _ in range(2):
        watcher.look("failed_share")
        for _ in range(CALM_LOOKS):
            watcher.look()
    assert [text.partition(":")[0] for text in watcher.told] == ["Alert", "Over", "Alert", "Over"]


def test_what_lasts_is_told_again_after_the_time_asked_for() -> None:
    watcher = Watcher(remind_s=3600)
    looks_an_hour = 3_600_000 // LOOK_MS
    for _ in range(2 * looks_an_hour + 1):
        watcher.look("oldest_live_wait")
    assert [text.partition(":")[0] for text in watcher.told] == ["Alert", "Still, after 60 min", "Still, after 2.0 h"]


def test_two_thresholds_of_one_budget_are_one_message() -> None:
    watcher = Watcher()
    assert watcher.look("budget:80", "budget:100", words="100 of 100 are used") == ["Alert: 100 of 100 are used"]
    for _ in range(CALM_LOOKS - 1):
        watcher.look()
    assert watcher.look() == ["Over: The day's budget has room again."]


def test_the_higher_threshold_is_told_when_it_is_reached() -> None:
    watcher = Watcher()
    assert len(watcher.look("budget:80", words="80 of 100 are used")) == 1
    assert watcher.look("budget:80", "budget:100", words="100 of 100 are used") == ["Alert: 100 of 100 are used"]


@given(st.lists(st.sets(st.sampled_from(["paused:a", "paused:b", "failed_share"])), max_size=60))
def test_beginnings_and_ends_take_turns(looks: list[set[str]]) -> None:
    """Whatever comes and goes: no end without a beginning, never two of either in a row."""
    watcher = Watcher()
    for names in looks:
        watcher.look(*sorted(names))
    about = {"paused:a": "paused:a", "paused:b": "paused:b", "failed_share": "failed_share"}
    ends = {"paused:a": "a is called", "paused:b": "b is called", "failed_share": "Fewer"}
    for name in about:
        turns = [
            "begins" if f"Alert: {name} " in text else "ends"
            for text in watcher.told
            if name in text or ends[name] in text
        ]
        assert turns == ["begins", "ends"] * (len(turns) // 2) + ["begins"] * (len(turns) % 2)
        assert (len(turns) % 2 == 1) == (name in watcher.episodes)
