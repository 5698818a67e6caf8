"""Writes checkpoints so that a killed run can always be resumed."""

import math
from collections.abc import Callable
from inspect import Signature, signature
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as _CheckpointHook

from fdsr.engine.work_dir import SAVED, Checkpoints
from fdsr.registry import HOOKS
from fdsr.utils.files import atomic_path, explained
from fdsr.utils.modules import unwrap


def _without_kwargs(function: Callable) -> Signature:
    whole = signature(function)
    return whole.replace(parameters=[
        one for one in whole.parameters.values() if one.kind is not one.VAR_KEYWORD])


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """mmengine's hook with safe writes.

    A checkpoint is written to a temporary name and renamed; then ``last_checkpoint`` is
    updated; then the checkpoints beyond ``max_keep_ckpts`` are deleted. A kill at any
    moment leaves at least one complete checkpoint.

    ``save_best`` takes ``auto`` or a key ``NETWORK/COLUMN`` of the results, for example
    ``student/LPIPS``. ``auto`` is the first metric of the trained network. The metric
    declares whether higher values are better; ``rule`` overrides it.

    Args:
        **kwargs: arguments of mmengine's ``CheckpointHook``; ``out_dir`` is a local
            folder.

    Raises:
        ValueError: ``out_dir`` is a URL.
        TypeError: an argument is unknown.
    """

    # For the check of --cfg-options, which suggests the nearest name.
    __signature__ = _without_kwargs(_CheckpointHook)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.args:  # mmengine would pass them on to every save
            raise TypeError(
                f'CheckpointHook: unknown argument {next(iter(self.args))!r}; expected '
                f'one of {", ".join(self.__signature__.parameters)}.')
        if '://' in str(self.out_dir or ''):
            raise ValueError(f'CheckpointHook: out_dir: expected a local folder, found '
                             f'{self.out_dir!r}.')
        self._kept: list[int] = []
        self._best: dict[str, bool] = {}

    def checkpoints(self, work_dir: str) -> Checkpoints:
        """Returns the checkpoints of a run with this work directory."""
        folder = Path(work_dir)
        if self.out_dir is not None and str(self.out_dir) != work_dir:
            folder = Path(self.out_dir) / folder.name
        return Checkpoints(Path(work_dir), folder, self.filename_tmpl)

    def before_train(self, runner: Any) -> None:
        """Finds the metrics of ``save_best`` and deletes checkpoints beyond the limit.

        Raises:
            ValueError: the validation does not produce a metric of ``save_best``.
        """
        self._files = self.checkpoints(runner.work_dir)
        runner.logger.info(f'Checkpoints will be saved to {self._files.folder}.')
        self._best = self._directions(runner)
        kept = runner.message_hub.runtime_info.get('keep_ckpt_ids', [])
        self._kept = list(kept)
        self._delete_old()

    def after_train(self, runner: Any) -> None:
        """Publishes the last and the best checkpoints, if requested."""
        if self.published_keys is not None:
            names = [self.last_ckpt if self.save_last else None, *(
                runner.message_hub.runtime_info.get(self._info('best_ckpt', key))
                for key in self._best)]
            for name in filter(None, names):
                self._publish_model(runner, str(self._files.folder / name))

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        self.last_ckpt = self.filename_tmpl.format(step)
        if self.max_keep_ckpts > 0:
            # With those still to be deleted, so that a resumed run deletes them
            self._kept = [kept for kept in self._kept if kept != step] + [step]
            runner.message_hub.update_info('keep_ckpt_ids', list(self._kept))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.call_hook('gather_states')
        self._write(runner, self.last_ckpt, meta, self.by_epoch, self.save_optimizer,
                    self.save_param_scheduler, **self.args)
        if is_main_process():
            self._files.point_to(self._files.folder / self.last_ckpt)
            runner.logger.info(SAVED.format(self.last_ckpt))
        self._delete_old()

    def _write(self, runner: Any, name: str, meta: dict, by_epoch: bool,
               save_optimizer: bool, save_param_scheduler: bool, **options: Any
               ) -> None:
        if not is_main_process():
            return
        path = self._files.folder / name
        with explained(path), atomic_path(path) as part:
            runner.save_checkpoint(
                str(part.parent), part.name, save_optimizer=save_optimizer,
                save_param_scheduler=save_param_scheduler, meta=meta,
                by_epoch=by_epoch, backend_args=self.backend_args, **options)

    def _delete_old(self) -> None:
        while 0 < self.max_keep_ckpts < len(self._kept):
            self._delete(self.filename_tmpl.format(self._kept.pop(0)))

    def _delete(self, name: str) -> None:
        if is_main_process():
            (self._files.folder / name).unlink(missing_ok=True)

    # save_best

    def _init_rule(self, rules: list, key_indicators: list[str]) -> None:
        """Stores the rules; the metrics are known when the training starts."""
        unknown = set(rules) - {*self.rule_map, None}
        if unknown:
            raise ValueError(f"CheckpointHook: rule: expected 'greater' or 'less', "
                             f'found {unknown.pop()!r}.')
        self.rules = rules if len(rules) > 1 else rules * len(key_indicators)
        self.key_indicators = key_indicators

    def _directions(self, runner: Any) -> dict[str, bool]:
        """Returns {metric of ``save_best``: whether higher values are better}."""
        if not self.save_best:
            return {}
        known = _metrics_of(runner)
        keys = [next(iter(known), 'auto') if key == 'auto' else key
                for key in self.save_best]
        unknown = [key for key in keys if key not in known]
        if unknown:
            raise ValueError(
                f'default_hooks.checkpoint.save_best: {", ".join(map(repr, unknown))} '
                'is not a metric of a trained network; expected '
                f'{", ".join(map(repr, known)) or "a run with validation"}.')
        return {key: known[key] if rule is None else rule == 'greater'
                for key, rule in zip(keys, self.rules)}

    def _info(self, what: str, key: str) -> str:
        """Returns the name in the message hub, the same as mmengine's."""
        return what if len(self._best) == 1 else f'{what}_{key}'

    def _save_best_checkpoint(self, runner: Any, metrics: dict[str, Any]) -> None:
        hub = runner.message_hub
        for key, higher_is_better in self._best.items():
            score, best = metrics.get(key), hub.runtime_info.get(
                self._info('best_score', key))
            if score is None or math.isnan(score) or best is not None and not (
                    score > best if higher_is_better else score < best):
                continue
            before = hub.runtime_info.get(self._info('best_ckpt', key))
            name = f'best_{key}_{self.filename_tmpl.format(runner.iter)}'.replace(
                '/', '_')
            hub.update_info(self._info('best_score', key), float(score))
            hub.update_info(self._info('best_ckpt', key), name)
            self._write(runner, name, dict(epoch=runner.epoch, iter=runner.iter),
                        False, False, False)
            runner.logger.info(f'{name} is the best checkpoint: {key} = {score:.4f}.')
            # earlier versions stored an absolute path
            before = Path(str(before)).name
            if before.startswith('best_') and before != name:
                self._delete(before)


def _metrics_of(runner: Any) -> dict[str, bool]:
    """Returns {NETWORK/COLUMN: whether higher values are better} of a validation.

    Networks that the run does not train are left out, because their metrics are
    constant.
    """
    if runner.val_loop is None:
        return {}
    model = unwrap(runner.model)
    trained = [name for name, network in getattr(
        model, 'reported_networks', dict)().items() if _is_trained(model, network)]
    infos = getattr(runner.val_loop.evaluator, 'infos', {})
    return {f'{name}/{column}': info.higher_is_better
            for name in trained for column, info in infos.items()}


def _is_trained(model: Any, network: Any) -> bool:
    averages = [child for name, child in model.named_children()
                if name.endswith('_ema')]
    return any(unwrap(network) is child for child in averages) or any(
        parameter.requires_grad for parameter in network.parameters())
