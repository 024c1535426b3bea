// What the pages do beyond links and forms, which work without it: times in the reader's zone that stay fresh, and keys.
"use strict";
(() => {
  const UNITS = [[86400 * 365, "y", 3 * 86400 * 365], [86400, "d", 172800], [3600, "h", 3600], [60, "min", 60], [1, "s", 0]];

  function words(at, now) {
    const seconds = Math.floor(Math.abs(at - now) / 1000);
    const [size, unit] = UNITS.find(([, , from]) => seconds >= from);
    const span = `${Math.floor(seconds / size)} ${unit}`;
    return at >= now ? `in ${span}` : `${span} ago`;
  }

  const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  function times(root) {
    const now = Date.now();
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = Date.parse(time.dateTime);
      if (Number.isNaN(at)) continue;
      const text = words(at, now);
      if (time.textContent !== text) time.textContent = text;
      if (!time.dataset.zoned) {
        time.dataset.zoned = "1";
        time.title = `${zone.format(at)} (${time.title})`;
      }
    }
  }

  function typing(target) {
    return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName));
  }

  // `/` goes to the search, `n` to the next page, Escape out of a field.
  function hotkey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const found = document.querySelector(`[data-hotkey="${CSS.escape(event.key)}"]`);
    if (!found) return;
    event.preventDefault();
    if (found.tagName === "INPUT") { found.focus(); found.select(); } else found.click();
  }

  // Pages with a part that lives look again when the server says so, unless somebody is busy in it.
  function follow() {
    if (!document.querySelector('[hx-trigger*="live from:body"]') || !window.EventSource || !window.htmx) return;
    const source = new EventSource("/live");
    source.addEventListener("changed", () => {
      const live = document.querySelector('[hx-trigger*="live from:body"]');
      const busy = live && (live.contains(document.activeElement) || live.querySelector("details[open]"));
      if (!document.hidden && !busy) htmx.trigger(document.body, "live");
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    times(document);
    follow();
    setInterval(() => { if (!document.hidden) times(document); }, 5000);
  });
  document.addEventListener("htmx:afterSettle", (event) => times(event.target.parentNode || document));
  document.addEventListener("keydown", hotkey);
})();
