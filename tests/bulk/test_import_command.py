"""`leadenrich import`: what becomes of a file's rows, what is told, what the exit status says."""

from __future__ import annotations

import asyncio
import csv
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import redis
from bulk_files import HEADER, as_json, configuration, row
from daemon_process import until
from redis_proxy import Way, proxy_to
from redis_server import RedisServer, free_port

from leadenrich.cli.bulk_store import UNCHECKED
from leadenrich.store.payload import unpack


@pytest.fixture
def kept(redis_server: RedisServer, tmp_path: Path):
    """What is in Redis of the test's queue."""
    with redis.Redis.from_url(redis_server.url) as client:
        yield Kept(client, f"le:{{{tmp_path.name}}}:")


class Kept:
    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client, self.prefix = client, prefix

    def waiting(self) -> list[str]:
        return [job_id.decode() for job_id in self.client.lrange(f"{self.prefix}wait:bulk", 0, -1)]

    def of_each(self, field: str) -> list[str]:
        """A field of every job that waits."""
        pipeline = self.client.pipeline()
        for job_id in self.waiting():
            pipeline.hget(f"{self.prefix}job:{job_id}", field)
        return [value.decode() for value in pipeline.execute()]

    def contacts(self) -> list[str]:
        return self.of_each("contact")

    def named(self, kind: str) -> list[bytes]:
        return self.client.keys(f"{re.escape(self.prefix)}{kind}:*")

    def count(self) -> int:
        return int(self.client.llen(f"{self.prefix}wait:bulk"))


def test_rows_become_jobs_on_the_bulk_lane_in_their_order(leadenrich, leads_csv, kept, capsys) -> None:
    assert leadenrich("import", leads_csv(*(row(number) for number in range(600)))) == 0
    told = capsys.readouterr().out
    assert "leads.csv: 600 queued, 0 duplicate, 0 rejected" in told
    assert kept.contacts() == [f"Contact{number:05d}" for number in range(600)]
    lead = unpack(kept.client.get(f"{kept.prefix}load:{kept.waiting()[7]}"))
    assert (lead.kind, lead.location_id, lead.tags) == ("import", "loc1", None)
    assert (lead.address.line1, lead.address.postal_code, lead.first_name) == ("107 Maple St", "62704", "Pat")


def test_run_again_it_queues_nothing_twice_for_weeks(leadenrich, leads_csv, kept, capsys) -> None:
    """Also where the same contact's last job is long over: the file is the same."""
    path = leads_csv(row(1), row(2), row(2))
    assert leadenrich("import", path, "--json") == 0
    assert as_json(capsys)["queued"] == 2
    assert kept.client.delete(*kept.named("seen")) == 2
    assert leadenrich("import", path, "--json") == 0
    told = as_json(capsys)
    assert (told["queued"], told["duplicates"], kept.count()) == (0, 3, 2)
    dedup, _ = kept.named("dedup")
    assert kept.client.ttl(dedup) > 29 * 86_400


