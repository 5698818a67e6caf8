"""Super-resolving faces with a trained network, in a line of Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

import numpy as np
import torch
from torch import nn

from fdsr.apis.pictures import BadPicture, as_arrays, check_order, is_single
from fdsr.checkpoints import load_backbone, read_checkpoint
from fdsr.dictionary.components import FFHQ_EYE_SHARE
from fdsr.landmarks import DEFAULT_DETECTOR
from fdsr.landmarks.detected_boxes import DetectedBoxes
from fdsr.models.pictures import to_uint8

#: The paper's, for files that do not tell.
_DEFAULT_SCALE, _DEFAULT_SIZE = 8, 256


@dataclass(frozen=True)
class FaceSetting:
    """How faces have to be cut for a network.

    Args:
        size: side of SR.
        scale: of SR to LR.
        eye_share: distance of the eyes as a share of the side.
    """

    size: int
    scale: int
    eye_share: float

    @property
    def lr_size(self) -> int:
        """Side of LR."""
        return self.size // self.scale


class FaceSuperResolver:
    """Super-resolves cut-out faces.

        from fdsr.apis import FaceSuperResolver

        sr = FaceSuperResolver('work_dirs/distill_vggface2/iter_300000.pth')
        big = sr('face.png')             # uint8 (256, 256, 3) RGB
        many = sr(['a.png', 'b.png'])    # a list of them

    A network with a dictionary finds its landmarks on the up-sampled face.

    Args:
        weights: a self-describing file: of ``tools/train.py``, converted or published.
        device: ``auto`` for a GPU if there is one, else as torch names it.
        name: which of the file's backbones; default: the trained one.
        landmarks: config of the detector for networks with a dictionary; default:
            ``fdsr.MediaPipeLandmarks``.
        batch_size: faces in one forward.

    Attributes:
        network: the backbone.
        setting: how faces have to be cut.

    Raises:
        FileNotFoundError, CheckpointMismatch, RefusedCheckpointError: see
            ``load_backbone``.
    """

    def __init__(self, weights: Union[str, Path], device: str = 'auto',
                 name: Optional[str] = None, landmarks: Optional[dict] = None,
                 batch_size: int = 8) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size has to be at least 1, found {batch_size}.')
        if device == 'auto':
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.device, self.batch_size = torch.device(device), batch_size
        network = load_backbone(weights, name)
        self.setting = _setting(read_checkpoint(weights)[0].get('faces') or {}, network)
        if getattr(network, 'uses_boxes', False):
            network = DetectedBoxes(network, landmarks or DEFAULT_DETECTOR)
        self.network: nn.Module = network.to(self.device).eval().requires_grad_(False)

    def __call__(self, images: Any, channel_order: str = 'rgb'
                 ) -> Union[np.ndarray, List[np.ndarray]]:
        """Super-resolves faces.

        Each picture is taken for one face, cut out as ``setting`` says. It is brought
        to LR's size by PIL's bicubic, so what it has of detail beyond that is lost.

        Args:
            images: see ``pictures.as_arrays``: one or many arrays, PIL images, paths
                or folders.
            channel_order: ``rgb`` or ``bgr``, of arrays that come in and go out.

        Returns:
            uint8 (S, S, 3) for one picture, a list of them for several.

        Raises:
            FileNotFoundError, BadPicture, TypeError: see ``pictures.as_arrays``; also
                a picture that is no square.
        """
        single = is_single(images)
        check_order(channel_order)
        faces = list(as_arrays(images, channel_order))
        step = -1 if channel_order == 'bgr' else 1
        results = [np.ascontiguousarray(face[..., ::step])
                   for face in self.super_resolve(faces)]
        return results[0] if single else results

    @torch.inference_mode()
    def super_resolve(self, faces: Sequence[np.ndarray]) -> List[np.ndarray]:
        """uint8 (h, w, 3) RGB faces to uint8 (S, S, 3), in batches."""
        small = [self._to_lr(face) for face in faces]
        results: List[np.ndarray] = []
        for start in range(0, len(small), self.batch_size):
            batch = torch.from_numpy(np.stack(small[start:start + self.batch_size]))
            lr = batch.permute(0, 3, 1, 2).to(self.device).float() / 255
            sr = to_uint8(self.network(lr)).permute(0, 2, 3, 1)
            results += list(sr.cpu().numpy())
        return results

    def _to_lr(self, face: np.ndarray) -> np.ndarray:
        from PIL import Image
        if face.shape[0] != face.shape[1]:
            raise BadPicture(
                f'A cut-out face is a square, found {face.shape[1]}x{face.shape[0]} '
                'pixels. Cut the face out, with the eyes '
                f'{self.setting.eye_share:.3f} of the side apart.')
        size = (self.setting.lr_size, self.setting.lr_size)
        if face.shape[1::-1] == size:
            return face
        return np.array(Image.fromarray(face).resize(size, Image.BICUBIC))


def _setting(facts: dict, network: nn.Module) -> FaceSetting:
    """From the file, else from the network, else the paper's."""
    scale = getattr(getattr(network, 'upsample', network), 'scale', _DEFAULT_SCALE)
    return FaceSetting(
        size=getattr(network, 'size', facts.get('size', _DEFAULT_SIZE)),
        scale=int(scale), eye_share=getattr(
            network, 'eye_share', facts.get('eye_share', FFHQ_EYE_SHARE)))
