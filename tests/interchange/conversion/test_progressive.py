"""The authors' progressive face SR, converted: equal to a plain computation."""

import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.interchange.conversion import convert
from fdsr.models.files.checkpoints import CheckpointMismatch
from fdsr.weights import safe_load
from tests.conftest import SHARED
from tests.interchange.conversion import official_progressive as official


def saved(folder, content=None, **others):
    """The file as the authors' code saves it."""
    path = folder / 'official.ckpt'
    torch.save({'model_state_dict': content or official.state(), 'step': 3,
                'alpha': -1, 'iteration': 50000, **others}, path)
    return path


def converted(folder, *arguments, **others):
    convert('progressive', saved(folder, *arguments, **others), folder / 'net.pth')
    return load_backbone(folder / 'net.pth')


@pytest.fixture
def lr():
    return torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)).double()


def doubled(state):
    return {key: value.double() for key, value in state.items()}


def expected_of(lr, **progress):
    return (official.run(doubled(official.state()), 2 * lr - 1, **progress) + 1) / 2


def test_every_step_equals_the_plain_computation(tmp_path, lr):
    net = converted(tmp_path).double()
    assert net.scale == 8 and not net.training
    with torch.no_grad():
        steps = net.forward_steps(lr)
        assert torch.equal(steps[-1], net(lr))
    assert [tuple(step.shape[-2:]) for step in steps] == [(10, 14), (20, 28), (40, 56)]
    for number, found in enumerate(steps, start=1):
        expected = expected_of(lr, step=number)
        assert expected.std() > 0.1  # it does something
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_fp32_is_within_the_tolerance(tmp_path, lr):
    net = converted(tmp_path)
    state = official.state()
    with torch.no_grad():
        found = net(lr.float())
    expected = (official.run(state, 2 * lr.float() - 1) + 1) / 2
    assert (found - expected).abs().max() < 5e-6


def test_all_values_matter(tmp_path, lr):
    """Each value has an effect, so the comparison checks its place."""
    plain = expected_of(lr)
    for key in official.state():
        if key.endswith('num_batches_tracked') or key.startswith(
                ('to_rgb.0', 'to_rgb.1')):
            continue
        changed = doubled(official.state())
        changed[key] = changed[key] + 0.1 * torch.rand_like(changed[key])
        found = (official.run(changed, 2 * lr - 1) + 1) / 2
        assert not torch.allclose(found, plain), key


def test_a_file_that_blends_its_last_step_stays_blended(tmp_path, lr):
    net = converted(tmp_path, alpha=0.25).double()
    with torch.no_grad():
        found = net(lr)
    torch.testing.assert_close(found, expected_of(lr, alpha=0.25), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found, expected_of(lr))


def test_a_bare_state_dict_and_that_of_several_gpus_are_read(tmp_path, lr):
    expected = converted(tmp_path)(lr.float())
    torch.save(official.state(), tmp_path / 'bare.ckpt')
    convert('progressive', tmp_path / 'bare.ckpt', tmp_path / 'net.pth')
    assert torch.equal(load_backbone(tmp_path / 'net.pth')(lr.float()), expected)
    several = {f'module.{key}': value for key, value in official.state().items()}
    assert torch.equal(converted(tmp_path, several)(lr.float()), expected)


@pytest.mark.parametrize('others, message', [
    (dict(step=2), r'saved at step 2, expected step 3'),
    (dict(step='3'), r"saved at step '3'"),
    (dict(alpha=1.5), r'alpha: expected a number in \[0, 1\], found 1\.5\.$'),
    (dict(alpha='x'), r"alpha: expected a number in \[0, 1\], found 'x'")])
def test_files_of_another_step_or_alpha_are_refused(tmp_path, others, message):
    with pytest.raises(CheckpointMismatch, match=message):
        convert('progressive', saved(tmp_path, **others), tmp_path / 'net.pth')
    assert not (tmp_path / 'net.pth').exists()


def test_missing_and_other_values_are_named(tmp_path):
    state = official.state()
    for key, message in (('to_rgb.2.weight', 'to_rgb.2.weight is missing'),
                         ('step1.0.weight', 'step1.0.weight is missing'),
                         ('step3.1.bias', 'step3.1.bias')):
        content = {name: value for name, value in state.items() if name != key}
        with pytest.raises(CheckpointMismatch, match=message):
            convert('progressive', saved(tmp_path, content), tmp_path / 'net.pth')
    content = {**state, 'step2.0.conv.0.conv.weight_orig': torch.zeros(8, 8, 1, 1)}
    with pytest.raises(CheckpointMismatch, match='step2.0.conv.0.conv.weight_orig'):
        convert('progressive', saved(tmp_path, content), tmp_path / 'net.pth')


def test_every_official_key_finds_its_place(tmp_path):
    table = SHARED / 'design/official_keys/progressive_x8.tsv'
    if not table.is_file():
        pytest.skip(f'{table} is not there')
    shapes = dict(line.split('\t') for line in table.read_text().splitlines())
    content = {key: torch.zeros([int(side) for side in shape.split(',') if side],
                                dtype=torch.float if shape else torch.long)
               for key, shape in shapes.items()}
    assert content.keys() == official.state().keys()
    net = converted(tmp_path, content)
    assert round(sum(value.numel() for value in net.parameters()) / 1e6, 2) == 8.97
    config = safe_load(tmp_path / 'net.pth')['meta']['fdsr']['backbones']['generator']
    assert config == dict(type='fdsr.ProgressiveFSR', scale=8, channels=512)
