"""Downloads external weights and checks their SHA-256."""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    # the table of sources is cheap to import, so that --help is fast
    from fdsr.weights.sources import SOURCES
    lines = [
        f'  {source.name:<18} {source.origin}; {source.licence}; get: {source.get}'
        for source in SOURCES.values()]
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='Known weights:\n' + '\n'.join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [source.name for source in SOURCES.values() if source.url]
    parser.add_argument('name', choices=names, nargs='+', metavar='NAME',
                        help=f'one or more of {", ".join(names)}')
    parser.add_argument('--dir', help='folder for the files (default: $FDSR_WEIGHTS, '
                                      'or torch.hub\'s cache)')
    return parser.parse_args()


def main() -> None:
    """Downloads each file and prints its path, hash and licence."""
    args = parse_args()
    from fdsr.weights.fetch import fetch
    from fdsr.weights.sources import SOURCES
    for name in args.name:
        try:
            path = fetch(name, args.dir)
        except (OSError, RuntimeError, ValueError) as error:
            sys.exit(str(error))
        source = SOURCES[name]
        print(f'{path}\n  SHA-256 {source.sha256}\n  licence {source.licence}')


if __name__ == '__main__':
    main()
