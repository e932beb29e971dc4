"""Who did what: the trail of requests, refusals, downloads and administration."""
