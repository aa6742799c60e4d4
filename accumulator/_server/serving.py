"""Run an ASGI app on an address of this machine with uvicorn, in this thread or in one of its own."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, Self

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

LOOPBACK: Final = "127.0.0.1"

_MOST_CONNECTIONS: Final = 1_000
"""The connections that are answered at a time: each may hold a request of 1 MiB, all together 1 GiB. More get 503."""

_LARGEST_HEAD: Final = 65_536
_PATIENCE: Final = 30.0


class ReplayServer:
    """A server on an address of this machine: a context manager that serves in a thread of its own.

    Attributes:
        url: where it is, such as `http://127.0.0.1:43121`, without a path.
        ca: with `tls`, the certificate of the authority that clients have to trust, in PEM. Its key is held in memory
            only, and is another one each time.

    """

    def __init__(self, app: Callable[..., object], *, host: str = LOOPBACK, port: int = 0, tls: bool = False) -> None:
        """Listen. Nothing is answered until `with` or `run`.

        Args:
            app: an ASGI app, such as that of `replay_app`.
            host: the address to listen on. Only this machine can reach the default.
            port: the port; 0 for any that is free.
            tls: whether to speak TLS, with a certificate that is made now.

        Raises:
            OSError: the address cannot be listened on.
            ModuleNotFoundError: `tls` needs trustme, which the extra `server` installs.

        """
        self.ca: bytes | None = None
        context: ssl.SSLContext | None = None
        if tls:
            context, self.ca = _make_context(host)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        name = f"[{host}]" if ":" in host else host
        self.url: str = f"http{'s' if tls else ''}://{name}:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            access_log=False,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            http="h11",  # the other one bounds no headers
            lifespan="off",
            limit_concurrency=_MOST_CONNECTIONS,
            log_config=None,
            log_level="critical",
            loop="asyncio",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=0,  # an open stream would hold the end up for as long as it takes
            ws="none",
        )
        config.load()
        config.ssl = context
        self._server = _Server(config)
        self._thread = threading.Thread(target=self.run, name="accumulator-server")

    def run(self) -> None:
        """Serve in this thread until it is interrupted. Streams that are open then are cut.

        Raises:
            KeyboardInterrupt: SIGINT came, in the main thread.

        """
        with closing(self):
            self._server.run([self._listener])

    def close(self) -> None:
        """Stop to listen: for a server that never runs."""
        self._listener.close()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server.listening.wait(_PATIENCE)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.should_exit = True
        self._thread.join()


class _Server(uvicorn.Server):
    """Says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def _make_context(host: str) -> tuple[ssl.SSLContext, bytes]:
    """Make a certificate for this host and for what this machine calls itself, and the authority that signs it."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert(*dict.fromkeys([host, "localhost", LOOPBACK, "::1"]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    with _as_path(chain) as certificates, _as_path(issued.private_key_pem.bytes()) as key:
        context.load_cert_chain(certificates, key)
    return context, authority.cert_pem.bytes()


@contextmanager
def _as_path(data: bytes) -> Generator[str]:
    """Yield a path at which a few bytes can be read once. It is that of a pipe: no key is on a disk.

    The module `ssl` takes paths only.
    """
    reader, writer = os.pipe()
    try:
        with open(writer, "wb") as pipe:  # noqa: PTH123 - a descriptor is no path
            pipe.write(data)
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)
