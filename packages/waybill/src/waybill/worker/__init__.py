"""How the queue comes in: an id arrives, ``run`` does the work, the scheduler drives ``upkeep``."""
