"""Fetches a calendar from somebody else's server, and from nowhere else: not from this machine or its network.

Each host's address is looked up once, judged, and connected to as such, so that a name that means something else a moment
later does not matter; redirects are followed by the same rule.
"""

import ipaddress
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.parse import urljoin, urlsplit

MAX_BYTES = 1024 * 1024
MAX_REDIRECTS = 3
SECONDS = 10.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchFailed(Exception):
    """Nothing came of it; the message says why, without what the other side said."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet's, whatever it is wrapped into."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour is not None or ip.teredo is not None or ip in _NAT64 or ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def fetch(url: str, *, allowed: Callable[[str], bool] = is_public, seconds: float = SECONDS) -> bytes:
    """What stands at `url`. Raises FetchFailed."""
    # It takes 4 MB, and most practices subscribe to nothing.
    import httpx

    until = monotonic() + seconds
    try:
        # No proxy of the environment: it would look names up by itself.
        with httpx.Client(trust_env=False, follow_redirects=False) as client:
            for _ in range(MAX_REDIRECTS + 1):
                found = _get(client, url, allowed, until)
                if isinstance(found, bytes):
                    return found
                url = found
    except httpx.HTTPError as error:
        raise FetchFailed(f"There is no connection ({type(error).__name__}).") from None
    raise FetchFailed("The address leads on too often.")


def _get(client: Any, url: str, allowed: Callable[[str], bool], until: float) -> bytes | str:
    """What stands there, or where it leads."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        raise FetchFailed("The address leads to something that is no web address.")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _address(host, port, allowed)
    shown = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{shown}:{port}", fragment="").geturl()
    request = client.build_request(
        "GET",
        target,
        headers={"Host": parts.netloc, "Accept": "text/calendar", "Accept-Encoding": "identity"},
        extensions={"sni_hostname": host, "timeout": dict.fromkeys(("connect", "read", "write", "pool"), _left(until))},
    )
    answer = client.send(request, stream=True)
    try:
        if answer.is_redirect:
            return urljoin(url, answer.headers.get("Location", ""))
        if answer.status_code != 200:
            raise FetchFailed(f"The server answers {answer.status_code}.")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchFailed("The server packs what it sends.")
        data = bytearray()
        for chunk in answer.iter_raw():
            data += chunk
            if len(data) > MAX_BYTES:
                raise FetchFailed(f"The calendar is larger than {MAX_BYTES >> 20} MiB.")
            _left(until)
        return bytes(data)
    finally:
        answer.close()


def _address(host: str, port: int, allowed: Callable[[str], bool]) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchFailed("There is no such server.") from None
    addresses = [str(each[4][0]) for each in found]
    if not addresses or not all(map(allowed, addresses)):
        raise FetchFailed("The address is not on the open internet.")
    return addresses[0]


def _left(until: float) -> float:
    left = until - monotonic()
    if left <= 0:
        raise FetchFailed("It takes too long.")
    return left
