"""The authors' checkpoints, converted: equal to a plain computation, or refused."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from fdsr.apis import load_backbone
from fdsr.interchange.conversion import convert
from fdsr.models.files.checkpoints import CheckpointMismatch
from fdsr.models.restorers.teacher import build_teacher
from fdsr.registry import MODELS
from fdsr.weights import RefusedCheckpointError, safe_load, sha256_of
from tests.conftest import SHARED
from tests.interchange.conversion import official

KINDS = {'rcan': (official.rcan_state, official.rcan),
         'srfbn': (official.srfbn_state, official.srfbn)}


def saved(content, folder):
    path = folder / 'official.pth'
    torch.save(content, path)
    return path


@pytest.mark.parametrize('scale', [2, 4, 8])
@pytest.mark.parametrize('kind', KINDS)
def test_converted_equals_the_plain_computation(kind, scale, tmp_path):
    make, compute = KINDS[kind]
    state = make(scale)
    convert(kind, saved(state, tmp_path), tmp_path / 'ours.pth')
    net = load_backbone(tmp_path / 'ours.pth')
    # in float64: random weights make large numbers, whose rounding would show
    lr = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)).double()
    state = {key: value.double() for key, value in state.items()}
    expected = compute(state, lr * 255, scale) / 255
    with torch.no_grad():
        found = net.double()(lr)
    assert expected.std() > 0.1  # it does something
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('wrap', [
    lambda state: {'state_dict': state, 'epoch': 7, 'records': {'psnr': [1.0]}},
    lambda state: {f'module.{key}': value for key, value in state.items()}])
def test_wrappings_do_not_matter(kind, wrap, tmp_path):
    state = KINDS[kind][0](2)
    convert(kind, saved(wrap(state), tmp_path), tmp_path / 'wrapped.pth')
    convert(kind, saved(state, tmp_path), tmp_path / 'bare.pth')
    lr = torch.rand(1, 3, 4, 4)
    with torch.no_grad():
        assert torch.equal(load_backbone(tmp_path / 'wrapped.pth')(lr),
                           load_backbone(tmp_path / 'bare.pth')(lr))


def test_the_file_keeps_its_origin(tmp_path):
    source = saved(official.srfbn_state(2), tmp_path)
    told = convert('srfbn', source, tmp_path / 'ours.pth')
    origin = safe_load(tmp_path / 'ours.pth')['meta']['converted_from']
    assert origin['sha256'] == sha256_of(source) and origin['file'] == 'official.pth'
    assert 'MIT' in origin['licence'] and 'MIT' in told


@pytest.mark.parametrize('kind', KINDS)
def test_the_first_key_that_does_not_fit_is_named(kind, tmp_path):
    make, _ = KINDS[kind]
    key = {'rcan': 'body.1.body.2.body.0.weight',
           'srfbn': 'block.downBlocks.1.0.weight'}[kind]
    state = make(4)
    changes = {
        f'{key} is missing': {k: v for k, v in state.items() if k != key},
        f'{key}: expected': {**state, key: state[key][:, :5]},
        'zzz.weight is not in the network': {**state, 'zzz.weight': torch.zeros(1)},
    }
    for message, content in changes.items():
        with pytest.raises(CheckpointMismatch, match=message):
            convert(kind, saved(content, tmp_path), tmp_path / 'ours.pth')
    assert not (tmp_path / 'ours.pth').exists()


def test_another_network_is_refused(tmp_path):
    source = saved(official.srfbn_state(2), tmp_path)
    with pytest.raises(CheckpointMismatch, match=r'not a checkpoint of rcan: head\.0'):
        convert('rcan', source, tmp_path / 'ours.pth')
    for content in ([1, 2], {}, {'weights': 3}):
        with pytest.raises(CheckpointMismatch, match='does not hold a state dict'):
            convert('rcan', saved(content, tmp_path), tmp_path / 'ours.pth')


@pytest.mark.parametrize('kind', KINDS)
def test_safetensors_is_the_default(kind, tmp_path):
    source = saved(KINDS[kind][0](2), tmp_path)
    told = convert(kind, source, tmp_path / 'ours')
    convert(kind, source, tmp_path / 'ours.pth')
    path, other = tmp_path / 'ours.safetensors', safe_load(tmp_path / 'ours.pth')
    assert str(path) in told and not (tmp_path / 'ours').exists()
    found = load_file(path)
    assert found.keys() == other['state_dict'].keys() and all(
        torch.equal(found[key], value) for key, value in other['state_dict'].items())
    content = safe_load(path)
    assert content['meta'] == other['meta']
    with safe_open(path, 'pt') as file:
        spec = file.metadata()
    assert spec['modelspec.license'] == other['meta']['converted_from']['licence']
    assert spec['modelspec.architecture'] == f'fdsr-{kind}'
    assert 'modelspec.resolution' not in spec  # they restore images of any size


def test_a_folder_is_no_place_for_the_result(tmp_path):
    source = saved(official.rcan_state(2), tmp_path)
    with pytest.raises(IsADirectoryError, match='found the folder'):
        convert('rcan', source, tmp_path)


def test_another_mean_is_refused(tmp_path):
    state = official.rcan_state(2)
    state['add_mean.bias'] = torch.tensor([0.5, 0.5, 0.5]) * 255
    with pytest.raises(CheckpointMismatch, match='add_mean.bias is'):
        convert('rcan', saved(state, tmp_path), tmp_path / 'ours.pth')


def test_a_truncated_file_is_refused(tmp_path):
    source = saved(official.rcan_state(2), tmp_path)
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(RefusedCheckpointError, match='official.pth'):
        convert('rcan', source, tmp_path / 'ours.pth')


@pytest.mark.parametrize('kind, scale', [
    ('rcan', 8), ('rcan', 4), ('srfbn', 8), ('srfbn', 4)])
def test_every_official_key_finds_its_place(kind, scale, tmp_path):
    table = SHARED / f'design/official_keys/{kind}_x{scale}.tsv'
    if not table.is_file():
        pytest.skip(f'{table} is not there')
    state = {}
    for line in table.read_text().splitlines():
        key, shape = line.split('\t')
        state[key] = torch.zeros([int(side) for side in shape.split(',') if side])
    for name, sign in (('sub_mean', -1), ('add_mean', 1)):
        state[f'{name}.bias'] = sign * 255 * official.MEAN
        state[f'{name}.weight'] = torch.eye(3)[:, :, None, None]
    convert(kind, saved(state, tmp_path), tmp_path / 'ours.pth')
    config = load_config(tmp_path / 'ours.pth')
    assert config == dict(type=f'fdsr.{kind.upper()}', scale=scale, **(
        dict(channels=64, groups=10, blocks=20, reduction=16) if kind == 'rcan' else
        dict(channels=64, groups=6, steps=4)))
    MODELS.build(config)


def load_config(path):
    return safe_load(path)['meta']['fdsr']['backbones']['generator']


def test_the_source_is_not_overwritten(tmp_path):
    source = saved(official.rcan_state(2), tmp_path)
    before = source.read_bytes()
    with pytest.raises(ValueError, match='is the source itself'):
        convert('rcan', source, source)
    assert source.read_bytes() == before


def test_half_precision_is_read(tmp_path):
    state = {key: value.half() for key, value in official.rcan_state(2).items()}
    convert('rcan', saved(state, tmp_path), tmp_path / 'ours.pth')
    net = load_backbone(tmp_path / 'ours.pth')
    assert net.head.weight.dtype == torch.float32
    assert torch.equal(net.head.weight, state['head.0.weight'].float())


@pytest.mark.parametrize('content, message', [
    ({0: torch.zeros(1)}, 'does not hold a state dict'),
    ({'head.0.weight': torch.zeros(())}, 'not a checkpoint of rcan: .* wrong shape'),
    ({'head.0.weight': torch.zeros(0, 3, 3, 3)}, 'not a checkpoint of rcan')])
def test_strange_files_are_refused(content, message, tmp_path):
    with pytest.raises(CheckpointMismatch, match=message):
        convert('rcan', saved(content, tmp_path), tmp_path / 'ours.pth')


def test_a_students_checkpoint_will_name_the_teachers_licence(tmp_path):
    convert('srfbn', saved(official.srfbn_state(2), tmp_path), tmp_path / 'ours.pth')
    teacher, _ = build_teacher(str(tmp_path / 'ours.pth'))
    assert 'MIT' in teacher.external_weights.licence


def test_a_x4_rcan_reports_its_scale_everywhere(tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime', reason='needs fdsr[onnx]')
    pytest.importorskip('onnx', reason='needs fdsr[onnx]')
    from fdsr.apis import FaceSuperResolver
    from fdsr.interchange.export import export_onnx
    from fdsr.interchange.publishing import publish
    from fdsr.profiling.subjects import profile_subjects, subjects_of_checkpoint
    converted = tmp_path / 'rcan.pth'
    state = official.rcan_state(4)
    state['tail.1.weight'] *= 0.01  # SR near [0, 1], where the export is compared
    convert('rcan', saved(state, tmp_path), converted)
    assert load_backbone(converted).scale == 4
    resolver = FaceSuperResolver(converted, 'cpu')
    assert resolver.geometry.scale == 4
    side = resolver.geometry.lr_size
    assert resolver(torch.zeros(side, side, 3, dtype=torch.uint8).numpy()
                    ).shape == (4 * side, 4 * side, 3)
    export_onnx(converted, tmp_path / 'rcan.onnx')
    session = onnxruntime.InferenceSession(str(tmp_path / 'rcan.onnx'))
    assert session.get_modelmeta().custom_metadata_map['scale'] == '4'
    published = publish(converted, tmp_path / 'out', 'rcan', licence='MIT')
    assert '×4' in published.card.read_text() and '×8' not in published.card.read_text()
    subjects = subjects_of_checkpoint(converted, lr_size=8)
    profiles, _ = profile_subjects(subjects, batch_sizes=(1,), repeats=1, warmup=0)
    assert [profile.sr_size for profile in profiles.values()] == [32]
