"""``make whole``: exports of random tables while they are changed, held against what was committed.

``kinds`` are the types of keys, ``sources`` the relations and what happens to them, ``attempts``
runs exports in processes that can be killed, ``judge`` says whether a file is one committed state.
"""
