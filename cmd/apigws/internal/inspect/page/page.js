// The inspector's page. It reads /api/stream, which sends one message every 250 ms however much happens, and draws what is
// in sight. What it keeps is bounded, as it is in the inspector itself.
import { List, bytes, cells, clock, count, duration, showBody } from "/view.js";

const mostEvents = 5000;
const mostEnded = 1000;
const mostLines = 200;

const $ = (id) => document.getElementById(id);
const conns = new Map(); // by id
let events = []; // oldest first
let missing = 0; // events that the stream left out
let chosen = ""; // id of a connection
let lines = []; // of the chosen connection
let skew = 0; // the inspector's clock, less this one's

// The lists.

const connList = new List($("conns"), {
  className: "conn",
  key: (c) => c.id,
  chosen: (c) => choose(c.id),
  fill(row, c) {
    row.classList.toggle("ended", !c.open);
    row.classList.toggle("disturbed", c.open && (c.frozen || !!c.slow));
    const now = Date.now() + skew;
    cells(row, [
      ["", "dot"],
      [c.id],
      [duration((c.open ? now : Date.parse(c.endedAt)) - Date.parse(c.connectedAt)), "num"],
      [c.open ? duration(now - Date.parse(c.lastAt)) : "", "num"],
      [count(c.in), "num"],
      [count(c.out), "num"],
      [stateOf(c)],
    ]);
    row.title = c.open ? "" : `${c.code} ${c.reason ?? ""}`;
  },
});

const lineList = new List($("lines"), {
  className: "line",
  key: (l) => l.seq,
  chosen: showLine,
  fill(row, l) {
    const into = l.kind === "message";
    cells(row, [
      [clock(l.time), "time"],
      [into ? "→" : "←", into ? "kind-in" : "kind-out"],
      [l.route ?? "", "faint"],
      [bytes(l.bytes), "num faint"],
      [l.text],
    ]);
    row.title = into ? "from the client" : "to the client";
  },
});

const eventList = new List($("events"), {
  className: "event",
  key: (e) => e.seq,
  chosen: (e) => { if (conns.has(e.conn)) choose(e.conn, e.seq); },
  fill(row, e) {
    cells(row, [
      [clock(e.time), "time"],
      [e.kind, `kind-${e.kind}`],
      [e.conn ?? ""],
      [e.route ?? "", "faint"],
      [e.bytes ? bytes(e.bytes) : e.code ? String(e.code) : "", "num faint"],
      [e.text ?? ""],
    ]);
  },
});

function stateOf(c) {
  if (!c.open) return `${c.code} ${c.reason ?? (c.code === 1006 ? "no close frame" : "")}`;
  if (c.frozen) return "frozen";
  return c.slow ? "slow" : "open";
}

// What is shown, at most once a frame for each of them.

const drawers = { conns: drawConns, events: drawEvents, chosen: drawChosen };
const due = new Set();
function draw(...what) {
  if (due.size === 0) {
    requestAnimationFrame(() => {
      const now = [...due];
      due.clear();
      now.forEach((name) => drawers[name]());
    });
  }
  what.forEach((name) => due.add(name));
}

function drawConns() {
  const filter = $("conns-filter").value.trim().toLowerCase();
  const ended = $("show-ended").checked;
  const shown = [];
  for (const c of conns.values()) {
    if (!c.open && !ended) continue;
    if (filter && !`${c.id} ${c.sourceIp} ${c.userAgent ?? ""} ${stateOf(c)}`.toLowerCase().includes(filter)) continue;
    shown.push(c);
  }
  shown.sort((a, b) => b.number - a.number);
  connList.set(shown);
  $("conns-count").textContent = shown.length === conns.size ? String(conns.size) : `${shown.length} of ${conns.size}`;
}

