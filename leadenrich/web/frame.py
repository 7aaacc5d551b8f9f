"""What every page has around it. No script, no inline style; every value that is put in goes through `escape`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from leadenrich.web.story import clock


def page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · leadenrich</title>
<link rel="stylesheet" href="/static/style.css">
</head>
<body>
{body}
</body>
</html>
"""


def framed(title: str, heading: str, content: str, csrf: str | None) -> str:
    """A page behind the log-in. `csrf` is the session's; None without a log-in, where there is nothing to log out of.

    `heading` and `content` are HTML.
    """
    return page(
        title,
        f"""<a class="skip" href="#content">Skip to the content</a>
<header><a class="brand" href="/">leadenrich</a>{_logout(csrf)}</header>
<main id="content" tabindex="-1">
<h1>{heading}</h1>
{content}
</main>""",
    )


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


def moment(time: str | None, *, day: bool = True) -> str:
    """To the second for people, the exact value for programs. Without its day where others tell it."""
    if not time:
        return ""
    said = clock(time).removesuffix(" UTC")
    return f'<time datetime="{escape(time)}">{escape(said if day else said[11:])}</time>'


def state_of(state: str) -> str:
    return f'<strong class="state {escape(state.lower())}">{escape(state)}</strong>'


def _logout(csrf: str | None) -> str:
    if csrf is None:
        return ""
    hidden = f'<input type="hidden" name="csrf" value="{escape(csrf)}">'
    return f'<form method="post" action="/logout">{hidden}<button class="quiet">Log out</button></form>'
