r"""Draws the qualitative figure of a benchmark: LR, each method, HR.

    python tools/make_figure.py configs/benchmark/table1.py --data-root data/vggface2 \
        --results work_dirs/table1 --out work_dirs/table1/figure1 --zoom

Writes OUT.png and OUT.pdf. Without --names, the faces are chosen from the results of
tools/benchmark.py in RESULTS by the difference between the methods of --pair: the
first method's best and worst faces and the median.
"""

import argparse
from pathlib import Path

from _arguments import add_config_arguments, common_options, report_errors


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a benchmark')
    add_config_arguments(parser)
    parser.add_argument('--out', metavar='FILE',
                        help='path of the figure (default: figure1 in RESULTS)')
    parser.add_argument(
        '--results', metavar='DIR',
        help='folder with the output of tools/benchmark.py (default: the work '
        'directory)')
    parser.add_argument(
        '--checkpoint', action='append', default=[], metavar='NAME=PATH',
        help="checkpoint of a row, replaces the config's; may be repeated")
    parser.add_argument('--methods', nargs='+', metavar='NAME',
                        help="columns in order (default: the config's)")
    parser.add_argument('--names', nargs='+', metavar='NAME',
                        help='faces to show, for example n000001/0001_01')
    parser.add_argument('--pair', nargs=2, default=['Student', 'Teacher'],
                        metavar=('FIRST', 'SECOND'),
                        help='methods whose difference selects the faces '
                        '(default: Student Teacher)')
    parser.add_argument('--column', default='LPIPS',
                        help='metric that selects the faces (default: LPIPS)')
    parser.add_argument('--count', type=int, default=3,
                        help='number of faces to choose (default: 3)')
    parser.add_argument('--degradations', nargs='+', metavar='NAME',
                        help="rows of each face: names in the config's degradations")
    parser.add_argument('--zoom', action='store_true',
                        help='show eyes and mouth enlarged')
    parser.add_argument('--device', default='cpu',
                        help='device of the networks (default: cpu)')
    return parser.parse_args()


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from fdsr.engine.config import load_config
    from fdsr.registry import register_all
    options = common_options(arguments)
    options['work_dir'] = options['work_dir'] or arguments.results
    config = load_config(arguments.config, **options)
    register_all()
    from fdsr.benchmark import set_checkpoints
    from fdsr.benchmark.gallery import Gallery, choose_faces, read_values
    from fdsr.benchmark.running import stored_info
    from fdsr.reporting.face_figure import draw_figure, save_figure
    results = Path(arguments.results or config.work_dir)
    set_checkpoints(config, arguments.checkpoint)
    names = arguments.names or choose_faces(
        read_values(results / 'images.csv'), tuple(arguments.pair), arguments.column,
        arguments.count, stored_info(results, arguments.column))
    gallery = Gallery(config, arguments.methods, arguments.device)
    faces = (gallery.degraded_faces(names, arguments.degradations, arguments.zoom)
             if arguments.degradations else gallery.faces(names, arguments.zoom))
    print('faces: ' + ', '.join(names))
    for path in save_figure(draw_figure(faces, gallery.labels),
                            arguments.out or results / 'figure1'):
        print(path)


if __name__ == '__main__':
    main()
