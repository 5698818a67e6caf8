"""A page in the browser that restores faces, cut out or in whole photographs.

    python demo/app.py --weights work_dirs/distill_vggface2/iter_300000.pth

It listens on this machine only, loads nothing from elsewhere, and keeps nothing: what
is uploaded and made lies in a folder of its own, for an hour at most, and goes with
the server.
"""

import argparse
import os
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

#: How long pictures and results stay, and how often is looked; seconds.
KEPT, LOOK = 3600, 300


def parse_arguments(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--weights', nargs='+', metavar='W', default=[],
                        help='files that describe themselves, or names of weights that '
                        'come along; visitors choose from them (default: all that come '
                        'along)')
    parser.add_argument('--device', default='auto', metavar='D',
                        help='cpu, cuda, … (default: a GPU if there is one)')
    parser.add_argument('--host', default='127.0.0.1',
                        help='address to listen on (default: 127.0.0.1, this machine '
                        'only)')
    parser.add_argument('--port', type=int, default=7860,
                        help='port to listen on; 0 takes a free one (default: 7860)')
    parser.add_argument('--root-path', default='', metavar='/PATH',
                        help='where a reverse proxy shows the page, if not at its root')
    return parser.parse_args(arguments)


def main(arguments: Optional[List[str]] = None) -> None:
    """Serves the page until it is stopped."""
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
    """Takes the port, before anything slow.

    Raises:
        SystemExit: it is taken, or no address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        sys.exit(f'Cannot listen on {host}, port {port}: {str(error).rstrip(".")}. '
                 'Choose another with --host and --port.')


def run(options: argparse.Namespace, folder: Path, listener: socket.socket) -> None:
    """Builds the page and serves it.

    Args:
        options: of the command line.
        folder: for everything that is written.
        listener: to serve on.
    """
    from fdsr.weights.shipped import SHIPPED
    weights = options.weights or list(SHIPPED)
    if not weights:
        sys.exit('No weights come along with this version, so name some: '
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
    print(f'The page is at http://{address}:{port} until you press Ctrl+C.', flush=True)
    serve(app, listener)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that nobody else can read, for all that is written; gone at the end."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix='fdsr-page-'))
    try:
        for name in ('examples', 'gradio'):
            (folder / name).mkdir()
        os.environ.update(GRADIO_ANALYTICS_ENABLED='False',
                          GRADIO_TEMP_DIR=str(folder / 'gradio'),
                          GRADIO_EXAMPLES_CACHE=str(folder / 'gradio'))
        # uploads arrive in what tempfile takes for the machine's folder
        tempfile.tempdir = str(folder)
        yield folder
    finally:
        for _ in range(9):  # again, where a result was written in between
            shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, _: Any) -> NoReturn:
    sys.exit(128 + number)


def sweep(folder: Path, kept: Set[Path]) -> NoReturn:
    """Removes what is older than ``KEPT``, for ever.

    Gradio's ``delete_cache`` knows nothing of uploads that broke off and of results
    whose visitor has left.

    Args:
        folder: to look through.
        kept: stays: the examples.
    """
    while True:
        with suppress(OSError):  # something went while it was looked at
            remove_old(folder, kept, time.time() - KEPT)
        time.sleep(LOOK)


def remove_old(folder: Path, kept: Set[Path], since: float) -> None:
    """Removes files last written before a time, and folders that are left empty."""
    for path in sorted(folder.rglob('*'), reverse=True):  # files before their folder
        try:
            if path in kept or path.lstat().st_mtime >= since:
                continue
            path.rmdir() if path.is_dir() else path.unlink()
        except OSError:
            continue  # not empty, or gone already


if __name__ == '__main__':
    main()
