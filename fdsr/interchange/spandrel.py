"""Loads fdsr's networks in spandrel and in programs that use it.

    import spandrel
    from fdsr.interchange.spandrel import install

    install()
    model = spandrel.ModelLoader().load_from_file('student-1a2b3c4d.safetensors')
    sr = model(lr)      # (1, 3, h, w) RGB in [0, 1] to (1, 3, h · scale, w · scale)

spandrel passes only the values of a file, without its description:
``fdsr.interchange.recognition`` reads the rest from their names and shapes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fdsr.interchange.recognition import (
    READERS,
    Recognized,
    multiple_of,
    recognize,
)
from fdsr.models.files import check_values
from fdsr.models.parametrisations import bake_parametrisations

if TYPE_CHECKING:
    from spandrel import ArchSupport, ImageModelDescriptor

#: First release with RCAN, the tested ones are 0.4.1 and 0.4.2.
OLDEST = (0, 4, 1)
#: spandrel's architectures that would accept a state dict of fdsr's. Values without the
#: prefix of a published file begin with ``body.`` in SRVGG, as in Compact.
_BEFORE = {'SRVGG': ('Compact', )}
#: Networks whose features have the range [0, 255] and exceed that of float16.
_NO_HALF = ('RCAN', 'SRFBN')
#: Networks whose every output pixel depends on statistics of the whole image.
_WHOLE_IMAGE = ('RepSR', 'CompactSR', 'RCAN')


def install() -> list[str]:
    """Registers fdsr's architectures in ``spandrel.MAIN_REGISTRY``.

    A second call changes nothing.

    Returns:
        The ids of the architectures, such as ``fdsr.CompactSR``.

    Raises:
        ImportError: spandrel is missing or older than ``OLDEST``.
    """
    registry = _spandrel().MAIN_REGISTRY
    registry.add(*map(_support, READERS), ignore_duplicates=True)
    return [f'fdsr.{kind}' for kind in READERS]


def _spandrel() -> Any:
    """Imports spandrel and checks its version."""
    needed = '.'.join(map(str, OLDEST))
    remedy = f'Install it: pip install "spandrel>={needed}" or "fdsr[spandrel]".'
    try:
        spandrel = import_module('spandrel')
    except ImportError as error:
        raise ImportError(f'spandrel cannot be imported ({error}). {remedy}') from error
    from importlib.metadata import version
    found = version('spandrel')
    numbers = [int(part) for part in found.split('.')[:3] if part.isdecimal()]
    if tuple(numbers) < OLDEST:
        raise ImportError(f'spandrel {found} is too old: fdsr needs {needed} or later. '
                          f'{remedy}')
    return spandrel


def _support(kind: str) -> 'ArchSupport':
    """Returns spandrel's entry of an architecture."""
    from spandrel import Architecture, ArchSupport

    class Backbone(Architecture):
        """One of fdsr's backbones."""

        def __init__(self) -> None:
            super().__init__(id=f'fdsr.{kind}', name=f'fdsr {kind}',
                             detect=lambda state: recognize(kind, state) is not None)

        def load(self, state_dict: dict[str, Any]) -> 'ImageModelDescriptor':
            """Builds the network of a state dict that ``detect`` accepted."""
            return _descriptor(self, kind, recognize(kind, state_dict))

    return ArchSupport.from_architecture(Backbone(), before=_BEFORE.get(kind, ()))


def _descriptor(architecture: Any, kind: str, found: Recognized
                ) -> 'ImageModelDescriptor':
    """Builds a network and describes it.

    Raises:
        ValueError: the values do not reveal an argument of the network.
        CheckpointMismatch: a value is not finite.
    """
    from spandrel import ImageModelDescriptor, ModelTiling, SizeRequirements
    if found.missing is not None:
        raise ValueError(
            f'This file does not state the {found.missing} of {kind}. Publish the '
            'network with tools/publish_model.py, which adds it to the names of the '
            'values, and load that file.')
    network = found.build()
    check_values('The state dict', network.state_dict(), found.values)
    descriptor = ImageModelDescriptor(
        network, found.values, architecture=architecture, purpose='FaceSR',
        tags=_tags(found.config), supports_half=kind not in _NO_HALF,
        supports_bfloat16=True, scale=network.scale, input_channels=3,
        output_channels=3,
        size_requirements=SizeRequirements(multiple_of=multiple_of(network)),
        tiling=(ModelTiling.DISCOURAGED if kind in _WHOLE_IMAGE else
                ModelTiling.SUPPORTED))
    bake_parametrisations(network)
    return descriptor


def _tags(config: dict[str, Any]) -> list[str]:
    """Returns tags in spandrel's style: 64nf for 64 channels, 8nb for 8 blocks."""
    units = {'channels': 'nf', 'groups': 'ng', 'blocks': 'nb', 'convs': 'nc',
             'width': 'width'}
    return [f'{config[key]:g}{unit}' for key, unit in units.items() if key in config]
