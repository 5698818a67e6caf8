r"""Names that each of several processes reads from a manifest.

    torchrun --nproc_per_node=2 -m tests.datasets.manifest_in_processes \
        ROOT OUT START ...
"""
import itertools
import json
import sys
from pathlib import Path

import torch.distributed as dist
from torch.utils.data import DataLoader

from fdsr.datasets import FaceManifestDataset, collate_samples
from fdsr.engine.sampler import EpochSampler

EPOCHS, BATCH = 2, 3


def main(root, out, *starts):
    dist.init_process_group('gloo')
    for start in starts:
        write_names(root, out, start)
    dist.barrier()
    dist.destroy_process_group()


def write_names(root, out, start):
    faces = FaceManifestDataset(root)
    sampler = EpochSampler(faces, seed=1)
    sampler.start_at(int(start))
    loader = DataLoader(faces, BATCH, sampler=sampler, num_workers=1,
                        collate_fn=collate_samples)
    batches = (EPOCHS * len(faces) - int(start)) // (BATCH * dist.get_world_size())
    names = [batch['name'] for batch in itertools.islice(loader, batches)]
    (Path(out) / f'{start}_{dist.get_rank()}.json').write_text(json.dumps(names))


if __name__ == '__main__':
    main(*sys.argv[1:])
