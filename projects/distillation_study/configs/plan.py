"""Lists the study's arms in order of importance; docs/study.md has the protocol.

    python projects/distillation_study/run.py --state work_dirs/study \
        --data-root data/faces
"""
results = 'projects/distillation_study/results'
document = 'docs/study.md'
dictionary = dict(config='teacher.py', num_atoms=64, max_faces=1000, seed=0)
# The teachers' features that arms learn from, cached on disk: the last ones, and SR.
taps = ['decoder.to_rgb:input', ':output']

_from_file = {'model.generator.dictionary.file': '{dictionary}'}
teachers = [
    dict(name='teacher', label='teacher', config='teacher.py', options=_from_file,
         beside=['blind']),
    dict(name='blind', label='teacher without its dictionary', config='teacher.py',
         options={'model.generator.use_atoms': False, **_from_file}),
    # Trained on another CPU, whose rounding results in another network.
    dict(name='teacher_again', label='second teacher', config='teacher.py',
         options=_from_file),
]

_learns = {'model.teacher.checkpoint': '{teacher}'}
_warm = {'model.init_from': '{teacher}'}


def _distilled(name, label, teacher='teacher', control='without_kd', **rest):
    options = {**_learns, **rest.pop('options', {})}
    return dict(name=name, label=label, config=rest.pop('config', 'distill.py'),
                teacher=teacher, control=control, options=options, **rest)


# The teachers have seed 0. A student of the same seed starts from the same random
# decoder, so arms that learn features have other seeds.
_seeds, _apart = [0, 1, 2], [1, 2, 3]

arms = [
    dict(name='without_kd', label='S w/o KD', config='student.py', group='core',
         seeds=_apart + [0]),
    # Separate the effects of the dictionary, the teacher and an adversarial loss.
    _distilled('adversarial', 'S + adversarial features (the paper)', group='core',
               seeds=_apart, beside=['adversarial_blind', 'image_gan']),
    _distilled('feature_l1', 'S + feature L1', config='feature_l1.py', group='core',
               seeds=_apart),
    _distilled('image_gan', 'S + image GAN, no teacher', config='image_gan.py',
               group='core', seeds=_seeds),
    dict(name='warm_without_kd', label="S w/o KD, from the teacher's decoder",
         config='student.py', teacher='teacher', control='without_kd', group='warm',
         beside=['without_kd_long'], seeds=_seeds, options=_warm),
    _distilled('warm_adversarial', "S + adversarial, from the teacher's decoder",
               control='warm_without_kd', group='warm', seeds=_seeds,
               options={'model.init_from': 'teacher'}),
    # As many iterations as the teacher and a student that starts from its decoder.
    dict(name='without_kd_long', label='S w/o KD, 4,000 iterations',
         config='student.py', control='without_kd', group='reference', seeds=_seeds,
         options={
             'train_cfg.max_iters': 4000, 'train_cfg.val_interval': 1000,
             'param_scheduler.begin': 2000, 'param_scheduler.end': 4000}),
    _distilled('adversarial_blind', 'S + adversarial features of the blind teacher',
               teacher='blind', group='core', seeds=_apart),
    # Does the teacher's random start suffice for a common basis of the features?
    _distilled('adversarial_same_start', "S + adversarial, the teacher's random start"),
    _distilled('feature_l1_same_start', "S + feature L1, the teacher's random start",
               config='feature_l1.py'),
    # Separate the effect of the teacher from that of any trained decoder.
    dict(name='without_kd_again', label='S w/o KD, trained again', config='student.py',
         control='without_kd', group='reference'),
    dict(name='restart', label="S w/o KD, from S w/o KD's decoder",
         config='student.py', start='without_kd_again', control='without_kd',
         beside=['warm_again'], group='second teacher',
         options={'model.init_from': '{start}'}),
    dict(name='warm_again', label="S w/o KD, from the second teacher's decoder",
         config='student.py', teacher='teacher_again', control='without_kd',
         group='second teacher', options=_warm),
    # The same start, with a loss that needs no common basis.
    _distilled('warm_image_gan', "S + image GAN, from the second teacher's decoder",
               teacher='teacher_again', control='warm_again',
               group='second teacher', config='image_gan.py',
               options={'model.init_from': 'teacher'}),
    # Baselines.
    dict(name='bicubic', label='bicubic', config='bicubic.py', group='reference',
         frozen=False),
    dict(name='rcan', label='RCAN, equal training time', config='rcan.py',
         group='reference', frozen=False),
    dict(name='srfbn', label='SRFBN, equal training time', config='srfbn.py',
         group='reference', frozen=False),
]
