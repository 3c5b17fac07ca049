"""Published teachers on this machine: fetched, unpacked, pinned and listed."""
