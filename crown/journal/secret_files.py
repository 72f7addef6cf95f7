"""Reads files that hold one secret, such as the key of an API, and hides it from the journal from then on."""

from __future__ import annotations

from pathlib import Path

from crown.errors import ConfigurationError
from crown.journal import secrets


def read_secret(path: Path, what: str, setting: str) -> str:
    """The secret that a file holds.

    Args:
        path: The file.
        what: What it holds, in a word: token, key.
        setting: The variable that names the file.

    Raises:
        ConfigurationError: it cannot be read, is empty, or others may read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} may be read by others; say `chmod 600 {path}`.")
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(
            f"The {what} file {path} cannot be read ({reason}); correct {setting}."
        ) from None
    if not secret:
        raise ConfigurationError(f"The {what} file {path} is empty; put the {what} into it.")
    secrets.hide(secret)
    return secret
