"""One evaluator for all models that a test run compares."""

import logging
from typing import Any, Dict, List, Sequence, Union

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from torch import Tensor

from fdsr.registry import EVALUATORS, METRICS

Row = Dict[str, Any]


def column_name(metric: BaseMetric) -> str:
    """Names a metric's column by all that changes its numbers.

    'PSNR' is RGB without border; 'PSNR-Y', 'SSIM-Y-crop8' and 'LPIPS-vgg16' are other
    protocols, each in a column of its own.
    """
    name = metric.metric
    if getattr(metric, 'convert_to', None):
        name += f'-{metric.convert_to.upper()}'
    if getattr(metric, 'crop_border', 0):
        name += f'-crop{metric.crop_border}'
    return name


@EVALUATORS.register_module()
class FaceEvaluator(Evaluator):
    """Applies the same metrics to each model found in the predictions.

    A metric has `process_image(gt, pred, mask)` as mmagic's sample-wise metrics have,
    for (3, H, W) uint8 RGB arrays, or `process_batch(gt, pred)` for uint8 tensors
    (B, 3, H, W); and an attribute `metric`, its name. mmagic's metrics take images for
    BGR when they turn them into Y; here they are told that images are RGB.

    Samples are told apart by their names: those that a distributed sampler repeats to
    fill up the last round count once, and the mean is the same for any number of
    processes. Samples that the data set had to skip are counted.

    Args:
        metrics: configs of metrics, or built ones; each is given once, and serves all
            models.

    Attributes:
        rows: after `evaluate`, a dict for each image and model: 'name', 'model', and
            one value for each column; sorted by name.
        models: after `evaluate`, {model: {column: mean}}.
        num_images: after `evaluate`, how many different images were measured.
        num_skipped: after `evaluate`, how many images of the data set were not.

    Raises:
        TypeError: a metric that has neither method.
        ValueError: two metrics with the same column, or a metric with a prefix.
    """

    def __init__(self, metrics: Union[dict, BaseMetric, Sequence]) -> None:
        if isinstance(metrics, (dict, BaseMetric)):
            metrics = [metrics]
        super().__init__([
            METRICS.build(metric) if isinstance(metric, dict) else metric
            for metric in metrics])
        self._columns: Dict[str, BaseMetric] = {}
        for metric in self.metrics:
            self._add(metric)
        self._pending: List[Row] = []
        self.rows: List[Row] = []
        self.models: Dict[str, Dict[str, float]] = {}
        self.num_images = self.num_skipped = 0

    def _add(self, metric: BaseMetric) -> None:
        kind = type(metric).__name__
        if not (hasattr(metric, 'process_batch') or hasattr(metric, 'process_image')):
            raise TypeError(
                f'FaceEvaluator: {kind} has neither process_batch nor process_image, '
                'so it cannot measure pairs of images.')
        if metric.prefix:
            raise ValueError(
                f'FaceEvaluator: {kind} has prefix={metric.prefix!r}; keys are '
                'MODEL/COLUMN here. Leave the prefix out.')
        name = column_name(metric)
        if name in self._columns:
            raise ValueError(f'FaceEvaluator: two metrics are named {name!r}.')
        if hasattr(metric, 'channel_order'):
            metric.channel_order = 'RGB'
        self._columns[name] = metric

    def protocol(self) -> Dict[str, Dict[str, Any]]:
        """Returns {column: what has to stand beside its numbers}."""
        return {name: _describe(metric) for name, metric in self._columns.items()}

    @torch.no_grad()
    def process(
        self, data_samples: Sequence[BaseDataElement], data_batch: Any = None,
    ) -> None:
        """Measures a batch.

        Args:
            data_samples: samples with `name`; `gt_img`, uint8 (3, S, S) RGB; and
                `predictions`, {model: uint8 (3, S, S) RGB}. May be empty.
            data_batch: not used.

        Raises:
            TypeError: an image that is not uint8.
            ValueError: a prediction of another shape than its GT.
        """
        models = dict.fromkeys(
            model for sample in data_samples for model in sample.predictions)
        for model in models:
            samples = [s for s in data_samples if model in s.predictions]
            pairs = [_pair(sample, model) for sample in samples]
            rows = [dict(name=sample.name, model=model) for sample in samples]
            for column, metric in self._columns.items():
                for row, value in zip(rows, _measure(metric, pairs)):
                    row[column] = float(value)
            self._pending += rows

    def evaluate(self, size: int) -> Dict[str, float]:
        """Returns the means over all images and processes.

        Args:
            size: length of the data set; the difference to what was measured is
                `num_skipped`.

        Returns:
            {'MODEL/COLUMN': mean}, the same in each process.

        Raises:
            RuntimeError: nothing was measured.
            ValueError: two samples have the same name, or a model was measured on
                other images than another one.
        """
        parts = all_gather_object(self._pending)
        self._pending = []
        rows = [row for part in parts for row in part]
        if not rows:
            raise RuntimeError(
                f'FaceEvaluator: none of the {size} samples was measured. Look into '
                'the data set\'s list of skipped samples, skipped_*.csv.')
        self.rows = _unique(rows)
        self.models = self._means()
        self.num_images = len({row['name'] for row in self.rows})
        self.num_skipped = size - self.num_images
        if self.num_skipped:
            print_log(
                f'{self.num_skipped} of {size} samples were skipped; the means are '
                f'over {self.num_images} images.',
                logger='current', level=logging.WARNING)
        return {
            f'{model}/{column}': value
            for model, means in self.models.items() for column, value in means.items()}

    def _means(self) -> Dict[str, Dict[str, float]]:
        means, measured = {}, {}
        for model in dict.fromkeys(row['model'] for row in self.rows):
            rows = [row for row in self.rows if row['model'] == model]
            measured[model] = {row['name'] for row in rows}
            means[model] = {
                column: float(np.mean([row[column] for row in rows]))
                for column in self._columns}
        if len(set(map(frozenset, measured.values()))) > 1:
            counts = {model: len(names) for model, names in measured.items()}
            raise ValueError(
                'FaceEvaluator: the models were not measured on the same images, so '
                f'their means cannot be compared: {counts}. Each sample has to carry '
                'a prediction of each model.')
        return means


