"""Teacher and training faces of a config, the inputs of a dictionary."""

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from fdsr.geometry.components import boxes_from_five_points
from fdsr.models.backbones.dictionary_teacher import DictionaryTeacher
from fdsr.models.backbones.encoder import Encoder, build_encoder
from fdsr.preparation.dictionary.balance import PoseSample, landmarks_of, sample_by_pose
from fdsr.registry import DATASETS, MODELS

_A_TEACHERS_CONFIG = 'Pass the config that trains the teacher.'


def teacher_settings(config: Any) -> dict[str, Any]:
    """Returns the arguments of the ``DictionaryTeacher`` of a config, with defaults.

    The network is not built, because it needs the dictionary.

    Args:
        config: a loaded config with ``model.generator``.

    Raises:
        ValueError: the config has no such network; the message names what was found.
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


def encoder_of(settings: dict[str, Any]) -> Encoder:
    """Builds the encoder of a teacher from ``teacher_settings``.

    Raises:
        ValueError: the architecture or layout is unknown.
        FileNotFoundError: the weights are not on this machine.
    """
    return build_encoder(settings['encoder'] or {}, settings['layout'])


def training_faces(config: Any) -> Any:
    """Builds the training dataset of a config without its pipeline.

    Its items are the HR faces, neither flipped nor degraded.

    Raises:
        ValueError: the config has no training dataset.
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


class FaceBatch(NamedTuple):
    """A batch of faces.

    Args:
        images: (B, 3, S, S) RGB in [0, 1]; None if all samples are bad.
        boxes: (B, 4, 4) in pixels; None if all samples are bad.
        facts: for each sample, whether it is good; and the eye distances of the good
            ones in pixels.
    """

    images: Tensor | None
    boxes: Tensor | None
    facts: tuple[list[bool], list[float]]


class FaceBatches:
    """Batches of HR faces and their component boxes, in a fixed order.

    Bad samples are skipped and counted in the first iteration.

    Args:
        dataset: dataset of items with ``img`` and ``landmarks``, or None for bad
            samples, see ``training_faces``.
        size: expected side of the faces.
        batch_size: faces per batch.
        max_faces: use this many random faces; default: all.
        seed: seed of the sample.
        num_workers: number of processes that read images.
        balance: ``'pose'`` samples uniformly over poses, see ``sample_by_pose``.

    Attributes:
        pose: the sample by pose; None without ``balance``.
        skipped: number of bad samples so far.
        eye_share: mean eye distance as a share of the side, after an iteration.
    """

    def __init__(self, dataset: Any, size: int, batch_size: int = 4,
                 max_faces: int | None = None, seed: int = 0,
                 num_workers: int = 0, balance: str | None = None) -> None:
        if balance not in (None, 'pose'):
            raise ValueError(f"balance is {balance!r}, expected 'pose' or None.")
        self.dataset, self.size, self.batch_size = dataset, size, batch_size
        self.num_workers = num_workers
        self.skipped = 0
        self.eye_share = float('nan')
        self.indices = np.arange(len(dataset))
        self.pose: PoseSample | None = None
        if balance:
            self.pose = sample_by_pose(
                landmarks_of(dataset), max_faces or len(dataset), seed)
            self.indices = self.pose.indices
        elif max_faces is not None and max_faces < len(dataset):
            drawn = np.random.default_rng(seed).choice(
                len(dataset), max_faces, replace=False)
            self.indices = np.sort(drawn)

    def __len__(self) -> int:
        """Returns the number of faces, including bad ones not yet read."""
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields (B, 3, S, S) RGB in [0, 1] and (B, 4, 4) boxes in pixels.

        Raises:
            ValueError: the size of a face differs from that of the network.
        """
        loader = DataLoader(
            Subset(self.dataset, self.indices.tolist()), self.batch_size,
            num_workers=self.num_workers, collate_fn=list)
        batches = []
        for items in loader:
            batch = self.batch(items)
            batches.append(batch.facts)
            if batch.images is not None:
                yield batch.images, batch.boxes
        self.finish(batches)

    def index_batches(self) -> list[list[int]]:
        """Returns the indices of the faces of each batch."""
        return [self.indices[start:start + self.batch_size].tolist()
                for start in range(0, len(self), self.batch_size)]

    def read(self, indices: list[int]) -> FaceBatch:
        """Reads a batch in this process.

        Raises:
            ValueError: the size of a face differs from that of the network.
        """
        return self.batch([self.dataset[index] for index in indices])

    def batch(self, items: list[dict[str, Any] | None]) -> FaceBatch:
        """Returns a batch of items of the dataset, None for bad samples.

        Raises:
            ValueError: the size of a face differs from that of the network.
        """
        faces = [self._face(item) for item in items if item is not None]
        good = [item is not None for item in items]
        if not faces:
            return FaceBatch(None, None, (good, []))
        images, landmarks = map(np.stack, zip(*faces))
        distances = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=-1)
        boxes = boxes_from_five_points(landmarks, self.size)
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
        return FaceBatch(tensor.float() / 255, torch.from_numpy(boxes),
                         (good, distances.tolist()))

    def finish(self, batches: list[tuple[list[bool], list[float]]]) -> None:
        """Drops bad samples after an iteration.

        Args:
            batches: the facts of each batch, in order.
        """
        good = [one for batch, _ in batches for one in batch]
        distances = [one for _, batch in batches for one in batch]
        self.skipped += good.count(False)
        self.indices = self.indices[np.array(good, dtype=bool)]
        if distances:
            self.eye_share = float(np.mean(distances)) / self.size

    def _face(self, item: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        expected = (self.size, self.size, 3)
        if item['img'].shape != expected:
            raise ValueError(
                f'{item.get("name", "A face")}: the network (model.generator.size) '
                f'expects {expected}, the dataset returned {item["img"].shape}. Use '
                'the same size for both in the config.')
        return item['img'], np.asarray(item['landmarks'], dtype=np.float32)
