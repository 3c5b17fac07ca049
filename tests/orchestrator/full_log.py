"""A log on a disk that has no room left."""

import errno
import io


class FullLog(io.StringIO):
    """Takes nothing."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")
