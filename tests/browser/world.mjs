// What the pages are looked at with: a server on which something of everything happened, and hostile words in all of it.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { brief, hostile } from "./hostile.mjs";
import { provider } from "./provider.mjs";
import { Server } from "./server.mjs";

const ROLLOUT = `
[rollout]
steps = [{ shadow = { percent = 50, min_runs = 1 } }, { canary = { percent = 50, min_runs = 400 } }, { approve = {} }]
[[rollout.guardrails]]
metric = "error_rate"
[[rollout.guardrails]]
metric = "latency"
quantile = 0.95
margin = "20%"
on_breach = "freeze"
`;

/// The files of the agents; the world's folder is applied twice, with another prompt each time.
const files = (provider, prompt) => ({
  "pinrail.toml": `[providers.sim]\nbase_url = "sim:"\ncatalogue = "sim"\n[providers.other]\nbase_url = "${provider}"\ncatalogue = "sim"\n`,
  "agents/support/agent.toml": `description = "Answers customers"\njournal.bodies = "full"\n[[segments]]\nname = "gold"\ntenants = ["acme"]\n[gate]\nrepeats = 2\n[drift]\non_finding = "alert"\n${ROLLOUT}`,
  "agents/support/release.toml": `[model]\nprovider = "other"\nsnapshot = "sim-1-2026-06-01"\n[prompt]\nsystem = "system.md"\n[tools]\nschema = "tools.json"\nside_effects = ["issue_refund"]\n[state]\nmemory = { schema = "chat/v1" }\ncontext = { protocol = 1 }\n`,
  "agents/support/system.md": prompt,
  "agents/support/tools.json": JSON.stringify([tool("look_up", "Looks an order up"), tool("issue_refund", hostile("a tool's description"))]),
  "agents/support/evals/sums.yaml": `kind: success\nprompts: ["What is {{ a }} + {{ b }}?"]\ntests:\n${[3, 4, 5, 6].map((a) => `  - description: ${JSON.stringify(hostile(`case ${a}`))}\n    vars: { a: ${a}, b: 4 }\n    assert: [{ type: contains, value: "${a + 4}" }]\n`).join("")}`,
  "agents/planner/agent.toml": `description = ${JSON.stringify(hostile("a description"))}\ntier = "throwaway"\njournal.bodies = "full"\n`,
  "agents/planner/release.toml": `[model]\nprovider = "sim"\nsnapshot = "sim-2-2026-09-01"\n[prompt]\nsystem = "system.md"\n[state]\ncontext = { protocol = 1 }\n`,
  "agents/planner/system.md": `Plan. ${prompt}`,
});

const tool = (name, description) => ({
  type: "function",
  function: { name, description, parameters: { type: "object", properties: { order: { type: "string" } } } },
});

/// What the other provider says: hostile words, a tool's call, an error, or the answer of another model.
function answer(asked) {
  const question = asked.messages.at(-1).content ?? "";
  if (question.includes("refund")) return { tool: { name: "issue_refund", arguments: { order: hostile("an argument") } } };
  if (question.includes("fail")) return { status: 500, text: hostile("a provider's error") };
  if (question.includes("who are you")) return { model: "sim-2-2026-09-01", text: "Somebody else." };
  const sum = /(\d+) \+ (\d+)/.exec(question);
  if (sum) return { text: `${sum[0]} is ${Number(sum[1]) + Number(sum[2])}` };
  return { text: hostile("an answer") };
}

/// Writes files into a folder.
export async function write(dir, files) {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  }
}

/// Asks an agent something, as an application does; gives the answer's headers beside it.
export async function ask(server, agent, question, { session, tenant, run } = {}) {
  const headers = { "content-type": "application/json" };
  for (const [name, value] of Object.entries({ session, tenant, run })) if (value) headers[`x-pinrail-${name}`] = value;
  if (server.token) headers.authorization = `Bearer ${server.token}`;
  const body = JSON.stringify({ model: agent, messages: [{ role: "user", content: question }] });
  const response = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", headers, body });
  return { status: response.status, answer: await response.json(), run: response.headers.get("x-pinrail-run"), deployment: Number(response.headers.get("x-pinrail-deployment")) };
}

