"""What other programs of the field call the settings of this one: for hints, never for reading."""

SYNONYMS = {
    **dict.fromkeys(
        ("lr", "base_lr", "initial_lr", "init_lr", "eta", "step_size"), "learning_rate"
    ),
    **dict.fromkeys(("lr_decay", "lr_decay_rate", "gamma", "lr_gamma"), "decay"),
    **dict.fromkeys(("lr_decay_epochs", "lr_milestones", "lr_steps"), "milestones"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule"), "schedule"),
    **dict.fromkeys(("optimizer", "optim", "opt"), "optimiser"),
    **dict.fromkeys(("grad_clip", "clip_grad", "clip_grad_norm", "max_grad_norm"), "clip_norm"),
    **dict.fromkeys(("smoothing", "ls"), "label_smoothing"),
    **dict.fromkeys(("distill", "distillation", "loss"), "method"),
    **dict.fromkeys(("warmup", "warmup_epochs"), "method_warmup_epochs"),
    **dict.fromkeys(("wd", "l2", "weight_decay_rate", "regularization"), "weight_decay"),
    **dict.fromkeys(("bs", "batch", "batchsize", "minibatch_size"), "batch_size"),
    **dict.fromkeys(("epoch", "n_epochs", "num_epochs", "max_epochs"), "epochs"),
    **dict.fromkeys(("t", "temp", "tau", "kd_t"), "temperature"),
    **dict.fromkeys(("alpha", "kd_weight", "kd_alpha", "kd"), "distillation_weight"),
    **dict.fromkeys(("ce_weight", "cls_weight", "hard_weight"), "label_weight"),
    **dict.fromkeys(("dtype", "amp", "fp16", "mixed_precision"), "precision"),
    **dict.fromkeys(("augs", "augment", "transforms"), "augmentations"),
    **dict.fromkeys(("models", "archs", "architectures"), "pairs"),
    **dict.fromkeys(("gpus", "num_gpus", "n_gpus"), "gpu"),
    **dict.fromkeys(("cpus", "num_cpus", "n_cpus", "threads", "workers"), "cpu"),
    **dict.fromkeys(("weights", "pretrained", "ckpt", "teacher_ckpt"), "checkpoint"),
}
"""Lower-case words, and the name of the same thing here."""
