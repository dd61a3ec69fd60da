// The simulator's face. It shows what /simulator/api says and keeps nothing of its own but the chosen follower
// (in the address) and the drafts. Words from the API become text nodes only, never markup.
const POLL_MS = 1500;
let account = '莘企政策咨询';
const STANDS_FOR = { image: '［图片］', voice: '［语音］', location: '［位置］' };
const byId = (id) => document.getElementById(id);
const inAddress = () => new URLSearchParams(`f=${location.hash.slice(1)}`).get('f') ?? '';
const keyOf = (bubble) => JSON.stringify(bubble); // numbers begin anew when the service does
const me = () => state?.followers.find((one) => one.id === chosen) ?? { id: '', name: '我', following: false };
const [log, draft, phone, newer] = ['log', 'draft', 'phone', 'newer'].map(byId);

let state = null; // what the API said last
let chosen = inAddress(); // whose phone is shown; '' lets the service choose
let epoch = 0; // grows with every act and change of phone: an answer to an older question is not shown
let [failures, atEnd] = [0, true];
let acts = Promise.resolve(); // one at a time, in the order they were made
const pending = []; // acts on their way, each with the bubble that stands for it
const drafts = new Map();
const rows = new Map(); // bubble → its nodes

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

// --- the service ---

async function ask(path, body) {
  const headers = { 'Content-Type': 'application/json', 'X-Simulator': '1' };
  const rules = { ...(body && { method: 'POST', headers, body: JSON.stringify(body) }), signal: AbortSignal.timeout(15_000) };
  const answer = await fetch(`/simulator/api/${path}`, rules).catch(() => null);
  if (!answer) throw new Error('连不上服务，请看看它是否在运行。');
  const said = await answer.json().catch(() => null);
  if (answer.ok && said?.bubbles) return said;
  throw Object.assign(new Error(said?.error || `服务没有办成（${answer.status}）。`), { status: answer.status });
}

async function load() {
  const asked = epoch;
  try {
    const said = await ask(chosen ? `state?follower=${encodeURIComponent(chosen)}` : 'state');
    failures = 0;
    if (asked === epoch && !pending.some((job) => job.act.follower === chosen)) show(said);
  } catch (error) {
    if (asked !== epoch) return;
    if (error.status >= 400 && error.status < 500 && chosen) choose(''); // the address names nobody here
    else failures += 1;
    byId('offline').textContent = `${error.message}正在重试。`;
  }
  byId('offline').hidden = failures < 2 && (state || !failures);
}

async function poll() {
  if (!document.hidden && !pending.length) await load();
  setTimeout(poll, POLL_MS);
}

// Does something on the phone; `standIn` is shown as its bubble until the service has answered.
function act(what, text, standIn, id = '') {
  const node = standIn && row({ from: 'follower', pieces: [{ kind: 'words', text: standIn }] }, 'pending');
  const job = { act: { follower: chosen, do: what, text, id }, node };
  pending.push(job);
  epoch += 1;
  log.querySelector('.empty')?.remove();
  if (standIn) log.append(job.node), toEnd();
  acts = acts.then(() => run(job));
}

async function run(job) {
  const last = state?.bubbles.at(-1)?.n;
  const said = await ask('act', job.act).catch((error) => error);
  pending.splice(pending.indexOf(job), 1);
  epoch += 1;
  job.node?.remove();
  if (said instanceof Error) {
    toast(said.message);
    if (job.act.do === 'say' && !drafts.get(job.act.follower)) write(job.act.follower, job.act.text);
  } else if (job.act.follower === chosen) {
    show(said);
    if (job.act.do === 'expire') toast('窗口已过期，就像用户两天没有来信。');
    if (job.act.do === 'advance') toast(`手机上的时间现在是 ${said.clock}。`);
    if (job.act.do === 'resend' && said.bubbles.at(-1)?.n === last) toast('已重发，没有多出新的消息。');
  }
}

// --- showing ---

function show(said) {
  const fresh = state?.follower !== said.follower || !chosen;
  state = said;
  if (fresh) {
    choose(said.follower, said);
    log.setAttribute('aria-live', 'off'); // a whole conversation is not news
    setTimeout(() => log.setAttribute('aria-live', 'polite'), 300);
    rows.clear();
    log.replaceChildren();
    atEnd = true;
  }
  showFollowers(said.followers);
  showBubbles(said.bubbles);
  showWindow(said.window);
  showMenu(said.menu);
  showBar();
  showSettings(said);
  byId('try-how').textContent = me().following ? '点一句就发出去，也可以在手机里自己写。' : '这位用户还没有关注，请先点“关注”。';
  byId('console').hidden = !said.console;
  const closed = { follow: me().following, expire: !said.window, resend: !said.bubbles.length, advance: false };
  for (const button of document.querySelectorAll('[data-do]')) button.disabled = closed[button.dataset.do] ?? !me().following;
}

