// What a page does beyond being read: the keyboard, copying, times that go on, and charts. Nothing here is needed to read.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const typing = (element) => element && (element.matches("input, textarea, select") || element.isContentEditable);

  // Copying.
  const show = (root) => all("button[hidden].copy, #help-button[hidden]", root).forEach((button) => (button.hidden = false));
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.dataset.said = "copied";
    } catch {
      button.dataset.said = "not copied";
    }
    setTimeout(() => delete button.dataset.said, 1200);
  });

  // Times go on while the page stays open: the words are the server's form.
  const span = (ms) => {
    const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    if (d >= 10) return `${d} d`;
    if (d >= 1) return `${d} d ${h % 24} h`;
    if (h >= 1) return `${h} h ${m % 60} min`;
    if (m >= 10) return `${m} min`;
    if (m >= 1) return `${m} min ${s % 60} s`;
    return `${s} s`;
  };
  const ages = () => {
    const now = Date.now() + skew;
    all("time[data-ago]").forEach((time) => {
      const gone = now - Date.parse(time.dateTime);
      const words = gone < -999 ? `in ${span(-gone)}` : gone < 1000 ? "just now" : `${span(gone)} ago`;
      if (time.textContent !== words) time.textContent = words;
    });
  };
  // Whose clock counts is the server's: it said what time it was when the page was written.
  const stamped = Number(document.documentElement.dataset.now || 0);
  const skew = stamped ? stamped - Date.now() : 0;

  // The keyboard.
  let waitsForLetter = false;
  const rows = () => all("[data-row]").filter((row) => row.offsetParent !== null);
  const move = (by) => {
    const list = rows();
    if (!list.length) return;
    const at = list.findIndex((row) => row.classList.contains("here"));
    const next = list[Math.min(Math.max(at + by, 0), list.length - 1)];
    list.forEach((row) => row.classList.remove("here"));
    next.classList.add("here");
    next.scrollIntoView({ block: "nearest" });
    const link = $("a", next);
    if (link) link.focus({ preventScroll: true });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(document.activeElement)) return document.activeElement.blur();
    if (typing(event.target) || $("dialog[open]")) return;
    if (waitsForLetter) {
      waitsForLetter = false;
      const link = $(`nav.side a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    switch (event.key) {
      case "/": event.preventDefault(); $("#search")?.focus(); break;
      case "?": event.preventDefault(); $("#help")?.showModal(); break;
      case "g": waitsForLetter = true; setTimeout(() => (waitsForLetter = false), 1500); break;
      case "j": move(1); break;
      case "k": move(-1); break;
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#help-button")) $("#help")?.showModal();
  });

  // Forms that take effect as soon as something is chosen, and a slider's words beside it.
  document.addEventListener("input", (event) => {
    const output = event.target.id && $(`output[for="${CSS.escape(event.target.id)}"]`);
    if (output) output.textContent = event.target.value;
  });
  // A slider that replaced a part of its page: the address says where it stands.
  document.addEventListener("change", (event) => {
    const form = event.target.matches("[hx-get]") && event.target.closest("form[data-address]");
    if (form) history.replaceState(null, "", `${form.action}?${new URLSearchParams(new FormData(form))}`);
  });
  // A form is sent once.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) return event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

  // Charts: an element with data-chart holds its numbers as JSON, and under it the same in a table.
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = (holder) => {
    if (!window.uPlot || holder.dataset.drawn === holder.dataset.chart) return;
    const chart = JSON.parse(holder.dataset.chart);
    holder.dataset.drawn = holder.dataset.chart;
    holder.querySelector(".uplot")?.remove();
    const unit = chart.unit ? ` ${chart.unit}` : "";
    const number = (_, value) => (value == null ? "–" : `${+value.toPrecision(4)}${unit}`);
    const axis = { stroke: color("--dim"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const series = chart.series.map((line) => ({
      label: line.label, stroke: color(line.color || "--text"), width: line.width ?? 1.5, dash: line.dash, value: number, points: { show: chart.x.length < 3 },
    }));
    const bands = (chart.bands || []).map((band) => ({ series: band.series, fill: color(band.color || "--band") }));
    const plot = new uPlot({
      width: holder.clientWidth || 320, height: chart.height || 180, ms: 1, cursor: { y: false }, legend: { live: true },
      scales: { x: { time: chart.time !== false } },
      axes: [axis, { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => `${+tick.toPrecision(4)}${unit}`) }],
      series: [{}, ...series], bands,
    }, [chart.x, ...chart.series.map((line) => line.values)], holder);
    new ResizeObserver(() => holder.clientWidth && Math.abs(holder.clientWidth - plot.width) > 1 && plot.setSize({ width: holder.clientWidth, height: chart.height || 180 })).observe(holder);
  };
  const charts = (root) => all("[data-chart]", root).forEach(draw);

  // What the server sends when something changed.
  const live = () => $("#live");
  const says = (words, state) => {
    const line = $("#live-says");
    if (line && line.textContent !== words) line.textContent = words;
    if (live()) live().dataset.state = state;
  };
  document.addEventListener("htmx:sse:after:connection", () => says("● live", "on"));
  document.addEventListener("htmx:sse:error", () => says("○ not live: the connection broke, trying again", "off"));
  document.addEventListener("htmx:sse:close", () => says("○ not live", "off"));
  document.addEventListener("reload", () => {
    if (typing(document.activeElement)) says("○ this page has changed: load it anew", "off"); else location.reload();
  });
  // What a person opened stays open when the server sends it anew: the click comes before the change.
  const opened = new Set();
  document.addEventListener("click", (event) => {
    const details = event.target.closest("summary")?.parentElement;
    if (details?.id) details.open ? opened.delete(details.id) : opened.add(details.id);
  });
  const reopen = () => opened.forEach((id) => { const details = document.getElementById(id); if (details) details.open = true; });
  document.addEventListener("htmx:after:swap", () => { show(document); ages(); charts(document); reopen(); });

  const begin = () => { show(document); ages(); charts(document); setInterval(ages, 1000); };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
})();
