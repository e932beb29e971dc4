"""What was made: fetched, verified, unguarded."""
