"""Super-resolves faces, aligned or in photographs, in one line of Python."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.apis.blending import check_strength, mix
from fdsr.apis.images import (
    BadImage,
    as_arrays,
    check_order,
    is_single,
    named_arrays,
)
from fdsr.apis.kinds import check_kind, choose_kind
from fdsr.apis.networks import open_device, open_network
from fdsr.apis.photo import (
    FaceStatus,
    PhotoFace,
    RestoredPhoto,
    boxes_of,
    check_scale,
    cut_face,
    largest_side,
    paste_faces,
)
from fdsr.geometry.alignment import resize
from fdsr.landmarks import (
    FaceLandmarks,
    FoundFace,
    LandmarkDetector,
    default_detector,
    default_photo_detector,
)
from fdsr.models.backbones.detected_boxes import DetectedBoxes
from fdsr.models.images import to_uint8
from fdsr.models.parametrisations import bake_parametrisations
from fdsr.registry import LANDMARKS
from fdsr.weights.shipped import DEFAULT


@dataclass(frozen=True)
class SuperResolvedFace:
    """A super-resolved face.

    Args:
        image: uint8 (S, S, 3) RGB.
        landmarks_found: for a network with a dictionary, True if the landmarks of this
            face were used and False if those of an average face were; None for other
            networks.
    """

    image: np.ndarray
    landmarks_found: bool | None = None


class FaceSuperResolver:
    """Super-resolves aligned faces, and the faces of photographs.

        from fdsr.apis import FaceSuperResolver

        sr = FaceSuperResolver()         # the bundled ``small``
        big = sr('face.png')             # an aligned face; uint8 (256, 256, 3) RGB
        many = sr(['a.png', 'b.png'])    # a list of arrays
        photo = sr.restore_photo('group.jpg', scale=4)    # photo.image, photo.faces
        any = sr.restore('image.jpg')    # a face or a photograph: any.kind, any.image

    For a network with a dictionary, landmarks are detected on the upsampled face, or
    taken from the photograph.

    Args:
        weights: a self-describing file, the config of a network without parameters or
            with ``load_from``, or the name of bundled weights.
        device: a torch device; ``auto`` selects a GPU if there is one.
        name: one of the file's backbones; default: the trained one.
        landmarks: config of the landmark detector for aligned faces, used by networks
            with a dictionary and to recognize aligned faces; default:
            ``fdsr.landmarks.default_detector()``, built on first use.
        photo_landmarks: config of the face detector for photographs; default:
            ``fdsr.landmarks.default_photo_detector()``, built on first use.
        batch_size: faces per forward pass.

    Attributes:
        network: the backbone.
        geometry: size, scale and alignment of its faces.

    Raises:
        FileNotFoundError, CheckpointMismatch, RefusedCheckpointError: see
            ``load_backbone``.
        ValueError: the batch size is below 1, the device is not available, or a config
            has no weights.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = 'auto',
                 name: str | None = None, landmarks: dict | None = None,
                 photo_landmarks: dict | None = None, batch_size: int = 8) -> None:
        if batch_size < 1:
            raise ValueError(f'Expected at least 1, found batch_size={batch_size}.')
        self.device, self.batch_size = open_device(device), batch_size
        network, self.geometry = open_network(weights, name)
        bake_parametrisations(network)
        if network.uses_boxes:
            network = DetectedBoxes(network, landmarks)
        self.network: nn.Module = network.to(self.device).eval()
        self._landmarks, self._photo_landmarks = landmarks, photo_landmarks
        self._detector: LandmarkDetector | None = None
        self._photo_detector: LandmarkDetector | None = None

    @classmethod
    def from_pretrained(cls, folder_or_repo: str | Path, revision: str | None = None,
                        **options: Any) -> 'FaceSuperResolver':
        """Opens ``model.safetensors`` of a folder or of a Hugging Face repository.

        Args:
            folder_or_repo: a folder that ``tools/publish_model.py --hub-folder`` wrote,
                or the id ``OWNER/NAME`` of a repository with these files, which needs
                the extra ``hub``. Only they are downloaded, and nothing that is cached.
            revision: branch, tag or commit of the repository; default: its main branch.
            **options: further arguments of the class.

        Raises:
            FileNotFoundError, ConnectionError, PermissionError, ImportError: see
                ``fdsr.weights.hub_files.find_pretrained``.
            CheckpointMismatch, RefusedCheckpointError, ValueError: see the class.
        """
        from fdsr.weights.hub_files import find_pretrained
        return cls(find_pretrained(folder_or_repo, revision), **options)

    def __call__(self, images: Any, channel_order: str = 'rgb'
                 ) -> np.ndarray | list[np.ndarray]:
        """Super-resolves aligned faces.

        Each image is one face, aligned as in ``geometry``. PIL's bicubic resizes it to
        the size of LR, which removes any finer detail.

        Args:
            images: one or many arrays, tensors, PIL images, paths or folders, see
                ``images.as_arrays``.
            channel_order: ``rgb`` or ``bgr``, for input and output arrays.

        Returns:
            uint8 (S, S, 3) for one image, a list of them for several.

        Raises:
            FileNotFoundError, BadImage, TypeError: see ``images.as_arrays``; also for
                an image that is not square; the message has its path or number.
        """
        single = is_single(images)
        check_order(channel_order)
        inputs = []
        for name, image in named_arrays(images, channel_order):
            if name:
                self.check_face(image, f'{name}: ')
            inputs.append(image)
        faces = self.super_resolve(inputs)
        guessed = [str(number) for number, face in enumerate(faces)
                   if face.landmarks_found is False]
        if guessed:
            from mmengine.logging import print_log
            print_log(
                f'No landmarks were found in {len(guessed)} of {len(faces)} faces '
                f'(number {", ".join(guessed[:10])}{"…" if len(guessed) > 10 else ""}, '
                'counted from 0): those of an average face were used.',
                logger='current', level=logging.WARNING)
        results = [_in_order(face.image, channel_order) for face in faces]
        return results[0] if single else results

    def super_resolve(self, faces: Sequence[np.ndarray],
                      boxes: np.ndarray | None = None) -> list[SuperResolvedFace]:
        """Super-resolves aligned faces in batches.

        Args:
            faces: uint8 (h, h, 3) RGB each.
            boxes: (N, 4, 4) component boxes in SR pixels, for a network with a
                dictionary; default: detected.

        Raises:
            BadImage: a face is not square; the message has its number.
        """
        for number, face in enumerate(faces, 1):
            self.check_face(face, f'Face {number} of {len(faces)}: '
                            if len(faces) > 1 else '')
        small = [resize(face, self.geometry.lr_size) for face in faces]
        results: list[SuperResolvedFace] = []
        for start in range(0, len(small), self.batch_size):
            part = slice(start, start + self.batch_size)
            batch = torch.from_numpy(np.stack(small[part])).permute(0, 3, 1, 2)
            sr, found = self._forward(
                batch.to(self.device).float() / 255,
                None if boxes is None else torch.from_numpy(boxes[part]))
            images = to_uint8(sr).permute(0, 2, 3, 1).cpu().numpy()
            results += map(SuperResolvedFace, images, found)
        return results

    @torch.inference_mode()
    def _forward(self, lr: Tensor, boxes: Tensor | None
                 ) -> tuple[Tensor, list[bool | None]]:
        """Returns SR and ``landmarks_found`` of each face."""
        if not isinstance(self.network, DetectedBoxes):
            return self.network(lr), [None] * len(lr)
        found = [True] * len(lr)
        if boxes is None:
            boxes, found = self.network.find_boxes(lr)
        return self.network.network(lr, boxes.to(lr)), found

    def restore(self, image: Any, kind: str = 'auto', scale: int = 2,
                strength: float = 1.0, large_faces: bool = False,
                channel_order: str = 'rgb', max_face: float | None = None
                ) -> RestoredPhoto:
        """Restores an aligned face or the faces of a photograph.

        Args:
            image: an array (H, W, 3), a tensor (3, H, W), a PIL image, or the path of
                a file.
            kind: ``face``, ``photo``, or ``auto`` to decide by ``kinds.choose_kind``.
            scale: upsampling factor of a photograph, 1 to 8. An aligned face has the
                size of SR.
            strength: weight of the restored faces, from 0, the upsampled input, to 1.
            large_faces: see ``restore_photo``.
            channel_order: ``rgb`` or ``bgr``, for input and output arrays.
            max_face: see ``restore_photo``.

        Returns:
            The result; ``kind`` is ``face`` or ``photo``.

        Raises:
            FileNotFoundError, BadImage, TypeError, ValueError, ImportError: see
                ``restore_photo``; also for a kind that is unknown or a face that is
                not square.
        """
        array = self._one(image, channel_order)
        if self.kind_of(array, kind) == 'photo':
            result = self._restore_photo(array, scale, large_faces, strength, max_face)
        else:
            result = self._restore_face(array, strength)
        return _reordered(result, channel_order)

    def kind_of(self, image: np.ndarray, kind: str = 'auto') -> str:
        """Returns ``face`` or ``photo``, see ``kinds.choose_kind``.

        Args:
            image: uint8 (H, W, 3) RGB.
            kind: ``face`` or ``photo`` overrides the decision.

        Raises:
            ValueError: the kind is unknown.
        """
        if check_kind(kind) != 'auto':
            return kind
        return choose_kind(image, self.geometry, self._detect)

    def _detect(self, image: np.ndarray) -> FaceLandmarks | None:
        """Returns the landmarks of the largest face."""
        if self._detector is None:
            self._detector = LANDMARKS.build(self._landmarks or default_detector())
        return self._detector.detect([image])[0]

    def _restore_face(self, image: np.ndarray, strength: float) -> RestoredPhoto:
        """Restores an aligned face."""
        check_strength(strength)
        [result] = self.super_resolve([image])
        lr, side = resize(image, self.geometry.lr_size), len(image)
        message = 'Restored.'
        if result.landmarks_found is False:
            message = ('Restored. No landmarks were found: those of an average face '
                       'were used.')
        face = PhotoFace((0, 0, side, side), FaceStatus.RESTORED, message, side=side,
                         lr=lr, sr=result.image)
        before = resize(image, len(result.image))
        return RestoredPhoto(mix(before, result.image, strength), [face], 'face',
                             strength=strength)

    def restore_photo(self, photo: Any, scale: int = 2, large_faces: bool = False,
                      channel_order: str = 'rgb', strength: float = 1.0,
                      max_face: float | None = None) -> RestoredPhoto:
        """Detects, aligns and restores the faces of a photograph and pastes them back.

        The rest of the photograph is upsampled by bicubic interpolation. A face that
        cannot be restored is upsampled in the same way; its ``message`` says why.

        Args:
            photo: an array (H, W, 3), a tensor (3, H, W), a PIL image, or the path of
                a file.
            scale: upsampling factor, 1 to 8.
            large_faces: also restore faces whose aligned square is over 1.5 times as
                large as LR. They are downsampled first, which only suits blurred faces.
            channel_order: ``rgb`` or ``bgr``, for input and output arrays.
            strength: weight of the restored faces, from 0, the upsampled photograph,
                to 1.
            max_face: side in pixels of the largest aligned square to restore, in place
                of 1.5 times LR or, with ``large_faces``, of no limit.

        Raises:
            FileNotFoundError, BadImage, TypeError: see ``images.as_arrays``; also for
                a result with too many pixels.
            ValueError: the scale, the strength or ``max_face`` is out of range.
            ImportError: no detector is available, or its package is missing.
        """
        image = self._one(photo, channel_order)
        return _reordered(
            self._restore_photo(image, scale, large_faces, strength, max_face),
            channel_order)

    @staticmethod
    def _one(image: Any, channel_order: str) -> np.ndarray:
        """Returns one image as uint8 (H, W, 3) RGB."""
        check_order(channel_order)
        if not is_single(image):
            raise TypeError('Expected one photograph or face: an array (H, W, 3), a '
                            'PIL image or the path of a file.')
        return next(as_arrays(image, channel_order))

    def _restore_photo(self, image: np.ndarray, scale: int, large_faces: bool,
                       strength: float, max_face: float | None) -> RestoredPhoto:
        """Restores the faces of a photograph, uint8 (H, W, 3) RGB."""
        scale = check_scale(scale, image.shape)
        check_strength(strength)
        lr_size = self.geometry.lr_size
        largest = largest_side(lr_size, large_faces, max_face)
        faces = [cut_face(image, found, lr_size, self.geometry.eye_share, largest)
                 for found in self._find_faces(image)]
        chosen = [face for face in faces if face.lr is not None]
        if chosen:
            boxes = boxes_of(chosen, self.geometry.size)
            results = self.super_resolve([face.lr for face in chosen], boxes)
            for face, result in zip(chosen, results):
                face.sr = result.image
        return RestoredPhoto(paste_faces(image, faces, scale, strength), faces,
                             scale=scale, strength=strength)

    def _find_faces(self, image: np.ndarray) -> list[FoundFace]:
        """Detects the faces of a photograph."""
        try:
            if self._photo_detector is None:
                self._photo_detector = LANDMARKS.build(
                    self._photo_landmarks or default_photo_detector())
            return self._photo_detector.find_faces(image)
        except ImportError as error:
            raise ImportError(
                f'{error} An aligned, square face needs no detector: restore it with '
                "kind='face', on the command line with --aligned.") from error

    def check_face(self, face: np.ndarray, which: str = '') -> None:
        """Raises ``BadImage`` for a face that is not square."""
        if face.shape[0] != face.shape[1]:
            raise BadImage(
                f'{which}An aligned face is square, found '
                f'{face.shape[1]}x{face.shape[0]} pixels. Align the face, with the '
                f'eyes {self.geometry.eye_share:.3f} of the side apart, or restore the '
                "whole photograph (kind='photo', --whole-photo).")


def _in_order(image: np.ndarray, channel_order: str) -> np.ndarray:
    """Converts RGB to a channel order."""
    return np.ascontiguousarray(image[..., ::-1 if channel_order == 'bgr' else 1])


def _reordered(result: RestoredPhoto, channel_order: str) -> RestoredPhoto:
    """Converts the images of an RGB result to a channel order."""
    result.image = _in_order(result.image, channel_order)
    for face in result.faces:
        if face.sr is not None:
            face.lr = _in_order(face.lr, channel_order)
            face.sr = _in_order(face.sr, channel_order)
    return result
