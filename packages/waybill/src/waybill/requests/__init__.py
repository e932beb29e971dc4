"""May you, how much, what exactly: from a principal and a request to an admitted job."""
