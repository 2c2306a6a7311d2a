"use strict";
// What makes the portal quicker. Without it every page reads and every form posts all the same.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=strict`;

  const menu = document.querySelector(".menu");
  menu?.addEventListener("click", () => {
    const open = document.getElementById("nav").toggleAttribute("data-open");
    menu.setAttribute("aria-expanded", String(open));
  });

  // What takes the place of a part keeps the focus: on the same control, or else on the part itself.
  const controls = "a[href], button, input, select, textarea, summary, [tabindex]";
  const mark = (each) => each.id || each.getAttribute("href") || each.getAttribute("formaction") || each.textContent.trim();
  const hold = (part) => {
    const at = document.activeElement;
    if (!at || at === document.body || !part?.contains(at)) return () => {};
    const was = mark(at), scroll = { preventScroll: true };
    return (now) => {
      if (!now || now.contains(document.activeElement)) return;
      const same = [now, ...now.querySelectorAll(controls)].find((each) => each.matches(controls) && mark(each) === was);
      if (!same && now.tabIndex < 0) now.tabIndex = -1;
      (same ?? now).focus(scroll);
    };
  };
  let held = null;
  const swapped = (event) => {
    const target = event.detail.ctx?.target;
    return typeof target === "string" ? document.querySelector(target) : target;
  };
  addEventListener("htmx:before:swap", (event) => { held = hold(swapped(event)); });
  addEventListener("htmx:after:swap", (event) => { held?.(swapped(event)); held = null; });

  // One stream for a page: each event is a part with an id, which takes the place of that part.
  const live = document.querySelector(".live");
  const address = document.body.dataset.events;
  let heard = Date.now();
  const news = document.getElementById("stale");
  const stale = (is) => {
    live?.toggleAttribute("data-stale", is);
    if (!news || news.hidden !== is) return;
    news.hidden = !is;
    news.querySelector("span").textContent = live ? live.lastElementChild.textContent : "";
    // A green that may be old is worse than a red: the answer itself goes, and what it was stands below.
    document.querySelectorAll(".answer").forEach((each) => {
      const big = each.querySelector(".big"), shape = big?.querySelector("use"), words = big?.lastChild;
      if (!words) return;
      if (is) {
        each.dataset.was = JSON.stringify([each.dataset.state, shape?.getAttribute("href"), words.textContent]);
        shape?.setAttribute("href", shape.getAttribute("href").replace(/#.*/, "#unknown"));
        words.textContent = `Not known since ${live.lastElementChild.textContent.split(" ")[0]}.`;
        each.dataset.state = "unknown";
      } else if (each.dataset.was) {
        const [state, href, text] = JSON.parse(each.dataset.was);
        shape?.setAttribute("href", href);
        words.textContent = text;
        each.dataset.state = state;
        delete each.dataset.was;
      }
    });
  };
  if (address && window.EventSource) {
    const source = new EventSource(address);
    source.addEventListener("part", (event) => {
      heard = Date.now();
      stale(false);
      const told = JSON.parse(event.data);
      const before = document.getElementById(told.id);
      if (!before) return;
      const open = new Set([...before.querySelectorAll("details[open]")].map((each) => each.id));
      const focus = hold(before);
      const made = document.createElement("template");
      made.innerHTML = told.html;
      made.content.querySelectorAll("details").forEach((each) => { if (open.has(each.id)) each.open = true; });
      before.replaceWith(made.content);
      const now = document.getElementById(told.id);
      if (now) now.scrollTop = before.scrollTop;
      focus(now);
    });
    source.addEventListener("clock", (event) => {
      heard = Date.now();
      stale(false);
      if (live) live.lastElementChild.textContent = event.data;
    });
    source.addEventListener("again", () => { source.close(); location.reload(); });
    addEventListener("pagehide", () => source.close());
    setInterval(() => { if (Date.now() - heard > 15000) stale(true); }, 5000);
  }

  // The picker of the second leads to the same questions: what is written in them goes along.
  document.getElementById("seconds")?.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    const to = new URL(link.href.baseVal ?? link.href, location.href);
    for (const [name, value] of new FormData(document.getElementById("restore"))) {
      if (name !== "form_key" && value && !to.searchParams.has(name)) to.searchParams.set(name, value);
    }
    location.href = to.href;
  });

  // What an edit has changed says what it was.
  document.getElementById("policy")?.addEventListener("input", (event) => {
    const was = event.target.nextElementSibling?.matches(".was") ? event.target.nextElementSibling : event.target.nextElementSibling?.nextElementSibling;
    if (was?.matches(".was")) was.hidden = event.target.value.trim() === was.dataset.was;
  });

  // Every command line can be taken along: pasted at 3 a.m., it has no slip of the finger.
  const copies = (within) => within.querySelectorAll("code.cmd:not(:has(button))").forEach((each) => {
    if (!navigator.clipboard) return;
    const text = each.textContent, made = document.createElement("button");
    made.type = "button";
    made.className = "btn slight copy";
    made.setAttribute("aria-label", "Copy");  // drawn by the style: whoever marks the line marks it alone
    made.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      made.setAttribute("aria-label", "Copied");
    });
    each.append(made);
  });
  copies(document);
  addEventListener("htmx:after:swap", () => copies(document));

  const print = document.querySelector(".print");
  if (print) {
    print.hidden = false;
    print.addEventListener("click", () => window.print());
  }

  // Keys, off inside fields: R restore, / find, G and a letter go to, J K up and down the rows, ? all.
  const list = document.getElementById("keys");
  const button = document.querySelector(".keys");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => list.showModal());
  }
  const find = () => {
    const field = document.querySelector("input[type=search]");
    if (field) field.focus();
    else location.href = "/instances#find";
  };
  if (location.hash === "#find") find();
  let going = false;
  const rows = () => [...document.querySelectorAll(".ledger tbody th a, .needs h3 a")];
  const step = (by) => {
    const all = rows();
    const at = all.indexOf(document.activeElement) + by;
    all[Math.max(0, Math.min(all.length - 1, at))]?.focus();
  };
  const acts = {
    r: () => document.querySelector("main a.restore, a.restore")?.click(),
    "/": find,
    j: () => step(1),
    k: () => step(-1),
    "?": () => list?.showModal(),
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || list?.open) return;
    if (event.target.matches("input, select, textarea")) return;
    const key = event.key.toLowerCase();
    const went = going;
    going = key === "g" && !went;
    if (went) {
      document.querySelector(`#nav [data-key="${CSS.escape(key)}"]`)?.click();
    } else if (acts[key]) {
      event.preventDefault();
      acts[key]();
    }
  });
})();
