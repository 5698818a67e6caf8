r"""Makes a file that can be handed on out of a training run's checkpoint.

    python tools/publish_model.py work_dirs/distill_vggface2/iter_300000.pth \
        --name student-vggface2-x8 --out published --licence CC-BY-4.0 \
        --about ABOUT.md --metrics work_dirs/distill_vggface2/metrics.json

Takes one network, its moving average if there is one, without optimiser, teacher and
discriminator, puts in what stands in files of its own (VGG, dictionary), rounds it to
fp16 and writes OUT/NAME-HASH.pth, which FaceSuperResolver, load_backbone and
tools/test.py open without anything else, and a model card OUT/NAME-HASH.md.
"""

import argparse

from _arguments import report_errors


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of tools/train.py, or converted')
    parser.add_argument('--name', required=True, help='of the model')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='folder of the file and its card')
    parser.add_argument('--licence', help="of the weights (default: the source's own)")
    parser.add_argument('--about', metavar='FILE.md',
                        help='data, training and limits, for the card')
    parser.add_argument('--metrics', nargs='*', default=[], metavar='FILE.json',
                        help='results of tools/test.py, for the card')
    parser.add_argument('--backbone', metavar='NAME',
                        help="which of the checkpoint's (default: the trained one)")
    parser.add_argument('--fp32', action='store_true', help='do not round to fp16')
    return parser.parse_args()


@report_errors
def main() -> None:
    """Publishes and tells what was written."""
    options = parse_arguments()
    from fdsr.interchange.publishing import publish, read_about
    about = '' if options.about is None else read_about(options.about)
    published = publish(
        options.checkpoint, options.out, options.name, options.backbone,
        not options.fp32, options.licence, about, options.metrics)
    facts = published.facts
    print(f'{published.path}: {facts.size_mb:.2f} MB, SHA-256 {facts.sha256}\n'
          f'off its source by at most {facts.rounding:.2f}/255 on random input\n'
          f'card: {published.card}')


if __name__ == '__main__':
    main()
