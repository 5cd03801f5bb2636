/** Which part may import which, and the other rules of the house that a program can check. Reads sources, not outputs. */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, posix, sep } from 'node:path';

export interface PartRule {
  /** Parts whose index this one may import. */
  readonly parts: readonly string[];
  /** Packages from the registry. */
  readonly packages: readonly string[];
  /** False: not even what Node brings. */
  readonly node: boolean;
  /** Parts it starts as processes: their files may be named by URL, but not imported. */
  readonly starts?: readonly string[];
}

export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
}

export interface Violation {
  readonly path: string;
  readonly rule:
    | 'arrow'
    | 'package'
    | 'node'
    | 'deep'
    | 'cycle'
    | 'length'
    | 'name'
    | 'export'
    | 'index'
    | 'unknown-part';
  readonly message: string;
}

const LONGEST_FILE = 400;
const NAMELESS = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'misc', 'core', 'shared']);
const ROOTS = ['packages', 'services', 'cli'];
const BUILTIN = new Set(builtinModules);

/** What a reader opens besides TypeScript: the rule of its length holds for it too. */
const OTHER_SOURCES = /\.(css|proto|mjs)$/;

/** Style sheets, .proto files and scripts below `root` that are longer than a file may be. */
export function findLongFiles(root: string): readonly Violation[] {
  return ['services', 'proto', 'scripts', 'deploy', 'examples'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && OTHER_SOURCES.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .flatMap((path) => checkLength(path.slice(root.length + 1), readFileSync(path, 'utf8'))),
  );
}

/** All TypeScript sources of packages, services and cli below `root`. */
export function readSources(root: string): readonly SourceFile[] {
  return ROOTS.flatMap((folder) => {
    const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts'))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => /[\\/]src[\\/]/.test(path))
      .map((path) => ({
        path: path
          .slice(root.length + 1)
          .split(sep)
          .join('/'),
        text: readFileSync(path, 'utf8'),
      }));
  });
}

/** Everything in `sources` that breaks a rule. Tests and their fixtures may import what they like. */
export function checkArchitecture(
  sources: readonly SourceFile[],
  rules: Readonly<Record<string, PartRule>>,
): readonly Violation[] {
  const arrows = new Map<string, Set<string>>();
  const violations = sources.flatMap((file) => {
    const part = partOf(file.path);
    const rule = rules[part];
    const form = checkForm(file);
    if (rule === undefined) {
      return [...form, { path: file.path, rule: 'unknown-part' as const, message: `no rule for the part "${part}"` }];
    }
    if (isTestCode(file.path)) return form;
    const imports = importsOf(file.text).map((reference) => ({
      ...reference,
      target: resolveImport(file.path, reference.specifier),
    }));
    for (const { target } of imports) {
      if (target.kind === 'part' && target.part !== part) {
        arrows.set(part, (arrows.get(part) ?? new Set()).add(target.part));
      }
    }
    return [...form, ...imports.flatMap((found) => checkImport(file.path, part, rule, found))];
  });
  return [...violations, ...checkIndexes(sources), ...findCycles(arrows)];
}

/** A module that a source names. */
export interface Reference {
  readonly specifier: string;
  readonly by: 'import' | 'url';
}

type Target =
  | { readonly kind: 'part'; readonly part: string; readonly entry: boolean }
  | { readonly kind: 'package'; readonly name: string }
  | { readonly kind: 'node' }
  /** A file that is no source: a .proto, package.json. */
  | { readonly kind: 'other' };

function checkImport(
  path: string,
  part: string,
  rule: PartRule,
  { specifier, target, by }: Reference & { readonly target: Target },
): readonly Violation[] {
  switch (target.kind) {
    case 'node':
      return rule.node ? [] : [{ path, rule: 'node', message: `"${part}" may import nothing, not even ${specifier}` }];
    case 'package':
      if (rule.packages.includes(target.name)) return [];
      return [{ path, rule: 'package', message: `"${part}" may not import the package "${target.name}"` }];
    case 'part':
      if (target.part === part) return [];
      if (by === 'url' && rule.starts?.includes(target.part)) return [];
      if (!target.entry)
        return [{ path, rule: 'deep', message: `${specifier} reaches into "${target.part}" past its index` }];
      if (rule.parts.includes(target.part)) return [];
      return [{ path, rule: 'arrow', message: `"${part}" may not import "${target.part}"` }];
    case 'other':
      return [];
    default:
      return target satisfies never;
  }
}

/** `packages/kernel/src/a.ts` -> `kernel`; `services/worker/src/a.ts` -> `services/worker`; `cli/src/a.ts` -> `cli`. */
function partOf(path: string): string {
  const [root = '', name = ''] = path.split('/');
  return root === 'packages' ? name : root === 'services' ? `services/${name}` : root;
}

