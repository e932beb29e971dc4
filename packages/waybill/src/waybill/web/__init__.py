"""The pages for people: request, watch, history, and the queue for administrators.

Rendered here and sent whole; what moves on them is one small module of script. They go through the
same doors as the API: ``CurrentPrincipal`` says who it is, ``requests.access`` what they may.
"""
