"""Restores the state of a run from a checkpoint, with the settings of the config.

The checkpoint has the state of the optimizers (for example Adam's moments). Learning
rates, schedules and all other settings come from the config, so that a changed value
takes effect. Schedulers are stepped to the checkpoint's iteration, which gives the same
values as the interrupted run had if nothing was changed.
"""

import copy
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor
from torch.optim import Optimizer

from fdsr.engine.hooks.exact_resume import KEY, from_plain, to_plain
from fdsr.engine.optim import named_wrappers, set_partial_gradients
from fdsr.engine.random_states import set_random_states
from fdsr.engine.settings import changes, settings_of
from fdsr.engine.work_dir import CannotResume

_INSTEAD = ('To start a new run from the weights of this checkpoint, pass it as '
            'load_from in place of --resume.')
#: State of ReduceOnPlateauParamScheduler.
_OBSERVED = ('best', 'num_bad_epochs', 'cooldown_counter', 'last_step', '_global_step')


@dataclass(frozen=True)
class Position:
    """The position of a resumed run in its samples and random numbers.

    Args:
        consumed: number of samples that all processes together have used, as counted
            by this process, see ``ExactTrainLoop``.
        sampler_seed: seed of the sampler.
        random: see ``random_states``; None if the checkpoint has none for this process.
    """

    consumed: int
    sampler_seed: int | None
    random: dict[str, Any] | None


