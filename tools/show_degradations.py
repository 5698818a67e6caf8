"""Renders synthetic faces and shows their blind degradations.

    python tools/show_degradations.py --out docs/degradations.jpg

Each row shows one face: HR, bicubic LR and, for each degradation, the degraded image
and its LR. docs/data.md contains the result. The tool needs no data.
"""

import argparse

from _arguments import report_errors


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', required=True, metavar='FILE',
                        help='path of the grid, .jpg or .png')
    parser.add_argument(
        '--steps', nargs='+', default=['dfdnet', 'gfpgan'], metavar='NAME',
        help='names of steps of BlindDegradation (default: dfdnet gfpgan)')
    parser.add_argument('--faces', type=int, default=3, metavar='N',
                        help='number of faces (default: 3)')
    parser.add_argument('--size', type=int, default=192, metavar='PX',
                        help='side of HR (default: 192)')
    parser.add_argument('--scale', type=int, default=8, metavar='N',
                        help='side of HR divided by side of LR (default: 8)')
    parser.add_argument('--seed', type=int, default=0,
                        help='seed of the degradations (default: 0)')
    return parser.parse_args()


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from fdsr.registry import register_all
    register_all()
    from fdsr.reporting.degradations import degradation_sheet
    from fdsr.reporting.grid import save_grid
    sheet = degradation_sheet(arguments.steps, arguments.faces, arguments.size,
                              arguments.scale, arguments.seed)
    print(f'Wrote {save_grid(arguments.out, sheet)}')


if __name__ == '__main__':
    main()
