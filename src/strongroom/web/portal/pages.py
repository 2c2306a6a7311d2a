"""The status page, plain for now: that the service is up, and nothing that needs a sign-in."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>strongroom</title>
<meta name="viewport" content="width=device-width">
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}
code{background:#eee8;padding:.1em .3em;border-radius:3px}</style></head>
<body><h1>strongroom</h1><p>The vault is up.</p>
<p>On this machine, type <code>strongroom status</code> to see what is protected, and
<code>strongroom protect postgresql://...</code> to protect another server.</p></body></html>
"""


@router.get("/")
def home() -> HTMLResponse:
    """Up, and what to type next."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": policy})
