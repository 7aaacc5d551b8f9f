"""What a newcomer runs first: `leadenrich demo`, and `leadenrich setup`. Each as its own process, without Redis."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from daemon_process import as_toml, new_sandbox, settings_for, until
from rich.console import Console

from leadenrich.cli.demo_table import DemoTable, Line
from leadenrich.sandbox.leads import LEAD_KINDS, DemoLead, demo_leads
from leadenrich.sandbox.server import Sandbox

ENDS_WITHIN_S = 20.0
DONE = re.compile(r"25 of 25 leads ended in ([0-9.]+) s, 25 as expected; \d+ look-up[a-z ]+\.")


@dataclass
class Command:
    """A running `leadenrich`; `output` grows while it runs."""

    process: asyncio.subprocess.Process
    output: str = ""
    errors: str = ""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEADENRICH_")}
    return {**kept, "TERM": "xterm", "COLUMNS": "150", "LINES": "60", **more}


@asynccontextmanager
async def command(folder: Path, *arguments: str, terminal: bool = False, **variables: str) -> AsyncIterator[Command]:
    """Runs a command on pipes, or on a terminal of its own. What still runs at the end is killed."""
    ours, theirs = pty.openpty() if terminal else (None, asyncio.subprocess.PIPE)
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leadenrich", *arguments, cwd=folder, env=environment(**variables),
        stdin=asyncio.subprocess.DEVNULL, stdout=theirs, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    shown = Command(running)
    if ours is not None:
        os.close(theirs)
    readers = [asyncio.create_task(_errors(shown)), asyncio.create_task(_output(shown, ours))]
    try:
        yield shown
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
        await asyncio.gather(*readers)


async def _errors(shown: Command) -> None:
    assert shown.process.stderr is not None
    while part := await shown.process.stderr.read(65_536):
        shown.errors += part.decode()


async def _output(shown: Command, terminal: int | None) -> None:
    if terminal is None:
        assert shown.process.stdout is not None
        while part := await shown.process.stdout.read(65_536):
            shown.output += part.decode()
        return
    with suppress(OSError), open(terminal, "rb", buffering=0) as screen:  # noqa: PTH123 - a descriptor, not a path
        while part := await asyncio.to_thread(screen.read, 65_536):
            shown.output += part.decode(errors="replace")


async def exit_status(shown: Command, within_s: float = ENDS_WITHIN_S) -> int:
    async with asyncio.timeout(within_s):
        return await shown.process.wait()


async def test_the_demo_once_on_a_pipe_and_on_a_terminal(tmp_path: Path) -> None:
    """Every sample lead ends as it must within 20 s, with a line of its own on a pipe and on a terminal."""
    began = time.monotonic()
    async with (
        command(tmp_path, "demo", "--once") as piped,
        command(tmp_path, "demo", "--once", terminal=True, COLUMNS="80", LINES="24") as shown,
    ):
        await until(lambda: "as expected" in piped.output, "the first line")
        assert piped.process.returncode is None, "it comes as soon as its lead has ended"
        assert "leads ended" not in piped.output
        assert await asyncio.gather(exit_status(piped), exit_status(shown)) == [0, 0], piped.errors + shown.errors
        assert time.monotonic() - began < ENDS_WITHIN_S
    lines = piped.output.splitlines()
    for lead in demo_leads(25):
        [line] = [line for line in lines if lead.story in line and line.endswith("(as expected)")]
        assert line.split()[0] == lead.state
        assert lead.outcome is None or lead.outcome in line
    assert DONE.fullmatch(lines[-1])
    assert "\x1b" not in piped.output
    assert "NOT AS EXPECTED" not in piped.output
    assert piped.errors == ""

    assert shown.output.count("\x1b[") > 100, "what is under way is drawn again and again"
    assert DONE.search(plain(shown.output))
    assert "PROCESSING" in shown.output
    assert "Traceback" not in shown.output + shown.errors
    assert not [
        lead.story for lead in demo_leads(25) if not set(lead.story.split()) <= set(plain(shown.output).split())
    ]
    assert rows_gone_over(shown.output) < 24


def plain(output: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)


def words(output: str) -> set[str]:
    return set(re.findall(r"[^\s,]+", plain(output)))


def rows_gone_over(output: str) -> int:
    """The most rows that were drawn over at once: more than the terminal has would leave traces of themselves."""
    return max(moves.count("\x1b[1A") for moves in re.findall(r"(?:\x1b\[1A|\x1b\[2K|\r)+", output))


def screen(leads: int, *, width: int, height: int) -> tuple[DemoTable, io.StringIO]:
    """A table on a terminal of that size, and what was written to it."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=width, height=height, legacy_windows=False)
    return DemoTable(leads, summary_table=True, console=console), written


def ended(lead: DemoLead, **more: object) -> Line:
    end = Line(
        state=lead.state.value,
        outcome=lead.outcome.value if lead.outcome else "",
        why=lead.reason.value if lead.reason else ", ".join(lead.codes),
        tries=lead.tries,
        ended=True,
        as_expected=True,
    )
    return replace(end, **more)


