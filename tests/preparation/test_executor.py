"""The executor, and the tools on a Ray cluster of two nodes, of which one is killed."""

import pickle
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from fdsr.preparation import executor
from fdsr.preparation.dictionary.building import DictionaryBuilder
from fdsr.preparation.dictionary.from_config import build_from_config
from fdsr.preparation.dictionary.resume import BuildState
from fdsr.preparation.executor import ClusterError, Executor
from fdsr.preparation.faces.prepare import prepare
from fdsr.preparation.faces.settings import Settings
from fdsr.preparation.landmarks.extraction import (
    ExtractionSettings,
    extract,
    find_images,
)
from fdsr.preparation.landmarks.landmark_files import LandmarkFiles
from tests import toy
from tests.faults.victims import _write_faces, _write_photos
from tests.preparation.faces.conftest import files_of

ray = pytest.importorskip('ray')
MEMORY = 80 * 2**20


class Nodes:
    """A cluster of two nodes with one CPU each."""

    def __init__(self):
        from ray.cluster_utils import Cluster
        node = dict(num_cpus=1, object_store_memory=MEMORY, include_dashboard=False)
        self.cluster = Cluster(initialize_head=True, head_node_args=node)
        self.address = self.cluster.address
        # before the second node, to which the driver could connect otherwise
        ray.init(self.address, log_to_driver=False, logging_level='ERROR')
        self.second = self.cluster.add_node(**node)

    def kill(self):
        """Kills the second node with its workers."""
        if self.second is not None:
            self.cluster.remove_node(self.second, allow_graceful=False)
            self.second = None


@pytest.fixture(scope='module')
def nodes():
    try:
        nodes = Nodes()
    except Exception as error:
        if 'timed out during startup' not in str(error):
            raise
        pytest.skip('Ray gives its processes 15 s to start: the machine is too busy')
    yield nodes
    ray.shutdown()
    nodes.cluster.shutdown()


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('inputs')
    _write_faces(folder)
    _write_photos(folder)
    return folder


def add_node(item):
    """Returns an item and the node that processed it."""
    if item == 'fail':
        raise ValueError('there is no such thing')
    return item, ray.get_runtime_context().get_node_id()


@contextmanager
def silent(*_):
    yield lambda *_: None


@pytest.mark.slow
def test_both_nodes_work_and_results_are_in_order(nodes):
    found = list(Executor(ray=nodes.address).map(add_node, list(range(64)), 2))
    assert [item for item, _ in found] == list(range(64))
    assert len({node for _, node in found}) == 2
    with pytest.raises(ValueError, match='^there is no such thing$'):
        list(Executor(ray=nodes.address).map(add_node, [1, 'fail']))


@pytest.mark.slow
def test_landmarks_are_those_of_one_machine(nodes, inputs, tmp_path):
    detector = dict(type='fdsr.YuNetLandmarks', model=str(inputs / 'toy.onnx'))
    source, settings = inputs / 'photos', ExtractionSettings(detector)
    images = find_images(source)

    def run(name, images, where):
        folder = tmp_path / name
        paths = [folder / f'{kind}.csv' for kind in ('points', 'boxes', 'skipped')]
        with LandmarkFiles(*paths, {}) as files:
            extract(source, images, files, settings, silent, where)
        return files_of(folder)

    cluster = Executor(ray=nodes.address)
    whole = run('whole', images, Executor())
    assert whole == run('cluster', images, cluster)
    run('parts', images[:4], cluster)
    assert whole == run('parts', images, cluster), 'not resumed'


@pytest.mark.slow
def test_a_dictionary_is_that_of_one_machine(nodes, tmp_path):
    config = toy.restorer_config(tmp_path / 'run', toy.TEACHER)

    class Stop(Exception):
        pass

    @contextmanager
    def stopping(total):
        done = []

        def report(step, faces):
            done.append(faces)
            if sum(done) >= total // 2:
                raise Stop
        yield report

    def build(name, address, progress=silent):
        out = tmp_path / name / 'faces.safetensors'  # the file has its name
        out.parent.mkdir(exist_ok=True)
        written = build_from_config(config, out, 4, progress, batch_size=2, ray=address)
        assert written.faces.eye_share > 0 and len(written.faces) == 12
        return out.read_bytes()

    whole = build('whole', None)
    with pytest.raises(Stop):
        build('cluster', nodes.address, stopping)
    partial = tmp_path / 'cluster' / 'faces.safetensors.partial'
    assert len(list(partial.glob('points_*'))) == 3
    assert build('cluster', nodes.address) == whole


