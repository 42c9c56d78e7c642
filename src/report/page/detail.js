// One trial, opened: why it ended so, what went over the wire and when, and how it ended before.

function detail(each) {
  return h(
    "div",
    { class: "detail", role: "region", "aria-label": each.id },
    facts(each),
    each.failures.map(failure),
    section("Requests", waterfall(each)),
    section("Provider traffic", traffic(each)),
    section("Earlier results, this one last", strip(each)),
    section("Run it", command(each)),
  );
}

function section(name, content) {
  return content ? [h("h3", {}, name), content] : null;
}

function facts(each) {
  const pairs = [["at", h("code", {}, each.place)]];
  if (each.upstream) pairs.push(["upstream", h("code", {}, each.upstream)]);
  for (const [axis, value] of Object.entries(each.axes)) pairs.push([axis, value]);
  if (each.attempts > 1) pairs.push(["attempts", String(each.attempts)]);
  if (each.tokens) pairs.push(["tokens", `${number(each.tokens.prompt)} in, ${number(each.tokens.completion)} out`]);
  for (const entry of each.listed || []) pairs.push([entry.kind, [h("code", {}, entry.place), ` ${entry.because}`]]);
  const reason = each.reason && !each.failures.length ? h("p", {}, each.reason) : null;
  return [h("dl", { class: "facts" }, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))), reason];
}

function failure(each) {
  const place = each.place ? h("code", {}, `${each.place}  `) : null;
  return h(
    "div",
    { class: "failure" },
    h("p", {}, place, each.title),
    each.excerpt && block("the case", excerpt(each.excerpt)),
    each.detail && block(/^difference/m.test(each.detail) ? "difference" : "detail", difference(each.detail), { wrap: true }),
    each.curl && block("request", each.curl, { copy: each.curl }),
    each.answer && block("answer", pretty(each.answer), { wrap: true }),
  );
}

// Numbered lines of YAML, of which the first is the one that failed.
function excerpt(text) {
  return text.split("\n").map((line, at) => {
    const [, gutter, code] = /^(\s*\d+ \|)(.*)$/.exec(line) || [null, "", line];
    return h("span", { class: at === 0 ? "line at" : "line" }, h("span", { class: "gutter" }, gutter), code);
  });
}

function difference(text) {
  let within = false;
  return text.split("\n").map((line) => {
    within = within || line.startsWith("difference");
    const kind = within && line.startsWith("+") ? "line add" : within && line.startsWith("-") ? "line del" : "line";
    return h("span", { class: kind }, line);
  });
}

// An answer whose body is whole JSON is easier to read with line breaks.
function pretty(answer) {
  const cut = answer.indexOf("\n");
  try {
    return `${answer.slice(0, cut)}\n${JSON.stringify(JSON.parse(answer.slice(cut + 1)), null, 2)}`;
  } catch {
    return answer;
  }
}

function traffic(each) {
  if (!each.matches.length) return null;
  const columns = ["provider", "endpoint", "model", "status", "answered", "recording"].map((name) => ({ title: name }));
  columns.push({ title: "tokens", number: true }, { title: "time", number: true });
  const rows = each.matches.map((used) => [
    used.provider,
    [h("code", {}, used.endpoint), used.request && asked(used.request)],
    used.model || "",
    used.status ? String(used.status) : "reset",
    h("span", { class: used.tier === "miss" || used.tier === "failed" ? "failed" : false }, used.tier),
    used.file ? h("code", {}, used.file) : "",
    used.tokens ? `${number(used.tokens.prompt)} + ${number(used.tokens.completion)}` : "",
    seconds(used.seconds),
  ]);
  return table(columns, rows);
}

function asked(request) {
  return h("details", {}, h("summary", {}, "what was asked"), block(`${request.method} ${request.path}`, JSON.stringify(request.body, null, 2)));
}

function strip(each) {
  if (each.history.length < 2) return null;
  const bars = each.history.map((past) =>
    h("i", { class: `${past.outcome}${past.attempts > 1 ? " again" : ""}`, title: `${past.at.slice(0, 19).replace("T", " ")}: ${past.outcome}, ${seconds(past.seconds)}` }),
  );
  const counts = OUTCOMES.map((outcome) => [outcome, each.history.filter((past) => past.outcome === outcome).length]);
  const words = counts.filter(([, count]) => count).map(([outcome, count]) => `${count} ${outcome}`).join(", ");
  return h("div", {}, h("span", { class: "strip", role: "img", "aria-label": words }, bars), " ", h("span", { class: "dim" }, words));
}

function command(each) {
  const plain = each.setup ? each.id.slice(each.setup.length + 1) : each.id;
  const setup = each.setup ? each.setup.split("@")[1] : RUN.setup;
  const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const words = ["runner", quote(plain.replace(/#\d+$/, "")), setup && `--setup=${quote(setup)}`, RUN.mode !== "replay" && `--inference-mode=${RUN.mode}`];
  if (RUN.target !== "starter") words.push(`--stack-config=${quote(RUN.target)}`);
  const text = words.filter(Boolean).join(" ");
  return block("command", text, { copy: text, wrap: true });
}
