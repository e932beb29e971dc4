"""Looks at everything a service depends on, with the very credentials it will use, and says of each
in a sentence how it is and what to do. Nothing here changes anything that stays."""
