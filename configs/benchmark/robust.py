"""Measures the students on clean and degraded LR, on both lists of test faces.

    python tools/benchmark.py configs/benchmark/robust.py --out work_dirs/robust

Every degradation but clean is applied to the LR image, after PIL's bicubic. Needs
data/faces_public and data/faces_open. Run it in the root of the checkout, where the
bundled networks are.
"""
_base_ = ['../_base_/datasets/faces_students.py', '../_base_/runtime.py']

_lists = [dict(faces, name=faces['data_root'].split('/')[-1]) for faces in _base_.test]
test_dataloader = dict(dataset=dict(datasets=_lists))

_to_lr = dict(type='fdsr.ResizeFace', side=_base_.size // _base_.scale)
_blur = dict(
    type='fdsr.BlurFace', kinds=dict(iso=1.0), sigma=0.8, size=7, reference=None)
degradations = {
    'clean': [],
    **{f'JPEG {quality}': [_to_lr, dict(type='fdsr.CompressJPEG', quality=quality)]
       for quality in (90, 75, 50)},
    **{f'noise {sigma}': [_to_lr, dict(type='fdsr.AddNoise', sigma=sigma)]
       for sigma in (5, 10)},
    'blur 0.8, noise 3, JPEG 70': [
        _to_lr, _blur, dict(type='fdsr.AddNoise', sigma=3),
        dict(type='fdsr.CompressJPEG', quality=70)],
}

title = 'Students on clean and degraded faces: 256 px from 32'
rows = [
    dict(name='Bicubic', config='../bicubic_vggface2.py'),
    dict(name='compact',
         checkpoint='fdsr/weights/shipped/compact-38111743.safetensors'),
    dict(name='tiny', checkpoint='fdsr/weights/shipped/tiny-be2166e3.safetensors'),
    dict(name='small', checkpoint='fdsr/weights/shipped/small-789fa7fa.safetensors'),
    dict(name='base', checkpoint='fdsr/weights/shipped/base-d16d75e9.safetensors'),
]
reference = 'compact'
skin_tones = True  # a table for each
profile = dict(batch_sizes=[1, 8], warmup=1, repeats=7)

# RGB without border
test_evaluator = dict(metrics=[
    dict(type='mmagic.PSNR'),
    dict(type='fdsr.LPIPS', net='alex'),
    dict(type='fdsr.IdentitySimilarity'),  # needs fdsr[identity]
])
