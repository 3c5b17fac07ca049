"use strict";
(() => {
  const points = JSON.parse(document.getElementById("point-data").textContent);
  const tip = document.getElementById("tip");
  let held = null;

  const element = (name, content, className) => {
    const made = document.createElement(name);
    if (content !== undefined) made.textContent = content;
    if (className) made.className = className;
    return made;
  };

  const fill = (point) => {
    const table = element("table");
    for (const [title, value, seeds] of point.rows) {
      const row = table.insertRow();
      row.append(element("th", title));
      row.append(element("td", value), element("td", `n = ${seeds.length}`));
    }
    const seeds = [...new Set(point.rows.flatMap((row) => row[2]))].sort((a, b) => a - b);
    const links = element("p", undefined, "links");
    for (const [label, id] of point.trials) {
      const link = element("a", label);
      link.href = `#${id}`;
      links.append(link);
    }
    tip.replaceChildren(
      element("h3", point.name),
      element("p", point.panel),
      table,
      element("p", `seeds ${seeds.join(", ")}`, "seeds"),
      links,
      element("p", "Press to keep this, with links to its trials.", "hint"),
    );
  };

  const place = (mark) => {
    const at = mark.querySelector(".mark").getBoundingClientRect();
    const size = tip.getBoundingClientRect();
    const left = Math.min(Math.max(at.left + at.width / 2 - size.width / 2, 8), innerWidth - size.width - 8);
    const above = at.top - size.height - 12;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : at.bottom + 12}px`;
  };

  const show = (mark) => {
    fill(points[mark.dataset.point]);
    tip.hidden = false;
    place(mark);
  };

  const release = () => {
    if (held) held.classList.remove("held");
    held = null;
    tip.classList.remove("held");
    tip.hidden = true;
  };

  const hold = (mark) => {
    release();
    held = mark;
    mark.classList.add("held");
    tip.classList.add("held");
    show(mark);
  };

  for (const mark of document.querySelectorAll(".point")) {
    mark.addEventListener("pointerenter", () => held || show(mark));
    mark.addEventListener("pointerleave", () => held || release());
    mark.addEventListener("focus", () => held || show(mark));
    mark.addEventListener("blur", () => held || release());
    mark.addEventListener("click", (event) => {
      event.stopPropagation();
      if (held === mark) release();
      else hold(mark);
    });
    mark.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      hold(mark);
      const link = tip.querySelector("a");
      if (link) link.focus();
    });
  }
  document.addEventListener("click", (event) => tip.contains(event.target) || release());
  document.addEventListener("keydown", (event) => event.key === "Escape" && release());
  addEventListener("scroll", () => held && release(), { passive: true });

  const single = (name) => {
    document.body.classList.toggle("single", name !== null);
    for (const mark of document.querySelectorAll(".point, .curve")) {
      mark.classList.toggle("chosen", mark.dataset.name === name);
    }
    for (const chip of document.querySelectorAll(".chip")) {
      chip.setAttribute("aria-pressed", String(chip.dataset.name === name));
    }
  };
  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      single(chip.getAttribute("aria-pressed") === "true" ? null : chip.dataset.name);
    });
  }

  const view = (wanted) => {
    release();
    for (const button of document.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === wanted));
      document.body.classList.toggle(button.dataset.view, button.dataset.view === wanted);
    }
  };
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => view(button.dataset.view));
  }

  const forest = document.querySelector(".forest-plot");
  const coefficient = (wanted) => {
    forest.dataset.coefficient = wanted;
    for (const button of forest.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.coefficient === wanted));
    }
  };
  for (const button of forest ? forest.querySelectorAll("button") : []) {
    button.addEventListener("click", () => coefficient(button.dataset.coefficient));
  }

  const theme = document.getElementById("theme");
  const root = document.documentElement;
  const isDark = () =>
    root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  const scheme = (wanted) => {
    root.style.colorScheme = wanted;
    name();
  };
  theme.addEventListener("click", () => scheme(isDark() ? "light" : "dark"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();

  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const box = target && target.closest("details");
    if (box) {
      box.open = true;
      target.scrollIntoView({ block: "center" });
    }
  };
  addEventListener("hashchange", open);

  // Paper cannot unfold: all is open there but the trials, which are thousands.
  const folds = [...document.querySelectorAll("details")];
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = folds.filter((fold) => !fold.open && !fold.closest("#trials"));
    for (const fold of unfolded) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of unfolded) fold.open = false;
    unfolded = [];
  });

  // While a sweep is watched the page loads itself anew, and stands as it stood. Folds are known by their titles:
  // new ones come between them.
  const watched = document.getElementById("watched");
  const title = (fold) => `${fold.closest("section").id} ${fold.classList.contains("grid") ? fold.firstChild.textContent : ""}`;
  const standing = () => ({
    scroll: scrollY,
    open: folds.filter((fold) => fold.open).map(title),
    view: document.body.classList.contains("ranks") ? "ranks" : "values",
    coefficient: forest && forest.dataset.coefficient,
    scheme: root.style.colorScheme,
    single: (document.querySelector('.chip[aria-pressed="true"]') || { dataset: {} }).dataset.name,
  });
  const stand = (as) => {
    for (const fold of folds) fold.open = as.open.includes(title(fold));
    view(as.view);
    if (forest && as.coefficient) coefficient(as.coefficient);
    if (as.scheme) scheme(as.scheme);
    if (as.single !== undefined) single(as.single);
    history.scrollRestoration = "manual";
    scrollTo({ top: as.scroll, behavior: "instant" });
  };
  // Nobody is disturbed who reads a point's numbers or marks a text.
  const isBusy = () => document.hidden || held || !getSelection().isCollapsed;
  if (history.state) {
    stand(history.state);
    history.replaceState(null, "");
  } else {
    open();
  }
  if (watched) {
    const again = () => {
      if (isBusy()) {
        setTimeout(again, 1000);
      } else {
        history.replaceState(standing(), "");
        location.reload();
      }
    };
    setTimeout(again, 1000 * Number(watched.dataset.every));
  }
})();
