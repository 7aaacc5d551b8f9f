"""The files of docs/monitoring against a real Prometheus: queries find something, alerts fire when they should.

One Prometheus for all of it, on a free port, scrapes a sample of our metrics in which nearly everything is wrong.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
from redis_server import free_port

from leadenrich.core.job import Event, JobState, Lane, Outcome, Reason
from leadenrich.telemetry.metrics import CONTENT_TYPE, LEAD_ROUTES, Metrics, QueueDepth

FOLDER: Final = Path(__file__).parents[1] / "docs" / "monitoring"
RULES: Final = FOLDER / "leadenrich.rules.yml"
DASHBOARD: Final = json.loads((FOLDER / "leadenrich.dashboard.json").read_text("utf-8"))
ALERTS: Final = re.findall(r"^ +- alert: (\w+)$", RULES.read_text("utf-8"), re.MULTILINE)
NOT_WRONG_IN_THE_SAMPLE: Final = {"LeadenrichDown", "LeadenrichRestartsOften", "LeadenrichBudgetNearlySpent"}
FAILS: Final = {"status": "error"}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on the PATH: apt-get install prometheus")
    return found


# --- the sample ------------------------------------------------------------------------------------------------------


class Sample:
    """The metrics of a daemon in trouble; each scrape finds more of it."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.metrics.watch_queue(self.depth)
        self.metrics.watch_spool(lambda: 12, lambda: 900, limit=1000)
        self.metrics.watch_tasks(lambda: 9)
        self.scrapes = 0

    def depth(self) -> QueueDepth:
        return QueueDepth(
            {(lane, state): 3 for lane in Lane for state in JobState}, dict.fromkeys(Lane, 4000.0), paused=True,
            providers_paused={"realestateapi": 1, "ghl": 2}, credits_today=100, credits_limit=100,
            unknown_purchases=self.scrapes, failures=dict.fromkeys(Reason, 100 * self.scrapes),
        )  # fmt: skip

    def scrape(self) -> bytes:
        self.scrapes += 1
        metrics = self.metrics
        for event in set(Event) - {Event.REMOVED}:
            for _ in range(9 if event in (Event.FAILED, Event.STALLED) else 1):
                metrics.event(event)
        for outcome in (*Outcome, None):
            metrics.outcome(outcome)
        for lane in Lane:
            metrics.waited(lane, 1.0)
        for route in LEAD_ROUTES:
            metrics.answer(route, 429, 0.2)
        for provider, status in (("realestateapi", None), ("ghl:loc1", 200)):
            metrics.provider_call(provider, "contacts/{id}", status, 0.5, 0.1)
        metrics.credits.inc()
        metrics.cache_hits.inc()
        metrics.redis_errors.inc()
        metrics.script("claim", 2.0)
        metrics.job_run_seconds.observe(1.0)
        metrics.loop_lag_seconds.observe(2.0)
        metrics.enqueue_batch_jobs.observe(8)
        metrics.alert("dropped")
        return metrics.render()


@pytest.fixture(scope="module")
def sample_url() -> Iterator[str]:
    sample = Sample()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = sample.scrape()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


# --- Prometheus ------------------------------------------------------------------------------------------------------


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **query: str) -> Any:
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            body = error.read()
            return json.loads(body) if body.startswith(b"{") else FAILS
        except OSError:
            return FAILS

    def query(self, expression: str) -> list[Any]:
        answer = self.ask("/api/v1/query", query=expression)
        assert answer["status"] == "success", (expression, answer)
        return list(answer["data"]["result"])

    def rules(self) -> dict[str, Any]:
        """By name, once all of them were evaluated."""
        [group] = self.ask("/api/v1/rules")["data"]["groups"]
        return {rule["name"]: rule for rule in group["rules"]}


def wait(fact: Any, what: str, *, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline, f"did not come within {within_s} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module", autouse=True)
def started(sample_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus | None]:
    """The shipped configuration with the sample as its target, in a hurry. None where there is no Prometheus.

    Started before it is needed: it waits 5 s before its first scrape, and other tests can go on meanwhile.
    """
    if shutil.which("prometheus") is None:
        yield None
        return
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(RULES, folder)
    config = (FOLDER / "prometheus.yml").read_text("utf-8")
    assert config.count("127.0.0.1:8080") == 1
    config = config.replace("127.0.0.1:8080", sample_url).replace("_interval: 15s", "_interval: 250ms")
    (folder / "prometheus.yml").write_text(config)
    here = Prometheus(f"http://127.0.0.1:{free_port()}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
             f"--web.listen-address={here.url.removeprefix('http://')}"],
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield here
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def prometheus(started: Prometheus | None) -> Prometheus:
    """With enough samples to answer everything."""
    tool("prometheus")
    assert started is not None
    # Two samples make a rate; the third makes sure of them.
    enough = "min(count_over_time(leadenrich_redis_seconds_count[1m])) >= 3"
    wait(lambda: started.ask("/api/v1/query", query=enough).get("data", {}).get("result"), "three scrapes")
    return started


