// A trial's requests over time: when each was sent, when its answer began, every chunk of a stream; and below them what the stack
// asked its providers meanwhile.

const WIDTH = 1000;

function lanes(each) {
  const asked = each.requests.map((request) => ({ ...request, side: "stack" }));
  const below = each.matches.filter((used) => used.at !== null).map((used) => ({ ...used, side: "provider" }));
  // A request to the stack begins before what it causes, whatever the clocks say.
  return [...asked, ...below].sort((a, b) => a.at - b.at || (a.side === "stack" ? -1 : 1));
}

function waterfall(each) {
  const all = lanes(each);
  if (!all.length) return null;
  const end = all.reduce((most, lane) => Math.max(most, lane.at + lane.seconds), 0) || 0.001;
  const left = each.more_requests ? h("p", { class: "dim" }, `${counted(each.more_requests, "later request")} left out.`) : null;
  const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => h("span", {}, share ? seconds(end * share) : "0"));
  const axis = h("div", { class: "lane", "aria-hidden": "true" }, h("span", {}), h("div", { class: "axis" }, marks), h("span", {}));
  return h("div", { class: "waterfall" }, all.map((lane) => drawn(lane, end)), axis, legend(all), left);
}

function drawn(lane, end) {
  const at = (time) => (time / end) * WIDTH;
  const rect = (from, to, kind) => svg("rect", { x: at(from), y: 3, width: Math.max(at(to - from), 2), height: 10, rx: 1, class: kind });
  const until = lane.at + lane.seconds;
  const parts = [svg("line", { x1: 0, x2: WIDTH, y1: 15.5, y2: 15.5, class: "edge" })];
  if (lane.side === "provider") {
    parts.push(rect(lane.at, until, "provider"));
  } else if (lane.first_byte === undefined) {
    parts.push(rect(lane.at, until, lane.status === null ? "none" : "wait"));
  } else {
    parts.push(rect(lane.at, lane.at + lane.first_byte, "wait"), rect(lane.at + lane.first_byte, until, "body"));
    if (lane.chunks > 1) {
      const ticks = lane.arrivals.map((arrival) => `M${at(lane.at + arrival).toFixed(2)} 3V13`).join("");
      parts.push(svg("path", { d: ticks, class: "tick" }));
    }
  }
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} 16`, preserveAspectRatio: "none", role: "img", "aria-label": spoken(lane) }, parts);
  return h("div", { class: "lane" }, label(lane), picture, h("span", { class: "number" }, seconds(lane.seconds)), streamFacts(lane));
}

function label(lane) {
  const isBad = lane.status === null || lane.status === 0 || lane.status >= 400;
  const status = lane.status ? String(lane.status) : "no answer";
  const path = lane.side === "provider" ? `${lane.provider} ${lane.endpoint}` : lane.path;
  const text = [h("span", { class: isBad ? "bad" : "method" }, `${status} `)];
  if (lane.side === "stack") text.push(h("span", { class: "method" }, `${lane.method} `));
  return h("span", { class: lane.side === "provider" ? "what below" : "what", title: `${path}\n${lane.place || lane.tier}` }, text, path);
}

function streamFacts(lane) {
  if (lane.side !== "stack" || !lane.chunks) return null;
  const facts = [`first chunk after ${seconds(lane.first_byte)}`, counted(lane.chunks, "chunk")];
  if (lane.largest_gap !== undefined) facts.push(`longest gap ${seconds(lane.largest_gap)}`);
  const steady = lane.arrivals.length > 2 ? median(gaps(lane.arrivals)) : undefined;
  if (steady !== undefined && lane.arrivals.length === lane.chunks) facts.push(`median gap ${seconds(steady)}`);
  return h("span", { class: "facts-of-stream" }, facts.join(" · "));
}

function gaps(arrivals) {
  return arrivals.slice(1).map((time, at) => time - arrivals[at]).sort((a, b) => a - b);
}

function spoken(lane) {
  return `sent after ${seconds(lane.at)}, took ${seconds(lane.seconds)}`;
}

function legend(all) {
  const key = (kind, text) => h("span", {}, h("i", { class: kind }), text);
  const keys = [key("l-wait", "until the first byte"), key("l-body", "answer; a line for each chunk of a stream")];
  if (all.some((lane) => lane.side === "provider")) keys.push(key("l-provider", "the stack's request to a provider"));
  return h("div", { class: "legend" }, keys);
}
