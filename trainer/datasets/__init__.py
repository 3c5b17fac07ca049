"""Data sets: official files and one's own images, decoded once, as uint8 tensors.

`source` finds, verifies and decodes them without torch, `cache` keeps what was decoded, `dataset`
makes the tensors that a trial works on. One module per format.
"""
