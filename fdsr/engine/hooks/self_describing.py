"""Checkpoints that say what they hold, without copies of what others hold."""

from typing import Any, Dict

from mmengine.hooks import Hook

from fdsr.checkpoints import (
    CheckpointMismatch, check_external, describe, external_parts, strip_external)
from fdsr.models.restorers.taps import unwrap
from fdsr.registry import HOOKS


@HOOKS.register_module()
class SelfDescribingHook(Hook):
    """Puts ``meta['fdsr']`` into the runner's checkpoints, see ``fdsr.checkpoints``.

    Frozen parts with a file of their own (VGG, dictionary, teacher) are named by path
    and SHA-256 instead of being saved again; on loading they are checked.
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner: Any, checkpoint: Dict[str, Any]) -> None:
        """Describes the backbones, and leaves external values out."""
        model = unwrap(runner.model)
        facts = describe(bare(model))
        checkpoint['meta']['fdsr'] = facts
        checkpoint['state_dict'] = {
            key: value for key, value in strip_external(
                {_bare_key(key): value
                 for key, value in checkpoint['state_dict'].items()},
                facts['external']).items()
        }

    def after_load_checkpoint(self, runner: Any, checkpoint: Dict[str, Any]) -> None:
        """Checks the external parts and fills their values in.

        Raises:
            CheckpointMismatch: the file does not describe itself, or was made with
                another external file.
        """
        facts = checkpoint.get('meta', {}).get('fdsr')
        if facts is None:
            raise CheckpointMismatch(
                'The checkpoint was not written by this project (no meta["fdsr"]), so '
                'a run cannot be continued from it. To start from its weights give a '
                'self-describing file as model.init_from.')
        model = unwrap(runner.model)
        live = external_parts(bare(model))
        check_external('The checkpoint', facts['external'], live)
        own = model.state_dict()
        values = checkpoint['state_dict']
        checkpoint['state_dict'] = {
            key: values.get(_bare_key(key), own[key]) for key in own
            if _bare_key(key) in values or _inside_any(_bare_key(key), live)
        }


def bare(model: Any) -> Any:
    """A view of a restorer without the wrappers of separate distribution."""
    if not any(hasattr(child, 'module') for child in model.children()):
        return model
    import torch
    view = torch.nn.Module()
    for name, child in model.named_children():
        view.add_module(name, unwrap(child))
    view.backbone_configs = model.backbone_configs
    return view


def _bare_key(key: str) -> str:
    """``student.module.decoder…`` of a wrapped student is ``student.decoder…``."""
    first, _, rest = key.partition('.')
    return f'{first}.{rest[7:]}' if rest.startswith('module.') else key


def _inside_any(key: str, parts: Dict[str, Any]) -> bool:
    return not strip_external({key: None}, parts)
