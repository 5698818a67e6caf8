r"""Publishes a network of a training checkpoint as a file with a model card.

    python tools/publish_model.py work_dirs/distill_vggface2/iter_300000.pth \
        --name student-vggface2-x8 --out published --licence CC-BY-4.0 \
        --about ABOUT.md --metrics work_dirs/distill_vggface2/metrics.json

Writes one network (its moving average if there is one) without optimizers, teacher and
discriminator to OUT/NAME-HASH.safetensors, in fp16, and a model card to
OUT/NAME-HASH.md. The values of external files (VGG, dictionary) are included.
FaceSuperResolver, load_backbone and tools/test.py open the file without any other.

--hub-folder DIR writes model.safetensors, config.json and README.md instead, the files
of a Hugging Face repository; FaceSuperResolver.from_pretrained(DIR) opens them. Nothing
is uploaded.
"""

import argparse

from _arguments import report_errors


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='self-describing checkpoint')
    parser.add_argument('--name', required=True, help='name of the model')
    folder = parser.add_mutually_exclusive_group(required=True)
    folder.add_argument('--out', metavar='DIR', help='folder of the file and its card')
    folder.add_argument('--hub-folder', metavar='DIR',
                        help='folder of the files of a Hugging Face repository')
    parser.add_argument('--licence',
                        help="licence of the weights (default: the source's)")
    parser.add_argument('--author', help='author of the model, for its metadata')
    parser.add_argument('--about', metavar='FILE.md',
                        help='data, training and limits, for the card')
    parser.add_argument('--metrics', nargs='*', default=[], metavar='FILE.json',
                        help='results of tools/test.py, for the card')
    parser.add_argument('--backbone', metavar='NAME',
                        help="one of the checkpoint's (default: the trained one)")
    parser.add_argument('--open-model-db', metavar='URL',
                        help='also write an entry of OpenModelDB for the file, which '
                        'will be available at URL')
    parser.add_argument('--fp32', action='store_true', help='do not round to fp16')
    parser.add_argument('--authors-keys', action='store_true',
                        help="also write RCAN or SRFBN under the names of its authors' "
                             'files, to OUT/NAME-HASH-authors.pth')
    return parser.parse_args()


@report_errors
def main() -> None:
    """Publishes the network and prints a summary."""
    options = parse_arguments()
    from fdsr.interchange.publishing import (
        check_authors_keys,
        publish,
        read_about,
        write_authors_keys,
    )
    if options.authors_keys:
        check_authors_keys(options.checkpoint, options.backbone)
    about = '' if options.about is None else read_about(options.about)
    published = publish(
        options.checkpoint, options.out or options.hub_folder, options.name,
        options.backbone, not options.fp32, options.licence, about, options.metrics,
        options.author, options.out is None, options.open_model_db)
    facts = published.facts
    print(f'{published.path}: {facts.bytes / 1e6:.2f} MB, SHA-256 {facts.sha256}\n'
          f'maximum difference from the fp32 weights: {facts.rounding:.2f}/255 on '
          f'random input\ncard: {published.card}')
    if published.entry is not None:
        print(f'entry of OpenModelDB, for data/models: {published.entry}')
    if options.authors_keys:
        print(f"authors' names: {write_authors_keys(published.path)}")


if __name__ == '__main__':
    main()
