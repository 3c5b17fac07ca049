"""The trainer: runs trials of knowledge distillation with data augmentation.

It knows torch and torchvision, and nothing of Ray, sweeps or the store. Importing the package is
cheap: only modules that handle tensors import torch. `trainer.trial` and `trainer.catalog`, which
describe trials, do without it.

    group of trials  ->  trainer.lockstep.run_group  ->  results handed to a `trainer.keeper.Keeper`
"""
