"""An alarm is told once when it comes, again after a long time, and once when it is over. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from leadenrich.alerts.alarms import relief
from leadenrich.core.times import span

CALM_LOOKS: Final = 4  # in a row, before an alarm counts as over: what comes and goes is one episode


class Episode(msgspec.Struct, frozen=True):
    """One alarm, from its first look to its last. Epoch milliseconds."""

    since_ms: int
    told_ms: int
    calm: int = 0  # looks in a row that did not find it any more


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told, and what holds once it was: each alarm's episode, None where it is over."""

    text: str
    after: dict[str, Episode | None]


@dataclass(slots=True)
class Judgement:
    """What is to be told, and what is only noted."""

    messages: list[Message] = field(default_factory=list)
    noted: dict[str, Episode] = field(default_factory=dict)

    def tell(self, text: str, name: str, after: Episode | None) -> None:
        """Two alarms of the same words are one message: two thresholds of one budget."""
        for message in self.messages:
            if message.text == text:
                message.after[name] = after
                return
        self.messages.append(Message(text, {name: after}))


def judge(
    episodes: Mapping[str, Episode], alarms: Mapping[str, str], *, now_ms: int, remind_s: float = 0.0
) -> Judgement:
    """Compares what was under way with what is wrong now. `remind_s` 0: what lasts is told once."""
    judgement = Judgement()
    for name, sentence in alarms.items():
        episode = episodes.get(name)
        if episode is None:
            judgement.tell(f"Alert: {sentence}", name, Episode(now_ms, now_ms))
        elif remind_s and now_ms - episode.told_ms >= remind_s * 1000:
            lasted = span((now_ms - episode.since_ms) / 1000)
            judgement.tell(f"Still, after {lasted}: {sentence}", name, Episode(episode.since_ms, now_ms))
        elif episode.calm:
            judgement.noted[name] = msgspec.structs.replace(episode, calm=0)
    for name, episode in episodes.items():
        if name in alarms:
            continue
        if episode.calm + 1 < CALM_LOOKS:
            judgement.noted[name] = msgspec.structs.replace(episode, calm=episode.calm + 1)
        else:
            judgement.tell(f"Over: {relief(name)}", name, None)
    return judgement
