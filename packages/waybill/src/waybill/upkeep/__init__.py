"""What the scheduler mends: lost leases, expired files, orphans, files kept beside S3."""
