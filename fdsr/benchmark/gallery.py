"""Chooses faces of a benchmark and restores them with each method for a figure."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from fdsr.benchmark.degradations import degraded_config
from fdsr.benchmark.methods import methods_of, network_config
from fdsr.evaluation.metric_info import MetricInfo, info_of, metric_info
from fdsr.evaluation.protocol import read_rows
from fdsr.models.forward import run_backbone
from fdsr.models.images import to_uint8
from fdsr.models.restorers.face_tester import build_network
from fdsr.registry import DATASETS, METRICS, MODELS
from fdsr.reporting.face_figure import FigureFace, zoom_regions

Values = dict[str, dict[str, dict[str, float]]]
#: {method: {name of the face: (H, W, 3) uint8 RGB}}.
Images = dict[str, dict[str, np.ndarray]]
_METRICS = (dict(type='mmagic.PSNR'), dict(type='fdsr.LPIPS'))


def read_values(path: str | Path) -> Values:
    """Reads a benchmark's images.csv as {method: {column: {image: value}}}.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It holds the results of several degradations.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'There are no results of single images at {path}. First run '
            'tools/benchmark.py with the same config and --out, or select images with '
            '--names.')
    values: Values = {}
    for row in read_rows(path):
        if 'degradation' in row:
            raise ValueError(
                f'{path} holds results of several degradations, but a figure shows one '
                'dataset. Select images with --names.')
        name, columns = row.pop('name'), values.setdefault(row.pop('method'), {})
        for column, value in row.items():
            if value:
                columns.setdefault(column, {})[name] = float(value)
    return values


