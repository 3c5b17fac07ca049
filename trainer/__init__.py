"""The trainer: runs trials of knowledge distillation with data augmentation.

It knows torch and torchvision, and nothing of Ray, sweeps or the store. Importing the package is cheap;
`trainer.trial` and `trainer.catalog` describe trials without torch, everything else needs it.

    group of trials  ->  trainer.lockstep.run_group  ->  results handed to a `trainer.keeper.Keeper`
"""
