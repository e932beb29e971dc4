"use strict";
(() => {
  const root = document.documentElement;

  // Theme: auto, light, dark; kept where the browser lets a page keep anything.
  const themes = ["auto", "light", "dark"];
  const read = () => { try { return localStorage.getItem("adr-theme"); } catch { return null; } };
  const keep = (value) => { try { localStorage.setItem("adr-theme", value); } catch { /* private */ } };
  const button = document.querySelector("[data-theme-toggle]");
  const show = (theme) => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  let theme = themes.includes(read()) ? read() : "auto";
  button.hidden = false;
  show(theme);
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    keep(theme);
    show(theme);
  });

  const query = document.getElementById("q");
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      query.focus();
    }
  });

  const cards = [...document.querySelectorAll(".card")];
  if (cards.length) searchable(cards);
  const arcs = document.querySelector(".arcs");
  if (arcs) highlightable(arcs);
  const diagrams = [...document.querySelectorAll("pre.mermaid")];
  if (diagrams.length && window.mermaid) drawn(diagrams);

  // A diagram that Mermaid cannot read stays what it is: text.
  async function drawn(diagrams) {
    const dark = root.dataset.theme === "dark" ||
      (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    window.mermaid.initialize({
      startOnLoad: false, securityLevel: "strict", suppressErrorRendering: true,
      theme: dark ? "dark" : "neutral", fontFamily: "inherit",
    });
    for (const [at, place] of diagrams.entries()) {
      try {
        const { svg } = await window.mermaid.render(`diagram-${at}`, place.textContent);
        const drawing = document.createElement("div");
        drawing.className = "diagram";
        drawing.tabIndex = 0;
        drawing.innerHTML = svg;
        const shape = drawing.firstElementChild; // legible on a narrow screen: it scrolls
        shape.style.minWidth = `min(${shape.style.maxWidth || "100%"}, 40rem)`;
        place.replaceWith(drawing);
      } catch (error) {
        console.warn(error);
      }
    }
  }

  function searchable(cards) {
    const results = document.getElementById("results");
    const chips = [...document.querySelectorAll(".chip")];
    let texts = null;
    const load = () => new Promise((done) => {
      if (texts) { done(); return; }
      const script = document.createElement("script");
      script.src = "assets/search-index.js";
      script.onload = () => {
        texts = new Map(window.adrSearchIndex.map((entry) => [entry.page, entry.text]));
        done();
      };
      script.onerror = () => { texts = new Map(); done(); };
      document.head.append(script);
    });
    const apply = async () => {
      const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length) await load();
      const statuses = chips.filter((c) => c.ariaPressed === "true").map((c) => c.dataset.status);
      let shown = 0;
      for (const card of cards) {
        const text = `${card.querySelector(".number").textContent} ${card.querySelector("h2").textContent} ` +
          ((texts && texts.get(card.dataset.page)) || card.textContent);
        const lower = text.toLowerCase();
        const fits = words.every((word) => lower.includes(word)) &&
          (!statuses.length || statuses.includes(card.dataset.status));
        card.hidden = !fits;
        shown += fits ? 1 : 0;
        snippet(card.querySelector(".snippet"), fits && words.length ? text : "", words);
      }
      results.textContent = words.length || statuses.length ? `${shown} of ${cards.length} decisions` : "";
    };
    const snippet = (place, text, words) => {
      place.hidden = !text;
      place.textContent = "";
      if (!text) return;
      const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 60);
      const part = text.slice(at, at + 200);
      const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      place.append(at ? "… " : "");
      for (const piece of part.split(new RegExp(`(${escaped.join("|")})`, "i"))) {
        const found = words.includes(piece.toLowerCase());
        const node = document.createElement(found ? "mark" : "span");
        node.textContent = piece;
        place.append(node);
      }
      place.append(" …");
    };
    for (const chip of chips) {
      chip.hidden = false;
      chip.addEventListener("click", () => {
        chip.ariaPressed = chip.ariaPressed === "true" ? "false" : "true";
        apply();
      });
    }
    query.addEventListener("input", apply);
    query.form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
    query.value = new URLSearchParams(location.search).get("q") || "";
    if (query.value) apply();
  }

  function highlightable(arcs) {
    const rows = [...arcs.querySelectorAll("li")];
    const light = (key) => {
      arcs.classList.toggle("focus", Boolean(key));
      const near = new Set([key]);
      for (const arc of arcs.querySelectorAll(".arc")) {
        const lit = arc.dataset.from === key || arc.dataset.to === key;
        arc.classList.toggle("lit", lit);
        if (lit) { near.add(arc.dataset.from); near.add(arc.dataset.to); }
      }
      for (const row of rows) row.classList.toggle("lit", near.has(row.dataset.key));
    };
    for (const row of rows) {
      row.addEventListener("mouseenter", () => light(row.dataset.key));
      row.addEventListener("focusin", () => light(row.dataset.key));
      row.addEventListener("mouseleave", () => light(""));
      row.addEventListener("focusout", () => light(""));
    }
  }
})();
