"""Host and port of the dashboard."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode

from influence_core.errors import InfluenceError

LOOPBACK = "127.0.0.1"
FIRST_PORT = 8501
ALLOWED = "INFLUENCE_UPLOADS"  # set to "allow", uploads are taken also where others can reach the dashboard


class AddressError(InfluenceError):
    """The dashboard cannot be served at that address."""


@dataclass(frozen=True)
class Address:
    """Where the dashboard listens."""

    host: str
    port: int

    @classmethod
    def choose(cls, host: str, port: int | None) -> Address:
        """The port that was asked for, else 8501, else any free one.

        Raises:
            AddressError: If the port that was asked for is busy, or the host is no address of this machine.
        """
        try:
            return cls(host, _free_port(host, FIRST_PORT if port is None else port))
        except OSError as error:
            if port is None and error.errno == errno.EADDRINUSE:
                return cls(host, _free_port(host, 0))
            raise AddressError(_refusal(error, host, port)) from error

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"

    @property
    def reachable_host(self) -> str:
        """What a browser on this machine has to ask for."""
        return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)  # noqa: S104  (a name, not a bind)

    def url(self, workspace: str) -> str:
        """The link to a workspace of the catalogue."""
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"http://{host}:{self.port}/?{urlencode({'workspace': workspace})}"


def _free_port(host: str, port: int) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        if os.name == "posix":  # a port that was closed a moment ago is free; on Windows the option means another thing
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        return int(probe.getsockname()[1])


def _refusal(error: OSError, host: str, port: int | None) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use; choose another --port, or leave it out and a free one is found."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} may not be used by you; choose a --port above 1023."
    return f"'{host}' is not an address of this machine ({error.strerror or error}); choose another --host."
