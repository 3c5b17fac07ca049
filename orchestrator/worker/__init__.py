"""What runs where the GPU is: one job, from its trials to their rows in the store."""
