"""What /readyz and the log tell of a spool."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from daemon_process import inside, new_sandbox, people, settings_for

from leadenrich.daemon.web_half import through_spool
from leadenrich.telemetry.health import HalfReport, Health


@dataclass
class Waiting:
    """An intake as it is seen from outside."""

    leads: int = 0
    refuses: str = ""


def shown() -> tuple[Health, Waiting, Health]:
    """The health without and with a spool: they are told the same below."""
    plain, intake, spooling = Health(), Waiting(), Health()
    spooling.seen_through(partial(through_spool, intake))  # type: ignore[arg-type]
    for health in (plain, spooling):
        health.ready()
    return plain, intake, spooling


def test_with_redis_there_is_nothing_to_tell() -> None:
    health, _, spooling = shown()
    assert spooling.report_now() == health.report_now()


def test_the_web_half_is_ready_while_the_disk_takes_leads() -> None:
    _, intake, spooling = shown()
    health = spooling
    for half in ("web", "worker"):
        health.report(half, "store", "Redis: gone")
    intake.leads = 1
    report = spooling.report_now()
    assert (report.web and report.web.ready, report.worker and report.worker.ready, report.ready) == (
        True,
        False,
        False,
    )
    assert report.trouble == "worker: store: Redis: gone"
    assert report.notes == {"spool": "spooling: 1 lead waits"}
    intake.leads = 7
    assert spooling.report_now().notes == {"spool": "spooling: 7 leads wait"}
    health.report("web", "signature", "no key")
    assert spooling.report_now().web == HalfReport(False, {"signature": "no key"})


def test_without_redis_and_room_on_the_disk_it_is_not() -> None:
    _, intake, spooling = shown()
    health = spooling
    health.report("web", "store", "Redis: gone")
    intake.refuses = "the spool is full"
    report = spooling.report_now()
    assert report.web is not None
    assert report.web.problems == {"store": "Redis: gone", "spool": "the spool is full"}
    assert not report.ready
    health.report("web", "store", None)  # leads go to Redis again, whatever the disk said last
    assert spooling.report_now().ready
    intake.leads = 9  # those before them wait there still
    assert spooling.report_now().web == HalfReport(False, {"spool": "the spool is full"})


async def test_with_the_embedded_redis_it_is_ignored_in_so_many_words(tmp_path: Path) -> None:
    async with new_sandbox() as sandbox:
        settings = settings_for(sandbox, "fakeredis://", server={"spool": str(tmp_path / "spool")})
        async with inside(sandbox, tmp_path, settings) as daemon:
            [contact] = people(sandbox, 1)
            await daemon.ended([await daemon.tell(contact)])
            assert daemon.said("spool_ignored")
    assert not (tmp_path / "spool").exists()
