"""``waybill`` with a visibility time-out of seconds: far below the application's tasks, so that a
worker of ours that looked after their messages would hand them out again."""

from __future__ import annotations

import runpy

import waybill.jobs.celery_app as it

VISIBILITY_SECONDS = 5

if __name__ == "__main__":
    it.VISIBILITY_TIMEOUT_SECONDS = VISIBILITY_SECONDS
    runpy.run_module("waybill", run_name="__main__")
