"""Remote files: equal to local ones, repeated after faults, named when they fail."""

import os
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from fdsr.datasets import FaceManifestDataset
from fdsr.datasets.image_storage import TAR_FILE
from fdsr.engine.sampler import EpochSampler
from fdsr.preparation.faces.prepare import prepare
from fdsr.preparation.faces.settings import Settings
from fdsr.preparation.landmarks.extraction import (
    ExtractionSettings,
    extract,
    find_images,
)
from fdsr.preparation.landmarks.landmark_files import LandmarkFiles
from fdsr.utils import storage
from fdsr.utils.storage import StorageError
from tests.faults.victims import _write_faces, _write_photos
from tests.preparation.faces.conftest import files_of
from tests.utils.s3 import FaultyProxy

fsspec = pytest.importorskip('fsspec')
pytest.importorskip('s3fs')
webdataset = pytest.importorskip('webdataset')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def server():
    from moto.server import ThreadedMotoServer
    server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    """Faces, photographs, and faces prepared in tar files, five per shard."""
    folder = tmp_path_factory.mktemp('inputs')
    _write_faces(folder)
    _write_photos(folder)
    prepare(settings(folder / 'faces', folder), folder / 'prepared')
    return folder


def settings(root, folder, **changes):
    return Settings(str(root), landmarks=str(folder / 'faces.csv'), size=32,
                    shard_size=5, storage='tar', **changes)


