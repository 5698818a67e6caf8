"""Inputs of the command line: patterns and names."""

from pathlib import Path

import pytest

from fdsr.cli.inputs import find_jobs


def names_of(inputs, out):
    return [job.source.name for job in find_jobs(inputs, Path(out))]


def test_patterns_in_folders_with_brackets(tmp_path):
    """Brackets of a folder's name are not a character class."""
    for folder in ('photos [2024]', 'a[1]/b[2]'):
        for name in ('x.png', 'y.jpg', '1.png'):
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        folder = tmp_path / folder
        out = tmp_path / 'out'
        assert names_of([f'{folder}/*.png'], out) == ['1.png', 'x.png']
        assert names_of([f'{folder}/[xy].*'], out) == ['x.png', 'y.jpg']
        assert names_of([f'{folder}/**/?.jpg'], out) == ['y.jpg']
    assert names_of([f'{tmp_path}/a*/b*/x.*'], out) == ['x.png']


def test_brackets_in_a_pattern_are_literal_if_nothing_else_matches(tmp_path):
    for name in ('img[1]a.png', 'img[1]b.png'):
        (tmp_path / name).touch()
    assert names_of([f'{tmp_path}/img[1]*.png'], tmp_path / 'out') == [
        'img[1]a.png', 'img[1]b.png']
    (tmp_path / 'img1.png').touch()
    assert names_of([f'{tmp_path}/img[1]*.png'], tmp_path / 'out') == ['img1.png']


def test_patterns_relative_to_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / '[x]').mkdir()
    (tmp_path / '[x]' / 'a.png').touch()
    monkeypatch.chdir(tmp_path / '[x]')
    assert names_of(['*.png'], tmp_path / 'out') == ['a.png']
    monkeypatch.chdir(tmp_path)
    assert names_of(['[x]/*.png'], tmp_path / 'out') == ['a.png']


def test_long_and_unusual_names(tmp_path):
    for name in ('x' * 251 + '.png', 'no-break\u00a0space.png', 'line\u2028.png'):
        (tmp_path / name).touch()
        assert names_of([str(tmp_path / name)], tmp_path / 'out') == [name]
    with pytest.raises(FileNotFoundError, match='matches no file'):
        find_jobs([str(tmp_path / ('x' * 300))], tmp_path / 'out')
