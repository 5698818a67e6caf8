"""Entries of OpenModelDB follow its rules, read in the repository at 782aac0.

``src/lib/model-props.ts``, ``schema.ts``, ``schema-util.ts`` and ``validate-model.ts``.
"""

import json
import re
from dataclasses import replace

import pytest

from fdsr.interchange.publishing import publish
from fdsr.interchange.publishing.open_model_db import entry_of
from tests.conftest import REPOSITORY
from tests.in_process import call_tool

URL = 'https://example.org/tiny.safetensors'
REQUIRED = {'name', 'author', 'tags', 'description', 'date', 'architecture', 'scale',
            'inputChannels', 'outputChannels', 'resources', 'images'}
OPTIONAL = {
    'license', 'size', 'dataset', 'datasetSize', 'trainingIterations', 'trainingEpochs',
    'trainingBatchSize', 'trainingHRSize', 'trainingOTF', 'pretrainedModelG',
    'pretrainedModelD'}
#: Some of data/tags.json.
TAGS = {'faces', 'photo', 'restoration', 'research', 'pretrained'}


def check(name, entry):
    assert re.fullmatch(r'\d+x-[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*', name)
    scale = entry['scale']
    assert name.startswith(f'{scale}x-')
    assert not re.match(rf'{scale}x-({scale}x|x{scale})', name)
    assert not re.search(rf'-(x{scale}|{scale}x)$', name)
    present = {key for key, value in entry.items() if value is not None}
    assert REQUIRED <= present and entry.keys() <= REQUIRED | OPTIONAL
    for key in ('name', 'license', 'description', 'date', 'architecture', 'author'):
        assert isinstance(entry[key], str) and entry[key] == entry[key].strip()
    assert re.fullmatch(r'[a-z0-9]+(?:-[a-z0-9]+)*', entry['author'])
    assert re.fullmatch(r'[a-z0-9]+(?:-[a-z0-9]+|[+])*', entry['architecture'])
    assert re.fullmatch(r'\d{4}-(?:0[1-9]|1[012])-(?:0[1-9]|[12]\d|3[01])',
                        entry['date'])
    assert entry['tags'] and set(entry['tags']) <= TAGS
    assert type(scale) is int and 1 <= scale <= 16
    assert 1 <= entry['inputChannels'] <= 4 and 1 <= entry['outputChannels'] <= 4
    for file in entry['resources']:
        assert file['type'] == 'safetensors' and file['platform'] == 'pytorch'
        assert type(file['size']) is int and file['size'] >= 1
        assert re.fullmatch('[0-9a-f]{64}', file['sha256'])
        assert file['urls'] and all(url.startswith('https://') for url in file['urls'])
    assert isinstance(entry['images'], list) and entry['resources']


@pytest.fixture(scope='module')
def published(source, tmp_path_factory):
    return publish(source, tmp_path_factory.mktemp('out'), 'Tiny ×2 faces!',
                   licence='CC-BY-4.0', author='Some One', about='# Tiny\n\nÄhnlich.\n',
                   url=URL)


def test_an_entry_follows_the_rules(published):
    text = published.entry.read_text(encoding='utf-8')
    entry = json.loads(text)
    check(published.entry.stem, entry)
    assert published.entry.name == '2x-Tiny-2-faces.json'
    # the database compares with JSON.stringify(content, null, 4)
    assert text == json.dumps(entry, indent=4, ensure_ascii=False)
    assert 'Ähnlich.' in text and not text.endswith('\n')
    assert entry['author'] == 'some-one' and entry['architecture'] == 'fdsr-rcan'
    [file] = entry['resources']
    data = published.path.read_bytes()
    assert (file['size'], file['urls']) == (len(data), [URL])
    assert file['sha256'] == published.facts.sha256


@pytest.mark.parametrize('name, expected', [
    ('Tiny', '2x-Tiny'), ('2x-Tiny', '2x-Tiny'), ('x2-Tiny', '2x-Tiny'),
    ('Tiny_x2', '2x-Tiny'), ('Tiny-2x', '2x-Tiny'), ('Tiny-v2', '2x-Tiny-v2'),
    ('a--b', '2x-a-b')])
def test_an_id_has_the_scale_once(name, expected, published):
    found, entry = entry_of(replace(published.facts, name=name), 'me', URL)
    assert found == expected
    check(found, entry)


@pytest.mark.parametrize('changes, author, url, message', [
    ({}, None, URL, r'an author \(--author\), found None'),
    ({}, '!?', URL, "an author .*found '!\\?'"),
    (dict(name='x2'), 'me', URL, "a name with letters or digits, found 'x2'"),
    (dict(licence='ask the authors, please'), 'me', URL, 'an SPDX licence such as'),
    ({}, 'me', 'file.safetensors', 'an address such as https://'),
    ({}, 'me', 'https://example.org', 'an address such as https://')])
def test_what_an_entry_needs(changes, author, url, message, published):
    with pytest.raises(ValueError, match=f'An entry of OpenModelDB needs {message}'):
        entry_of(replace(published.facts, **changes), author, url)


def test_the_tool_writes_everything_or_nothing(source, tmp_path):
    tool = REPOSITORY / 'tools/publish_model.py'
    arguments = [tool, source, '--name', 'x', '--licence', 'MIT', '--out',
                 tmp_path / 'out', '--open-model-db', URL]
    done = call_tool(*arguments)
    assert done.returncode == 1 and 'needs an author (--author)' in done.stderr
    assert not list((tmp_path / 'out').iterdir())
    done = call_tool(*arguments, '--author', 'me')
    assert done.returncode == 0 and '2x-x.json' in done.stdout, done.stderr
    check('2x-x', json.loads((tmp_path / 'out' / '2x-x.json').read_text()))
