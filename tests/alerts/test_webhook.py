"""The post: what is sent, what is tried again, what is not, and that no error shows the secret address."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver
from fake_slack import PATH, FakeSlack
from redis_server import free_port

from leadenrich.alerts.webhook import NotPosted, Webhook
from leadenrich.config import Secret


def webhook(slack: FakeSlack, **more: object) -> Webhook:
    return Webhook(slack.secret, **{"backoff_s": 0.001, **more})  # type: ignore[arg-type]


async def test_the_text_arrives_escaped_as_slack_wants_it(slack: FakeSlack) -> None:
    await webhook(slack).post("Tom & Jerry <!channel>")
    assert slack.texts == ["Tom &amp; Jerry &lt;!channel&gt;"]
    assert slack.paths == [PATH]


async def test_a_query_is_part_of_the_address(slack: FakeSlack) -> None:
    await Webhook(Secret(f"{slack.url}?key=a%20b")).post("hello")
    assert slack.paths == [f"{PATH}?key=a%20b"]


async def test_what_may_pass_is_tried_again(slack: FakeSlack) -> None:
    slack.answers = [503, 429, 500]
    await webhook(slack).post("hello")
    assert slack.texts == ["hello"]
    assert len(slack.paths) == 4


async def test_it_is_given_up_after_the_last_try(slack: FakeSlack) -> None:
    slack.answers = [503] * 9
    with pytest.raises(NotPosted, match=r"alerts.url answered 503 \(4 tries\)"):
        await webhook(slack).post("hello")
    assert len(slack.paths) == 4


@pytest.mark.parametrize("status", [400, 403, 404, 410, 302])
async def test_a_webhook_that_is_gone_is_asked_once(slack: FakeSlack, status: int) -> None:
    slack.answers = [status]
    with pytest.raises(NotPosted, match=f"answered {status}: is the webhook still there"):
        await webhook(slack).post("hello")
    assert len(slack.paths) == 1


async def test_no_error_shows_the_address(slack: FakeSlack) -> None:
    nobody = Webhook(Secret(f"http://127.0.0.1:{free_port()}{PATH}"), tries=2, backoff_s=0.001)
    with pytest.raises(NotPosted) as error:
        await nobody.post("hello")
    assert PATH not in str(error.value)
    assert "2 tries" in str(error.value)


class Inward(AbstractResolver):
    """A public name that somebody lets lead to the inside of a network."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Any:
        return [{"hostname": host, "host": "10.0.0.5", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None: ...


async def test_a_name_that_leads_to_a_private_address_is_not_posted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadenrich.providers.resolver.DefaultResolver", Inward)
    with pytest.raises(NotPosted, match=r"hooks.example.com leads to a private address"):
        await Webhook(Secret("https://hooks.example.com/services/x"), tries=1).post("hello")
