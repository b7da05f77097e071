"use strict";
// Draws the costs by day where the page has them; the table below the chart says the same.
(() => {
  const holder = document.getElementById("sums");
  if (!holder) return;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dollars = (value) => (value == null ? "–" : "$" + value.toLocaleString("en", { maximumFractionDigits: 4 }));
  const exact = (value) => (value >= 1 ? "$" + value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }) : dollars(value));
  let drawn = null;

  const draw = () => {
    const chart = document.getElementById("chart");
    if (drawn) drawn.destroy();
    drawn = null;
    if (!chart) return;
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const bars = uPlot.paths.bars({ size: [0.6, 40], radius: 0.15 });
    const [days, spent, saved] = JSON.parse(chart.dataset.series);
    const realtime = spent.map((each, day) => (each == null ? null : each + saved[day]));
    const data = [days, realtime, spent];
    const last = spent.findLastIndex((each) => each != null); // its values stand below the chart while no other is pointed at
    const below = (_, value, series, at) => exact(data[series][at ?? last]);
    const day = (seconds) => new Date(seconds * 1e3).toISOString().slice(0, 10);
    const half = 43200; // seconds: the first and the last bar are whole
    drawn = new uPlot(
      {
        width: chart.clientWidth,
        height: 220,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
        scales: { x: { range: (_, low, high) => [low - half, high + half] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
        axes: [{ ...axis, size: 32, space: 64, incrs: [1, 2, 7, 14, 30].map((n) => n * 86400), values: (_, ticks) => ticks.map((each) => day(each).slice(5)) }, { ...axis, size: 64, values: (_, ticks) => ticks.map(dollars) }],
        series: [
          { value: (_, seconds, series, at) => day(days[at ?? last]), label: "Day" },
          { label: "At real time", stroke: colour("--muted"), width: 1.5, dash: [4, 3], fill: colour("--sunken"), paths: bars, points: { show: false }, value: below },
          { label: "Spent", stroke: colour("--accent"), fill: colour("--accent"), paths: bars, points: { show: false }, value: below },
        ],
      },
      data,
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
