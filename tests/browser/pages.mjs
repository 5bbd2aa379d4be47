// Every page, and what must be read on it.
import { WIDTHS } from "./browser.mjs";

/// The pages of a world: `path`, what is `seen` in its main part, whether `hostile` words are shown there, and how wide the
/// `widest` window is that it is looked at in.
export function pages(it) {
  const [base, changed] = it.releases.support.map((release) => release.slice(7));
  const orders = it.spaces.find(({ space }) => space === "context/orders");
  const vectors = it.spaces.find(({ space }) => space.startsWith("vectors/"));
  const memory = it.spaces.find(({ space }) => space.startsWith("memory/"));
  const space = ({ tenant, space }, more = "") => `/state/space?tenant=${tenant}&space=${encodeURIComponent(space)}${more}`;
  const hostile = true;
  const everywhere = { widest: WIDTHS.widest };
  return [
    // The rail, and deployments.
    { path: "/", seen: ["Rail", "support", "planner", "gold", "dial: read_only"], ...everywhere },
    { path: "/?q=planner&warn=true", seen: ["planner"] },
    { path: "/deployments", seen: ["candidate", "rolled back", "price-list"], hostile },
    { path: "/deployments?agent=planner", seen: ["planner"], hostile },
    { path: `/deployments/${it.candidate}`, seen: ["Steps", "canary 50%", "Guardrails", "error_rate", "Runs in flight"], hostile, ...everywhere },
    { path: `/deployments/${it.active}`, seen: ["support"], hostile },
    { path: `/deployments/${it.taken}`, seen: ["is held", "How its rollback went", "What happened"], hostile },
    { path: `/deployments/${it.ingest}`, seen: ["data job price-list", "Commit…"] },
    { path: `/deployments/${it.candidate}/pairs`, seen: ["The worst first"], hostile },
    { path: `/deployments/${it.candidate}/rollback`, seen: ["What this would do now", "Reason, kept on record"] },
    { path: `/deployments/${it.candidate}/promote`, seen: ["Promote", "Reason, kept on record"] },
    { path: `/deployments/${it.candidate}/freeze`, seen: ["Freeze"] },
    { path: `/deployments/${it.ingest}/commit`, seen: ["Commit"] },
    { path: `/deployments/${it.taken}/verify`, seen: ["Proof of"] },
    { path: `/deployments/${it.taken}/blast-radius`, seen: ["planner"] },
    { path: `/deployments/${it.candidate}/blast-radius`, seen: ["support"] },
    { path: `/deployments/${it.candidate}/compensate` },
    // Runs.
    { path: "/runs", seen: ["Compare the two ticked", "helpful 0.80"], ...everywhere },
    { path: "/runs?text=PARCEL&outcome=error&since=2h", seen: ["Looked through"] },
    { path: "/runs?agent=nobody", seen: ["No run matches"] },
    { path: `/runs/${it.openRun}`, seen: ["Timeline", "tool look_up answered", "score helpful: 0.80 of 1", "Written"], hostile },
    { path: `/runs/${it.run}`, seen: ["Timeline", "model call 1", "first byte after"], hostile },
    { path: `/runs/${it.refundRun}`, seen: ["issue_refund"], hostile },
    { path: `/runs/${it.incumbentRun}/compare/${it.run}`, seen: ["Two runs side by side", "Events, aligned"], hostile },
    { path: "/search?q=refund", seen: ["Runs that say it"] },
    { path: "/search?q=" + encodeURIComponent(`<script>window.__owned="q"</script>`), hostile },
    // Releases and gates.
    { path: "/releases", seen: ["sim-1-2026-06-01", "support"] },
    { path: `/releases/${base}`, seen: ["issue_refund"], hostile },
    { path: `/releases/${base}/diff/${changed}`, seen: ["very"], hostile },
    { path: `/releases/${it.releases.planner[1].slice(7)}/retire`, seen: ["Reason"] },
    { path: "/gates", seen: ["sums"] },
    { path: `/gates/${it.gate}`, seen: ["sums"], hostile },
    // State.
    { path: "/state", seen: ["orders", "kb"] },
    { path: "/state/map", seen: ["support", "planner", "orders"] },
    { path: space(orders), seen: ["17"], hostile },
    { path: space(orders, "&history=true"), seen: ["19"], hostile },
    { path: space(memory, "&history=true"), hostile },
    { path: space(vectors, "&history=true"), seen: ["faq/7"], hostile },
    { path: "/members", seen: ["self", "worker-7"] },
    // Operations.
    { path: "/dial", seen: ["supervised", "issue_refund"], hostile },
    { path: "/dial?agent=support&tenant=globex&tool=issue_refund", seen: ["supervised"], hostile },
    { path: "/dial/turn?agent=support", seen: ["Reason"] },
    { path: `/approvals/${it.approval}`, seen: ["issue_refund"], hostile },
    { path: `/approvals/${it.approval}/approve`, seen: ["Reason"] },
    { path: "/readiness", seen: ["rollback target"] },
    { path: "/drift", seen: ["sim-2-2026-09-01"] },
    { path: `/drift/${it.finding}`, seen: ["sim-2-2026-09-01"] },
    { path: `/drift/${it.finding}/clear`, seen: ["Reason"] },
    { path: "/ledger", seen: ["support"], hostile, ...everywhere },
    { path: "/ledger?verify=true", seen: ["Whole"] },
    { path: `/ledger/${it.finding}`, seen: ["sim-1-2026-06-01"] },
    { path: "/webhooks", seen: ["chat"] },
    { path: "/webhooks/chat", seen: ["127.0.0.1:9"] },
    { path: "/webhooks/chat/remove", seen: ["Reason"] },
    { path: "/keys", seen: ["pinrail key create"] },
  ];
}

/// The address of a page's value as JSON.
export function twin(path) {
  const [place, query] = path.split("?");
  return `${place === "/" ? "/index" : place}.json${query ? `?${query}` : ""}`;
}
