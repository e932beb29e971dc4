// What moves on the pages. Each of them works without this: it only saves a click or a reload.

const language = document.documentElement.lang || "en";
const clockNow = () => Date.now();

// -- times in the reader's own zone ------------------------------------------------------------

// In the page's language as the reader's country writes it: 27 Nov 2026 for en-GB.
const locale = navigator.languages?.find((each) =>
  each.toLowerCase().split("-")[0] === language && isLocale(each)) ?? language;
const moments = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

// Some browsers name a language as their system does: en-US@posix.
function isLocale(text) {
  try {
    return Intl.DateTimeFormat.supportedLocalesOf(text).length > 0;
  } catch {
    return false;
  }
}

// A day that is searched for begins at the reader's midnight.
function nameZone(input) {
  input.value = new Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  input.disabled = !input.value;
}

function localizeTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    element.title = element.textContent;
    element.textContent = moments.format(at);
  }
}

// -- numbers as the server writes them ---------------------------------------------------------

const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const shown = (value) => (value === null || value === undefined ? "–" : numbers.format(value));

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let amount = bytes, unit = 0;
  while (amount >= 999.5 && unit < units.length - 1) { amount /= 1000; unit += 1; }
  const rounded = unit && amount < 99.5 ? Math.round(amount * 10) / 10 : Math.round(amount);
  return `${numbers.format(rounded)}\u00a0${units[unit]}`;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.round(seconds));
  for (const [unit, length, lower, below] of
    [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]]) {
    if (whole >= length) {
      const rest = Math.floor((whole % length) / below);
      return `${Math.floor(whole / length)} ${unit}` + (rest ? ` ${rest} ${lower}` : "");
    }
  }
  return `${whole} s`;
}

// -- one export, live --------------------------------------------------------------------------

const FIRST_WORD_MILLISECONDS = 10000; // the present state is sent at once
const SILENCE_MILLISECONDS = 40000; // nothing may have happened: it costs one question
const ANSWER_MILLISECONDS = 20000; // for what is asked
const SLEPT_MILLISECONDS = 20000; // the tick of a second was late by so much

class Watch {
  constructor(element) {
    this.element = element;
    this.data = element.dataset;
    // The server's clock is the one that counts: this machine's may be wrong.
    this.ahead = new Date(this.data.now).getTime() - clockNow();
    this.began = new Date(this.data.began).getTime();
    this.saidAt = 0;
    this.retries = 0;
    this.over = false;
    this.isPolling = false;
    this.tickedAt = clockNow();
    this.open();
    setInterval(() => this.tick(), 1000);
    document.addEventListener("visibilitychange", () => this.wake());
    addEventListener("online", () => this.wake());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }

  field(name) { return this.element.querySelector(`[data-field="${name}"]`); }

  open() {
    clearTimeout(this.waiting);
    this.source?.close();
    if (this.isPolling) { this.ask(); return; }
    this.hasHeard = false;
    this.source = new EventSource(this.data.watch);
    this.source.addEventListener("open", () => { this.retries = 0; this.say(""); });
    this.source.addEventListener("progress", (event) => {
      this.hasHeard = true;
      this.askIn(SILENCE_MILLISECONDS);
      this.show(JSON.parse(event.data));
    });
    this.source.addEventListener("finished", () => this.finish());
    this.source.addEventListener("error", () => this.lost());
    this.askIn(FIRST_WORD_MILLISECONDS);
  }

  // After sleep a connection may look open and be dead for long.
  wake() {
    if (document.visibilityState === "visible" && !this.over) this.open();
  }

  async lost() {
    this.say(this.data.lost);
    if (this.source.readyState !== EventSource.CLOSED || this.over) return;
    // The browser gives up only when it was answered: find out what was said.
    const seconds = await this.look();
    if (this.over) return;
    if (seconds === null) this.waiting = setTimeout(() => this.open(), this.pause());
    else this.poll(seconds); // too many watch, or what stands between lets no stream through
  }

  pause() {
    this.retries += 1;
    return Math.min(30000, 1000 * 2 ** this.retries);
  }

