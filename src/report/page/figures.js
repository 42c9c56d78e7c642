// Times, providers and earlier results, in tables.

const LONGEST = 25;

function timesView(trials) {
  const slow = [...trials].sort((a, b) => b.seconds - a.seconds).slice(0, LONGEST);
  const requests = trials.flatMap((each) => each.requests.map((request) => ({ ...request, endpoint: `${request.method} ${shape(request.path)}` })));
  return [
    h("h2", {}, "Slowest trials"),
    h("div", { class: "long" }, slow.length ? slowest(slow) : h("p", { class: "empty" }, "No trial matches.")),
    h("h2", {}, "Requests to the stack"),
    byEndpoint(requests),
    h("h2", {}, "Streams"),
    streams(requests.filter((request) => request.chunks)),
  ];
}

function slowest(trials) {
  const rows = trials.map((each) => [
    link(each),
    h("div", { class: "meter" }, h("i", { "width%": (each.seconds / SLOWEST) * 100 })),
    seconds(each.seconds),
    number(each.requests.length + (each.more_requests || 0)),
    number(each.matches.length),
  ]);
  const numbers = ["time", "requests", "provider calls"].map((name) => ({ title: name, number: true }));
  return table([{ title: "trial" }, { title: "" }, ...numbers], rows);
}

// A path without its query, and with ids made equal, so that requests of one endpoint come together.
function shape(path) {
  const parts = path.split("?")[0].split("/");
  return parts.map((part) => (part && !/^(v\d+(alpha|beta)?|[a-z][a-z_-]*)$/.test(part) ? "{id}" : part)).join("/");
}

function sorted(items, value) {
  return items.map(value).filter((each) => each !== undefined).sort((a, b) => a - b);
}

function byEndpoint(requests) {
  if (!requests.length) return h("p", { class: "note" }, "None are known.");
  const rows = [...groups(requests, (request) => request.endpoint)]
    .map(([endpoint, all]) => ({ endpoint, times: sorted(all, (request) => request.seconds), all }))
    .sort((a, b) => b.times.at(-1) - a.times.at(-1))
    .map(({ endpoint, times, all }) => [
      h("code", {}, endpoint),
      number(all.length),
      seconds(median(times)),
      seconds(quantile(times, 0.95)),
      seconds(times.at(-1)),
      bytes(all.reduce((sum, request) => sum + request.bytes, 0)),
    ]);
  const numbers = ["requests", "median", "95 % within", "slowest", "received"].map((name) => ({ title: name, number: true }));
  return table([{ title: "endpoint" }, ...numbers], rows);
}

function streams(requests) {
  if (!requests.length) return h("p", { class: "note" }, "No answer was a stream.");
  const rows = [...groups(requests, (request) => request.endpoint)].map(([endpoint, all]) => {
    const first = sorted(all, (request) => request.first_byte);
    const longest = sorted(all, (request) => request.largest_gap);
    return [
      h("code", {}, endpoint),
      number(all.length),
      number(all.reduce((sum, request) => sum + request.chunks, 0)),
      seconds(median(first)),
      seconds(first.at(-1)),
      longest.length ? seconds(longest.at(-1)) : "",
    ];
  });
  const numbers = ["streams", "chunks", "first chunk, median", "first chunk, slowest", "longest gap"].map((name) => ({ title: name, number: true }));
  return table([{ title: "endpoint" }, ...numbers], rows);
}

function providersView(trials) {
  if (!PROVIDERS.length) return h("p", { class: "empty" }, "No request to a provider was seen.");
  return [
    h("h2", {}, "What works with which provider"),
    h("p", { class: "note" }, "Trials that asked a provider, by file of cases: passed of those that ran."),
    capabilities(trials),
    h("h2", {}, "Requests and tokens"),
    h("p", { class: "note" }, "As the providers counted them, now or when their answers were recorded; with requests that belong to no trial. A cost is what the tokens cost, or would have where a recording answered."),
    usage([...trials.flatMap((each) => each.matches), ...END.matches]),
  ];
}