/// The ids of an agent's releases, oldest first.
export async function releases(server, agent) {
  const { items } = await server.get(`/api/v1/releases?agent=${agent}`);
  return items.map((item) => item.release).reverse();
}

/// Opens a deployment; gives its number.
export async function deploy(server, agent, release, how = { now: true }) {
  const { deployment } = await server.post("/api/v1/deployments", { releases: { [agent]: release }, reason: hostile("a reason"), ...how });
  return deployment;
}

/// A server on which something of everything happened. What pages need to be found is in it, by name.
export async function world() {
  const other = await provider(answer);
  const folder = await mkdtemp(join(tmpdir(), "pinrail-world-"));
  const server = await Server.start();
  const it = { server, folder, stop: async () => { await server.stop(); await other.stop(); await rm(folder, { recursive: true, force: true }); } };
  try {
    await write(folder, files(other.url, `Be kind.\nSay where the parcel is.\n${hostile("a prompt")}`));
    await server.cli("apply", "-f", folder);
    await write(folder, files(other.url, `Be very kind.\nSay when the parcel comes.\n${hostile("another prompt")}`));
    await server.cli("apply", "-f", folder);
    await deployments(it);
    await state(it);
    await operations(it);
    return it;
  } catch (error) {
    await it.stop();
    throw error;
  }
}

/// Releases in service, a rollout under way, one taken back, and runs on all of them.
async function deployments(it) {
  const { server } = it;
  it.releases = { support: await releases(server, "support"), planner: await releases(server, "planner") };
  it.active = await deploy(server, "support", it.releases.support[0]);
  it.planner = await deploy(server, "planner", it.releases.planner[0]);
  const asks = async (count, name) => {
    const sessions = Array.from({ length: count }, (_, n) => `${name}-${n}`);
    return Promise.all(sessions.map((session) => ask(server, "support", hostile("a question"), { session, tenant: "initech" })));
  };
  await asks(6, "before");
  it.taken = await deploy(server, "planner", it.releases.planner[1], { weight: 5000 });
  const planned = await Promise.all(Array.from({ length: 8 }, (_, n) => ask(server, "planner", `What is ${n} + 4?`, { session: `plan-${n}` })));
  it.plannedRun = planned.find(({ deployment }) => deployment === it.taken)?.run ?? planned[0].run;
  it.gate = (await server.post("/api/v1/gates", { agent: "support", candidate: it.releases.support[1], reason: hostile("a gate's reason") })).gates[0].gate;
  it.candidate = await deploy(server, "support", it.releases.support[1], { rollout: true });
  const asked = await asks(30, "since");
  await until(async () => (await server.get(`/api/v1/deployments/${it.candidate}/rollout`)).step === 2, "the rollout's canary");
  asked.push(...(await asks(30, "canary")));
  it.run = asked.find(({ deployment }) => deployment === it.candidate)?.run;
  it.incumbentRun = asked.find(({ deployment }) => deployment === it.active).run;
  it.run ??= it.incumbentRun;
  const ended = await ask(server, "support", "please refund me", { session: "refund", tenant: "initech" });
  it.refundRun = ended.run;
  await ask(server, "support", "fail", { session: "fails", tenant: "globex" });
  await ask(server, "support", "who are you", { session: "served", tenant: "globex" });
  await until(async () => (await server.get("/api/v1/drift")).findings.length > 0, "a finding");
  it.finding = (await server.get("/api/v1/drift")).findings[0].finding;
  await until(async () => (await server.get(`/api/v1/gates/${it.gate}`)).status !== "running", "the gate's end");
}

