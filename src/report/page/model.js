// The run as the views need it, made once from the events' JSON.

const DATA = JSON.parse(document.getElementById("data").textContent);
const RUN = DATA.run;
const END = DATA.end;
const TRIALS = DATA.trials.map(trial);
const BY_ID = new Map(TRIALS.map((each) => [each.id, each]));

function trial(event) {
  // Runs of several setups, merged, put `suite@setup/` before the id.
  const setup = /^([^/:]*@[^/:]*)\//.exec(event.id);
  const rest = setup ? event.id.slice(setup[0].length) : event.id;
  const [file, name] = rest.includes("::") ? [rest.slice(0, rest.indexOf("::")), rest.slice(rest.indexOf("::") + 2)] : ["", rest];
  const plain = event.id.replace(/#\d+$/, "");
  const label = Object.values(event.axes).length ? name.replace(/\[.*$/s, "") : name.replace(/#\d+$/, "");
  return {
    ...event,
    file,
    name: label,
    round: event.id.slice(plain.length),
    setup: setup ? setup[1] : null,
    history: DATA.history[plain] || [],
    flaky: event.outcome === "passed" && event.attempts > 1,
    words: `${event.id} ${event.reason || ""} ${event.upstream || ""} ${event.matches.map((used) => used.provider).join(" ")}`.toLowerCase(),
  };
}

// Parameters that have more than one value in this run tell trials apart; the others are the same for all.
const VARYING = (() => {
  const values = new Map();
  for (const each of TRIALS) {
    for (const [axis, value] of Object.entries(each.axes)) {
      if (!values.has(axis)) values.set(axis, new Set());
      values.get(axis).add(value);
    }
  }
  return [...values].filter(([, known]) => known.size > 1).map(([axis]) => axis);
})();

// Where a trial stands in the grid: its setup, client and models, as far as they differ within the run.
function column(each) {
  const axes = VARYING.filter((axis) => axis !== "row" && each.axes[axis] !== undefined);
  return [each.setup, ...axes.map((axis) => (axis === "client" ? each.axes[axis] : `${axis}=${each.axes[axis]}`))]
    .filter(Boolean)
    .join(" · ");
}

function tags(each) {
  const axes = Object.entries(each.axes).filter(([axis]) => VARYING.includes(axis) || axis === "row");
  const shown = axes.map(([axis, value]) => (axis === "client" || axis === "row" ? value : `${axis}=${value}`));
  return [each.setup, ...shown, each.round].filter(Boolean);
}

function title(each) {
  const shown = tags(each).map((text) => h("span", { class: "tag" }, text));
  return [each.file && h("span", { class: "file" }, each.file), each.name, shown];
}

function totalTokens(each) {
  return each.tokens ? each.tokens.total : 0;
}

const PROVIDERS = [...new Set(TRIALS.flatMap((each) => each.matches.map((used) => used.provider)))].sort();
const SLOWEST = TRIALS.reduce((most, each) => Math.max(most, each.seconds), 0) || 1;
