"""A bucket on loopback, of moto's server."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_KEYS = {"AWS_ACCESS_KEY_ID": "made", "AWS_SECRET_ACCESS_KEY": "up", "AWS_REGION": "us-east-1"}


class Bucket:
    """A bucket that is there within `with`. It needs `moto[server]`.

    Attributes:
        url: its URL.
        environment: what a client needs to find it.

    """

    url = "s3://recordings"

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server: Any = import_module("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._client: Any = None
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.environment = {**_KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        self._client = import_module("boto3").client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=_KEYS["AWS_REGION"],
        )
        self._client.create_bucket(Bucket="recordings")
        return self

    def put(self, folder: Path) -> None:
        """Put the files of a folder into it."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self._client.put_object(Bucket="recordings", Key=str(path.relative_to(folder)), Body=path.read_bytes())

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._server.stop()
