// SPDX-License-Identifier: LGPL-2.1-or-later
"use strict";

// Numbers for people, exactly as render/units.py writes them: ties go to the even digit.
function rounded(value, digits) {
  const scaled = value * 10 ** digits, below = Math.floor(scaled);
  const isTie = scaled - below === 0.5 && value * 2 ** (digits + 1) % 1 === 0;
  return (isTie ? (below + below % 2) / 10 ** digits : value).toFixed(digits);
}

function size(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let scaled = Math.abs(value), unit = 0;
  for (; scaled >= 999.5 && unit < units.length - 1; unit++) scaled /= 1024;
  const digits = unit === 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return `${value < 0 ? "-" : ""}${rounded(scaled, digits)} ${units[unit]}`;
}

function duration(value) {
  if (value < 60) return `${rounded(value, 1)} s`;
  const parts = [];
  let left = Math.floor(value);
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const number = Math.floor(left / length);
    left %= length;
    if (number || parts.length) parts.push(`${number} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}

const count = value => value.toLocaleString("en-US");
const signed = (value, text) => (value > 0 ? "+" : "") + text;
const formats = {
  text: String,
  code: String,
  path: String,
  size,
  growth: value => signed(value, size(value)),
  count,
  more: value => signed(value, count(value)),
  number: String,
  share: value => `${rounded(100 * value, 1)}%`,
  duration,
};
// A telephone.
const narrow = matchMedia("(max-width: 640px)");
const isText = column => ["text", "code", "path"].includes(column.kind);
const plural = (number, nouns) => `${count(number)} ${nouns[number === 1 ? 0 : 1]}`;
const data = box => JSON.parse(box.querySelector('script[type="application/json"]').textContent);

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

// A table that sorts and searches. Only rows in sight are in the document, so that ten
// thousand of them are no slower than fifty.
class Table {
  static rowHeight = 29; // of page.css
  static margin = 20; // rows kept above and below those in sight
  static printed = 200;

  constructor(box) {
    const { nouns, total, notAdded, columns } = data(box);
    this.heads = [...box.querySelectorAll("th")];
    if (narrow.matches) {
      // Names first: they stay where they are when the rest is scrolled.
      const order = [...columns.keys()].sort((a, b) => columns[b].name - columns[a].name);
      this.heads = order.map(i => this.heads[i]);
      this.heads[0]?.parentElement.append(...this.heads);
      Object.assign(this, { total: total === null ? null : order.indexOf(total) });
      this.columns = order.map(i => columns[i]);
    } else {
      Object.assign(this, { total, columns });
    }
    Object.assign(this, { box, nouns, notAdded: new Set(notAdded) });
    this.rows = Array.from({ length: columns[0].values.length }, (_, i) => i);
    this.cells = this.rows.map(i => columns.filter(isText).map(c => c.values[i] ?? ""));
    this.texts = this.cells.map(cells => cells.join("\n").toLowerCase());
    this.words = [];
    this.chosen = null; // rows that a click in a chart is about; null: all
    this.shown = this.rows;
    this.order = { column: null, down: true };
    this.scroller = box.querySelector(".scroll");
    this.body = box.querySelector("tbody");
    this.output = box.querySelector("output");
    this.heads.forEach((head, i) =>
      head.firstChild.addEventListener("click", () => this.sort(i)));
    const search = box.querySelector("input");
    search?.addEventListener("input", () => this.search(search.value));
    this.scroller.addEventListener("scroll", () => this.draw());
    addEventListener("resize", () => this.draw());
    addEventListener("beforeprint", () => this.draw(true));
    addEventListener("afterprint", () => this.draw());
    this.setWidths();
    this.update();
  }

  // By the longest text of each column, for the rows in sight must not change them. Where that
  // is too much, long columns share what short ones leave.
  setWidths() {
    const numbers = 92, letter = 7.6, padding = 24, most = narrow.matches ? 24 : 70;
    const least = narrow.matches ? 190 : numbers; // of a text, where one scrolls anyway
    const wishes = this.columns.map((column, i) => isText(column) && column.values.reduce(
      (longest, text) => Math.max(longest, Math.min(most, (text ?? "").length)),
      this.heads[i].textContent.length + 2) * letter + padding);
    const texts = wishes.map((wish, i) => i).filter(i => wishes[i]);
    texts.sort((a, b) => wishes[a] - wishes[b]);
    const group = element("colgroup");
    group.append(...wishes.map(() => element("col")));
    this.heads[0].closest("table").prepend(group);
    this.box.classList.add("live");
    this.fit = () => {
      const widths = wishes.map(() => numbers);
      let left = this.scroller.clientWidth - numbers * (wishes.length - texts.length);
      texts.forEach((i, done) => {
        const room = Math.max(least, left / (texts.length - done));
        widths[i] = Math.max(numbers, Math.min(wishes[i], room));
        left -= widths[i];
      });
      widths.forEach((width, i) => { group.children[i].style.width = `${width}px`; });
    };
    addEventListener("resize", this.fit);
  }

  search(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.filter();
  }

  // The rows that are about any of some parts of a chart; null: all rows, as for a chart that
  // has nothing to do with them.
  choose(parts) {
    if (!this.pairs) {
      this.pairs = new Map();
      this.cells.forEach((cells, i) => {
        const keys = cells.length === 1 ? cells
          : cells.flatMap(a => cells.filter(b => b !== a).map(b => `${a}\n${b}`));
        for (const key of keys) this.pairs.set(key, [...this.pairs.get(key) ?? [], i]);
      });
    }
    const found = new Set(parts?.flatMap(part => part.keys.flatMap(key => this.pairs.get(key) ?? [])));
    this.chosen = found.size ? found : null;
    this.filter();
  }

  filter() {
    const { words, chosen, texts } = this;
    this.shown = words.length || chosen ? this.rows.filter(i =>
      (!chosen || chosen.has(i)) && words.every(word => texts[i].includes(word))) : this.rows;
    this.update();
  }

  // Numbers largest first, texts from A; what is unknown last.
  sort(i) {
    const column = this.columns[i];
    const first = !isText(column);
    const down = this.order.column === i ? !this.order.down : first;
    this.order = { column: i, down };
    const { values } = column, sign = down ? -1 : 1;
    const compare = (a, b) => {
      const x = values[a], y = values[b];
      if (x === y) return a - b;
      if (x === null || y === null) return x === null ? 1 : -1;
      return x < y ? -sign : sign;
    };
    this.rows.sort(compare);
    this.shown = this.shown === this.rows ? this.rows : [...this.shown].sort(compare);
    this.heads.forEach((head, j) => head.removeAttribute("aria-sort"));
    this.heads[i].setAttribute("aria-sort", down ? "descending" : "ascending");
    this.update();
  }

  update() {
    const { shown, rows, nouns, total } = this;
    let text = shown.length === rows.length
      ? plural(rows.length, nouns) : `${count(shown.length)} of ${plural(rows.length, nouns)}`;
    if (total !== null) {
      const { kind, values } = this.columns[total];
      const added = shown.filter(i => !this.notAdded.has(i));
      text += `: ${formats[kind](added.reduce((sum, i) => sum + values[i], 0))}`;
    }
    this.output.value = text;
    this.scroller.scrollTop = 0;
    this.scroller.style.height = `${(shown.length + 1) * Table.rowHeight + 18}px`;
    this.draw();
    this.fit(); // which depends on whether there is a scroll bar now
  }

  draw(printing = false) {
    const { scrollTop, clientHeight } = this.scroller, { rowHeight, margin } = Table;
    let first = Math.max(0, Math.floor(scrollTop / rowHeight) - margin);
    let last = Math.ceil((scrollTop + clientHeight) / rowHeight) + margin;
    if (printing) [first, last] = [0, Table.printed];
    last = Math.min(last, this.shown.length);
    first -= first % 2; // stripes stay where they are
    const rest = this.shown.length - last;
    const lines = this.shown.slice(first, last).map((i, j) => this.line(i, first + j));
    const space = rows => {
      const row = element("tr", { className: "space" });
      row.style.height = `${rows * rowHeight}px`;
      return row;
    };
    if (printing && rest) {
      const row = element("tr");
      row.append(element("td", { textContent: `${count(rest)} more`, colSpan: this.heads.length }));
      this.body.replaceChildren(...lines, row);
    } else {
      this.body.replaceChildren(space(first), ...lines, space(rest));
    }
  }

  line(i, position) {
    const row = element("tr");
    row.setAttribute("aria-rowindex", position + 2);
    for (const { kind, values } of this.columns) {
      const value = values[i];
      const cell = element("td", { className: kind });
      const text = value === null ? "-" : formats[kind](value);
      if (kind === "path") cell.append(element("bdi", { textContent: text }));
      else cell.textContent = text;
      if (typeof value === "string") cell.title = value;
      else if (value !== null && kind !== "share") cell.title = count(value);
      row.append(cell);
    }
    return row;
  }
}

// A treemap. plotly.js draws what is large enough to be seen from where the reader is, and
// gets more when the reader goes closer: its time depends on what it draws.
class Treemap {
  static parts = 500; // a smaller part has no room for its name: it is drawn with its like
  static atLeast = 60; // children of where the reader is are drawn in any case
  static colours = ["#356ab0", "#bf4d35", "#437a4e", "#8e5ea2", "#9a6b17", "#26808d",
    "#a8476f", "#5f7232", "#6a5acd", "#8f5c3d"]; // white text on them is easy to read
  static tones = { bad: "#bf4d35", good: "#437a4e" };
  static other = "#66727e";

  constructor(box) {
    const { root, tones } = data(box);
    this.box = box;
    this.nodes = [];
    this.root = this.node(root, null);
    for (const child of this.root.children) child.tone = Treemap.tones[tones[child.name]];
    box.replaceChildren();
    this.draw(this.root);
    box.on("plotly_treemapclick", event => {
      this.click(event);
      return false;
    });
    // Print in the width of the paper.
    addEventListener("beforeprint", () => Plotly.relayout(box, { width: 1000 }));
    addEventListener("afterprint", () => Plotly.relayout(box, { width: null, autosize: true }));
  }

  node([name, bytes, note, children], parent) {
    const node = this.register({ name, bytes, note, parent, leaves: 1 });
    node.children = children.map(child => this.node(child, node));
    node.children.sort((a, b) => b.bytes - a.bytes);
    node.children.forEach((child, rank) => { child.rank = rank; });
    if (children.length) node.leaves = node.children.reduce((sum, child) => sum + child.leaves, 0);
    return node;
  }

  register(node) {
    node.id = String(this.nodes.length);
    this.nodes.push(node);
    return node;
  }

  click({ points: [point], nextLevel }) {
    const node = this.nodes[Number(point.id)];
    // Up, on the bar of what contains this or on the tile that fills the chart; else closer.
    const up = nextLevel !== undefined && nextLevel !== point.id;
    const next = up ? this.nodes[Number(nextLevel)] : node;
    if (up || node.children.length && node !== this.top) this.draw(next);
    const all = next === this.root || next === this.chosen;
    this.chosen = all ? null : next;
    for (const table of tables) table.choose(all ? null : this.parts(next));
  }

  // What a part of the chart is called in tables: the part, all in it, and all that it is in.
  parts(node) {
    const out = [], above = [];
    for (let at = node.parent; at; at = at.parent) above.unshift(at);
    const key = (at, path) => {
      const place = at.note.split(" ")[0], [first, second] = at.name.split(" ");
      return { keys: [`${place}\n${at.name}`, `${path}\n${at.name}`, `${first}\n${second}`, at.name] };
    };
    const add = (at, path) => {
      out.push(key(at, path.join(" › ")));
      for (const child of at.children) add(child, at === this.root ? [] : [...path, at.name]);
    };
    add(node, above.slice(1).map(at => at.name));
    return out;
  }

  // What is too small to be seen, as one tile that can be gone into.
  rest(parent, children) {
    parent.rests ??= {};
    return parent.rests[children.length] ??= this.register({
      name: `${count(children.length)} smaller`, note: "", parent, children,
      bytes: children.reduce((sum, child) => sum + child.bytes, 0),
      leaves: children.reduce((sum, child) => sum + child.leaves, 0),
    });
  }

  visible(top) {
    const drawn = [], limit = top.bytes / Treemap.parts;
    for (let node = top.parent; node; node = node.parent) drawn.unshift([node, node.parent, 0]);
    const add = (node, parent) => {
      const keep = node === top ? Treemap.atLeast : 0;
      let large = node.children.filter((child, i) => child.bytes >= limit || i < keep);
      let small = node.children.slice(large.length);
      if (small.length === 1) [large, small] = [node.children, []];
      if (node !== top && !large.length) small = [];
      const parts = small.length ? [...large, this.rest(node, small)] : large;
      drawn.push([node, parent, parts.length ? 0 : node.leaves]);
      for (const part of parts) {
        if (small.length && part === parts.at(-1)) drawn.push([part, node, part.leaves]);
        else add(part, node);
      }
    };
    add(top, top.parent);
    return drawn;
  }

  draw(top) {
    this.top = top;
    const drawn = this.visible(top), nodes = drawn.map(([node]) => node);
    const share = (node, whole) => whole.bytes ? `${rounded(100 * node.bytes / whole.bytes, 1)}%` : "-";
    // plotly.js takes some HTML in texts for its own.
    const safe = text => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
    const hover = node => [
      `<b>${safe(node.name)}</b>`,
      safe(node.note),
      `${size(node.bytes)} (${count(node.bytes)} bytes)`,
      `${share(node, this.root)} of ${safe(this.root.name)}`,
      node.parent && node.parent !== this.root
        ? `${share(node, node.parent)} of ${safe(node.parent.name)}` : "",
    ].filter(Boolean).join("<br>");
    const trace = {
      type: "treemap",
      branchvalues: "total",
      level: top.id,
      ids: nodes.map(node => node.id),
      parents: drawn.map(([, parent]) => parent ? parent.id : ""),
      labels: drawn.map(([node, , leaves]) => safe(leaves ? node.name : this.title(node))),
      text: drawn.map(([node, , leaves]) => leaves ? size(node.bytes) : ""),
      textinfo: "label+text",
      values: nodes.map(node => node.bytes),
      hovertext: nodes.map(hover),
      hoverinfo: "text",
      customdata: drawn.map(([, , leaves]) => leaves),
      marker: {
        colors: nodes.map(node => this.colour(node)),
        line: { width: 1, color: "rgba(255, 255, 255, 0.4)" },
        pad: { t: 21, l: 2, r: 2, b: 2 },
      },
      pathbar: { thickness: 26, textfont: { size: 13 } },
      tiling: { packing: "squarify", pad: 1 },
      textfont: { color: "#fff" },
      sort: true,
    };
    const layout = {
      margin: { l: 0, r: 0, t: top === this.root ? 0 : 30, b: 0 },
      paper_bgcolor: "rgba(0, 0, 0, 0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13 },
      uniformtext: { minsize: 11, mode: "hide" },
      hoverlabel: { align: "left", font: { size: 13 } },
      autosize: true,
    };
    const config = { displayModeBar: false, responsive: true, typesetMath: false };
    Plotly.react(this.box, [trace], layout, config);
  }

  // What contains others has room for one line only; what does not fit is not drawn at all.
  title(node) {
    const whole = `${node.name}  ${size(node.bytes)}`, letter = 7;
    const { clientWidth, clientHeight } = this.box;
    const side = Math.sqrt(node.bytes / this.top.bytes * clientWidth * clientHeight);
    return whole.length * letter < side ? whole : node.name;
  }

  // By what it belongs to, seen from where the reader is.
  colour(node) {
    let colour;
    for (let at = node; at; at = at.parent) {
      if (at.tone) return at.tone;
      if (at.parent === this.top) colour = Treemap.colours[at.rank];
    }
    return colour ?? Treemap.other;
  }
}

// plotly.js is in the page in a compressed form.
async function unpackLibrary() {
  const packed = atob(document.getElementById("library").textContent);
  const bytes = Uint8Array.from(packed, character => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(element("script", { textContent: await new Response(stream).text() }));
}

const tables = [...document.querySelectorAll(".table")].map(box => new Table(box));
const charts = [...document.querySelectorAll(".chart")];
if (charts.length) {
  unpackLibrary().then(() => charts.forEach(box => new Treemap(box))).catch(error => {
    console.error(error);
    for (const box of charts) {
      box.replaceChildren(element("p", { className: "note", textContent: `No chart: ${error}` }));
    }
  });
}