function capabilities(trials) {
  const ran = trials.filter((each) => each.outcome !== "skipped" && each.matches.length);
  const files = [...groups(ran, (each) => each.file)].sort((a, b) => a[0].localeCompare(b[0]));
  const rows = files.map(([file, all]) => [
    file,
    ...PROVIDERS.map((provider) => {
      const asked = all.filter((each) => each.matches.some((used) => used.provider === provider));
      const passed = asked.filter((each) => each.outcome === "passed" || each.outcome === "xpassed").length;
      if (!asked.length) return "";
      const isBad = asked.some((each) => ["failed", "broken"].includes(each.outcome));
      const word = isBad ? "failed" : passed < asked.length ? "xfailed" : "passed";
      return h("span", { class: word }, `${GLYPHS[word]} ${passed}/${asked.length}`);
    }),
  ]);
  return h("div", { class: "narrow" }, table([{ title: "cases" }, ...PROVIDERS.map((provider) => ({ title: provider, number: true }))], rows));
}

function usage(uses) {
  const prices = RUN.prices || {};
  const priced = Object.keys(prices).length > 0;
  const rows = [...groups(uses, (used) => `${used.provider}\n${used.model || ""}\n${used.endpoint}`)].sort((a, b) => a[0].localeCompare(b[0])).map(([key, all]) => {
    const [provider, model, endpoint] = key.split("\n");
    const sum = (name) => all.reduce((total, used) => total + (used.tokens ? used.tokens[name] : 0), 0);
    const replayed = all.filter((used) => used.file && used.tier !== "recorded").length;
    const missed = all.filter((used) => used.tier === "miss").length;
    const cells = [number(all.length), number(replayed), h("span", { class: missed > 0 && "failed" }, number(missed))];
    const price = prices[`${provider}/${model}`];
    const cost = price ? `$${((sum("prompt") * price.prompt + sum("completion") * price.completion) / 1e6).toFixed(4)}` : "";
    return [provider, model, h("code", {}, endpoint), ...cells, number(sum("prompt")), number(sum("completion")), number(sum("total")), ...(priced ? [cost] : [])];
  });
  const numbers = ["requests", "replayed", "missed", "prompt tokens", "answer tokens", "all tokens", ...(priced ? ["cost"] : [])].map((name) => ({ title: name, number: true }));
  return table([{ title: "provider" }, { title: "model" }, { title: "endpoint" }, ...numbers], rows);
}

// How steady a trial was: 0 where it always ended alike at its first attempt.
function unsteadiness(each) {
  const results = each.history.map((past) => past.outcome);
  const changes = results.slice(1).filter((outcome, at) => outcome !== results[at]).length;
  return changes + each.history.filter((past) => past.attempts > 1).length + (each.flaky ? 1 : 0);
}

function historyView(trials) {
  const known = trials.filter((each) => each.history.length > 1);
  const unsteady = trials.filter(unsteadiness).sort((a, b) => unsteadiness(b) - unsteadiness(a));
  if (!known.length && !unsteady.length) {
    return h("p", { class: "empty" }, "No earlier result is known: the history lies in the state directory of the machine that runs, and a merged report has none.");
  }
  const rows = unsteady.map((each) => [link(each), strip(each) || "", number(unsteadiness(each)), counted(each.attempts, "attempt")]);
  const columns = [{ title: "trial" }, { title: "earlier results, the latest last" }, { title: "changes and retries", number: true }, { title: "now" }];
  return [
    h("p", { class: "note" }, `${counted(known.length, "trial")} ran before with this setup and target; ${number(unsteady.length)} did not always end alike at the first attempt.`),
    unsteady.length ? table(columns, rows) : h("p", { class: "empty" }, "All of them always ended alike."),
  ];
}
