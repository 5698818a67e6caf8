"""The web server. It serves Gradio's page without content from other hosts."""

import logging
import re
import socket
from typing import Any

import gradio as gr
import jinja2
import uvicorn
from fastapi import FastAPI
from gradio import routes

from page.restoring import MOST_BYTES

#: Forbids browsers to load anything from other hosts. Gradio's page needs inline
#: scripts and `eval`.
_POLICY = ("default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
           "base-uri 'self'; form-action 'self'; object-src 'none'")
_HEADERS = {'Content-Security-Policy': _POLICY, 'Referrer-Policy': 'no-referrer',
            'X-Content-Type-Options': 'nosniff'}
_FOREIGN_TAG = re.compile(
    r'<link\b[^>]*"https?://[^>]*>|<script\b[^>]*"https?://[^>]*>\s*</script>')
#: Maximum time to wait for the connections of open pages at shutdown.
_SECONDS_TO_END = 2


class WithHeaders:
    """An ASGI application that adds the security headers to every response."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Handles a request."""
        async def send_with_headers(message: dict) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [*message.get('headers', []), *(
                    (name.lower().encode(), value.encode())
                    for name, value in _HEADERS.items())]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def application(page: gr.Blocks, root_path: str = '') -> FastAPI:
    """Returns the web application of a page.

    Args:
        page: the page.
        root_path: path of the page behind a reverse proxy, such as ``/faces``.
    """
    _remove_foreign_tags()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(WithHeaders)
    # Gradio checks that the files named in a request are its own, but only if a page
    # `has_launched`, which mounting does not set.
    page.has_launched = page.is_running = True
    return gr.mount_gradio_app(
        app, page, '/', show_api=False, show_error=False, ssr_mode=False,
        max_file_size=MOST_BYTES, root_path=root_path or None)


def _remove_foreign_tags() -> None:
    """Removes fonts and scripts of other hosts from Gradio's page."""
    source = routes.templates.env.loader

    def read(name: str) -> str:
        return _FOREIGN_TAG.sub(
            '', source.get_source(routes.templates.env, name)[0])

    if not isinstance(source, jinja2.FunctionLoader):
        routes.templates.env.loader = jinja2.FunctionLoader(read)


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM, then closes and raises the signal again."""
    server = uvicorn.Server(uvicorn.Config(
        app, log_level='warning', access_log=False,
        timeout_graceful_shutdown=_SECONDS_TO_END))
    # at shutdown, uvicorn would report every open page as an error
    logging.getLogger('uvicorn.error').addFilter(lambda _: not server.should_exit)
    server.run(sockets=[listener])
