"""What a scenario cost: lost, doubled, hidden."""

from __future__ import annotations

from chaos.figures import Figure, exactly, told
from chaos.stage import Stage, address_key, unknown_of
from leadenrich.store.views import JobView


def what_it_cost(scene: Stage, found: dict[str, JobView | None]) -> tuple[Figure, ...]:
    """Lost, written twice, and every second purchase shown."""
    kept = [job for job in found.values() if job is not None]
    hidden = [job for job in kept if len(scene.book.purchases.get(address_key(job), ())) - 1 > unknown_of(job)]
    return (
        exactly("lost", sum(job is None for job in found.values()), 0),
        exactly("kept twice", len(found) - len(set(scene.accepted.values())), 0),
        exactly("not enriched", len(found) - succeeded(found), 0),
        exactly("written twice", scene.written_twice(), 0),
        exactly("bought twice and not shown", len(hidden), 0),
        told("unknown purchases shown", sum(unknown_of(job) for job in kept)),
    )


def succeeded(found: dict[str, JobView | None]) -> int:
    return sum((job.state, job.outcome) == ("SUCCEEDED", "QUALIFIED") for job in found.values() if job)


def runs_of(job: JobView) -> int:
    return times_of(job, "started")


def times_of(job: JobView, event: str) -> int:
    return sum(entry["event"] == event for entry in job.timeline)
