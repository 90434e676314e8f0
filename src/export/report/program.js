"use strict";
// Opens, searches and zooms. All that is told is in the page; nothing is fetched.

const data = JSON.parse(document.getElementById("data").textContent);
const words = data.words;
const by = (id) => document.getElementById(id);

function made(tag, cls, text) {
  const element = document.createElement(tag);
  if (cls) element.className = cls;
  if (text !== undefined) element.textContent = text;
  return element;
}

const isBelow = (path, scope) => scope === "" || path === scope || path.startsWith(scope + ".");

// Numbers with their units, as the program tells them.
function scaled(value, base, units) {
  let power = 0;
  while (power + 1 < units.length && value >= base ** (power + 1)) power += 1;
  const number = value / base ** power;
  const digits = number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
  return number.toFixed(power === 0 && Number.isInteger(value) ? 0 : digits) + " " + units[power];
}
const bytes = (n) => scaled(n, 1024, ["bytes", "KiB", "MiB", "GiB", "TiB"]);
const flops = (n) => scaled(n, 1000, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"]);
const seconds = (s) => scaled(s * 1e9, 1000, ["ns", "µs", "ms", "s"]);
const many = (n, what) => n + " " + what + (n === 1 ? "" : "s");

// ---- the table of parts

const tree = by("tree");
const rows = [...tree.querySelectorAll("tr[data-path]")];
const rowOf = new Map(rows.map((row) => [row.dataset.path, row]));
let scope = "";

/** The rows above a row, nearest first. */
function above(row) {
  const found = [];
  let depth = +row.dataset.depth;
  for (let at = rows.indexOf(row) - 1; at >= 0 && depth > 0; at -= 1) {
    if (+rows[at].dataset.depth < depth) {
      found.push(rows[at]);
      depth = +rows[at].dataset.depth;
    }
  }
  return found;
}

/** A row is seen where all above it are open. */
function layOut() {
  const closed = [];
  for (const row of rows) {
    const depth = +row.dataset.depth;
    while (closed.length && closed[closed.length - 1] >= depth) closed.pop();
    row.hidden = closed.length > 0;
    if (row.getAttribute("aria-expanded") === "false") closed.push(depth);
  }
}

function open(row, wanted) {
  if (row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", String(wanted));
}

function openTo(depth) {
  for (const row of rows) open(row, +row.dataset.depth < depth);
  layOut();
}

function find(text) {
  if (text === "") return openTo(2);
  const hits = rows.filter((row) => row.dataset.path.toLowerCase().includes(text) || row.cells[1].textContent.includes(text));
  const seen = new Set(hits);
  for (const row of hits) above(row).forEach((one) => seen.add(one));
  for (const row of rows) {
    row.hidden = !seen.has(row);
    open(row, seen.has(row));
  }
}

tree.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-path]");
  if (!row) return;
  if (event.target.closest(".twist")) {
    open(row, row.getAttribute("aria-expanded") !== "true");
    layOut();
  } else {
    select(row.dataset.path);
  }
});

