"""The client of the Airtable API within the limits that it documents: 5 requests a second per base, 30 s after a 429.

Source: https://airtable.com/developers/web/api/rate-limits. What is asked belongs to `live.py`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyairtable import Api

BUSY_SECONDS = 30.0
"""After a 429 no request succeeds for so long."""
_REQUESTS, _SECONDS = 5, 1.05
"""Requests in so many seconds; a twentieth more than the limit says, for what the network shifts."""
_BUSY = 429
_RETRIED = frozenset({_BUSY, 500, 502, 503, 504})
_FIRST_PAUSE = 0.5


class Pace:
    """Lets no more than `_REQUESTS` begin in any `_SECONDS`."""

    def __init__(self) -> None:
        self._begun: deque[float] = deque(maxlen=_REQUESTS)
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next request may begin."""
        with self._lock:
            if len(self._begun) == _REQUESTS:
                time.sleep(max(0.0, self._begun[0] + _SECONDS - time.monotonic()))
            self._begun.append(time.monotonic())


@cache
def pace_of(endpoint_url: str, base_id: str) -> Pace:
    """The pace of a base, one for all clients of this process."""
    del endpoint_url, base_id  # the key of the cache
    return Pace()


def client(
    token: str, base_id: str, endpoint_url: str, timeout: tuple[int, int], *, retries: int = 0,
    busy_seconds: float = BUSY_SECONDS,
) -> Api:  # fmt: skip
    """A client of one base.

    Args:
        token: A personal access token.
        base_id: `app...`.
        endpoint_url: The API's address.
        timeout: Seconds to connect and to read.
        retries: Further tries of a request that was answered by 429 or a server error.
        busy_seconds: Pause after a 429; after a server error it is half a second at first and doubles.
    """
    from pyairtable import Api
    from requests import PreparedRequest, Response
    from requests.adapters import HTTPAdapter

    class Patient(HTTPAdapter):
        """Begins every try at the pace of the base and waits between two."""

        def send(self, request: PreparedRequest, *args: Any, **more: Any) -> Response:
            pace = pace_of(endpoint_url, base_id)
            for tried in range(retries + 1):
                pace.wait()
                answer = super().send(request, *args, **more)
                if answer.status_code not in _RETRIED or tried == retries:
                    break
                answer.close()
                time.sleep(busy_seconds if answer.status_code == _BUSY else _FIRST_PAUSE * 2**tried)
            return answer

    api = Api(token, endpoint_url=endpoint_url, retry_strategy=None, timeout=timeout)
    for scheme in ("https://", "http://"):
        api.session.mount(scheme, Patient(max_retries=retries))
    return api
