// Makes pages quicker to use. Every one of them works without it.
"use strict";

(() => {
  const SETTLED_MS = 350; // typing has paused
  const REFRESH_MS = 20000; // "…for 14:32" stays true while somebody thinks
  const THINKING_MS = 20 * 60000; // after that, nobody is there, and the session may end

  // --- One press is one request -------------------------------------------------------------

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
  // Coming back to a page that the browser kept.
  addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });

  // --- What is wrong comes first -------------------------------------------------------------

  document.getElementById("problems")?.focus();

  // --- Replace only what differs --------------------------------------------------------------

  // `parts` are the elements of `selector`; each has an id. What somebody has opened or stands
  // on is left alone unless its content is another, so that nothing jumps.
  const seen = new Map();

  const remember = (root, selector) => {
    for (const part of root.querySelectorAll(selector)) seen.set(part.id, part.innerHTML);
  };

  const keepFrame = (old, fresh) => {
    // A frame that is put in place before it has loaded flashes white.
    const [was, will] = [old.querySelector("[data-stable]"), fresh.querySelector("[data-stable]")];
    if (!was || !will) return;
    const address = will.getAttribute("src");
    will.replaceWith(was);
    if (was.getAttribute("src") === address) return;
    const next = was.cloneNode();
    next.classList.add("loading");
    next.src = address;
    next.addEventListener("load", () => {
      was.remove();
      next.classList.remove("loading");
    }, { once: true });
    was.after(next);
  };

  const update = (old, fresh, selector) => {
    const parts = [...fresh.querySelectorAll(selector)];
    const same = parts.length === old.querySelectorAll(selector).length
      && parts.every((part) => document.getElementById(part.id));
    const changed = parts.filter((part) => seen.get(part.id) !== part.innerHTML);
    remember(fresh, selector);
    if (!same) {
      old.replaceWith(fresh);
      return changed;
    }
    Object.assign(old.dataset, fresh.dataset);
    for (const part of changed) {
      const place = document.getElementById(part.id);
      const open = place.querySelector("details[open]");
      keepFrame(place, part);
      place.replaceChildren(...part.childNodes);
      if (open) place.querySelector("details")?.setAttribute("open", "");
    }
    return changed;
  };

  const parse = (html) => new DOMParser().parseFromString(html, "text/html").body.firstElementChild;

  // --- The live preview ----------------------------------------------------------------------

  const desk = document.getElementById("desk");

  const startPreview = () => {
    let timer = 0;
    let newest = 0;
    remember(document, "#preview > *");
    desk.classList.add("live");

    const show = (fresh) => {
      const counts = update(document.getElementById("preview"), fresh, "#preview > *");
      document.getElementById("publish").textContent = fresh.dataset.label;
      const usual = document.getElementById("mail-usual-said");
      if (usual) usual.textContent = fresh.dataset.usual;
      const [by, proposed] = [desk.elements.next_update_by, desk.elements.proposed];
      if (by && by.value === proposed.value) by.value = fresh.dataset.next;
      if (proposed) proposed.value = fresh.dataset.proposed;
      const near = counts.map((card) => card.querySelector?.(".near")).filter(Boolean);
      document.getElementById("counted").textContent = near.map((c) => c.textContent).join(". ");
    };

    const ask = async () => {
      const mine = ++newest;
      try {
        const answer = await fetch(desk.dataset.preview, {
          method: "POST",
          body: new URLSearchParams(new FormData(desk)),
        });
        if (!answer.ok || answer.redirected || mine !== newest) return;
        show(parse(await answer.text()));
      } catch {
        // Without a connection the last preview stays; publishing will say so itself.
      }
    };

    let touched = Date.now();
    const soon = () => {
      touched = Date.now();
      clearTimeout(timer);
      timer = setTimeout(ask, SETTLED_MS);
    };
    desk.addEventListener("input", soon);
    setInterval(() => {
      if (!document.hidden && Date.now() - touched < THINKING_MS) ask();
    }, REFRESH_MS);
  };

  if (desk) startPreview();

  // --- The receipt fills itself in --------------------------------------------------------------

  const startReceipt = () => {
    const receipt = () => document.getElementById("receipt");
    remember(document, "#receipt .card");

    const look = async () => {
      const seconds = Number(receipt().dataset.poll);
      if (!seconds) return;
      if (!document.hidden) {
        try {
          const answer = await fetch(receipt().dataset.state);
          if (answer.redirected) return location.reload();
          if (answer.ok) {
            const changed = update(receipt(), parse(await answer.text()), "#receipt .card");
            const said = changed.map((card) => document.getElementById(card.id)
              ?.querySelector("header")?.textContent.replace(/\s+/g, " ").trim());
            if (said.length) document.getElementById("changed").textContent = said.join(". ");
          }
        } catch {
          // Tried again below.
        }
      }
      setTimeout(look, seconds * 1000);
    };
    setTimeout(look, 1000);
  };

  if (document.getElementById("receipt")) startReceipt();
})();
