"""Writes and checks self-describing checkpoints."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from fdsr.models.files import (
    CheckpointMismatch,
    check_external,
    check_hashes,
    check_meta,
    check_values,
)
from fdsr.models.files.checkpoints import (
    check_own_description,
    describe,
    external_parts,
    strip_external,
)
from fdsr.registry import HOOKS
from fdsr.utils.modules import unwrap
from fdsr.weights.hashing import KEY, hashes_of

_START_FROM = ('To start from the weights of another run, give its checkpoint as '
               'model.init_from.')


@HOOKS.register_module()
class SelfDescribingHook(Hook):
    """Adds ``meta['fdsr']`` to the runner's checkpoints and checks it on loading.

    See ``fdsr.models.files.checkpoints`` for the format. Frozen modules with a file of
    their own (VGG, dictionary, teacher) are stored as path and SHA-256 and not as
    values. The alignment of the training faces is stored as ``faces``.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner: Any) -> None:
        """Checks that the run's checkpoints will load again.

        Raises:
            CheckpointMismatch: they will not; the message says how to fix it.
        """
        model, dataset = unwrap(runner.model), runner.train_loop.dataloader.dataset
        meta = {'fdsr': _facts_of(model, dataset)}
        if hasattr(dataset, 'metainfo'):
            meta['dataset_meta'] = dataset.metainfo
        check_own_description('The checkpoints of this run', bare(model), meta)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the description with hashes, and removes values of external files."""
        model = unwrap(runner.model)
        facts = _facts_of(model, runner.train_loop.dataloader.dataset)
        checkpoint['meta']['fdsr'] = facts
        wrapped = wrapped_children(model)
        checkpoint['state_dict'] = strip_external(
            {_bare_key(key, wrapped): value
             for key, value in checkpoint['state_dict'].items()}, facts['external'])
        facts[KEY] = hashes_of(checkpoint['state_dict'])

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Checks the values and external files, and adds the values of the latter.

        Values of modules that the run does not have, such as an unused average, are
        ignored.

        Raises:
            CheckpointMismatch: the description is missing or wrong, an external file
                differs, or the values do not match the model or their hash.
        """
        source = _source_of(runner)
        meta, state = checkpoint.get('meta'), checkpoint.get('state_dict')
        facts = meta.get('fdsr') if isinstance(meta, dict) else None
        if facts is None or not isinstance(state, dict):
            raise CheckpointMismatch(
                f'{source} was not written by fdsr (no meta["fdsr"]), so a run cannot '
                f'resume from it. {_START_FROM}')
        # mmengine would execute this Python code to look up a key of other projects
        meta.pop('config', None)
        check_meta(source, meta)
        model = unwrap(runner.model)
        wrapped, live = wrapped_children(model), external_parts(bare(model))
        check_external(source, facts['external'], live)
        own = model.state_dict()
        bare_own = {_bare_key(key, wrapped): value for key, value in own.items()}
        children = {key.partition('.')[0] for key in bare_own}
        values = {key: value for key, value in strip_external(state, live).items()
                  if key.partition('.')[0] in children}
        check_values(source, strip_external(bare_own, live), values, _START_FROM)
        check_hashes(source, facts, hashes_of(state))
        # mmengine's loader descends into wrapped children by their bare names
        checkpoint['state_dict'] = {
            key: values.get(key, value) for key, value in bare_own.items()}


def _facts_of(model: nn.Module, dataset: Any) -> dict[str, Any]:
    return describe(bare(model), getattr(dataset, 'geometry', dict)())


def _source_of(runner: Any) -> str:
    """Returns the file that is being loaded; mmengine does not pass it to hooks."""
    return str(runner._load_from or 'The checkpoint')


def wrapped_children(model: nn.Module) -> set[str]:
    """Returns the names of the children inside a distributed wrapper."""
    return {name for name, child in model.named_children() if is_model_wrapper(child)}


def bare(model: nn.Module) -> nn.Module:
    """Returns a restorer, or a view of it without the children's wrappers."""
    if not wrapped_children(model):
        return model
    view = nn.Module()
    for name, child in model.named_children():
        view.add_module(name, unwrap(child))
    view.backbone_configs = model.backbone_configs
    return view


def _bare_key(key: str, wrapped: set[str]) -> str:
    """Maps ``student.module.decoder…`` of a wrapped student to ``student.decoder…``."""
    child, _, rest = key.partition('.')
    return f'{child}.{rest[len("module."):]}' if child in wrapped else key
