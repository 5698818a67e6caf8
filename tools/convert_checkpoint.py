r"""Converts a checkpoint of another project to a self-describing file.

    python tools/convert_checkpoint.py rcan RCAN_BIX8.pt rcan_x8.safetensors
    python tools/convert_checkpoint.py srfbn SRFBN_x8_BI.pth srfbn_x8.safetensors
    python tools/convert_checkpoint.py progressive generator_checkpoint.ckpt \
        fsr_x8.safetensors
    python tools/convert_checkpoint.py dfdnet --net latest_net_G.pth \
        --dictionary DictionaryCenter512 dfdnet.safetensors

Scale and sizes are read from the shapes. The network takes and returns RGB in [0, 1]
and opens with fdsr.apis.load_backbone; all but DFDNet also with tools/test.py. DFDNet
is called as net(x, boxes) with the degraded face resized to 512 px. OUT is written as
safetensors, or by torch.save if its suffix is .pth. Sources are loaded with
weights_only=True.
"""

import argparse

from _arguments import report_errors


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(
        dest='kind', required=True, metavar='KIND',
        help='rcan, srfbn, progressive or dfdnet')
    for kind, method in dict(rcan='RCAN', srfbn='SRFBN',
                             progressive='progressive face SR').items():
        one_file = kinds.add_parser(kind, help=f"the {method} authors' file")
        one_file.add_argument('source', metavar='SOURCE', help="the authors' file")
        one_file.set_defaults(dictionary=None)
    dfdnet = kinds.add_parser(
        'dfdnet', help="the DFDNet authors' network and dictionary (non-commercial)")
    dfdnet.add_argument('--net', dest='source', metavar='FILE', required=True,
                        help="the authors' network, latest_net_G.pth")
    dfdnet.add_argument(
        '--dictionary', metavar='DIR', required=True,
        help='the folder with {left_eye,right_eye,nose,mouth}_{256,128,64,32}'
        '_center.npy')
    for kind in kinds.choices.values():
        kind.add_argument('out', metavar='OUT', help='the file to write')
    return parser.parse_args()


@report_errors
def main() -> None:
    """Converts the file and prints a summary."""
    arguments = parse_arguments()
    from fdsr.interchange.conversion import convert
    print(convert(arguments.kind, arguments.source, arguments.out,
                  arguments.dictionary))


if __name__ == '__main__':
    main()