function resolveImport(path: string, specifier: string): Target {
  if (specifier.startsWith('#')) return { kind: 'part', part: specifier.slice(1), entry: true };
  if (specifier.startsWith('node:') || BUILTIN.has(specifier)) return { kind: 'node' };
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier);
    const isSource = ROOTS.includes(target.split('/')[0] ?? '') && /\.[jt]s$/.test(target);
    return isSource ? { kind: 'part', part: partOf(target), entry: false } : { kind: 'other' };
  }
  const [scope = '', name = ''] = specifier.split('/');
  return { kind: 'package', name: scope.startsWith('@') ? `${scope}/${name}` : scope };
}

/**
 * Every module a source names: static imports and re-exports, `import()`, `require()`, and files beside it by
 * `new URL('./x.js', import.meta.url)`. The formatter keeps statements at the start of a line, which comments are not;
 * a computed specifier would not be seen, so `checkForm` refuses those.
 */
export function importsOf(text: string): readonly Reference[] {
  const patterns: readonly (readonly [Reference['by'], RegExp])[] = [
    ['import', /^(?:import|export)\s[^'"`;]*?\sfrom\s*['"]([^'"]+)['"]/gm],
    ['import', /^import\s*['"]([^'"]+)['"]/gm],
    ['import', /\b(?:import|require)\(\s*['"`]([^'"`]+)['"`]/g],
    ['url', /\bnew URL\(\s*['"`](\.[^'"`]+)['"`]\s*,\s*import\.meta\.url/g],
  ];
  return patterns.flatMap(([by, pattern]) =>
    [...text.matchAll(pattern)].map((match) => ({ by, specifier: match[1] ?? '' })),
  );
}

function checkLength(path: string, text: string): readonly Violation[] {
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  return lines > LONGEST_FILE ? [{ path, rule: 'length', message: `${lines} lines, at most ${LONGEST_FILE}` }] : [];
}

function checkForm({ path, text }: SourceFile): readonly Violation[] {
  const violations: Violation[] = [...checkLength(path, text)];
  const nameless = path
    .replace(/\.[^/]*$/, '')
    .split('/')
    .find((word) => NAMELESS.has(word));
  if (nameless !== undefined)
    violations.push({ path, rule: 'name', message: `"${nameless}" says nothing about what is in it` });
  if (/^export default\b/m.test(text)) violations.push({ path, rule: 'export', message: 'a default export' });
  if (/^export \*/m.test(text))
    violations.push({ path, rule: 'export', message: '"export *" hides what a part promises' });
  if (/\b(?:import|require)\(\s*[^'"`\s)]/.test(text.replaceAll(/^\s*(?:\*|\/\/|\/\*).*$/gm, ''))) {
    violations.push({ path, rule: 'export', message: 'a computed import cannot be checked' });
  }
  return violations;
}

/** Each package has one entry, `src/index.ts`. */
function checkIndexes(sources: readonly SourceFile[]): readonly Violation[] {
  const packages = [
    ...new Set(sources.filter(({ path }) => path.startsWith('packages/')).map(({ path }) => partOf(path))),
  ];
  return packages.flatMap((part) => {
    const indexes = sources.filter(({ path }) => partOf(path) === part && /(^|\/)index\.ts$/.test(path));
    if (indexes.length === 1 && indexes[0]?.path === `packages/${part}/src/index.ts`) return [];
    const found = indexes.length === 0 ? 'none' : indexes.map(({ path }) => path).join(', ');
    return [
      { path: `packages/${part}`, rule: 'index' as const, message: `its one index.ts is src/index.ts, found ${found}` },
    ];
  });
}

/** Cycles between parts, each told once. */
function findCycles(arrows: ReadonlyMap<string, ReadonlySet<string>>): readonly Violation[] {
  const finished = new Set<string>();
  const violations: Violation[] = [];
  const visit = (part: string, trail: readonly string[]): void => {
    const at = trail.indexOf(part);
    if (at >= 0) {
      const cycle = [...trail.slice(at), part].join(' -> ');
      violations.push({ path: part, rule: 'cycle', message: cycle });
      return;
    }
    if (finished.has(part)) return;
    for (const next of arrows.get(part) ?? []) visit(next, [...trail, part]);
    finished.add(part);
  };
  for (const part of [...arrows.keys()].sort((a, b) => (a < b ? -1 : 1))) visit(part, []);
  return violations;
}

function isTestCode(path: string): boolean {
  return /\.(test|fixture)\.ts$/.test(path);
}
