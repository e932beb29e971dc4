"""How many workers a rate of exports takes, and how long exports wait: a small simulation."""
