/* Collapsed stacks as a tree, and the tree as cells. Pure. */
const NODES_MAX = 100_000;

class Node {
  constructor(name, parent) {
    this.name = name;
    this.label = name.split(" (")[0];
    this.parent = parent;
    this.count = 0;
    this.byName = new Map();
    this.children = [];
    this.shade = 0.14 + 0.05 * (hash(name) % 5);
  }

  child(name) {
    let found = this.byName.get(name);
    if (!found) {
      found = new Node(name, this);
      this.byName.set(name, found);
      this.children.push(found);
    }
    return found;
  }

  /* Percent of samples with a function of that name anywhere on the stack. */
  share(wanted) {
    const within = (node) =>
      node.name.toLowerCase().includes(wanted)
        ? node.count
        : node.children.reduce((sum, child) => sum + within(child), 0);
    return ((100 * within(this)) / (this.count || 1)).toFixed(1);
  }
}

function hash(text) {
  let value = 0;
  for (const letter of text) value = (value * 31 + letter.codePointAt(0)) >>> 0;
  return value;
}

export function buildTree(target, collapsed) {
  const root = new Node(target, null);
  let nodes = 0;
  for (const line of collapsed.split("\n")) {
    const cut = line.lastIndexOf(" ");
    const count = Number(line.slice(cut + 1));
    if (cut <= 0 || !Number.isInteger(count)) continue;
    root.count += count;
    let node = root;
    for (const frame of line.slice(0, cut).split(";")) {
      if (nodes > NODES_MAX) break;
      const before = node.children.length;
      node = node.child(frame);
      nodes += node.parent.children.length - before;
      node.count += count;
    }
  }
  const order = (node) => {
    node.children.sort((a, b) => b.count - a.count);
    node.children.forEach(order);
  };
  order(root);
  return root;
}

/* Cells of the zoomed node, its callers as full rows above it, its callees below. */
export function layout(zoomed, width, row) {
  const cells = [];
  const callers = [];
  for (let node = zoomed.parent; node; node = node.parent) callers.unshift(node);
  callers.forEach((node, depth) => cells.push({ node, x: 0, y: depth * row, width }));
  const place = (node, x, depth, perSample) => {
    const cellWidth = node.count * perSample;
    if (cellWidth < 0.5) return;
    cells.push({ node, x, y: depth * row, width: cellWidth });
    let left = x;
    for (const child of node.children) {
      place(child, left, depth + 1, perSample);
      left += child.count * perSample;
    }
  };
  place(zoomed, 0, callers.length, width / (zoomed.count || 1));
  return cells;
}
