// Keeps the shown part of a page fresh, keeps drafts in this tab, counts what fits into one message. Every page works
// without it.
"use strict";

(() => {
  const EVERY_MS = 10_000;
  // An answer on its way is gone within a second or two; whoever wrote it waits for the word.
  const SOON_MS = 1_500;
  const byId = (id) => document.getElementById(id);

  // The browser may refuse storage; then there are no drafts, and nothing else is missing.
  const shelf = {
    get: (key) => { try { return sessionStorage.getItem(key) ?? ""; } catch { return ""; } },
    put: (key, text) => {
      try { text ? sessionStorage.setItem(key, text) : sessionStorage.removeItem(key); } catch { /* as above */ }
    },
  };

  // ---- The part that is fetched again and again

  const live = document.querySelector("[data-live]");
  let last = "";
  let failures = 0;
  let busy = false;
  let over = false;

  function address() {
    const url = new URL(location.href);
    url.hash = "";
    url.searchParams.delete("done");
    url.searchParams.set("fragment", "1");
    if (live.dataset.mark) url.searchParams.set("mark", live.dataset.mark);
    return url;
  }

  function show(html) {
    // Nothing is pulled away from under a finger or a pressed mouse button.
    if (html === last || live.matches(":active")) return;
    last = html;
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...live.querySelectorAll("details[open][id]")].map((details) => details.id);
    live.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    for (const id of open) if (byId(id)) byId(id).open = true;
    if (focused) byId(focused)?.focus({ preventScroll: true });
    dress();
  }

  // What only the browser knows: drafts in the list, the window's title, whether there is something new.
  function dress() {
    for (const chip of live.querySelectorAll("[data-draft]")) chip.hidden = !shelf.get(chip.dataset.draft);
    const title = live.querySelector("[data-title]")?.dataset.title;
    if (title) document.title = `${title} · 莘企政策咨询工作台`;
    if (byId("more")) byId("more").hidden = !byId("fresh");
  }

  async function refresh() {
    if (busy || over || document.hidden) return;
    busy = true;
    try {
      const response = await fetch(address(), { cache: "no-store", signal: AbortSignal.timeout(8_000) });
      if (response.status === 401) {
        over = true;
        byId("signed-out").hidden = false;
      } else if (!response.ok) {
        throw new Error(String(response.status));
      } else {
        show(await response.text());
      }
      failures = 0;
    } catch {
      failures += 1;
    }
    byId("offline").hidden = failures < 2;
    busy = false;
  }

  let nSoon = 0;
  function next() {
    nSoon = live.querySelector("[data-going]") ? nSoon + 1 : 0;
    // What is still on its way after half a minute is in some trouble: then the calm pace does.
    const soon = nSoon > 0 && nSoon < 20;
    setTimeout(() => refresh().finally(next), soon ? SOON_MS : EVERY_MS);
  }

  if (live) {
    dress();
    next();
    document.addEventListener("visibilitychange", refresh);
  }

  // ---- The answer

  const form = byId("answer");
  const text = byId("text");

  function count() {
    const bytes = new TextEncoder().encode(text.value.trim()).length;
    const left = Number(form.dataset.room) - bytes;
    const room = byId("room");
    room.classList.toggle("late", left < 0);
    if (left < 0) room.textContent = `超出约 ${Math.ceil(-left / 3)} 个字，请删减`;
    else if (bytes > Number(form.dataset.one)) room.textContent = form.dataset.how;
    else room.textContent = text.value ? `还可写约 ${Math.floor(left / 3)} 个字` : "";
  }

  const draft = live?.dataset.keeps;

  // A draft is cleared only when the server says so after this tab has sent it.
  if (draft) {
    if ("sent" in live.dataset && shelf.get(`sent ${draft}`)) shelf.put(draft, "");
    shelf.put(`sent ${draft}`, "");
  }

  function keepDraft() {
    if ("refused" in live.dataset) shelf.put(draft, text.value);
    else if (!text.value) text.value = shelf.get(draft);
    text.addEventListener("input", () => { shelf.put(draft, text.value); count(); });
    form.addEventListener("submit", (event) => {
      if (!["claim", "file"].includes(event.submitter?.value)) shelf.put(`sent ${draft}`, "1");
    });
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        form.requestSubmit(form.querySelector("[value=answer]"));
      }
    });
  }

  if (form) {
    keepDraft();
    count();
    // The last words are what matters, unless something is marked as new. The form sticks to the window's lower edge.
    const end = form.parentElement.getBoundingClientRect().bottom + scrollY - innerHeight;
    if (byId("fresh")) byId("fresh").scrollIntoView({ block: "start", behavior: "instant" });
    else scrollTo({ top: end, behavior: "instant" });
  }
  const url = new URL(location.href);
  if (url.searchParams.has("done")) {
    url.searchParams.delete("done");
    history.replaceState(null, "", url);
  }
  if (matchMedia("(max-width: 860px)").matches) {
    for (const details of document.querySelectorAll("[data-fold]")) details.open = false;
  }
})();
