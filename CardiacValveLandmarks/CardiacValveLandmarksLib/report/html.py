"""HTML that cannot forget to escape: text is escaped wherever it is put, only what `tag` made passes as it is."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

_VOID = {"img", "meta", "br", "col"}


class Html(str):
    """Markup that is already safe."""

    __slots__ = ()


def text(content: object) -> Html:
    """Anything as escaped text; Html as it is."""
    return content if isinstance(content, Html) else Html(html.escape(str(content), quote=True))


def join(parts: Iterable[object], separator: str = "") -> Html:
    return Html(html.escape(separator).join(text(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. Attribute names may end in an underscore (class_); None leaves an attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def picture(data: bytes, kind: str, alt: str, width: int | None = None) -> Html:
    """An embedded image. kind: its MIME type."""
    return tag("img", src=f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}", alt=alt, width=width)


#: no script, nothing from elsewhere: the browser enforces what we promise
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root{--ink:#1c2530;--soft:#5b6773;--line:#d9dee3;--paper:#fff;--tint:#f5f7f9;--doubt:#8a4b00;--doubt-tint:#fff6e6}
*{box-sizing:border-box}
body{margin:0;background:var(--tint);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:24px 28px 60px;background:var(--paper)}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:38px 0 10px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:15px;margin:18px 0 6px}p{margin:6px 0}small,.soft{color:var(--soft)}
.row{display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start}
figure{margin:0;max-width:100%}figure img{max-width:100%;height:auto;display:block;border-radius:4px}
.views{flex-wrap:nowrap}.views figure{flex:1 1 0}.views img{width:100%}
figcaption{color:var(--soft);font-size:13px;margin-top:4px}
.cards{display:flex;flex-wrap:wrap;gap:10px;margin:14px 0}
.card{border:1px solid var(--line);border-radius:6px;padding:8px 14px;min-width:132px}
.card b{display:block;font-size:20px;font-weight:600}
.doubts{background:var(--doubt-tint);border-left:4px solid #e69f00;padding:10px 16px;border-radius:0 6px 6px 0}
.doubts ul{margin:4px 0;padding-left:20px}.strong{color:var(--doubt);font-weight:600}
table{border-collapse:collapse;width:100%;font-size:14px}th{text-align:left;font-weight:600;color:var(--soft)}
th,td{border-bottom:1px solid var(--line);padding:5px 8px;vertical-align:top}
td.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
tr.group td{background:var(--tint);font-weight:600;border-top:2px solid var(--line)}
.flag{display:inline-block;font-size:12px;border:1px solid var(--line);border-radius:9px;padding:0 7px;
color:var(--doubt)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 16px;margin:6px 0}dt{color:var(--soft)}dd{margin:0}
@media (max-width:800px){.views{flex-wrap:wrap}.views figure{flex-basis:100%}}
@media print{body{background:#fff}main{padding:0;max-width:none}figure,tr{break-inside:avoid}}
"""


def page(title: str, body: Html) -> str:
    """The whole document."""
    head = join(
        (
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", title),
            Html(f"<style>{_STYLE}</style>"),
        )
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>{body}</main></body></html>\n'
