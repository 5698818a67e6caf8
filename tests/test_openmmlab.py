"""mmagic, imported part by part, without compiled operators, or not at all.

Each test runs in a process of its own, which has imported torch and cv2 alone, since
imports cannot be undone.
"""

import importlib
import subprocess
import sys
import textwrap

import pytest

from fdsr import openmmlab
from fdsr.registry import METRICS, MODELS, TRANSFORMS
from tests import warm

HEAVY = ('diffusers', 'transformers.models', 'mmagic.models.editors.srgan.srgan')


def run(code: str) -> str:
    """Runs a snippet and returns what it prints."""
    result = subprocess.run([warm.python(warm.TORCH), '-c', textwrap.dedent(code)],
                            text=True, capture_output=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_a_component_of_mmagic_is_imported_alone():
    assert run(f'''
        import sys
        from fdsr.registry import METRICS, MODELS, TRANSFORMS, register_all
        register_all()
        METRICS.get('mmagic.PSNR'), MODELS.get('mmagic.GANLoss')
        TRANSFORMS.get('mmagic.PackInputs')
        print([name for name in {HEAVY} if name in sys.modules])
    ''') == '[]'


def test_a_training_starts_without_what_only_its_validation_needs():
    # lpips imports SciPy, and would initialize AlexNet at random: a second in all
    assert run(f'''
        import sys
        from fdsr.registry import register_all
        register_all()
        from fdsr.engine.config import load_config
        from fdsr.registry import DATASETS, EVALUATORS, MODELS
        config = load_config('configs/demo/student.py')
        DATASETS.build(config.train_dataloader.dataset)[0]
        MODELS.build(config.model)
        EVALUATORS.build(config.val_evaluator)
        print([name for name in {HEAVY} + ('transformers', 'lpips', 'scipy.ndimage',
                                          'matplotlib') if name in sys.modules])
    ''') == '[]'


def test_mmagics_own_look_ups_find_what_was_not_imported():
    # by a plain import, by mmagic's registry, and without a scope
    assert run('''
        import fdsr.registry
        from fdsr.registry import MODELS
        import mmagic.registry
        print(MODELS.get('SRCNNNet').__name__,
              mmagic.registry.MODELS.get('MSRResNet').__name__, end=' ')
        import mmagic.models
        from mmagic.models.editors import RDNNet
        print(mmagic.models.RRDBNet.__name__, RDNNet.__name__, end=' ')
        from mmagic.models.losses import *
        print(PerceptualLoss.__name__)
    ''') == 'SRCNNNet MSRResNet RRDBNet RDNNet PerceptualLoss'


def test_any_module_of_fdsr_may_be_imported_first():
    assert run('from fdsr.models.losses import PixelLoss; print("imported")'
               ) == 'imported'
    assert run('''
        from fdsr.registry import DATASETS
        print(DATASETS.build(dict(type='fdsr.SyntheticFacesDataset', length=1, size=64,
                                  pipeline=[])).__class__.__name__)
    ''') == 'SyntheticFacesDataset'


def test_mmagic_may_be_imported_first():
    assert run('''
        import mmagic.registry
        from fdsr.registry import METRICS
        assert METRICS.parent is mmagic.registry.METRICS
        print(METRICS.get('mmagic.SSIM').__name__)
    ''') == 'SSIM'


@pytest.mark.parametrize('breakage, found', [
    ("sys.modules['mmcv'] = None", 'mmcv'),
    ("import mmcv; mmcv.__version__ = '3.0.0'", 'mmcv==3.0.0'),
])
def test_a_broken_mmagic_is_replaced_by_mmengine_and_named(breakage, found):
    output = run(f'''
        import sys
        {breakage}
        import mmengine.registry
        from fdsr.registry import METRICS, MODELS, register_all
        assert MODELS.parent is mmengine.registry.MODELS
        try:
            METRICS.build(dict(type='mmagic.PSNR'))
        except ImportError as error:
            print(str(error).replace(chr(10), ' '))
    ''')
    assert found in output and 'pip install "fdsr[train]"' in output


@pytest.mark.parametrize('registry, name, module', [
    (MODELS, 'SwinIRNet', 'mmagic.models.editors.swinir.swinir_net'),
    (METRICS, 'PSNR', 'mmagic.evaluation.metrics.psnr'),
    (TRANSFORMS, 'PackInputs', 'mmagic.datasets.transforms.formatting'),
])
def test_names_are_found_in_the_files(registry, name, module):
    assert openmmlab.component_names(registry.parent)[name] == module


def test_the_files_name_all_networks_of_mmagics_own():
    assert run('''
        from fdsr import openmmlab
        from fdsr.registry import MODELS
        # in no file: registered in a loop
        print(MODELS.get('mmagic.UNet2DConditionModel').__name__, end=' ')
        found = openmmlab.component_names(MODELS.parent)
        own = {name for name, cls in MODELS.parent.module_dict.items()
               if cls.__module__.startswith('mmagic.models.editors.')}
        assert len(own) > 150, len(own)
        print(sorted(name for name in own if name not in found))
    ''') == 'UNet2DConditionModel []'


def test_threads_wait_for_each_other():
    assert run('''
        import threading
        from fdsr.registry import MODELS, register_all
        register_all()
        names = ['RRDBNet', 'EDSRNet', 'MSRResNet', 'RDNNet', 'SRCNNNet', 'NAFNet']
        together, found = threading.Barrier(2 * len(names)), []

        def find(name):
            together.wait()
            found.append(MODELS.get(f'mmagic.{name}').__name__)

        def use(name):
            together.wait()
            from mmagic.models import losses
            from mmagic.structures import DataSample
            found.append(losses.GANLoss.__name__ + DataSample.__name__)

        threads = [threading.Thread(target=target, args=(name,))
                   for name in names for target in (find, use)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(sorted(set(found)), len(found))
    ''') == ("['EDSRNet', 'GANLossDataSample', 'MSRResNet', 'NAFNet', 'RDNNet', "
            "'RRDBNet', 'SRCNNNet'] 12")


def test_names_that_mmagic_inherits_from_mmengine_resolve():
    from fdsr.registry import HOOKS, OPTIM_WRAPPERS
    assert HOOKS.get('mmagic.CheckpointHook').__module__.startswith('mmengine')
    assert OPTIM_WRAPPERS.get('mmagic.OptimWrapper').__module__.startswith('mmengine')
    hook = HOOKS.get('mmagic.ExponentialMovingAverageHook')
    assert hook.__module__.startswith('mmagic.engine')


def test_a_suggestion_is_never_the_name_itself():
    with pytest.raises(KeyError) as error:
        METRICS.get('mmagic.PNSR')
    assert "Did you mean 'mmagic.PSNR'" in str(error.value)


def test_files_of_a_deferred_package_are_visible():
    assert run('''
        import fdsr.registry, importlib.resources, pkgutil, inspect
        import mmagic.utils
        files = importlib.resources.files(mmagic.utils).iterdir()
        assert b'img_utils' in pkgutil.get_data('mmagic.utils', '__init__.py')
        assert 'img_utils' in inspect.getsource(mmagic.utils)
        print('img_utils.py' in [path.name for path in files])
    ''') == 'True'


def test_a_placeholder_raises_when_it_is_used_and_can_be_inherited_from():
    if openmmlab.is_installed('mmcv._ext'):
        pytest.skip('mmcv has its compiled operators')
    from mmcv.ops import ModulatedDeformConv2d
    from mmcv.ops.upfirdn2d import upfirdn2d

    class Alignment(ModulatedDeformConv2d):
        pass

    for used, operator in ((lambda: Alignment(3, 3, 3), 'ModulatedDeformConv2d'),
                           (lambda: upfirdn2d(None, None), 'upfirdn2d')):
        with pytest.raises(ImportError, match=f'^{operator} is a compiled operator'):
            used()


def test_a_package_can_be_hidden_until_it_is_needed(monkeypatch):
    monkeypatch.delitem(sys.modules, 'colorsys', raising=False)
    with openmmlab.hidden('colorsys'), pytest.raises(ImportError):
        importlib.import_module('colorsys')
    assert 'colorsys' not in sys.modules
    module = importlib.import_module('colorsys')
    with openmmlab.hidden('colorsys'):
        assert importlib.import_module('colorsys') is module
