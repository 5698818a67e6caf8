"""The node *Restore Faces (fdsr)*."""

import logging
from functools import lru_cache
from pathlib import Path

import folder_paths
import torch
from torch import Tensor
from torch.nn import functional as F

from fdsr.apis import FaceSuperResolver
from fdsr.weights.shipped import SHIPPED

#: Folder of ComfyUI's models whose files the node offers.
FOLDER = 'upscale_models'
_BUNDLED = ' (bundled)'
_LARGEST_SIDE = 32766


class RestoreFaces:
    """Detects the faces of images, restores them and blends them back."""

    CATEGORY = 'image/upscaling'
    DESCRIPTION = (
        'Restores the faces of photographs with a network of fdsr. The rest of the '
        'image is unchanged, or upsampled bicubically. Details of a restored face are '
        'generated: never use one to identify a person.')
    RETURN_TYPES = ('IMAGE', 'MASK', 'INT')
    RETURN_NAMES = ('image', 'mask', 'face_count')
    OUTPUT_TOOLTIPS = (
        'The images with restored faces.',
        'The weight of the restored faces in each pixel.',
        'The number of restored faces in all images.')
    FUNCTION = 'restore'

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """Returns the inputs of the node, as ComfyUI expects them."""
        models = [f'{name}{_BUNDLED}' for name in SHIPPED]
        models += folder_paths.get_filename_list(FOLDER)
        return {
            'required': {
                'image': ('IMAGE',),
                'model': (models, {
                    'tooltip': 'A bundled network, or a file that fdsr published, in '
                               f'models/{FOLDER}.'}),
                'strength': ('FLOAT', {
                    'default': 1.0, 'min': 0.0, 'max': 1.0, 'step': 0.05,
                    'tooltip': 'Weight of the restored faces; 0 changes nothing.'}),
                'max_face_size': ('INT', {
                    'default': 0, 'min': 0, 'max': _LARGEST_SIDE,
                    'tooltip': 'Larger faces are left unchanged: side of the aligned '
                               "square in pixels. 0: 1.5 times the network's input."}),
            },
            'optional': {
                'scale': ('INT', {
                    'default': 1, 'min': 1, 'max': 8,
                    'tooltip': 'Upsampling factor of the whole image.'}),
            },
        }

    def restore(self, image: Tensor, model: str, strength: float, max_face_size: int,
                scale: int = 1) -> tuple[Tensor, Tensor, int]:
        """Restores the faces of a batch.

        Args:
            image: float (B, H, W, C) in [0, 1] with C = 1, 3 or 4; alpha is resized.
            model: one of the names of ``INPUT_TYPES``.
            strength: weight of the restored faces from 0 to 1.
            max_face_size: side in pixels of the largest aligned square to restore; 0:
                1.5 times the network's input.
            scale: upsampling factor, 1 to 8.

        Returns:
            float32 (B, scale · H, scale · W, 3), or with 4 channels if ``image`` has
            alpha; the mask, float32 (B, scale · H, scale · W); and the number of
            restored faces.

        Raises:
            ValueError, TypeError: an argument has the wrong shape, type or range.
            FileNotFoundError, CheckpointMismatch, RefusedCheckpointError: the model is
                missing, or is not a file of fdsr.
            ImportError: no face detector is available.
        """
        import comfy.model_management
        import comfy.utils
        _check(image)
        resolver = open_model(*find_model(model),
                              str(comfy.model_management.get_torch_device()))
        progress = comfy.utils.ProgressBar(len(image))  # also stops a cancelled prompt
        images, masks, count = [], [], 0
        for number, one in enumerate(image.detach().cpu().float(), 1):
            colour = one[..., :3].expand(-1, -1, 3)
            result = resolver.restore(
                colour.movedim(-1, 0), 'photo', scale, strength,
                max_face=max_face_size or None)
            mask = torch.from_numpy(result.mask())
            restored = torch.from_numpy(result.image).float() / 255
            if scale == 1:  # exact where nothing changed
                restored = torch.where(mask[..., None] > 0, restored, colour)
            images.append(restored)
            masks.append(mask)
            count += result.num_restored
            logging.log(
                logging.INFO if result.num_restored else logging.WARNING,
                'Restore Faces (fdsr): image %d of %d: %s', number, len(image),
                result.summary())
            progress.update(1)
        return _with_alpha(torch.stack(images), image), torch.stack(masks), count


def _check(image: Tensor) -> None:
    """Raises ``ValueError`` unless the images have ComfyUI's shape."""
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(
            'Restore Faces (fdsr): expected images (B, H, W, C) with 1, 3 or 4 '
            f'channels and at least one pixel, found {tuple(image.shape)}.')


def _with_alpha(restored: Tensor, image: Tensor) -> Tensor:
    """Appends the alpha channel of ``image``, if it has one."""
    if image.shape[-1] != 4:
        return restored
    alpha = image[..., 3:].detach().cpu().float().movedim(-1, 1)
    if alpha.shape[-2:] != restored.shape[1:3]:
        alpha = F.interpolate(alpha, restored.shape[1:3], mode='bilinear')
    return torch.cat([restored, alpha.movedim(1, -1)], dim=-1)


def find_model(name: str) -> tuple[str, float]:
    """Returns the path of a model, or the name of a bundled one, and its date.

    Raises:
        FileNotFoundError: the model does not exist.
    """
    if name.removesuffix(_BUNDLED) in SHIPPED:
        return name.removesuffix(_BUNDLED), 0.0
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        raise FileNotFoundError(
            f'Restore Faces (fdsr): there is no model {name!r} in '
            f'{", ".join(folder_paths.get_folder_paths(FOLDER))}. Copy the file there, '
            'or choose another model.')
    return path, Path(path).stat().st_mtime


@lru_cache(maxsize=1)
def open_model(path: str, date: float, device: str) -> FaceSuperResolver:
    """Loads a model; the last one remains in memory until its file changes."""
    return FaceSuperResolver(path, device)
