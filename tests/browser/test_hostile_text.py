"""Whatever a lead or a vendor says, the operator's browser shows it and runs nothing of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from browser.chromium import Visitor, visiting
from browser.hostile import CORPUS
from daemon_process import ADMIN, Inside
from playwright.async_api import Browser

from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.calls import Call
from leadenrich.sandbox.faults import Fault, Faults
from leadenrich.store.text_filter import QUESTION_CHARS

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Three strings a text: each sign of each is escaped for itself, and a page is a page less to load.
TEXTS = tuple(" ".join(CORPUS[at : at + 3]) for at in range(0, len(CORPUS), 3))
SAID = {"lead": TEXTS, "Vendor": TEXTS, "Highlevel": TEXTS[:3]}  # by whom; both vendors' words go the same way
RAW_ENDS = """ "'`>--></script></style></title></textarea></iframe></object></video></noscript></template></select> """


def contact_id(kind: str, number: int) -> str:
    return f"{kind}{number:03d}~.:+=-"  # every sign that an id may have, but one


def texts_of(kind: str, number: int) -> dict[str, str]:
    """The lead of a string: hostile in every member, or with a good address so that the vendors are asked."""
    text = TEXTS[number]
    members = ("first_name", "last_name", "full_name", "email", "phone", "address1", "city", "state", "postal_code")
    hostile = dict.fromkeys((*members, "country", "full_address"), text)
    if kind == "lead":
        return hostile
    house = {"address1": f"{100 + number} {kind} St", "city": "Springfield", "state": "IL", "postal_code": "62704"}
    return {**hostile, **house, "country": "US", "full_address": ""}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def jobs(daemon: Inside) -> dict[str, list[str]]:
    """One job for each text in the lead and in the property vendor's answer, some for HighLevel's."""
    sandbox, ids = daemon.sandbox, {}
    for kind, texts in SAID.items():
        bodies = []
        for number, text in enumerate(texts):
            told = texts_of(kind, number)
            address = PostalAddress(told["address1"], told["city"], told["state"], told["postal_code"])
            of = contact_id(kind, number)
            contact = sandbox.ghl.add_contact(of, sandbox.location_id, address=address, first_name=text)
            contact.add_tags([text])
            bodies.append({"contact_id": of, "tags": [text], "location_id": sandbox.location_id, **told})
            refuse(sandbox.faults, kind, number, text)
        ids[kind] = await queued(daemon, bodies)
    await daemon.ended([job_id for each in ids.values() for job_id in each])
    return ids


def refuse(faults: Faults, kind: str, number: int, text: str) -> None:
    def of_vendor(call: Call) -> bool:
        return call.provider == "realestateapi" and call.address_key.startswith(f"{100 + number}|VENDOR ")

    def of_highlevel(call: Call) -> bool:
        return call.provider == "ghl" and call.method == "PUT" and call.contact_id == contact_id(kind, number)

    if kind == "Vendor":
        faults.add(Fault("bad_request", body=text), match=of_vendor)
    if kind == "Highlevel":
        faults.add(Fault("bad_request", body=text), match=of_highlevel)


