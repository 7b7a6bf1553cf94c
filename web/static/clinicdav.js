// Enhancements. Every page works without this file.
(() => {
  "use strict";

  // The time that is left of a hold. The page says until when in words; this counts.
  const countDown = (box) => {
    const end = Date.parse(box.dataset.expires);
    const skew = Date.now() - Date.parse(box.dataset.now);
    const left = box.querySelector(".left");
    const gone = box.querySelector(".gone");
    const running = box.querySelector(".running");
    const tick = () => {
      const seconds = Math.max(0, Math.round((end - (Date.now() - skew)) / 1000));
      const minutes = Math.floor(seconds / 60);
      left.textContent = minutes < 60
        ? `${minutes}:${String(seconds % 60).padStart(2, "0")} left`
        : `${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
      if (seconds > 0) return;
      clearInterval(timer);
      running.hidden = true;
      gone.hidden = false;
    };
    const timer = setInterval(tick, 1000);
    tick();
  };

  // A video visit can be seen from anywhere: say when it is there, too.
  const sayLocally = (box) => {
    const moment = new Date(box.dataset.start);
    const said = (zone) => new Intl.DateTimeFormat("en-GB", {
      weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit", timeZone: zone,
    }).format(moment);
    const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (said(here) === said(box.dataset.zone)) return;
    box.textContent = `Where you are (${here}): ${said(here)}`;
    box.hidden = false;
  };

  const start = (root) => {
    root.querySelectorAll("[data-zone]").forEach(sayLocally);
    root.querySelectorAll("[data-expires]").forEach(countDown);
    root.querySelectorAll("[data-auto]").forEach((field) => {
      field.addEventListener("change", () => field.form.requestSubmit());
      field.form.querySelectorAll("[data-plain]").forEach((button) => { button.hidden = true; });
    });
    root.querySelectorAll("[data-copy]").forEach((button) => {
      if (!navigator.clipboard) return;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
        button.textContent = "Copied";
      });
    });
  };

  // A double click sends a form once.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    setTimeout(() => { delete form.dataset.sent; }, 5000);
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
  });

  document.addEventListener("DOMContentLoaded", () => {
    start(document);
    // On a phone the navigation is wider than the screen: where one is stands in view.
    const here = document.querySelector(".top nav [aria-current]");
    if (here) here.closest("nav").scrollLeft = here.offsetLeft - 24;
    const problems = document.getElementById("problems");
    if (problems) problems.focus();
  });
  document.addEventListener("htmx:load", (event) => {
    if (event.target !== document.body) start(event.target);
  });
})();