function showFollowers(people) {
  const list = byId('followers');
  const key = JSON.stringify([people, chosen]);
  if (list.dataset.key !== key) {
    const focused = list.contains(document.activeElement) && document.activeElement.dataset.id;
    list.replaceChildren(...people.map((one) => make('li', '', person(one))));
    list.dataset.key = key;
    if (focused) [...list.querySelectorAll('button')].find((button) => button.dataset.id === focused)?.focus();
  }
  byId('unread').textContent = people.reduce((sum, one) => sum + (one.id === chosen ? 0 : one.unread), 0) || '';
  byId('whose').textContent = me().name.split('（')[0];
}

function person(one) {
  const names = make('span', 'names', make('b', '', one.name), make('small', '', one.following ? '已关注' : '未关注'));
  const button = make('button', one.following ? 'who' : 'who away', face(one), names);
  Object.assign(button, { type: 'button', onclick: () => choose(one.id) }).dataset.id = one.id;
  if (one.id === chosen) button.setAttribute('aria-current', 'true');
  else if (one.unread) button.append(make('span', 'badge', String(one.unread), make('span', 'sr', '条未读')));
  return button;
}

function face(one) {
  const tint = one ? [...one.id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 997, 7) % 6 : '-account';
  const node = make('span', `avatar tint${tint}`, one ? ([...one.name][0] ?? '') : '莘');
  node.setAttribute('aria-hidden', 'true');
  return node;
}

function showBubbles(bubbles) {
  const known = new Set(bubbles.map(keyOf));
  for (const [key, nodes] of rows) if (!known.has(key)) nodes.forEach((node) => node.remove()), rows.delete(key);
  log.querySelector('.empty')?.remove();
  const wereShown = rows.size;
  bubbles.forEach((bubble, i) => {
    if (rows.has(keyOf(bubble))) return;
    const nodes = [row(bubble)];
    if (isLater(bubble.at, bubbles[i - 1]?.at)) nodes.unshift(make('p', 'line time', bubble.at));
    rows.set(keyOf(bubble), nodes);
    log.append(...nodes);
  });
  if (!bubbles.length && !pending.length) log.append(empty());
  for (const job of pending) if (job.node && job.act.follower === chosen) log.append(job.node);
  if (atEnd) toEnd();
  else if (rows.size > wereShown) newer.hidden = false;
}

function empty() {
  if (me().following) return make('p', 'empty line', '还没有消息。写下一个问题，或点“试试看”里的例子。');
  const about = make('p', '', '为莘庄镇的企业和商户解答政策、用工、法律和办事问题');
  return make('div', 'empty card', face(), make('b', '', account), about);
}

const VIA = { custom: '客服消息', subscribe: '订阅通知', template: '模板消息' };

function row(bubble, extra = '') {
  if (bubble.from === 'system') return make('p', 'line', ...words(bubble.pieces));
  const own = bubble.from === 'follower';
  const by = make('span', 'sr', own ? '我说：' : `${account}：`);
  const said = make('div', 'said', by, bubble.card ? card(bubble.card) : make('div', 'bubble', ...words(bubble.pieces)));
  if (bubble.ai) said.append(make('small', 'via', '内容由第三方AI生成'));
  if (VIA[bubble.via]) said.append(make('small', 'via', VIA[bubble.via]));
  return make('div', `row ${own ? 'own' : ''} ${extra}`, face(own ? me() : null), said);
}

// The pieces of a text as nodes: menu links become buttons that say their content, web links stay links.
function words(pieces) {
  return pieces.map(({ kind, text, label, href, id }) => {
    if (kind === 'choice') return option('link', label, text, id);
    return kind === 'page' ? page('link', href, label) : text;
  });
}

function option(className, label, text, id) {
  const onclick = () => me().following && act('choose', text, text, id);
  return Object.assign(make('button', className, label), { type: 'button', onclick });
}

