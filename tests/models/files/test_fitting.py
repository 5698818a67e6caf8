"""Values fit a network by name, shape and kind, and are finite."""

import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.models.files import check_values
from fdsr.models.files.checkpoints import CheckpointMismatch
from tests.models.files import files


@pytest.mark.parametrize('change, message', [
    (lambda value: value.to(torch.int32), ': expected floating-point values, found'),
    (lambda value: value.bool(), ': expected floating-point values, found torch.bool'),
    (lambda value: value * torch.nan, ' holds values that are not finite'),
    (lambda value: value.double() + 1e300, ' holds values that are not finite in t'),
    (lambda value: value + torch.inf, ' holds values that are not finite'),
    (lambda value: value[:1], r': expected \(4,\), found \(1,\)')])
def test_a_value_of_another_kind_is_named(change, message, tmp_path):
    state = files.tiny_state()
    state['generator.head.bias'] = change(state['generator.head.bias'])
    path = files.write(tmp_path / 'model.pth', state=state)
    with pytest.raises(CheckpointMismatch, match=rf'model\.pth .*head\.bias{message}'):
        load_backbone(path)


def test_half_precision_and_masks_fit():
    own = dict(weight=torch.ones(2), mask=torch.tensor([0, -torch.inf]),
               steps=torch.tensor(5), used=torch.tensor(True))
    check_values('file', own, {**own, 'weight': own['weight'].half()})
    for key, value in (('steps', torch.tensor(5.)), ('used', torch.tensor(1)),
                       ('weight', 'text'), ('weight', torch.ones(2) * 1j)):
        with pytest.raises(CheckpointMismatch, match=f'file .*{key}: expected'):
            check_values('file', own, {**own, key: value})
