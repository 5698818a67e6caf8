r"""Makes a file that describes itself out of an authors' checkpoint.

    python tools/convert_checkpoint.py rcan RCAN_BIX8.pt rcan_x8.pth
    python tools/convert_checkpoint.py srfbn SRFBN_x8_BI.pth srfbn_x8.pth

Scale and sizes are read from the shapes. The result takes and returns RGB in [0, 1] and
opens with fdsr.apis.load_backbone and tools/test.py. Sources are loaded with
weights_only=True.
"""

import argparse

from _arguments import report_errors


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=['rcan', 'srfbn'], help='whose checkpoint')
    parser.add_argument('source', metavar='SOURCE', help="the authors' file")
    parser.add_argument('out', metavar='OUT', help='the file to write')
    return parser.parse_args()


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from fdsr.conversion import convert
    print(convert(arguments.kind, arguments.source, arguments.out))


if __name__ == '__main__':
    main()
