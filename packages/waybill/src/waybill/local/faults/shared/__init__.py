"""``make chaos ARGS="--host celery"``: somebody's Celery application and ours on one Redis.

The application has long tasks with ``acks_late``; exports run both ways, in workers of its own
(``waybill.celery.install``) and in a worker of ours beside them. Ours are broken, Redis is killed
and restarted, and the application has to notice nothing of us: each of its tasks runs once.
"""
