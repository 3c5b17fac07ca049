"""Which trials a sweep stands for, which are missing, in which order they go and at what price. Without Ray, torch and clocks."""