def _pair(sample: BaseDataElement, model: str) -> tuple:
    gt, pred = sample.gt_img, sample.predictions[model]
    for what, image in (('gt_img', gt), (f'predictions[{model!r}]', pred)):
        if image.dtype != torch.uint8:
            raise TypeError(
                f'{sample.name}: {what} is {image.dtype}, expected uint8. Images are '
                'clamped and rounded before they are measured.')
    if gt.shape != pred.shape:
        raise ValueError(
            f'{sample.name}: the SR of {model} is {tuple(pred.shape)}, its GT is '
            f'{tuple(gt.shape)}. Check the scale of the backbone and of the data.')
    return gt, pred


def _measure(metric: BaseMetric, pairs: Sequence[tuple]) -> List[float]:
    if not hasattr(metric, 'process_batch'):
        return [
            metric.process_image(_numpy(gt), _numpy(pred), None) for gt, pred in pairs]
    if len({tuple(gt.shape) for gt, _ in pairs}) > 1:
        return [
            metric.process_batch(gt[None], pred[None])[0] for gt, pred in pairs]
    return metric.process_batch(
        torch.stack([gt for gt, _ in pairs]), torch.stack([pred for _, pred in pairs]))


def _numpy(image: Tensor) -> np.ndarray:
    return image.detach().cpu().numpy()


def _describe(metric: BaseMetric) -> Dict[str, Any]:
    if hasattr(metric, 'protocol'):
        return metric.protocol()
    facts = dict(
        metric=metric.metric, border=getattr(metric, 'crop_border', 0),
        colour_space=getattr(metric, 'convert_to', None) or 'RGB')
    if metric.metric == 'SSIM':
        facts['window'] = '11x11 Gaussian, sigma 1.5, mean over the channels'
    return facts


def _unique(rows: Sequence[Row]) -> List[Row]:
    """Drops the repetitions of a distributed sampler, which fills up one round."""
    unique: Dict[tuple, Row] = {}
    for row in rows:
        unique.setdefault((row['model'], row['name']), row)
    num_models = len({row['model'] for row in rows})
    repeated = len(rows) - len(unique)
    if repeated > (get_world_size() - 1) * num_models:
        names = [row['name'] for row in rows]
        twice = next(name for name in names if names.count(name) > num_models)
        raise ValueError(
            f'FaceEvaluator: {repeated} rows have a name that was measured already, '
            f'e.g. {twice!r}; names must be unique in a data set.')
    return sorted(unique.values(), key=lambda row: row['name'])
