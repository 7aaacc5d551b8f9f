"""Ingest: wrk posts webhooks over 64 connections to a server that keeps each before it answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from redis_server import free_port

from bench import peers
from bench.daemon import TOKEN
from bench.process import LOAD_CORE, Process, pinned, until
from bench.samples import OURS, Measure, Phase, Sample
from bench.server import PREFIX, BenchRedis, a_redis
from bench.stage import Stage
from bench.webhooks import signed_form, workflow_form

CONNECTIONS: Final = 64
SECONDS, QUICK_SECONDS = 5, 3
SIGNED_BODIES = 60_000  # more than are taken within SECONDS: no delivery comes twice
ALWAYS: Final = ("--appendfsync", "always")
SCRIPT: Final = Path(__file__).with_name("load.lua")
WAITING, WAITING_IN_BULLMQ = f"{PREFIX}wait:live", "bull:bench:wait"
BARE, SIGNED, ALWAYS_TOO = "bare aiohttp", f"{OURS}, signed", ", appendfsync always"
FASTIFY, EXPRESS, FASTIFY_SIGNED = "fastify + BullMQ", "express + BullMQ", "fastify + Ed25519 + BullMQ"


def load(stage: Stage, server: Process, url: str, form: Path, *token: str) -> Sample:
    """Some seconds of wrk against a server that answers already."""
    seconds = QUICK_SECONDS if stage.quick else SECONDS
    before_s = server.cpu_s()
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(SCRIPT), url, "--", str(form), *token]
    said = subprocess.run(pinned(LOAD_CORE, argv), capture_output=True, text=True, timeout=120, check=True).stdout
    [result] = [line.removeprefix("RESULT ") for line in said.splitlines() if line.startswith("RESULT ")]
    told = json.loads(result)
    if told["errors"]:
        raise RuntimeError(f"{told['errors']} errors at {url}: {server.words()}")
    return {
        "requests_per_s": told["requests"] / told["seconds"],
        "p50_ms": told["p50_ms"],
        "p99_ms": told["p99_ms"],
        "server_us": 1e6 * (server.cpu_s() - before_s) / told["requests"],
        "requests": told["requests"],
    }


def workflow(stage: Stage, *options: str) -> Sample:
    """The token-verified door of `serve --only web`."""
    form = stage.folder / "workflow.form"
    form.write_bytes(workflow_form(0) + b"\n")
    with a_redis(*options) as redis, stage.daemon(redis, only="web") as daemon:
        sample = load(stage, daemon.ready(), f"{daemon.url}/webhooks/ghl/workflow", form, TOKEN)
        return _each_kept(sample, redis.client.llen(WAITING))


def signed(stage: Stage, *options: str) -> Sample:
    """The signed door of `serve --only web`: every body another one, signed before."""
    with a_redis(*options) as redis, stage.daemon(redis, only="web") as daemon:
        sample = load(stage, daemon.ready(), f"{daemon.url}/webhooks/ghl", signed_bodies(stage))
        return _each_kept(sample, redis.client.llen(WAITING))


def _each_kept(sample: Sample, kept: int) -> Sample:
    """What wrk counted as answered must wait in Redis. The last answers of a connection may miss it: wrk hung up."""
    if not sample["requests"] <= kept <= sample["requests"] + CONNECTIONS:
        raise RuntimeError(f"{sample['requests']:.0f} requests answered, {kept} jobs wait")
    return sample


def signed_bodies(stage: Stage) -> Path:
    """One a line, with its signature; made once a run."""
    path = stage.folder / "signed.form"
    if not path.exists():
        bodies = (signed_form(number) for number in range(SIGNED_BODIES))
        path.write_text("".join(f"{stage.keys.sign(body)}\t{body.decode()}\n" for body in bodies))
    return path


def served(
    stage: Stage, redis: BenchRedis | None, argv: Sequence[str], form: Path, env: Mapping[str, str] | None = None
) -> Sample:
    """A server that is none of ours; `{port}` and `{redis}` in argv are filled in, its path is /hook."""
    port, url = free_port(), redis.url if redis else ""
    with Process([part.format(port=port, redis=url) for part in argv], stage.new_folder(), env=env) as server:
        until(lambda: _listens(port), f"{argv} listens: {server.words()}")
        return load(stage, server, f"http://127.0.0.1:{port}/hook", form)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def bare(stage: Stage) -> Sample:
    return served(stage, None, [sys.executable, "-m", "bench.bare_server", "{port}"], _one_form(stage))


def bullmq(stage: Stage, framework: str) -> Sample:
    """The peers' own server: every webhook a job, its id the contact's."""
    argv = ["node", str(peers.FOLDER / "http_srv.mjs"), f"{framework}-bullmq", "{port}", "{redis}"]
    with a_redis() as redis:
        sample = served(stage, redis, argv, _one_form(stage), {"NODE_HOME": str(peers.node_modules())})
        return _each_kept(sample, redis.client.llen(WAITING_IN_BULLMQ))


def bullmq_signed(stage: Stage) -> Sample:
    environment = {"NODE_HOME": str(peers.node_modules()), "PUBLIC_KEY": stage.keys.public_pem}
    argv = ["node", str(Path(__file__).with_name("fastify_signed.mjs")), "{port}", "{redis}"]
    with a_redis() as redis:
        sample = served(stage, redis, argv, signed_bodies(stage), environment)
        return _each_kept(sample, redis.client.llen(WAITING_IN_BULLMQ))


def _one_form(stage: Stage) -> Path:
    form = stage.folder / "unsigned.form"
    form.write_bytes(signed_form(0) + b"\n")
    return form


def _subjects(stage: Stage) -> Mapping[str, Measure]:
    others = {
        FASTIFY: partial(bullmq, stage, "fastify"),
        EXPRESS: partial(bullmq, stage, "express"),
        FASTIFY_SIGNED: partial(bullmq_signed, stage),
    }
    return {
        BARE: partial(bare, stage),
        OURS: partial(workflow, stage),
        SIGNED: partial(signed, stage),
        OURS + ALWAYS_TOO: partial(workflow, stage, *ALWAYS),
        SIGNED + ALWAYS_TOO: partial(signed, stage, *ALWAYS),
        **(others if stage.with_peers else {}),
    }


PHASES = (
    Phase(
        "ingest",
        f"HTTP ingest, {CONNECTIONS} connections",
        {
            "requests_per_s": "requests/s",
            "p50_ms": "p50, ms",
            "p99_ms": "p99, ms",
            "server_us": "server's CPU, µs a request",
        },
        _subjects,
    ),
)