  askIn(milliseconds) {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.ask(), milliseconds);
  }

  // What stands between may hold the events back until the export is over: then the page asks.
  async ask() {
    if (this.over) return;
    const seconds = await this.look();
    if (this.over) return;
    if (seconds === null) this.askIn(this.pause());
    else if (this.isPolling || !this.hasHeard) this.poll(seconds);
    else this.askIn(SILENCE_MILLISECONDS);
  }

  poll(seconds) {
    this.isPolling = true;
    this.retries = 0;
    this.source.close();
    this.askIn(1000 * seconds);
  }

  // Show how it is now; returns in how many seconds to look again, null when nobody can say.
  async look() {
    let answer;
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), ANSWER_MILLISECONDS);
    try {
      answer = await fetch(this.data.watch.replace(/\/events$/, ""),
        { cache: "no-store", signal: patience.signal });
      if (answer.ok) {
        const job = await answer.json();
        this.say("");
        if (!this.over) this.show(job);
        return Number.parseInt(answer.headers.get("retry-after") ?? "", 10) || 2;
      }
    } catch { /* no connection */ } finally { clearTimeout(timer); }
    if (answer?.status === 401) {
      this.over = true;
      this.say(this.data.signedOut, { text: this.data.signIn, href: this.data.signInAt });
    } else if (answer?.status === 404) {
      this.over = true;
      this.say(this.data.gone);
    } else {
      this.say(this.data.lost);
    }
    return null;
  }

  finish() {
    if (this.over) return;
    this.over = true;
    this.source.close();
    location.reload();
  }

  show(job) {
    if (job.status !== this.data.status) {
      // Waiting has other words than running: the server has them.
      this.over = true;
      this.source.close();
      location.reload();
      return;
    }
    const progress = job.progress;
    this.field("rows").textContent = shown(progress.rows);
    const rate = progress.rows_per_second;
    this.field("rate").textContent = shown(rate >= 10 ? Math.round(rate) : rate);
    this.field("left").textContent = duration(progress.eta_seconds);
    this.field("bytes").textContent = size(progress.bytes);
    if (progress.rows_expected !== null) {
      const words = progress.rows_expected_is === "exact" ? this.data.of : this.data.ofAbout;
      this.field("of").textContent = words.replace("{rows}", shown(progress.rows_expected));
    }
    if (progress.percent !== null) {
      this.field("bar").value = progress.percent;
      document.title = `${shown(progress.percent)} % · ${this.data.name} · waybill`;
      // Screen readers are told each quarter, not each row.
      const quarter = Math.floor(progress.percent / 25);
      if (quarter !== this.saidAt) {
        this.saidAt = quarter;
        const words = plurals.select(progress.rows) === "one" ? this.data.saidOne : this.data.said;
        this.field("said").textContent = words
          .replace("{percent}", shown(progress.percent)).replace("{rows}", shown(progress.rows));
      }
    }
    this.tick();
  }

  tick() {
    if (this.over) return;
    const now = clockNow();
    this.field("elapsed").textContent = duration((now + this.ahead - this.began) / 1000);
    const late = now - this.tickedAt;
    this.tickedAt = now;
    if (late > SLEPT_MILLISECONDS) this.wake();
  }

  say(text, link) {
    const trouble = this.field("trouble");
    trouble.hidden = !text;
    trouble.textContent = text;
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link.href;
      anchor.textContent = link.text;
      trouble.append(" ", anchor);
    }
  }
}

// -- choosing columns --------------------------------------------------------------------------

function moveColumns(list) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-move]");
    if (!button) return;
    event.preventDefault();
    const item = button.closest("li");
    const other = button.dataset.move === "up" ? item.previousElementSibling
      : item.nextElementSibling;
    if (!other) return;
    if (button.dataset.move === "up") other.before(item); else other.after(item);
    button.focus();
  });
}

function chooseAll(button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const boxes = [...button.form.querySelectorAll('.columns input[type="checkbox"]')];
    const wanted = !boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = wanted;
  });
}

// -- what a page that was kept for long still offers -------------------------------------------

const OLD_MILLISECONDS = 60000;