@contextmanager
def endpoint(port):
    """Makes a port of this machine the endpoint of S3."""
    before = fsspec.config.conf.get('s3', {})
    fsspec.config.conf['s3'] = dict(
        endpoint_url=f'http://127.0.0.1:{port}', key='key', secret='secret')
    import s3fs
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
        fsspec.config.conf['s3'] = before
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(server, inputs, tmp_path, monkeypatch):
    """URL of a new bucket with the inputs, and an empty cache."""
    monkeypatch.setattr(storage, 'FIRST_PAUSE', 0.01)
    monkeypatch.setenv('FDSR_REMOTE_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('AWS_DEFAULT_REGION', 'us-east-1')
    with endpoint(server):
        system, _ = storage._system('s3://bucket')
        system.mkdir('bucket')
        for name in ('faces', 'photos', 'prepared'):
            storage.upload_folder(inputs / name, f's3://bucket/{name}', 'manifest.json')
        yield 's3://bucket'
    with endpoint(server):
        storage._system('s3://bucket')[0].rm('bucket', recursive=True)


def equal(one, other):
    return all(np.array_equal(one[key], other[key])
               for key in ('name', 'img', 'landmarks'))


def copies():
    return list(Path(os.environ['FDSR_REMOTE_CACHE']).glob(f'*/{TAR_FILE}'))


def test_remote_faces_are_the_local_ones(bucket, inputs):
    here = FaceManifestDataset(inputs / 'prepared')
    there = FaceManifestDataset(f'{bucket}/prepared')
    assert len(there) == len(here) == 16
    assert all(equal(here[index], there[index]) for index in range(16))
    assert len(copies()) == 4
    assert there.fingerprint() == here.fingerprint()
    written = storage.upload_folder(
        inputs / 'prepared', f'{bucket}/prepared', 'manifest.json')
    assert written == 1, 'only manifests are written again'


def test_remote_faces_over_http(inputs, tmp_path, monkeypatch):
    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    monkeypatch.setenv('FDSR_REMOTE_CACHE', str(tmp_path))
    handler = partial(Silent, directory=inputs)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        here = FaceManifestDataset(inputs / 'prepared')
        there = FaceManifestDataset(
            f'http://127.0.0.1:{server.server_port}/prepared')
        assert all(equal(here[index], there[index]) for index in range(16))
        with pytest.raises(FileNotFoundError, match='http://.*missing/.*a manifest'):
            FaceManifestDataset(f'http://127.0.0.1:{server.server_port}/missing')
        server.shutdown()


def test_webdataset_reads_the_shards(inputs):
    faces = FaceManifestDataset(inputs / 'prepared')
    archives = sorted(map(str, (inputs / 'prepared' / 'train').glob(f'*/{TAR_FILE}')))
    samples = list(webdataset.WebDataset(archives, shardshuffle=False).decode())
    assert [sample['json']['name'] for sample in samples] == [
        faces.sample_name(index) for index in range(16)]
    assert [sample['jpg'] for sample in webdataset.WebDataset(
        archives, shardshuffle=False)] == [faces.manifest.read(index)[1]
                                           for index in range(16)]


def test_no_sample_is_lost_or_repeated_by_faults(bucket, server, inputs, monkeypatch):
    """Two ranks, two epochs, with a resume in the middle of each."""
    monkeypatch.setattr(storage, 'SILENCE', 0.5)
    monkeypatch.setattr(storage, 'ATTEMPTS', 12)
    monkeypatch.setattr(storage, 'LONGEST_PAUSE', 0.1)
    local = FaceManifestDataset(inputs / 'prepared')
    proxy = FaultyProxy(server, drop=4, pause=0.7)
    with endpoint(proxy.port):
        faces = FaceManifestDataset(f'{bucket}/prepared')
        seen, whole = [], []
        for rank in range(2):
            sampler = EpochSampler(faces, seed=3, shards=2)
            sampler.rank, sampler.world_size = rank, 2
            whole += list(islice(sampler, 16))
            for start, count in ((0, 5), (10, 8), (26, 3)):
                sampler.start_at(start)
                keys = list(islice(sampler, count))
                seen += keys
                assert all(equal(faces[key], local[key.index]) for key in keys)
    assert Counter(seen) == Counter(whole)
    assert Counter(key.index for key in seen) == dict.fromkeys(range(16), 2)
    assert proxy.dropped >= 2 and proxy.paused >= 2


def test_the_cache_is_bounded(bucket, monkeypatch):
    faces = FaceManifestDataset(f'{bucket}/prepared')
    monkeypatch.setenv('FDSR_REMOTE_CACHE_GB', '1e-9')
    for index in range(16):
        assert faces[index] is not None
        assert len(copies()) == 1
    faces.manifest.close()
    assert faces[0] is not None, 'a removed shard is read again'


def test_successive_shards_are_read_together(inputs):
    faces = FaceManifestDataset(inputs / 'prepared')
    order = EpochSampler(faces, seed=1, shards=1).order(0)
    assert sorted(order) == list(range(16))
    shards = [faces.manifest.locate(index)[0] for index in order]
    assert sum(one != other for one, other in zip(shards, shards[1:])) == 3
    assert list(order) != sorted(order)
    with pytest.raises(ValueError, match='a dataset with shards'):
        EpochSampler(range(4), shards=1)


def test_sources_at_a_url_give_the_same_files(bucket, inputs, tmp_path):
    prepare(settings(f'{bucket}/faces', inputs), tmp_path / 'prepared')
    for name, data in files_of(inputs / 'prepared').items():
        if name.endswith(('.tar', '.npy', '.csv')):
            assert files_of(tmp_path / 'prepared')[name] == data, name
    found = []
    for source in (inputs / 'photos', storage.as_path(f'{bucket}/photos')):
        folder = tmp_path / f'csv{len(found)}'
        paths = [folder / f'{kind}.csv' for kind in ('points', 'boxes', 'skipped')]
        detector = ExtractionSettings(
            dict(type='fdsr.YuNetLandmarks', model=str(inputs / 'toy.onnx')))
        with LandmarkFiles(*paths, asdict(detector)) as files:
            extract(source, find_images(source), files, detector, silent)
        found.append(files_of(folder))
    assert found[0] == found[1] and any(b'n0/' in data for data in found[0].values())


@contextmanager
def silent(*_):
    yield lambda *_: None


# Errors

def test_a_shard_that_disappears_is_named(bucket):
    faces = FaceManifestDataset(f'{bucket}/prepared')
    assert faces[0] is not None
    storage._system(bucket)[0].rm(f'bucket/prepared/train/000001/{TAR_FILE}')
    with pytest.raises(StorageError, match=r'^s3://bucket/prepared/train/000001/images'
                       r'\.tar does not exist, or was removed while it was read\.$'):
        faces[5]


def test_a_missing_bucket_or_manifest_is_named(bucket):
    with pytest.raises(FileNotFoundError, match='s3://bucket/nothing/train/manifest'):
        FaceManifestDataset(f'{bucket}/nothing')
    with pytest.raises(StorageError, match='^s3://no-such-bucket/photos'):
        find_images(storage.as_path('s3://no-such-bucket/photos'))


def test_a_bucket_without_permission_is_named(bucket, server):
    from urllib.request import Request, urlopen

    def unchecked_requests(count):
        urlopen(Request(f'http://127.0.0.1:{server}/moto-api/reset-auth', count,
                        {'Content-Type': 'text/plain'})).close()

    unchecked_requests(b'0')  # the key is unknown
    try:
        with pytest.raises(StorageError, match=r's3://bucket/prepared/train/manifest\.'
                           'json cannot be read: access is denied .* permissions'):
            FaceManifestDataset(f'{bucket}/prepared')
    finally:
        unchecked_requests(b'inf')


def test_a_storage_that_does_not_answer_is_named(bucket, monkeypatch):
    monkeypatch.setattr(storage, 'ATTEMPTS', 2)
    import s3fs
    monkeypatch.setattr(s3fs.S3FileSystem, 'retries', 1)
    with endpoint(1), pytest.raises(
            StorageError, match=r'^s3://bucket/x cannot be read after 2 attempts \('):
        storage.read_bytes('s3://bucket/x')


def test_a_full_disk_is_named_at_once(tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem
    attempts = []

    def fail(self, source, target, **options):
        attempts.append(source)
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(MemoryFileSystem, 'get_file', fail)
    monkeypatch.setenv(storage.CACHE, str(tmp_path))
    with fsspec.open('memory://full/images.tar', 'wb') as file:
        file.write(b'x')
    with pytest.raises(StorageError, match='images.tar cannot be copied.*No space left'
                       '.*FDSR_REMOTE_CACHE'):
        storage.local('memory://full/images.tar')
    assert len(attempts) == 1


def test_only_tar_files_are_read_remotely(inputs, bucket, tmp_path):
    prepare(Settings(str(inputs / 'faces'), landmarks=str(inputs / 'faces.csv'),
                     size=32), tmp_path / 'folders')
    storage.upload_folder(tmp_path / 'folders', f'{bucket}/folders', 'manifest.json')
    with pytest.raises(ValueError, match="has storage 'folder'.*--storage tar"):
        FaceManifestDataset(f'{bucket}/folders')


def test_a_missing_package_and_an_unknown_protocol_are_named(monkeypatch):
    with pytest.raises(StorageError, match='^nothing://x'):
        storage.read_bytes('nothing://x')
    import sys
    monkeypatch.setitem(sys.modules, 'fsspec', None)
    with pytest.raises(ImportError, match=r'^s3://b/x: .*fdsr\[remote\].*s3fs'):
        storage.read_bytes('s3://b/x')


def test_a_truncated_archive_is_a_bad_sample(inputs, tmp_path):
    shutil.copytree(inputs / 'prepared', tmp_path / 'cut')
    archive = next((tmp_path / 'cut' / 'train' / '000000').glob(TAR_FILE))
    archive.write_bytes(archive.read_bytes()[:600])
    faces = FaceManifestDataset(tmp_path / 'cut', max_bad_share=1)
    assert faces[0] is None and faces[15] is not None
