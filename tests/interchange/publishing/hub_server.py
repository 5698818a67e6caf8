"""A local server with the parts of the Hugging Face hub that downloads use."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OWNER, COMMIT = 'owner', 'c' * 40


@contextlib.contextmanager
def serve(repositories: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serves folders as repositories ``owner/NAME`` with the branch ``main``.

    Yields:
        The address of the server, and the list of requested paths.
    """
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answers with a description of a repository, or a file."""
            requested.append(self.path)
            steps = self.path.partition('?')[0].strip('/').split('/')
            api = steps[:2] == ['api', 'models']
            steps = (steps[2:] if api else steps) + ['', 'main']
            _, name, kind, revision, *file = steps
            folder = repositories.get(name)
            if folder is None:
                self.answer(404, error='RepoNotFound')
            elif revision not in ('main', COMMIT):
                self.answer(404, error='RevisionNotFound')
            elif api:
                files = sorted(folder.iterdir())
                self.answer(200, json.dumps([
                    dict(type='file', path=path.name, size=path.stat().st_size, oid='0')
                    for path in files] if kind == 'tree' else dict(
                        id=f'{OWNER}/{name}', sha=COMMIT, tags=[], private=False,
                        siblings=[dict(rfilename=path.name) for path in files])
                ).encode())
            else:
                self.answer(200, (folder / file[0]).read_bytes())

        do_HEAD = do_GET

        def answer(self, status: int, data: bytes = b'', error: str = '') -> None:
            self.send_response(status)
            self.send_header('Content-Length', str(len(data)))
            self.send_header('ETag', f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header('X-Repo-Commit', COMMIT)
            if error:
                self.send_header('X-Error-Code', error)
                self.send_header('X-Error-Message', error)
            self.end_headers()
            if self.command != 'HEAD':
                self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}', requested
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
