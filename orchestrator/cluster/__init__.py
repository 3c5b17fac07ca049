"""Ways to a cluster: a Ray of our own, a connection to one, sweeps handed to one as jobs, what its nodes are asked first."""