def choose_faces(values: Values, pair: tuple[str, str], column: str = 'LPIPS',
                 count: int = 3, info: MetricInfo | None = None) -> list[str]:
    """Chooses faces by the difference between two methods.

    Args:
        values: As ``read_values`` returns them.
        pair: Two methods; the difference is the first minus the second.
        column: The metric.
        count: Number of faces: 1 gives the median, 2 the extremes, 3 both; more are
            spread evenly over the ranks.
        info: Direction of the metric; default: see ``metric_info``.

    Returns:
        Names, from the face on which the first method is best, compared with the
        second, to the face on which it is worst.

    Raises:
        ValueError: A method or column was not measured, or ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f'Expected at least one face, found count={count}.')
    for method in pair:
        if column not in values.get(method, {}):
            raise ValueError(
                f'{method!r} has no values of {column!r}; found results of '
                f'{", ".join(values)}. Change --pair or --column, or select images '
                'with --names.')
    first, second = (values[method][column] for method in pair)
    info = info or metric_info(column)
    sign = -1 if info.higher_is_better else 1
    ranked = sorted(first.keys() & second.keys(),
                    key=lambda name: (sign * (first[name] - second[name]), name))
    last = len(ranked) - 1
    ranks = [last // 2] if count == 1 else [
        round(last * number / (count - 1)) for number in range(count)]
    return [ranked[rank] for rank in dict.fromkeys(ranks)]


class Gallery:
    """Restores chosen faces with the methods of a benchmark.

    A method without its checkpoint is omitted, with a warning.

    Args:
        config: A benchmark's config, as ``load_config`` returns it.
        methods: Names in the order of the columns; default: the config's
            ``figure_methods``, or all.
        device: Device of the networks.

    Raises:
        ValueError: A name is not a row of the config.
    """

    def __init__(self, config: Config, methods: Sequence[str] | None = None,
                 device: str = 'cpu') -> None:
        known = {method.name: method for method in methods_of(config)}
        selected = list(methods or config.get('figure_methods') or known)
        unknown = [name for name in selected if name not in known]
        if unknown:
            raise ValueError(
                f'{unknown[0]!r} is not one of the methods of {config.filename}: '
                f'{", ".join(known)}.')
        self.device = torch.device(device)
        self.preprocess = MODELS.build(dict(type='fdsr.FacePreprocessor')).to(
            self.device)
        self.networks: dict[str, nn.Module] = {}
        for name in selected:
            if known[name].missing():
                print_log(f'{name} is omitted: {known[name].missing()}', 'current',
                          logging.WARNING)
                continue
            network = build_network(network_config(known[name], config))
            self.networks[name] = network.to(self.device)
        self.config = config
        self.dataset = DATASETS.build(config.test_dataloader.dataset)
        self.metrics = [METRICS.build(metric) for metric in _METRICS]

    @property
    def labels(self) -> list[str]:
        """The columns: LR, the methods, HR."""
        return ['LR', *self.networks, 'HR']

    def faces(self, names: Sequence[str], zoom: bool = False,
              others: Images | None = None) -> list[FigureFace]:
        """Returns faces for ``draw_figure``, with the metrics as captions.

        Args:
            names: Names of samples of the benchmark's dataset.
            zoom: Show eyes and mouth enlarged.
            others: Images of further methods, whose networks are not available.

        Raises:
            ValueError: The dataset has no sample of a name, or it cannot be read.
        """
        index = {self.dataset.sample_name(number): number
                 for number in range(len(self.dataset))}
        missing = [name for name in names if name not in index]
        if missing:
            raise ValueError(
                f'{self.dataset.name} has no sample {missing[0]!r}; found {len(index)} '
                f'samples, for example {next(iter(index), None)!r}.')
        return [
            self._face(name, self.dataset[index[name]], zoom,
                       {label: found[name] for label, found in (others or {}).items()})
            for name in names]

    def degraded_faces(self, names: Sequence[str], degradations: Sequence[str],
                       zoom: bool = False) -> list[FigureFace]:
        """Returns each face once per degradation; LR is captioned with its name.

        Args:
            names: Names of samples of the benchmark's dataset.
            degradations: Names in the config's ``degradations``.
            zoom: Show eyes and mouth enlarged.

        Raises:
            ValueError: See ``faces``; also for an unknown degradation.
        """
        known = self.config.get('degradations') or {}
        found = []
        for degradation in degradations:
            if degradation not in known:
                raise ValueError(
                    f'{degradation!r} is not one of the degradations of '
                    f'{self.config.filename}: {", ".join(known) or "it has none"}.')
            self.dataset = DATASETS.build(
                degraded_config(self.config, degradation).test_dataloader.dataset)
            faces = self.faces(names, zoom)
            for face in faces:
                face.captions['LR'] = degradation
            found.append(faces)
        return [face for faces in zip(*found) for face in faces]

    @torch.no_grad()
    def _face(self, name: str, sample: dict[str, Any] | None, zoom: bool,
              others: dict[str, np.ndarray]) -> FigureFace:
        if sample is None:
            raise ValueError(f'{name} cannot be read. See {self.dataset.report.path}.')
        data = self.preprocess(dict(
            inputs=[sample['inputs']], data_samples=[sample['data_samples']]), False)
        lr, samples = data['inputs'], data['data_samples']
        images = {'LR': lr, **{
            label: run_backbone(network, lr, samples)
            for label, network in self.networks.items()}, 'HR': samples.gt_img}
        shown = {label: to_uint8(image)[0].cpu().permute(1, 2, 0).numpy()
                 for label, image in images.items()}
        shown.update(others)
        zooms = _zooms(samples) if zoom else ()
        return FigureFace(shown, self._captions(shown), zooms)

    def _captions(self, images: dict[str, np.ndarray]) -> dict[str, str]:
        """Returns the metrics of each SR; below LR, the names of the metrics."""
        captions = {'LR': ' / '.join(metric.metric for metric in self.metrics)}
        gt = images['HR'].transpose(2, 0, 1)
        for label in images.keys() - {'LR', 'HR'}:
            sr = images[label].transpose(2, 0, 1)
            captions[label] = ' / '.join(
                info_of(metric).format(float(metric.process_image(gt, sr, None)))
                for metric in self.metrics)
        return captions


def _zooms(samples: Any) -> Sequence[tuple[int, int, int, int]]:
    boxes = samples.get('boxes')
    if boxes is None:
        raise ValueError(
            '--zoom needs the boxes of the components. Add '
            "dict(type='fdsr.ComponentBoxes') to the dataset's pipeline and "
            "data_keys=['boxes'] to PackInputs.")
    return zoom_regions(boxes[0].cpu().numpy(), samples.gt_img.shape[-1])
