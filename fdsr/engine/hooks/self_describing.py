"""Checkpoints that say what they hold, without copies of what others hold."""

from typing import Any, Dict, Set

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import find_latest_checkpoint
from torch import Tensor, nn

from fdsr.models.files import (
    CheckpointMismatch,
    check_description,
    check_external,
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

_START_FROM = ('To start from the weights of another run, give its checkpoint as '
               'model.init_from.')


@HOOKS.register_module()
class SelfDescribingHook(Hook):
    """Puts ``meta['fdsr']`` into the runner's checkpoints.

    See ``fdsr.models.files.checkpoints``.

    Frozen parts with a file of their own (VGG, dictionary, teacher) are named by path
    and SHA-256 instead of being saved again; on loading they are checked. How the
    training faces were cut is kept beside, for those who use the network.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner: Any) -> None:
        """Checks that what is going to be saved can be loaded again.

        Raises:
            CheckpointMismatch: it cannot; says what has to be changed.
        """
        model, dataset = unwrap(runner.model), runner.train_loop.dataloader.dataset
        meta = {'fdsr': self._facts_of(model, dataset)}
        if hasattr(dataset, 'metainfo'):
            meta['dataset_meta'] = dataset.metainfo
        check_own_description('The checkpoints of this run', bare(model), meta)

    def before_save_checkpoint(self, runner: Any, checkpoint: Dict[str, Any]) -> None:
        """Describes the backbones, and leaves external values out."""
        model = unwrap(runner.model)
        facts = self._facts_of(model, runner.train_loop.dataloader.dataset)
        checkpoint['meta']['fdsr'] = facts
        wrapped = wrapped_children(model)
        checkpoint['state_dict'] = strip_external(
            {_bare_key(key, wrapped): value
             for key, value in checkpoint['state_dict'].items()}, facts['external'])

    @staticmethod
    def _facts_of(model: nn.Module, dataset: Any) -> Dict[str, Any]:
        return describe(bare(model), getattr(dataset, 'setting', dict)())

    def after_load_checkpoint(self, runner: Any, checkpoint: Dict[str, Any]) -> None:
        """Checks the values and the external parts, and fills those in.

        Values of modules that the run does not have, such as an average that is no
        longer wanted, are left out.

        Raises:
            CheckpointMismatch: the file does not describe itself, or wrongly, was made
                with another external file, or has other values than the run needs.
        """
        source = _source_of(runner)
        meta, state = checkpoint.get('meta'), checkpoint.get('state_dict')
        facts = meta.get('fdsr') if isinstance(meta, dict) else None
        if facts is None or not isinstance(state, dict):
            raise CheckpointMismatch(
                f'{source} was not written by this project (no meta["fdsr"]), so a '
                f'run cannot go on from it. {_START_FROM}')
        # Python code that mmengine would run, only to look up a key of other projects
        meta.pop('config', None)
        check_meta(source, meta)
        check_description(source, facts)
        model = unwrap(runner.model)
        wrapped, live = wrapped_children(model), external_parts(bare(model))
        check_external(source, facts['external'], live)
        own = model.state_dict()
        bare_own = {_bare_key(key, wrapped): value for key, value in own.items()}
        values = _of_same_modules(strip_external(state, live), bare_own)
        check_values(source, strip_external(bare_own, live), values, _START_FROM)
        checkpoint['state_dict'] = {
            key: values.get(_bare_key(key, wrapped), value)
            for key, value in own.items()
        }


def _source_of(runner: Any) -> str:
    """The file that is being loaded, which mmengine does not tell."""
    found = runner._load_from
    if not found and runner._resume:
        found = find_latest_checkpoint(runner.work_dir)
    return str(found or 'The checkpoint')


def wrapped_children(model: nn.Module) -> Set[str]:
    """Names of the submodules that a distributed wrapper stands around."""
    return {name for name, child in model.named_children() if is_model_wrapper(child)}


def bare(model: nn.Module) -> nn.Module:
    """A view of a restorer without the wrappers of separate distribution."""
    if not wrapped_children(model):
        return model
    view = nn.Module()
    for name, child in model.named_children():
        view.add_module(name, unwrap(child))
    view.backbone_configs = model.backbone_configs
    return view


def _bare_key(key: str, wrapped: Set[str]) -> str:
    """``student.module.decoder…`` of a wrapped student is ``student.decoder…``."""
    child, _, rest = key.partition('.')
    return f'{child}.{rest[len("module."):]}' if child in wrapped else key


def _of_same_modules(values: Dict[str, Tensor],
                     own: Dict[str, Tensor]) -> Dict[str, Tensor]:
    children = {key.partition('.')[0] for key in own}
    return {key: value for key, value in values.items()
            if key.partition('.')[0] in children}