// What leads nowhere a browser may go is no link.
function page(className, href, ...children) {
  if (!/^https?:\/\//i.test(href)) return make('span', className.replace('link', ''), ...children);
  return Object.assign(make('a', className, ...children), { href, target: '_blank', rel: 'noopener noreferrer' });
}

function card({ kind, ...of }) {
  if (kind === 'image') {
    const onload = () => atEnd && toEnd();
    return Object.assign(make('img', 'photo'), { src: `/simulator/api/media/${encodeURIComponent(of.media_id)}`, alt: '图片', onload });
  }
  if (kind === 'voice') return make('div', 'bubble voice', '语音', make('span', 'waves', '1″'));
  if (kind === 'article') {
    // Nothing is loaded from elsewhere: where its picture lies is not asked.
    const texts = make('span', 'texts', make('span', 'about', of.description), make('span', 'thumb', '图'));
    return page('article', of.url, make('b', '', of.title), texts);
  }
  if (kind === 'options') {
    const taps = of.options.map(({ id, content }) => make('li', '', option('link', content, content, id)));
    const parts = [of.head && make('p', '', of.head), make('ul', 'taps', ...taps), of.tail && make('p', '', of.tail)];
    return make('div', 'bubble', ...parts.filter(Boolean));
  }
  const rows = of.rows.map(([label, value]) => make('p', '', make('span', '', label), make('b', '', value)));
  const more = of.url ? [page('details', of.url, '查看详情')] : [];
  return make('div', 'notice', make('h3', '', of.title), make('div', 'rows', ...rows), ...more);
}

// WeChat writes the time again after five quiet minutes, and when the day changes.
function isLater(at, before) {
  const [now, then] = [at, before].map((text) => /^(.*?)(\d+):(\d+)$/.exec(text ?? ''));
  return !now || !then || now[1] !== then[1] || Math.abs(now[2] * 60 + +now[3] - then[2] * 60 - then[3]) >= 5;
}

function showWindow(now) {
  const open = Boolean(now && now.left > 0);
  const span = now && (now.hours >= 1 ? `${Math.floor(now.hours)} 小时` : `${Math.max(1, Math.floor(now.hours * 60))} 分钟`);
  const set = (id, text) => byId(id).textContent === text || (byId(id).textContent = text);
  byId('window').classList.toggle('open', open);
  set('window-now', open ? `还可主动发 ${now.left} 条，剩 ${span}` : now ? '窗口里的条数已用完' : '窗口已关闭');
  set('window-why', open ? '用户来信后 48 小时内可主动发 5 条；点菜单、刚关注是 1 分钟内 3 条。' : '工作人员的答复先存着，用户下次来信时送达。');
}

// The published menu, as WeChat draws it; the page's own as long as there is none.
const ownMenu = [...byId('menu').querySelectorAll(':scope > .item')];

function showMenu(published) {
  const menu = byId('menu');
  const key = JSON.stringify(published ?? null);
  if (menu.dataset.key === key) return;
  menu.dataset.key = key;
  for (const item of menu.querySelectorAll('.published')) item.remove();
  for (const item of ownMenu) item.hidden = Boolean(published);
  menu.append(...(published?.button ?? []).map(first));
}

function first(button) {
  const below = button.sub_button ?? [];
  if (!below.length) return pressed('item published', button);
  const caret = make('span', 'caret', '▲');
  caret.setAttribute('aria-hidden', 'true');
  const list = make('ul', 'sub', ...below.map((one) => make('li', '', pressed('', one))));
  return make('details', 'pop item published', make('summary', '', button.name, caret), list);
}

function pressed(className, { name, type, key, url }) {
  const node = Object.assign(make('button', className, name), { type: 'button' });
  if (type === 'click') Object.assign(node.dataset, { do: 'click', text: key });
  else if (type === 'view') Object.assign(node.dataset, { do: 'view', text: url });
  else if (key) Object.assign(node.dataset, { do: 'press', text: key, id: type });
  else node.onclick = () => toast('模拟器里点不了这种菜单。');
  return node;
}

// The side panel's: what time it is, and what the follower has agreed to.
function showSettings(said) {
  account = said.account;
  byId('brand').textContent = account;
  document.title = `微信模拟器 · ${account}`;
  const title = said.typing ? '对方正在输入…' : account;
  if (byId('title').textContent !== title) byId('title').textContent = title;
  const clock = `手机上是 ${said.clock}${said.ahead ? `，快了 ${said.ahead}` : ''}`;
  if (byId('clock').textContent !== clock) byId('clock').textContent = clock;
  byId('subscriptions').hidden = !said.templates.length;
  const list = byId('templates');
  const key = JSON.stringify(said.templates);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...said.templates.map(template));
}

