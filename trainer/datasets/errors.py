"""What can be wrong with data."""


class DataError(Exception):
    """Data that are missing, cannot be read, are damaged, or are not what their name promises."""