let paused = null; // the events as they were
function drawEvents() {
  const words = $("events-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = $("events-kind").value;
  const only = $("only-chosen").checked ? chosen : "";
  const all = paused ?? events;
  const shown = !words.length && !kind && !only ? all : all.filter((e) => {
    if (kind && e.kind !== kind || only && e.conn !== only) return false;
    const text = `${e.kind} ${e.conn ?? ""} ${e.route ?? ""} ${e.code ?? ""} ${e.text ?? ""}`.toLowerCase();
    return words.every((w) => text.includes(w));
  });
  eventList.set(shown, true);
  const left = missing ? `, ${count(missing)} not shown` : "";
  $("events-count").textContent = (shown.length === all.length ? count(all.length) : `${count(shown.length)} of ${count(all.length)}`) + left;
}

function drawChosen() {
  const c = conns.get(chosen);
  $("nothing").hidden = !!c;
  $("chosen").hidden = !c;
  if (!c) return;
  $("chosen-id").textContent = c.id;
  const state = $("chosen-state");
  state.textContent = c.open ? stateOf(c) : `closed ${c.code}`;
  state.className = `badge ${!c.open ? "ended" : c.frozen || c.slow ? "disturbed" : ""}`;
  $("chosen-facts").title = $("chosen-facts").textContent = [
    c.sourceIp, c.userAgent, `since ${clock(c.connectedAt)}`, `in ${c.in} (${bytes(c.bytesIn)})`, `out ${c.out} (${bytes(c.bytesOut)})`,
    c.pings ? `${c.pings} PINGs` : "", c.reason,
  ].filter(Boolean).join(" · ");
  for (const id of ["kick", "drop", "freeze", "slow", "send-text", "send-go"]) $(id).disabled = !c.open;
  $("freeze").textContent = c.frozen ? "Thaw" : "Freeze";
  $("freeze").setAttribute("aria-pressed", c.frozen);
  if (!c.slow) $("slow").value = "";
}

// The chosen connection and its messages.

function choose(id, seq) {
  if (id !== chosen) {
    chosen = id;
    lines = [];
    lineList.set(lines);
    $("body").replaceChildren();
    $("said").textContent = "";
    connList.chosenKey = id;
    connList.draw();
    const slow = conns.get(id)?.slow;
    $("slow").value = slow ? JSON.stringify(Object.fromEntries(Object.entries(slow).filter(([, v]) => v))) : "";
    if ($("only-chosen").checked) draw("events");
  }
  draw("chosen");
  loadLines().then(() => {
    const line = lines.find((l) => l.seq === seq);
    if (line) lineList.choose(line);
  });
}

let loading = false;
let again = false;
async function loadLines() {
  if (!chosen || loading) {
    again = loading;
    return;
  }
  loading = true;
  const id = chosen;
  try {
    const since = lines.at(-1)?.seq ?? 0;
    const response = await fetch(`/api/connections/${encodeURIComponent(id)}?since=${since}`);
    if (response.ok && id === chosen) {
      const { messages } = await response.json();
      lines = lines.concat(messages).slice(-mostLines);
      lineList.set(lines, true);
    }
  } finally {
    loading = false;
    if (again) {
      again = false;
      loadLines();
    }
  }
}

function showLine(l) {
  showBody($("body"), l.text, l.cut ? `The first ${bytes(l.text.length)} of ${bytes(l.bytes)}; the rest is not kept.` : "");
}

// Actions.

async function act(path, body, done) {
  const id = chosen;
  const say = (text) => { if (id === chosen) $("said").textContent = text; };
  try {
    const response = await fetch(path, { method: "POST", headers: { "X-Apigws": "page" }, body });
    say(response.ok ? done : `${response.status}: ${(await response.json()).error}`);
    return response.ok;
  } catch {
    say("the inspector does not answer");
    return false;
  }
}

const path = (action) => `/api/connections/${encodeURIComponent(chosen)}/${action}`;
const kick = () => act(path("kick"), "", "kicked");
const drop = () => act(path("drop"), "", "dropped");
function freeze() {
  const frozen = !conns.get(chosen)?.frozen;
  return act(path("freeze"), JSON.stringify({ frozen }), frozen ? "frozen" : "thawed");
}
async function push() {
  const box = $("send-text");
  // select would take the focus back from wherever the user has gone meanwhile.
  if (await act(path("push"), box.value, "pushed") && document.activeElement === box) box.select();
}

$("kick").onclick = kick;
$("drop").onclick = drop;
$("freeze").onclick = freeze;
$("slow").onchange = () => act(path("slow"), $("slow").value, $("slow").value ? "slow" : "no longer slow");
$("send").onsubmit = (e) => { e.preventDefault(); push(); };
$("send-text").onkeydown = (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); push(); } };
$("refuse").onsubmit = (e) => {
  e.preventDefault();
  act("/api/refuse", JSON.stringify({ status: Number($("refuse-status").value), count: Number($("refuse-count").value) }), "");
};
for (const id of ["conns-filter", "show-ended"]) $(id).oninput = () => draw("conns");
for (const id of ["events-filter", "events-kind", "only-chosen"]) $(id).oninput = () => draw("events");
function pause() {
  paused = paused ? null : [...events];
  $("pause").setAttribute("aria-pressed", !!paused);
  $("pause").textContent = paused ? "Go on" : "Pause";
  draw("events");
}
$("pause").onclick = pause;
for (const id of ["url", "management"]) $(id).onclick = () => navigator.clipboard?.writeText($(id).textContent);
$("help-open").onclick = () => $("help").showModal();

