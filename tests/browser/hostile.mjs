// What a model, a tool or a person may say to do harm on a page that shows it. Each says where it went, so that a test
// finds it again: `hostile("a prompt")`.

/// Ends elements, opens scripts and attributes, turns the reading direction, and holds what can't be seen.
export function hostile(where) {
  return (
    `${where} <script>window.__owned="${where}"</script><img src=x data-owned onerror="window.__owned='${where}'">` +
    `"' onmouseover="window.__owned=1" data-owned=" </script></title></textarea><svg onload=window.__owned=2 data-owned> ` +
    `{{ 7*7 }} \u202Egnp.elbatpecca\u202C \u0007\u200B javascript:window.__owned=3 &lt;b&gt; ` +
    `<a data-owned href="javascript:window.__owned=4" hx-get="https://elsewhere.example/" hx-trigger="load">شكرا</a>`
  );
}

/// The same where there is only room for 256 bytes.
export function brief(where) {
  return `${where} <script>window.__owned="${where}"</script>"><b data-owned>\u202Egnp`;
}

/// What of it must be read on the page, as text.
export const SEEN = `<script>window.__owned=`;