def test_bad_rows_go_to_a_file_of_their_own_and_the_rest_goes_on(leadenrich, leads_csv, kept, capsys) -> None:
    bad = ["no,street\n", row(2, " "), row(3, "two words"), 'Contact4,"Pat" x,1 Elm St,Springfield,IL,62704\n']
    path = leads_csv(row(0), *bad, row(5))
    assert leadenrich("import", path) == 1
    told = capsys.readouterr().out
    assert "2 queued, 0 duplicate, 4 rejected" in told
    assert "line 3: it has 2 columns, the header 6" in told
    assert "leads.rejected.csv" in told
    with (path.parent / "leads.rejected.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [*HEADER.strip().split(","), "line", "reason"]
    assert [(it["line"], it["reason"].split(";")[0]) for it in rows] == [
        ("3", "it has 2 columns, the header 6"),
        ("4", "it has no contact id"),
        ("5", "'two words' is no contact id"),
        ("6", "text stands behind a closing quote"),
    ]
    assert rows[2]["Street Address"] == "103 Maple St"
    assert rows[3]["Contact Id"] == bad[3].strip()
    assert kept.contacts() == ["Contact00000", "Contact00005"]


def test_what_was_mended_in_the_rejected_file_can_be_imported(leadenrich, leads_csv, kept) -> None:
    path = leads_csv(row(0), row(1, "two words"))
    assert leadenrich("import", path) == 1
    rejected = path.parent / "leads.rejected.csv"
    rejected.write_text(rejected.read_text("utf-8-sig").replace("two words", "Contact00001"))
    assert leadenrich("import", rejected) == 0
    assert kept.contacts() == ["Contact00000", "Contact00001"]


def test_a_dry_run_shows_what_would_be_done_and_reaches_nothing(leadenrich, leads_csv, tmp_path, capsys) -> None:
    config = tmp_path / "away.toml"
    config.write_text(configuration(f"redis://127.0.0.1:{free_port()}/0", "q"))
    rows = [row(0), row(1).replace("Springfield", "[/]"), row(2), row(3), row(4), "short\n"]
    path = leads_csv(*rows, header=HEADER.replace("City", "Ort"))
    assert leadenrich("import", path, "--dry-run", "--map", "city=Ort", config=config) == 1
    told = capsys.readouterr().out
    assert f"5 rows would be queued, 1 rejected. Nothing was written.\n{UNCHECKED}\n" in told
    assert "line 7: it has 1 columns" in told
    table = [line.split() for line in told.splitlines()]
    assert ["city", "Ort", "Springfield", "[/]", "Springfield"] in table
    assert ["location_id", "-", "loc1", "loc1", "loc1"] in table
    assert not (tmp_path / "leads.rejected.csv").exists()
    assert leadenrich("import", path, "--dry-run", "--json", config=config) == 1
    told = as_json(capsys)
    assert (told["would_queue"], told["rejected"], told["columns"]["contact_id"]) == (5, 1, "Contact Id")
    assert (told["duplicates"], told["note"]) == (None, UNCHECKED), "0 would be a promise"
    assert told["leads"][0]["address1"] == "100 Maple St"
    assert "city" not in told["columns"]


def test_with_several_locations_the_row_or_the_caller_names_one(leadenrich, leads_csv, tmp_path, kept, capsys) -> None:
    config = tmp_path / "config.toml"
    config.write_text(config.read_text() + '[[ghl.locations]]\nid = "loc2"\ntoken = "t"\n')
    path = leads_csv(row(1))
    assert leadenrich("import", path) == 2
    assert "--location ID" in capsys.readouterr().err
    assert leadenrich("import", path, "--location", "loc3") == 78
    assert leadenrich("import", path, "--location", "loc2") == 0
    both = leads_csv("a,loc1\n", "b,\n", "c,elsewhere\n", header="contact_id,location_id\n")
    assert leadenrich("import", both, "--location", "loc2") == 1
    assert kept.of_each("location") == ["loc2", "loc1", "loc2"]
    assert "line 4: its location 'elsewhere' is none of ghl.locations" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing.csv"], "does not exist"),
        (["leads.csv", "--map", "street=City"], "a lead has no street"),
        (["leads.csv", "--map", "contact_id=Key"], "there is no column 'Key'"),
        (["leads.csv", "--map", "contact_id"], "MEMBER=COLUMN"),
        (["leads.csv", "--map", "city=City", "--map", "city=State"], "--map city is told twice"),
        (["leads.csv", "--rejected", "nowhere/rows.csv"], "there is no folder nowhere"),
        (["leads.csv", "--rejected", "./leads.csv"], "--rejected is the file that is imported"),
        (["latin.csv", "--encoding", "utf-8"], "line 1: is not utf-8: name another --encoding"),
        (["leads.csv", "--encoding", "base64"], "an encoding that Python knows"),
        (["leads.csv", "--delimiter", "::"], "one sign, or the word tab"),
    ],
)
def test_what_cannot_be_understood_is_wrong_usage(leadenrich, leads_csv, monkeypatch, capsys, words, says) -> None:
    path = leads_csv(row(1))
    monkeypatch.chdir(path.parent)
    (path.parent / "latin.csv").write_bytes("Contact Id,Stra\xdfe\n".encode("latin-1"))
    before = path.read_bytes()
    assert leadenrich("import", *words) == 2
    assert says in capsys.readouterr().err
    assert path.read_bytes() == before


