"""Assembles what one address serves: our pages and files first, Dagster's UI for every other path.

A department's pages are an `APIRouter` of their own, included here in one line.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from sqlalchemy import Engine
from starlette.types import ASGIApp

from console import health, sign_in, start
from console.address import token
from console.gate import Gate
from console.previews import Previews
from console.sessions import Sessions
from crown.settings.model import Settings

FOLDER = Path(__file__).parent


def previews_folder(settings: Settings) -> Path:
    """Where previews are put so that `/previews/...` shows them."""
    return settings.home.expanduser().absolute() / "previews"


def create_app(settings: Settings, engine: Engine, dagster_ui: ASGIApp) -> FastAPI:
    """The whole console.

    Args:
        settings: address, token and folders.
        engine: on our database; routes find it as `request.app.state.engine`.
        dagster_ui: what answers every path that is not ours.

    Raises:
        ConfigurationError: an address that needs a token, without one.
    """
    secret = token(settings)
    home = settings.home.expanduser().absolute()
    sessions = None if secret is None else Sessions(secret, home / "console" / "signed_out")
    if sessions is not None:
        sessions.forget_old()
    # The interactive API pages load scripts from a foreign network, so there are none.
    app = FastAPI(title="Crown", docs_url=None, redoc_url=None, openapi_url="/console/api/openapi.json")
    app.state.settings = settings
    app.state.engine = engine
    app.state.token = secret
    app.state.sessions = sessions
    app.state.health = health.Health(settings, engine, dagster_ui)
    app.include_router(health.router)
    app.include_router(sign_in.router)
    app.include_router(start.router)
    app.mount("/console/static", StaticFiles(directory=FOLDER / "static"), name="static")
    app.mount("/previews", Previews(previews_folder(settings)), name="previews")
    app.mount("/", dagster_ui)
    app.add_middleware(Gate, token=secret, sessions=sessions)
    return app
