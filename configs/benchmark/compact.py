"""Compares `compact` with its teacher and bicubic, 32 to 256 px.

    python tools/benchmark.py configs/benchmark/compact.py \
        --data-root data/faces_public --out work_dirs/compact/table
"""
_base_ = 'table1.py'

test_dataloader = dict(num_workers=1, dataset=dict(
    data_root='data/faces_public', align='five_point', eye_share=0.243,
    min_box_side=90, subset=None))

title = 'compact and its teacher: faces of 256 px from 32'
rows = [
    dict(name='Bicubic', config='../bicubic_vggface2.py'),
    dict(name='Student', config='../compact/distill.py',
         checkpoint='work_dirs/compact/distill/iter_2000.pth'),
    dict(name='Teacher', config='../compact/teacher.py',
         checkpoint='work_dirs/compact/teacher/iter_1600.pth'),
]
reference = 'Bicubic'
figure_methods = ['Bicubic', 'Student', 'Teacher']
paper_setting = None
