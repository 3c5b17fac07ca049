"""A sweep in one allocation of a batch system: Slurm's, and by a changed script another's.

    kdsweep slurm          request -> script -> sbatch        (request, jobs, records, commands)
    the batch script       launcher: Ray's head here, a node per further machine, the sweep, then the end of all
    srun, on the others    node: one node of that Ray, until the launcher is done with it

The launcher hands each further node the head's address and token through the standard input of what starts it
(`hand`): the token is on no shared disk, in no command line and in no environment; and the end of that input is
the end of the node.
"""
