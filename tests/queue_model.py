"""The queue as plain Python: what every store must do, with no clock and no Redis.

Time stands still: what is scheduled becomes due when the test says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WAITING = frozenset({"QUEUED", "RETRY_SCHEDULED"})
BUSY = WAITING | {"PROCESSING"}
KEEP = 3
MAX_STALLED = 0  # two deaths alone at one place are enough here: three in a row are rare in a random run


@dataclass
class Job:
    id: str
    contact: str
    location: str
    lane: str
    street: str
    stale: bool = False
    state: str = "QUEUED"
    reason: str = ""
    tries: int = 0
    generation: int = 0
    stalls: int = 0
    beats: int = 0
    token: str = ""
    alone: bool = False
    recorded: bool = False  # whether its step ever had a result
    place: bool | None = None  # how far it was when it last died alone
    suspect: bool = False
    held: bool = False  # parked while its location is paused
    due: bool = False  # in sched, and its time has come
    finished: int = 0
    step: str = "none"  # none | open | done | closed: it ended with an open intent
    step_token: str = ""
    unknown: int = 0


@dataclass
class Seen:
    street: str | None = None
    job: str | None = None
    tags: str | None = None
    at: int = 0


@dataclass
class Model:
    jobs: dict[str, Job] = field(default_factory=dict)
    live: list[str] = field(default_factory=list)
    bulk: list[str] = field(default_factory=list)
    suspects: list[str] = field(default_factory=list)
    sched: set[str] = field(default_factory=set)
    rows: dict[str, list[str]] = field(default_factory=dict)  # contact: its unfinished jobs, in order
    tails: dict[str, str] = field(default_factory=dict)  # contact: the last of its row, or the last that was
    seen: dict[str, Seen] = field(default_factory=dict)
    dedup: dict[str, str] = field(default_factory=dict)
    paused: bool = False
    away: set[str] = field(default_factory=set)  # locations
    turn: int = 0
    trier: str | None = None  # the worker that runs the suspects
    suspect: str | None = None  # the one that ran last
    unknown_purchases: int = 0
    credits: int = 0
    clock: int = 0

    # --- leads in ------------------------------------------------------------------------------------------------

    def submit(self, job: Job, kind: str, key: str | None, tags: str | None, at: int) -> tuple[str, str]:
        """`tags` are the trigger tags told; `at` the event's time, 0 for none. Answers (verb, job id or why)."""
        earlier = self.dedup.get(key) if key else None
        if earlier and kind == "workflow" and earlier in self.jobs and self.jobs[earlier].state == "FAILED_FINAL":
            earlier = None
        if earlier:
            return "duplicate", earlier
        seen = self.seen.get(job.contact, Seen())
        row = self.rows.setdefault(job.contact, [])
        verb, text = self._answer(job, kind, tags, at, seen, row)
        if key and verb != "ignored":
            self.dedup[key] = text
        return verb, text

    def _answer(self, job: Job, kind: str, tags: str | None, at: int, seen: Seen, row: list[str]) -> tuple[str, str]:
        late = 0 < at < seen.at
        at = 0 if kind in ("opportunity", "tags") else at
        joins = row[-1] if row and self.jobs[row[-1]].state in WAITING else None
        match kind:
            case "delete":
                self._delete(job.contact, row)
                return "ignored", "contact deleted"
            case "opportunity":
                if joins:
                    return "duplicate", joins
            case "tags":
                if not tags or tags == seen.tags:
                    self._remember(job.contact, seen, tags, at)
                    return "ignored", "no new trigger tag"
                if joins:
                    self._remember(job.contact, seen, tags, at)
                    return "duplicate", joins
            case "update":
                if late:
                    return "ignored", "older than what is known of this contact"
                if not job.street:
                    self._remember(job.contact, seen, tags, at)
                    return "ignored", "no address"
                if seen.street is None and seen.job is None:
                    self._remember(job.contact, seen, tags, at, job.street)
                    return "ignored", "contact never seen"
                if seen.street == job.street:
                    self._remember(job.contact, seen, tags, at)
                    return "ignored", "address unchanged"
                if joins:
                    self.jobs[joins].street = job.street
                    self._remember(job.contact, seen, tags, at, job.street)
                    return "duplicate", joins
            case _:
                failed = seen.job in self.jobs and self.jobs[seen.job].state == "FAILED_FINAL"
                if seen.job and seen.street == job.street and not failed:
                    self._remember(job.contact, seen, tags, at)
                    return "duplicate", seen.job
        tells = kind not in ("opportunity", "tags") and not (late and seen.street is not None)
        # Overtaken too: the contact's last job is at work, or ended moments ago.
        job.stale = late or self.tails.get(job.contact) in self.jobs
        self._remember(job.contact, seen, tags, at, job.street if tells else None)
        seen.job = job.id
        self._line_up(job, row)
        return "queued", job.id

    def _remember(self, contact: str, seen: Seen, tags: str | None, at: int, street: str | None = None) -> None:
        self.seen[contact] = seen
        seen.at = max(seen.at, at)  # 0 of an event that is no word about the address
        if tags is not None:
            seen.tags = tags
        if street is not None:
            seen.street = street

    def _line_up(self, job: Job, row: list[str]) -> None:
        self.jobs[job.id] = job
        row.append(job.id)
        self.tails[job.contact] = job.id
        if len(row) > 1:
            self.sched.add(job.id)
        else:
            self._lane(job).append(job.id)

    def _delete(self, contact: str, row: list[str]) -> None:
        for job_id in reversed(list(row)):
            if self.jobs[job_id].state not in WAITING:
                break
            self._finish(self.jobs[job_id], "FAILED_FINAL", "contact_not_found", goes_on=False)
        self.seen.pop(contact, None)
        self.tails.pop(contact, None)
        if row:
            self.tails[contact] = row[-1]
        self._retain()

    # --- work ----------------------------------------------------------------------------------------------------

    def claim(self, worker: str, want: int, running: int, owner: str) -> tuple[list[Job], str]:
        self._promote()
        if self.paused:
            return [], "paused"
        if self.suspects:
            busy = self.suspect in self.jobs and self.jobs[self.suspect].state == "PROCESSING"
            if not busy and self.trier in (None, worker):
                self.trier = worker
                if running:
                    return [], "drain"
                while self.suspects:
                    job = self.jobs[self.suspects.pop(0)]
                    if self._admit(job):
                        self.suspect = job.id
                        return [self._take(job, owner, alone=True)], ""
        taken: list[Job] = []
        for _ in range(want + 200):
            if len(taken) >= want:
                break
            lanes = [self.live, self.bulk] if (self.turn + 1) % 10 else [self.bulk, self.live]
            lane = next((lane for lane in lanes if lane), None)
            if lane is None:
                break
            self.turn += 1
            job = self.jobs[lane.pop(0)]
            if self._admit(job):
                taken.append(self._take(job, owner, alone=False))
        return taken, ""

    def _promote(self) -> None:
        due = sorted(job_id for job_id in self.sched if self.jobs[job_id].due)
        for job_id in reversed(due):
            job = self.jobs[job_id]
            job.due = False
            if self.rows[job.contact][0] != job_id:
                continue  # not its turn: parked again
            self.sched.remove(job_id)
            job.state, job.held = "QUEUED", False
            self._lane(job).insert(0, job_id)

    def _admit(self, job: Job) -> bool:
        if job.location in self.away:
            self.sched.add(job.id)
            job.held = True
            return False
        return True

    def _take(self, job: Job, owner: str, *, alone: bool) -> Job:
        job.generation += 1
        job.tries += 1
        job.beats = 0
        job.state, job.alone, job.token = "PROCESSING", alone, f"{owner}:{job.generation}"
        return job

    def _lane(self, job: Job) -> list[str]:
        if job.suspect:
            return self.suspects
        return self.live if job.lane == "live" else self.bulk

    # --- endings -------------------------------------------------------------------------------------------------

    def complete(self, job: Job) -> None:
        self._finish(job, "SUCCEEDED")

    def bury(self, job: Job, reason: str) -> None:
        self._finish(job, "FAILED_FINAL", reason)

    def retry(self, job: Job) -> None:
        job.state, job.alone, job.suspect, job.due = "RETRY_SCHEDULED", False, False, False
        self.sched.add(job.id)

    def release(self, job: Job, *, later: bool) -> None:
        job.state, job.alone = "QUEUED", False
        job.tries -= 1
        if later:
            job.due = False
            self.sched.add(job.id)
        else:
            self._lane(job).insert(0, job.id)

    def reclaim(self, job: Job) -> str:
        job.tries -= 1
        if job.alone:  # one death alone may be anybody's doing, two at the same place are the job's own
            job.stalls = job.stalls + 1 if job.place == job.recorded else 0
            job.place = job.recorded
        job.token, job.alone = "", False
        if job.stalls > MAX_STALLED:
            self._finish(job, "FAILED_FINAL", "stalled")
            return "condemned"
        job.state, job.suspect = "QUEUED", True
        self.suspects.append(job.id)
        return "reclaimed"

    def cancel(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "JobGone"
        if job.state not in WAITING:
            return "WrongState"
        self._finish(job, "FAILED_FINAL", "cancelled")
        return "ok"

    def revive(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "JobGone"
        if job.state != "FAILED_FINAL":
            return "WrongState"
        job.state, job.reason, job.tries, job.stalls, job.token = "QUEUED", "", 0, 0, ""
        job.place = None
        self.seen.setdefault(job.contact, Seen()).job = job_id
        self._line_up(job, self.rows[job.contact])
        return "ok"

    def _finish(self, job: Job, state: str, reason: str = "", *, goes_on: bool = True) -> None:
        if job.step == "open":
            job.unknown += 1
            self.unknown_purchases += 1
            job.step = "closed"
        for place in (self.live, self.bulk, self.suspects):
            if job.id in place:
                place.remove(job.id)
        self.sched.discard(job.id)
        job.state, job.reason, job.finished = state, reason, self.clock
        job.alone = job.suspect = job.held = job.due = False
        row = self.rows[job.contact]
        was_first = row[0] == job.id
        row.remove(job.id)
        if row and self.tails[job.contact] == job.id:
            self.tails[job.contact] = row[-1]
        if goes_on:
            if was_first and row:
                following = self.jobs[row[0]]
                self.sched.remove(following.id)
                following.due = False
                self._lane(following).append(following.id)
            self._retain()

    def _retain(self) -> None:
        for state in ("SUCCEEDED", "FAILED_FINAL"):
            ended = sorted((job.finished, job.id) for job in self.jobs.values() if job.state == state)
            for _, job_id in ended[: max(0, len(ended) - KEEP)]:
                del self.jobs[job_id]

    # --- steps ---------------------------------------------------------------------------------------------------

    def intend(self, job: Job) -> None:
        if job.step == "open" and job.step_token != job.token:
            job.unknown += 1
            self.unknown_purchases += 1
        job.step, job.step_token = "open", job.token

    def record(self, job: Job) -> None:
        if job.step in ("none", "open"):
            self.credits += 1
        job.step, job.recorded = "done", True
