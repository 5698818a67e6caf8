r"""Exports a network to ONNX and checks the file with onnxruntime.

    python tools/export_onnx.py small student.onnx
    python tools/export_onnx.py small face.onnx --contract face512
    python tools/export_onnx.py work_dirs/distill_vggface2/iter_300000.pth student.onnx
    python tools/export_onnx.py WEIGHTS student-int8.onnx --int8 --faces FOLDER

The contract sr takes input, float32 (B, 3, h, w) RGB in [0, 1], and for a teacher also
boxes, float32 (B, 4, 4) in SR pixels. It returns output, float32 (B, 3, S, S), not
clamped. The batch size is dynamic, and so are h and w if the network allows it.

The contract face512 is that of the face restorers in ReActor and facefusion: input and
output are float32 (1, 3, 512, 512) RGB in [-1, 1], aligned to FFHQ's template.

The file is kept only if its output differs from the network's by at most 1e-4 of the
range; for face512 also only if a face that is restored as these programs do is the
network's result. Values of more than 1.5 GB go to OUT.data beside it.
"""

import argparse

from _arguments import report_errors


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights',
                        help='self-describing file, or name of bundled weights')
    parser.add_argument('out', metavar='OUT.onnx', help='the file to write')
    parser.add_argument('--name', metavar='BACKBONE',
                        help="one of the file's backbones (default: the trained one)")
    parser.add_argument('--contract', choices=['sr', 'face512'], default='sr',
                        help='interface of the file (default: sr)')
    parser.add_argument('--weight-input', action='store_true',
                        help='for face512: ReActor and facefusion pass their weight, '
                        'which mixes input and result (default: the result)')
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument('--int8', action='store_true',
                           help='quantise the network and report the loss')
    precision.add_argument('--fp16', action='store_true',
                           help='compute in fp16 and report the error; inputs and '
                           'outputs remain fp32')
    parser.add_argument('--faces', metavar='DIR', help='aligned faces for the '
                        'calibration and for the loss (default: synthetic)')
    arguments = parser.parse_args()
    if arguments.faces and not (arguments.int8 or arguments.fp16):
        parser.error('--faces requires --int8 or --fp16')
    if arguments.weight_input and arguments.contract != 'face512':
        parser.error('--weight-input requires --contract face512')
    return arguments


@report_errors
def main() -> None:
    """Exports the network and prints the report."""
    arguments = parse_arguments()
    from fdsr.interchange.export import export_onnx
    exported = export_onnx(
        arguments.weights, arguments.out, arguments.name, arguments.int8,
        arguments.faces, arguments.contract, arguments.fp16, arguments.weight_input)
    print('\n'.join([*exported.report, str(exported.path)]))


if __name__ == '__main__':
    main()
