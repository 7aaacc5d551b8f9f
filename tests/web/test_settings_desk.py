"""The settings in words, and other rules tried on leads whose record was bought."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from pipeline_world import HOME, record

from leadenrich.config import Config, Secret, ServerSettings, Source
from leadenrich.core.address import NormalAddress
from leadenrich.core.lead import Lead, PostalAddress
from leadenrich.core.property import Found, LookupAnswer, NoMatch
from leadenrich.web.in_force import InForce

Web = Any
AJob = Callable[..., Any]
SECRET = "a-secret-that-nobody-may-see"
STRICT = '[[rules]]\ncode = "LOW_EQUITY"\nparams = { percent = 90 }\n'


class Cache:
    """What was bought: one record for every address, or none."""

    def __init__(self) -> None:
        self.answer: LookupAnswer | None = Found(record(), "190000001")
        self.asked: list[str] = []

    async def find(self, address: NormalAddress) -> LookupAnswer | None:
        self.asked.append(address.key)
        return self.answer


@pytest.fixture
async def cache(web: Web) -> Cache:
    """The web half's settings with a secret and a source, beside a cache."""
    cache, in_force = Cache(), web.parts.finding.in_force
    config = Config(server=ServerSettings(admin_token=Secret(SECRET)))
    sources = {"server.admin_token": Source("environment", "LEADENRICH_SERVER__ADMIN_TOKEN")}
    InForce.__init__(in_force, config, lambda: sources, cache)
    response, _ = await web.call("POST", "/login", data={"token": "the-admin-token"})
    assert response.status == 303
    return cache


def enriched(a_job: AJob, address: PostalAddress = HOME, **changes: Any) -> Any:
    lead = Lead(
        location_id="loc", contact_id="c1", kind="create", first_name="Alex", last_name="Sample", address=address
    )
    usual = {"finished_at": "2026-11-23T12:00:00.000Z", "lead": lead}
    return a_job(**(usual | changes))


async def tried(web: Web, rules: str, job: str = "") -> str:
    """The part of the page that answers, as text."""
    _, page = await web.call("GET", "/settings")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf is not None
    response, page = await web.call("POST", "/settings/try", data={"csrf": csrf[1], "rules": rules, "job": job})
    assert response.status == 200
    told = page[page.index('<h2 id="try"') : page.index('<h2 id="rules"')]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", told)).split())


async def test_the_settings_are_told_in_words_with_their_sources_and_no_secret(web: Web, cache: Cache) -> None:
    _, page = await web.call("GET", "/settings")
    assert "LOW_EQUITY" in page
    assert "Disqualifies when" in page
    assert "environment LEADENRICH_SERVER__ADMIN_TOKEN" in page
    assert "********" in page
    assert SECRET not in page
    assert "data.estimatedValue" in page


async def test_stricter_rules_say_what_a_past_lead_would_be_now(web: Web, cache: Cache, a_job: AJob) -> None:
    web.views.listed = [enriched(a_job)]
    said = await tried(web, STRICT, "00job1")
    assert "Would now be DISQUALIFIED by LOW_EQUITY." in said
    assert "no room for an offer below market" in said
    assert "Would still be QUALIFIED." in await tried(web, "", "00job1")
    assert cache.asked == ["742|EVERGREEN TER||62704"] * 2


async def test_without_a_job_the_newest_leads_are_judged(web: Web, cache: Cache, a_job: AJob) -> None:
    gone = enriched(a_job, PostalAddress(), id="00job2")
    web.views.listed = [enriched(a_job), gone]
    said = await tried(web, STRICT)
    assert "Of the newest 1 leads whose record is still there, 1 would change. Of 1 more it is gone." in said
    web.views.listed = []
    assert "There is no lead to try them on yet." in await tried(web, STRICT)


