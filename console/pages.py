"""How our pages are rendered: one template folder, one look, nothing from foreign networks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from fastapi import Request
from fastapi.templating import Jinja2Templates
from markupsafe import Markup
from starlette.responses import Response

from resources import asset_keys

_TEMPLATES = Jinja2Templates(directory=Path(__file__).parent / "templates")
_TEMPLATES.env.globals["thousands"] = lambda number: f"{number:,}"


def moment(when: datetime) -> Markup:
    """A time as people of this place read it, and as programs do."""
    here = when.astimezone()
    return Markup('<time datetime="{}">{}</time>').format(
        here.isoformat(timespec="seconds"), f"{here:%Y-%m-%d %H:%M %Z}"
    )


_TEMPLATES.env.globals["moment"] = moment
_TEMPLATES.env.globals["asset_page"] = lambda asset: "/assets/" + "/".join(asset_keys.path(asset))
_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'self'"
)


def page(request: Request, template: str, context: Mapping[str, object], status: int = 200) -> Response:
    """A page of ours; never cached, since it shows what is now."""
    values = {"signed_in": request.app.state.token is not None, **context}
    response = _TEMPLATES.TemplateResponse(request, template, values, status)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-store"
    return response
