"""Several processes have to agree on which D rests, and stay alike."""

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import multiprocessing, nn

from fdsr.models.losses import AdversarialFeatureLoss
from fdsr.models.restorers.discriminator_step import discriminator_step
from tests.models.losses.test_adversarial import judges, random, values

#: Whether the first and the second D learn, an iteration each.
PLAN = [(1, 1), (1, 0), (0, 0), (0, 1), (1, 0), (0, 0), (0, 0), (0, 0), (1, 1)]


def features(iteration, rank):
    return [random(2, 4, 16, 16, seed=100 * iteration + 10 * rank + part)
            for part in (0, 1)]


def history(judge, model, counts, batch_of):
    """The weights of both Ds after each iteration of the plan."""
    losses = nn.ModuleDict({name: AdversarialFeatureLoss(r1=0.1, update_below=1.0)
                            for name in judge})
    wrapper = OptimWrapper(torch.optim.SGD(judge.parameters(), 0.1),
                           accumulative_counts=counts)
    seen = []
    for iteration, plan in enumerate(PLAN):
        for loss, learns in zip(losses.values(), plan):
            loss.learns = lambda accuracy, learns=learns: bool(learns)
        ours, theirs = batch_of(iteration)
        discriminator_step(losses, model, dict.fromkeys(judge, ours),
                           dict.fromkeys(judge, theirs), iteration, wrapper)
        seen.append(values(judge))
    return seen


def run(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    found = []
    for counts in (1, 2):
        judge = judges('first', 'second')
        model = MMDistributedDataParallel(judge, broadcast_buffers=False)
        found.append(history(judge, model, counts, lambda i: features(i, rank)))
    accuracy = torch.tensor(float(rank))  # one D is always right, the other never
    found.append(decision(accuracy))
    torch.save(found, f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


def decision(accuracy):
    from fdsr.models.restorers.discriminator_step import _learns
    loss = AdversarialFeatureLoss(update_below=0.6)
    return _learns('a', loss, dict(d_accuracy_a=accuracy))


@pytest.mark.slow
def test_processes_rest_and_learn_together(tmp_path):
    multiprocessing.spawn(run, (str(tmp_path), ), nprocs=2)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1))
    assert first[2] is second[2] is True, 'a mean accuracy of 0.5 is below 0.6'
    for counts, one, other in zip((1, 2), first, second):
        judge = judges('first', 'second')
        alone = history(judge, judge, counts, lambda i: [
            torch.cat(pair) for pair in zip(features(i, 0), features(i, 1))])
        for ours, theirs, expected in zip(one, other, alone):
            assert all(map(torch.equal, ours, theirs))
            torch.testing.assert_close(ours, expected)
