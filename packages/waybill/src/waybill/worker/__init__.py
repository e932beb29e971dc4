"""The Celery side: an id comes in, the runner does the work, the sweeper mends what was lost."""