tree.addEventListener("keydown", (event) => {
  const row = event.target.closest("tr[data-path]");
  if (!row) return;
  const seen = rows.filter((one) => !one.hidden);
  const go = (to) => to && to.focus();
  const isOpen = row.getAttribute("aria-expanded") === "true";
  const keys = {
    ArrowDown: () => go(seen[seen.indexOf(row) + 1]),
    ArrowUp: () => go(seen[seen.indexOf(row) - 1]),
    Home: () => go(seen[0]),
    End: () => go(seen[seen.length - 1]),
    ArrowRight: () => (isOpen ? go(seen[seen.indexOf(row) + 1]) : (open(row, true), layOut())),
    ArrowLeft: () => (isOpen ? (open(row, false), layOut()) : go(above(row)[0])),
    Enter: () => select(row.dataset.path),
    " ": () => select(row.dataset.path),
  };
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

by("tree-search").addEventListener("input", (event) => find(event.target.value.trim().toLowerCase()));
by("tree-open").addEventListener("click", () => openTo(Infinity));
by("tree-close").addEventListener("click", () => openTo(1));

// ---- the part that is shown

const panes = ["before", "after"].map((id, side) => {
  const pane = by(id);
  const canvas = pane.querySelector(".canvas");
  const view = { x: 0, y: 0, width: 1, height: 1 };
  let drawing = null;

  function look() {
    if (drawing) drawing.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  }
  /** As large as it can be read, and no larger than letters are elsewhere. */
  function fit() {
    if (!drawing) return;
    const [width, height] = [+drawing.dataset.width, +drawing.dataset.height];
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(1.15, Math.max(Math.min(box.width / width, box.height / height), 0.5));
    view.width = box.width / scale;
    view.height = box.height / scale;
    view.x = (width - view.width) / 2;
    view.y = height * scale > box.height ? 0 : (height - view.height) / 2;
    look();
  }
  function zoom(factor, x = 0.5, y = 0.5) {
    view.x += view.width * x * (1 - factor);
    view.y += view.height * y * (1 - factor);
    view.width *= factor;
    view.height *= factor;
    look();
  }
  function show(path) {
    const at = (data.scopes[path] || [])[side];
    const count = inside(side, path).length;
    pane.querySelector(".count").textContent = many(count, side ? "kernel" : "node");
    canvas.replaceChildren();
    drawing = null;
    if (at === undefined || at === null) {
      const why = count === 0 ? "Nothing of its own runs here." : "No picture: " + many(count, side ? "kernel" : "node") + ".";
      canvas.append(made("p", "", side && count === 0 ? "Its nodes are parts of kernels elsewhere, or of no kernel." : why));
      return;
    }
    drawing = by("picture-" + at).content.firstElementChild.cloneNode(true);
    canvas.append(drawing);
    fit();
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(1.0015 ** event.deltaY, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }, { passive: false });
  let held = null;
  canvas.addEventListener("pointerdown", (event) => { held = { x: event.clientX, y: event.clientY, moved: false }; });
  canvas.addEventListener("pointermove", (event) => {
    if (!held || !drawing) return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    if (!held.moved && Math.hypot(dx, dy) < 4) return;
    if (!held.moved) canvas.setPointerCapture(event.pointerId);
    held = { x: event.clientX, y: event.clientY, moved: true };
    canvas.classList.add("held");
    const scale = view.width / canvas.getBoundingClientRect().width;
    view.x -= dx * scale;
    view.y -= dy * scale;
    look();
  });
  const release = () => { canvas.classList.remove("held"); setTimeout(() => { held = null; }); };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("click", (event) => { if (!(held && held.moved)) enter(event.target.closest(".box"), side); });
  canvas.addEventListener("keydown", (event) => {
    const keys = { "+": 0.8, "=": 0.8, "-": 1.25 };
    if (keys[event.key]) zoom(keys[event.key]);
    else if (event.key === "0") fit();
    else if (event.key === "Enter") enter(event.target.closest(".box"), side);
    else if (event.key.startsWith("Arrow")) {
      const sign = event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 1;
      const axis = event.key === "ArrowLeft" || event.key === "ArrowRight" ? "x" : "y";
      view[axis] += sign * 0.1 * view.width;
      look();
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("pointerover", (event) => {
    if (!drawing) return;
    const box = event.target.closest(".box");
    for (const arrow of drawing.querySelectorAll(".arrow")) {
      const touches = box && (arrow.dataset.from === box.dataset.box || arrow.dataset.to === box.dataset.box);
      arrow.classList.toggle("lit", Boolean(touches));
    }
  });
  for (const button of pane.querySelectorAll("[data-zoom]")) {
    const does = { in: () => zoom(0.8), out: () => zoom(1.25), fit };
    button.addEventListener("click", does[button.dataset.zoom]);
  }
  return { show, canvas };
});

/** Places of the nodes, or of the forward kernels, of a part. */
function inside(side, path) {
  const found = [];
  const all = side ? data.kernels : data.nodes;
  all.forEach((one, at) => {
    const [own, counts] = side ? [one.path, one.phase === "forward"] : [one[0], one[3] === 0];
    if (counts && isBelow(words[own], path)) found.push(at);
  });
  return found;
}

/** Opens the part of a box; of a kernel its row, of a node the kernels that compute it. */
function enter(box, side) {
  if (!box) return;
  if (box.dataset.opens !== undefined) {
    select(scope === "" ? box.dataset.opens : scope + "." + box.dataset.opens);
  } else if (box.dataset.item !== undefined) {
    const at = inside(side, scope)[+box.dataset.item];
    const kernels = side ? [at] : kernelsOf(at);
    if (kernels.length) showKernel(kernels[0]);
    const lit = new Set(kernels);
    const forward = inside(1, scope);
    for (const other of panes[1].canvas.querySelectorAll(".box")) {
      other.classList.toggle("lit", other.dataset.item !== undefined && lit.has(forward[+other.dataset.item]));
    }
  }
}

function kernelsOf(node) {
  const found = [];
  data.kernels.forEach((kernel, at) => {
    if (kernel.nodes.includes(node) || (kernel.again || []).includes(node)) found.push(at);
  });
  return found;
}

function select(path, keep) {
  scope = path;
  const row = rowOf.get(path);
  for (const one of rows) one.setAttribute("aria-selected", String(one === row));
  for (const one of rows) one.tabIndex = one === (row || rows[0]) ? 0 : -1;
  if (row) {
    above(row).forEach((one) => open(one, true));
    if (!by("tree-search").value) layOut();
    const [box, at] = [tree.parentElement, row.offsetTop];
    if (at < box.scrollTop + 30 || at > box.scrollTop + box.clientHeight - 40) box.scrollTop = at - box.clientHeight / 2;
  }
  const crumbs = by("crumbs");
  crumbs.replaceChildren();
  const known = path === "" ? [] : [...above(row || nearest(path))].map((one) => one.dataset.path).reverse();
  if (!row && path !== "") known.push(nearest(path).dataset.path);
  const trail = [...new Set(["", ...known, path])];
  trail.forEach((one, at) => {
    if (at) crumbs.append(made("i", "", "›"));
    const before = at > 1 ? trail[at - 1] + "." : "";
    const button = made("button", "", one === "" ? "model" : one.slice(before.length));
    button.type = "button";
    if (one === path) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => select(one));
    crumbs.append(button);
  });
  panes.forEach((pane) => pane.show(path));
  listKernels();
  if (!keep) history.replaceState(null, "", path === "" ? "#" : "#part=" + encodeURIComponent(path));
}

/** The row of the part that a step stands in. */
function nearest(path) {
  for (let end = path.lastIndexOf("."); end > 0; end = path.lastIndexOf(".", end - 1)) {
    const row = rowOf.get(path.slice(0, end));
    if (row) return row;
  }
  return rows[0];
}

// ---- kernels

const PAGE = 150;
let phase = "";
let shown = [];
let drawn = 0;

/** Those of the part that is shown; one of another part goes first if it is asked for. */
function listKernels(first) {
  const text = by("kernel-search").value.trim().toLowerCase();
  const sort = by("kernel-sort").value;
  const matches = (kernel) => !text || [kernel.path, kernel.title, kernel.formula].some((at) => words[at].toLowerCase().includes(text))
    || kernel.kind.includes(text) || kernel.nodes.some((node) => words[data.nodes[node][1]].includes(text));
  shown = [];
  data.kernels.forEach((kernel, at) => {
    const here = isBelow(words[kernel.path], scope) || (scope === "" && kernel.phase === "update");
    if (here && (!phase || kernel.phase === phase) && matches(kernel)) shown.push(at);
  });
  const size = { nodes: (k) => k.nodes.length, flops: (k) => k.flops, bytes: (k) => k.bytes, seconds: (k) => k.seconds }[sort];
  if (size) shown.sort((a, b) => size(data.kernels[b]) - size(data.kernels[a]) || a - b);
  if (first !== undefined && !shown.includes(first)) shown.unshift(first);
  const sum = (field) => shown.reduce((total, at) => total + (data.kernels[at][field] || 0), 0);
  const told = [many(shown.length, "kernel"), flops(sum("flops")), bytes(sum("bytes")) + " moved"];
  if (sum("seconds")) told.push(seconds(sum("seconds")));
  by("kernel-count").textContent = told.join(" · ");
  by("kernel-list").replaceChildren();
  drawn = 0;
  more();
}

function more(wanted = PAGE) {
  const list = by("kernel-list");
  for (const at of shown.slice(drawn, drawn + wanted)) list.append(row(at));
  drawn = Math.min(shown.length, drawn + wanted);
  by("kernel-more").hidden = drawn >= shown.length;
  by("kernel-more").textContent = "show " + Math.min(PAGE, shown.length - drawn) + " more of " + (shown.length - drawn);
}

/** `mul ×3, add, sum` */
function counted(nodes) {
  const counts = new Map();
  for (const node of nodes) {
    const label = words[data.nodes[node][1]].split("[")[0];
    counts.set(label, (counts.get(label) || 0) + 1);
  }
  return [...counts].map(([label, count]) => label + (count > 1 ? " ×" + count : "")).join(", ");
}

function row(at) {
  const kernel = data.kernels[at];
  const details = made("details", "kernel");
  details.dataset.kernel = at;
  const summary = made("summary");
  const from = made("span", "from");
  const again = (kernel.again || []).length;
  from.append(many(kernel.nodes.length, "node") + (again ? " and " + again + " again" : "") + ": ", made("span", "muted", counted([...kernel.nodes, ...(kernel.again || [])])));
  const to = made("span");
  to.append(made("i", "kind " + kernel.kind.replace("'", "")), made("span", "origin", words[kernel.path] + (kernel.phase === "backward" ? "′" : "")),
    made("span", "muted", " " + words[kernel.title] + " " + words[kernel.shape]));
  const costs = [kernel.flops ? flops(kernel.flops) : "", bytes(kernel.bytes), kernel.seconds ? seconds(kernel.seconds) : ""];
  summary.append(from, to, made("span", "costs", costs.filter(Boolean).join(" · ")));
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector(".inside")) details.append(opened(kernel));
  });
  return details;
}

/** Nodes on the left, under the parts they are of; on the right what became of them. */
function opened(kernel) {
  const inside = made("div", "inside");
  const left = made("div");
  const right = made("div");
  const again = new Set(kernel.again || []);
  const all = [...kernel.nodes, ...again].sort((a, b) => a - b);
  left.append(made("h4", "", many(all.length, "node") + " became "
    + (kernel.kernels === 1 ? "this kernel" : kernel.kernels + " kernels, one of them this")));
  let path = null;
  let chips = null;
  for (const node of all) {
    const [own, label, shape, kind] = data.nodes[node];
    const name = words[own] + (kind === 1 ? "′" : "");
    if (name !== path) {
      path = name;
      chips = made("ul", "chips");
      left.append(made("p", "chips-of", name), chips);
    }
    const chip = made("li", again.has(node) ? "repeated" : "");
    if (again.has(node)) chip.title = "computed again, so that it need not be kept";
    chip.append(words[label] + " ", made("span", "shape", words[shape]));
    chips.append(chip);
  }
  if (words[kernel.formula]) {
    right.append(made("h4", "", "for each element"), made("pre", "", words[kernel.formula].split("; ").join("\n")));
  }
  for (const source of kernel.sources) right.append(...written(source));
  const facts = [["products", kernel.flops && flops(kernel.flops)], ["operations on single elements", kernel.pointwise.toLocaleString("en")],
    ["memory moved", bytes(kernel.bytes)], ["time, foretold", kernel.seconds && seconds(kernel.seconds)]];
  const list = made("dl", "facts");
  for (const [name, value] of facts) if (value) list.append(made("dt", "", name), made("dd", "", value));
  right.append(list);
  inside.append(left, right);
  return inside;
}

/** A kernel in one language: a line as it stands, a long text behind the launch that it is for. */
function written({ language, launch, text }) {
  if (launch === undefined) return [made("h4", "", words[language]), made("pre", "", words[text])];
  const title = [made("span", "muted", words[language] + " "), words[launch]];
  if (text === undefined) {
    const line = made("p", "launch");
    line.append(...title);
    return [line];
  }
  const details = made("details", "launch");
  const summary = made("summary");
  summary.append(...title);
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("pre")) return;
    const pre = made("pre", "code", words[text]);
    pre.tabIndex = 0;
    details.append(pre);
  });
  return [details];
}

