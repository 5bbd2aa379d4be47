// Every page, and what must be read on it.

/// The pages of a world: `path`, what is `seen` in its main part (texts), whether `hostile` words are shown there, and the
/// `widest` that it is looked at. `form` is a page that asks before it does something, and has no table.
export function pages(it) {
  const short = (release) => release.slice(7, 19);
  return [
    { path: "/runs", seen: ["Runs", "Compare the two ticked", "helpful 0.80"] },
    { path: "/runs?text=PARCEL&outcome=error&since=2h", seen: ["Runs", "Looked through"] },
    { path: "/runs?agent=nobody", seen: ["No run matches"] },
    { path: `/runs/${it.openRun}`, seen: ["Timeline", "tool look_up answered", "score helpful: 0.80 of 1", "Written"], hostile: true },
    { path: `/runs/${it.run}`, seen: ["Timeline", "model call 1", "first byte after"], hostile: true },
    { path: `/runs/${it.incumbentRun}/compare/${it.run}`, seen: ["Two runs side by side", "Events, aligned"], hostile: true },
    { path: "/search?q=orders", seen: ["Search"] },
    { path: "/", seen: ["Rail", "support", "planner", "dial: read only"] },
    { path: "/?q=planner&warn=true", seen: ["planner"] },
    { path: "/deployments", seen: ["candidate", "rolled back", "price-list"], hostile: true },
    { path: `/deployments/${it.candidate}`, seen: ["Steps", "Guardrails", "Runs in flight"], hostile: true },
    { path: `/deployments/${it.taken}`, seen: ["is held", "How its rollback went", "What happened"], hostile: true },
    { path: `/deployments/${it.ingest}`, seen: ["data job price-list", "Commit…"] },
    { path: `/deployments/${it.candidate}/pairs`, seen: ["The worst first"], hostile: true },
    { path: `/deployments/${it.taken}/verify`, seen: ["Proof of"] },
    { path: `/deployments/${it.candidate}/rollback`, seen: ["What this would do now", "Reason, for the ledger"], form: true },
    { path: `/deployments/${it.candidate}/promote`, seen: ["Promote"], form: true },
    { path: `/deployments/${it.candidate}/freeze`, seen: ["Freeze"], form: true },
    { path: "/keys", seen: ["Keys", "pinrail key create"] },
  ];
}

/// The address of a page's value as JSON.
export function twin(path) {
  const [place, query] = path.split("?");
  return `${place === "/" ? "/index" : place}.json${query ? `?${query}` : ""}`;
}
