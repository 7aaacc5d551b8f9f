"""What every page has around it, and the parts they share.

No inline script, style or handler; every value goes through `escape`. A page works without its scripts. With them, its
refreshing part fetches itself again when something changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from leadenrich.web.access import Session
from leadenrich.web.static_files import static_path
from leadenrich.web.story import clock

NAVIGATION: Final = {"/": "Overview", "/jobs": "Jobs", "/settings": "Settings"}
# The policy lets htmx evaluate nothing; an answer that is no page of ours changes none.
_HTMX: Final = (
    '{"includeIndicatorCSS":false,"history":false,"extensions":"sse","mode":"same-origin",'
    '"noSwap":[204,304,"4xx","5xx"],"morphIgnore":["data-htmx-powered","open"]}'
)
_SHEETS: Final = ("pico.classless.min.css", "uPlot.min.css", "style.css")
_SCRIPTS: Final = ("htmx.min.js", "hx-sse.min.js", "uPlot.iife.min.js", "pages.js")


def page(title: str, body: str, *, scripts: Sequence[str] = ()) -> str:
    """`body` is HTML."""
    sheets = "".join(f'<link rel="stylesheet" href="{static_path(name)}">\n' for name in _SHEETS)
    # At the body's end, not deferred: htmx would begin before its extension is there, and sometimes miss it.
    loaded = "".join(f'<script src="{static_path(name)}"></script>\n' for name in scripts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="htmx-config" content="{escape(_HTMX)}">
<title>{escape(title)} · leadenrich</title>
<link rel="icon" href="data:,">
{sheets}</head>
<body>
{body}
{loaded}</body>
</html>
"""


def framed(
    title: str, heading: str, content: str, visitor: Session, *, here: str = "", live: str = "", asked: str = ""
) -> str:
    """A page behind the log-in. `heading` and `content` are HTML.

    `here` is the page's place in the navigation; `live` the stream its refreshing part hears (`/live`); `asked` what
    stands in the search box.
    """
    said, visitor.said = (visitor.said, "") if visitor.said else ("", "")
    told = f'<p class="good" role="status">{escape(said)}</p>' if said else ""
    stream = f'<span id="live" class="live" hx-sse:connect="{escape(live)}" hx-trigger="load"></span>' if live else ""
    return page(
        title,
        f"""<a class="skip" href="#content">Skip to the content</a>
<header>
<a class="brand" href="/">leadenrich</a>
<nav aria-label="Pages"><ul>{"".join(_link(path, name, here) for path, name in NAVIGATION.items())}</ul></nav>
{_search_box(asked)}
<div class="who">{stream}<span>{escape(_who(visitor))}</span>{_logout(visitor)}</div>
</header>
<main id="content" tabindex="-1">
<h1>{heading}</h1>
{told}{content}
</main>""",
        scripts=_SCRIPTS,
    )


def refreshing(content: str, path: str) -> str:
    """The part of a page that fetches itself again, from `path`, when the stream says so. At most one a page.

    What people opened, typed or chose in it stays as it is where `hx-morph-skip` stands on its form.
    """
    return (
        f'<div id="fresh" hx-get="{escape(path)}" hx-trigger="news from:#live" hx-select="#fresh" '
        f'hx-target="this" hx-swap="outerMorph">{content}</div>'
    )


def login_page(message: str = "", then: str = "") -> str:
    """`then` is the path to go to afterwards."""
    said = f'<p class="bad" role="alert">{escape(message)}</p>' if message else ""
    goal = f'<input type="hidden" name="then" value="{escape(then)}">' if then else ""
    return page(
        "Log in",
        f"""<main class="narrow"><h1>leadenrich</h1>{said}
<form method="post" action="/login">{goal}
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<label for="name">Your name, for the audit log <span class="dim">(optional)</span></label>
<input id="name" name="name" autocomplete="name" maxlength="60">
<button>Log in</button>
</form>
<p class="dim">server.admin_token, or server.viewer_token to look without touching.</p></main>""",
    )


def trouble_page(message: str) -> str:
    back = '<p><a href="/">Overview</a></p>'
    return page("Trouble", f'<main class="narrow"><h1>leadenrich</h1><p class="bad">{escape(message)}</p>{back}</main>')


def act_form(visitor: Session, action: str, button: str, *, inside: str = "", kind: str = "") -> str:
    """A form that acts, with its token; "" for who may only look. `inside` is HTML; `kind` a class of the button."""
    if not visitor.may_act:
        return ""
    return (
        f'<form method="post" action="{escape(action)}" class="act" hx-morph-skip>{csrf_field(visitor)}{inside}'
        f'<button class="{escape(kind)}">{escape(button)}</button></form>'
    )


def csrf_field(visitor: Session) -> str:
    return f'<input type="hidden" name="csrf" value="{escape(visitor.csrf)}">'


def table(caption: str, heads: Sequence[str], rows: str, kind: str = "") -> str:
    """`rows` is HTML. The roles are said aloud because narrow windows show rows as blocks, which hides a table's own.

    `kind` is a class of the style sheet.
    """
    head = "".join(f'<th role="columnheader" scope="col">{escape(name)}</th>' for name in heads)
    return (
        f'<table role="table" class="{kind}"><caption class="unseen">{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{rows}</tbody></table>'
    )


def row(*cells: str) -> str:
    return f'<tr role="row">{"".join(cells)}</tr>'


def cell(content: str, kind: str = "") -> str:
    """`content` is HTML."""
    return f'<td role="cell" class="{kind}">{content}</td>'


def row_head(content: str) -> str:
    """`content` is HTML."""
    return f'<th role="rowheader" scope="row">{content}</th>'


def folded(name: str, content: str) -> str:
    """`content` is HTML."""
    return f"<details><summary>{escape(name)}</summary>{content}</details>"


def moment(time: str | None, *, day: bool = True) -> str:
    """To the second for people, the exact value for programs. Without its day where others tell it."""
    if not time:
        return ""
    said = clock(time).removesuffix(" UTC")
    return f'<time datetime="{escape(time)}">{escape(said if day else said[11:])}</time>'


def state_of(state: str) -> str:
    return f'<strong class="state {escape(state.lower())}">{escape(state)}</strong>'


def _link(path: str, name: str, here: str) -> str:
    current = ' aria-current="page"' if path == here else ""
    return f'<li><a href="{path}"{current}>{name}</a></li>'


def _search_box(asked: str) -> str:
    return f"""<form method="get" action="/search" role="search" class="find">
<input name="q" type="search" value="{escape(asked)}" aria-label="Phone, e-mail, name, address or id"
 placeholder="Phone, e-mail, name, address, id">
<button>Search</button>
</form>"""


def _who(visitor: Session) -> str:
    return f"{visitor.name} ({visitor.role})" if visitor.name else visitor.role


def _logout(visitor: Session) -> str:
    if not visitor.by_log_in:
        return ""
    return f'<form method="post" action="/logout">{csrf_field(visitor)}<button class="quiet">Log out</button></form>'
