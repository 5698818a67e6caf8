"""One evaluator for all models that a test run compares."""

import logging
from typing import Any, Dict, Iterable, List, Optional, Sequence, Union

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

    A metric of the whole set, as `FID`, has `set_features(images)`, which turns uint8
    tensors (B, 3, H, W) into features (B, D); `distance(gt, pred)` of the features of
    all images (N, D); and `check_count(count)`, which raises for a set that is too
    small. It gives each model one value, and the rows none.

    Samples are told apart by their names: those that a distributed sampler repeats to
    fill up the last round count once, and the mean is the same for any number of
    processes. Samples that the data set had to skip are counted.

    Args:
        metrics: configs of metrics, or built ones; each is given once, and serves all
            models.

    Attributes:
        rows: after `evaluate`, a dict for each image and model: 'name', 'model', and
            one value for each column of single images; sorted by name.
        models: after `evaluate`, {model: {column: mean, or value of the set}}.
        num_images: after `evaluate`, how many different images were measured.
        num_skipped: after `evaluate`, how many images of the data set were not.

    Raises:
        TypeError: a metric that has none of these methods.
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
        if not any(hasattr(metric, name) for name in (
                'process_batch', 'process_image', 'set_features')):
            raise TypeError(
                f'FaceEvaluator: {kind} has neither process_batch nor process_image '
                'nor set_features, so it cannot measure images.')
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

    @property
    def dataset_meta(self) -> Optional[dict]:
        """What the data set tells of itself; the loops set it before they begin.

        Raises:
            ValueError: the set is too small for one of the metrics.
        """
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        Evaluator.dataset_meta.fset(self, dataset_meta)
        count = ((dataset_meta or {}).get('protocol') or {}).get('kept')
        if count is not None:
            self._check_count(count)

    def _check_count(self, count: int) -> None:
        for metric in self._columns.values():
            if _is_of_the_set(metric):
                metric.check_count(count)

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
        measured = {
            model: [s for s in data_samples if model in s.predictions]
            for model in models}
        pairs = {
            model: [_pair(sample, model) for sample in samples]
            for model, samples in measured.items()}
        references = self._references(data_samples)
        for model, samples in measured.items():
            rows = [dict(name=sample.name, model=model) for sample in samples]
            for column, metric in self._columns.items():
                if _is_of_the_set(metric):
                    found = _features(metric, [pred for _, pred in pairs[model]])
                    values: Iterable = zip(
                        (references[column][s.name] for s in samples), found)
                else:
                    values = map(float, _measure(metric, pairs[model]))
                for row, value in zip(rows, values):
                    row[column] = value
            self._pending += rows

    def _references(
        self, samples: Sequence[BaseDataElement],
    ) -> Dict[str, Dict[str, np.ndarray]]:
        """Returns {column: {name: features of the GT}}, which all models share."""
        samples = [sample for sample in samples if sample.predictions]
        return {
            column: dict(zip(
                (sample.name for sample in samples),
                _features(metric, [sample.gt_img for sample in samples])))
            for column, metric in self._columns.items() if _is_of_the_set(metric)}

    def evaluate(self, size: int) -> Dict[str, float]:
        """Returns the means over all images and processes.

        Args:
            size: length of the data set; the difference to what was measured is
                `num_skipped`.

        Returns:
            {'MODEL/COLUMN': mean, or value of the set}, the same in each process.

        Raises:
            RuntimeError: nothing was measured.
            ValueError: two samples have the same name, a model was measured on
                other images than another one, or too few were for a metric.
        """
        parts = all_gather_object(self._pending)
        self._pending = []
        rows = [row for part in parts for row in part]
        if not rows:
            raise RuntimeError(
                f'FaceEvaluator: none of the {size} samples was measured. Look into '
                'the data set\'s list of skipped samples, skipped_*.csv.')
        rows = _unique(rows)
        self.models = self._summarise(rows)
        # The features of metrics of the set have served; they are large.
        self.rows = [
            {name: value for name, value in row.items()
             if not _is_of_the_set(self._columns.get(name))} for row in rows]
        self.num_images = len({row['name'] for row in rows})
        self.num_skipped = size - self.num_images
        if self.num_skipped:
            print_log(
                f'{self.num_skipped} of {size} samples were skipped; the means are '
                f'over {self.num_images} images.',
                logger='current', level=logging.WARNING)
        return {
            f'{model}/{column}': value
            for model, means in self.models.items() for column, value in means.items()}

    def _summarise(self, rows: Sequence[Row]) -> Dict[str, Dict[str, float]]:
        """Returns {model: {column: mean, or value of the set}}."""
        by_model: Dict[str, List[Row]] = {}
        for row in rows:
            by_model.setdefault(row['model'], []).append(row)
        if len({frozenset(row['name'] for row in of) for of in by_model.values()}) > 1:
            counts = {model: len(of) for model, of in by_model.items()}
            raise ValueError(
                'FaceEvaluator: the models were not measured on the same images, so '
                f'their means cannot be compared: {counts}. Each sample has to carry '
                'a prediction of each model.')
        self._check_count(len({row['name'] for row in rows}))
        return {
            model: {
                column: _summary(metric, [row[column] for row in of])
                for column, metric in self._columns.items()}
            for model, of in by_model.items()}


def _is_of_the_set(metric: Optional[BaseMetric]) -> bool:
    return hasattr(metric, 'set_features')


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


def _features(metric: BaseMetric, images: Sequence[Tensor]) -> List[np.ndarray]:
    """Returns the features of each image, on the CPU."""
    if len({tuple(image.shape) for image in images}) > 1:
        return [_features(metric, [image])[0] for image in images]
    if not images:
        return []
    return list(_numpy(metric.set_features(torch.stack(list(images)))))


def _summary(metric: BaseMetric, values: Sequence[Any]) -> float:
    """Returns the mean of values, or the distance of pairs of features."""
    if not _is_of_the_set(metric):
        return float(np.mean(values))
    gt, pred = (np.stack(features) for features in zip(*values))
    return float(metric.distance(gt, pred))


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
