"""kdsweep beside a plain training loop, in one run: ratios of CPU seconds and of wall time.

The plain loop is ours, in the manner in which the paper's experiments are usually run: one trial per process
with one thread, a loader with worker processes that crops and flips one PIL image after the other, the scheme on the
batch of normalised tensors, teacher and student called anew for each view, eager fp32 in torch's default memory
layout, losses read and logged at each step. It takes the same trials (`trainer.trial`), architectures and
images as kdsweep does; nothing else is shared.

    make bench                                  # all pairs: hours on two cores
    QUICK=1 make bench                          # under ten minutes: another pair, fewer steps and rounds
    python -m benchmarks.side_by_side --only group --pairs resnet56/resnet20

| module | its one reason |
|---|---|
| `pillow_images`, `plain_schemes`, `plain_loop`, `plain_trial` | the plain loop: images, schemes, steps, whole trials |
| `workloads` | which trials, images and weights both sides get |
| `steps` | CPU and wall time per step of either side, after a warm-up |
| `convolutions` | the best rate of a large convolution, and the arithmetic of a step |
| `whole_sweeps` | a sweep from its first process to its last, Ray included |
| `comparisons` | ratios per round, their median and spread |
| `record` | what was measured, written as soon as it is there |
| `plan` | which measurements, and in which order they alternate |

Two measurements that are compared follow each other in one round, in the other order in the next; what is
reported is the median over rounds of their ratio, with the smallest and the largest.
"""
