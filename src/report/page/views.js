// What the tabs show of the trials that the filter lets through.

// Trials that are drawn at once; more follow when the end comes into sight.
const PAGE = 200;

function trialsView(trials) {
  if (!trials.length) return h("p", { class: "empty" }, "No trial matches.");
  const list = h("div", { class: "list" });
  const more = h("div", { class: "more" });
  let drawn = 0;
  const draw = () => {
    const next = trials.slice(drawn, drawn + PAGE);
    drawn += next.length;
    list.append(...next.map(row));
    const left = trials.length - drawn;
    more.textContent = left ? `${number(left)} more` : "";
    more.hidden = !left;
    return left;
  };
  draw();
  const sight = new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && !draw() && sight.disconnect(), { rootMargin: "600px" });
  sight.observe(more);
  // A link to a trial further down.
  const wanted = trials.findIndex((each) => each.id === state.trial);
  while (wanted >= drawn) draw();
  return [list, more];
}

function row(each) {
  const extra = [];
  if (each.attempts > 1) extra.push(h("span", { class: "flaky" }, `↻ ${each.attempts} attempts`));
  if (each.matches.length) extra.push(counted(each.matches.length, "provider call"));
  if (totalTokens(each)) extra.push(counted(totalTokens(each), "token"));
  const isOpen = each.id === state.trial;
  const item = h("div", { class: "trial" });
  const button = h(
    "button",
    { type: "button", "aria-expanded": "false", "data-id": each.id },
    h("span", { class: `glyph ${each.outcome}`, role: "img", "aria-label": each.outcome, title: each.outcome }, GLYPHS[each.outcome]),
    h("span", { class: "name", title: each.id }, title(each)),
    h("span", { class: "extra" }, extra.map((part, at) => [at ? " · " : "", part])),
    h("span", { class: "time" }, seconds(each.seconds)),
    each.reason && h("span", { class: "why" }, each.reason),
  );
  button.addEventListener("click", () => toggle(item, button, each));
  item.append(button);
  if (isOpen) open(item, button, each);
  return item;
}

function open(item, button, each) {
  item.classList.add("open");
  button.setAttribute("aria-expanded", "true");
  item.append(detail(each));
}

function toggle(item, button, each) {
  const isOpen = item.classList.contains("open");
  if (isOpen) {
    item.classList.remove("open");
    button.setAttribute("aria-expanded", "false");
    item.lastChild.remove();
  } else {
    open(item, button, each);
  }
  remember({ trial: isOpen ? "" : each.id });
}

// Cases against setups, clients and models; the rows of a case share a cell.
function gridView(trials) {
  if (!trials.length) return h("p", { class: "empty" }, "No trial matches.");
  const columns = [...new Set(trials.map(column))].sort();
  const head = columns.map((name) => h("th", { scope: "col" }, name || "no parameter"));
  const body = [];
  for (const [file, inFile] of groups(trials, (each) => each.file)) {
    const passed = inFile.filter((each) => each.outcome === "passed" || each.outcome === "xpassed").length;
    const ran = inFile.filter((each) => each.outcome !== "skipped").length;
    const sum = h("th", { class: "number", colspan: columns.length }, `${passed} of ${ran} passed`);
    body.push(h("tr", { class: "group" }, h("th", { scope: "rowgroup" }, file || "cases"), sum));
    for (const [name, cases] of groups(inFile, (each) => each.name)) {
      const cells = groups(cases, column);
      const tds = columns.map((key) => h("td", {}, (cells.get(key) || []).map(cell)));
      body.push(h("tr", {}, h("th", { scope: "row" }, name), tds));
    }
  }
  const grid = h("table", { class: "grid" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "case"), head)), h("tbody", {}, body));
  return h("div", { class: "scroll" }, rover(grid, ".cell"));
}

function cell(each) {
  const words = `${each.outcome}: ${each.id}${each.reason ? `\n${each.reason}` : ""}`;
  const properties = { type: "button", class: `cell ${each.outcome}`, tabindex: "-1", title: words, "aria-label": words, onclick: () => show(each) };
  const glyph = each.flaky ? "↻" : each.outcome === "passed" || each.outcome === "skipped" ? "" : GLYPHS[each.outcome];
  return h("button", properties, h("span", { "aria-hidden": "true" }, glyph));
}

// One tab stop for many buttons: arrows move between them.
function rover(parent, selector) {
  const all = [...parent.querySelectorAll(selector)];
  if (all.length) all[0].tabIndex = 0;
  parent.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = at + ({ ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key] || 0);
    if (at < 0 || to === at || !all[to]) return;
    event.preventDefault();
    event.stopPropagation();
    all[at].tabIndex = -1;
    all[to].tabIndex = 0;
    all[to].focus();
  });
  return parent;
}

function link(each) {
  return h("button", { type: "button", class: "link", onclick: () => show(each) }, [each.file, each.name].filter(Boolean).join(" › "), tags(each).map((text) => h("span", { class: "tag" }, text)));
}

function reasonsView(trials) {
  const held = trials.filter((each) => ["skipped", "quarantined", "xfailed", "xpassed"].includes(each.outcome));
  if (!held.length) return h("p", { class: "empty" }, "Nothing was skipped or expected to fail.");
  const by = [...groups(held, (each) => `${each.outcome}\n${each.reason}`)].sort((a, b) => b[1].length - a[1].length);
  const rows = by.map(([key, found]) => [
    number(found.length),
    h("span", { class: found[0].outcome }, found[0].outcome),
    h("details", {}, h("summary", {}, key.slice(key.indexOf("\n") + 1)), h("ul", {}, found.map((each) => h("li", {}, link(each))))),
  ]);
  return table([{ title: "trials", number: true }, { title: "outcome" }, { title: "reason" }], rows);
}