async def queued(daemon: Inside, bodies: list[dict[str, Any]]) -> list[str]:
    body = "\n".join(json.dumps(it) for it in bodies).encode()
    headers = {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {ADMIN}"}
    status, answer, _ = await daemon.post("/api/v1/leads", body, headers)
    assert (status, answer["accepted"]) == (200, len(bodies)), answer
    return [line["job_id"] for line in answer["leads"]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def without_policy(chromium: Browser, daemon: Inside) -> AsyncIterator[Visitor]:
    async with visiting(chromium, daemon.url, bypass_csp=True) as visitor:
        await visitor.log_in(ADMIN)
        yield visitor


@pytest_asyncio.fixture(loop_scope="session")
async def unguarded(without_policy: Visitor) -> Visitor:
    """A browser that does not obey the Content-Security-Policy: what is not escaped runs."""
    await without_policy.start_afresh()
    return without_policy


async def look(visitor: Visitor, paths: dict[str, str]) -> None:
    """Open each page; it must show its text, as text."""
    for path, text in paths.items():
        assert await visitor.go(path) == 200
        shown = await visitor.page.evaluate(
            "document.body.textContent + [...document.querySelectorAll('input')].map(it => it.value)"
        )
        assert text in shown, path
        assert await visitor.foreign_markup() == [], path
        assert await visitor.pwned() is None, path
    assert visitor.complaints == []
    assert visitor.foreign == []


@pytest.mark.parametrize("kind", SAID)
async def test_a_jobs_page_shows_hostile_text_as_text(
    unguarded: Visitor, jobs: dict[str, list[str]], kind: str
) -> None:
    await look(unguarded, {f"/jobs/{job_id}": text for job_id, text in zip(jobs[kind], SAID[kind], strict=True)})


async def test_the_vendors_words_are_among_what_was_shown(daemon: Inside, jobs: dict[str, list[str]]) -> None:
    """Else the test above looked at leads only."""
    for kind in ("Vendor", "Highlevel"):
        errors = [(await daemon.job(job_id))["error"] or "" for job_id in jobs[kind]]
        assert [text for text, error in zip(SAID[kind], errors, strict=True) if text not in error] == []


async def test_the_search_shows_hostile_questions_and_findings_as_text(
    unguarded: Visitor, jobs: dict[str, list[str]]
) -> None:
    """Several strings in one question: each sign is escaped for itself."""
    questions = [" ".join(CORPUS[number : number + 9]) for number in range(0, len(CORPUS), 9)]
    await look(unguarded, {f"/jobs?{urlencode({'q': text, 'contact': text})}": text for text in questions})
    everything = " ".join(CORPUS)
    parts = [everything[at : at + QUESTION_CHARS].strip() for at in range(0, len(everything), QUESTION_CHARS)]
    await look(unguarded, {f"/search?{urlencode({'q': text})}": text for text in parts})
    found = {f"/jobs?{urlencode({'q': text})}": text for text in CORPUS[11:14]}
    await look(unguarded, found)
    assert await unguarded.go(next(iter(found))) == 200
    assert await unguarded.page.locator(".jobs tbody tr").count() >= 1


async def test_the_overview_lists_them_all(unguarded: Visitor, jobs: dict[str, list[str]]) -> None:
    seen, path = "", "/jobs?state=FAILED_FINAL"
    while path:
        await unguarded.go(path)
        assert await unguarded.foreign_markup() == []
        assert await unguarded.pwned() is None
        seen += await unguarded.page.locator("body").inner_text()
        further = unguarded.page.get_by_role("link", name="Further jobs")
        path = (await further.get_attribute("href") or "") if await further.count() else ""
    assert [text for text in CORPUS if text not in seen] == []
    assert unguarded.complaints == []


async def test_the_search_tells_hostile_leads_as_text(unguarded: Visitor, jobs: dict[str, list[str]]) -> None:
    seen, path = "", "/search?q=vendor+springfield"
    while path:
        await unguarded.go(path)
        assert await unguarded.foreign_markup() == []
        assert await unguarded.pwned() is None
        seen += await unguarded.page.locator("body").inner_text()
        further = unguarded.page.get_by_role("link", name="Look further back")
        path = (await further.get_attribute("href") or "") if await further.count() else ""
    assert [text for text in CORPUS if text not in seen] == []
    assert unguarded.complaints == []


async def test_a_pause_with_a_hostile_reason_is_shown_as_text(unguarded: Visitor, daemon: Inside) -> None:
    """What the vendor says when the credit is spent stands on every overview."""
    text = " ".join(CORPUS[11:16])
    daemon.sandbox.faults.add(Fault("out_of_credit", body=text), match=lambda call: call.provider == "realestateapi")
    last = {"contact_id": "Last", "address1": "7 Last St", "city": "Springfield", "state": "IL", "postal_code": "62704"}
    daemon.sandbox.ghl.add_contact("Last", daemon.sandbox.location_id, address=PostalAddress("7 Last St"))
    await queued(daemon, [last])
    while "realestateapi" not in await daemon.paused():
        await asyncio.sleep(0.05)
    await look(unguarded, {"/": text})


@pytest.mark.parametrize("obeys", [True, False], ids=["policy", "no policy"])
async def test_where_escaping_failed_the_policy_would_stop_the_script(
    visit: Any, tokens: dict[str, str], obeys: bool
) -> None:
    """The second wall: the same strings raw in a page of ours, under the headers that it really has.

    In a browser without that wall they do run: the strings are what they are said to be.
    """
    async with visit(bypass_csp=not obeys) as visitor:

        async def tamper(route: Any) -> None:
            answer = await route.fetch()
            body = (await answer.text()).replace("</main>", RAW_ENDS.join(CORPUS) + "</main>")
            await route.fulfill(response=answer, body=body)

        await visitor.log_in(tokens["viewer"])
        await visitor.context.route(visitor.url + "/", tamper)
        await visitor.go("/")
        assert await visitor.page.locator("svg").count() > 0  # the markup did get in
        ran = [await visitor.pwned(), *(it for it in visitor.complaints if it.startswith("dialog"))]
        if obeys:
            assert ran == [None]
            assert len(await visitor.violations()) > 10
        else:
            assert ran[0] is not None
            assert "dialog: 48" in ran
