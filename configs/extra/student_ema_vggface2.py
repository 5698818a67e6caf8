"""S w/o KD, tested with an exponential moving average of its weights.

    python tools/train.py configs/extra/student_ema_vggface2.py \
        --data-root data/vggface2

Averaging over about 1,000 iterations reduces the noise of single checkpoints.
"""
_base_ = '../student_vggface2.py'

model = dict(test_cfg=dict(report=['bicubic', 'student_ema']))
custom_hooks = [dict(type='fdsr.TrainedEMAHook', name='generator', momentum=0.001)]
