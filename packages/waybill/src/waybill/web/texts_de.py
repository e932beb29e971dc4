"""The pages' texts in German."""

from __future__ import annotations

from typing import Final

TEXTS_DE: Final = {
    "skip": "Zum Inhalt",
    "nav": "Seiten",
    "nav.new": "Neuer Export",
    "nav.exports": "Meine Exporte",
    "nav.operate": "Betrieb",
    "nav.audit": "Prüfprotokoll",
    "signed_in_as": "Angemeldet als {who}",
    "sign_out": "Abmelden",
    "of_tenant": "von {tenant}",
    "signin.title": "Anmelden",
    "signin.host": (
        "Öffnen Sie diese Seiten aus der Anwendung, mit der Sie arbeiten: Sie meldet Sie hier an."
    ),
    "signin.button": "Über Ihre Anwendung anmelden",
    "signin.local": "Auf dem eigenen Rechner gibt „waybill local“ für jede Rolle einen Link aus.",
    "signin.over": (
        "Ihre Sitzung ist abgelaufen. Melden Sie sich erneut an, um hier weiterzumachen."
    ),
    "signin.recent": (
        "Dieser Export verlangt eine kürzlich erfolgte Anmeldung. Melden Sie sich erneut an und "
        "wiederholen Sie ihn."
    ),
    "signin.out": "Sie sind abgemeldet.",
    "signin.used": (
        "Dieser Link öffnet nichts. Er wurde schon benutzt, ist zu alt oder war nie einer. Holen "
        "Sie sich dort einen neuen, wo Sie ihn bekommen haben."
    ),
    "signin.cookies": (
        "Ihr Browser behält keine Cookies. Erlauben Sie sie für diese Seite: Ohne eines bleibt "
        "niemand angemeldet."
    ),
    "signin.provider": "Mit {name} anmelden",
    "signin.again": "Noch einmal versuchen",
    "signin.end": "Auch von {name} abmelden",
    "signin.failed.details": "Für Ihre Administration",
    "signin.failed.provider_unavailable": (
        "Anmelden ist gerade nicht möglich: Der Anmeldedienst antwortet nicht. Versuchen Sie es in "
        "einigen Minuten wieder. Laufende Exporte gehen weiter."
    ),
    "signin.failed.provider_refused": (
        "Der Anmeldedienst hat unsere Anfrage nicht angenommen. Versuchen Sie es noch einmal; "
        "bleibt es so, sagen Sie es Ihrer Administration: Client, Geheimnis oder die Adresse "
        "dieses Dienstes sind dort vielleicht nicht bekannt."
    ),
    "signin.failed.sign_in_denied": (
        "Sie wurden nicht angemeldet: Der Zugang wurde verweigert oder abgebrochen. Sollten Sie "
        "Zugang haben, fragen Sie Ihre Administration."
    ),
    "signin.failed.sign_in_not_begun": (
        "Diese Anmeldung öffnet nichts: Sie wurde in einem anderen Browser begonnen, ist zu lange "
        "her oder wurde schon benutzt. Beginnen Sie neu."
    ),
    "signin.failed.identity_refused": (
        "Sie wurden angemeldet, aber nicht für diesen Dienst. Fragen Sie Ihre Administration: Was "
        "über Sie gesagt wurde, gilt hier nicht."
    ),
    "signin.failed.clocks_differ": (
        "Sie wurden angemeldet, aber die Uhren der beiden Dienste gehen verschieden. Versuchen Sie "
        "es noch einmal; bleibt es so, sagen Sie es Ihrer Administration."
    ),
    "portal.title": "Ihre Exporte öffnen",
    "portal.says": "Dieser Link meldet Sie einmal an, in diesem Browser.",
    "portal.button": "Weiter",
    "error.title": "Das hat nicht geklappt",
    "error.not_found.title": "Hier ist nichts",
    "error.export_not_found": (
        "Diesen Export gibt es nicht, oder er gehört Ihnen nicht. Sehen Sie in der Liste Ihrer "
        "Exporte nach."
    ),
    "error.not_found": (
        "Unter dieser Adresse gibt es keine Seite. Sehen Sie in der Liste Ihrer Exporte nach."
    ),
    "error.unknown_export_type": (
        "Diese Art von Export gibt es nicht, oder sie wird Ihnen nicht angeboten. Wählen Sie "
        "eine andere."
    ),
    "error.permission_denied": (
        "Sie dürfen diese Seite nicht sehen. Fragen Sie Ihre Administration, wenn Sie sie brauchen."
    ),
    "error.foreign_request": (
        "Das kam nicht von einer Seite dieses Dienstes und wurde deshalb nicht getan. Gehen Sie "
        "zurück, laden Sie die Seite neu und versuchen Sie es noch einmal."
    ),
    "error.database_unavailable": (
        "Die Datenbank antwortet gerade nicht. Versuchen Sie es in einer Minute noch einmal."
    ),
    "error.too_many_requests": (
        "Das war zu schnell. Warten Sie einige Sekunden und versuchen Sie es noch einmal."
    ),
    "error.export_not_ready": "Die Datei gibt es, sobald der Export fertig ist.",
    "error.export_gone": (
        "Die Datei gibt es nicht mehr. Fordern Sie den Export neu an, wenn Sie sie brauchen."
    ),
    "error.file_denied": (
        "Sie dürfen diesen Export sehen, aber nicht seine Datei: Ihre Rechte decken heute nicht, "
        "was darin steht."
    ),
    "error.values_forgotten": (
        "Die Werte, nach denen der Export filtert, werden nicht mehr aufbewahrt. Fordern Sie ihn "
        "neu an."
    ),
    "error.result_unavailable": (
        "Die Datei ist im Speicher gerade nicht zu lesen. Versuchen Sie es in einigen Minuten."
    ),
    "error.back": "Zurück zu meinen Exporten",
    "error.quota_exceeded": (
        "Sie haben Ihre Exporte für heute aufgebraucht. Die Seite für neue Exporte sagt, wann "
        "der nächste möglich ist."
    ),
    "status.queued": "Wartet",
    "status.running": "Läuft",
    "status.completed": "Fertig",
    "status.failed": "Fehlgeschlagen",
    "status.cancelled": "Abgebrochen",
    "status.expired": "Abgelaufen",
    "status.deleted": "Gelöscht",
    "status.any": "Alle",
    "says.queued": (
        "Er wartet, bis er an der Reihe ist. Sie können diese Seite schließen, der Export läuft "
        "ohne sie weiter."
    ),
    "says.running": (
        "Er wird geschrieben. Sie können diese Seite schließen, der Export läuft ohne sie weiter."
    ),
    "says.completed": "Jede Zeile wurde gezählt und jedes Byte geprüft.",
    "says.cancelled": "Dieser Export wurde abgebrochen. Es entstand keine Datei.",
    "says.expired": (
        "Die Datei wurde so lange aufbewahrt wie versprochen und ist nun gelöscht. Fordern Sie "
        "sie neu an, wenn Sie sie brauchen."
    ),
    "says.deleted": "Die Datei wurde gelöscht. Fordern Sie sie neu an, wenn Sie sie brauchen.",
    "says.retry": (
        "Der letzte Versuch schlug fehl, der nächste beginnt von selbst. Versuch {attempt} von "
        "{most}."
    ),
    "watch.kicker": "Export von {title}",
    "watch.rows": "Zeilen",
    "watch.of_rows": "von {rows}",
    "watch.of_about_rows": "von etwa {rows}",
    "watch.rate": "Zeilen je Sekunde",
    "watch.left": "Restzeit",
    "watch.elapsed": "Vergangen",
    "watch.took": "Dauer",
    "watch.waiting": "Wartet seit",
    "watch.written": "Geschrieben",
    "watch.attempt": "Versuch",
    "watch.progress": "Fortschritt",
    "watch.cancel": "Export abbrechen",
    "watch.lost": (
        "Die Verbindung ist unterbrochen. Der Export läuft weiter, diese Seite versucht es wieder."
    ),
    "watch.signed_out": "Ihre Sitzung ist abgelaufen. Der Export läuft weiter.",
    "watch.sign_in": "Erneut anmelden",
    "watch.gone": "Diesen Export gibt es nicht mehr.",
    "watch.no_live": "Diese Seite lädt alle paar Sekunden neu.",
    "watch.download": "Datei herunterladen",
    "watch.manifest": "Manifest herunterladen",
    "watch.size": "Größe",
    "watch.sha": "SHA-256",
    "watch.copy": "Kopieren",
    "watch.copied": "Kopiert",
    "watch.until": "Verfügbar bis",
    "watch.requested": "Angefordert",
    "watch.finished": "Beendet",
    "watch.format": "Format",
    "watch.reference": "Kennung",
    "watch.by": "Angefordert von",
    "watch.delete": "Datei löschen",
    "watch.delete.sure": "Die Datei ist dann endgültig weg.",
    "watch.repeat": "Erneut anfordern",
    "watch.denied": (
        "Sie dürfen diesen Export sehen, aber nicht seine Datei: Ihre Rechte decken heute nicht, "
        "was darin steht."
    ),
    "watch.what": "Was in der Datei ist",
    "watch.what.asked": "Was angefordert wurde",
    "watch.what.not": "Was nicht darin ist",
    "watch.columns": "{n} Spalten",
    "watch.columns.one": "{n} Spalte",
    "watch.all_columns": "Alle Spalten.",
    "watch.column": "Spalte",
    "watch.header": "Überschrift in der Datei",
    "watch.type": "Typ",
    "watch.guarded": "geschützt",
    "watch.every_row": "Alle Zeilen, wie sie in einem Augenblick waren: {at}.",
    "watch.these_rows": "Die Zeilen, wie sie in einem Augenblick waren: {at}.",
    "watch.rows.own": (
        "Zeilen anderer sind nicht darin: Diese Art von Export gibt jedem Mandanten oder jeder "
        "Person die eigenen."
    ),
    "watch.rows.filter": "Nur Zeilen mit {name} {operator} {value}.",
    "op.eq": "=",
    "op.ne": "≠",
    "op.lt": "<",
    "op.lte": "≤",
    "op.gt": ">",
    "op.gte": "≥",
    "op.in": "eines von",
    "op.prefix": "beginnend mit",
    "op.is_null": "leer:",
    "watch.rows.forgotten": (
        "Nach {name} wurde gefiltert; wonach genau, wird nicht mehr aufbewahrt."
    ),
    "watch.rows.since": "Nur Zeilen, die sich seit {since} geändert haben.",
    "watch.left_out": "Nicht gewählte Spalten: {names}.",
    "watch.left_out.one": "Nicht gewählte Spalte: {names}.",
    "watch.hidden": "{n} weitere Spalten, die Sie nicht sehen dürfen.",
    "watch.hidden.one": "{n} weitere Spalte, die Sie nicht sehen dürfen.",
    "watch.rows.others": "Zeilen, nach denen nicht gefragt war.",
    "watch.nothing_left_out": "Es fehlt nichts.",
    "watch.guard": (
        "Zellen, die wie eine Formel beginnen, tragen davor ein Hochkomma, damit keine "
        "Tabellenkalkulation sie ausführt. So wird es entfernt:"
    ),
    "watch.verify": "So prüfen Sie die Datei",
    "watch.verify.says": (
        "Das Manifest nennt die Zeilen, die Bytes und je eine SHA-256-Prüfsumme des Ganzen und "
        "jedes Teils. Das vergleicht alles:"
    ),
    "watch.verify.sha": "Oder nur die Prüfsumme:",
    "watch.happened": "Was geschah, und was zu tun ist",
    "watch.code": "Code für Ihre Administration: {code}",
    "history.search": "Suchen",
    "history.status": "Status",
    "history.type": "Art",
    "history.since": "Angefordert seit",
    "history.until": "bis",
    "history.rows": "{n} Zeilen",
    "history.rows.one": "{n} Zeile",
    "history.until_when": "bis",
    "history.older": "Ältere Exporte",
    "history.all": "Alle zeigen",
    "history.empty": "Noch keine Exporte",
    "history.empty.says": (
        "Was Sie anfordern, steht hier, mit der Datei, solange sie aufbewahrt wird."
    ),
    "history.none": "Nichts gefunden",
    "history.none.says": "Keiner Ihrer Exporte passt zu dieser Suche.",
    "types.title": "Was möchten Sie exportieren?",
    "types.all_columns": "alle Spalten",
    "types.rows": "etwa {n} Zeilen",
    "types.rows.one": "etwa {n} Zeile",
    "types.personal": "{n} mit personenbezogenen Daten",
    "types.own_rows": "Nur die Zeilen Ihres Mandanten oder Ihre eigenen.",
    "types.empty": "Für Sie gibt es nichts zu exportieren",
    "types.empty.says": "Bitten Sie Ihre Administration um Rechte an einer Art von Export.",
    "quota.title": "Was Ihnen bleibt",
    "quota.left": "Noch {n} von {limit} Exporten für heute.",
    "quota.left.one": "Noch {n} von {limit} Export für heute.",
    "quota.next": "Der nächste ist in {after} möglich.",
    "quota.none": "So viele Exporte, wie Sie möchten.",
    "refused.quota_exceeded": "Sie haben Ihre Exporte für heute aufgebraucht.",
    "refused.dry_runs_exceeded": (
        "Sie haben Ihre Vorschauen für heute aufgebraucht. Der Export selbst ist noch möglich."
    ),
    "refused.form_unfinished": (
        "Ein Filter ist nur halb ausgefüllt. Ohne ihn enthielte die Datei mehr, als Sie wollten."
    ),
    "refused.source_unreadable": (
        "Die Datenbank antwortet dafür gerade nicht. Versuchen Sie es bald noch einmal, oder "
        "fragen Sie Ihre Administration."
    ),
    "refused.no_columns": "Wählen Sie mindestens eine Spalte.",
    "unfit": "Der Dienst sagt dazu, auf Englisch:",
    "unfit.unknown_column": "Diese Spalte gibt es nicht, oder sie wird Ihnen nicht angeboten.",
    "unfit.unknown_filter": "Diesen Filter gibt es nicht, oder er wird Ihnen nicht angeboten.",
    "unfit.unknown_format": "Dieses Format gibt es nicht.",
    "unfit.format_not_installed": "Dieses Format ist hier nicht eingerichtet.",
    "unfit.invalid_option": "Etwas, das Sie gewählt haben, passt nicht.",
    "unfit.invalid_filter": "Der Wert eines Filters passt nicht.",
    "unfit.personal_data_denied": "Sie haben kein Recht auf diese personenbezogenen Daten.",
    "unfit.too_many_open": "Zu viele Ihrer Exporte sind im Gange. Warten Sie, bis einer endet.",
    "unfit.outside_hours": "Exporte dieser Art beginnen zu bestimmten Stunden des Tages.",
    "unfit.form_refused": (
        "Dieses Formular wird nicht angenommen. Öffnen Sie seine Seite neu und füllen Sie es noch "
        "einmal aus."
    ),
    "request.title": "Export von {name}",
    "request.kept": "Was Sie ausgefüllt hatten, ist wieder da. Angefordert wurde noch nichts.",
    "request.trouble": "So geht es nicht",
    "request.file": "Die Datei",
    "request.compression": "Komprimierung",
    "request.uncompressed": "keine",
    "request.compressed_inside": (
        "Parquet und XLSX sind innen komprimiert; dort keine Komprimierung wählen."
    ),
    "request.rows": "Welche Zeilen",
    "request.rows.says": (
        "Alle, wenn Sie nichts anderes sagen. Mehrere Werte bei „eines von“ trennen Kommas."
    ),
    "request.personal": "personenbezogen",
    "request.compare": "Vergleich",
    "request.any_value": "beliebig",
    "request.value": "Wert",
    "kind.text": "Text",
    "kind.integer": "ganze Zahl",
    "kind.number": "Zahl",
    "kind.boolean": "true oder false",
    "kind.date": "2026-05-01",
    "kind.timestamp": "2026-05-01T12:00:00",
    "kind.timestamptz": "2026-05-01T12:00:00Z",
    "kind.uuid": "UUID",
    "request.lacks.comparison": (
        "Wählen Sie, wie mit diesem Wert verglichen wird, oder leeren Sie ihn."
    ),
    "request.lacks.value": "Geben Sie einen Wert an, oder wählen Sie „beliebig“ als Vergleich.",
    "request.lacks.item": "Neben einem der Kommas fehlt ein Wert.",
    "request.since": "Nur Zeilen, die sich geändert haben seit (Zeit mit Zone)",
    "request.columns": "Welche Spalten",
    "request.columns.says": (
        "Wählen Sie sie, ordnen Sie sie, und benennen Sie die Überschriften um."
    ),
    "request.columns.unknown": (
        "Alle Spalten der Quelle. Die Vorschau zeigt sie, dann können Sie wählen."
    ),
    "request.all_or_none": "Alle oder keine",
    "request.rename": "Andere Überschrift für {name}",
    "request.up": "{name} nach oben",
    "request.down": "{name} nach unten",
    "request.send": "Export anfordern",
    "request.preview": "Vorschau",
    "request.same": "Dasselbe aus einem Programm",
    "preview.title": "Was die Datei wäre",
    "preview.about": "etwa",
    "preview.at_least": "mindestens",
    "preview.no_rows": (
        "Die ersten Zeilen zu finden dauert zu lange; der Export selbst hat die Zeit dafür."
    ),
    "preview.empty": "Es wären keine Zeilen darin.",
    "operate.now": "Jetzt",
    "operate.queued": "Wartend",
    "operate.oldest": "Ältester wartet",
    "operate.running": "Laufend",
    "operate.silent": "Ohne Lebenszeichen",
    "operate.failed": "Gescheiterte",
    "operate.files": "Dateien",
    "operate.expiring": "Laufen binnen eines Tages ab",
    "operate.next_expiry": "Nächste läuft ab",
    "operate.went": "Verlauf",
    "window.hour": "Stunde",
    "window.day": "Tag",
    "window.week": "Woche",
    "operate.chart": (
        "Beendete Exporte nach Zeit; dieselben Zahlen stehen in der Tabelle darunter."
    ),
    "operate.as_of": "Verlauf und Bestand, Stand {at}.",
    "operate.highest": "Der höchste Balken steht für {n}.",
    "operate.completed": "Fertig",
    "operate.table": "Die Zahlen als Tabelle",
    "operate.from": "Ab",
    "operate.duration": "Dauer im Mittel",
    "operate.causes": "Fehlschläge nach Ursache",
    "operate.no_failures": "In dieser Zeit schlug nichts fehl.",
    "operate.heartbeat": "Lebenszeichen vor",
    "operate.worker": "Worker",
    "operate.workers": "Worker der letzten 10 Minuten",
    "operate.worker_says": "{n} laufend, zuletzt vor {ago}",
    "operate.nothing_runs": "Gerade läuft nichts.",
    "operate.no_workers": (
        "Keiner: Es lief nichts. Ein Worker meldet sich nur, während er exportiert."
    ),
    "operate.dead": "Gescheiterte Exporte",
    "operate.replay": "Wiederholen",
    "operate.replay_all": "Alle wiederholen",
    "operate.dead.count": "{n} Exporte",
    "operate.dead.count.one": "{n} Export",
    "operate.dead.show": "Alle {n} zeigen",
    "operate.dead.every": "Alle Ursachen",
    "operate.replay_all.sure": "{n} Exporte werden erneut eingereiht.",
    "operate.replay_all.sure.one": "{n} Export wird erneut eingereiht.",
    "operate.replay_all.most": "Mehr auf einmal wären zu viele: Es sind die neuesten.",
    "operate.no_dead": "Keine. Jeder Export endete gut oder wurde abgebrochen.",
    "operate.notifications": "Aufgegebene Benachrichtigungen",
    "operate.notifications.says": "{n} insgesamt; hier die neuesten.",
    "operate.notifications.says.one": "{n} insgesamt.",
    "operate.send_again": "Erneut senden",
    "operate.send_all": "Alle erneut senden",
    "operate.no_notifications": "Keine.",
    "operate.tenants": "Nach Mandant",
    "operate.tenant": "Mandant",
    "operate.no_tenant": "keiner",
    "alert.queued_too_long": "Exporte warten zu lange: Es gibt zu wenige Worker oder keinen.",
    "alert.running_without_heartbeat": (
        "Eine Zuteilung ist abgelaufen und niemand gibt sie frei: Läuft der Scheduler?"
    ),
    "audit.actor": "Wer",
    "audit.action": "Aktion",
    "audit.outcome": "Ergebnis",
    "audit.when": "Wann",
    "audit.older": "Ältere Ereignisse",
    "action.requested": "Angefordert",
    "action.previewed": "Vorschau gesehen",
    "action.streamed": "Gestreamt",
    "action.read": "Gelesen",
    "action.listed": "Aufgelistet",
    "action.downloaded": "Heruntergeladen",
    "action.cancelled": "Abgebrochen",
    "action.deleted": "Gelöscht",
    "action.revoked": "Widerrufen",
    "action.replayed": "Wiederholt",
    "action.resent": "Erneut gesendet",
    "action.enabled": "Endpunkt eingeschaltet",
    "action.audited": "Protokoll gelesen",
    "action.linked": "Link erstellt",
    "action.signed_in": "Angemeldet",
    "action.signed_out": "Abgemeldet",
    "outcome.allowed": "erlaubt",
    "outcome.refused": "verweigert",
    "progress.said": "{percent} Prozent, {rows} Zeilen",
    "progress.said.one": "{percent} Prozent, {rows} Zeile",
    "element.requesting": "Die Anforderung ist unterwegs.",
    "element.ready": (
        "Fertig: {rows} Zeilen, {size}. Jede Zeile wurde gezählt und jedes Byte geprüft."
    ),
    "element.ready.one": (
        "Fertig: {rows} Zeile, {size}. Jede Zeile wurde gezählt und jedes Byte geprüft."
    ),
    "element.recent": "Letzte Exporte",
    "element.download": "Herunterladen",
    "element.downloading": "Die Datei wird geholt.",
    "element.downloaded": "Die Datei liegt bei Ihren Downloads.",
    "element.unreachable": (
        "Der Exportdienst antwortet nicht. Prüfen Sie Ihre Verbindung und versuchen Sie es "
        "noch einmal."
    ),
    "element.origin_not_listed": (
        "Der Exportdienst nimmt von dieser Seite nichts an, weil ihre Adresse nicht auf seiner "
        "Liste steht. Sagen Sie es denen, die diese Seite betreiben."
    ),
    "element.not_set_up": (
        "Diese Seite nennt keinen Export, der sich anfordern ließe. Sagen Sie es denen, die diese "
        "Seite betreiben."
    ),
    "element.again": "Noch einmal versuchen",
    "element.signed_out": (
        "Sie sind nicht mehr angemeldet. Melden Sie sich neu an und laden Sie diese Seite neu."
    ),
    "element.permission_denied": (
        "Das dürfen Sie nicht. Fragen Sie Ihre Administration, wenn Sie es brauchen."
    ),
    "element.file_denied": (
        "Sie dürfen diesen Export sehen, aber nicht seine Datei: Ihre Rechte decken heute "
        "nicht, was darin steht."
    ),
}