# --- the alerts ------------------------------------------------------------------------------------------------------


def test_promtool_finds_no_fault() -> None:
    for what, path in (("rules", RULES), ("config", FOLDER / "prometheus.yml")):
        judged = subprocess.run(
            [tool("promtool"), "check", what, path.name], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert judged.returncode == 0, judged.stdout + judged.stderr


Series = dict[str, str]


def of(name: str, values: str, **labels: str) -> Series:
    told = ",".join(f'{key}="{value}"' for key, value in {"job": "leadenrich", "instance": "one", **labels}.items())
    return {"series": f"{name}{{{told}}}", "values": values}


def slow(name: str, **labels: str) -> list[Series]:
    """A histogram of one observation a minute, each of half a second."""
    ends = {"0.1": "0+0x60", "1": "0+1x60", "+Inf": "0+1x60"}
    return [of(f"{name}_bucket", values, le=end, **labels) for end, values in ends.items()]


def quick(name: str, **labels: str) -> list[Series]:
    return [of(f"{name}_bucket", "0+1x60", le=end, **labels) for end in ("0.01", "0.1", "1", "+Inf")]


def ended(completed: str, failed: str) -> list[Series]:
    name = "leadenrich_events_total"
    return [of(name, completed, event="completed"), of(name, failed, event="failed")]


def budget(used: str, limit: str = "100x60") -> list[Series]:
    return [of("leadenrich_daily_credits_used", used), of("leadenrich_daily_credits_limit", limit)]


UP: Final = [of("up", "1x60")]
# The alert, minutes, the series that raise it, and some that must not.
CASES: Final[list[tuple[str, int, list[Series], list[list[Series]]]]] = [
    ("LeadenrichDown", 30, [of("up", "0x60")], [UP, [of("up", "1x28 0 1x30")]]),
    ("LeadenrichDown", 30, [], [UP]),
    ("LeadenrichRestartsOften", 30, [of("process_start_time_seconds", "0+60x60")],
     [[of("process_start_time_seconds", "5x60")], [of("process_start_time_seconds", "5x20 9x40")]]),
    ("LeadenrichProviderPaused", 10, [of("leadenrich_providers_paused", "2x60", provider="ghl")],
     [[of("leadenrich_providers_paused", "0x60", provider="ghl")],
      [of("leadenrich_providers_paused", "0x9 1 0x50", provider="ghl")]]),
    ("LeadenrichQueuePaused", 90, [of("leadenrich_queue_paused", "1x99")],
     [[of("leadenrich_queue_paused", "0x50 1x49")]]),
    ("LeadenrichLiveLeadWaits", 10, [of("leadenrich_oldest_waiting_seconds", "901x60", lane="live")],
     [[of("leadenrich_oldest_waiting_seconds", "900x60", lane="live")],
      [of("leadenrich_oldest_waiting_seconds", "9000x60", lane="bulk")]]),
    ("LeadenrichLeadsFail", 60, ended("0+1x60", "0+2x60"),
     [ended("0+2x60", "0+1x60"), ended("0x60", "0+1x10 10x50"), ended("0+1x60", "0+1x60")]),
    ("LeadenrichBudgetNearlySpent", 10, budget("80x60"), [budget("79x60"), budget("100x60"), budget("80x60", "0x60")]),
    ("LeadenrichBudgetSpent", 10, budget("100x60"), [budget("99x60"), budget("100x60", "0x60")]),
    ("LeadenrichWebhooksRefused", 10, [of("leadenrich_webhooks_total", "0+1x60", status="429", route="/webhooks/ghl")],
     [[of("leadenrich_webhooks_total", "0+1x60", status="202", route="/webhooks/ghl")],
      [of("leadenrich_webhooks_total", "7x60", status="429", route="/webhooks/ghl")]]),
    ("LeadenrichSpoolHoldsLeads", 20, [of("leadenrich_spool_leads", "1x60")],
     [[of("leadenrich_spool_leads", "0x60")], [of("leadenrich_spool_leads", "0x15 5x4 0x40")]]),
    ("LeadenrichSpoolFills", 10, [of("leadenrich_spool_bytes", "51x60"), of("leadenrich_spool_limit_bytes", "100x60")],
     [[of("leadenrich_spool_bytes", "50x60"), of("leadenrich_spool_limit_bytes", "100x60")]]),
    ("LeadenrichRedisErrors", 30, [of("leadenrich_redis_errors_total", "0+1x60")],
     [[of("leadenrich_redis_errors_total", "9x60")], [of("leadenrich_redis_errors_total", "0x28 3x30")]]),
    ("LeadenrichRedisSlow", 30, slow("leadenrich_redis_seconds", verb="claim"),
     [quick("leadenrich_redis_seconds", verb="claim")]),
    ("LeadenrichLoopLag", 30, slow("leadenrich_loop_lag_seconds"), [quick("leadenrich_loop_lag_seconds")]),
    ("LeadenrichLeadsStall", 60, [of("leadenrich_events_total", "0+1x60", event="stalled")],
     [[of("leadenrich_events_total", "0x40 3x20", event="stalled")]]),
    ("LeadenrichUnknownPurchases", 60, [of("leadenrich_unknown_purchases_total", "4x40 5x20")],
     [[of("leadenrich_unknown_purchases_total", "4x60")]]),
    ("LeadenrichAlertsDropped", 60, [of("leadenrich_alerts_total", "0x40 1x20", result="dropped")],
     [[of("leadenrich_alerts_total", "0+1x60", result="posted")]]),
]  # fmt: skip


def test_every_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    """promtool plays the series, a value a minute. JSON is YAML."""
    assert {name for name, *_ in CASES} == set(ALERTS)
    tests = []
    for name, minutes, bad, good in CASES:
        for series, fires in [(bad, 1), *((other, 0) for other in good)]:
            firing = f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)'
            expected = {"expr": firing, "eval_time": f"{minutes}m", "exp_samples": [{"labels": "{}", "value": fires}]}
            case = f"{name}: {json.dumps(series)}"
            tests.append({"interval": "1m", "name": case, "input_series": series, "promql_expr_test": [expected]})
    (tmp_path / "alerts.yml").write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})
    )
    judged = subprocess.run(
        [tool("promtool"), "test", "rules", "alerts.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_tells_every_metric_and_every_alert() -> None:
    page = (FOLDER / "README.md").read_text("utf-8")
    names = set(re.findall(r"^# TYPE (leadenrich_\w+)", Sample().scrape().decode(), re.MULTILINE))
    assert not sorted(name for name in names if f"`{name}`" not in page)
    assert not [name for name in ALERTS if f"`{name}`" not in page]


# --- the dashboard ---------------------------------------------------------------------------------------------------


def dashboard_queries() -> list[tuple[str, str]]:
    found = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return [*found, *((it["name"], it["expr"]) for it in DASHBOARD["annotations"]["list"])]


def test_every_query_of_the_dashboard_finds_something(prometheus: Prometheus) -> None:
    queries = dashboard_queries()
    assert len(queries) > 30
    empty = []
    for title, expression in queries:
        found = prometheus.query(expression.replace("$job", "leadenrich").replace("$__rate_interval", "1m"))
        numbers = [sample["value"][1] for sample in found]
        if title == "Starts":
            assert not found  # it did not start again
        elif not numbers or "NaN" in numbers:
            empty.append((title, expression, numbers))
    assert not empty


def test_every_metric_has_its_place_on_the_dashboard() -> None:
    shown = " ".join(expression for _, expression in dashboard_queries()) + json.dumps(DASHBOARD["templating"])
    sample = Sample()
    names = set(re.findall(r"^# TYPE (leadenrich_\w+)", sample.scrape().decode(), re.MULTILINE))
    assert not sorted(
        name for name in names - {"leadenrich_queue_paused", "leadenrich_alerts_total"} if name not in shown
    )
    used = set(re.findall(r"leadenrich_[a-z_]+", shown + RULES.read_text("utf-8"))) - {"leadenrich_"}
    known = names | {f"{name}_{part}" for name in names for part in ("bucket", "sum", "count")}
    assert not sorted(used - known)


def test_the_panels_stand_beside_each_other() -> None:
    """No two on the same place, none wider than the page."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_that_the_sample_deserves_is_raised_in_words(prometheus: Prometheus) -> None:
    raised = set(ALERTS) - NOT_WRONG_IN_THE_SAMPLE
    wait(lambda: raised <= {name for name, rule in prometheus.rules().items() if rule["alerts"]}, f"all of {raised}")
    rules = prometheus.rules()
    assert list(rules) == ALERTS
    assert {name: rule["lastError"] for name, rule in rules.items() if rule.get("lastError")} == {}
    assert not [name for name in NOT_WRONG_IN_THE_SAMPLE if rules[name]["alerts"]]
    for rule in rules.values():
        for alert in rule["alerts"]:
            told = alert["annotations"]
            assert "Do: " in told["description"]
            assert "error expanding" not in str(told)
            assert "no value" not in str(told)
            assert alert["labels"]["severity"] in ("critical", "warning", "info")
