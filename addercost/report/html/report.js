"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const byId = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Theme: the system's until the button is pressed.
  const theme = byId("theme");
  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-pressed", String(isDark()));
    theme.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
  };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; label(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();

  const exact = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 17 });
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"],
    [1e-9, "n"], [1e-12, "p"], [1e-15, "f"]];
  // As the tables are written: three digits, and a prefix, which stands at the unit if there is one.
  const prefixed = (value, unit = "") => {
    const [factor, prefix] = PREFIXES.find(([f]) => Math.abs(value) >= f * 0.9995) || [1, ""];
    return `${Number((value / factor).toPrecision(3))}${unit ? " " : ""}${prefix}${unit}`;
  };

  // Layer tables: sort by a heading, filter by text, sum by module.
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const kinds = heads.map((head) => head.dataset.kind);
    const merges = heads.map((head) => head.dataset.merge);
    const units = heads.map((head) => head.dataset.unit || "");
    const typeColumn = heads.findIndex((head) => head.textContent === "type");
    const isText = (column) => kinds[column] === "text" || kinds[column] === "path";
    const rows = [...body.rows].map((element) => {
      const cells = [...element.cells];
      return {
        element,
        parts: (cells[0].dataset.v || "").split("."),
        values: cells.map((cell, i) => (isText(i) ? cell.textContent : Number(cell.dataset.v))),
        text: cells.filter((_, i) => isText(i)).map((cell) => cell.textContent).join(" ").toLowerCase(),
      };
    });
    const tools = document.querySelector(`[data-tools="${table.id}"]`);
    const filter = tools.querySelector("[data-filter]");
    const fold = tools.querySelector("[data-fold]");
    const shown = tools.querySelector("[data-shown]");
    const open = new Set();
    let order = { column: -1, descending: false };

    const summed = (name, members) => ({
      name,
      members,
      values: kinds.map((_, i) => {
        if (i === 0) return name;
        if (i === typeColumn) return `${members.length} layers`;
        if (merges[i] === "max") return Math.max(...members.map((row) => row.values[i] || 0));
        return merges[i] === "sum" ? members.reduce((sum, row) => sum + (row.values[i] || 0), 0) : "";
      }),
    });
    const groupRow = (group) => {
      const row = make("tr", "module");
      group.values.forEach((value, i) => {
        const cell = make(i === 0 ? "th" : "td", isText(i) ? (i === 0 ? "path" : "") : "n");
        if (i === 0) {
          const button = make("button", "", `${open.has(group.name) ? "▾" : "▸"} ${value}`);
          button.type = "button";
          button.setAttribute("aria-expanded", String(open.has(group.name)));
          button.addEventListener("click", () => {
            if (!open.delete(group.name)) open.add(group.name);
            draw();
            [...body.querySelectorAll("tr.module button")].find((b) => b.dataset.name === group.name)?.focus();
          });
          button.dataset.name = group.name;
          cell.scope = "row";
          cell.append(button);
        } else {
          cell.textContent = typeof value !== "number" ? value
            : kinds[i] === "share" ? percent(value) : prefixed(value, units[i]);
          if (typeof value === "number") {
            cell.dataset.v = value;
            cell.title = `${exact.format(value)} ${units[i]}`.trim();
          }
        }
        row.append(cell);
      });
      return row;
    };
    const grouped = (found) => {
      const depth = Number(fold.value);
      if (!depth) return found;
      const groups = new Map();
      for (const row of found) {
        const name = row.parts.slice(0, depth).join(".") || "(model)";
        if (!groups.has(name)) groups.set(name, []);
        groups.get(name).push(row);
      }
      return [...groups].map(([name, members]) => (members.length === 1 ? members[0] : summed(name, members)));
    };
    const sorted = (items) => {
      if (order.column < 0) return items;
      const sign = order.descending ? -1 : 1;
      const value = (item) => item.values[order.column];
      return [...items].sort((a, b) => sign * (isText(order.column)
        ? String(value(a)).localeCompare(String(value(b)), "en", { numeric: true })
        : (value(a) || 0) - (value(b) || 0)));
    };
    const draw = () => {
      const words = filter.value.trim().toLowerCase();
      const found = words ? rows.filter((row) => row.text.includes(words)) : rows;
      const fragment = document.createDocumentFragment();
      for (const item of sorted(grouped(found))) {
        if (item.element) {
          item.element.className = "";
          fragment.append(item.element);
          continue;
        }
        fragment.append(groupRow(item));
        if (!open.has(item.name)) continue;
        for (const row of sorted(item.members)) {
          row.element.className = "inside";
          fragment.append(row.element);
        }
      }
      body.replaceChildren(fragment);
      kinds.forEach((kind, i) => {
        if (kind !== "share") return;
        const cells = [...body.rows].map((row) => row.cells[i]);
        const longest = Math.max(...cells.map((cell) => Number(cell.dataset.v))) || 1;
        for (const cell of cells) cell.style.setProperty("--share", percent(cell.dataset.v / longest).replace(" ", ""));
      });
      shown.textContent = found.length === rows.length
        ? `${rows.length} rows` : `${found.length} of ${rows.length} rows; totals are of all`;
    };
    heads.forEach((head, i) => {
      const button = make("button", "", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        // Numbers start largest first, texts in order; a third press restores the order of execution.
        const first = !isText(i);
        if (order.column !== i) order = { column: i, descending: first };
        else if (order.descending === first) order = { column: i, descending: !first };
        else order = { column: -1, descending: false };
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (order.column === i) head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
        draw();
      });
    });
    filter.addEventListener("input", draw);
    fold.addEventListener("change", draw);
    draw();
    // A link to a row that is folded away opens its module.
    const reveal = () => {
      const row = rows.find(({ element }) => element.id && `#${element.id}` === location.hash);
      if (!row) return;
      filter.value = "";
      const group = grouped(rows).find((item) => item.members?.includes(row));
      if (group) open.add(group.name);
      draw();
      row.element.scrollIntoView({ block: "center" });
    };
    addEventListener("hashchange", reveal);
    reveal();
  }

  // Icicles: a box is as wide as its share of the box that is zoomed to.
  const ROW = 26;
  const LEVELS = 7;
  for (const holder of document.querySelectorAll("[data-icicle]")) {
    const id = holder.dataset.icicle;
    const data = JSON.parse(byId(`${id}-tree`).textContent);
    const chosen = document.querySelector(`[data-icicle-basis="${id}"]`);
    const out = document.querySelector(`[data-icicle-out="${id}"]`);
    const where = document.querySelector(`[data-icicle-where="${id}"]`);
    const tree = d3.hierarchy(data.tree, (node) => node[3]);
    const pathOf = (node) => node.ancestors().reverse().slice(1).map((n) => n.data[0]).join(".") || tree.data[0];
    const svg = d3.select(holder).append("svg").attr("role", "group").attr("aria-label", "Cost by module");
    let focus = tree;
    let active = tree;
    let drawn = new Set();

    const draw = (takeFocus) => {
      const basis = Number(chosen.value);
      tree.each((node) => { node.value = node.data[2][basis]; });
      const width = Math.max(holder.clientWidth, 200);
      d3.partition().size([1, tree.height + 1])(tree);
      const above = focus.ancestors().slice(1).reverse();
      const span = focus.x1 - focus.x0;
      const scale = span > 0 ? (width - 2) / span : 0;
      const nodes = focus.descendants().filter((n) =>
        n.depth < focus.depth + LEVELS && (n === focus || (n.x1 - n.x0) * scale >= 1.5));
      const bottom = nodes.reduce((deepest, n) => Math.max(deepest, n.depth), 0);
      drawn = new Set([...above, ...nodes]);
      if (!drawn.has(active)) active = focus;
      const boxes = [
        ...above.map((n) => ({ n, x: 0, w: width - 2 })),
        ...nodes.map((n) => ({
          n,
          x: n === focus ? 0 : (n.x0 - focus.x0) * scale,
          w: n === focus ? width - 2 : (n.x1 - n.x0) * scale,
        })),
      ];
      svg.attr("viewBox", `0 0 ${width} ${(bottom + 1) * ROW + 2}`).attr("height", (bottom + 1) * ROW + 2);
      const groups = svg.selectAll("g").data(boxes, (box) => pathOf(box.n) + box.n.depth).join((enter) => {
        const g = enter.append("g").attr("role", "button");
        g.append("title");
        g.append("rect");
        g.append("text");
        return g;
      });
      const words = (n) => `${pathOf(n)}: ${prefixed(n.value)} ${data.bases[basis]}`
        + `, ${tree.value ? percent(n.value / tree.value) : "0 %"} of the model`;
      groups.attr("transform", (box) => `translate(${box.x + 1},${box.n.depth * ROW + 1})`)
        .attr("tabindex", (box) => (box.n === active ? 0 : -1))
        .attr("aria-label", (box) => words(box.n) + (box.n.children ? "" : ", no parts"));
      groups.select("title").text((box) => words(box.n));
      groups.select("rect").attr("width", (box) => Math.max(box.w, 0)).attr("height", ROW - 1)
        .attr("fill", (box) => data.kinds[box.n.data[1]][1]);
      groups.select("text").attr("x", 5).attr("y", ROW / 2 + 4)
        .attr("fill", (box) => data.kinds[box.n.data[1]][2])
        .text((box) => {
          const room = Math.floor((box.w - 8) / 6.6);
          const name = box.n.data[0];
          return room < 2 ? "" : name.length <= room ? name : room < 4 ? "" : `${name.slice(0, room - 1)}…`;
        });
      groups.on("click", (_, box) => zoom(box.n)).on("keydown", (event, box) => key(event, box.n));
      if (takeFocus) groups.filter((box) => box.n === active).node()?.focus();
      out.disabled = !focus.parent;
      where.textContent = words(focus);
    };
    const zoom = (node, takeFocus) => {
      active = focus = node === focus && node.parent ? node.parent : node;
      draw(takeFocus);
    };
    const key = (event, node) => {
      // Boxes too thin to be drawn are passed over.
      const siblings = (node.parent ? node.parent.children : [node]).filter((n) => drawn.has(n));
      const beside = (step) => siblings[siblings.indexOf(node) + step];
      const moves = {
        ArrowUp: node.parent,
        ArrowDown: node.children?.find((child) => drawn.has(child)),
        ArrowLeft: beside(-1),
        ArrowRight: beside(1),
      };
      if (event.key === "Enter" || event.key === " ") zoom(node, true);
      else if (event.key === "Escape" && focus.parent) zoom(focus.parent, true);
      else if (moves[event.key]) {
        active = moves[event.key];
        draw(true);
      } else return;
      event.preventDefault();
    };
    out.addEventListener("click", () => { if (focus.parent) zoom(focus.parent); });
    chosen.addEventListener("change", () => draw());
    addEventListener("resize", () => draw());
    const legend = make("ul", "key");
    const used = new Set(tree.descendants().map((node) => node.data[1]));
    data.kinds.forEach(([name, colour], i) => {
      if (!used.has(i)) return;
      const item = make("li");
      const swatch = make("i");
      swatch.style.background = colour;
      item.append(swatch, name);
      legend.append(item);
    });
    holder.append(legend);
    draw();
  }
})();
