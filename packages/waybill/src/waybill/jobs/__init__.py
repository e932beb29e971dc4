"""A job's row: status and legal moves, leases, attempts, checkpoints, the queue that names it."""
