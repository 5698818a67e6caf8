"""Measures the paper's Table 1: all methods on one test list, by one protocol.

    python tools/benchmark.py configs/benchmark/table1.py --data-root data/vggface2 \
        --out work_dirs/table1

The checkpoints are those of the configs' default work directories; --checkpoint
NAME=PATH names others.
"""
_base_ = ['../_base_/datasets/vggface2.py', '../_base_/runtime.py']

title = 'Table 1: faces of 256 px from 32'
_runs = 'work_dirs/{}_vggface2/iter_300000.pth'
rows = [
    dict(name='Bicubic', config='../bicubic_vggface2.py'),
    dict(name='RCAN', config='../rcan_vggface2.py',
         checkpoint=_runs.format('rcan'),
         paper=dict(PSNR=26.59, SSIM=0.779, LPIPS=0.3191)),
    dict(name='SRFBN', config='../srfbn_vggface2.py',
         checkpoint=_runs.format('srfbn'),
         paper=dict(PSNR=26.399, SSIM=0.761, LPIPS=0.3944)),
    dict(name='Teacher', config='../teacher_vggface2.py',
         checkpoint=_runs.format('teacher'),
         paper=dict(PSNR=26.74, SSIM=0.771, LPIPS=0.2413)),
    dict(name='Teacher, landmarks found on LR', config='../teacher_vggface2.py',
         checkpoint=_runs.format('teacher'),
         landmarks=dict(type='fdsr.MediaPipeLandmarks')),
    dict(name='S w/o KD', config='../student_vggface2.py',
         checkpoint=_runs.format('student'),
         paper=dict(PSNR=25.837, SSIM=0.750, LPIPS=0.2746)),
    dict(name="Student, the paper's recipe", config='../distill_vggface2_paper.py',
         checkpoint='work_dirs/distill_vggface2_paper/iter_300000.pth',
         paper=dict(PSNR=26.623, SSIM=0.769, LPIPS=0.2511)),
    dict(name='Student', config='../distill_vggface2.py',
         checkpoint=_runs.format('distill')),
    dict(name='Progressive FSR (addition)', config='../progressive_vggface2.py',
         checkpoint=_runs.format('progressive'),
         training_network='work_dirs/extra/landmark_student/iter_20000.pth',
         note="the paper's reference [4]; it is not in the paper's table"),
]
reference = 'S w/o KD'
profile = dict(batch_sizes=[1, 8], warmup=1, repeats=7)
# The columns of the paper's Figure 1.
figure_methods = ['Bicubic', 'RCAN', 'SRFBN', 'S w/o KD', 'Student', 'Teacher']
# The table shows the paper's numbers only if the dataset reports these values.
paper_setting = dict(dataset='VGGFace2Dataset', split='test', identities=500, size=256,
                     scale=8)

# RGB without border, as in the paper, then other papers' metrics.
test_evaluator = dict(metrics=[
    dict(type='mmagic.PSNR'),
    dict(type='mmagic.SSIM'),
    dict(type='fdsr.LPIPS', net='alex'),
    dict(type='mmagic.PSNR', convert_to='Y'),
    dict(type='mmagic.SSIM', convert_to='Y'),
    dict(type='mmagic.PSNR', convert_to='Y', crop_border=8),
    dict(type='mmagic.SSIM', convert_to='Y', crop_border=8),
    dict(type='fdsr.LPIPS', net='vgg16'),
    dict(type='fdsr.IdentitySimilarity'),  # needs fdsr[identity]
    # for 2,000 images and more: dict(type='fdsr.FID', weights=PATH)
])