# What ``jobs.explanations`` says in English, by the same codes.
EXPLANATIONS_DE: Final = {
    "source_unavailable": (
        "Die Datenbank war mehrmals hintereinander nicht erreichbar. Fordern Sie den Export in "
        "einigen Minuten erneut an."
    ),
    "standby_conflict": (
        "Die Datenbank, aus der gelesen wird, war mehrmals hintereinander zu sehr damit "
        "beschäftigt, ihrem Original zu folgen. Fordern Sie den Export später erneut an, oder "
        "bitten Sie Ihre Administration, deren Einstellungen zu prüfen."
    ),
    "source_busy": (
        "Die Datenbank, aus der gelesen wird, ist zurzeit ausgelastet. Der Export wartet und "
        "beginnt von selbst. Fragen Sie Ihre Administration, wenn er länger wartet, als Sie können."
    ),
    "source_full": (
        "Aus dieser Datenbank lesen zurzeit so viele Exporte, wie es zugleich dürfen. "
        "Der Export wartet, bis einer davon endet, und beginnt von selbst. "
        "Fragen Sie Ihre Administration, wenn er länger wartet, als Sie können."
    ),
    "outside_hours": (
        "Exporte dieser Art beginnen zu bestimmten Stunden des Tages. Der Export wartet darauf "
        "und beginnt von selbst. Fragen Sie Ihre Administration, wenn er eher beginnen muss."
    ),
    "newer_request": (
        "Der Dienst wird gerade auf eine andere Version gebracht. Der Export wartet darauf und "
        "beginnt von selbst. Fragen Sie Ihre Administration, wenn er länger wartet, als Sie können."
    ),
    "source_rejected": (
        "Die Datenbank gibt diese Daten nicht heraus; ein neuer Versuch hilft also nicht. Bitten "
        "Sie Ihre Administration, diese Art von Export zu prüfen."
    ),
    "key_not_unique": (
        "Für diese Art von Export ist ein Schlüssel eingestellt, der ihre Zeilen nicht eindeutig "
        "bezeichnet. Bitten Sie Ihre Administration, ihn zu berichtigen."
    ),
    "value_not_representable": (
        "Eine Spalte enthält einen Wert, den dieses Dateiformat nicht fassen kann. Fordern Sie "
        "CSV oder NDJSON an, die jeden Wert fassen, oder lassen Sie die Spalte weg."
    ),
    "computed_column_failed": (
        "Eine Spalte, die für jede Zeile berechnet wird, ließ sich nicht berechnen. Fordern Sie "
        "den Export ohne sie an, oder sagen Sie es Ihrer Administration."
    ),
    "file_too_large": (
        "Die Datei würde größer, als ihr Format erlaubt. Fordern Sie weniger Zeilen oder Spalten "
        "an, mehr Zeilen je Blatt in XLSX (sheet_rows), oder CSV, NDJSON oder Parquet."
    ),
    "row_too_large": (
        "Eine Zeile ist größer, als dieser Dienst im Speicher halten kann. Fordern Sie den "
        "Export ohne die große Spalte an, oder bitten Sie Ihre Administration, die Grenze zu "
        "erhöhen."
    ),
    "storage_unavailable": (
        "Der Dateispeicher war mehrmals hintereinander nicht erreichbar. Fordern Sie den Export "
        "in einigen Minuten erneut an."
    ),
    "storage_rejected": (
        "Der Dateispeicher hat die Datei nicht angenommen. Bitten Sie Ihre Administration, den "
        "Speicher zu prüfen."
    ),
    "storage_full": (
        "Der Dateispeicher war nicht erreichbar, und anderswo ist kein Platz für die Datei. "
        "Fordern Sie den Export später erneut an, oder mit weniger Spalten oder Zeilen."
    ),
    "storage_corrupted": (
        "Die Datei wurde auf dem Weg in den Speicher mehrmals hintereinander beschädigt und "
        "verworfen. Fordern Sie den Export erneut an; geschieht es wieder, sagen Sie es Ihrer "
        "Administration."
    ),
    "incomplete_export": (
        "Die Datei war mehrmals hintereinander unvollständig und wurde verworfen. Fordern Sie "
        "den Export erneut an; geschieht es wieder, sagen Sie es Ihrer Administration."
    ),
    "deadline_exceeded": (
        "Der Export dauerte länger, als er darf, und wurde angehalten. Fordern Sie weniger "
        "Spalten oder Zeilen an, oder bitten Sie Ihre Administration um mehr Zeit."
    ),
    "worker_lost": (
        "Das Programm, das die Datei schrieb, endete mehrmals hintereinander unerwartet. Fordern "
        "Sie den Export erneut an; geschieht es wieder, sagen Sie es Ihrer Administration."
    ),
    "unknown_export_type": (
        "Diese Art von Export wird nicht mehr angeboten. Wählen Sie eine andere."
    ),
    "unknown_format": (
        "Dieses Format wird nicht mehr angeboten. Fordern Sie den Export in einem anderen an."
    ),
    "unknown_column": (
        "Eine Spalte, die Sie wollten, gibt es nicht mehr. Fordern Sie den Export ohne sie an."
    ),
    "invalid_option": (
        "Eine Option Ihrer Anforderung passt nicht mehr. Fordern Sie den Export ohne sie an."
    ),
    "values_forgotten": (
        "Die Werte, nach denen der Export filtert, werden nicht mehr aufbewahrt. Fordern Sie den "
        "Export erneut an."
    ),
    "internal_error": (
        "Auf unserer Seite ist etwas fehlgeschlagen; es wurde festgehalten. Fordern Sie den "
        "Export erneut an; geschieht es wieder, sagen Sie es Ihrer Administration."
    ),
}
