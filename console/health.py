"""`/health`: whether the console and its database answer. Open to everyone, so it says no more than that."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

router = APIRouter()


@router.get("/health")
def health(request: Request) -> JSONResponse:
    """200 when the database answers, else 503."""
    try:
        with request.app.state.engine.connect() as connection:
            connection.execute(text("select 1"))
    except SQLAlchemyError:
        return JSONResponse({"status": "the database does not answer"}, 503)
    return JSONResponse({"status": "ok"})