def test_without_redis_it_says_where_it_looked(leadenrich, leads_csv, tmp_path, capsys) -> None:
    config = tmp_path / "away.toml"
    config.write_text(configuration("redis://127.0.0.1:1/0", "q").replace("[queue]", "connect_timeout = 0.1\n[queue]"))
    assert leadenrich("import", leads_csv(row(1)), config=config) == 69
    told = capsys.readouterr().err
    assert told.endswith("(redis.url is redis://127.0.0.1:1/0): start Redis, or put its address into redis.url\n")


def test_who_imported_what_is_in_the_audit_log(leadenrich, leads_csv, kept) -> None:
    leadenrich("import", leads_csv(row(1), row(1), "x\n"))
    [(_, entry)] = kept.client.xrange(f"{kept.prefix}audit")
    assert (entry[b"role"], entry[b"action"], entry[b"target"]) == (b"cli", b"import", b"leads.csv")
    assert (entry[b"done"], entry[b"skipped"]) == (b"1", b"2")


async def spawn(path: Path, config: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leadenrich", "import", str(path), "--config", str(config), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("LEADENRICH_")},
    )  # fmt: skip


async def test_killed_in_the_middle_of_a_call_and_run_again_each_row_is_one_job(
    leadenrich, leads_csv, kept, capsys, tmp_path: Path, redis_server: RedisServer
) -> None:
    """Killed while an answer of Redis is on its way: what it had taken by then, nobody had heard."""
    rows, config = 3_000, tmp_path / "config.toml"
    path = leads_csv(*(row(number) for number in range(rows)))
    async with proxy_to(redis_server.url) as proxy:
        proxy.late_s = 0.05
        proxy.go(Way.LATE)
        config.write_text(configuration(proxy.url, tmp_path.name))
        importing = await spawn(path, config)
        await until(lambda: kept.count() >= 500, "some are queued")
        proxy.go(Way.SWALLOW)
        importing.kill()
        await importing.communicate()
    before = kept.count()
    assert 500 <= before < rows
    config.write_text(configuration(redis_server.url, tmp_path.name))
    assert await asyncio.to_thread(leadenrich, "import", path, "--json") == 0
    summary = as_json(capsys)
    assert (summary["queued"], summary["duplicates"]) == (rows - before, before)
    assert sorted(kept.contacts()) == [f"Contact{number:05d}" for number in range(rows)]


async def test_where_redis_is_nearly_full_it_waits_and_ctrl_c_says_how_to_go_on(
    leads_csv, kept, tmp_path: Path, redis_server: RedisServer
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(configuration(redis_server.url, tmp_path.name))
    used = kept.client.info("memory")["used_memory"]
    kept.client.config_set(
        "maxmemory", round(used / 0.75)
    )  # of 75 % live leads still have something, bulk ones nothing
    try:
        importing = await spawn(leads_csv(row(1)), config)
        assert importing.stderr is not None
        said = (await importing.stderr.readline()).decode()
        importing.send_signal(signal.SIGINT)
        told, more = await importing.communicate()
    finally:
        kept.client.config_set("maxmemory", 0)
    assert said.startswith("leads.csv waits: Redis: 7")
    assert "new leads are not taken above 70%. It goes on by itself." in said
    assert (importing.returncode, told, kept.count()) == (130, b"", 0)
    assert b"Run the same command again to go on" in more
