"""The pages' texts in English."""

from __future__ import annotations

from typing import Final

TEXTS_EN: Final = {
    "skip": "Skip to the content",
    "nav": "Pages",
    "nav.new": "New export",
    "nav.exports": "My exports",
    "nav.operate": "Operate",
    "nav.audit": "Audit trail",
    "signed_in_as": "Signed in as {who}",
    "sign_out": "Sign out",
    "of_tenant": "of {tenant}",
    "signin.title": "Sign in",
    "signin.host": "Open these pages from the application you use: it signs you in here.",
    "signin.button": "Sign in with your application",
    "signin.local": "On your own machine, “waybill local” prints a link for each role.",
    "signin.over": "Your session is over. Sign in again to go on where you were.",
    "signin.recent": (
        "This export needs a sign-in of a short time ago. Sign in again and repeat it."
    ),
    "signin.out": "You are signed out.",
    "signin.used": (
        "That link does not open anything. It was used already, is too old, or was never one. "
        "Ask for a new one where you got it."
    ),
    "signin.cookies": (
        "Your browser keeps no cookies. Allow them for this site: without one nobody is signed in."
    ),
    "signin.provider": "Sign in with {name}",
    "signin.again": "Try again",
    "signin.end": "Sign out of {name} too",
    "signin.failed.details": "For your administrator",
    "signin.failed.provider_unavailable": (
        "Signing in is not possible at the moment: the sign-in service does not answer. Try again "
        "in a few minutes. Exports that run go on."
    ),
    "signin.failed.provider_refused": (
        "The sign-in service did not accept our request. Try again; if it stays so, tell your "
        "administrator: client, secret or this service's address may not be known there."
    ),
    "signin.failed.sign_in_denied": (
        "You were not signed in: access was denied or broken off. If you should have access, ask "
        "your administrator."
    ),
    "signin.failed.sign_in_not_begun": (
        "This sign-in does not open anything: it was begun in another browser, too long ago, or "
        "was used already. Begin anew."
    ),
    "signin.failed.identity_refused": (
        "You were signed in, but not for this service. Ask your administrator: what was said of "
        "you does not hold here."
    ),
    "signin.failed.clocks_differ": (
        "You were signed in, but the clocks of the two services differ. Try again; if it stays so, "
        "tell your administrator."
    ),
    "portal.title": "Open your exports",
    "portal.says": "This link signs you in once, in this browser.",
    "portal.button": "Continue",
    "error.title": "That did not work",
    "error.not_found.title": "There is nothing here",
    "error.export_not_found": (
        "There is no such export, or it is not yours. Look at the list of your exports."
    ),
    "error.not_found": "There is no page at this address. Look at the list of your exports.",
    "error.unknown_export_type": (
        "There is no such type of export, or it is not offered to you. Choose another one."
    ),
    "error.permission_denied": "You may not see this page. Ask your administrator if you need it.",
    "error.foreign_request": (
        "This was not sent by a page of this service, so it was not done. Go back, reload the "
        "page and try again."
    ),
    "error.database_unavailable": (
        "The database does not answer at the moment. Try again in a minute."
    ),
    "error.too_many_requests": "That was too fast. Wait a few seconds and try again.",
    "error.export_not_ready": "The file exists once the export is ready.",
    "error.export_gone": "The file is gone. Request the export again if you need it.",
    "error.file_denied": (
        "You may see this export, but not its file: today your rights do not cover what is in it."
    ),
    "error.values_forgotten": (
        "The values that the export filters by are not kept any more. Request it anew."
    ),
    "error.result_unavailable": (
        "The file cannot be read from storage at the moment. Try again in a few minutes."
    ),
    "error.back": "Back to my exports",
    "error.quota_exceeded": (
        "You have used up your exports for today. The page of a new export says when the next is "
        "possible."
    ),
    "status.queued": "Waiting",
    "status.running": "Running",
    "status.completed": "Ready",
    "status.failed": "Failed",
    "status.cancelled": "Cancelled",
    "status.expired": "Expired",
    "status.deleted": "Deleted",
    "status.any": "Any",
    "says.queued": (
        "It waits for its turn. You can close this page; the export goes on without it."
    ),
    "says.running": "It is being written. You can close this page; the export goes on without it.",
    "says.completed": "Every row was counted and every byte was checked.",
    "says.cancelled": "This export was cancelled. No file was made.",
    "says.expired": (
        "The file was kept as long as promised and is deleted now. Request it again if you need it."
    ),
    "says.deleted": "The file was deleted. Request it again if you need it.",
    "says.retry": (
        "The last attempt failed; the next begins by itself. Attempt {attempt} of {most}."
    ),
    "watch.kicker": "Export of {title}",
    "watch.rows": "Rows",
    "watch.of_rows": "of {rows}",
    "watch.of_about_rows": "of about {rows}",
    "watch.rate": "Rows a second",
    "watch.left": "Time left",
    "watch.elapsed": "Elapsed",
    "watch.took": "Took",
    "watch.waiting": "Waiting for",
    "watch.written": "Written",
    "watch.attempt": "Attempt",
    "watch.progress": "Progress",
    "watch.cancel": "Cancel the export",
    "watch.lost": "The connection is lost. The export goes on; this page tries again.",
    "watch.signed_out": "Your session is over. The export goes on.",
    "watch.sign_in": "Sign in again",
    "watch.gone": "This export is not there any more.",
    "watch.no_live": "This page reloads every few seconds.",
    "watch.download": "Download the file",
    "watch.manifest": "Download the manifest",
    "watch.size": "Size",
    "watch.sha": "SHA-256",
    "watch.copy": "Copy",
    "watch.copied": "Copied",
    "watch.until": "Available until",
    "watch.requested": "Requested",
    "watch.finished": "Finished",
    "watch.format": "Format",
    "watch.reference": "Reference",
    "watch.by": "Requested by",
    "watch.delete": "Delete the file",
    "watch.delete.sure": "The file is gone for good then.",
    "watch.repeat": "Request it again",
    "watch.denied": (
        "You may see this export, but not its file: today your rights do not cover what is in it."
    ),
    "watch.what": "What is in the file",
    "watch.what.asked": "What was asked for",
    "watch.what.not": "What is left out",
    "watch.columns": "{n} columns",
    "watch.columns.one": "{n} column",
    "watch.all_columns": "All columns.",
    "watch.column": "Column",
    "watch.header": "Header in the file",
    "watch.type": "Type",
    "watch.guarded": "guarded",
    "watch.every_row": "All rows as they were at one moment: {at}.",
    "watch.these_rows": "The rows as they were at one moment: {at}.",
    "watch.rows.own": (
        "Rows that belong to others are not in it: this type gives each tenant or person their own."
    ),
    "watch.rows.filter": "Only rows with {name} {operator} {value}.",
    "op.eq": "=",
    "op.ne": "≠",
    "op.lt": "<",
    "op.lte": "≤",
    "op.gt": ">",
    "op.gte": "≥",
    "op.in": "one of",
    "op.prefix": "beginning with",
    "op.is_null": "empty:",
    "watch.rows.forgotten": "Rows were filtered by {name}; by what, is not kept any more.",
    "watch.rows.since": "Only rows changed since {since}.",
    "watch.left_out": "Columns that were not chosen: {names}.",
    "watch.left_out.one": "Column that was not chosen: {names}.",
    "watch.hidden": "{n} more columns that you may not see.",
    "watch.hidden.one": "{n} more column that you may not see.",
    "watch.rows.others": "Rows that were not asked for.",
    "watch.nothing_left_out": "Nothing was left out.",
    "watch.guard": (
        "Cells that begin like a formula carry an apostrophe before them, so that no spreadsheet "
        "runs them. To take it away:"
    ),
    "watch.verify": "How to verify it",
    "watch.verify.says": (
        "The manifest names the rows, the bytes and a SHA-256 of the whole and of each part. "
        "This compares all of it:"
    ),
    "watch.verify.sha": "Or compare the digest alone:",
    "watch.happened": "What happened, and what to do",
    "watch.code": "Code for your administrator: {code}",
    "history.search": "Search",
    "history.status": "Status",
    "history.type": "Type",
    "history.since": "Requested since",
    "history.until": "until",
    "history.rows": "{n} rows",
    "history.rows.one": "{n} row",
    "history.until_when": "until",
    "history.older": "Older exports",
    "history.all": "Show all",
    "history.empty": "No exports yet",
    "history.empty.says": (
        "What you request is listed here, with its file for as long as it is kept."
    ),
    "history.none": "Nothing matches",
    "history.none.says": "None of your exports is like that.",
    "types.title": "What would you like to export?",
    "types.all_columns": "all columns",
    "types.rows": "about {n} rows",
    "types.rows.one": "about {n} row",
    "types.personal": "{n} with personal data",
    "types.own_rows": "Only the rows of your own tenant or person.",
    "types.empty": "There is nothing to export for you",
    "types.empty.says": "Ask your administrator for the rights to a type of export.",
    "quota.title": "What you have left",
    "quota.left": "{n} of {limit} exports left for today.",
    "quota.left.one": "{n} of {limit} export left for today.",
    "quota.next": "The next is possible in {after}.",
    "quota.none": "As many exports as you like.",
    "refused.quota_exceeded": "You have used up your exports for today.",
    "refused.dry_runs_exceeded": (
        "You have used up your previews for today. The export itself can still be requested."
    ),
    "refused.form_unfinished": (
        "A filter is filled in by half. Without it the file would hold more than you asked for."
    ),
    "refused.source_unreadable": (
        "The database does not answer for this at the moment. Try again shortly, or ask your "
        "administrator."
    ),
    "refused.no_columns": "Choose at least one column.",
    "unfit": "The service says:",
    "unfit.unknown_column": "There is no such column, or it is not offered to you.",
    "unfit.unknown_filter": "There is no such filter, or it is not offered to you.",
    "unfit.unknown_format": "There is no such format.",
    "unfit.format_not_installed": "This format is not set up here.",
    "unfit.invalid_option": "Something that was chosen does not fit.",
    "unfit.invalid_filter": "The value of a filter does not fit.",
    "unfit.personal_data_denied": "You have no right to this personal data.",
    "unfit.too_many_open": "Too many of your exports are under way. Wait for one of them to end.",
    "unfit.outside_hours": "Exports of this type begin at certain hours of the day.",
    "unfit.form_refused": "This form cannot be taken. Open its page again and fill it in anew.",
    "request.title": "Export of {name}",
    "request.kept": "What you had filled in is here again. Nothing was requested yet.",
    "request.trouble": "That cannot be requested like this",
    "request.file": "The file",
    "request.compression": "Compression",
    "request.uncompressed": "none",
    "request.compressed_inside": (
        "Parquet and XLSX are compressed inside; leave the compression out there."
    ),
    "request.rows": "Which rows",
    "request.rows.says": (
        "All of them, unless you say otherwise. Several values of “one of” have commas between."
    ),
    "request.personal": "personal",
    "request.compare": "Comparison",
    "request.any_value": "any value",
    "request.value": "Value",
    "kind.text": "text",
    "kind.integer": "whole number",
    "kind.number": "number",
    "kind.boolean": "true or false",
    "kind.date": "2026-05-01",
    "kind.timestamp": "2026-05-01T12:00:00",
    "kind.timestamptz": "2026-05-01T12:00:00Z",
    "kind.uuid": "UUID",
    "request.lacks.comparison": "Choose how to compare with this value, or clear it.",
    "request.lacks.value": "Give a value, or choose “any value” as the comparison.",
    "request.lacks.item": "A value is missing beside one of the commas.",
    "request.since": "Only rows changed since (a time with its offset)",
    "request.columns": "Which columns",
    "request.columns.says": "Choose them, put them in order, and rename their headers.",
    "request.columns.unknown": (
        "All columns of the source. The preview shows them, and lets you choose."
    ),
    "request.all_or_none": "All or none",
    "request.rename": "Other header for {name}",
    "request.up": "Move {name} up",
    "request.down": "Move {name} down",
    "request.send": "Request the export",
    "request.preview": "Preview",
    "request.same": "The same from a program",
    "preview.title": "What the file would be",
    "preview.about": "about",
    "preview.at_least": "at least",
    "preview.no_rows": (
        "The first rows take too long to find; the export itself has time for that."
    ),
    "preview.empty": "There would be no rows in it.",
    "operate.now": "Now",
    "operate.queued": "Waiting",
    "operate.oldest": "Oldest waits",
    "operate.running": "Running",
    "operate.silent": "Without heartbeat",
    "operate.failed": "Dead letters",
    "operate.files": "Files kept",
    "operate.expiring": "Expire within a day",
    "operate.next_expiry": "Next expires",
    "operate.went": "How it went",
    "window.hour": "Hour",
    "window.day": "Day",
    "window.week": "Week",
    "operate.chart": "Exports that ended, by time; the same figures stand in the table below.",
    "operate.as_of": "How it went and what is kept, as of {at}.",
    "operate.highest": "The highest bar stands for {n}.",
    "operate.completed": "Completed",
    "operate.table": "The figures as a table",
    "operate.from": "From",
    "operate.duration": "Took on average",
    "operate.causes": "Failures by cause",
    "operate.no_failures": "Nothing failed in this time.",
    "operate.heartbeat": "Heartbeat",
    "operate.worker": "Worker",
    "operate.workers": "Workers heard of in the last 10 minutes",
    "operate.worker_says": "{n} running, heard of {ago} ago",
    "operate.nothing_runs": "Nothing runs at the moment.",
    "operate.no_workers": (
        "None: nothing ran. A worker says something only while it runs an export."
    ),
    "operate.dead": "Dead letters",
    "operate.replay": "Replay",
    "operate.replay_all": "Replay all",
    "operate.dead.count": "{n} exports",
    "operate.dead.count.one": "{n} export",
    "operate.dead.show": "Show all {n}",
    "operate.dead.every": "Every cause",
    "operate.replay_all.sure": "{n} exports are queued again.",
    "operate.replay_all.sure.one": "{n} export is queued again.",
    "operate.replay_all.most": "More at a time are too many: these are the newest.",
    "operate.no_dead": "None. Every export ended well, or was cancelled.",
    "operate.notifications": "Notifications that were given up",
    "operate.notifications.says": "{n} in all; the newest are shown.",
    "operate.notifications.says.one": "{n} in all.",
    "operate.send_again": "Send again",
    "operate.send_all": "Send all of them again",
    "operate.no_notifications": "None.",
    "operate.tenants": "By tenant",
    "operate.tenant": "Tenant",
    "operate.no_tenant": "none",
    "alert.queued_too_long": "Exports wait too long: there are too few workers, or none.",
    "alert.running_without_heartbeat": (
        "A lease is over and nobody frees it: does the scheduler run?"
    ),
    "audit.actor": "Who",
    "audit.action": "Action",
    "audit.outcome": "Outcome",
    "audit.when": "When",
    "audit.older": "Older events",
    "action.requested": "Requested",
    "action.previewed": "Previewed",
    "action.streamed": "Streamed",
    "action.read": "Read",
    "action.listed": "Listed",
    "action.downloaded": "Downloaded",
    "action.cancelled": "Cancelled",
    "action.deleted": "Deleted",
    "action.revoked": "Revoked",
    "action.replayed": "Replayed",
    "action.resent": "Sent again",
    "action.enabled": "Enabled an endpoint",
    "action.audited": "Read the trail",
    "action.linked": "Made a link",
    "action.signed_in": "Signed in",
    "action.signed_out": "Signed out",
    "outcome.allowed": "allowed",
    "outcome.refused": "refused",
    "progress.said": "{percent} percent, {rows} rows",
    "progress.said.one": "{percent} percent, {rows} row",
    "element.requesting": "The request is on its way.",
    "element.ready": (
        "Ready: {rows} rows, {size}. Every row was counted and every byte was checked."
    ),
    "element.ready.one": (
        "Ready: {rows} row, {size}. Every row was counted and every byte was checked."
    ),
    "element.recent": "Recent exports",
    "element.download": "Download",
    "element.downloading": "The file is being fetched.",
    "element.downloaded": "The file is in your downloads.",
    "element.unreachable": (
        "The export service does not answer. Check your connection and try again."
    ),
    "element.origin_not_listed": (
        "The export service does not take requests of this page, whose address is not on its list. "
        "Tell those who run this page."
    ),
    "element.not_set_up": (
        "This page names no export that could be requested. Tell those who run this page."
    ),
    "element.again": "Try again",
    "element.signed_out": "You are not signed in any more. Sign in again and reload this page.",
    "element.permission_denied": "You may not do this. Ask your administrator if you need it.",
    "element.file_denied": (
        "You may see this export, but not its file: today your rights do not cover what is in it."
    ),
}