@pytest.mark.parametrize("height", [24, 5])
def test_on_a_small_terminal_every_lead_s_line_stays_and_no_word_breaks(height: int) -> None:
    leads = demo_leads(LEAD_KINDS)
    table, written = screen(len(leads), width=80, height=height)
    with table:
        for lead in leads:
            table.show(lead, Line("QUEUED"))
        assert f"... and {len(leads) - (height - 2)} more" in plain(written.getvalue())
        for lead in leads:
            table.show(lead, Line("PROCESSING"))
            written.truncate(written.seek(0))
            table.show(lead, ended(lead))
            # What moves holds it no longer, so this is the line that stays.
            assert words(f"{lead.story} {lead.state} {ended(lead).why}") <= words(written.getvalue()), lead.story
            assert rows_gone_over(written.getvalue()) < height
        table.end(1.0, calls=1)
    assert f"{LEAD_KINDS} of {LEAD_KINDS} leads ended in 1.0 s, {LEAD_KINDS} as expected" in written.getvalue()


def test_a_lead_that_ends_otherwise_or_not_at_all_is_not_passed_over() -> None:
    first, second = demo_leads(2)
    table, written = screen(2, width=80, height=24)
    with table:
        table.show(first, ended(first, as_expected=False))
        table.show(second, Line("PROCESSING"))
        written.truncate(written.seek(0))
        table.end(120.0, calls=1)
        assert "listed for sale" in plain(written.getvalue())
        assert "1 of 2 leads ended in 120.0 s, 0 as expected" in plain(written.getvalue())
        assert not table.all_as_expected
    table, written = screen(1, width=80, height=24)
    with table:
        table.show(first, ended(first, as_expected=False))
    assert {"NOT", "AS", "EXPECTED"} <= words(written.getvalue())


