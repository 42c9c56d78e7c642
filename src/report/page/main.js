// The page: head, tabs, filters, and what is remembered in the address.

const VIEWS = {
  trials: { title: "Trials", draw: trialsView },
  grid: { title: "Grid", draw: gridView },
  times: { title: "Times", draw: timesView },
  providers: { title: "Providers", draw: providersView },
  history: { title: "History", draw: historyView, count: () => TRIALS.filter(unsteadiness).length },
  reasons: { title: "Skips", draw: reasonsView },
};
const SORTS = {
  worst: ["worst first", (a, b) => OUTCOMES.indexOf(a.outcome) - OUTCOMES.indexOf(b.outcome)],
  name: ["by name", () => 0],
  slowest: ["slowest first", (a, b) => b.seconds - a.seconds],
  tokens: ["most tokens first", (a, b) => totalTokens(b) - totalTokens(a)],
};
const state = { view: "trials", query: "", outcomes: [], sort: "worst", provider: "", trial: "" };
const at = (id) => document.getElementById(id);

function remember(change) {
  Object.assign(state, change);
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value.length && value !== "trials" && value !== "worst") kept.set(name, String(value));
  try {
    history.replaceState(null, "", `#${kept}`);
  } catch {
    // A page in a sandboxed frame has no address to keep it in.
  }
}

function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(state)) state[name] = kept.get(name) ?? { view: "trials", sort: "worst" }[name] ?? "";
  state.outcomes = state.outcomes ? state.outcomes.split(",").filter((outcome) => OUTCOMES.includes(outcome)) : [];
  if (!VIEWS[state.view]) state.view = "trials";
  if (!SORTS[state.sort]) state.sort = "worst";
}

function selected(withOutcomes = true) {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const lets = (each) =>
    words.every((word) => each.words.includes(word)) &&
    (!state.provider || each.matches.some((used) => used.provider === state.provider)) &&
    (!withOutcomes || !state.outcomes.length || state.outcomes.includes(each.outcome));
  return TRIALS.filter(lets).sort(SORTS[state.sort][1]);
}

function head() {
  const name = [RUN.suite || "all cases", RUN.setup && h("span", { class: "dim" }, ` with ${RUN.setup}`)];
  const words = ["passed", ...OUTCOMES.filter((outcome) => outcome !== "passed")].map((outcome) => [outcome, END[outcome]]).filter(([outcome, count]) => count || outcome === "passed" || outcome === "failed");
  const flaky = END.flaky ? [["flaky", END.flaky]] : [];
  const rest = END.not_run ? [["skipped", END.not_run, "not run"]] : [];
  const counts = [...words, ...flaky, ...rest].map(([kind, count, word]) => h("span", { class: kind }, h("b", {}, number(count)), word || kind));
  const took = h("span", { class: "took" }, `${END.interrupted ? "interrupted after" : "in"} ${seconds(END.seconds)}`);
  const bar = words.filter(([, count]) => count).map(([kind, count]) => h("i", { class: kind, "width%": (count / Math.max(1, TRIALS.length)) * 100 }));
  const pairs = [["target", RUN.target], ["mode", RUN.mode], ["started", RUN.started.slice(0, 19).replace("T", " ") + " UTC"], ["jobs", String(RUN.jobs)]];
  for (const [param, values] of Object.entries(RUN.params)) if (values.length) pairs.push([param, values.join(", ")]);
  if (RUN.seed) pairs.push(["seed", String(RUN.seed)]);
  if (RUN.shard) pairs.push(["shard", `${RUN.shard.index} of ${RUN.shard.count}`]);
  if (END.forwarded.requests) pairs.push(["sent to providers", `${counted(END.forwarded.requests, "request")}, ${counted(END.forwarded.tokens.total, "token")}`]);
  at("head").append(
    h("h1", {}, name),
    h("div", { class: "counts" }, counts, took),
    h("div", { class: "bar", "aria-hidden": "true" }, bar),
    h("dl", { class: "facts" }, pairs.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value)))),
    ...alerts(),
  );
}

// What went wrong outside of any trial.
function alerts() {
  const alert = (title, text) => h("div", { class: "alert", role: "note" }, title, h("pre", {}, text));
  return [
    END.stray_misses.length > 0 && alert("Replay misses outside any trial", END.stray_misses.join("\n\n")),
    END.unclean.length > 0 && alert("Not taken down", END.unclean.map((each) => each.title).join("\n")),
    END.recordings.unmet.length > 0 && alert("Recordings", END.recordings.unmet.join("\n")),
  ].filter(Boolean);
}

