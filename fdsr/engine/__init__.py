"""Training and testing on mmengine: configs, loops, samplers, hooks, optimizers."""
