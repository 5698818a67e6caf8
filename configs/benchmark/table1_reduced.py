"""Measures Table 1 at reduced size: the runs of configs/reduced/, 16 to 128 px.

    python tools/benchmark.py configs/benchmark/table1_reduced.py \
        --data-root data/faces --out work_dirs/table1_reduced
"""
_base_ = 'table1.py'

_data = dict(size=128, align='five_point', eye_share=0.3125, min_box_side=128)
test_dataloader = dict(num_workers=1, dataset=dict(subset=None, **_data))

title = 'Table 1 at reduced size: faces of 128 px from 16'
_runs = 'work_dirs/reduced/{}_vggface2/iter_500.pth'
rows = [
    dict(name='Bicubic', config='../reduced/bicubic_vggface2.py'),
    dict(name='RCAN', config='../reduced/rcan_vggface2.py',
         checkpoint=_runs.format('rcan')),
    dict(name='SRFBN', config='../reduced/srfbn_vggface2.py',
         checkpoint=_runs.format('srfbn')),
    dict(name='Teacher', config='../reduced/teacher_vggface2.py',
         checkpoint=_runs.format('teacher')),
    dict(name='Teacher, landmarks found on LR', config='../reduced/teacher_vggface2.py',
         checkpoint=_runs.format('teacher'),
         landmarks=dict(type='fdsr.MediaPipeLandmarks')),
    dict(name='S w/o KD', config='../reduced/student_vggface2.py',
         checkpoint=_runs.format('student')),
    dict(name="Student, the paper's recipe",
         config='../reduced/distill_vggface2_paper.py',
         checkpoint='work_dirs/reduced/distill_vggface2_paper/iter_500.pth'),
    dict(name='Student', config='../reduced/distill_vggface2.py',
         checkpoint=_runs.format('distill')),
    dict(name='Progressive FSR (addition)', config='../reduced/progressive_vggface2.py',
         checkpoint=_runs.format('progressive'),
         training_network='work_dirs/reduced/landmark_student/iter_800.pth',
         note="the paper's reference [4]; it is not in the paper's table"),
]
paper_setting = None
