"""Lists the runs of the second study; docs/when_to_distil.md has the protocol.

    python projects/distillation_study/run.py \
        projects/distillation_study/configs/second/plan.py \
        --state work_dirs/study2 --data-root data/faces
"""
results = 'projects/distillation_study/results_second'
document = 'docs/when_to_distil.md'
dictionary = dict(config='teacher.py', num_atoms=64, max_faces=1000, seed=0)

teachers = [
    dict(name='teacher', label='teacher', config='teacher.py', frozen=False,
         options={'model.generator.dictionary.file': '{dictionary}'})
]
_learns = {'model.teacher.checkpoint': '{teacher}'}
_without = {'model.teacher': None}
# The best arm on validation; questions (c) and (d) compare it with the plain student.
_best = 'atoms'
# Seeds of an arm by its name; default: three. An arm that is abandoned after its first
# seed gets [0] here.
_seeds = dict.fromkeys(['eco', 'labelled', 'feature_last', 'feature_stages',
                        'adversarial', 'afd'], [0])


def _arm(name, group, control, label=None, trained_as=None, seeds=(0, 1, 2)):
    taught = (trained_as or name) not in ('plain', 'afd')
    return dict(
        name=name, trained_as=trained_as or name, label=label or name, group=group,
        control=control, teacher='teacher' if taught else None,
        seeds=_seeds.get(name, list(seeds)))


def _plain(name, what, group, options, config='main.py', control='plain', seeds=(0,)):
    """Returns a run of the plain student, which needs no teacher."""
    return dict(name=name, config=config, options={**_without, **options}, arms=[
        _arm(name, group, control, f'plain, {what}', 'plain', seeds)])


def _taught(name, what, group, options, config='main.py'):
    """Returns a run of the best arm."""
    arm = _arm(f'{name}_{_best}', group, f'{name}_plain', f'{_best}, {what}', _best,
               (0,))
    if config != 'main.py':  # the teacher is tested on other LR
        arm['teacher'] = None
    return dict(name=name, config=config, teacher='teacher',
                options={**_learns, **options}, arms=[arm])


_main = [
    _arm('output', 'equal iterations', 'plain'),
    _arm('eco', 'equal iterations', 'plain'),
    # (d) 300 faces with HR, and LR of all others that only the teacher can label
    _arm('labelled', 'LR only', 'data_300_plain'),
    _arm('adversarial_vgg', 'equal iterations', 'plain'),
    # the two best arms of the first seed
    _arm('atoms_vgg', 'equal iterations', 'plain'),
]
_more = [
    _arm('feature_last', 'equal iterations', 'plain'),
    _arm('feature_stages', 'equal iterations', 'plain'),
    _arm('adversarial', 'equal iterations', 'plain', 'adversarial (the paper)'),
    _arm('afd', 'equal iterations', 'plain'),
]
joints = [
    dict(name='plain', config='main.py', options=_without, arms=[
        _arm('plain', 'equal iterations', None)]),
    dict(name='main', config='main.py', teacher='teacher', options=_learns, arms=_main),
    dict(name='more', config='main.py', teacher='teacher', options=_learns, arms=_more),
    dict(name='atoms', config='main.py', teacher='teacher', options=_learns, arms=[
        _arm('atoms', 'equal iterations', 'plain')]),
    # Does it matter what the atoms are, and that D sees the teacher's output, not HR?
    dict(name='controls', config='main.py', teacher='teacher', options=_learns, arms=[
        _arm('atoms_random', 'controls', 'plain', seeds=(0,)),
        _arm('hr_vgg', 'controls', 'plain', seeds=(0,))]),
    _plain('data_300_plain', '300 faces', 'fewer faces',
           {'train_dataloader.dataset.subset': 300})
]
# (b) what plain students reach when they train for longer
for _times, _those in (2, (0, 1, 2)), (4, (0,)):
    _last = _times * 4000
    joints.append(_plain(
        f'plain_x{_times}', f'{_last:,} iterations', 'longer training', {
            'train_cfg.max_iters': _last, 'train_cfg.val_interval': _last // 4,
            'param_scheduler.begin': _last // 2, 'param_scheduler.end': _last},
        seeds=_those))
# the second setting
joints += [_plain('clean_plain', 'clean', 'clean', {}, 'clean.py', None),
           _taught('clean', 'clean', 'clean', {}, 'clean.py')]
# (c) number of training faces; all 2,011 are the main setting
for _count in (100, 1000):
    _few = {'train_dataloader.dataset.subset': _count}
    joints.append(_plain(
        f'data_{_count}_plain', f'{_count:,} faces', 'fewer faces', _few))
for _count in (100, 300, 1000):
    _few = {'train_dataloader.dataset.subset': _count}
    joints.append(_taught(
        f'data_{_count}', f'{_count:,} faces', 'fewer faces', _few))
# What the plots of questions (b) to (d) show
questions = dict(
    compute=dict(plain={4000: 'plain', 8000: 'plain_x2', 16000: 'plain_x4'},
                 costs=f'{results}/costs.csv', iterations=4000, distilled=dict(
                     atoms=dict(parts=['atoms of HR']),
                     adversarial_vgg=dict(teacher_iterations=8000),
                     atoms_vgg=dict(parts=['atoms of HR', 'teacher'],
                                    teacher_iterations=8000))),
    data={name: {**{count: f'data_{count}_{name}' for count in (100, 300, 1000)},
                 2011: name} for name in ('plain', _best)},
    only_lr=['data_300_plain', 'labelled', 'plain'])
