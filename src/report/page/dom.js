// Elements and words. Text goes into the page as text nodes alone: nothing that a case, a stack or a model says is ever markup.

const OUTCOMES = ["failed", "broken", "quarantined", "xpassed", "passed", "xfailed", "skipped"];
const GLYPHS = { passed: "✓", failed: "✕", broken: "!", skipped: "–", xfailed: "~", xpassed: "?", quarantined: "✕" };

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "width%") element.style.width = `${value}%`;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// h("a", {class: "b"}, "text", other): an element.
function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

function svg(tag, properties, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function seconds(time) {
  if (time >= 60) return `${Math.floor(time / 60)} min ${(time % 60).toFixed(0)} s`;
  if (time >= 1) return `${time.toFixed(2)} s`;
  if (time >= 0.01) return `${(time * 1000).toFixed(0)} ms`;
  return `${(time * 1000).toFixed(1)} ms`;
}

function bytes(count) {
  if (count < 1024) return `${count} B`;
  return count < 1048576 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / 1048576).toFixed(1)} MiB`;
}

function number(value) {
  return value.toLocaleString("en");
}

function counted(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function median(sorted) {
  return quantile(sorted, 0.5);
}

// The value that this share of sorted values does not exceed.
function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))];
}

function groups(items, key) {
  const found = new Map();
  for (const item of items) {
    const name = key(item);
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(item);
  }
  return found;
}

function table(columns, rows) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.number && "number" }, column.title));
  const body = rows.map((row) => h("tr", {}, row.map((cell, at) => h("td", { class: columns[at].number && "number" }, cell))));
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

function copyButton(text) {
  const button = h("button", { type: "button", class: "copy", "aria-label": "Copy" }, "copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      button.textContent = "select it and copy";
    }
  });
  return button;
}

function block(title, content, options = {}) {
  const pre = h("pre", { tabindex: "0", "aria-label": title }, content);
  return h("div", { class: options.wrap ? "block wrap" : "block" }, h("span", {}, title), pre, options.copy && copyButton(options.copy));
}