function template({ id, title, consent, agreed }) {
  const button = (what, label) => {
    const node = Object.assign(make('button', '', label), { type: 'button', ariaLabel: `${label}：${title}` });
    Object.assign(node.dataset, { do: what, text: id });
    return node;
  };
  const names = make('span', 'names', make('b', '', title), make('small', '', consent));
  return make('li', '', names, button('allow', '允许'), agreed ? button('switchoff', '关闭') : button('refuse', '拒绝'));
}

function showBar(mode = byId('bar').dataset.mode) {
  byId('bar').dataset.mode = mode;
  for (const id of ['say', 'menu', 'stranger']) byId(id).hidden = id !== (me().following ? mode : 'stranger');
}

function toEnd() {
  log.scrollTop = log.scrollHeight;
  newer.hidden = atEnd = true;
}

function toast(text) {
  byId('toast').textContent = text;
  byId('toast').hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => (byId('toast').hidden = true), 3500);
}

// --- the person's hands ---

function choose(id, said) {
  chosen = id;
  epoch += 1;
  if (inAddress() !== id) history.replaceState(null, '', `#${encodeURIComponent(id)}`);
  write(id, drafts.get(id) ?? '');
  closeAll();
  byId('toast').hidden = true;
  if (!said) load();
}

function write(whose, text) {
  drafts.set(whose, text);
  if (whose !== chosen) return;
  if (draft.value !== text) draft.value = text;
  byId('send').hidden = !text.trim();
  byId('more').hidden = Boolean(text.trim());
  draft.style.height = 'auto';
  draft.style.height = `${Math.min(draft.scrollHeight, 120)}px`;
}

function sayDraft() {
  const text = draft.value.trim();
  write(chosen, '');
  if (text) act('say', text, text);
  draft.focus();
}

function closeAll(but) {
  for (const pop of document.querySelectorAll('details.pop[open]')) if (!but || !pop.contains(but)) pop.open = false;
  for (const side of document.querySelectorAll('dialog[open]')) if (!but || side === but) side.close();
}

document.addEventListener('click', (event) => {
  const { do: what, text, id, mode, open, close } = event.target.closest('button')?.dataset ?? {};
  if (what) {
    const said = what === 'say' ? event.target.closest('button').textContent : text;
    closeAll();
    if (what === 'view' && /^https?:\/\//i.test(text)) window.open(text, '_blank', 'noopener,noreferrer');
    act(what, said, what === 'say' ? said : STANDS_FOR[what], id);
  } else if (mode) {
    showBar(mode);
    (mode === 'say' ? draft : byId('menu').querySelector('button')).focus();
  } else if (open) byId(open).showModal();
  else if (close !== undefined) closeAll();
  else closeAll(event.target);
});
document.addEventListener('keydown', (event) => {
  const pop = event.key === 'Escape' && document.querySelector('details.pop[open]');
  if (pop) (pop.open = false), pop.querySelector('summary').focus();
});
draft.addEventListener('input', () => write(chosen, draft.value));
draft.addEventListener('keydown', (event) => {
  const composing = event.isComposing || event.keyCode === 229; // Enter only ends the pinyin
  if (event.key === 'Enter' && !event.shiftKey && !composing) event.preventDefault(), sayDraft();
});
byId('say').addEventListener('submit', (event) => (event.preventDefault(), sayDraft()));
byId('newcomer').addEventListener('toggle', () => byId('newcomer').open && byId('newcomer-name').focus());
byId('newcomer-form').addEventListener('submit', (event) => {
  event.preventDefault();
  act('new', byId('newcomer-name').value.trim() || '新用户');
  event.target.reset();
  byId('newcomer').open = false;
});
byId('scan-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const scene = byId('scene').value.trim();
  if (!scene) return byId('scene').focus();
  closeAll();
  act('scan', scene);
});
log.addEventListener('scroll', () => {
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (atEnd) newer.hidden = true;
});
new ResizeObserver(() => atEnd && toEnd()).observe(log);
newer.addEventListener('click', toEnd);
matchMedia('(min-width: 1040px)').addEventListener('change', () => closeAll());
addEventListener('hashchange', () => inAddress() !== chosen && choose(inAddress()));
poll();