const keys = {
  c: () => $("conns").focus(), m: () => $("lines").focus(), e: () => $("events").focus(),
  "/": () => $("events-filter").focus(), p: () => $("send-text").focus(), k: kick, d: drop, f: freeze,
  " ": pause, "?": () => $("help").showModal(),
};
const needsOpen = new Set(["m", "p", "k", "d", "f"]);
document.addEventListener("keydown", (e) => {
  const field = e.target.matches("input, textarea, select");
  if (field && e.key === "Escape") e.target.blur();
  if (field || e.target.matches("button") && e.key === " " || $("help").open || e.ctrlKey || e.altKey || e.metaKey) return;
  if (!keys[e.key] || needsOpen.has(e.key) && !conns.get(chosen)?.open && e.key !== "m") return;
  e.preventDefault();
  keys[e.key]();
});

// The stream.

let last = null; // counts, and when
function showState(state) {
  $("url").textContent = state.url;
  $("management").textContent = state.managementUrl;
  const c = state.counts;
  for (const name of ["open", "connects", "refused", "failed"]) $(`count-${name}`).textContent = count(c[name]);
  const now = performance.now();
  if (last && now - last.now < 900) return;
  const seconds = last ? (now - last.now) / 1000 : Infinity;
  $("rate-in").textContent = count(Math.round((c.messages - (last?.messages ?? 0)) / seconds));
  $("rate-out").textContent = count(Math.round((c.pushes - (last?.pushes ?? 0)) / seconds));
  last = { now, messages: c.messages, pushes: c.pushes };
}

function take(batch) {
  skew = Date.parse(batch.state.now) - Date.now();
  showState(batch.state);
  for (const c of batch.connections ?? []) conns.set(c.id, c);
  const ended = [...conns.values()].filter((c) => !c.open);
  if (ended.length > mostEnded) {
    ended.sort((a, b) => Date.parse(a.endedAt) - Date.parse(b.endedAt));
    for (const c of ended.slice(0, ended.length - mostEnded)) if (c.id !== chosen) conns.delete(c.id);
  }
  if (batch.events.length) {
    events = events.concat(batch.events).slice(-mostEvents);
    draw("events");
  }
  missing += batch.missing;
  draw("conns");
  if (batch.connections?.some((c) => c.id === chosen)) {
    draw("chosen");
    loadLines();
  }
}

function listen() {
  const stream = new EventSource("/api/stream");
  stream.onopen = () => {
    // The first message has everything, also after a restart of the gateway.
    conns.clear();
    events = [];
    missing = 0;
    last = null;
    $("link").textContent = "live";
    $("link").className = "";
  };
  stream.onmessage = (e) => take(JSON.parse(e.data));
  stream.onerror = () => {
    $("link").textContent = "no gateway";
    $("link").className = "lost";
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}
listen();
setInterval(() => { if (conns.size && !document.hidden) connList.draw(); }, 1000); // ages
