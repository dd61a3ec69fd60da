// Keeps the shown part of a page fresh, drafts on the server, and knows some keys. Every page works without it.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const live = document.querySelector("[data-live]");
  const form = byId("answer"), text = byId("text"), note = byId("note");
  const path = live?.dataset.ticket ?? "";

  // ---- The part that is fetched again and again, whenever the stream says that something changed
  let last = "", busy = false, again = false, down = 0, soon = 0, stream = null;
  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    if (html === last || fresh.innerHTML === live.innerHTML) return;
    if (live.matches(":active")) return void (again = true); // nothing is pulled away from under a finger
    last = html;
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    const kept = [...live.querySelectorAll("details[open][id], input:checked[id]")].map((one) => one.id);
    live.replaceChildren(...fresh.childNodes);
    for (const one of kept.map(byId)) if (one) one.tagName === "DETAILS" ? (one.open = true) : (one.checked = true);
    if (focused) byId(focused)?.focus({ preventScroll: true });
    dress();
  }
  function dress() {
    const title = live.querySelector("[data-title]")?.dataset.title;
    if (title) document.title = `${title} · 莘企政策咨询工作台`;
    if (byId("more")) byId("more").hidden = !byId("fresh");
    chosen();
  }
  async function refresh() {
    if (busy || document.hidden) { again = busy; return; }
    busy = true;
    const url = new URL(location.href);
    url.searchParams.set("fragment", "1");
    if (live.dataset.mark) url.searchParams.set("mark", live.dataset.mark);
    try {
      const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(8000) });
      byId("signed-out").hidden = answer.status !== 401;
      if (answer.ok) show(await answer.text());
    } catch { fell(); }
    busy = false;
    clearTimeout(soon);
    if (again || live.querySelector("[data-going]")) again = (soon = setTimeout(refresh, again ? 300 : 1500)) && false;
  }
  function fell() { down ||= setTimeout(() => { byId("offline").hidden = false; }, 1500); }
  function listen() {
    stream?.close();
    if (document.hidden) return;
    stream = new EventSource(`/console/live?fragment=1&after=${live.dataset.live}&ticket=${path}`);
    stream.onopen = () => { if (down) refresh(); clearTimeout(down); down = 0; byId("offline").hidden = true; };
    stream.addEventListener("change", (event) => { live.dataset.live = event.lastEventId; refresh(); });
    stream.onerror = () => { fell(); if (stream.readyState === 2) { refresh(); setTimeout(listen, 5000); } };
  }

  // ---- Several tickets at once
  let lastBox = "";
  const boxes = () => [...document.querySelectorAll("input[name=t]")];
  function chosen() {
    if (!byId("bulk-bar")) return;
    const n = boxes().filter((box) => box.checked).length;
    byId("bulk-bar").classList.toggle("on", n > 0), byId("n-chosen").textContent = n ? `选中 ${n} 张` : "选中的单子";
  }
  byId("bulk")?.addEventListener("click", (event) => {
    if (event.target.name !== "t") return;
    const all = boxes(), at = all.indexOf(event.target), from = all.findIndex((box) => box.id === lastBox);
    const range = event.shiftKey && from >= 0 ? all.slice(Math.min(at, from), Math.max(at, from) + 1) : [];
    for (const box of range) box.checked = event.target.checked;
    lastBox = event.target.id, chosen();
  });

  // ---- Writing: half a second after the last letter the server keeps the draft and shows what would be sent
  let timer = 0, offers = null;
  const n = byId("n"), draft = `/console/tickets/${path}/draft?fragment=1`;
  const written = () => { timer = 0, n.value = Number(n.value) + 1; return new URLSearchParams(new FormData(form)); };
  async function keep() {
    const answer = await fetch(draft, { method: "POST", body: written() }).catch(() => null);
    if (!answer) return fell();
    if (answer.status === 401) byId("signed-out").hidden = false;
    if (![200, 409].includes(answer.status)) return void (byId("room").textContent = "没有存下：请复制内容，刷新页面");
    if (byId("preview")) byId("preview").innerHTML = await answer.text();
    n.value = Math.max(Number(n.value), Number(byId("preview-body")?.dataset.n ?? 0));
  }
  function typed(event) {
    clearTimeout(timer), timer = setTimeout(keep, 500);
    count(), offer(event.target);
  }
  function count() {
    if (!text) return;
    const left = Number(form.dataset.room) - new TextEncoder().encode(text.value.trim()).length;
    byId("room").classList.toggle("late", left < 0);
    byId("room").textContent = left < 0 ? `超出约 ${Math.ceil(-left / 3)} 个字，请删减` : text.value ? `还可写约 ${Math.floor(left / 3)} 个字` : "";
  }
  async function offer(field) {
    const found = /(::|：：|\?\?|？？)([^\s:：?？]{0,20})$/.exec(field.value.slice(0, field.selectionStart));
    byId("offers").hidden = !found;
    offers = found && { field, at: found.index, end: field.selectionStart };
    if (!found) return;
    const kind = /[?？]/.test(found[1]) ? "entry" : "reply";
    const answer = await fetch(`/console/insert?kind=${kind}&q=${encodeURIComponent(found[2])}`).catch(() => null);
    if (answer?.ok && offers?.end === field.selectionStart) byId("offers").innerHTML = await answer.text();
  }
  byId("offers")?.addEventListener("click", (event) => {
    const words = event.target.closest("[data-insert]")?.dataset.insert;
    if (words === undefined || !offers) return;
    offers.field.setRangeText(words, offers.at, offers.end, "end"), offers.field.focus(), offers.field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  for (const field of [text, note]) field?.addEventListener("input", typed);
  form?.addEventListener("submit", () => { clearTimeout(timer), timer = 0, n.value = Number(n.value) + 1; });
  addEventListener("pagehide", () => { if (timer) navigator.sendBeacon(draft, written()); });
  if (text) {
    if (byId("fresh")) byId("fresh").scrollIntoView({ behavior: "instant" });
    else scrollTo({ top: form.parentElement.getBoundingClientRect().bottom + scrollY - innerHeight, behavior: "instant" });
  }
  const undo = byId("undo"), tick = undo && setInterval(() => {
    undo.querySelector("b").textContent = --undo.dataset.left;
    if (undo.dataset.left <= 0) { clearInterval(tick); undo.hidden = true; refresh(); }
  }, 1000);

  // ---- Keys
  const rows = () => [...document.querySelectorAll("[data-row] .subject > a")];
  const mode = (name) => { byId(`mode-${name}`)?.click(); (name === "note" ? note : text)?.focus(); };
  const keys = {
    j: () => (rows()[rows().indexOf(document.activeElement) + 1] ?? rows()[0])?.focus(),
    k: () => (rows()[rows().indexOf(document.activeElement) - 1] ?? rows().at(-1))?.focus(),
    x: () => document.activeElement.closest("[data-row]")?.querySelector("input").click(),
    r: () => mode("reply"), n: () => mode("note"), u: () => byId("back")?.click(), "?": () => byId("keys")?.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const writes = event.target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && writes && form?.contains(event.target)) {
      event.preventDefault();
      const send = event.target === note ? form.querySelector("[value=note].button") : event.shiftKey ? byId("and-next") : form.querySelector(".reply .primary");
      send?.click();
    } else if (writes && event.key === "Escape") event.target.blur(), (byId("offers") ?? {}).hidden = true;
    else if (writes && event.key === "ArrowDown" && offers) event.preventDefault(), byId("offers").querySelector("button")?.focus();
    else if (!writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const marked = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
      const act = keys[event.key] ?? (marked && (() => (marked.matches("input") ? marked.focus() : marked.click())));
      if (act) event.preventDefault(), act();
    }
  });
  if (live) {
    dress(), listen(), count(), live.querySelector("[data-going]") && refresh();
    document.addEventListener("visibilitychange", () => { listen(), refresh(); });
  }
  const url = new URL(location.href);
  if (url.searchParams.delete("done") === undefined && url.href !== location.href) history.replaceState(null, "", url);
  if (matchMedia("(max-width: 860px)").matches) for (const one of document.querySelectorAll("[data-fold]")) one.open = false;
})();
