"""Commands that open the dashboard in the browser."""

# ruff: noqa: PLC0415  (a demo that is ready needs no torch, which takes seconds to import)
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dashboard.options import Code, Folder, NoBrowser, Port
from dashboard.services import address as address_service
from dashboard.services import catalogue, demos, serve
from dashboard.terminal import Steps, say


def demo(
    name: Annotated[
        str, typer.Argument(help="digits, breast-cancer, diabetes, spam, mnist-cnn or spam-transformer.")
    ] = "digits",
    port: Port = None,
    no_browser: NoBrowser = False,
) -> None:
    """Build a demo, the first time, and open it in the browser."""
    address = address_service.Address.choose(address_service.LOOPBACK, port)
    wanted = demos.DemoFolder(name)
    if wanted.problem() is not None:
        with Steps() as steps:
            steps.say(f"Building the demo {name}; the next time it opens at once.")
            from dashboard.services import builds

            builds.build_demo(wanted, steps, steps.say)
    _serve(wanted.path, address, no_browser=no_browser)


def open_workspace(
    folder: Folder,
    project: Code = None,
    port: Port = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = address_service.LOOPBACK,
    no_browser: NoBrowser = False,
) -> None:
    """Open a workspace in the browser."""
    address = address_service.Address.choose(host, port)
    if not address.is_loopback:
        say(f"Warning: everyone who can reach {host} can read this workspace; there is no password.")
    from dashboard.services import inventory

    with Steps() as steps:
        inventory.checked(folder, project, steps)
    _serve(folder, address, project=project or "", no_browser=no_browser)


def _serve(folder: Path, address: address_service.Address, *, project: str = "", no_browser: bool) -> None:
    url = address.url(catalogue.register(folder))

    def ready() -> None:
        say(f"The dashboard is at {url} (Ctrl-C stops it)")
        if not no_browser:
            serve.open_browser(url)

    serve.serve(folder, address, project=project, ready=ready)
