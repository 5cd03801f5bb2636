/** Making and finding elements. Whatever comes from a run is set as text, never as markup. */

export function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found;
}

export function create(tag: string, text: string, className?: string): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className !== undefined) made.className = className;
  return made;
}

export type Attributes = Readonly<Record<string, string | number>>;

/** An element of SVG. */
export function drawn(tag: string, attributes: Attributes, ...children: readonly (Element | string)[]): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

export type Pairs = readonly (readonly [name: string, value: string])[];

/** Terms and descriptions; of a list of figures each pair in a box of its own. */
export function fill(list: HTMLElement, pairs: Pairs): void {
  const inGroups = list.classList.contains('figures');
  const nodes = pairs.map(([name, value]) => {
    const [term, description] = [create('dt', name), create('dd', value)];
    if (!inGroups) return [term, description];
    const group = create('div', '');
    group.append(term, description);
    return [group];
  });
  replaceIfNew(list, JSON.stringify(pairs), () => nodes.flat());
}

const shown = new WeakMap<HTMLElement, string>();

/** Puts something else into an element only when it is something else: what is selected or focused there stays. */
export function replaceIfNew(into: HTMLElement, key: string, make: () => readonly Node[]): void {
  if (shown.get(into) === key) return;
  shown.set(into, key);
  into.replaceChildren(...make());
}

export interface Cell {
  readonly text: string;
  readonly className?: string;
}

/** A table with its heads; a cell is text or a node. */
export function table(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly (Cell | string | Node)[])[],
): HTMLElement {
  const made = create('table', '');
  const row = create('tr', '');
  for (const title of heads) {
    const head = create('th', title);
    head.setAttribute('scope', 'col');
    row.append(head);
  }
  const [head, body] = [create('thead', ''), create('tbody', '')];
  head.append(row);
  body.append(
    ...rows.map((cells) => {
      const line = create('tr', '');
      line.append(...cells.map(cellOf));
      return line;
    }),
  );
  made.append(create('caption', caption, 'unseen'), head, body);
  return made;
}

function cellOf(cell: Cell | string | Node): HTMLElement {
  if (typeof cell === 'string') return create('td', cell);
  if (cell instanceof HTMLTableCellElement) return cell;
  if (!(cell instanceof Node)) return create('td', cell.text, cell.className);
  const made = create('td', '');
  made.append(cell);
  return made;
}
