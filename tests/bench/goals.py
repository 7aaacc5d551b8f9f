"""What the figures must be: a floor that is a must, an aim that we want, both as shares of somebody's figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bench import ingest, pickup
from bench.peers import BULLMQ, PYTHON
from bench.samples import OURS, Figures, shown

Place: TypeAlias = tuple[str, str, str]  # phase, subject, figure
Direction: TypeAlias = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Goal:
    """Our figure as a share of the best of `against`; of 1 where that is empty. `plus` is added to theirs first."""

    metric: str
    ours: Place
    floor: float
    aim: float
    direction: Direction
    against: tuple[Place, ...] = ()
    rival: str = ""
    plus: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row of the table, ready to show."""

    metric: str
    ours: str
    against: str
    is_: str
    floor: str
    aim: str
    word: str


def _python(phase: str, figure: str) -> tuple[Place, ...]:
    return tuple((phase, peer, figure) for peer in PYTHON)


def _of(phase: str, figure: str, *subjects: str) -> tuple[Place, ...]:
    return tuple((phase, subject, figure) for subject in subjects)


BEST: Final = "best Python"
RATE: Final = "requests_per_s"


def _drain(concurrency: int, floor: float, aim: float) -> tuple[Goal, ...]:
    phase, metric = f"drain-{concurrency}", f"drain, concurrency {concurrency}, jobs/s"
    ours = (phase, OURS, "jobs_per_s")
    return (
        Goal(metric, ours, 8, 15, "at least", _python(phase, "jobs_per_s"), BEST),
        Goal(metric, ours, floor, aim, "at least", _of(phase, "jobs_per_s", BULLMQ), BULLMQ),
    )


def _enqueue_and_cpu() -> tuple[Goal, ...]:
    d5, lead = "drain-5", "leads_per_s"
    return (
        Goal("enqueue, 50 in flight, /s", (d5, OURS, lead), 4, 7, "at least", _python(d5, lead), BEST),
        Goal("enqueue, 50 in flight, /s", (d5, OURS, lead), 1.2, 2, "at least", _of(d5, lead, BULLMQ), BULLMQ),
        Goal("worker CPU a job, µs", (d5, OURS, "worker_us"), 0.14, 0.07, "at most", _python(d5, "worker_us"), BEST),
        Goal("Redis CPU a job, µs", (d5, OURS, "redis_us"), 0.35, 0.25, "at most", _of(d5, "redis_us", BULLMQ), BULLMQ),
    )


def _ingest() -> tuple[Goal, ...]:
    def rate(metric: str, ours: str, rival: str, floor: float, aim: float) -> Goal:
        return Goal(metric, ("ingest", ours, RATE), floor, aim, "at least", _of("ingest", RATE, rival), rival)

    token, signed = "ingest by token, /s", "signed ingest, /s"
    always = OURS + ingest.ALWAYS_TOO
    return (
        rate(token, OURS, ingest.BARE, 0.70, 0.82),
        rate(token, OURS, ingest.FASTIFY, 1.4, 1.7),
        rate(token, OURS, ingest.EXPRESS, 3.5, 4.2),
        rate(signed, ingest.SIGNED, ingest.BARE, 0.28, 0.42),
        rate(signed, ingest.SIGNED, ingest.FASTIFY_SIGNED, 1.4, 1.4),
        Goal(
            "ingest p99, ms",
            ("ingest", OURS, "p99_ms"),
            3,
            1.5,
            "at most",
            _of("ingest", "p99_ms", ingest.BARE),
            ingest.BARE,
        ),
        rate("ingest, appendfsync always, /s", always, OURS, 0.6, 0.8),
    )


def _pickup() -> tuple[Goal, ...]:
    peers = (BULLMQ, *PYTHON)
    idle = [
        Goal(
            f"pickup when idle, {it[:3]}, ms",
            ("pickup", OURS, it),
            0.75,
            0.5,
            "at most",
            _of("pickup", it, *peers),
            "best peer",
        )
        for it in ("p50_ms", "p99_ms")
    ]
    behind = Goal(
        "live lead behind 10,000 bulk, p99, ms",
        ("pickup", pickup.BEHIND, "p99_ms"),
        1,
        1,
        "at most",
        _of("pickup", "p99_ms", OURS),
        "idle",
        plus=(3.0, 1.0),
    )
    return (*idle, behind)


