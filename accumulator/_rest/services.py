"""Where an API is, and what each request to it carries, beside what the caller's client adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlsplit

from accumulator._engine.limits import DEFAULT_MAX_ID_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable

OPENAI_URL: Final = "https://api.openai.com/v1"

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_OWN_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
"""The headers of each request. Other codings are not asked for, because they are not unpacked in bounded memory."""

LONGEST_ID: Final = DEFAULT_MAX_ID_LENGTH
"""Characters of an id in a path or an answer, as in an event. Web servers take lines of 8,190 bytes and more."""


class _Flavour(NamedTuple):
    """What differs between the services that speak the API: the end of the base URL, a header, the version."""

    path: str = ""
    headers: Mapping[str, str] = _NOTHING
    api_version: str | None = None


_FLAVOURS: Final = {
    "openai": _Flavour(headers={"OpenAI-Beta": "assistants=v2"}),
    "azure_openai": _Flavour(path="/openai", api_version="2024-05-01-preview"),
    "azure_foundry": _Flavour(api_version="v1"),
}
_PROJECT: Final = re.compile(r"/api/projects/[^/]+/?\Z")


class Service:
    """Where an API is, and the headers and query parameters of each request to it.

    What proves who asks, such as `Authorization` or Azure's `api-key`, is best given to the client: its requests to
    the service have it all. `repr` shows no values of headers.

    Attributes:
        base_url: what stands before `/threads`, without a slash at the end.
        headers: the headers that each request has.
        params: the query parameters that each request has.

    """

    __slots__ = ("base_url", "headers", "params")

    def __init__(
        self, base_url: str, *, headers: Mapping[str, str] = _NOTHING, params: Mapping[str, str] = _NOTHING
    ) -> None:
        """Name any server by its base URL, such as "http://127.0.0.1:8000/v1".

        Raises:
            TypeError: the base URL is no str, or the headers or parameters are no mapping.
            ValueError: the base URL is not one of http or https, or has a query or a fragment.

        """
        if not isinstance(base_url, str):
            raise TypeError(f"expected the base URL of a service as a str, got {type(base_url).__name__}")
        if not isinstance(headers, Mapping) or not isinstance(params, Mapping):
            raise TypeError("expected headers and params of a service as mappings")
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc or not base_url.isprintable() or " " in base_url:
            raise ValueError(f'expected a base URL such as "{OPENAI_URL}", got {base_url!r:.200}')
        if parts.query or parts.fragment:
            raise ValueError(f"expected a base URL without query, got {base_url!r:.200}: give params= instead")
        self.base_url: str = base_url.rstrip("/")
        self.headers: Mapping[str, str] = MappingProxyType(dict(headers))
        self.params: Mapping[str, str] = MappingProxyType(dict(params))

    def __repr__(self) -> str:
        return f"Service({self.base_url!r}, headers={sorted(self.headers)}, params={dict(self.params)})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what it was made of."""
        return partial(Service, self.base_url, headers=dict(self.headers), params=dict(self.params)), ()

    @classmethod
    def openai(cls, base_url: str = OPENAI_URL) -> Service:
        """Return the service of OpenAI, or one that wants its header `OpenAI-Beta`. The client has the bearer token."""
        return _flavoured("openai", base_url)

    @classmethod
    def azure_openai(cls, endpoint: str, *, api_version: str | None = None) -> Service:
        """Return the service of Azure OpenAI. The client has the header `api-key`, or a bearer token.

        Args:
            endpoint: the endpoint of the resource, such as "https://NAME.openai.azure.com".
            api_version: the version of the API, "2024-05-01-preview" by default.

        """
        return _flavoured("azure_openai", endpoint, api_version)

    @classmethod
    def azure_foundry(cls, endpoint: str, *, api_version: str | None = None) -> Service:
        """Return the service of Azure AI Foundry Agents (classic). The client has the bearer token.

        Args:
            endpoint: the endpoint of the project, such as "https://NAME.services.ai.azure.com/api/projects/PROJECT".
            api_version: the version of the API, "v1" by default.

        """
        if isinstance(endpoint, str) and not _PROJECT.search(endpoint):
            raise ValueError(
                "expected the endpoint of a project, such as "
                f'"https://NAME.services.ai.azure.com/api/projects/PROJECT", got {endpoint!r:.200}'
            )
        return _flavoured("azure_foundry", endpoint, api_version)

    def request(self, parts: Iterable[str], query: Iterable[tuple[str, str]] = ()) -> Get:
        """Return the request for a path below the base URL, whose parts are quoted already."""
        params = [*self.params.items(), *query]
        return Get("/".join([self.base_url, *parts]), params or None, {**_OWN_HEADERS, **self.headers})


class Get(NamedTuple):
    """A request: its URL without a query, in which all is quoted, its query parameters, and its headers.

    A client that has parameters of its own puts them in the place of a query in the URL, but adds them to `params`.
    """

    url: str
    params: list[tuple[str, str]] | None
    headers: dict[str, str]


def _flavoured(name: str, base_url: str, api_version: str | None = None) -> Service:
    path, headers, version = _FLAVOURS[name]
    service = Service(base_url, headers=headers)
    version = version if api_version is None else api_version
    url = service.base_url.removesuffix(path) + path
    return Service(url, headers=headers, params={} if version is None else {"api-version": version})


def make_service(service: Service | str) -> Service:
    """Return the service that the user names, by itself or by its base URL."""
    return service if isinstance(service, Service) else Service(service)


def quote_id(name: str, ident: str) -> str:
    """Return an id as a part of a path. An id never leads to another path.

    Raises:
        TypeError: it is no str.
        ValueError: it is empty, too long, a step up the path, or no text.

    """
    if not isinstance(ident, str):
        raise TypeError(f"expected {name} as a str, got {type(ident).__name__}")
    try:
        quoted = quote(ident, safe="")
    except UnicodeEncodeError:
        quoted = ""
    if not quoted or len(ident) > LONGEST_ID or ident in {".", ".."}:
        raise ValueError(f"expected an id for {name}, got {ident!r:.80}")
    return quoted
