// <waybill-export type="users">: request an export, watch it, download it. No dependency, no build.
//
//   <script type="module" src="https://exports.example.com/elements/waybill-export.js"></script>
//   <waybill-export type="users"></waybill-export>
//
// What it shows is text, built node by node: no name and no cell can become markup. Its style is a
// constructed sheet, so that a host's Content-Security-Policy needs no inline style for it.

// Written by waybill.web.element from the pages' catalogue; edits between the marks are lost.
/* texts:begin */
const TEXTS = {
 "en": {
  "error.title": "That did not work",
  "error.export_not_found": "There is no such export, or it is not yours. Look at the list of your exports.",
  "error.unknown_export_type": "There is no such type of export, or it is not offered to you. Choose another one.",
  "error.database_unavailable": "The database does not answer at the moment. Try again in a minute.",
  "error.too_many_requests": "That was too fast. Wait a few seconds and try again.",
  "status.queued": "Waiting",
  "status.running": "Running",
  "status.completed": "Ready",
  "status.failed": "Failed",
  "status.cancelled": "Cancelled",
  "status.expired": "Expired",
  "status.deleted": "Deleted",
  "status.any": "Any",
  "says.queued": "It waits for its turn. You can close this page; the export goes on without it.",
  "says.running": "It is being written. You can close this page; the export goes on without it.",
  "says.completed": "Every row was counted and every byte was checked.",
  "says.cancelled": "This export was cancelled. No file was made.",
  "says.expired": "The file was kept as long as promised and is deleted now. Request it again if you need it.",
  "says.deleted": "The file was deleted. Request it again if you need it.",
  "says.retry": "The last attempt failed; the next begins by itself. Attempt {attempt} of {most}.",
  "watch.of_rows": "of {rows}",
  "watch.of_about_rows": "of about {rows}",
  "watch.left": "Time left",
  "watch.progress": "Progress",
  "watch.cancel": "Cancel the export",
  "watch.lost": "The connection is lost. The export goes on; this page tries again.",
  "watch.download": "Download the file",
  "history.rows": "{n} rows",
  "history.rows.one": "{n} row",
  "quota.left": "{n} of {limit} exports left for today.",
  "quota.left.one": "{n} of {limit} export left for today.",
  "quota.next": "The next is possible in {after}.",
  "refused.quota_exceeded": "You have used up your exports for today.",
  "request.send": "Request the export",
  "progress.said": "{percent} percent, {rows} rows",
  "progress.said.one": "{percent} percent, {rows} row",
  "element.requesting": "The request is on its way.",
  "element.ready": "Ready: {rows} rows, {size}. Every row was counted and every byte was checked.",
  "element.ready.one": "Ready: {rows} row, {size}. Every row was counted and every byte was checked.",
  "element.recent": "Recent exports",
  "element.download": "Download",
  "element.downloading": "The file is being fetched.",
  "element.downloaded": "The file is in your downloads.",
  "element.unreachable": "The export service does not answer. Check your connection and try again.",
  "element.origin_not_listed": "The export service does not take requests of this page, whose address is not on its list. Tell those who run this page.",
  "element.not_set_up": "This page names no export that could be requested. Tell those who run this page.",
  "element.again": "Try again",
  "element.signed_out": "You are not signed in any more. Sign in again and reload this page.",
  "element.permission_denied": "You may not do this. Ask your administrator if you need it.",
  "element.file_denied": "You may see this export, but not its file: today your rights do not cover what is in it.",
  "explain.source_unavailable": "The database could not be reached, several times in a row. Request the export again in a few minutes.",
  "explain.standby_conflict": "The database that is read from was too busy following its original, several times in a row. Request the export again later, or ask your administrator to check its settings.",
  "explain.source_busy": "The database that is read from is busy at the moment. The export waits and begins by itself. Ask your administrator if it waits for longer than you can.",
  "explain.source_full": "As many exports as may read this database at a time are running. The export waits for one of them to end and begins by itself. Ask your administrator if it waits for longer than you can.",
  "explain.outside_hours": "Exports of this type begin at certain hours of the day. The export waits for them and begins by itself. Ask your administrator if it has to be sooner.",
  "explain.newer_request": "The service is being brought to another version. The export waits until that is done and begins by itself. Ask your administrator if it waits for longer than you can.",
  "explain.source_rejected": "The database refused to give out this data, so trying again will not help. Ask your administrator to check this type of export.",
  "explain.key_not_unique": "This type of export is set up with a key that does not identify its rows. Ask your administrator to correct it.",
  "explain.value_not_representable": "A column holds a value that this file format cannot hold. Request CSV or NDJSON, which hold every value, or leave the column out.",
  "explain.computed_column_failed": "A column that is computed for each row could not be computed. Request the export without it, or tell your administrator.",
  "explain.file_too_large": "The file would be larger than its format allows. Request fewer rows or columns, more rows in a sheet of XLSX (sheet_rows), or CSV, NDJSON or Parquet.",
  "explain.row_too_large": "A row is larger than this service can hold in memory. Request the export without its large column, or ask your administrator to raise the limit.",
  "explain.storage_unavailable": "The file storage could not be reached, several times in a row. Request the export again in a few minutes.",
  "explain.storage_rejected": "The file storage refused to take the file. Ask your administrator to check the storage.",
  "explain.storage_full": "The file storage could not be reached, and there is no room to keep the file elsewhere. Request the export again later, or with fewer columns or rows.",
  "explain.storage_corrupted": "The file was damaged on its way to storage, several times in a row, and was thrown away. Request the export again; if it happens once more, tell your administrator.",
  "explain.incomplete_export": "The file turned out incomplete, several times in a row, and was thrown away. Request the export again; if it happens once more, tell your administrator.",
  "explain.deadline_exceeded": "The export took longer than it may and was stopped. Request fewer columns or rows, or ask your administrator for more time.",
  "explain.worker_lost": "The program that wrote the file stopped unexpectedly, several times in a row. Request the export again; if it happens once more, tell your administrator.",
  "explain.unknown_export_type": "This type of export is not offered any more. Choose another type of export.",
  "explain.unknown_format": "This format is not offered any more. Request the export in another format.",
  "explain.unknown_column": "A column that you asked for does not exist any more. Request the export without it.",
  "explain.invalid_option": "An option of your request does not fit any more. Request the export without it.",
  "explain.values_forgotten": "The values that the export filters by are not kept any more. Request the export again.",
  "explain.internal_error": "Something failed on our side, and it was logged. Request the export again; if it happens once more, tell your administrator."
 },
 "de": {
  "error.title": "Das hat nicht geklappt",
  "error.export_not_found": "Diesen Export gibt es nicht, oder er gehört Ihnen nicht. Sehen Sie in der Liste Ihrer Exporte nach.",
  "error.unknown_export_type": "Diese Art von Export gibt es nicht, oder sie wird Ihnen nicht angeboten. Wählen Sie eine andere.",
  "error.database_unavailable": "Die Datenbank antwortet gerade nicht. Versuchen Sie es in einer Minute noch einmal.",
  "error.too_many_requests": "Das war zu schnell. Warten Sie einige Sekunden und versuchen Sie es noch einmal.",
  "status.queued": "Wartet",
  "status.running": "Läuft",
  "status.completed": "Fertig",
  "status.failed": "Fehlgeschlagen",
  "status.cancelled": "Abgebrochen",
  "status.expired": "Abgelaufen",
  "status.deleted": "Gelöscht",
  "status.any": "Alle",
  "says.queued": "Er wartet, bis er an der Reihe ist. Sie können diese Seite schließen, der Export läuft ohne sie weiter.",
  "says.running": "Er wird geschrieben. Sie können diese Seite schließen, der Export läuft ohne sie weiter.",
  "says.completed": "Jede Zeile wurde gezählt und jedes Byte geprüft.",
  "says.cancelled": "Dieser Export wurde abgebrochen. Es entstand keine Datei.",
  "says.expired": "Die Datei wurde so lange aufbewahrt wie versprochen und ist nun gelöscht. Fordern Sie sie neu an, wenn Sie sie brauchen.",
  "says.deleted": "Die Datei wurde gelöscht. Fordern Sie sie neu an, wenn Sie sie brauchen.",
  "says.retry": "Der letzte Versuch schlug fehl, der nächste beginnt von selbst. Versuch {attempt} von {most}.",
  "watch.of_rows": "von {rows}",
  "watch.of_about_rows": "von etwa {rows}",
  "watch.left": "Restzeit",
  "watch.progress": "Fortschritt",
  "watch.cancel": "Export abbrechen",
  "watch.lost": "Die Verbindung ist unterbrochen. Der Export läuft weiter, diese Seite versucht es wieder.",
  "watch.download": "Datei herunterladen",
  "history.rows": "{n} Zeilen",
  "history.rows.one": "{n} Zeile",
  "quota.left": "Noch {n} von {limit} Exporten für heute.",
  "quota.left.one": "Noch {n} von {limit} Export für heute.",
  "quota.next": "Der nächste ist in {after} möglich.",
  "refused.quota_exceeded": "Sie haben Ihre Exporte für heute aufgebraucht.",
  "request.send": "Export anfordern",
  "progress.said": "{percent} Prozent, {rows} Zeilen",
  "progress.said.one": "{percent} Prozent, {rows} Zeile",
  "element.requesting": "Die Anforderung ist unterwegs.",
  "element.ready": "Fertig: {rows} Zeilen, {size}. Jede Zeile wurde gezählt und jedes Byte geprüft.",
  "element.ready.one": "Fertig: {rows} Zeile, {size}. Jede Zeile wurde gezählt und jedes Byte geprüft.",
  "element.recent": "Letzte Exporte",
  "element.download": "Herunterladen",
  "element.downloading": "Die Datei wird geholt.",
  "element.downloaded": "Die Datei liegt bei Ihren Downloads.",
  "element.unreachable": "Der Exportdienst antwortet nicht. Prüfen Sie Ihre Verbindung und versuchen Sie es noch einmal.",
  "element.origin_not_listed": "Der Exportdienst nimmt von dieser Seite nichts an, weil ihre Adresse nicht auf seiner Liste steht. Sagen Sie es denen, die diese Seite betreiben.",
  "element.not_set_up": "Diese Seite nennt keinen Export, der sich anfordern ließe. Sagen Sie es denen, die diese Seite betreiben.",
  "element.again": "Noch einmal versuchen",
  "element.signed_out": "Sie sind nicht mehr angemeldet. Melden Sie sich neu an und laden Sie diese Seite neu.",
  "element.permission_denied": "Das dürfen Sie nicht. Fragen Sie Ihre Administration, wenn Sie es brauchen.",
  "element.file_denied": "Sie dürfen diesen Export sehen, aber nicht seine Datei: Ihre Rechte decken heute nicht, was darin steht.",
  "explain.source_unavailable": "Die Datenbank war mehrmals hintereinander nicht erreichbar. Fordern Sie den Export in einigen Minuten erneut an.",
  "explain.standby_conflict": "Die Datenbank, aus der gelesen wird, war mehrmals hintereinander zu sehr damit beschäftigt, ihrem Original zu folgen. Fordern Sie den Export später erneut an, oder bitten Sie Ihre Administration, deren Einstellungen zu prüfen.",
  "explain.source_busy": "Die Datenbank, aus der gelesen wird, ist zurzeit ausgelastet. Der Export wartet und beginnt von selbst. Fragen Sie Ihre Administration, wenn er länger wartet, als Sie können.",
  "explain.source_full": "Aus dieser Datenbank lesen zurzeit so viele Exporte, wie es zugleich dürfen. Der Export wartet, bis einer davon endet, und beginnt von selbst. Fragen Sie Ihre Administration, wenn er länger wartet, als Sie können.",
  "explain.outside_hours": "Exporte dieser Art beginnen zu bestimmten Stunden des Tages. Der Export wartet darauf und beginnt von selbst. Fragen Sie Ihre Administration, wenn er eher beginnen muss.",
  "explain.newer_request": "Der Dienst wird gerade auf eine andere Version gebracht. Der Export wartet darauf und beginnt von selbst. Fragen Sie Ihre Administration, wenn er länger wartet, als Sie können.",
  "explain.source_rejected": "Die Datenbank gibt diese Daten nicht heraus; ein neuer Versuch hilft also nicht. Bitten Sie Ihre Administration, diese Art von Export zu prüfen.",
  "explain.key_not_unique": "Für diese Art von Export ist ein Schlüssel eingestellt, der ihre Zeilen nicht eindeutig bezeichnet. Bitten Sie Ihre Administration, ihn zu berichtigen.",
  "explain.value_not_representable": "Eine Spalte enthält einen Wert, den dieses Dateiformat nicht fassen kann. Fordern Sie CSV oder NDJSON an, die jeden Wert fassen, oder lassen Sie die Spalte weg.",
  "explain.computed_column_failed": "Eine Spalte, die für jede Zeile berechnet wird, ließ sich nicht berechnen. Fordern Sie den Export ohne sie an, oder sagen Sie es Ihrer Administration.",
  "explain.file_too_large": "Die Datei würde größer, als ihr Format erlaubt. Fordern Sie weniger Zeilen oder Spalten an, mehr Zeilen je Blatt in XLSX (sheet_rows), oder CSV, NDJSON oder Parquet.",
  "explain.row_too_large": "Eine Zeile ist größer, als dieser Dienst im Speicher halten kann. Fordern Sie den Export ohne die große Spalte an, oder bitten Sie Ihre Administration, die Grenze zu erhöhen.",
  "explain.storage_unavailable": "Der Dateispeicher war mehrmals hintereinander nicht erreichbar. Fordern Sie den Export in einigen Minuten erneut an.",
  "explain.storage_rejected": "Der Dateispeicher hat die Datei nicht angenommen. Bitten Sie Ihre Administration, den Speicher zu prüfen.",
  "explain.storage_full": "Der Dateispeicher war nicht erreichbar, und anderswo ist kein Platz für die Datei. Fordern Sie den Export später erneut an, oder mit weniger Spalten oder Zeilen.",
  "explain.storage_corrupted": "Die Datei wurde auf dem Weg in den Speicher mehrmals hintereinander beschädigt und verworfen. Fordern Sie den Export erneut an; geschieht es wieder, sagen Sie es Ihrer Administration.",
  "explain.incomplete_export": "Die Datei war mehrmals hintereinander unvollständig und wurde verworfen. Fordern Sie den Export erneut an; geschieht es wieder, sagen Sie es Ihrer Administration.",
  "explain.deadline_exceeded": "Der Export dauerte länger, als er darf, und wurde angehalten. Fordern Sie weniger Spalten oder Zeilen an, oder bitten Sie Ihre Administration um mehr Zeit.",
  "explain.worker_lost": "Das Programm, das die Datei schrieb, endete mehrmals hintereinander unerwartet. Fordern Sie den Export erneut an; geschieht es wieder, sagen Sie es Ihrer Administration.",
  "explain.unknown_export_type": "Diese Art von Export wird nicht mehr angeboten. Wählen Sie eine andere.",
  "explain.unknown_format": "Dieses Format wird nicht mehr angeboten. Fordern Sie den Export in einem anderen an.",
  "explain.unknown_column": "Eine Spalte, die Sie wollten, gibt es nicht mehr. Fordern Sie den Export ohne sie an.",
  "explain.invalid_option": "Eine Option Ihrer Anforderung passt nicht mehr. Fordern Sie den Export ohne sie an.",
  "explain.values_forgotten": "Die Werte, nach denen der Export filtert, werden nicht mehr aufbewahrt. Fordern Sie den Export erneut an.",
  "explain.internal_error": "Auf unserer Seite ist etwas fehlgeschlagen; es wurde festgehalten. Fordern Sie den Export erneut an; geschieht es wieder, sagen Sie es Ihrer Administration."
 }
};
/* texts:end */

