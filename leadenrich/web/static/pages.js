/* What the pages do besides htmx: say whether they are live, and draw the chart. Without it they are read all the same. */
"use strict";
(() => {
  const live = document.getElementById("live");

  const say = (text, kind = "") => {
    if (!live) return;
    live.textContent = text;
    live.className = `live ${kind}`;
  };

  // hx-sse ends the stream while the tab is hidden and opens it again after; the stream begins with its news.
  document.addEventListener("htmx:sse:after:connection", () => say("live", "on"));
  document.addEventListener("htmx:sse:error", () => say("not live, trying again", "lost"));
  document.addEventListener("visibilitychange", () => say(document.hidden ? "rests while hidden" : "coming back"));
  document.addEventListener("htmx:after:request", ({detail}) => {
    if (detail.ctx.response?.raw?.status === 401) location.reload();  // the log-in is over: to its page
  });

  // The chart: a bar a step, the outcomes on top of each other.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chart = null;
  let drawn = "";

  const colour = (kind, name) => {
    const probe = document.createElement("i");
    probe.className = kind;
    probe.hidden = true;
    document.body.append(probe);
    const value = getComputedStyle(probe).getPropertyValue(name).trim();
    probe.remove();
    return value;
  };

  const clock = seconds => {  // UTC, as everywhere on the pages; at midnight the day
    const told = new Date(seconds * 1000).toISOString();
    return told.slice(11, 16) === "00:00" ? told.slice(5, 10) : told.slice(11, 16);
  };

  const stacked = ({starts, series}) => {
    const sums = starts.map(() => 0);
    const layers = Object.values(series).map(counts => counts.map((count, at) => sums[at] += count));
    return [starts, ...layers.reverse()];  // the highest is drawn first, behind the others
  };

  const make = (place, told) => {
    const axis = {stroke: colour("", "--dim"), grid: {stroke: colour("", "--line"), width: 1}, ticks: {show: false}};
    const bars = uPlot.paths.bars({size: [0.8, 40], align: 1});
    const layers = Object.keys(told.series).reverse().map(name => ({
      fill: colour(name.toLowerCase(), "--shown"), width: 0, paths: bars, points: {show: false},
    }));
    return new uPlot({
      width: place.clientWidth,
      height: place.clientHeight,
      legend: {show: false},
      cursor: {show: false},
      tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        x: {range: () => [told.starts[0], told.starts.at(-1) + told.step]},
        y: {range: (_, least, most) => [0, Math.max(4, most * 1.1)]},
      },
      axes: [{...axis, size: 30, values: (_, moments) => moments.map(clock)}, {...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]}],
      series: [{}, ...layers],
    }, stacked(told), place);
  };

  const draw = () => {
    const place = document.getElementById("plot");
    if (!place || place.dataset.chart === drawn) return;
    drawn = place.dataset.chart;
    chart?.destroy();
    chart = make(place, JSON.parse(drawn));
  };

  const redraw = () => {
    drawn = "";
    draw();
  };

  document.addEventListener("DOMContentLoaded", () => {
    draw();
    const place = document.getElementById("plot");
    if (place) new ResizeObserver(() => chart.setSize({width: place.clientWidth, height: place.clientHeight})).observe(place);
  });
  document.addEventListener("htmx:after:swap", draw);
  dark.addEventListener("change", redraw);
})();