@pytest.mark.slow
def test_shards_of_a_killed_node_are_repeated(nodes, inputs, tmp_path):
    settings = Settings(str(inputs / 'faces'), landmarks=str(inputs / 'faces.csv'),
                        size=32, shard_size=1, val_identities=0.25, duplicates=2)
    prepare(settings, tmp_path / 'whole')
    done = []

    def halfway(count, total):
        done.append(count)
        if count >= total // 2:
            nodes.kill()

    prepare(settings, tmp_path / 'cluster', Executor(ray=nodes.address), halfway)
    assert nodes.second is None and done[-1] == 16
    assert files_of(tmp_path / 'cluster') == files_of(tmp_path / 'whole')


# Without a cluster

def test_a_dictionary_by_batches_is_that_of_one_pass(tmp_path, monkeypatch):
    """What the cluster computes, in this process, with batches without a face."""
    from fdsr.preparation.dictionary import faces, on_cluster
    config = toy.restorer_config(tmp_path / 'run', toy.TEACHER)
    settings = faces.teacher_settings(config)
    encoder = faces.encoder_of(settings)
    dataset = faces.training_faces(config)
    items = [dataset[index] for index in range(12)]
    items[2:4] = None, None
    items[7] = None

    def source():
        return faces.FaceBatches(items, settings['size'], batch_size=2)

    def builder(**options):
        return DictionaryBuilder(encoder, settings['size'], settings['eye_share'], 4,
                                 **options)

    expected, found, resumed = source(), source(), source()
    whole = builder().project(expected)
    state = BuildState(tmp_path / 'state', {})
    call, calls = on_cluster.Projector.__call__, []

    def counted(self, images, boxes):
        calls.append(len(images))
        return call(self, images, boxes)

    monkeypatch.setattr(on_cluster.Projector, '__call__', counted)
    for batches, most in ((found, 5), (resumed, 1)):  # then from the stored batches
        calls.clear()
        parts = on_cluster.project(builder(state=state), batches, Executor())
        assert batches.skipped == expected.skipped == 3
        assert batches.eye_share == expected.eye_share
        assert batches.indices.tolist() == expected.indices.tolist()
        assert all((parts[slot] == whole[slot]).all() for slot in whole)
        assert len(calls) <= most

def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ImportError, match=r'--ray needs Ray: .*fdsr\[cluster\]'):
        Executor(ray='auto')
    assert list(Executor().map(str, [1, 2])) == ['1', '2']


@pytest.mark.parametrize('address', ['127.0.0.1:1', 'ray://127.0.0.1:1', 'nowhere',
                                     'no.such.host.invalid:6379', '127.0.0.1:x'])
def test_an_unreachable_address_is_named(address, monkeypatch):
    monkeypatch.setattr(ray, 'is_initialized', lambda: False)
    with pytest.raises(ClusterError, match=f'^--ray {address}: no Ray cluster answers'):
        with executor._connected(address, 0):
            pass


def test_a_node_without_the_package_is_named(tmp_path):
    """The task starts in a Python that cannot import fdsr."""
    from ray import cloudpickle
    (tmp_path / 'task').write_bytes(cloudpickle.dumps(executor._portable()))
    code = f'''
import pickle, sys
sys.modules["fdsr"] = None
task = pickle.load(open({str(tmp_path / "task")!r}, "rb"))
pickle.dump(task(("job", "/"), b"", []), open({str(tmp_path / "out")!r}, "wb"))'''
    subprocess.run([sys.executable, '-c', code], check=True, cwd=tmp_path)
    outcome = pickle.loads((tmp_path / 'out').read_bytes())

    class Done:
        exceptions = ray.exceptions
        get = staticmethod(lambda reference: outcome)

    with pytest.raises(ClusterError, match='node .* cannot import fdsr and its pack'):
        executor._result(Done, None)


def test_a_task_keeps_its_function(tmp_path, monkeypatch):
    import numpy as np
    monkeypatch.chdir(tmp_path)
    blob = np.frombuffer(pickle.dumps(torch.nn.Identity()), np.uint8)
    job = 'job', str(tmp_path)
    assert executor.loaded(job, blob) is executor.loaded(job, blob)
    assert executor.loaded(('other', 'missing'), blob) is not None
