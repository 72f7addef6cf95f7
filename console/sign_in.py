"""The sign-in form. Sessions are in sessions.py, access rules in gate.py."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from console.gate import SIGN_IN, wrong_token
from console.pages import page
from console.sessions import COOKIE, SESSION_SECONDS, is_token

router = APIRouter(include_in_schema=False)
HOME = "/console/"


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
        await wrong_token(request.scope, "form")
        return page(
            request, "sign_in.html", {"next": _own_path(next), "wrong": True, "signed_in": False}, 401
        )
    response = RedirectResponse(_own_path(next), 303)
    response.set_cookie(
        COOKIE,
        request.app.state.sessions.issue(),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/console/sign-out")
def sign_out(request: Request) -> Response:
    """End the session, for every holder of its cookie, and forget it in this browser."""
    if request.app.state.sessions is not None:
        request.app.state.sessions.end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse(SIGN_IN, 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _own_path(wanted: str) -> str:
    """A path of ours, never the address of another site."""
    own = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if own else HOME
