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


def data_block(identifier: str, value: Any) -> str:
    """JSON for a script of the page; nothing in it can end the block."""
    written = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{identifier}">{written}</script>'
