r"""Measures several methods on one dataset and writes one table.

    python tools/benchmark.py configs/benchmark/table1.py --data-root data/vggface2 \
        --out work_dirs/table1

Writes table.md, table.tex, table.csv and images.csv (the values of each image) to OUT.
A config with degradations, as configs/benchmark/robust.py, gives one table of all.
Stored results are reused unless the checkpoint, the data or the metrics changed. A
method without its checkpoint becomes a row with this remark.
"""

import argparse
import sys
from typing import Any

from _arguments import add_config_arguments, common_options, report_errors


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config with methods, dataset and metrics')
    add_config_arguments(parser)
    parser.add_argument(
        '--out', metavar='DIR',
        help='folder for the tables (default: the work directory)')
    parser.add_argument(
        '--checkpoint', action='append', default=[], metavar='NAME=PATH',
        help="checkpoint of a row, replaces the config's; may be repeated")
    return parser.parse_args()


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from fdsr.engine.config import load_config
    from fdsr.registry import register_all
    options = common_options(arguments)
    options['work_dir'] = options['work_dir'] or arguments.out
    config = load_config(arguments.config, **options)
    register_all()
    from fdsr import benchmark
    benchmark.set_checkpoints(config, arguments.checkpoint)
    out = arguments.out or config.work_dir
    run, tables_of = (
        (benchmark.run_degradations, benchmark.degradation_tables_of)
        if config.get('degradations') else
        (benchmark.run_benchmark, benchmark.tables_of))

    def write(results: Any) -> dict:
        return benchmark.write_tables(*tables_of(config, results), out)

    results = run(config, out, after_each=write)
    written = write(results)
    print('\n' + written['markdown'].read_text(encoding='utf-8'))
    print('\n'.join(map(str, written.values())))
    rows = sum(results.values(), []) if isinstance(results, dict) else results
    if any(row.failed for row in rows):
        sys.exit(1)


if __name__ == '__main__':
    main()
