"""``make operate``: each alert on its fault, with real Prometheus and Alertmanager."""
