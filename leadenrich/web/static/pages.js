/* What the pages do besides htmx: say whether they are live, and draw the charts. Without it they are read all the same. */
"use strict";
(() => {
  const live = document.getElementById("live");

  const say = (text, kind = "") => {
    if (!live) return;
    live.textContent = text;
    live.className = `live ${kind}`;
  };

  // The stream ends by itself while the tab is hidden (hx-sse's pauseOnBackground), and says "news" when it is back.
  document.addEventListener("htmx:sse:after:connection", () => say("live", "on"));
  document.addEventListener("htmx:sse:error", () => say("not live, trying again", "lost"));
  document.addEventListener("visibilitychange", () => say(document.hidden ? "rests while hidden" : "coming back"));
  document.addEventListener("htmx:after:request", ({detail}) => {
    if (detail.ctx.response?.raw?.status === 401) location.reload();  // the log-in is over: to its page
  });
})();