async def test_the_demo_stays_up_until_it_is_interrupted(tmp_path: Path) -> None:
    async with command(tmp_path, "demo", "--leads", "3", LEADENRICH_SERVER__PORT="0") as shown:
        url = (await until(lambda: re.search(r"http://127\.0\.0\.1:\d+", shown.output), "the address"))[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/jobs") as page:
                assert (page.status, page.content_type) == (200, "text/html")
                assert demo_leads(1)[0].address.line1 in await page.text()
            async with session.get(f"{url}/readyz") as answer:
                assert answer.status == 200
            nowhere = told_curls()[0]
            async with session.post(f"{url}/webhooks/ghl/workflow?token=demo", json=nowhere) as answer:
                assert answer.status == 202
        await until(lambda: "property_not_found" in shown.errors, "the end that must be")
        [line] = [line for line in shown.errors.splitlines() if "property_not_found" in line]
        assert " warning failed " in line, "for people, although it goes to no terminal"
        assert shown.process.returncode is None
        shown.process.send_signal(signal.SIGINT)
        assert await exit_status(shown, within_s=5) == 0
        assert "Traceback" not in shown.errors


# --- serve --sandbox ------------------------------------------------------------------------------------------------


def told_curls() -> tuple[dict[str, str], dict[str, str]]:
    """The bodies of the README's two calls to the sandbox: of no property, and of one."""
    text = (Path(__file__).parents[1] / "README.md").read_text().split("## Five minutes")[1].split("## Install")[0]
    nowhere, there = (json.loads(body) for body in re.findall(r"-d '(.+)'", text))
    return nowhere, there


async def test_the_sandbox_says_how_to_play_and_the_readme_s_leads_end_there_as_it_says(tmp_path: Path) -> None:
    """Each address that it names answers, and so do both fakes to the commands that it names."""
    async with command(tmp_path, "serve", "--local", "--sandbox", LEADENRICH_SERVER__PORT="0") as shown:
        await until(lambda: "leadenrich setup" in shown.errors, "how to play")
        [webhook, *faults] = re.findall(r"POST (\S+)", shown.errors)
        nowhere, there = told_curls()
        assert there["contact_id"] in shown.errors
        async with aiohttp.ClientSession() as session:

            async def ends(body: dict[str, str]) -> tuple[str, str | None]:
                async with session.post(webhook, json=body) as answer:
                    path = f"{webhook.partition('/webhooks')[0]}/api/v1/jobs/{(await answer.json())['job_id']}"

                async def ended() -> tuple[str, str | None] | None:
                    async with session.get(path) as answer:
                        job = await answer.json()
                        return (job["state"], job["reason"]) if job["finished_at"] else None

                return await until(ended, "the lead's end")

            assert await ends(there) == ("SUCCEEDED", None)
            assert await ends(nowhere) == ("FAILED_FINAL", "property_not_found")
            assert await ends(nowhere) == ("FAILED_FINAL", "property_not_found"), "tried again, and the same"
            [(vendor, order)] = re.findall(r"curl (\S+) -d '(.+)'", shown.errors)
            assert vendor in faults
            async with session.post(vendor, data=order) as answer:
                assert (answer.status, (await answer.json())["match"]) == (201, {"provider": "realestateapi"})
            assert len(faults) == 2
            for url in faults:
                async with session.post(url, json={"kind": "throttle"}) as answer:
                    assert answer.status in (200, 201)
                async with session.delete(url) as answer:
                    assert answer.ok
        given = dict(re.findall(r"(LEADENRICH_\w+)=(\S+)", shown.errors))
        assert given["LEADENRICH_GHL__WEBHOOK_TOKEN"] == "demo"
        assert f":{given['LEADENRICH_SERVER__PORT']}/" in webhook
        async with command(tmp_path, "setup", **given) as setting_up:
            assert await exit_status(setting_up) == 0
        assert "47 fields are there, 0 to create" in setting_up.output
        async with command(tmp_path, "backfill", "--dry-run", **given) as reading:
            assert await exit_status(reading) == 0
        assert "contacts would be queued" in reading.output
        shown.process.send_signal(signal.SIGHUP)
        await until(lambda: "keeps its configuration" in shown.errors, "why it does not read it again")
        shown.process.send_signal(signal.SIGTERM)
        assert await exit_status(shown) == 0


async def test_a_token_of_the_configuration_is_kept_and_not_shown(tmp_path: Path) -> None:
    token = {"LEADENRICH_GHL__WEBHOOK_TOKEN": "a-token-of-my-own"}
    async with command(tmp_path, "serve", "--local", "--sandbox", LEADENRICH_SERVER__PORT="0", **token) as shown:
        await until(lambda: "leadenrich setup" in shown.errors, "how to play")
        [webhook, *_] = re.findall(r"POST (\S+)", shown.errors)
        assert "a-token-of-my-own" not in shown.errors
        async with aiohttp.ClientSession() as session:
            statuses = []
            for tried in ("demo", "a-token-of-my-own"):
                async with session.post(f"{webhook.partition('?')[0]}?token={tried}", json=told_curls()[1]) as answer:
                    statuses.append(answer.status)
        assert statuses == [401, 202]


async def test_the_example_as_it_is_does_for_the_sandbox(tmp_path: Path) -> None:
    """The fakes bring the key and the location that it leaves to be filled in."""
    (tmp_path / "config.toml").write_text((Path(__file__).parents[1] / "config.example.toml").read_text())
    async with command(tmp_path, "serve", "--local", "--sandbox", LEADENRICH_SERVER__PORT="0") as shown:
        await until(lambda: "leadenrich setup" in shown.errors, "how to play")


# --- setup ----------------------------------------------------------------------------------------------------------


def names(sandbox: Sandbox) -> set[str]:
    return {field.name for field in sandbox.ghl.locations[sandbox.location_id].fields.values()}


async def set_up(folder: Path, *arguments: str) -> tuple[int, str]:
    async with command(folder, "setup", "--config", "config.toml", *arguments) as shown:
        status = await exit_status(shown)
    assert "Traceback" not in shown.errors
    return status, shown.output + shown.errors


async def test_setup_creates_what_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    async with new_sandbox() as complete:
        wanted = names(complete)
    async with new_sandbox(custom_fields=[("Estimated Value", "NUMERICAL")]) as sandbox:
        (tmp_path / "config.toml").write_text(as_toml(settings_for(sandbox, "redis://127.0.0.1:1/0")))

        status, told = await set_up(tmp_path)  # nobody can be asked
        assert names(sandbox) == {"Estimated Value"}
        assert "--yes" in told
        assert "Bedrooms" in told, "the plan is shown all the same"

        status, told = await set_up(tmp_path, "--yes")
        assert status == 0, told
        assert names(sandbox) == wanted
        assert told.count("created") == len(wanted) - 1

        posts = sum(call.method == "POST" for call in sandbox.ghl.calls)
        status, told = await set_up(tmp_path, "--yes")
        assert (status, "0 to create" in told) == (0, True)
        assert sum(call.method == "POST" for call in sandbox.ghl.calls) == posts
        kinds = {field.name: field.data_type for field in sandbox.ghl.locations[sandbox.location_id].fields.values()}
        assert (kinds["Estimated Value"], kinds["Enriched At"]) == ("NUMERICAL", "DATE")


async def test_setup_says_what_highlevel_refuses(tmp_path: Path) -> None:
    async with new_sandbox(custom_fields=[]) as sandbox:
        settings = settings_for(sandbox, "redis://127.0.0.1:1/0")
        sandbox.ghl.locations[sandbox.location_id].token = "revoked"
        (tmp_path / "config.toml").write_text(as_toml(settings))
        status, told = await set_up(tmp_path, "--yes")
        assert status == 1
        assert "401" in told
        assert settings["ghl"]["locations"][0]["token"] not in told
