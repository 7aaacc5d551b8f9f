"""`leadenrich demo`: the whole daemon against fake vendors, with sample leads sent through its own HTTP endpoint."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
import time

import aiohttp
from msgspec.structs import replace

from leadenrich.cli.demo_table import DemoTable, Line
from leadenrich.cli.loop import run_loop
from leadenrich.cli.sandboxed import sandboxed
from leadenrich.cli.serve import local
from leadenrich.cli.status import DONE, FAILED
from leadenrich.config import Config, LogSettings
from leadenrich.daemon import CannotStart, Running, ServeOptions, serve
from leadenrich.sandbox.leads import DemoLead, demo_leads, webhook_body
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.views import JobView, Views

BACKOFF_S = 0.2
LOOK_S = 0.1
ENDS_WITHIN_S = 120.0
ANSWER_S = 15.0
PORT = 8080


def run(args: argparse.Namespace) -> int:
    """`--once`: 0 only when every lead ended as its sample says it must."""
    try:
        return run_loop(_demo(args.leads, once=args.once))
    except CannotStart as error:
        return error.told()


class QuietLog(io.StringIO):
    """The log's stream: nothing while the table has the screen, stderr afterwards."""

    quiet = True

    def write(self, text: str) -> int:
        return len(text) if self.quiet else sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


async def _demo(count: int, *, once: bool) -> int:
    quiet = QuietLog()
    async with sandboxed(_config(free_port=once), leads=count) as (config, sandbox):
        ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        options = ServeOptions(log_stream=quiet)
        daemon = asyncio.create_task(serve(config, options, on_ready=ready.set_result))
        daemon.add_done_callback(lambda _: ready.cancel())
        try:
            running = await ready
        except asyncio.CancelledError:
            await daemon  # raises why it could not start
            raise
        sandbox.echo_to(f"{running.url}/webhooks/ghl")
        passed = await _show(running, sandbox, demo_leads(count), daemon, table=once)
        quiet.quiet = once
        if once:
            running.stop.set()
        else:
            print(f"\nThe daemon stays up: {running.url}/ shows it. Ctrl-C ends it.", flush=True)
        await daemon
        return DONE if passed else FAILED


def _config(*, free_port: bool) -> Config:
    """The defaults, quick retries, a free port for a run that ends.

    The log is for people also where it goes to a file: who fails as it must is a line there, without a stack.
    """
    config = local(Config())
    port = 0 if free_port else int(os.environ.get("LEADENRICH_SERVER__PORT", PORT))
    return replace(
        config,
        log=LogSettings(format="console"),
        queue=replace(config.queue, backoff_delay=BACKOFF_S),
        server=replace(config.server, port=port),
        worker=replace(config.worker, name="demo"),
    )


async def _show(
    running: Running, sandbox: Sandbox, leads: list[DemoLead], daemon: asyncio.Task[None], *, table: bool
) -> bool:
    """Sends the leads and follows them to their end; whether each ended as its sample says."""
    views = Views(running.connection, running.queue.keys)
    jobs: dict[str, DemoLead] = {}
    began = time.monotonic()
    with DemoTable(len(leads), summary_table=table) as screen:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
            for lead in leads:
                jobs[await _send(session, f"{running.url}/webhooks/ghl", lead, sandbox)] = lead
                screen.show(lead, Line(state="QUEUED"))
        waiting = dict(jobs)
        while waiting and not daemon.done() and time.monotonic() - began < ENDS_WITHIN_S:
            for job_id, lead in list(waiting.items()):
                job = await views.job(job_id)
                if job is not None:
                    screen.show(lead, _line(job, lead))
                    if job.finished_at:
                        del waiting[job_id]
            await asyncio.sleep(LOOK_S)
        screen.end(time.monotonic() - began, calls=len(sandbox.rea.calls))
        return screen.all_as_expected


async def _send(session: aiohttp.ClientSession, url: str, lead: DemoLead, sandbox: Sandbox) -> str:
    body = webhook_body(lead)
    headers = {"Content-Type": "application/json", "X-GHL-Signature": sandbox.keys.sign(body)}
    async with session.post(url, data=body, headers=headers) as answer:
        told = await answer.json()
        if answer.status not in (200, 202):
            print(f"leadenrich: the webhook of {lead.story} was answered {answer.status}: {told}", file=sys.stderr)
        return str(told.get("job_id"))


def _line(job: JobView, lead: DemoLead) -> Line:
    expected = (lead.state.value, lead.outcome and lead.outcome.value, lead.reason and lead.reason.value)
    as_it_must = (job.state, job.outcome, job.reason) == expected and set(job.disqualified_by) == set(lead.codes)
    return Line(
        state=job.state,
        outcome=job.outcome or "",
        why=job.reason or ", ".join(job.disqualified_by),
        tries=job.attempts_made,
        ended=job.finished_at is not None,
        as_expected=as_it_must,
    )
