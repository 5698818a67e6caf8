"""Compares K-means on random projections with MiniBatchKMeans on the full vectors.

    python benchmarks/clustering.py [--faces 400] [--num-atoms 32] [--quick]
    python benchmarks/clustering.py --config configs/reduced/teacher_vggface2.py \
        --data-root data/faces

projected   As in `tools/build_dictionary.py`: K-means clusters vectors of 256 random
            projections, and the atoms are means of the full vectors.
mini-batch  scikit-learn's MiniBatchKMeans on the full vectors (k-means++ init, batches
            of 256, otherwise default settings), which must all be in memory.

Both cluster the same vectors: the VGG-16 features of one component at one level, for
the training faces of a config, by default synthetic faces. Both are evaluated on the
full vectors, by the fraction of their variance that the clusters explain. Times include
the projection but not the encoder; memory is what is kept of the faces. The final ratio
is the unexplained variance of mini-batch over that of projected: above 1, the projected
clusters are more compact.
"""

import argparse
import time
from typing import Any, Callable, Tuple

DEMO = 'configs/demo/teacher.py'
_QUICK = dict(faces=24, size=64, num_atoms=4)


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', help=f'config of a teacher (default: {DEMO})')
    parser.add_argument('--data-root', help='root of the data, overrides the config\'s')
    parser.add_argument('--faces', type=int, default=400,
                        help='number of faces (default: 400)')
    parser.add_argument('--size', type=int, default=128,
                        help='side of synthetic faces (default: 128)')
    parser.add_argument('--num-atoms', type=int, default=32, help='K (default: 32)')
    parser.add_argument('--component', default='mouth',
                        help='component (default: mouth)')
    parser.add_argument('--level', type=int, default=1,
                        help='level; 0 is the finest (default: 1)')
    parser.add_argument('--seeds', type=int, default=3,
                        help='number of runs (default: 3)')
    parser.add_argument('--quick', action='store_true', help='small run as a check')
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    return args


def load(args: argparse.Namespace) -> Any:
    """Returns the config; the demo's config with the requested face size."""
    from pathlib import Path

    from fdsr.engine.config import load_config
    from fdsr.registry import register_all
    register_all()
    demo = str(Path(__file__).resolve().parents[1] / DEMO)
    size = {'model.generator.size': args.size, 'train_dataloader.dataset.size':
            args.size}
    return load_config(args.config or demo, data_root=args.data_root,
                       cfg_options={} if args.config else size)


def vectors_of(args: argparse.Namespace) -> Any:
    """Returns (N, D) fp32 features of one component at one level."""
    import torch

    from fdsr.preparation.dictionary.building import DictionaryBuilder
    from fdsr.preparation.dictionary.faces import (
        FaceBatches,
        encoder_of,
        teacher_settings,
        training_faces,
    )
    config = load(args)
    settings = teacher_settings(config)
    faces = FaceBatches(training_faces(config), settings['size'], 8, args.faces)
    builder = DictionaryBuilder(
        encoder_of(settings), settings['size'], settings['eye_share'], args.num_atoms)
    slot = args.component, args.level
    with torch.no_grad():
        return torch.cat([dict(builder.features(*batch))[slot] for batch in faces])


def projected(vectors: Any, num_atoms: int, seed: int) -> Tuple[Any, int]:
    """Returns labels of projected K-means and the bytes kept of the faces."""
    from fdsr.preparation.dictionary.building import PROJECTED
    from fdsr.preparation.dictionary.clustering import SignProjection, cluster
    projection = SignProjection(vectors.shape[1], PROJECTED, (seed, 0))
    points = projection(vectors).numpy()
    return cluster(points, num_atoms, seed), points.nbytes


def mini_batch(vectors: Any, num_atoms: int, seed: int) -> Tuple[Any, int]:
    """Returns labels of MiniBatchKMeans and the bytes kept of the faces."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits
    kmeans = MiniBatchKMeans(num_atoms, batch_size=256, n_init=1, random_state=seed)
    with threadpool_limits(1):
        return kmeans.fit_predict(vectors.numpy()), vectors.nbytes


def unexplained(vectors: Any, labels: Any) -> float:
    """Returns the fraction of the full vectors' variance within the clusters."""
    import torch
    within = 0.0
    for label in set(labels.tolist()):
        group = vectors[torch.from_numpy(labels == label)]
        within += float((group - group.mean(dim=0)).double().square().sum())
    return within / float((vectors - vectors.mean(dim=0)).double().square().sum())


def measure(name: str, cluster: Callable[..., Tuple[Any, int]], vectors: Any,
            args: argparse.Namespace) -> float:
    """Clusters with each seed, prints a row and returns the mean unexplained part."""
    import statistics
    shares, seconds, groups = [], [], []
    for seed in range(args.seeds):
        start = time.perf_counter()
        labels, kept = cluster(vectors, args.num_atoms, seed)
        seconds.append(time.perf_counter() - start)
        shares.append(unexplained(vectors, labels))
        groups.append(len(set(labels.tolist())))
    explained = [1 - share for share in shares]
    print(f'{name:<12}{statistics.mean(explained):>10.4f}{min(explained):>9.4f}'
          f'{max(explained):>9.4f}{min(groups):>9}{min(seconds):>9.2f}'
          f'{kept / 1e6:>9.1f}', flush=True)
    return statistics.mean(shares)


def main() -> None:
    """Runs the benchmark."""
    args = parse_args()
    import torch
    torch.set_num_threads(1)
    vectors = vectors_of(args)
    print(f'{args.component}, level {args.level}: {len(vectors)} faces, vectors of '
          f'{vectors.shape[1]}, K = {args.num_atoms}, {args.seeds} seeds, 1 thread')
    print(f'{"":<12}{"explained":>10}{"worst":>9}{"best":>9}{"clusters":>9}{"s":>9}'
          f'{"MB":>9}')
    found = measure('projected', projected, vectors, args)
    reference = measure('mini-batch', mini_batch, vectors, args)
    print(f'clustering: ratio {reference / found:.3f}')


if __name__ == '__main__':
    main()
