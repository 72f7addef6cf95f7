"""Where the console listens, and the one condition for listening to other machines: a sign-in token."""

from __future__ import annotations

import ipaddress
import socket

from crown.errors import ConfigurationError
from crown.settings.model import Settings

#: The token is the only protection of Dagster's UI on a network, so it must not be guessable.
SHORTEST_TOKEN = 16


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token(settings: Settings) -> str | None:
    """The sign-in token; None: no sign-in, and then only this machine may ask.

    Raises:
        ConfigurationError: the address needs a token that is missing, or the token can be guessed.
    """
    given = settings.web_token.get_secret_value() if settings.web_token else None
    if given is None and not is_loopback(settings.web_host):
        raise ConfigurationError(
            f"CROWN_WEB_HOST is {settings.web_host}, which other machines can reach, and there is no sign-in:"
            " set CROWN_WEB_TOKEN, or leave the address at 127.0.0.1."
        )
    if given is not None and len(given) < SHORTEST_TOKEN:
        raise ConfigurationError(
            f"CROWN_WEB_TOKEN has fewer than {SHORTEST_TOKEN} characters; `openssl rand -hex 24` makes a good one."
        )
    return given


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Raises:
        ConfigurationError: the port is taken or needs rights, or the address is not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise ConfigurationError(
            f"CROWN_WEB_HOST {host} is no address; write 127.0.0.1 or one of this machine's."
        ) from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {port} of {host} cannot be used ({error.strerror}); choose another with --port or CROWN_WEB_PORT."
        ) from None
    return listener


def web_address(host: str, port: int) -> str:
    """The address to type into a browser on this machine."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - recognised, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
