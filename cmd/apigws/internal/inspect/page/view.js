// What the page is made of: a list that draws only the rows in sight, and texts.

// A List shows items as rows of one height. It draws those in sight, at most once a frame, so that a thousand items and a
// thousand changes a second cost no more than a screenful.
export class List {
  // key(item) tells items apart, fill(row, item) writes a row, chosen(item) hears of the user's choice.
  constructor(el, { height = 26, key, fill, chosen, className }) {
    Object.assign(this, { el, height, key, fill, chosen, className });
    this.items = [];
    this.chosenKey = null;
    this.rows = [];
    this.spacer = document.createElement("div");
    this.spacer.className = "spacer";
    el.append(this.spacer);
    el.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(el);
    this.spacer.addEventListener("click", (e) => {
      const row = e.target.closest(".row");
      if (row) this.choose(this.items[row.index]);
    });
    el.addEventListener("keydown", (e) => this.keydown(e));
  }

  // set shows other items. stick: a list that was scrolled to the end stays there.
  set(items, stick) {
    const atEnd = this.el.scrollTop + this.el.clientHeight >= this.items.length * this.height - 2;
    this.items = items;
    this.toEnd ||= stick && atEnd;
    this.draw();
  }

  choose(item) {
    if (!item) return;
    this.chosenKey = this.key(item);
    this.chosen?.(item);
    this.draw();
  }

  chosenIndex() { return this.items.findIndex((item) => this.key(item) === this.chosenKey); }

  keydown(e) {
    const page = Math.max(1, Math.floor(this.el.clientHeight / this.height) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[e.key];
    if (!step || !this.items.length || e.ctrlKey || e.altKey || e.metaKey) return;
    e.preventDefault();
    const from = this.chosenIndex();
    const to = Math.min(this.items.length - 1, Math.max(0, from < 0 && Number.isFinite(step) ? 0 : from + step));
    this.choose(this.items[to]);
    const top = to * this.height;
    if (top < this.el.scrollTop) this.el.scrollTop = top;
    else if (top + this.height > this.el.scrollTop + this.el.clientHeight) this.el.scrollTop = top + this.height - this.el.clientHeight;
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.drawNow();
    });
  }

  drawNow() {
    const { el, height, items } = this;
    this.spacer.style.height = `${items.length * height}px`;
    if (this.toEnd) el.scrollTop = items.length * height;
    this.toEnd = false;
    const first = Math.max(0, Math.floor(el.scrollTop / height) - 2);
    const last = Math.min(items.length, Math.ceil((el.scrollTop + el.clientHeight) / height) + 2);
    while (this.rows.length < last - first) {
      const row = document.createElement("div");
      row.setAttribute("role", "option");
      row.id = `${el.id}-${this.rows.length}`;
      this.spacer.append(row);
      this.rows.push(row);
    }
    let active = "";
    this.rows.forEach((row, n) => {
      const i = first + n;
      row.hidden = i >= last;
      if (row.hidden) return;
      row.index = i;
      row.className = `row ${this.className}`;
      row.style.transform = `translateY(${i * height}px)`;
      const isChosen = this.key(items[i]) === this.chosenKey;
      row.classList.toggle("chosen", isChosen);
      row.setAttribute("aria-selected", isChosen);
      row.setAttribute("aria-posinset", i + 1);
      row.setAttribute("aria-setsize", items.length);
      if (isChosen) active = row.id;
      this.fill(row, items[i]);
    });
    if (active) el.setAttribute("aria-activedescendant", active);
    else el.removeAttribute("aria-activedescendant");
  }
}

// cells writes the texts of a row: [text, class] each. Elements are used again.
export function cells(row, texts) {
  while (row.children.length < texts.length) row.append(document.createElement("span"));
  texts.forEach(([text, className = ""], i) => {
    const cell = row.children[i];
    if (cell.textContent !== text) cell.textContent = text;
    if (cell.className !== className) cell.className = className;
  });
}

// duration is short: 4s, 3m, 2h 5m.
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  return `${Math.floor(s / 3600)}h ${Math.floor(s / 60) % 60}m`;
}

export const clock = (time) => new Date(time).toLocaleTimeString("en-GB") + "." + String(new Date(time).getMilliseconds()).padStart(3, "0");

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1 << 20) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / (1 << 20)).toFixed(1)} MiB`;
}

export const count = (n) => (n < 100000 ? String(n) : n < 1e6 ? `${Math.round(n / 1000)}k` : `${(n / 1e6).toFixed(1)}M`);

// showBody lays out a message: JSON with colours, anything else as it is. Whatever is in it, it is text, never markup.
export function showBody(pre, text, note) {
  let laidOut = text;
  let isJSON = false;
  try {
    laidOut = JSON.stringify(JSON.parse(text), null, 2);
    isJSON = true;
  } catch { /* not JSON */ }
  const parts = isJSON && laidOut.length < 50000 ? colours(laidOut) : [laidOut];
  if (note) parts.push(span("faint", `\n${note}`));
  pre.replaceChildren(...parts);
}

function colours(json) {
  const parts = [];
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|true|false|null/g;
  let end = 0;
  for (const m of json.matchAll(token)) {
    parts.push(json.slice(end, m.index));
    end = m.index + m[0].length;
    if (m[2]) parts.push(span("j-key", m[1]), m[2]);
    else parts.push(span(m[1] ? "j-string" : /\d/.test(m[0]) ? "j-number" : "j-word", m[0]));
  }
  parts.push(json.slice(end));
  return parts;
}

function span(className, text) {
  const s = document.createElement("span");
  s.className = className;
  s.textContent = text;
  return s;
}