const OPEN = ["queued", "running"];
const MOST_SECONDS_BETWEEN_TRIES = 30;
const FIRST_WORD_MILLISECONDS = 10000; // the present state is sent at once
const SILENCE_MILLISECONDS = 40000; // and something every 15 s
const AGAIN_MILLISECONDS = 300000; // what is requested later is another request

const STYLE = `
:host {
  --_text: var(--waybill-text, light-dark(#1c2430, #e6e9ee));
  --_quiet: var(--waybill-quiet, light-dark(#55606e, #a3adba));
  --_surface: var(--waybill-surface, light-dark(#ffffff, #1a2029));
  --_line: var(--waybill-line, light-dark(#d9d5ca, #313a47));
  --_accent: var(--waybill-accent, light-dark(#0b6b5d, #5cc9b4));
  --_accent-text: var(--waybill-accent-text, light-dark(#ffffff, #06231d));
  --_bad: var(--waybill-bad, light-dark(#a32a1d, #ff9a8c));
  --_focus: var(--waybill-focus, light-dark(#1458c9, #8ab8ff));
  --_radius: var(--waybill-radius, .5rem);
  display: block; max-inline-size: 34rem;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
/* Not on the host, whose page may unset it, and nothing of what that page's texts are like. */
section {
  color: var(--_text); text-align: start; text-indent: 0; text-transform: none; white-space: normal;
  font-style: normal; font-weight: 400; line-height: 1.5; letter-spacing: normal; word-spacing: normal;
  font-family: var(--waybill-font, system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif);
  background: var(--_surface); border: 1px solid var(--_line); border-radius: var(--_radius);
  padding: clamp(1rem, 4vw, 1.5rem); overflow-wrap: anywhere;
}
section.rtl { text-align: right; }
p, .title, .list-title { unicode-bidi: plaintext; }
.title { font-size: 1.15rem; font-weight: 700; line-height: 1.25; }
.list-title { font-weight: 700; margin-block-start: 1.25rem; }
p { margin: 0; }
.quiet { color: var(--_quiet); font-size: .9rem; }
.row { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center;
  justify-content: space-between; }
.actions { margin-block-start: 1rem; }
button, a.button {
  font: inherit; font-weight: 600; min-block-size: 2.75rem; padding: .45rem 1rem; cursor: pointer;
  color: var(--_text); background: transparent; border: 1px solid var(--_quiet);
  border-radius: var(--_radius); text-decoration: none; display: inline-flex; align-items: center;
}
button.main { color: var(--_accent-text); background: var(--_accent); border-color: var(--_accent); }
button[aria-disabled="true"] { cursor: default; opacity: .65; }
:focus-visible { outline: 3px solid var(--_focus); outline-offset: 2px; }
progress { appearance: none; inline-size: 100%; block-size: .6rem; margin-block: 1rem .35rem;
  border: 0; border-radius: 1rem; overflow: hidden; background: var(--_line);
  accent-color: var(--_accent); color: var(--_accent); }
progress::-webkit-progress-bar { background: var(--_line); }
progress::-webkit-progress-value { background: var(--_accent); }
progress::-moz-progress-bar { background: var(--_accent); }
progress:indeterminate { background:
  repeating-linear-gradient(110deg, var(--_accent) 0 .8rem, var(--_line) .8rem 1.6rem); }
progress:indeterminate::-webkit-progress-bar { background: transparent; }
.status { margin-block-start: .75rem; }
.status:empty { margin: 0; }
.status.bad { color: var(--_bad); }
ul { list-style: none; margin: .25rem 0 0; padding: 0; }
li { border-block-start: 1px solid var(--_line); padding-block: .75rem; }
li:last-child { padding-block-end: 0; }
li > div:first-child { flex: 1 1 12rem; min-inline-size: 0; }
@media (forced-colors: active) {
  progress { border: 1px solid; }
  progress::-webkit-progress-value { background: Highlight; forced-color-adjust: none; }
  progress::-moz-progress-bar { background: Highlight; forced-color-adjust: none; }
}
@media (prefers-reduced-motion: no-preference) {
  progress::-webkit-progress-value { transition: inline-size .3s; }
}`;

