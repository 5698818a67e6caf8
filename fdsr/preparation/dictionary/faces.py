"""What a dictionary is built from: a config's teacher, and the faces it trains on."""

import inspect
from typing import Any, Dict, Iterator, Optional, Tuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from fdsr.geometry.components import boxes_from_five_points
from fdsr.models.backbones.dictionary_teacher import DictionaryTeacher
from fdsr.models.backbones.encoder import FeatureEncoder
from fdsr.preparation.dictionary.balance import PoseSample, landmarks_of, sample_by_pose
from fdsr.registry import DATASETS, MODELS

_A_TEACHERS_CONFIG = 'Give the config that trains the teacher.'


def teacher_settings(config: Any) -> Dict[str, Any]:
    """The arguments of a config's ``DictionaryTeacher``, defaults filled in.

    The network itself is not built: it wants the dictionary that is yet to be made.

    Args:
        config: a loaded config with ``model.generator``.

    Raises:
        ValueError: there is no such network in it; the message tells what is.
        KeyError: its type is not registered.
    """
    generator = (config.get('model') or {}).get('generator')
    if not isinstance(generator, dict) or 'type' not in generator:
        raise ValueError(
            f'{_name(config)}: expected model.generator of type DictionaryTeacher, '
            f'found none. {_A_TEACHERS_CONFIG}')
    settings = dict(generator)
    kind = settings.pop('type')
    network = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (inspect.isclass(network) and issubclass(network, DictionaryTeacher)):
        raise ValueError(
            f'{_name(config)}: expected model.generator of type DictionaryTeacher, '
            f'found {kind}, which has no dictionary. {_A_TEACHERS_CONFIG}')
    arguments = inspect.signature(network).bind_partial(**settings)
    arguments.apply_defaults()
    if 'size' not in arguments.arguments:
        raise ValueError(
            f'{_name(config)}: expected model.generator.size, the side of the SR '
            'image, found none.')
    return dict(arguments.arguments)


def encoder_of(settings: Dict[str, Any]) -> FeatureEncoder:
    """The encoder that a teacher of these ``teacher_settings`` has.

    Raises:
        ValueError: unknown architecture or layout.
        FileNotFoundError: its weights are not on this machine.
    """
    return FeatureEncoder(layout=settings['layout'], **(settings['encoder'] or {}))


def training_faces(config: Any) -> Any:
    """The dataset that a config trains on, without its pipeline.

    Its items are HR faces as they are, neither flipped nor degraded.

    Raises:
        ValueError: there is no such dataset in the config.
        KeyError: its type is not registered.
    """
    settings = (config.get('train_dataloader') or {}).get('dataset')
    if not isinstance(settings, dict):
        raise ValueError(
            f'{_name(config)}: expected train_dataloader.dataset, found none. '
            f'{_A_TEACHERS_CONFIG}')
    return DATASETS.build(dict(settings, pipeline=[]))


def _name(config: Any) -> str:
    return str(getattr(config, 'filename', None) or 'The config')


class FaceBatches:
    """HR faces of a dataset and their component boxes, in batches, in a fixed order.

    Bad samples are left out and counted; later iterations ask for the good ones alone.

    Args:
        dataset: of items with ``img`` and ``landmarks``, or None for a bad one, see
            ``training_faces``.
        size: side that the faces must have.
        batch_size: faces encoded at once.
        max_faces: take this many, drawn by ``seed``; default all.
        seed: of that draw.
        num_workers: processes that read images beside this one.
        balance: ``'pose'`` draws evenly over how far heads are turned, see
            ``sample_by_pose``; default: all faces alike.

    Attributes:
        pose: what was drawn by pose; None without ``balance``.
        skipped: bad samples met so far.
        eye_share: mean distance of the eyes as a share of the side, after an
            iteration.
    """

    def __init__(self, dataset: Any, size: int, batch_size: int = 4,
                 max_faces: Optional[int] = None, seed: int = 0,
                 num_workers: int = 0, balance: Optional[str] = None) -> None:
        if balance not in (None, 'pose'):
            raise ValueError(f"balance is {balance!r}, expected 'pose' or None.")
        self.dataset, self.size, self.batch_size = dataset, size, batch_size
        self.num_workers = num_workers
        self.skipped = 0
        self.eye_share = float('nan')
        self.indices = np.arange(len(dataset))
        self.pose: Optional[PoseSample] = None
        if balance:
            self.pose = sample_by_pose(
                landmarks_of(dataset), max_faces or len(dataset), seed)
            self.indices = self.pose.indices
        elif max_faces is not None and max_faces < len(dataset):
            drawn = np.random.default_rng(seed).choice(
                len(dataset), max_faces, replace=False)
            self.indices = np.sort(drawn)

    def __len__(self) -> int:
        """Faces, those included that will turn out to be bad."""
        return len(self.indices)

    def __iter__(self) -> Iterator[Tuple[Tensor, Tensor]]:
        """Yields (B, 3, S, S) RGB in [0, 1] and (B, 4, 4) boxes in pixels.

        Raises:
            ValueError: a face has another side than the network.
        """
        loader = DataLoader(
            Subset(self.dataset, self.indices.tolist()), self.batch_size,
            num_workers=self.num_workers, collate_fn=list)
        good, distances = [], []
        for items in loader:
            good += [item is not None for item in items]
            faces = [self._face(item) for item in items if item is not None]
            if faces:
                images, landmarks = map(np.stack, zip(*faces))
                distances += np.linalg.norm(
                    landmarks[:, 1] - landmarks[:, 0], axis=-1).tolist()
                boxes = boxes_from_five_points(landmarks, self.size)
                tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
                yield tensor.float() / 255, torch.from_numpy(boxes)
        self.skipped += good.count(False)
        self.indices = self.indices[np.array(good, dtype=bool)]
        if distances:
            self.eye_share = float(np.mean(distances)) / self.size

    def _face(self, item: Dict[str, Any]) -> Tuple[np.ndarray, np.ndarray]:
        expected = (self.size, self.size, 3)
        if item['img'].shape != expected:
            raise ValueError(
                f'{item.get("name", "A face")}: the network (model.generator.size) '
                f'expects {expected}, the dataset gives {item["img"].shape}. Make '
                'the two sizes in the config the same.')
        return item['img'], np.asarray(item['landmarks'], dtype=np.float32)
