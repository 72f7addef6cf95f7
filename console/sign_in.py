"""The sign-in form. What a session is, and who needs one, stands in console/gate.py."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from console.gate import COOKIE, SESSION_SECONDS, SIGN_IN, is_token, issue_session
from console.pages import page

router = APIRouter(include_in_schema=False)
HOME = "/console/"
#: What a wrong token costs the one who tries.
_WRONG_TOKEN_SECONDS = 1.0


@router.get(SIGN_IN)
def form(request: Request, next: str = HOME) -> Response:
    """The form; without a token there is nothing to sign in to."""
    if request.app.state.token is None:
        return RedirectResponse(_own_path(next), 303)
    return page(request, "sign_in.html", {"next": _own_path(next), "wrong": False, "signed_in": False})


@router.post(SIGN_IN)
async def sign_in(
    request: Request, token: Annotated[str, Form()], next: Annotated[str, Form()] = HOME
) -> Response:
    """Set the session cookie, or show the form again."""
    secret = request.app.state.token
    if secret is None:
        return RedirectResponse(_own_path(next), 303)
    if not is_token(token.strip(), secret):
        await asyncio.sleep(_WRONG_TOKEN_SECONDS)
        return page(
            request, "sign_in.html", {"next": _own_path(next), "wrong": True, "signed_in": False}, 401
        )
    response = RedirectResponse(_own_path(next), 303)
    response.set_cookie(
        COOKIE,
        issue_session(secret),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/console/sign-out")
def sign_out() -> Response:
    """Forget the session in this browser."""
    response = RedirectResponse(SIGN_IN, 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _own_path(wanted: str) -> str:
    """A path of ours, never the address of another site."""
    own = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if own else HOME