@contextmanager
def reading(path: str | Path, name: str) -> Iterator[None]:
    """Converts any error about a field of a checkpoint to ``CannotResume``."""
    try:
        yield
    except (CannotResume, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a malformed field can fail anywhere
        reason = ' '.join(str(error).split())[:300]
        raise CannotResume(
            f'{path}: the field {name!r} is malformed ({type(error).__name__}: '
            f'{reason}). The file was modified, or was not written by this version. '
            f'Resume from another checkpoint. {_INSTEAD}') from error


def read_iteration(path: str | Path, checkpoint: dict[str, Any]) -> tuple[int, int]:
    """Returns epoch and iteration of a checkpoint.

    Raises:
        CannotResume: they are missing or not whole numbers.
    """
    with reading(path, 'meta'):
        values = checkpoint['meta']['epoch'], checkpoint['meta']['iter']
        if any(type(value) is not int or value < 0 for value in values):
            raise ValueError(f'expected epoch and iter as integers, found {values}')
    return values


def check_settings(path: str | Path, checkpoint: dict[str, Any], runner: Any) -> None:
    """Reports the settings that differ from those of a checkpoint.

    Raises:
        CannotResume: a changed setting would not take effect.
    """
    effective, refused = [], []
    saved = checkpoint.get(KEY)
    with reading(path, f'{KEY}.settings'):
        if saved is not None and saved.get('settings') is not None:
            if not isinstance(saved['settings'], dict):
                raise ValueError('expected a dict')
            effective, refused = changes(
                saved['settings'], to_plain(settings_of(runner)),
                any(map(_measured, _by_name(runner.param_schedulers).values())))
    seed, own = checkpoint['meta'].get('seed'), runner._randomness_cfg.get('seed')
    if None not in (seed, own) and seed != own and not refused:
        refused = [f'randomness.seed was {seed!r:.80} and is now {own}']
    if refused:
        raise CannotResume(
            f'{path} cannot be resumed with this config: {"; ".join(refused)}. Restore '
            f'these values. {_INSTEAD}')
    if effective:
        runner.logger.warning(
            f'The config has changed since {path}. These changes take effect from here '
            f'on: {"; ".join(effective)}.')


def restore_message_hub(path: str | Path, checkpoint: dict[str, Any], hub: Any) -> None:
    """Restores mmengine's message hub.

    Raises:
        CannotResume: the field is malformed.
    """
    with reading(path, 'message_hub'):
        state = from_plain(checkpoint['message_hub'])
        info = state['runtime_info']
        for name, value in info.items():
            if name.startswith('best_score') and type(value) not in (int, float):
                raise ValueError(f'{name}: expected a number')
        kept = info.get('keep_ckpt_ids', [])
        if type(kept) is not list or any(type(step) is not int for step in kept):
            raise ValueError('keep_ckpt_ids: expected a list of integers')
        hub.load_state_dict(state)


def read_position(path: str | Path, checkpoint: dict[str, Any], rank: int,
                  num_processes: int) -> Position | None:
    """Returns the position that ``ExactResumeHook`` stored, or None.

    Raises:
        CannotResume: the field is malformed.
    """
    saved = checkpoint.get(KEY)
    if saved is None:
        return None
    with reading(path, KEY):
        seed = saved['sampler_seed']
        # earlier versions stored the position of the first process only
        counts = [saved['consumed'], *saved.get('consumed_of_others', [])]
        for count in counts:
            if type(count) is not int or count < 0:
                raise ValueError(f'consumed: expected a whole number, found {count!r}')
        # The streams of another number of processes continue at the earliest position:
        # samples may be repeated, but none is lost.
        consumed = counts[rank] if len(counts) == num_processes else min(counts)
        if seed is not None and type(seed) is not int:
            raise ValueError(f'sampler_seed: expected an integer, found {seed!r}')
        # earlier versions stored the states of the first process only
        states = [saved['random'], *saved.get('random_of_others', [])]
        known = rank == 0 or len(states) == num_processes
        state = states[rank] if known else None
        if known:
            set_random_states(state)  # it may be malformed
        return Position(consumed, seed, state)


def restore_gradients(path: str | Path, checkpoint: dict[str, Any],
                      wrappers: OptimWrapper | OptimWrapperDict, iteration: int
                      ) -> None:
    """Restores the gradients of an unfinished accumulation.

    Raises:
        CannotResume: the field is malformed.
    """
    with reading(path, f'{KEY}.gradients'):
        gradients = (checkpoint.get(KEY) or {}).get('gradients')
        if gradients is not None:
            set_partial_gradients(wrappers, gradients, iteration)


def restore_optimizers(path: str | Path, checkpoint: dict[str, Any],
                       wrappers: OptimWrapper | OptimWrapperDict, schedulers: Any,
                       iteration: int) -> None:
    """Restores optimizers and moves their schedulers to an iteration.

    Args:
        path: the checkpoint, for messages.
        checkpoint: its content.
        wrappers: built from the config.
        schedulers: list, or dict of lists by optimizer, built from the config and not
            stepped yet; or None.
        iteration: of the checkpoint.

    Raises:
        CannotResume: the field ``optimizer`` is malformed or does not fit.
    """
    own = named_wrappers(wrappers)
    with reading(path, 'optimizer'):
        if 'optimizer' not in checkpoint:
            raise CannotResume(
                f'{path} has no state of an optimizer, so a run cannot be resumed from '
                f'it. {_INSTEAD}')
        saved = checkpoint['optimizer']
        saved = saved if isinstance(wrappers, OptimWrapperDict) else {'': saved}
        if set(saved) != set(own):
            raise CannotResume(
                f'{path} has the optimizers {", ".join(map(str, saved))}, the config '
                f'{", ".join(own)}. Restore optim_wrapper. {_INSTEAD}')
    for name, wrapper in own.items():
        field = f'optimizer.{name}' if name else 'optimizer'
        steps = _by_name(schedulers).get(name, [])
        with reading(path, field):
            _check_state(f'{path}: {field}', wrapper.optimizer, saved[name])
            _step(steps, iteration)
        measured = _measured(steps)
        if measured:
            with reading(path, 'param_schedulers'):
                states = checkpoint['param_schedulers']
                states = states[name] if isinstance(schedulers, dict) else states
                _restore_measured(steps, states)
        with reading(path, field):
            for scheduler in measured:
                _copy_values(scheduler, wrapper.optimizer, saved[name])
            wrapper.load_state_dict(_with_own_options(wrapper, saved[name]))
            _adopt_strides(wrapper.optimizer)


def _adopt_strides(optimizer: Optimizer) -> None:
    """Gives the state the strides of the parameters, which another run may not have.

    Fused optimizers pair their elements by position in memory.
    """
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _by_name(schedulers: Any) -> dict[str, list]:
    """Returns lists of schedulers by optimizer; the name of a single one is empty."""
    return schedulers if isinstance(schedulers, dict) else {'': schedulers or []}


def _measured(schedulers: list) -> list:
    """Returns the schedulers that depend on validation results."""
    return [scheduler for scheduler in schedulers
            if getattr(scheduler, 'need_val_args', False)]


def _step(schedulers: list, iteration: int) -> None:
    """Steps schedulers as ``ParamSchedulerHook`` does after each iteration."""
    counting = [scheduler for scheduler in schedulers if not scheduler.by_epoch]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # no optimizer step comes before
        for _ in range(iteration if counting else 0):
            for scheduler in counting:
                scheduler.step()


def _restore_measured(schedulers: list, states: list) -> None:
    """Restores what schedulers have observed; their options stay."""
    for scheduler, state in zip(schedulers, states, strict=True):
        for name in _OBSERVED if _measured([scheduler]) else ():
            if type(state[name]) not in (int, float, type(None)):
                raise ValueError(f'{name}: expected a number')
            setattr(scheduler, name, state[name])


def _copy_values(scheduler: Any, optimizer: torch.optim.Optimizer, saved: dict) -> None:
    """Copies the values that a scheduler has changed, for example learning rates."""
    name = scheduler.param_name
    for group, other in zip(optimizer.param_groups, saved['param_groups'], strict=True):
        if type(other[name]) not in (int, float):
            raise ValueError(f'{name}: expected a number')
        group[name] = other[name]


def _with_own_options(wrapper: OptimWrapper, saved: dict) -> dict:
    """Returns a saved state with the learning rate etc. of the config."""
    own = wrapper.optimizer.state_dict()['param_groups']
    groups = [{**group, 'params': other['params']}
              for group, other in zip(own, saved['param_groups'])]
    return {**{key: value for key, value in saved.items()
               if key != 'base_param_settings'}, 'param_groups': groups}


def _check_state(where: str, optimizer: torch.optim.Optimizer, saved: dict) -> None:
    """Checks that a saved state belongs to an optimizer and its parameters."""
    groups, state = saved['param_groups'], saved['state']
    sizes = [[len(group['params']) for group in found]
             for found in (groups, optimizer.param_groups)]
    indices = [index for group in groups for index in group['params']]
    if sizes[0] != sizes[1] or len(set(indices)) < len(indices) or set(
            state) - set(indices):
        raise ValueError(f'expected groups of {sizes[1]} parameters, found {sizes[0]} '
                         f'with {len(state)} states')
    for own, group in zip(optimizer.param_groups, groups):
        layout = _state_layout(optimizer, own)
        for parameter, index in zip(own['params'], group['params']):
            if index in state and layout is not None:
                _check_entries(where, optimizer, layout[parameter.ndim],
                               parameter, state[index])


def _check_entries(where: str, optimizer: torch.optim.Optimizer, layout: dict,
                   parameter: Tensor, found: dict) -> None:
    found = {key: value for key, value in found.items() if value is not None}
    if set(found) != set(layout):
        raise CannotResume(
            f'{where}: {type(optimizer).__name__} with the options of the config has '
            f'the state {", ".join(layout) or "(empty)"}, found '
            f'{", ".join(map(str, found)) or "(empty)"}. Restore the type and the '
            f'options of the optimizer in optim_wrapper. {_INSTEAD}')
    for key, shape in layout.items():
        expected = None if shape is None else tuple(
            parameter.shape[size - 2] if size > 1 else size for size in shape)
        value = found[key]
        shape = tuple(value.shape) if isinstance(value, Tensor) else None
        if shape != expected and not (key == 'step' and type(value) in (int, float)):
            raise ValueError(f'{key}: expected the shape {expected}, found {shape}')
        if shape is not None and not torch.isfinite(value).all():
            raise ValueError(f'{key}: expected finite values')


def _state_layout(optimizer: torch.optim.Optimizer, group: dict
                  ) -> dict[int, dict[str, tuple | None]] | None:
    """Returns the state that an optimizer keeps for a parameter, by dimensions.

    A copy of the optimizer makes a step with small parameters of shape (2, 3, 4, …).

    Returns:
        {number of dimensions: {name: shape}}. A size of n + 2 in a shape stands for the
        size of the parameter's n-th dimension; the shape is None for values that are
        not tensors. None if the optimizer cannot step like this.
    """
    sizes = sorted({parameter.ndim for parameter in group['params']})
    stand_ins = [torch.ones(tuple(range(2, 2 + size))).requires_grad_()
                 for size in sizes]
    for stand_in in stand_ins:
        stand_in.grad = torch.ones_like(stand_in)
    probe = copy.copy(optimizer)
    probe.state = defaultdict(dict)
    probe.param_groups = [{**group, 'params': stand_ins}]
    try:
        probe.step()
    except Exception:  # for example LBFGS, which needs a closure
        return None
    return {size: {key: tuple(value.shape) if isinstance(value, Tensor) else None
                   for key, value in probe.state[stand_in].items()
                   if value is not None}
            for size, stand_in in zip(sizes, stand_ins)}
