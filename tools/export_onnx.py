r"""Exports a network to ONNX and checks the file with onnxruntime.

    python tools/export_onnx.py compact student.onnx
    python tools/export_onnx.py work_dirs/distill_vggface2/iter_300000.pth student.onnx
    python tools/export_onnx.py WEIGHTS student-int8.onnx --int8 --faces FOLDER

Inputs: lr, float32 (B, 3, h, h) RGB in [0, 1]; for a teacher also boxes, float32
(B, 4, 4) in SR pixels. Output: sr, float32 (B, 3, S, S), not clamped. The batch size is
dynamic. The file is kept only if its output differs from the network's by at most 1e-4.
Values of more than 1.5 GB go to OUT.data beside it.
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
    parser.add_argument('--int8', action='store_true',
                        help='quantise the network and report the loss')
    parser.add_argument('--faces', metavar='DIR',
                        help='aligned faces for the calibration (default: synthetic)')
    arguments = parser.parse_args()
    if arguments.faces and not arguments.int8:
        parser.error('--faces requires --int8')
    return arguments


@report_errors
def main() -> None:
    """Exports the network and prints the report."""
    arguments = parse_arguments()
    from fdsr.interchange.export import export_onnx
    exported = export_onnx(arguments.weights, arguments.out, arguments.name,
                           arguments.int8, arguments.faces)
    print('\n'.join([*exported.report, str(exported.path)]))


if __name__ == '__main__':
    main()