def _costs() -> tuple[Goal, ...]:
    body = "memory", OURS, "over_body_bytes"
    return (
        Goal("idle, Redis commands/s", ("idle", OURS, "commands_per_s"), 0.5, 0.2, "at most"),
        Goal("idle, CPU %", ("idle", OURS, "cpu_percent"), 0.2, 0.1, "at most"),
        Goal("idle, resident MiB", ("idle", OURS, "resident_mib"), 71, 50, "at most"),
        Goal("waiting job, bytes over its body", body, 750, 450, "at most"),
        Goal(
            "finished job, bytes",
            ("memory", OURS, "finished_bytes"),
            0.35,
            0.2,
            "at most",
            _of("drain-5", "finished_bytes", BULLMQ),
            BULLMQ,
        ),
        Goal("kill -9, runs again, s", ("crash", OURS, "again_s"), 5, 1, "at most"),
    )


def _limiter(rate: int) -> tuple[Goal, ...]:
    phase = f"limiter-{rate}"
    name = f"limiter {rate}/1000 ms"
    most = [
        Goal(f"{name}{more}, most in 1.000 s", (phase, f"{OURS}{more}", "most_in_1s"), rate, rate, "at most")
        for more in ("", ", SIGTERM between", ", kill -9 between")
    ]
    return (*most, Goal(f"{name}, share of it used", (phase, OURS, "share"), 0.95, 0.98, "at least"))


GOALS: Final[tuple[Goal, ...]] = (
    *_drain(5, 2, 4),
    *_drain(100, 1.5, 2.5),
    *_enqueue_and_cpu(),
    *_ingest(),
    *_pickup(),
    *_costs(),
    *_limiter(5),
    *_limiter(500),
    Goal("one location at its limit, leads/s", ("location", OURS, "leads_per_s"), 4.6, 5, "at least"),
    Goal("its calls of HighLevel a lead", ("location", OURS, "ghl_calls"), 2, 2, "at most"),
    Goal("its calls of RealEstateAPI a lead", ("location", OURS, "rea_calls"), 1, 1, "at most"),
    Goal("its calls answered 429", ("location", OURS, "answered_429"), 0, 0, "at most"),
    Goal("1,000,000 waiting, worst operation", ("backlog", OURS, "worst_share"), 1.2, 1.05, "at most"),
    Goal("leadenrich --version, ms", ("startup", f"{OURS} --version", "ms"), 120, 80, "at most"),
    Goal("serve to ready, ms", ("startup", f"{OURS} serve", "ms"), 800, 500, "at most"),
)


def verdicts(figures: Figures, goals: Sequence[Goal] = GOALS) -> list[Verdict]:
    """One for each goal whose own figure is there."""
    return [it for goal in goals if (it := _judge(figures, goal)) is not None]


def _judge(figures: Figures, goal: Goal) -> Verdict | None:
    ours = _figure(figures, goal.ours)
    theirs = [it for place in goal.against if (it := _figure(figures, place)) is not None]
    if ours is None:
        return None
    if goal.against and not theirs:
        return Verdict(goal.metric, shown(ours), f"{goal.rival}: not measured", "", *_bounds(goal), "")
    best = (max if goal.direction == "at least" else min)(theirs, default=1.0)
    if goal.against and not any(goal.plus):
        is_, against = f"{ours / best:.2f} ×", f"{goal.rival} {shown(best)}"
    else:
        is_, against = shown(ours), f"{goal.rival} {shown(best)}" if goal.against else ""
    reached = [
        _reaches(ours, bound * best + more, goal) for bound, more in zip((goal.floor, goal.aim), goal.plus, strict=True)
    ]
    word = "aim" if reached[1] else "floor" if reached[0] else "**no**"
    return Verdict(goal.metric, shown(ours), against, is_, *_bounds(goal), word)


def _reaches(ours: float, bound: float, goal: Goal) -> bool:
    return ours >= bound if goal.direction == "at least" else ours <= bound


def _bounds(goal: Goal) -> tuple[str, str]:
    sign = "≥" if goal.direction == "at least" else "≤"
    if any(goal.plus):
        floor, aim = (f"{sign} {goal.rival} + {more:g}" for more in goal.plus)
        return floor, aim
    times = " ×" if goal.against else ""
    return f"{sign} {goal.floor:g}{times}", f"{sign} {goal.aim:g}{times}"


def _figure(figures: Figures, place: Place) -> float | None:
    phase, subject, figure = place
    return figures.get(phase, {}).get(subject, {}).get(figure)
