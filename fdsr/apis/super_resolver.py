"""Super-resolving faces, cut out or in photographs, in a line of Python."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.apis.networks import open_device, open_network
from fdsr.apis.photo import (
    LARGEST_FACE,
    RestoredPhoto,
    boxes_of,
    check_scale,
    cut_faces,
    paste_faces,
)
from fdsr.apis.pictures import BadPicture, as_arrays, check_order, is_single
from fdsr.landmarks import LandmarkDetector, default_photo_detector
from fdsr.models.backbones.detected_boxes import DetectedBoxes
from fdsr.models.images import to_uint8
from fdsr.registry import LANDMARKS
from fdsr.weights.shipped import DEFAULT


@dataclass(frozen=True)
class SuperResolvedFace:
    """What became of a cut-out face.

    Args:
        image: uint8 (S, S, 3) RGB.
        landmarks_found: whether a network with a dictionary was given the landmarks of
            this very face; None for a network that needs none. Without them it reads
            its dictionary where eyes, nose and mouth are on average.
    """

    image: np.ndarray
    landmarks_found: Optional[bool] = None


class FaceSuperResolver:
    """Super-resolves faces.

        from fdsr.apis import FaceSuperResolver

        sr = FaceSuperResolver()         # the small student that comes along
        big = sr('face.png')             # a cut-out face; uint8 (256, 256, 3) RGB
        many = sr(['a.png', 'b.png'])    # a list of them
        photo = sr.restore_photo('group.jpg', scale=4)    # photo.image, photo.faces

    A network with a dictionary finds its landmarks on the up-sampled face, or takes
    those that were found in the photograph.

    Args:
        weights: a self-describing file: of ``tools/train.py``, converted or published;
            a config of a network that has nothing to learn, or that has ``load_from``;
            or the name of weights that come along.
        device: ``auto`` for a GPU if there is one, else as torch names it.
        name: which of the file's backbones; default: the trained one.
        landmarks: config of the detector that finds landmarks in cut-out faces for
            networks with a dictionary; default:
            ``fdsr.landmarks.default_detector()``, chosen when it is first needed.
        photo_landmarks: config of the detector that finds the faces of a photograph;
            default: ``fdsr.landmarks.default_photo_detector()``, likewise.
        batch_size: faces in one forward.

    Attributes:
        network: the backbone.
        setting: how faces have to be cut.

    Raises:
        FileNotFoundError, CheckpointMismatch, RefusedCheckpointError: see
            ``load_backbone``.
        ValueError: a batch size below 1, a device that cannot be used, or a config
            without weights.
    """

    def __init__(self, weights: Union[str, Path] = DEFAULT, device: str = 'auto',
                 name: Optional[str] = None, landmarks: Optional[dict] = None,
                 photo_landmarks: Optional[dict] = None, batch_size: int = 8) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size has to be at least 1, found {batch_size}.')
        self.device, self.batch_size = open_device(device), batch_size
        network, self.setting = open_network(weights, name)
        if network.uses_boxes:
            network = DetectedBoxes(network, landmarks)
        self.network: nn.Module = network.to(self.device).eval().requires_grad_(False)
        self._photo_landmarks = photo_landmarks
        self._photo_detector: Optional[LandmarkDetector] = None

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
        faces = self.super_resolve(list(as_arrays(images, channel_order)))
        _warn_of_guesses(faces)
        results = [_in_order(face.image, channel_order) for face in faces]
        return results[0] if single else results

    def super_resolve(self, faces: Sequence[np.ndarray],
                      boxes: Optional[np.ndarray] = None) -> List[SuperResolvedFace]:
        """Super-resolves cut-out faces in batches.

        Args:
            faces: uint8 (h, h, 3) RGB each.
            boxes: (N, 4, 4) of the facial components in SR pixels, for a network with a
                dictionary; default: it finds them itself.

        Raises:
            BadPicture: a face is no square; tells which.
        """
        small = [self._to_lr(face, f'Face {number} of {len(faces)}: '
                             if len(faces) > 1 else '')
                 for number, face in enumerate(faces, 1)]
        results: List[SuperResolvedFace] = []
        for start in range(0, len(small), self.batch_size):
            part = slice(start, start + self.batch_size)
            batch = torch.from_numpy(np.stack(small[part])).permute(0, 3, 1, 2)
            sr, found = self._forward(
                batch.to(self.device).float() / 255,
                None if boxes is None else torch.from_numpy(boxes[part]))
            pictures = to_uint8(sr).permute(0, 2, 3, 1).cpu().numpy()
            results += map(SuperResolvedFace, pictures, found)
        return results

    @torch.inference_mode()
    def _forward(self, lr: Tensor, boxes: Optional[Tensor]
                 ) -> Tuple[Tensor, List[Optional[bool]]]:
        """SR, and whether each face's landmarks were found, None if none are needed."""
        if not isinstance(self.network, DetectedBoxes):
            return self.network(lr), [None] * len(lr)
        found = [True] * len(lr)
        if boxes is None:
            boxes, found = self.network.find_boxes(lr)
        return self.network.network(lr, boxes.to(lr)), found

    def restore_photo(self, photo: Any, scale: int = 2, large_faces: bool = False,
                      channel_order: str = 'rgb') -> RestoredPhoto:
        """Restores the faces of a photograph: finds, aligns, restores, pastes back.

        All faces go through the network together. The rest of the photograph is
        bicubically up-sampled. A face that cannot be restored is left like the rest,
        and the result tells why.

        Args:
            photo: an array (H, W, 3), a PIL image, or the path of a file.
            scale: of the result to the photograph, 1 to 8.
            large_faces: restore also faces whose aligned square is larger than one and
                a half times LR: they are made small first, which a blurred face bears.
            channel_order: ``rgb`` or ``bgr``, of an array that comes in and of those
                that go out.

        Raises:
            FileNotFoundError, BadPicture, TypeError: see ``pictures.as_arrays``; also
                a result of too many pixels.
            ValueError: another scale.
            ImportError: no detector is available, or its package is absent.
        """
        check_order(channel_order)
        if not is_single(photo):
            raise TypeError('restore_photo takes one photograph: an array (H, W, 3), a '
                            'PIL image or the path of a file.')
        picture = next(as_arrays(photo, channel_order))
        scale = check_scale(scale, picture.shape)
        if self._photo_detector is None:
            self._photo_detector = LANDMARKS.build(
                self._photo_landmarks or default_photo_detector())
        lr_size = self.setting.lr_size
        faces = cut_faces(picture, self._photo_detector.find_faces(picture), lr_size,
                          self.setting.eye_share,
                          None if large_faces else LARGEST_FACE * lr_size)
        chosen = [face for face in faces if face.lr is not None]
        if chosen:
            boxes = boxes_of(chosen, self.setting.size)
            results = self.super_resolve([face.lr for face in chosen], boxes)
            for face, result in zip(chosen, results):
                face.sr = result.image
        image = _in_order(paste_faces(picture, faces, scale), channel_order)
        for face in chosen:
            face.lr = _in_order(face.lr, channel_order)
            face.sr = _in_order(face.sr, channel_order)
        return RestoredPhoto(image, faces)

    def check_face(self, face: np.ndarray, which: str = '') -> None:
        """Raises ``BadPicture`` for what cannot be a cut-out face: it is no square."""
        if face.shape[0] != face.shape[1]:
            raise BadPicture(
                f'{which}A cut-out face is a square, found '
                f'{face.shape[1]}x{face.shape[0]} pixels. Cut the face out, with the '
                f'eyes {self.setting.eye_share:.3f} of the side apart, or have the '
                'whole photograph restored (restore_photo, --whole-photo).')

    def _to_lr(self, face: np.ndarray, which: str) -> np.ndarray:
        from PIL import Image
        self.check_face(face, which)
        size = (self.setting.lr_size, self.setting.lr_size)
        if face.shape[1::-1] == size:
            return face
        return np.array(Image.fromarray(face).resize(size, Image.BICUBIC))


def _in_order(image: np.ndarray, channel_order: str) -> np.ndarray:
    """RGB to the order asked for."""
    return np.ascontiguousarray(image[..., ::-1 if channel_order == 'bgr' else 1])


def _warn_of_guesses(faces: Sequence[SuperResolvedFace]) -> None:
    guessed = [str(number) for number, face in enumerate(faces)
               if face.landmarks_found is False]
    if guessed:
        from mmengine.logging import print_log
        print_log(
            f'No landmarks were found in {len(guessed)} of {len(faces)} faces (number '
            f'{", ".join(guessed[:10])}{"…" if len(guessed) > 10 else ""}, counted '
            'from 0): the dictionary was read where they are on average.',
            logger='current', level=logging.WARNING)
