"""Whether the code server on a socket answers; exit status 0 or 1.

`python -m console.supervision.code_server_health SOCKET`

For the health check of a container, which runs every few seconds: it loads gRPC and nothing of Dagster.
"""

from __future__ import annotations

import sys
from pathlib import Path

_SECONDS = 3.0


def code_server_answers(socket: Path) -> bool:
    """Whether the code server on this Unix socket says that it serves (gRPC health protocol)."""
    import grpc  # type: ignore[import-untyped]
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main() -> None:
    """The entry point."""
    sys.exit(0 if code_server_answers(Path(sys.argv[1])) else 1)


if __name__ == "__main__":
    main()
