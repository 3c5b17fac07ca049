"""HTML and SVG as text; every value from outside is escaped here."""

import html
import json
from typing import Any


def tag(name: str, *children: str, **attributes: object) -> str:
    """`<name attribute="value">children</name>`; children are markup already, values are escaped.

    `class_` is written class, and `_` in a name `-`; a value of None leaves its attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def text(value: object) -> str:
    return html.escape(str(value))


def page(
    title: str, style: str, *body: str, script: str = "", body_class: str | None = None
) -> str:
    """A whole page; `style` and `script` are ours. It may load nothing, and its policy allows no more."""
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )
    head = (
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<link rel="icon" href="data:,">',
        tag("title", text(title)),
        tag("style", style),
    )
    end = (tag("script", script),) if script else ()
    parts = (tag("head", *head), tag("body", *body, *end, class_=body_class))
    return f"<!doctype html>\n{tag('html', *parts, lang='en')}\n"


def data_block(identifier: str, value: Any) -> str:
    """JSON for a script of the page; nothing in it can end the block."""
    written = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{identifier}">{written}</script>'