/// What runs concluded and were told, in every layer; a data job; a deployment that is taken back with what it wrote.
async function state(it) {
  const { server } = it;
  const begin = (agent, session) => server.post("/api/v1/runs", { agent, session, tenant: "initech", attributes: { order: brief("an attribute") } });
  // Which deployment a session is on is chance: another one is tried until it is the wanted one.
  const on = async (agent, deployment) => {
    for (let n = 0; n < 60; n += 1) {
      const begun = await begin(agent, `open-${n}`);
      if (begun.deployment === deployment) return begun;
    }
    throw new Error(`no session of ${agent} is on deployment ${deployment}`);
  };
  const open = await on("support", it.candidate);
  it.openRun = open.run;
  const run = { run: open.run };
  await server.post(`/api/v1/runs/${open.run}/events`, { events: [
    { type: "tool_call", name: "look_up", id: "c1", arguments: { order: hostile("an event's argument") } },
    { type: "tool_result", name: "look_up", id: "c1", result: hostile("a tool's result") },
    { type: "note", name: "plan", data: { steps: [hostile("a note"), "look", "answer"] } },
  ] });
  await server.post(`/api/v1/runs/${open.run}/scores`, { scores: [{ name: "helpful", value: 0.8, comment: hostile("a score's comment") }] });
  await server.post("/api/v1/memory/support/open-0", { ...run, turns: [{ role: "user", content: hostile("a turn") }, { role: "assistant", content: "In Lyon." }] });
  const planning = (await on("planner", it.planner)).run;
  await server.put("/api/v1/context/orders/17", { run: planning, value: { city: hostile("a value") } });
  await server.put("/api/v1/context/orders/18", { run: planning, value: { city: "Lyon" } });
  await server.get(`/api/v1/context/orders/17?run=${open.run}`);
  const embedder = { provider: "sim", embedder: "small", dims: 3, metric: "cosine" };
  const records = [{ key: "faq/7", vector: [0.1, 0.9, 0.2], payload: { text: hostile("a payload") } }, { key: "faq/8", vector: [0.2, 0.1, 0.9] }];
  await server.post("/api/v1/vectors/kb/upsert", { ...run, embedder, records });
  const spoiling = await on("planner", it.taken);
  await server.put("/api/v1/context/orders/19", { run: spoiling.run, value: { city: "Nowhere" } });
  await server.post(`/api/v1/deployments/${it.taken}/rollback`, { reason: hostile("a rollback's reason") });
  it.spaces = (await server.get("/api/v1/state/spaces")).items;
  it.ingest = (await server.post("/api/v1/deployments", { ingest: "price-list", reason: "new prices" })).deployment;
  await server.put("/api/v1/context/prices/widget", { deployment: it.ingest, value: { eur: 0.01 } });
}

/// What operators do: the dial, an approval that waits, webhooks, members.
async function operations(it) {
  const { server } = it;
  await server.put("/api/v1/dial", { place: { agent: "support", tenant: "globex" }, position: "supervised", reason: hostile("a dial's reason") });
  await server.put("/api/v1/dial", { place: { agent: "planner", segment: "default" }, position: "read_only", reason: "odd plans" });
  await ask(server, "support", "please refund me", { session: "supervised", tenant: "globex" });
  it.approval = (await server.get("/api/v1/approvals?state=pending")).items[0].approval;
  await server.put("/api/v1/webhooks/chat", { url: "http://127.0.0.1:9/", events: ["deployment_*", "dial_*"] });
  await server.post("/api/v1/webhooks/chat/test").catch(() => {});
  await server.put("/api/v1/dial", { place: { tool: "issue_refund" }, position: "supervised", reason: "told to the webhook" });
  await server.post("/api/v1/members", { name: "worker-7", kind: "worker" });
}

/// Waits until something holds, asking again and again: the API's answers are the only clock.
export async function until(holds, what, tries = 400) {
  for (let n = 0; n < tries; n += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} never came`);
}
