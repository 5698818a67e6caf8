"""A network becomes no larger than its file: in time, and in memory."""

import subprocess
import sys

import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.models.files import Budget
from fdsr.models.files.budget import BudgetExceeded
from fdsr.models.files.checkpoints import CheckpointMismatch
from tests import toy
from tests.models.files import files

pytestmark = pytest.mark.timeout(120)
#: Networks that would take hours, or more memory than there is.
HUGE = {
    'blocks': dict(type='fdsr.CompactSR', blocks=300_000),
    'thin blocks': dict(type='fdsr.RCAN', channels=1, reduction=1, blocks=300_000),
    'groups without blocks': dict(type='fdsr.RCAN', blocks=0, groups=2**31 - 1),
    'channels': dict(type='fdsr.RCAN', channels=10**6),
    'channels beyond any memory': dict(type='fdsr.CompactSR', channels=2**31 - 1),
    '6 GiB in one layer': dict(type='fdsr.RCAN', channels=13_400, groups=0),
    '6 GiB in many layers': dict(type='fdsr.RCAN', channels=256, groups=64),
    'projections': dict(type='fdsr.SRFBN', channels=64, groups=10**6),
    'atoms': {**toy.TEACHER, 'dictionary': dict(num_atoms=10**8)},
    'large atoms': {**toy.TEACHER, 'dictionary': dict(num_atoms=1, sides={
        part: [10**4] * 4 for part in ('left_eye', 'right_eye', 'nose', 'mouth')})},
    'width': {**toy.STUDENT, 'width': 1e9},
    'nested': dict(type='fdsr.UnrolledGenerator', network=dict(
        type='mmagic.DICNet', in_channels=3, out_channels=3, mid_channels=48,
        num_blocks=10**6)),
    'masks': dict(type='mmagic.SwinIRNet', img_size=512, window_size=16, depths=[40],
                  embed_dim=8, num_heads=[1]),
    'masks of a network of a network': dict(type='fdsr.UnrolledGenerator', network=dict(
        type='mmagic.SwinIRNet', img_size=[8, 1024], window_size=64, depths=[2, 2],
        embed_dim=8, num_heads=[1, 1])),
    'positions': dict(type='mmagic.SwinIRNet', img_size=64, window_size=64,
                      depths=[100], embed_dim=8, num_heads=[1]),
    'values of a line, one by one': dict(
        type='mmagic.SwinIRNet', img_size=1, window_size=1, depths=[10_000_000],
        num_heads=[1]),
    'stages': dict(type='mmagic.SwinIRNet', depths=[10**9], num_heads=[1]),
}


@pytest.mark.parametrize('case', HUGE)
def test_what_is_too_large_is_refused_while_it_is_built(case, tmp_path):
    path = files.write(tmp_path / 'huge.pth', HUGE[case])
    with pytest.raises(CheckpointMismatch, match=r'huge\.pth.*than the file has'):
        load_backbone(path)


_IN_LITTLE_MEMORY = '''
import resource, sys, torch
import fdsr.models.backbones
from fdsr.apis import load_backbone
from fdsr.models.files.checkpoints import CheckpointMismatch
from fdsr.weights import RefusedCheckpointError
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
for path in sys.argv[1:]:
    try:
        load_backbone(path)
    except (CheckpointMismatch, RefusedCheckpointError) as error:
        assert path in str(error), error
    else:
        raise AssertionError(path)
print(round(peak() - before))
'''


@pytest.mark.slow
def test_a_refusal_takes_little_memory(tmp_path):
    """28 MB that ask for 6 GiB: by the config, by expansion, by many views."""
    values = torch.zeros(7 * 2**20)
    paths = [
        files.write(tmp_path / f'{number}.pth', config, {'generator.w': values})
        for number, config in enumerate(
            (HUGE['6 GiB in one layer'], HUGE['6 GiB in many layers'], HUGE['atoms'],
             HUGE['masks']))]
    paths.append(files.write(tmp_path / 'expanded.pth', state={
        'generator.w': torch.zeros(1).expand(1536, 2**20)}))
    paths.append(files.write(tmp_path / 'views.pth', HUGE['6 GiB in many layers'], {
        f'generator.{k}': values[k:-220 + k] for k in range(220)}))
    assert max(path.stat().st_size for path in paths) < 30e6
    done = subprocess.run([sys.executable, '-c', _IN_LITTLE_MEMORY, *map(str, paths)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) < 500  # MiB


def test_memory_is_refused_before_it_is_taken():
    with pytest.raises(BudgetExceeded, match='more values than'), Budget(0, 0):
        torch.zeros(2**40, 2**20)  # would be an error of torch's own
    with Budget(0, 0):
        assert torch.zeros(2**20).sum() == 0
        assert torch.empty(2**40, device='meta').is_meta


def test_a_tensor_taken_apart_counts_as_its_parts():
    values = torch.zeros(3, 10**5)
    for take_apart in (torch.unbind, lambda x: [row.sum() for row in x], list):
        with Budget(0, 0):
            take_apart(values)
        with pytest.raises(BudgetExceeded, match='more layers'), Budget(0, 0):
            take_apart(values.T)
    with pytest.raises(BudgetExceeded, match='more layers'), Budget(0, 0):
        values.unbind(dim=-1)
    with pytest.raises(IndexError), Budget(0, 0):
        values.unbind(5)


def test_views_of_one_storage_do_not_add_up():
    values = torch.zeros(2**20)
    many = {str(k): values for k in range(1000)}
    assert Budget.of(many).values == Budget.of({'0': values}).values
