"""How a job's report looks: as the console's pages do, in a light and a dark room and at 320 pixels."""

import hashlib
from base64 import b64encode

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --surface: #fff; --sunken: #eef0f3; --line: #d9dde3; --text: #16191d; --muted: #57606a;
  --accent: #1a66ad; --accent-soft: #e3eefa; --good: #1a7346; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1216; --surface: #181c22; --sunken: #222831; --line: #323a45; --text: #e8ebef; --muted: #a3adb9;
    --accent: #6db2f2; --accent-soft: #17304a; --good: #6bcf97; --bad: #ff9a8f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1, h2, p, dl, figure { margin: 0; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.125rem; margin-bottom: 0.5rem; }
section {
  background: var(--surface); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin-top: 1rem;
}
.small { color: var(--muted); font-size: 0.875rem; }
dl { display: grid; grid-template-columns: fit-content(55%) minmax(0, 1fr); gap: 0.25rem 1rem; }
dt { color: var(--muted); overflow-wrap: normal; }
dd { margin: 0; }
.scroll { overflow-x: auto; margin-top: 0.75rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; overflow-wrap: normal; }
caption { text-align: left; color: var(--muted); padding-bottom: 0.25rem; }
th, td { text-align: left; vertical-align: top; padding: 0.375rem 0.75rem 0.375rem 0; }
tr { border-top: 1px solid var(--line); }
thead th { color: var(--muted); white-space: nowrap; }
tbody th { min-width: 9rem; overflow-wrap: anywhere; }
.long { min-width: 14rem; overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; }
figure > svg { display: block; }
text { fill: var(--text); font-size: 12px; }
.tick { fill: var(--muted); }
.rail { fill: var(--sunken); }
.flying { fill: var(--accent); }
.collecting { fill: var(--accent-soft); stroke: var(--accent); stroke-dasharray: 2 2; }
.waiting { fill: none; stroke: var(--muted); stroke-dasharray: 4 3; }
.deadline { stroke: var(--bad); stroke-width: 2; }
.mark { fill: none; stroke: var(--good); stroke-width: 3; }
.fault { stroke: var(--bad); }
"""
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    f"{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)
"""Nothing is run and nothing is fetched, whatever stood in the page."""
