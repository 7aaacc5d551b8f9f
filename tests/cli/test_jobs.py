"""`leadenrich jobs`: looked at and acted on as by the API, told to people and to programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable

import pytest
from queue_desk import Desk
from shell import Shell

from leadenrich.core.job import Lane, Outcome, Reason
from leadenrich.core.retry import Bury, Failure
from leadenrich.store.audit import Audit


def failed(count: int, reason: Reason = Reason.ATTEMPTS_EXHAUSTED):
    """That many failed jobs; their ids, the oldest first."""

    async def act(desk: Desk) -> list[str]:
        for number in range(count):
            await desk.new(f"{reason}{number}")
        claims = await desk.claim(count)
        for claim in claims:
            await desk.bury(claim, reason)
        return [claim.job_id for claim in claims]

    return act


async def unmatched(desk: Desk) -> str:
    job_id = await desk.new("unmatched")
    failure = Failure("no such property", "Traceback (most recent call last)")
    await desk.queue.bury(await desk.one(), Bury(Reason.PROPERTY_NOT_FOUND, failure, Outcome.NO_MATCH))
    return job_id


def waiting(*contacts: str, lane: Lane = Lane.LIVE):
    async def act(desk: Desk) -> list[str]:
        return [await desk.new(contact, lane=lane) for contact in contacts]

    return act


def states(shell: Shell) -> dict[str, str]:
    jobs = [json.loads(line) for line in shell.done("jobs", "list", "--limit", "500", "--json").lines]
    return {job["id"]: job["state"] for job in jobs}


def test_a_list_is_filtered_and_says_when_there_is_more(shell: Shell) -> None:
    shell.desk(failed(3))
    [bulk] = shell.desk(waiting("a-contact", lane=Lane.BULK))
    [line] = shell.done("jobs", "list", "--lane", "bulk").lines
    assert line.split("\t")[:7] == [
        bulk,
        "QUEUED",
        "",
        "",
        "a-contact",
        "742 Evergreen Ter, Springfield, IL 62704",
        "0/3",
    ]
    part = shell.done("jobs", "list", "--state", "FAILED_FINAL", "--limit", "2")
    assert [line.split("\t")[3] for line in part.lines] == ["attempts_exhausted"] * 2
    assert "there are more than these 2" in part.err
    whole = shell.done("jobs", "list", "--reason", "attempts_exhausted", "--since", "2020-01-01", "--limit", "3")
    assert (len(whole.lines), whole.err) == (3, "")
    assert shell.done("jobs", "list", "--until", "2020-01-01T00:00Z").lines == []
    assert len(states(shell)) == 4


def test_a_job_that_waits_for_a_paused_queue_says_so(shell: Shell) -> None:
    [job_id] = shell.desk(waiting("c1"))
    shell.done("queue", "pause", "--reason", "counting the stock")
    told = shell.done("jobs", "show", job_id)
    assert re.match(
        r"Waiting since [^(]*: the queue is paused by \S+ since [^(]* \(counting the stock\)\.", told.lines[0]
    )


def test_a_job_is_told_in_a_sentence_and_whole(shell: Shell) -> None:
    [job_id] = shell.desk(failed(1))
    told = shell.done("jobs", "show", job_id)
    assert told.lines[0].startswith("Not enriched: the last try failed too (no). Ended at ")
    said = " ".join(told.out.split())
    for part in (
        f"job {job_id}",
        "reason attempts_exhausted",
        "tries 1 of 3",
        "started try 1 began",
        "Last error no trace",
    ):
        assert part in said
    assert json.loads(shell.done("jobs", "show", job_id, "--json").out)["id"] == job_id
    said = " ".join(shell.done("jobs", "show", shell.desk(unmatched)).out.split())
    assert "Last error no such property" in said
    assert "Traceback" not in said, "the vendor's own answer: nobody has to look into our code"
    missing = shell.run("jobs", "show", "nobody", job_id)
    assert (missing.status, missing.lines[0]) == (1, told.lines[0])
    assert missing.err == "leadenrich: nobody: there is no such job; finished ones are kept for a while only\n"


@pytest.mark.parametrize("columns", [50, 60, 80, 120])
def test_on_a_narrow_terminal_a_list_keeps_id_state_and_age(
    shell: Shell, terminal: Callable[[int], None], columns: int
) -> None:
    [tired] = shell.desk(failed(1))

    async def far_off(desk: Desk) -> None:
        await desk.new("contact-of-twenty-01")
        await desk.retry(await desk.one(), 60.0)
        for job in await desk.connection.execute("KEYS", desk.keys.job("*")):
            await desk.connection.execute("HINCRBY", job, "created", -1500 * 1000)

    shell.desk(far_off)
    terminal(columns)
    told = shell.done("jobs", "list")
    assert max(map(len, told.lines)) <= columns
    rows = {words[0]: words for line in told.lines[1:] if (words := line.split())}
    assert rows[tired][1] == "FAILED_FINAL"
    assert {words[1] for words in rows.values()} == {"FAILED_FINAL", "RETRY_SCHEDULED"}
    assert all(words[-2:] == ["25", "min"] for words in rows.values())
    assert ("contact-of-twenty-01" in told.out) is (columns >= 80)


def test_a_pipe_gets_no_blanks_at_the_ends_of_lines(shell: Shell) -> None:
    told = shell.done("jobs", "show", *shell.desk(failed(1)))
    assert len(told.lines) > 12
    assert [line for line in told.lines if line != line.rstrip()] == []


def test_what_a_lead_carries_does_not_write_on_the_terminal(shell: Shell) -> None:
    async def act(desk: Desk) -> str:
        return await desk.new("c1", "1 \x1b]0;owned\x07 [red]St", name="Eve\x1b[2J\nforged line")

    job_id = shell.desk(act)
    for words in (["list"], ["show", job_id]):
        told = shell.done("jobs", *words).out
        assert "\x1b" not in told
        assert "\nforged" not in told
    assert "[red]St" in told


def test_one_is_run_again_and_one_cancelled_each_in_the_audit_log(shell: Shell) -> None:
    [tired] = shell.desk(failed(1))
    [queued] = shell.desk(waiting("c9"))
    assert shell.done("jobs", "retry", tired).out == "1 run again.\n"
    assert shell.done("jobs", "cancel", queued).out == "1 cancelled.\n"
    assert states(shell) == {tired: "QUEUED", queued: "FAILED_FINAL"}
    wrong = shell.run("jobs", "cancel", queued, "nobody", "--json")
    assert (wrong.status, json.loads(wrong.out)) == (1, {"matched": 2, "done": 0, "skipped": 2})
    assert "only a job that waits" in wrong.err
    assert "there is no such job" in wrong.err

    async def audit(desk: Desk) -> list[tuple[str, str, str]]:
        entries = (await Audit(desk.connection, desk.keys).read()).entries
        return [(entry.role, entry.action, entry.target) for entry in entries]

    assert shell.desk(audit) == [("cli", "cancel", f"job:{queued}"), ("cli", "retry", f"job:{tired}")]


def test_many_are_counted_asked_for_and_done_in_parts(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadenrich.cli.jobs.BATCH", 20)
    tired, stalled = shell.desk(failed(45)), shell.desk(failed(2, Reason.STALLED))
    asked = shell.run("jobs", "retry", "--reason", "attempts_exhausted")
    assert (asked.status, asked.out) == (1, "")
    assert asked.err.startswith(
        "leadenrich: Run 45 failed jobs again? Not a terminal, so nothing can be asked: add --yes"
    )
    assert set(states(shell).values()) == {"FAILED_FINAL"}
    done = shell.done("jobs", "retry", "--reason", "attempts_exhausted", "--yes")
    assert (done.out, done.err) == ("45 run again.\n", ""), "how far it is, is told to a person only"
    assert {job_id for job_id, state in states(shell).items() if state == "QUEUED"} == set(tired)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ended = shell.done("jobs", "cancel", "--state", "QUEUED", "--limit", "30", "--yes", "--json")
    assert ended.err == "20 of 30\n30 of 30\n"
    assert json.loads(ended.out) == {"matched": 30, "done": 30, "skipped": 0, "failures_removed": 0}
    assert sum(state == "QUEUED" for state in states(shell).values()) == 15
    assert states(shell)[stalled[0]] == "FAILED_FINAL"
    assert shell.done("jobs", "retry", "--reason", "bad_address").out == "No job fits.\n"


def test_who_runs_many_again_hears_first_why_they_failed(shell: Shell) -> None:
    shell.desk(failed(2, Reason.STALLED))
    shell.desk(failed(3, Reason.PROPERTY_NOT_FOUND))
    asked = shell.run("jobs", "retry", "--state", "FAILED_FINAL")
    told = "Run 5 failed jobs again? They failed for: 3 property_not_found, 2 stalled."
    assert asked.err.startswith(f"leadenrich: {told} Not a terminal")
    assert "Run 4 failed jobs again? " in shell.run("jobs", "retry", "--state", "FAILED_FINAL", "--limit", "4").err


def test_who_cancels_many_hears_which_failures_make_room(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than queue.keep_failed push older failures out of what is kept; what was cancelled before is no loss."""
    monkeypatch.setattr("leadenrich.cli.jobs.BATCH", 4)
    shell.config.write_text(shell.config.read_text().replace("[queue]\n", "[queue]\nkeep_failed = 10\n"))
    failures = set(shell.desk(failed(4)))
    shell.desk(waiting("cancelled"))
    assert shell.done("jobs", "cancel", "--state", "QUEUED", "--yes").out == "1 cancelled.\n"
    shell.desk(waiting(*(f"w{number}" for number in range(8))))
    asked = shell.run("jobs", "cancel", "--state", "QUEUED").err
    assert "End 8 waiting jobs? 3 older failures will be removed to make room (queue.keep_failed)." in asked
    asked = shell.run("jobs", "cancel", "--state", "QUEUED", "--limit", "6").err
    assert "End 6 waiting jobs? 1 older failure will be removed to make room (queue.keep_failed)." in asked
    told = shell.done("jobs", "cancel", "--state", "QUEUED", "--yes").out
    assert told == "8 cancelled. 3 older failures removed to make room (queue.keep_failed).\n"
    assert len(failures & states(shell).keys()) == 1  # which, of one millisecond, is left to chance
    shell.desk(waiting("one-more"))
    told = shell.done("jobs", "cancel", "--state", "QUEUED", "--yes", "--json").out
    assert json.loads(told) == {"matched": 1, "done": 1, "skipped": 0, "failures_removed": 1}
    shell.desk(waiting(*(f"more{number}" for number in range(11))))
    beyond = "Only the newest 10 are kept (queue.keep_failed): the others can neither be seen nor run again"
    assert f"End 11 waiting jobs? {beyond}" in shell.run("jobs", "cancel", "--state", "QUEUED").err
    assert shell.done("jobs", "cancel", "--state", "QUEUED", "--yes").out.startswith(f"11 cancelled. {beyond}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["retry"], "name the jobs by their ids, or say which by a filter (--state, "),
        (["cancel", "some-id", "--lane", "bulk"], "one of both"),
        (["show"], "name the jobs by their ids"),
        (["list", "some-id"], "leadenrich jobs show ID"),
        (["list", "--state", "DONE"], "--state DONE: must be one of QUEUED, PROCESSING, RETRY_SCHEDULED, "),
        (["retry", "--state", "QUEUED"], "--state QUEUED: must be one of FAILED_FINAL"),
        (["cancel", "--state", "SUCCEEDED"], "must be one of QUEUED, RETRY_SCHEDULED"),
        (["list", "--since", "yesterday"], "--since yesterday: must be a date or a time, as 2026-11-24"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_meant_is_refused_before_redis_is_asked(words: list[str], says: str, shell: Shell) -> None:
    shell.config.write_text('[redis]\nurl = "redis://127.0.0.1:1/0"\n')
    told = shell.run("jobs", *words)
    assert (told.status, told.out) == (2, "")
    assert told.err.startswith(f"leadenrich: jobs {words[0]}: ")
    assert says in told.err
