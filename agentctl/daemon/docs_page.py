"""The page at /docs: the API in one page that loads nothing from anywhere."""

from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font-family:ui-monospace,monospace;background:#8881;padding:.1em .3em;border-radius:4px}
pre{padding:.6em;overflow:auto}h2{margin-top:2rem;font-size:1.05rem}
:root{color-scheme:light dark}
"""


def docs_page(api: dict[str, Any]) -> str:  # Any: an OpenAPI document
    """HTML from an OpenAPI document."""
    sections = [
        _section(verb, path, operation)
        for path, verbs in api["paths"].items()
        for verb, operation in verbs.items()
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>agentctl API</title>'
        f"<style>{_STYLE}</style><h1>agentctl {escape(api['info']['version'])}</h1>"
        f"<p>{len(sections)} operations; the whole description is "
        '<a href="/openapi.json">openapi.json</a>. Each call needs the header '
        "<code>Authorization: Bearer TOKEN</code>; "
        "<code>agentctl daemon status --token</code> shows the token.</p>"
        f"{''.join(sections)}</html>"
    )


def _section(verb: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<li><code>{escape(each['name'])}</code></li>" for each in operation.get("parameters", ())
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    reference = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    told = f"<p>Body: <code>{escape(reference)}</code></p>" if reference else ""
    return (
        f"<h2><code>{escape(verb.upper())} {escape(path)}</code></h2>"
        f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
        f"<ul>{rows}</ul>{told}"
    )
