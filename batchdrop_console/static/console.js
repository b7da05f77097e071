"use strict";
// Draws the costs by day where the page has them; the table below the chart says the same.
(() => {
  const holder = document.getElementById("sums");
  if (!holder) return;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dollars = (value) => (value == null ? "–" : "$" + value.toLocaleString("en", { maximumFractionDigits: 4 }));
  let drawn = null;

  const draw = () => {
    const chart = document.getElementById("chart");
    if (drawn) drawn.destroy();
    drawn = null;
    if (!chart) return;
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const bars = uPlot.paths.bars({ size: [0.6, 40], radius: 0.15 });
    drawn = new uPlot(
      {
        width: chart.clientWidth,
        height: 220,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
        scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
        axes: [axis, { ...axis, size: 64, values: (_, ticks) => ticks.map(dollars) }],
        series: [
          { value: (_, seconds) => (seconds == null ? "–" : new Date(seconds * 1e3).toISOString().slice(0, 10)), label: "Day" },
          { label: "Spent", stroke: colour("--accent"), fill: colour("--accent"), paths: bars, value: (_, v) => dollars(v) },
          { label: "Saved", stroke: colour("--good"), width: 2, dash: [6, 4], points: { size: 6, fill: colour("--surface") }, value: (_, v) => dollars(v) },
        ],
      },
      JSON.parse(chart.dataset.series),
      chart,
    );
  };

  new MutationObserver(draw).observe(holder, { childList: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(draw, 100);
  });
})();
