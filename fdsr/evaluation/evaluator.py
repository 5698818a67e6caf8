"""An evaluator that applies the same metrics to all models of a test run."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from torch import Tensor

from fdsr.evaluation.metric_info import MetricInfo, info_of
from fdsr.registry import EVALUATORS, METRICS

Row = dict[str, Any]
_METHODS = ('process_batch', 'process_image', 'set_features')


def column_name(metric: BaseMetric) -> str:
    """Returns a column name that includes every setting that changes the numbers.

    'PSNR' is RGB without border. 'PSNR-Y', 'SSIM-Y-crop8' and 'LPIPS-vgg16' are other
    protocols, so each has a column of its own.
    """
    name = metric.metric
    if getattr(metric, 'convert_to', None):
        name += f'-{metric.convert_to.upper()}'
    if getattr(metric, 'crop_border', 0):
        name += f'-crop{metric.crop_border}'
    return name


@EVALUATORS.register_module()
class FaceEvaluator(Evaluator):
    """Applies the same metrics to each model of the predictions.

    A metric declares the attributes listed in `fdsr.evaluation.metric_info` and has one
    of these interfaces:

    - `process_batch(gt, pred)` for uint8 RGB tensors (B, 3, H, W), which returns one
      number per image;
    - `process_image(gt, pred, mask)` for uint8 RGB arrays (3, H, W), as mmagic's
      sample-wise metrics. Those expect BGR for the conversion to Y, so their
      `channel_order` is set to RGB;
    - for one value per set, as `FID`: `set_features(images)`, which maps uint8 tensors
      (B, 3, H, W) to features (B, D); `distance(gt, pred)` of features (N, D); and
      `check_count(count)`, which raises an error for a set that is too small.

    A metric may have `check_size(size)`, which raises an error for images that are too
    small. It is called before the first iteration of a training or test.

    Samples are identified by name. A sample that a distributed sampler repeats to fill
    the last round counts once, so the mean does not depend on the number of processes.

    Args:
        metrics: Configs of metrics, or metrics. Each metric serves all models.

    Attributes:
        infos: {column: direction and number format of the metric}.
        rows: After `evaluate`, one dict per image and model: 'name', 'model' and one
            value per metric of single images; sorted by name.
        models: After `evaluate`, {model: {column: mean, or value of the set}}.
        num_images: After `evaluate`, number of images that were measured.
        num_skipped: After `evaluate`, number of images of the dataset that were not.

    Raises:
        TypeError: A metric lacks the interface or the declared attributes.
        ValueError: Two metrics have the same column, or a metric has a prefix.
    """

    def __init__(self, metrics: dict | BaseMetric | Sequence) -> None:
        if isinstance(metrics, (dict, BaseMetric)):
            metrics = [metrics]
        super().__init__([
            METRICS.build(metric) if isinstance(metric, dict) else metric
            for metric in metrics])
        self._columns: dict[str, BaseMetric] = {}
        self.infos: dict[str, MetricInfo] = {}
        for metric in self.metrics:
            self._add(metric)
        self._pending: list[Row] = []
        self.rows: list[Row] = []
        self.models: dict[str, dict[str, float]] = {}
        self.num_images = self.num_skipped = 0

    def _add(self, metric: BaseMetric) -> None:
        kind = type(metric).__name__
        if not any(hasattr(metric, name) for name in _METHODS):
            raise TypeError(
                f'FaceEvaluator: {kind} cannot measure images. Expected one of the '
                f'methods {", ".join(_METHODS)}, found none.')
        if not getattr(metric, 'metric', None):
            raise TypeError(
                f'FaceEvaluator: {kind} has no name. Add the class attribute metric, '
                'for example metric = \'NIQE\'.')
        if metric.prefix:
            raise ValueError(
                f'FaceEvaluator: {kind} has prefix={metric.prefix!r}, but the keys of '
                'the results are MODEL/COLUMN. Remove the prefix.')
        name = column_name(metric)
        if name in self._columns:
            raise ValueError(
                f'FaceEvaluator: two metrics have the column {name!r}. Remove one.')
        if hasattr(metric, 'channel_order'):
            metric.channel_order = 'RGB'
        self.infos[name] = info_of(metric)
        self._columns[name] = metric

    def protocol(self) -> dict[str, dict[str, Any]]:
        """Returns {column: facts that are reported with its numbers}."""
        return {name: _describe(metric) for name, metric in self._columns.items()}

    @property
    def dataset_meta(self) -> dict | None:
        """The dataset's ``metainfo``; the loops set it before the first batch.

        Raises:
            ValueError: The dataset or its images are too small for one of the metrics.
        """
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        Evaluator.dataset_meta.fset(self, dataset_meta)
        facts = (dataset_meta or {}).get('protocol') or {}
        if facts.get('kept') is not None:
            self._check_count(facts['kept'])
        if facts.get('size') is not None:
            for metric in self._columns.values():
                if hasattr(metric, 'check_size'):
                    metric.check_size(facts['size'])

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
            data_samples: Samples with `name`; `gt_img`, uint8 (3, S, S) RGB; and
                `predictions`, {model: uint8 (3, S, S) RGB}. May be empty.
            data_batch: Not used.

        Raises:
            TypeError: An image is not uint8.
            ValueError: A prediction and its GT differ in shape.
        """
        models = dict.fromkeys(
            model for sample in data_samples for model in sample.predictions)
        references = self._references(data_samples)
        for model in models:
            samples = [s for s in data_samples if model in s.predictions]
            pairs = [_pair(sample, model) for sample in samples]
            rows = [dict(name=sample.name, model=model) for sample in samples]
            for column, metric in self._columns.items():
                if _is_of_the_set(metric):
                    found = _features(metric, [pred for _, pred in pairs])
                    values: Iterable = zip(
                        (references[column][s.name] for s in samples), found)
                else:
                    values = map(float, _measure(metric, pairs))
                for row, value in zip(rows, values):
                    row[column] = value
            self._pending += rows

    def _references(
        self, samples: Sequence[BaseDataElement],
    ) -> dict[str, dict[str, np.ndarray]]:
        """Returns {column: {name: features of the GT}}, shared by all models."""
        samples = [sample for sample in samples if sample.predictions]
        return {
            column: dict(zip(
                (sample.name for sample in samples),
                _features(metric, [sample.gt_img for sample in samples])))
            for column, metric in self._columns.items() if _is_of_the_set(metric)}

    def evaluate(self, size: int) -> dict[str, float]:
        """Returns the means over all images and processes.

        Args:
            size: Length of the dataset. Images that were not measured are counted in
                `num_skipped`.

        Returns:
            {'MODEL/COLUMN': mean, or value of the set}, the same in each process.

        Raises:
            RuntimeError: No sample was measured.
            ValueError: Two samples have the same name, the models were measured on
                different images, or a metric needs more images.
        """
        parts = all_gather_object(self._pending)
        self._pending = []
        rows = [row for part in parts for row in part]
        if not rows:
            raise RuntimeError(
                f'FaceEvaluator: none of the {size} samples was measured. Check the '
                'dataset\'s report of skipped samples, skipped_*.csv.')
        rows = _unique(rows)
        self.models = self._summarise(rows)
        # Drops the features of set metrics, which are large and no longer needed.
        self.rows = [
            {name: value for name, value in row.items()
             if not _is_of_the_set(self._columns.get(name))} for row in rows]
        self.num_images = len({row['name'] for row in rows})
        self.num_skipped = size - self.num_images
        if self.num_skipped:
            print_log(
                f'Skipped {self.num_skipped} of {size} samples. The means are over '
                f'{self.num_images} images.',
                logger='current', level=logging.WARNING)
        return {
            f'{model}/{column}': value
            for model, means in self.models.items() for column, value in means.items()}

    def _summarise(self, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
        """Returns {model: {column: mean, or value of the set}}."""
        by_model: dict[str, list[Row]] = {}
        for row in rows:
            by_model.setdefault(row['model'], []).append(row)
        if len({frozenset(row['name'] for row in of) for of in by_model.values()}) > 1:
            counts = {model: len(of) for model, of in by_model.items()}
            raise ValueError(
                'FaceEvaluator: the models were measured on different images, found '
                f'{counts}, so their means are not comparable. Every sample needs a '
                'prediction of every model.')
        self._check_count(len({row['name'] for row in rows}))
        return {
            model: {
                column: _summary(metric, [row[column] for row in of])
                for column, metric in self._columns.items()}
            for model, of in by_model.items()}


def _is_of_the_set(metric: BaseMetric | None) -> bool:
    return hasattr(metric, 'set_features')


def _pair(sample: BaseDataElement, model: str) -> tuple[Tensor, Tensor]:
    gt, pred = sample.gt_img, sample.predictions[model]
    for what, image in (('gt_img', gt), (f'predictions[{model!r}]', pred)):
        if image.dtype != torch.uint8:
            raise TypeError(
                f'{sample.name}: {what} is {image.dtype}, expected uint8. Clamp and '
                'round images before they are measured.')
    if gt.shape != pred.shape:
        raise ValueError(
            f'{sample.name}: the SR of {model} is {tuple(pred.shape)}, its GT is '
            f'{tuple(gt.shape)}. Check the scale of the backbone and of the dataset.')
    return gt, pred


def _measure(metric: BaseMetric, pairs: Sequence[tuple]) -> list[float]:
    if not hasattr(metric, 'process_batch'):
        return [
            metric.process_image(_numpy(gt), _numpy(pred), None) for gt, pred in pairs]
    if len({tuple(gt.shape) for gt, _ in pairs}) > 1:
        return [
            metric.process_batch(gt[None], pred[None])[0] for gt, pred in pairs]
    return metric.process_batch(
        torch.stack([gt for gt, _ in pairs]), torch.stack([pred for _, pred in pairs]))


def _features(metric: BaseMetric, images: Sequence[Tensor]) -> list[np.ndarray]:
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


def _describe(metric: BaseMetric) -> dict[str, Any]:
    if hasattr(metric, 'protocol'):
        return metric.protocol()
    facts = dict(
        metric=metric.metric, border=getattr(metric, 'crop_border', 0),
        colour_space=getattr(metric, 'convert_to', None) or 'RGB')
    if metric.metric == 'SSIM':
        facts['window'] = '11x11 Gaussian, sigma 1.5, mean over the channels'
    return facts


def _unique(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows without those that a distributed sampler repeated."""
    unique: dict[tuple, Row] = {}
    for row in rows:
        unique.setdefault((row['model'], row['name']), row)
    num_models = len({row['model'] for row in rows})
    repeated = len(rows) - len(unique)
    if repeated > (get_world_size() - 1) * num_models:
        names = [row['name'] for row in rows]
        twice = next(name for name in names if names.count(name) > num_models)
        raise ValueError(
            f'FaceEvaluator: {repeated} rows have the name of another row, for example '
            f'{twice!r}. Sample names must be unique within a dataset.')
    return sorted(unique.values(), key=lambda row: row['name'])
