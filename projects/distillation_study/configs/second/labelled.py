"""Trains with HR of 300 faces; the teacher labels LR of all others."""
_base_ = 'main.py'
custom_imports = dict(imports=[
    'projects.distillation_study.study.joint',
    'projects.distillation_study.study.labelled'
])

pack = dict(
    type='mmagic.PackInputs', meta_keys=['name', 'has_hr'], data_keys=['boxes'])
train_dataloader = dict(dataset=dict(
    type='fdsr.PartlyLabelledFaces', num_labelled=300,
    pipeline=[*_base_.augment, _base_.degradation, pack]))
model = dict(arms=dict(_delete_=True, labelled=dict(target='labelled')))
optim_wrapper = {
    'labelled/student': dict(type='OptimWrapper', optimizer=_base_.adam)
}
