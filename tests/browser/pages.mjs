// Every page, and what must be read on it.

/// The pages of a world: `path`, what is `seen` in its main part (texts), whether `hostile` words are shown there, and the
/// `widest` that it is looked at. `form` is a page that asks before it does something, and has no table.
export function pages(it) {
  const short = (release) => release.slice(7, 19);
  return [
    { path: "/keys", seen: ["Keys", "pinrail key create"] },
  ];
}

/// The address of a page's value as JSON.
export function twin(path) {
  const [place, query] = path.split("?");
  return `${place === "/" ? "/index" : place}.json${query ? `?${query}` : ""}`;
}