function showKernel(at) {
  if (!shown.includes(at)) {
    phase = "";
    press();
    by("kernel-search").value = "";
    listKernels(at);
  }
  const place = shown.indexOf(at);
  if (place >= drawn) more(place - drawn + 1);
  const details = by("kernel-list").children[place];
  details.open = true;
  details.scrollIntoView({ block: "center" });
  details.querySelector("summary").focus({ preventScroll: true });
}

function press() {
  for (const button of document.querySelectorAll("[data-phase]")) {
    button.setAttribute("aria-pressed", String(button.dataset.phase === phase));
  }
}

for (const button of document.querySelectorAll("[data-phase]")) {
  button.addEventListener("click", () => { phase = button.dataset.phase; press(); listKernels(); });
}
by("kernel-search").addEventListener("input", () => listKernels());
by("kernel-sort").addEventListener("change", () => listKernels());
by("kernel-more").addEventListener("click", () => more());

// ---- memory

const chart = by("memory-chart");
chart.addEventListener("pointermove", (event) => {
  const { times, live, uses, left, right } = data.memory;
  const box = chart.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
  const time = ((x - left) / (right - left)) * times[times.length - 1];
  let at = times.findIndex((begin) => begin > time) - 1;
  if (at < 0) at = time < 0 ? 0 : times.length - 2;
  const cursor = chart.querySelector(".cursor");
  cursor.style.visibility = "visible";
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  const kernel = data.kernels[at];
  const total = live.reduce((sum, one) => sum + one[at], 0);
  const parts = uses.map((use, i) => [use, live[i][at]]).filter(([, size]) => size > 0).reverse();
  by("memory-readout").textContent = words[kernel.path] + (kernel.phase === "backward" ? "′" : "") + " (" + kernel.kind + "): " + bytes(total)
    + " — " + parts.map(([use, size]) => use + " " + bytes(size)).join(", ");
});
chart.addEventListener("click", () => chart.querySelector(".cursor").style.visibility = "hidden");

// ---- begin

openTo(2);
const asked = decodeURIComponent((location.hash.match(/^#part=(.*)$/) || [])[1] || "");
select(rowOf.has(asked) || data.scopes[asked] ? asked : "", true);
