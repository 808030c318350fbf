"""The style sheet of the report."""

STYLE = """
:root {
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b2230; --quiet: #5b6577; --rule: #dfe3ea;
  --pass: #1a7f4b; --pass-soft: #e2f4ea; --warn: #8a5a00; --warn-soft: #fdf1d6;
  --fail: #b3261e; --fail-soft: #fbe6e4; --info: #3a5a9b; --info-soft: #e6edf9;
  --c0: #2f62c8; --c1: #d9622b; --c2: #1f8a70; --c3: #8b4fc0; --c4: #b08a00; --c5: #c23b73;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12151b; --card: #1b2029; --ink: #e7ebf2; --quiet: #9ba6b8; --rule: #2e3541;
    --pass: #6fd3a0; --pass-soft: #173527; --warn: #f0c268; --warn-soft: #3a2f17;
    --fail: #ff9c94; --fail-soft: #43201f; --info: #9dbcf5; --info-soft: #1f2c47;
    --c0: #7aa5ff; --c1: #ff9a66; --c2: #5fd0b4; --c3: #c79bf2; --c4: #e0c14f; --c5: #f58ab4;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
header { margin-bottom: 32px; }
.title { display: flex; gap: 16px 24px; align-items: flex-start; justify-content: space-between;
  flex-wrap: wrap; }
h1 { font-size: 30px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 0 0 14px; }
p { margin: 0 0 10px; overflow-wrap: anywhere; }
.subtitle, .quiet { color: var(--quiet); }
.subtitle { margin: 6px 0 0; }
.quiet { font-size: 13px; }
.lead { font-size: 18px; max-width: 72ch; margin: 20px 0 0; }
.badge { margin: 2px 0 0; padding: 6px 14px; border-radius: 999px; font-weight: 600;
  white-space: nowrap; }
.mark { font-weight: 600; padding: 2px 10px; border-radius: 999px; font-size: 14px;
  white-space: nowrap; }
.pass { color: var(--pass); background: var(--pass-soft); }
.warn { color: var(--warn); background: var(--warn-soft); }
.fail { color: var(--fail); background: var(--fail-soft); }
.info { color: var(--info); background: var(--info-soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 24px 0 0; }
.figures div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 12px 16px; }
dt { color: var(--quiet); font-size: 13px; }
dd { margin: 2px 0 0; white-space: nowrap; font-size: 22px; font-weight: 600;
  font-variant-numeric: tabular-nums; }
section, details { background: var(--card); border: 1px solid var(--rule); border-radius: 12px;
  padding: 20px 24px; margin: 0 0 20px; }
.remark { padding: 14px 0 6px; border-top: 1px solid var(--rule); }
h2 + .remark { border-top: 0; padding-top: 0; }
h3 { font-size: 16px; font-weight: 600; margin: 0 0 6px; display: flex; flex-wrap: wrap;
  gap: 4px 10px; align-items: center; }
.remark > p { max-width: 76ch; }
.remedy { padding-left: 14px; border-left: 3px solid var(--c0); }
details.fine { border: 0; padding: 0; margin: 12px 0 0; background: none; }
h2 + details.fine { margin-top: 0; }
.fine > .remark:first-of-type { margin-top: 12px; }
details.folded { border: 0; border-radius: 0; padding: 0; margin: 0 0 8px; background: none; }
.folded summary { font-weight: 400; font-size: 14px; color: var(--quiet); margin-bottom: 8px; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; padding: 9px 16px 9px 0; border-top: 1px solid var(--rule);
  vertical-align: top; }
thead th { border-top: 0; padding-top: 0; color: var(--quiet); font-size: 13px; font-weight: 500; }
tbody th, .settings th { font-weight: 500; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap;
  padding-right: 32px; }
.settings { font-size: 14px; margin-top: 12px; table-layout: fixed; }
.settings th { width: 38%; font-family: ui-monospace, Menlo, Consolas, monospace;
  font-size: 13px; }
.settings td { overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; }
ul { margin: 0; padding-left: 20px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--quiet); font-size: 12px; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--quiet); stroke-width: 1; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.band { fill: currentColor; opacity: 0.16; }
circle { fill: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 14px; color: var(--quiet); }
.legend b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.legend i { display: inline-block; width: 14px; height: 4px; border-radius: 2px;
  background: currentColor; vertical-align: middle; margin-right: 7px; }
.sounds { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr));
  gap: 24px; }
figure { margin: 0; min-width: 0; }
figure svg text { font-size: 9.5px; }
.wave { fill: var(--c0); stroke: var(--c0); stroke-width: 0.5; }
audio { width: 100%; height: 36px; margin: 8px 0 6px; display: block; }
figcaption p { margin: 2px 0 0; font-size: 14px; }
figcaption .quiet { font-size: 13px; }
.chart svg { min-width: 560px; }
@media (max-width: 640px) {
  main { padding: 24px 12px 40px; }
  section, details { padding: 16px; }
  th, td { padding-right: 10px; }
  .number { padding-right: 14px; }
}
@media print { section, figure { break-inside: avoid; } audio { display: none; } }
"""
