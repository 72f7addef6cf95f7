"""The folder of previews (contact sheets, proofs), served on the same origin as the Dagster UI.

Markdown in Dagster drops `data:` pictures and keeps relative addresses, so `/previews/...` is where
materializations point. Nothing outside the folder, hidden or unfinished is served.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

#: What a browser may show; whatever else is there is offered as a download.
CONTENT_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webm": "video/webm",
    ".webp": "image/webp",
}

#: Whatever script such a file carries does not run, and it reaches nothing.
_NO_SCRIPT = "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; sandbox"


class Previews(StaticFiles):
    """Files below one folder, each revalidated by its ETag: a sheet may be made again under its name."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, check_dir=False)

    async def check_config(self) -> None:
        """Nothing to complain of: the folder appears with the first preview."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, 304 when the browser has it, 404 for all that is not a plain visible file below the folder."""
        if any(part.startswith(".") for part in PurePosixPath(path.replace(os.sep, "/")).parts):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "private, no-cache"
        return response

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """As Starlette's, with the type from our table."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        suffix = Path(full_path).suffix.lower()
        if status_code == 200 and "content-type" in response.headers:
            response.headers["Content-Type"] = CONTENT_TYPES.get(suffix, "application/octet-stream")
        if suffix not in CONTENT_TYPES:
            response.headers["Content-Disposition"] = "attachment"
        if suffix in (".html", ".svg"):
            response.headers["Content-Security-Policy"] = _NO_SCRIPT
        return response