async def test_a_record_that_is_gone_is_said_to_be_gone(web: Web, cache: Cache, a_job: AJob) -> None:
    web.views.listed = [enriched(a_job)]
    cache.answer = None
    assert "the bought record is kept no longer (realestateapi.cache_ttl)" in await tried(web, STRICT, "00job1")
    web.views.listed = [a_job()]
    assert "the lead itself is kept no longer" in await tried(web, STRICT, "00job1")


async def test_rules_of_the_area_need_no_record(web: Web, cache: Cache, a_job: AJob) -> None:
    web.views.listed = [enriched(a_job)]
    cache.answer = None
    far = '[[rules]]\ncode = "OUT_OF_AREA"\nparams = { states = ["TX"] }\n'
    assert "Would now be DISQUALIFIED by OUT_OF_AREA." in await tried(web, far, "00job1")
    assert cache.asked == []


async def test_no_match_stays_no_match(web: Web, cache: Cache, a_job: AJob) -> None:
    web.views.listed = [enriched(a_job, outcome="NO_MATCH", state="FAILED_FINAL")]
    cache.answer = NoMatch("no such property")
    assert "Would still be NO_MATCH." in await tried(web, STRICT, "00job1")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("[[rules", "the text : is not valid TOML"),
        ('[[rules]]\ncode = "LOW_EQUTY"\n', "did you mean 'LOW_EQUITY'?"),
        ('[[rules]]\ncode = "LOW_EQUITY"\nparms = {}\n', "rules[0].parms : unknown key; did you mean `params`?"),
        ("[[rules]]\n", "rules[0].code : is missing"),
        ("[server]\nport = 1\n", "server : unknown key"),
        ('[[rules]]\ncode = "X"\nwhen = ' + '{ not = ' * 3000 + "{}" + " }" * 3000, "nested too deeply"),
        (f'[[rules]]\ncode = "LOW_EQUITY"\nparams = {{ percent = {"9" * 5000} }}\n', "holds a number that is too long"),
    ],
)  # fmt: skip
async def test_faults_of_the_rules_are_named(web: Web, cache: Cache, a_job: AJob, rules: str, said: str) -> None:
    web.views.listed = [enriched(a_job)]
    told = await tried(web, rules, "00job1")
    assert "These rules cannot be used:" in told
    assert said in told
    assert "Would" not in told


async def test_a_reload_changes_what_is_in_force(web: Web, cache: Cache) -> None:
    _, before = await web.call("GET", "/settings")
    web.parts.finding.in_force.configure(Config(rules=()))
    _, after = await web.call("GET", "/settings")
    assert "********" in before
    assert "********" not in after


async def test_a_leads_page_tells_each_rule_and_each_field(web: Web, cache: Cache, a_job: AJob) -> None:
    cache.answer = Found(record(mlsActive=True), "190000001")
    web.views.listed = [enriched(a_job, outcome="DISQUALIFIED", disqualified_by=["MLS_ACTIVE"])]
    _, page = await web.call("GET", "/jobs/00job1")
    fired = page[page.index('<h2 id="rules"') : page.index("rules did not fire")]
    assert re.findall(r'scope="row">([A-Z_]+)<', fired) == ["MLS_ACTIVE"]
    assert "MLS active: yes" in fired
    assert "DISQUALIFIED (MLS_ACTIVE: already with an agent)" in page
    assert "data.estimatedValue" in page
    assert ">342000<" in page
    assert "They would say" not in page


async def test_a_viewer_sees_no_values_and_no_personal_data_of_the_payload(web: Web, cache: Cache, a_job: AJob) -> None:
    job = enriched(a_job)
    web.views.listed = [job]
    web.session.cookie_jar.clear()
    await web.call("POST", "/login", data={"token": "the-viewer-token"})
    _, page = await web.call("GET", "/jobs/00job1")
    assert "data.estimatedValue" in page
    assert "342000" not in page
    payload = page[page.index('<h2 id="payload"') :]
    assert "Evergreen" not in payload
    assert "Alex" not in payload
    assert "contact_id" in payload
