"""A web page that restores face crops and photographs.

    python demo/app.py --weights work_dirs/distill_vggface2/iter_300000.pth

By default the server listens on this machine only. The page loads nothing from other
hosts. Uploads and results are kept in a private folder for at most an hour, and the
folder is deleted when the server ends.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Iterator, List, NoReturn, Optional, Set

from fdsr.utils.files import temporary_path

#: Seconds for which uploads and results are kept, and between two clean-ups.
KEPT, LOOK = 3600, 300


def parse_arguments(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--weights', nargs='+', metavar='W', default=[],
                        help='self-describing files or names of bundled weights, which '
                        'visitors can choose from (default: all bundled weights)')
    parser.add_argument('--device', default='auto', metavar='D',
                        help='cpu, cuda, … (default: the GPU if available)')
    parser.add_argument('--host', default='127.0.0.1',
                        help='address to listen on (default: 127.0.0.1, which is '
                        'reachable from this machine only)')
    parser.add_argument('--port', type=int, default=7860,
                        help='port to listen on; 0 selects a free one (default: 7860)')
    parser.add_argument('--root-path', type=root_path, default='', metavar='/PATH',
                        help='path of the page behind a reverse proxy, if not the root')
    return parser.parse_args(arguments)


def root_path(text: str) -> str:
    """Returns a path with a slash in front and none behind, or a URL without the last.

    ``faces``, ``/faces`` and ``/faces/`` are the same path.

    Raises:
        ArgumentTypeError: it cannot be the path of a page.
    """
    if not re.fullmatch(r"[\w/.~%:@!$&'()*+,;=-]*", text, re.ASCII):
        raise argparse.ArgumentTypeError(
            f'expected the path of a page, such as /faces, found {text!r}')
    text = text.rstrip('/')
    if not text or text.startswith(('http://', 'https://')):
        return text
    return f'/{text.lstrip("/")}'


def main(arguments: Optional[List[str]] = None) -> None:
    """Serves the page until a signal stops it."""
    options = parse_arguments(arguments)
    if find_spec('gradio') is None:
        sys.exit('The page needs the package gradio: pip install "fdsr[demo]"')
    listener = listen(options.host, options.port)
    try:
        with private_folder() as folder:
            run(options, folder, listener)
    except KeyboardInterrupt:
        sys.exit(130)


def listen(host: str, port: int) -> socket.socket:
    """Opens the listening socket.

    This happens first, so that a port in use is reported before anything slow.

    Raises:
        SystemExit: the port is in use, or the address does not belong to this machine.
    """
    try:
        family = socket.getaddrinfo(host, port)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        sys.exit(f'Cannot listen on {host}, port {port}: {str(error).rstrip(".")}. '
                 'Choose another address with --host and --port.')


def run(options: argparse.Namespace, folder: Path, listener: socket.socket) -> None:
    """Builds the page and serves it.

    Args:
        options: the command-line options.
        folder: folder for all files that the server writes.
        listener: the listening socket.
    """
    from fdsr.weights.shipped import SHIPPED
    weights = options.weights or list(SHIPPED)
    if not weights:
        sys.exit('This version has no bundled weights. Pass a file: '
                 'python demo/app.py --weights FILE')
    from page.restoring import Models
    try:
        models = Models(weights, options.device)
    except FileNotFoundError as error:
        sys.exit(str(error))
    from page.examples import make_examples
    from page.layout import build_page
    from page.serving import application, serve
    page = build_page(models, make_examples(folder / 'examples'), folder / 'gradio')
    app = application(page, options.root_path)
    threading.Thread(target=sweep, args=(folder, set(folder.rglob('*'))),
                     daemon=True).start()
    host, port = listener.getsockname()[:2]
    address = f'[{host}]' if ':' in host else host
    print(f'The page is at http://{address}:{port} (press Ctrl+C to stop).', flush=True)
    serve(app, listener)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yields a folder that no other user can read, and deletes it at the end.

    Folders of servers that were killed are deleted first.
    """
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with temporary_path(tempfile.gettempdir(), 'fdsr-page', folder=True,
                        mode=0o700) as folder:
        for name in ('examples', 'gradio'):
            (folder / name).mkdir()
        os.environ.update(GRADIO_ANALYTICS_ENABLED='False',
                          GRADIO_TEMP_DIR=str(folder / 'gradio'),
                          GRADIO_EXAMPLES_CACHE=str(folder / 'gradio'))
        # uploads are written to tempfile's default folder
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            for _ in range(9):  # a result may be written during the first attempts
                shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, _: Any) -> NoReturn:
    sys.exit(128 + number)


def sweep(folder: Path, kept: Set[Path]) -> NoReturn:
    """Removes files older than ``KEPT`` in an endless loop.

    Gradio's ``delete_cache`` misses interrupted uploads and results whose visitor has
    left.

    Args:
        folder: folder to clean up.
        kept: paths that are never removed: the examples.
    """
    while True:
        with suppress(OSError):  # a file disappeared during the scan
            remove_old(folder, kept, time.time() - KEPT)
        time.sleep(LOOK)


def remove_old(folder: Path, kept: Set[Path], since: float) -> None:
    """Removes files last modified before a time, and folders that become empty."""
    for path in sorted(folder.rglob('*'), reverse=True):  # files before their folder
        try:
            if path in kept or path.lstat().st_mtime >= since:
                continue
            path.rmdir() if path.is_dir() else path.unlink()
        except OSError:
            continue  # not empty, or already removed


if __name__ == '__main__':
    main()
