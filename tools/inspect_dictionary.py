r"""Reports the usage of a dictionary's atoms and the coverage of features.

    python tools/inspect_dictionary.py work_dirs/dictionary_vggface2.safetensors \
        configs/teacher_vggface2.py --data-root data/vggface2 --max-faces 500

Matches training faces of CONFIG against the atoms as the teacher does. Prints a
Markdown table with the unmatched atoms, the effective number of atoms and the coverage
error for each component and level, with all K atoms and with the K/2, K/4, ... most
used ones. --crops writes the nearest crops of atoms, which show the people in the data.
"""

import argparse
from typing import Any

from _arguments import (
    add_config_arguments,
    common_options,
    report_errors,
    whole_number,
)


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dictionary', help='output of tools/build_dictionary.py')
    parser.add_argument('config', help='config that trains the DictionaryTeacher')
    parser.add_argument('--max-faces', type=whole_number(1), default=500, metavar='N',
                        help='match N random faces (default: 500)')
    parser.add_argument('--seed', type=whole_number(0), default=1,
                        help="seed of the sample (default: 1; the builder's is 0)")
    parser.add_argument('--histogram', action='store_true',
                        help='also print a histogram of the usage')
    parser.add_argument('--json', metavar='FILE',
                        help='write all values, with the usage of each atom')
    parser.add_argument('--csv', metavar='FILE',
                        help='write the coverage error by number of atoms')
    parser.add_argument('--crops', metavar='PNG',
                        help='write the nearest crops, one column per atom')
    parser.add_argument('--atoms', nargs='+', type=atom,
                        metavar='COMPONENT:LEVEL:ATOM',
                        help='atoms for --crops, e.g. mouth:0:17 (default: the most '
                        'used atom of each component at the finest level)')
    parser.add_argument('--num-crops', type=whole_number(1), default=6, metavar='N',
                        help='crops per atom (default: 6)')
    parser.add_argument('--batch-size', type=whole_number(1), default=4, metavar='B',
                        help='faces per batch (default: 4)')
    parser.add_argument('--device', default='cpu',
                        help='device, e.g. cuda (default: cpu)')
    parser.add_argument('--num-workers', type=whole_number(0), default=0, metavar='W',
                        help='processes that read images (default: 0, no worker)')
    add_config_arguments(parser)
    return parser.parse_args()


def atom(text: str) -> tuple[str, int, int]:
    """Parses COMPONENT:LEVEL:ATOM."""
    component, level, number = text.split(':')
    return component, int(level), int(number)


def inspect(args: argparse.Namespace) -> None:
    """Matches the faces and writes the reports."""
    from fdsr.engine.config import load_config
    from fdsr.preparation.dictionary import inspection_report as report
    from fdsr.registry import register_all

    config = load_config(args.config, **common_options(args))
    register_all()
    found = report.inspect_from_config(
        config, args.dictionary, args.max_faces, args.batch_size, args.seed,
        args.device, args.num_workers)
    reports = found.reports()
    print(f'{args.dictionary}, {reports[0].num_faces} faces of {args.config}, '
          f'{found.faces.skipped} bad ones skipped; seed {args.seed}\n')
    print(report.markdown(reports, args.histogram) + f'\n\n{report.PROTOCOL}')
    if args.json:
        report.write_json(args.json, found)
    if args.csv:
        report.write_csv(args.csv, reports)
    if args.crops:
        render_crops(args, found)


def render_crops(args: argparse.Namespace, found: Any) -> None:
    """Writes an image of the nearest crops."""
    from fdsr.reporting.grid import make_grid, save_grid
    atoms = args.atoms or found.most_used()
    columns = found.crops(atoms, args.num_crops)
    labels = [f'{name} {level} #{number}' for name, level, number in atoms]
    save_grid(args.crops, make_grid(list(zip(*columns)), labels))
    print(f'\n{args.crops}: nearest crops of {", ".join(labels)}')


@report_errors
def main() -> None:
    """Runs the tool."""
    inspect(parse_args())


if __name__ == '__main__':
    main()