function tools() {
  const search = h("input", { type: "search", id: "query", placeholder: "Search ids, reasons, providers", "aria-label": "Search", autocomplete: "off" });
  search.value = state.query;
  search.addEventListener("input", () => (remember({ query: search.value }), draw()));
  const all = selected(false);
  const chips = OUTCOMES.map((outcome) => [outcome, TRIALS.some((each) => each.outcome === outcome)]).filter(([, exists]) => exists);
  const choose = (label, name, options) => {
    const picker = h("select", { "aria-label": label, id: name }, options.map(([value, text]) => h("option", { value }, text)));
    picker.value = state[name];
    picker.addEventListener("change", () => (remember({ [name]: picker.value }), draw()));
    return picker;
  };
  at("tools").replaceChildren(
    search,
    ...chips.map(([outcome]) => chip(outcome, all)),
    ...(PROVIDERS.length > 1 ? [choose("Provider", "provider", [["", "all providers"], ...PROVIDERS.map((name) => [name, name])])] : []),
    choose("Order", "sort", Object.entries(SORTS).map(([value, [text]]) => [value, text])),
    h("span", { id: "shown", role: "status" }),
  );
}

function chip(outcome, all) {
  const pressed = () => state.outcomes.includes(outcome);
  const button = h("button", { type: "button", class: `chip ${outcome}`, id: `only-${outcome}`, "aria-pressed": String(pressed()) });
  button.append(h("b", {}, `${GLYPHS[outcome]} ${number(all.filter((each) => each.outcome === outcome).length)} `), h("span", {}, outcome));
  button.addEventListener("click", () => {
    remember({ outcomes: pressed() ? state.outcomes.filter((each) => each !== outcome) : [...state.outcomes, outcome] });
    button.setAttribute("aria-pressed", String(pressed()));
    draw();
  });
  return button;
}

function tabs() {
  const buttons = Object.entries(VIEWS).map(([name, view]) => {
    const count = view.count ? view.count() : 0;
    const properties = { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "view", "aria-selected": String(name === state.view), tabindex: name === state.view ? 0 : -1 };
    return h("button", { ...properties, onclick: () => turn(name) }, view.title, count > 0 && h("small", {}, number(count)));
  });
  at("tabs").replaceChildren(...buttons);
}

function turn(view) {
  remember({ view });
  tabs();
  draw();
}

function draw() {
  const found = selected();
  const all = selected(false);
  for (const outcome of OUTCOMES) {
    const count = at(`only-${outcome}`)?.firstChild;
    if (count) count.textContent = `${GLYPHS[outcome]} ${number(all.filter((each) => each.outcome === outcome).length)} `;
  }
  at("shown").textContent = `${number(found.length)} of ${counted(TRIALS.length, "trial")}`;
  at("view").setAttribute("aria-labelledby", `tab-${state.view}`);
  at("view").replaceChildren(...[VIEWS[state.view].draw(found)].flat(Infinity).filter(Boolean));
}

// Opens a trial in the list, wherever it was seen.
function show(each) {
  const hidden = !selected().includes(each);
  remember({ view: "trials", trial: each.id, ...(hidden ? { query: "", outcomes: [], provider: "" } : {}) });
  tabs();
  tools();
  draw();
  reveal();
}

function reveal() {
  const button = state.trial && document.querySelector(`[data-id="${CSS.escape(state.trial)}"]`);
  if (!button) return;
  button.scrollIntoView({ block: "center" });
  button.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  const inField = event.target.matches("input, select");
  if (event.key === "/" && !inField && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    at("query").focus();
  } else if (event.key === "Escape" && state.query) {
    remember({ query: "" });
    tools();
    draw();
  } else if (event.target.matches("[role=tab]") && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
    const names = Object.keys(VIEWS);
    const to = names[names.indexOf(state.view) + (event.key === "ArrowRight" ? 1 : -1)];
    if (to) (turn(to), at(`tab-${to}`).focus());
  } else if (["ArrowDown", "ArrowUp"].includes(event.key) && event.target.matches(".trial > button, #query")) {
    const all = [...document.querySelectorAll(".trial > button")];
    const to = all[all.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)];
    if (to) (event.preventDefault(), to.focus());
  }
});
at("tools").addEventListener("submit", (event) => event.preventDefault());

recall();
head();
tabs();
tools();
draw();
reveal();
addEventListener("hashchange", () => (recall(), tabs(), tools(), draw(), reveal()));
