"""The command line: words, options and how things are printed. It wires the other rooms together, and nothing else."""
