/** Reads what documents claim and what the sources say, so that a test can hold the one against the other. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const NOT_OURS = new Set(['node_modules', 'dist', 'runs', '.git']);

/** Paths of all Markdown files below `root`, relative to it. */
export function markdownFiles(root: string, folder = ''): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter(({ name }) => !NOT_OURS.has(name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return markdownFiles(root, path);
      return entry.isFile() && path.endsWith('.md') ? [path] : [];
    });
}

/** A row of a table whose first cell is code: that code, and the cells behind it. */
export interface TableRow {
  readonly key: string;
  readonly cells: readonly string[];
}

/** Rows of all tables in a text that begin with code; header rows do not. */
export function tableRows(text: string): readonly TableRow[] {
  return text.split('\n').flatMap((line) => {
    const [first, ...cells] = line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('\\|', '|'));
    const key = /^`([^`]+)`$/.exec(first ?? '')?.[1];
    return key === undefined ? [] : [{ key, cells }];
  });
}

/** The text below each heading that is one piece of code (``### `run_started` ``), up to the next heading. */
export function codeSections(text: string): ReadonlyMap<string, string> {
  const sections = text.split(/^#+ /m).slice(1);
  return new Map(
    sections.flatMap((section): [string, string][] => {
      const name = /^`([^`]+)`\s*$/m.exec(section.slice(0, section.indexOf('\n') + 1))?.[1];
      return name === undefined ? [] : [[name, section]];
    }),
  );
}

/** Targets of a document's links and images; code is left out. */
export function linksOf(text: string): readonly string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? '');
}

/** Anchors that a renderer makes of a document's headings. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const headings = text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm);
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{Letter}\p{Number}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-');
  return new Set([...headings].map(([, heading]) => slug(heading ?? '')));
}

/** Files and folders of this repository that a document names in code, for example `packages/kernel/src/kernel.ts`. */
export function pathsOf(text: string): readonly string[] {
  const found = text.matchAll(
    /`((?:packages|services|cli|test|scripts|proto|docs|examples|schema|deploy)\/[\w./@-]*)`/g,
  );
  return [...found].map(([, path]) => path ?? '');
}

/** Fields declared directly in a type's text, in order; `name?` for those that may be absent. */
export function fieldsIn(type: string): readonly string[] {
  let depth = 0;
  let direct = '';
  for (const character of withoutComments(type)) {
    if (character === '}') depth--;
    if (depth === 0) direct += character;
    if (character === '{') depth++;
  }
  return [...direct.matchAll(/\breadonly (\w+\??):/g)].map(([, field]) => field ?? '');
}

/** The body of `export interface Name { … }`. */
export function interfaceBody(source: string, name: string): string {
  const body = new RegExp(`^export interface ${name}(?: extends [\\w, ]+)? \\{\\n([\\s\\S]*?)^\\}`, 'm').exec(
    source,
  )?.[1];
  if (body === undefined) throw new Error(`no interface ${name} in the source`);
  return body;
}

/** The text of a member of a union up to the next: everything that follows one discriminating field. */
export function unionMembers(source: string, discriminator: string): ReadonlyMap<string, string> {
  const parts = withoutComments(source)
    .split(new RegExp(`readonly ${discriminator}: '`))
    .slice(1);
  return new Map(
    parts.map((part): [string, string] => {
      const name = part.slice(0, part.indexOf("'"));
      return [name, part.slice(name.length + 1)];
    }),
  );
}

export function readText(root: string, path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/\/\/.*$/gm, '');
}

/** `ropeteam` as a document's shell blocks call it: the command (two words for `certs`) and the options behind it. */
export function commandLinesOf(
  text: string,
): readonly { readonly command: string; readonly options: readonly string[] }[] {
  const blocks = [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, block]) => block ?? '');
  const lines = blocks.join('\n').replaceAll(/\\\n/g, ' ').split('\n');
  return lines.flatMap((line) =>
    [...line.matchAll(/(?<!-n )\bropeteam (certs [a-z]+|[a-z]+)\b([^#|&;]*)/g)].map(([, command = '', rest = '']) => ({
      command,
      options: [...rest.matchAll(/(?<= )--[a-z-]+/g)].map(([option]) => option),
    })),
  );
}