// The session may be over and the file gone since; a download that fails says neither.
function askFirst(link) {
  const shownAt = clockNow();
  link.addEventListener("click", async (event) => {
    if (link.dataset.asked || clockNow() - shownAt < OLD_MILLISECONDS) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.dataset.ask, { cache: "no-store" });
      if (!answer.ok || (await answer.json()).status !== "completed") {
        location.reload();  // the server says what has become of it, or where to sign in
        return;
      }
    } catch { /* no connection: the browser's download says so */ }
    link.dataset.asked = "yes";
    link.click();
    delete link.dataset.asked;
  });
}

// -- what was filled in when a session ended ---------------------------------------------------

const KEPT = "waybill:filled-in";

function tabStorage() {
  try { return sessionStorage; } catch { return null; }  // the reader's browser keeps nothing
}

// A form that is sent is kept in this tab until another page answers; the page to sign in is none.
// Back on the form, the server shows it as it was sent. Somebody else's is dropped.
function keepFilledIn(form) {
  const storage = tabStorage();
  if (!storage) return;
  const kept = JSON.parse(storage.getItem(KEPT) ?? "null");
  storage.removeItem(KEPT);
  const mine = { at: location.pathname, who: form.dataset.keepFor };
  form.addEventListener("submit", () => {
    try {
      storage.setItem(KEPT, JSON.stringify({ ...mine, fields: [...new FormData(form)] }));
    } catch { /* no room: it is sent all the same */ }
  });
  if (form.dataset.keep !== "fresh" || kept?.at !== mine.at || kept.who !== mine.who) return;
  const again = document.createElement("form");
  again.method = "post";
  again.action = location.pathname;  // a button of the form is called like its property
  for (const [name, value] of [...kept.fields, ["action", "keep"]]) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    again.append(input);
  }
  document.body.append(again);
  again.requestSubmit();
}

// -- signing out, in every tab -----------------------------------------------------------------

// Whoever signs out in one tab leaves nothing of theirs in another, where a stream would go on.
function signOutTogether() {
  const tabs = new BroadcastChannel("waybill");
  if (document.querySelector("[data-signed-out]")) tabs.postMessage("signed out");
  else if (document.querySelector(".who")) {
    // Not a reload: it would send a form again that the page came from.
    tabs.onmessage = () => location.replace(location.pathname + location.search);
  }
}

// ----------------------------------------------------------------------------------------------

localizeTimes(document);
if (globalThis.BroadcastChannel) signOutTogether();
for (const input of document.querySelectorAll("input[data-zone]")) nameZone(input);
for (const note of document.querySelectorAll("[data-no-cookies]")) note.hidden = navigator.cookieEnabled;
for (const element of document.querySelectorAll("[data-watch]")) new Watch(element);
for (const list of document.querySelectorAll("[data-columns]")) moveColumns(list);
for (const button of document.querySelectorAll("[data-choose-all]")) chooseAll(button);
for (const link of document.querySelectorAll("a[data-ask]")) askFirst(link);
for (const form of document.querySelectorAll("form[data-keep]")) keepFilledIn(form);
if (!document.querySelector("form[data-keep], [data-sign-in]")) tabStorage()?.removeItem(KEPT);
for (const form of document.querySelectorAll("form[data-send-at-once]")) form.requestSubmit();
// A form that was sent is not sent twice by an impatient finger. Whoever stopped it, or got no
// answer, may send it again.
const IMPATIENT_MILLISECONDS = 10000;
addEventListener("submit", (event) => {
  const { dataset } = event.target;
  if (dataset.sent) { event.preventDefault(); return; }
  dataset.sent = "yes";
  const release = () => delete dataset.sent;
  setTimeout(release, IMPATIENT_MILLISECONDS);
  addEventListener("pageshow", release, { once: true });
});
// What asks whether one is sure is closed like a dialog.
addEventListener("keydown", (event) => {
  const asks = event.key === "Escape" && event.target.closest?.("details.sure[open]");
  if (!asks) return;
  asks.open = false;
  asks.querySelector("summary").focus();
});

