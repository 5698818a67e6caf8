"""The teacher of the study, with its dictionary."""
_base_ = 'student.py'

model = dict(
    generator=dict(
        type='fdsr.DictionaryTeacher', size=128, eye_share=0.3125,
        dictionary=dict(file='work_dirs/study/dictionary.pth')),
    test_cfg=dict(name='teacher'))
