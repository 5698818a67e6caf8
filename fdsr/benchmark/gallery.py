"""Which faces of a benchmark to show, and what each method makes of them."""

import logging
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from fdsr.benchmark.methods import Method, methods_of, network_config
from fdsr.evaluation.protocol import read_rows
from fdsr.models.forward import run_backbone
from fdsr.models.images import to_uint8
from fdsr.models.restorers.face_tester import build_network
from fdsr.registry import DATASETS, METRICS, MODELS
from fdsr.reporting.figure import FigureFace, zoom_regions
from fdsr.reporting.numbers import cell, higher_is_better

Values = Dict[str, Dict[str, Dict[str, float]]]
#: {method: {name of the face: (H, W, 3) uint8 RGB}}.
Pictures = Dict[str, Dict[str, np.ndarray]]
_METRICS = (dict(type='mmagic.PSNR'), dict(type='fdsr.LPIPS'))


def read_values(path: Union[str, Path]) -> Values:
    """Reads a benchmark's images.csv: {method: {column: {image: value}}}.

    Raises:
        FileNotFoundError: it is not there; tells how it is made.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'There are no per-image results at {path}: run tools/benchmark.py with '
            'the same config and --out first, or name the images with --names.')
    values: Values = {}
    for row in read_rows(path):
        name, columns = row.pop('name'), values.setdefault(row.pop('method'), {})
        for column, value in row.items():
            if value:
                columns.setdefault(column, {})[name] = float(value)
    return values


def choose_faces(values: Values, pair: Tuple[str, str], column: str = 'LPIPS',
                 count: int = 3) -> List[str]:
    """The faces on which two methods differ most, least, and in between.

    Args:
        values: as ``read_values`` returns.
        pair: two methods: the first minus the second.
        column: whose differences are looked at.
        count: how many: 1 is the median, 2 the extremes, 3 both; more are spread
            evenly over the ranks.

    Returns:
        Names, from where the first method does best to where it does worst.

    Raises:
        ValueError: a method or column was not measured.
    """
    if count < 1:
        raise ValueError(f'At least one face has to be chosen, found count={count}.')
    for method in pair:
        if column not in values.get(method, {}):
            raise ValueError(
                f'{method!r} has no values of {column!r}; measured were '
                f'{", ".join(values)}. Choose with --pair and --column, or name the '
                'images with --names.')
    first, second = (values[method][column] for method in pair)
    sign = -1 if higher_is_better(column) else 1
    ranked = sorted(first.keys() & second.keys(),
                    key=lambda name: (sign * (first[name] - second[name]), name))
    last = len(ranked) - 1
    ranks = [last // 2] if count == 1 else [
        round(last * number / (count - 1)) for number in range(count)]
    return [ranked[rank] for rank in dict.fromkeys(ranks)]


class Gallery:
    """Shows what the methods of a benchmark make of chosen faces.

    A method whose checkpoint is missing is left out, which is told.

    Args:
        config: a benchmark's, as ``load_config`` returns it.
        methods: names in the order of the columns; default: the config's
            ``figure_methods``, or all.
        device: where the networks compute.

    Raises:
        ValueError: a name that is no row of the config.
    """

    def __init__(self, config: Config, methods: Optional[Sequence[str]] = None,
                 device: str = 'cpu') -> None:
        known = {method.name: method for method in methods_of(config)}
        wanted = list(methods or config.get('figure_methods') or known)
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise ValueError(
                f'{unknown[0]!r} is none of the methods of {config.filename}: '
                f'{", ".join(known)}.')
        self.device = torch.device(device)
        self.preprocess = MODELS.build(dict(type='fdsr.FacePreprocessor')).to(
            self.device)
        self.networks = self._build(config, [known[name] for name in wanted])
        self.dataset = DATASETS.build(config.test_dataloader.dataset)
        self.metrics = [METRICS.build(metric) for metric in _METRICS]

    def _build(self, config: Config,
               methods: Sequence[Method]) -> Dict[str, nn.Module]:
        networks = {}
        for method in methods:
            if method.missing():
                print_log(f'{method.name} is left out: {method.missing()}', 'current',
                          logging.WARNING)
                continue
            network = build_network(network_config(method, config))
            networks[method.name] = network.to(self.device)
        return networks

    @property
    def labels(self) -> List[str]:
        """Of the columns: LR, the methods, HR."""
        return ['LR', *self.networks, 'HR']

    def faces(self, names: Sequence[str], zoom: bool = False,
              others: Optional[Pictures] = None) -> List[FigureFace]:
        """The chosen faces, for ``draw_figure``, with the metrics of each picture.

        Args:
            names: of samples of the benchmark's data set.
            zoom: show eyes and mouth enlarged.
            others: what methods whose networks are not here made of these faces.

        Raises:
            ValueError: a name that the data set has not, or that cannot be read.
        """
        index = {self.dataset.sample_name(number): number
                 for number in range(len(self.dataset))}
        missing = [name for name in names if name not in index]
        if missing:
            raise ValueError(
                f'{self.dataset.name} has no sample {missing[0]!r}; it has '
                f'{len(index)}, e.g. {next(iter(index), None)!r}.')
        return [
            self._face(name, self.dataset[index[name]], zoom,
                       {label: found[name] for label, found in (others or {}).items()})
            for name in names]

    @torch.no_grad()
    def _face(self, name: str, sample: Optional[Dict[str, Any]], zoom: bool,
              others: Dict[str, np.ndarray]) -> FigureFace:
        if sample is None:
            raise ValueError(f'{name} cannot be read; see {self.dataset.report.path}.')
        data = self.preprocess(dict(
            inputs=[sample['inputs']], data_samples=[sample['data_samples']]), False)
        lr, samples = data['inputs'], data['data_samples']
        pictures = {'LR': lr, **{
            label: run_backbone(network, lr, samples)
            for label, network in self.networks.items()}, 'HR': samples.gt_img}
        shown = {label: to_uint8(picture)[0].cpu().permute(1, 2, 0).numpy()
                 for label, picture in pictures.items()}
        shown.update(others)
        zooms = _zooms(samples) if zoom else ()
        return FigureFace(shown, self._captions(shown), zooms)

    def _captions(self, pictures: Dict[str, np.ndarray]) -> Dict[str, str]:
        """What stands below the pictures; below LR, which metrics these are."""
        captions = {'LR': ' / '.join(metric.metric for metric in self.metrics)}
        gt = pictures['HR'].transpose(2, 0, 1)
        for label in pictures.keys() - {'LR', 'HR'}:
            sr = pictures[label].transpose(2, 0, 1)
            values = [metric.process_image(gt, sr, None) for metric in self.metrics]
            captions[label] = ' / '.join(
                cell(metric.metric, float(value))
                for metric, value in zip(self.metrics, values))
        return captions


def _zooms(samples: Any) -> Sequence[Tuple[int, int, int, int]]:
    boxes = samples.get('boxes')
    if boxes is None:
        raise ValueError(
            '--zoom needs the components\' boxes: put '
            "dict(type='fdsr.ComponentBoxes') into the data set's pipeline and "
            "data_keys=['boxes'] into PackInputs.")
    return zoom_regions(boxes[0].cpu().numpy(), samples.gt_img.shape[-1])
