r"""Tells what a dictionary is worth: which atoms are used, and what they cover.

    python tools/inspect_dictionary.py work_dirs/dictionary_vggface2.pth \
        configs/teacher_vggface2.py --data-root data/vggface2 --max-faces 500

Matches training faces of CONFIG against the atoms, as the teacher does, and prints a
Markdown table: for each component and level the atoms that no face was matched to, how
many atoms as good as equally used there are, and the coverage error, with all K atoms
and with the K/2, K/4, ... that are used most. --crops shows the crops that atoms fit
best: they are of the people in the data.
"""

import argparse
from typing import Any, Tuple

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
    parser.add_argument('dictionary', help='file that tools/build_dictionary.py wrote')
    parser.add_argument('config', help='config that trains its DictionaryTeacher')
    parser.add_argument('--max-faces', type=whole_number(1), default=500, metavar='N',
                        help='match N faces, drawn by the seed (default: 500)')
    parser.add_argument('--seed', type=whole_number(0), default=1,
                        help='of the draw (default: 1; the builder\'s default is 0)')
    parser.add_argument('--histogram', action='store_true',
                        help='print how many atoms were matched how often, too')
    parser.add_argument('--json', metavar='FILE',
                        help='write everything, with the usage of each atom')
    parser.add_argument('--csv', metavar='FILE',
                        help='write the coverage error against the number of atoms')
    parser.add_argument('--crops', metavar='PNG',
                        help='write the crops nearest to some atoms, a column an atom')
    parser.add_argument('--atoms', nargs='+', type=atom, metavar='PART:LEVEL:ATOM',
                        help='whose, e.g. mouth:0:17 (default: the most used atom of '
                        'each component on the finest level)')
    parser.add_argument('--num-crops', type=whole_number(1), default=6, metavar='N',
                        help='crops of each atom (default: 6)')
    parser.add_argument('--batch-size', type=whole_number(1), default=4, metavar='B',
                        help='faces encoded at once (default: 4)')
    parser.add_argument('--device', default='cpu',
                        help='that computes, e.g. cuda (default: cpu)')
    parser.add_argument('--num-workers', type=whole_number(0), default=0, metavar='W',
                        help='processes that read images (default: 0, this one)')
    add_config_arguments(parser)
    return parser.parse_args()


def atom(text: str) -> Tuple[str, int, int]:
    """PART:LEVEL:ATOM in its parts."""
    component, level, number = text.split(':')
    return component, int(level), int(number)


def inspect(args: argparse.Namespace) -> None:
    """Matches the faces and writes what was asked for."""
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
    """Writes an image of crops."""
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