let sheet = null;

function styleSheet() {
  if (sheet === null) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  return sheet;
}

function build(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element && !key.startsWith("aria")) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// Characters that cannot be seen or turn the direction around are shown by their number: a name
// must not look like another.
const visible = (text) => String(text).replace(
  // A symbol may be followed by how it is to be drawn: as text or as a picture.
  /[\u00a9\u00ae\u203c-\u3299\u{1f000}-\u{1faff}][\ufe0e\ufe0f]|[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu,
  (c) => [...c].length > 1 ? c
    : `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

/** What the service said no to, or that it could not be asked (`status` 0). */
class Refusal extends Error {
  constructor(status, code, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

// Where pages are rendered on a server there are no elements yet: the module is imported there, and
// does nothing.
const Base = globalThis.HTMLElement ?? class {};

export class WaybillExport extends Base {
  static observedAttributes = ["type", "server", "recent", "lang", "label"];

  /** What is requested beside `type` and `format`, as the API's body has it: columns, filters …
   * @type {null | Record<string, unknown>} */
  request = this.request ?? null; // which a host may have set before this module was there

  #token = null;
  #parts = null;
  #life = null; // aborts everything that is under way
  #stream = null;
  #watched = null; // which export, and in which life
  #job = null;
  #offer = null;
  #spoken = null;
  #isAsking = false;
  #mayTryAgain = false; // the service could not say what there is; the button asks it anew
  #unanswered = null; // the request that got no answer, which may have been made all the same
  #isListed = false; // the service has answered this page
  #restart = 0;
  #texts = TEXTS.en;
  #language = "en";
  #locale = "en";

  // -- the element's life ----------------------------------------------------------------------

  constructor() {
    super();
    if (Object.hasOwn(this, "token")) {
      // Set before this module was there: it would hide the accessor below.
      const { token } = this;
      delete this.token;
      this.token = token;
    }
  }

  /** Gives a bearer token, asked anew for each request; without it, this origin's cookie is sent.
   * @type {null | (() => string | Promise<string>)} */
  get token() { return this.#token; }

  set token(value) {
    this.#token = value ?? null;
    this.#startSoon();
  }

  connectedCallback() { this.#startSoon(); }

  disconnectedCallback() { this.#stop(); }

  attributeChangedCallback(_name, before, after) {
    if (before !== after) this.#startSoon();
  }

  // Frameworks set attributes and properties one by one.
  #startSoon() {
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => { if (this.isConnected) this.#start(); });
  }

  #start() {
    this.#stop();
    this.#life = new AbortController();
    const signal = this.#life.signal;
    const said = this.closest("[lang]")?.lang || document.documentElement.lang || navigator.language;
    this.#language = said.toLowerCase().split("-")[0] === "de" ? "de" : "en";
    this.#texts = TEXTS[this.#language];
    // In that language as the reader's country writes it, or that of the page: 27 Nov 2026 for en-GB.
    this.#locale = [...(navigator.languages ?? []), said].find((each) =>
      each.toLowerCase().split("-")[0] === this.#language && isLocale(each)) ?? this.#language;
    this.#job = null;
    this.#spoken = null;
    this.#offer = null;
    this.#mayTryAgain = false;
    this.#draw();
    // After sleep a connection may look open and be dead for long.
    const wake = () => {
      if (document.visibilityState !== "visible") return;
      this.#stream?.abort();
      if (this.#mayTryAgain) this.refresh();
    };
    document.addEventListener("visibilitychange", wake, { signal });
    addEventListener("online", wake, { signal });
    if (!this.#isSetUp) {
      this.#refused(new Refusal(0, "not_set_up", "give the element a type, and the service's address"));
    } else if (this.token !== null || this.#isOwn) {
      // Another origin has no cookie here; without a token there is nothing to ask with yet.
      this.refresh();
    }
  }

  #stop() {
    clearTimeout(this.#restart);
    this.#life?.abort();
    this.#life = null;
  }

  // -- what a host may call --------------------------------------------------------------------

  /** Read everything anew: after a sign-in, or when the host knows that something changed. */
  async refresh() {
    if (this.#life === null || !this.#isSetUp) return;
    const signal = this.#life.signal;
    if (this.#parts.status.classList.contains("bad")) this.#say("");
    this.#mayTryAgain = false;
    this.#enable();
    await this.#attempt(async () => {
      await Promise.all([this.#readOffer(), this.#readQuota(), this.#readList()]);
    }, signal);
  }

  /** Request the export. Returns the export as the API describes it; `null` when it was refused. */
  async requestExport() {
    if (this.#isAsking || this.#isOpen || this.#life === null) return null;
    const signal = this.#life.signal;
    this.#isAsking = true;
    this.#enable();
    this.#say(this.#t("element.requesting"));
    const made = await this.#attempt(async () => {
      const body = { format: this.getAttribute("format") || "csv", ...(this.request ?? {}) };
      const name = encodeURIComponent(this.getAttribute("type"));
      return await this.#post(`${name}/export`, body);
    }, signal);
    this.#isAsking = false;
    this.#enable();
    if (!made) return null;
    this.#tell("requested", made);
    this.#show(made);
    this.#watch(made.id, signal);
    this.#attempt(() => this.#readQuota(), signal, { quietly: true });
    return made;
  }

  /** Cancel the export that is under way. */
  async cancel() {
    if (!this.#isOpen || this.#life === null) return;
    const signal = this.#life.signal;
    const id = this.#job.id;
    const done = await this.#attempt(() => this.#json("DELETE", `exports/${id}`), signal);
    if (done) this.#show(done);
    this.#stream?.abort();
  }

  /** Download a finished export; the newest when no id is given. */
  async download(id = this.#job?.id) {
    if (!id || this.#life === null) return;
    const signal = this.#life.signal;
    if (this.token === null) {
      // The browser's own download: of any size, and with its own progress.
      // It says nothing when session or file are gone, so that is asked before.
      await this.#attempt(async () => {
        const path = `exports/${encodeURIComponent(id)}`;
        const job = await this.#json("GET", path);
        if (job.status === "completed") {
          this.#save(`${this.#api}${path}/download`, "");
          return;
        }
        this.#say(this.#texts[`says.${job.status}`] ?? this.#explain(job), { isBad: true });
        await this.#readList();
      }, signal);
      return;
    }
    this.#say(this.#t("element.downloading"));
    await this.#attempt(async () => {
      const answer = await this.#fetch("GET", `exports/${encodeURIComponent(id)}/download?via=stream`);
      const url = URL.createObjectURL(await answer.blob());
      this.#save(url, visible(fileName(answer.headers.get("content-disposition"))));
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      this.#say(this.#t("element.downloaded"));
    }, signal);
  }

  #save(href, name) {
    const anchor = build("a", { href, download: name, hidden: true });
    this.shadowRoot.append(anchor);
    anchor.click();
    anchor.remove();
  }

  // -- asking the service ----------------------------------------------------------------------

  get #api() {
    const server = this.getAttribute("server");
    const base = server ? new URL(server.replace(/\/*$/, "/"), document.baseURI)
      : new URL("../", import.meta.url);
    return new URL("api/", base).href;
  }

  get #isSetUp() {
    try {
      return Boolean(this.getAttribute("type")) && /^https?:/.test(this.#api);
    } catch {
      return false; // no address
    }
  }

  get #isOwn() { return new URL(this.#api).origin === location.origin; }

  async #fetch(method, path, { body, headers = {}, signal = this.#life?.signal } = {}) {
    const token = this.token === null ? null : await this.token();
    let answer;
    try {
      answer = await fetch(this.#api + path, {
        method,
        signal,
        cache: "no-store",
        // A cookie is for its own origin alone; others send a token.
        credentials: "same-origin",
        headers: {
          ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...headers,
        },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      const isKept = !this.#isListed && !this.#isOwn && await this.#isThere(signal);
      throw new Refusal(0, isKept ? "origin_not_listed" : "unreachable", String(error));
    }
    this.#isListed = true;
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => null) ?? {};
    const wait = Number.parseInt(answer.headers.get("retry-after") ?? "", 10);
    throw new Refusal(answer.status, problem.code ?? "", problem.detail ?? "",
      Number.isNaN(wait) ? null : wait);
  }

  /** Whether the service gives its module, as to every page, and so keeps its answers from this one
   * alone: browsers say of both that nothing was answered. */
  async #isThere(signal) {
    try {
      const module = new URL("../elements/waybill-export.js", this.#api);
      const answer = await fetch(module, { method: "HEAD", credentials: "omit", cache: "no-store", signal });
      return answer.ok;
    } catch {
      return false;
    }
  }

  /** Send a request that is made once, however often it has to be sent until it is answered. */
  async #post(path, body) {
    const what = `${path} ${JSON.stringify(body)}`;
    const before = this.#unanswered;
    const isAgain = before?.what === what && performance.now() - before.at < AGAIN_MILLISECONDS;
    const key = isAgain ? before.key
      : [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
    this.#unanswered = { what, key, at: performance.now() };
    try {
      const answer = await this.#fetch("POST", path, { body, headers: { "Idempotency-Key": key } });
      const made = await answer.json();
      this.#unanswered = null;
      return made;
    } catch (error) {
      const isNo = error instanceof Refusal && error.status >= 400 && error.status < 500;
      if (isNo && error.code !== "idempotency_key_in_use") this.#unanswered = null;
      throw error;
    }
  }

  async #json(method, path, body) {
    return await (await this.#fetch(method, path, { body })).json();
  }

  /** Do it, and say what was wrong if it did not work; `null` then. */
  async #attempt(deed, signal, { quietly = false } = {}) {
    try {
      return await deed();
    } catch (error) {
      if (signal.aborted) return null;
      const refusal = error instanceof Refusal ? error
        : new Refusal(0, "host_failed", String(error));
      if (!quietly) this.#refused(refusal);
      return null;
    }
  }

  #refused(refusal) {
    const isAway = refusal.status === 0 || (refusal.status >= 500 && !refusal.code);
    const code = refusal.status === 401 ? "signed_out"
      : isAway && !(`element.${refusal.code}` in this.#texts) ? "unreachable" : refusal.code;
    if (this.#offer === null && (isAway || refusal.status >= 429 || refusal.status === 401)) {
      this.#mayTryAgain = refusal.code !== "not_set_up";
    }
    this.#enable();
    const isBusy = refusal.code === "idempotency_key_in_use";
    let text = isBusy ? this.#t("error.too_many_requests") : this.#texts[`element.${code}`] ?? this.#texts[`refused.${code}`]
      ?? this.#texts[`error.${code}`] ?? (refusal.message || this.#t("error.title"));
    if (refusal.code === "quota_exceeded" && refusal.retryAfter !== null) {
      text += ` ${this.#t("quota.next", { after: this.#duration(refusal.retryAfter) })}`;
    }
    this.#say(text, { isBad: true });
    this.#tell("error", { status: refusal.status, code: refusal.code, detail: refusal.message });
  }

  async #readOffer() {
    const name = this.getAttribute("type");
    const offer = await this.#json("GET", "catalog");
    this.#offer = offer.types.find((each) => each.name === name) ?? null;
    if (this.#offer === null) throw new Refusal(404, "unknown_export_type", "");
    const title = this.getAttribute("label") || this.#offer.title || name;
    this.#parts.title.textContent = visible(title);
    this.#enable();
  }

  async #readQuota() {
    const name = this.getAttribute("type");
    const found = (await this.#json("GET", "quota")).items.find((each) => each.types.includes(name));
    const quota = found?.quota;
    this.#parts.quota.textContent = !quota ? "" : this.#t("quota.left", {
      n: this.#number(quota.remaining), limit: this.#number(quota.limit),
    }, quota.limit) + (quota.remaining ? "" : ` ${this.#t("quota.next", {
      after: this.#duration(quota.resets_in_seconds) })}`);
  }

  async #readList() {
    const most = Number.parseInt(this.getAttribute("recent") ?? "3", 10);
    const limit = Math.min(20, Math.max(1, Number.isNaN(most) ? 3 : most));
    const query = new URLSearchParams({ type: this.getAttribute("type"), limit });
    const { items } = await this.#json("GET", `exports?${query}`);
    const open = items.find((each) => OPEN.includes(each.status));
    if (open && this.#job?.id !== open.id) {
      // Begun before this page was loaded, or in another tab.
      this.#show(open);
      this.#watch(open.id, this.#life.signal);
    }
    const shown = most === 0 ? [] : items.filter((each) => !OPEN.includes(each.status));
    this.#parts.list.replaceChildren(...shown.map((each) => this.#item(each)));
    this.#parts.recent.hidden = shown.length === 0;
  }

  // -- watching one export ---------------------------------------------------------------------

  async #watch(id, signal) {
    // Asked for twice in one life: a list that was read while the request was on its way.
    if (this.#watched?.id === id && this.#watched.signal === signal) return;
    const watched = this.#watched = { id, signal };
    try {
      await this.#follow(id, signal);
    } finally {
      if (this.#watched === watched) this.#watched = null;
    }
  }

  async #follow(id, signal) {
    let tries = 0;
    let known = "";
    let mayStream = true;
    let isOld = false;
    while (!signal.aborted && this.#job?.id === id && this.#isOpen) {
      let wait = null;
      try {
        if (mayStream) {
          const heard = await this.#listen(id, known, signal);
          known = heard.known;
          // A proxy that holds the stream back: ask instead.
          mayStream = heard.isLive;
          if (heard.isLive) { tries = 0; isOld = false; }
        }
        if (!this.#isOpen || signal.aborted) break;
        const answer = await this.#fetch("GET", `exports/${id}`);
        wait = Number.parseInt(answer.headers.get("retry-after") ?? "", 10);
        this.#show(await answer.json());
        isOld = false;
        this.#lost(false);
        if (!mayStream) tries = 0;
      } catch (error) {
        if (signal.aborted) return;
        const refusal = error instanceof Refusal ? error : new Refusal(0, "broken", String(error));
        // A token that grew old on its way: the host gives a new one.
        const mayBeNew = refusal.status === 401 && this.token !== null && !isOld;
        isOld = mayBeNew;
        if (mayBeNew) continue;
        if ([401, 403, 404].includes(refusal.status)) {
          this.#job = null;
          this.#spoken = null;
          this.#refused(refusal);
          return;
        }
        wait = refusal.retryAfter;
        tries += 1;
        this.#lost(true);
      }
      if (!this.#isOpen) break;
      const seconds = Math.min(MOST_SECONDS_BETWEEN_TRIES, 2 ** Math.min(tries, 5));
      // Not all clients in the same moment.
      await pause(1000 * Math.max(wait || 0, seconds) * (0.75 + Math.random() / 2), signal);
    }
    if (!signal.aborted) this.#attempt(() => this.#readList(), signal, { quietly: true });
  }

  /** Take server-sent events until they end. By `fetch`: an `EventSource` sends no token. */
  async #listen(id, known, signal) {
    this.#stream = new AbortController();
    const stop = () => this.#stream.abort();
    signal.addEventListener("abort", stop);
    let isLive = false;
    let timer = setTimeout(stop, FIRST_WORD_MILLISECONDS);
    try {
      const answer = await this.#fetch("GET", `exports/${id}/events`, {
        signal: this.#stream.signal,
        headers: { Accept: "text/event-stream", ...(known ? { "Last-Event-ID": known } : {}) },
      });
      if (answer.status === 204) return { known, isLive: true };
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let buffer = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return { known, isLive };
        clearTimeout(timer);
        timer = setTimeout(stop, SILENCE_MILLISECONDS);
        isLive = true;
        const blocks = (buffer + value).split(/\r?\n\r?\n/);
        buffer = blocks.pop();
        for (const block of blocks) {
          const event = parseEvent(block);
          known = event.id ?? known;
          if (event.data === undefined) continue;
          this.#lost(false);
          this.#show(JSON.parse(event.data));
          if (!this.#isOpen) return { known, isLive };
        }
      }
    } catch (error) {
      if (error instanceof Refusal && error.status !== 0) throw error;
      if (signal.aborted) throw error;
      return { known, isLive };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      this.#stream.abort();
    }
  }

  // -- showing ---------------------------------------------------------------------------------

  get #isOpen() { return this.#job !== null && OPEN.includes(this.#job.status); }

  #show(job) {
    const before = this.#job?.id === job.id ? this.#job.status : null;
    this.#job = job;
    const { progress } = job;
    const { bar, figures } = this.#parts;
    if (progress.percent === null || job.status === "queued") bar.removeAttribute("value");
    else bar.value = progress.percent;
    figures.textContent = [
      this.#t(`status.${job.status}`),
      progress.rows || progress.rows_expected !== null
        ? this.#t("history.rows", { n: this.#number(progress.rows) }, progress.rows) : "",
      progress.rows_expected === null ? "" : this.#t(
        progress.rows_expected_is === "exact" ? "watch.of_rows" : "watch.of_about_rows",
        { rows: this.#number(progress.rows_expected) }),
      progress.eta_seconds === null ? ""
        : `· ${this.#t("watch.left")}: ${this.#duration(progress.eta_seconds)}`,
    ].filter(Boolean).join(" ");
    this.#enable();
    this.#speak(job, before);
    if (this.#isOpen) this.#tell("progress", job);
    else if (before !== job.status) this.#tell(job.status, job);
  }

  /** Say what changed to those who listen: each state, and each quarter of the way, not each row. */
  #speak(job, before) {
    if (job.status === "completed") {
      this.#say(this.#t("element.ready", {
        rows: this.#number(job.progress.rows), size: this.#size(job.bytes) }, job.progress.rows));
    } else if (job.status === "failed") {
      this.#say(this.#explain(job), { isBad: true });
    } else if (!this.#isOpen) {
      this.#say(this.#t(`says.${job.status}`));
    } else {
      const quarter = Math.floor((job.progress.percent ?? 0) / 25);
      const spoken = `${job.status} ${quarter}`;
      if (spoken === this.#spoken) return;
      this.#spoken = spoken;
      if (before !== job.status) this.#say(this.#t(`says.${job.status}`));
      else if (quarter) {
        this.#say(this.#t("progress.said", {
          percent: this.#number(Math.floor(job.progress.percent)),
          rows: this.#number(job.progress.rows) }, job.progress.rows));
      }
    }
  }

  #lost(isLost) {
    const text = isLost ? this.#t("watch.lost") : "";
    if (this.#parts.trouble.textContent !== text) this.#parts.trouble.textContent = text;
  }

  #explain(job) {
    const key = `explain.${job.error?.code ?? "internal_error"}`;
    return this.#texts[key] ?? this.#texts["explain.internal_error"];
  }

  #enable() {
    const { bar, figures, request, cancel } = this.#parts;
    for (const each of [bar, figures, cancel]) each.hidden = !this.#isOpen;
    if (this.#isOpen) request.hidden = true;
    else if (request.hidden) {
      const hadFocus = this.shadowRoot.activeElement === cancel;
      request.hidden = false;
      if (hadFocus) request.focus();
    }
    // Not `disabled`: focus would be lost, and a screen reader's place with it.
    const isReady = this.#offer !== null || this.#mayTryAgain;
    request.setAttribute("aria-disabled", String(this.#isAsking || !isReady));
    const text = this.#t(this.#mayTryAgain ? "element.again" : "request.send");
    if (request.textContent !== text) request.textContent = text;
    if (!this.#isOpen) this.#lost(false);
  }

  #say(text, { isBad = false } = {}) {
    const { status } = this.#parts;
    status.classList.toggle("bad", isBad);
    if (status.textContent !== text) status.textContent = text;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(`waybill:${name}`, { detail, bubbles: true, composed: true }));
  }

  #draw() {
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styleSheet()];
    const t = (key) => this.#t(key);
    const p = {
      title: build("div", {
        className: "title", part: "title", id: "title", role: "heading", "aria-level": "2" },
      visible(this.getAttribute("label") || this.getAttribute("type") || "")),
      quota: build("p", { className: "quiet", part: "quota" }),
      bar: build("progress", { part: "progress", max: 100, "aria-label": t("watch.progress"), hidden: true }),
      figures: build("p", { className: "quiet", part: "figures", hidden: true }),
      trouble: build("p", { className: "quiet", part: "trouble", role: "status" }),
      request: build("button", { type: "button", className: "main", part: "button request" }, t("request.send")),
      cancel: build("button", { type: "button", part: "button cancel", hidden: true }, t("watch.cancel")),
      status: build("p", { className: "status", part: "status", role: "status", "aria-live": "polite" }),
      list: build("ul", { part: "list" }),
    };
    p.recent = build("div", { hidden: true },
      build("div", { className: "list-title", part: "list-title", role: "heading", "aria-level": "3" },
        t("element.recent")), p.list);
    p.request.addEventListener("click", () => {
      if (p.request.getAttribute("aria-disabled") === "true") return;
      if (this.#mayTryAgain) this.refresh(); else this.requestExport();
    });
    p.cancel.addEventListener("click", () => this.cancel());
    this.#parts = p;
    // The words are from left to right; where they stand is as the page has it.
    const className = getComputedStyle(this).direction;
    root.replaceChildren(build("section", { className, part: "panel", lang: this.#language, "aria-labelledby": "title" },
      p.title, p.quota, p.bar, p.figures, p.trouble, p.status,
      build("div", { className: "row actions", part: "actions" }, p.request, p.cancel), p.recent));
    this.#enable();
  }

  #item(job) {
    const when = new Date(job.created_at);
    const facts = [this.#date(when), job.format.toUpperCase()];
    if (job.status === "completed") {
      const { rows } = job.progress;
      facts.push(this.#t("history.rows", { n: this.#number(rows) }, rows), this.#size(job.bytes));
    }
    const about = build("div", {},
      build("p", { part: "item-name" }, this.#t(`status.${job.status}`)),
      build("p", { className: "quiet" }, facts.join(" · ")));
    if (job.status === "failed") about.append(build("p", { className: "quiet" }, this.#explain(job)));
    const item = build("li", { part: "item" }, build("div", { className: "row" }, about));
    if (job.links.download) {
      const button = build("button", {
        type: "button", part: "button download",
        "aria-label": `${this.#t("watch.download")}, ${this.#date(when)}` }, this.#t("element.download"));
      button.addEventListener("click", () => this.download(job.id));
      item.firstChild.append(button);
    }
    return item;
  }

  // -- words and numbers as the reader writes them -----------------------------------------------

  /** A text with `values` in it; its noun agrees with `count`. */
  #t(key, values = {}, count = null) {
    const form = count === null ? "" : `.${new Intl.PluralRules(this.#language).select(count)}`;
    return (this.#texts[key + form] ?? this.#texts[key]).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  #number(value) { return new Intl.NumberFormat(this.#locale).format(value); }

  #date(at) {
    return new Intl.DateTimeFormat(this.#locale, { dateStyle: "medium", timeStyle: "short" }).format(at);
  }

  #size(bytes) {
    if (bytes === null || bytes === undefined) return "–";
    const units = ["B", "kB", "MB", "GB", "TB"];
    let amount = bytes, unit = 0;
    while (amount >= 999.5 && unit < units.length - 1) { amount /= 1000; unit += 1; }
    const digits = unit && amount < 99.5 ? 1 : 0;
    return `${new Intl.NumberFormat(this.#locale, { maximumFractionDigits: digits }).format(amount)}\u00a0${units[unit]}`;
  }

  #duration(seconds) {
    const whole = Math.max(1, Math.round(seconds));
    for (const [unit, length, lower, below] of
      [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]]) {
      if (whole >= length) {
        const rest = Math.floor((whole % length) / below);
        return `${Math.floor(whole / length)} ${unit}` + (rest ? ` ${rest} ${lower}` : "");
      }
    }
    return `${whole} s`;
  }
}

/** Some browsers name a language as their system does: en-US@posix. */
function isLocale(text) {
  try {
    return Intl.NumberFormat.supportedLocalesOf(text).length > 0;
  } catch {
    return false;
  }
}

function parseEvent(block) {
  const event = {};
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name) event[name] = name in event ? `${event[name]}\n${value}` : value;
  }
  return event;
}

/** Read the name of RFC 6266's header, as our service writes it. */
function fileName(header) {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(header ?? "");
  try {
    if (extended) return decodeURIComponent(extended[1]);
  } catch { /* not ours */ }
  return /filename="([^"]*)"/i.exec(header ?? "")?.[1] ?? "export";
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

if (globalThis.customElements && !customElements.get("waybill-export")) {
  customElements.define("waybill-export", WaybillExport);
}
