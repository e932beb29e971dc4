"""Storage in a directory of a file system that API and workers share."""
