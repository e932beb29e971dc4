"""Storage in waybill's own database, for the time in which S3 is away."""
