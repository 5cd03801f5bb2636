/** What the documents claim, held against what is built. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { jobJsonSchema } from '#job';
import { createCoordinatorMetrics, createWorkerMetrics, SPAN_NAMES } from '#telemetry';
import { type ErrorCode, exitCodeOf } from '#training';
import { type KnownCommand, knownCommands } from '../cli/src/command-line/known-commands.js';
import { buildProgram } from '../cli/src/command-line/program.js';
import { recordContext } from '../cli/src/terminal.fixture.js';
import {
  anchorsOf,
  codeSections,
  commandLinesOf,
  fieldsIn,
  interfaceBody,
  linksOf,
  markdownFiles,
  pathsOf,
  readText,
  tableRows,
  unionMembers,
} from './support/documents.js';

/** dist/test/docs.test.js -> the checkout. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const documents = markdownFiles(root);

describe.each(documents)('%s', (path) => {
  const text = readText(root, path);

  test('every link leads somewhere', () => {
    const broken = linksOf(text).filter((target) => {
      if (/^https?:/.test(target)) return false;
      const [file = '', anchor] = target.split('#');
      const linked = file === '' ? path : normalize(join(dirname(path), file));
      if (!existsSync(join(root, linked))) return true;
      return anchor !== undefined && linked.endsWith('.md') && !anchorsOf(readText(root, linked)).has(anchor);
    });
    expect(broken).toEqual([]);
  });

  test('every file and folder it names is there', () => {
    const missing = pathsOf(text).filter((named) => {
      const found = join(root, named);
      return !existsSync(found) || (named.endsWith('/') && !statSync(found).isDirectory());
    });
    expect(missing).toEqual([]);
  });

  test('every command it shows exists', () => {
    const shown = [...text.matchAll(/(?:`|^ *|npx )ropeteam ([a-z]+)\b/gm)].map(([, word]) => word ?? '');
    expect(shown.filter((word) => !commands().includes(word))).toEqual([]);
  });

  test('every option it shows in a shell block exists, of that command', () => {
    const unknown = commandLinesOf(text).filter(({ command, options }) =>
      options.some((option) => !optionsOf(command).has(option)),
    );
    expect(unknown).toEqual([]);
  });
});

test('README.md lists every command, and none that is not there', () => {
  const section = /^## Commands$([\s\S]*?)^## /m.exec(readText(root, 'README.md'))?.[1] ?? '';
  const listed = tableRows(section).map(({ key }) => key.split(' ')[0] ?? '');
  expect(listed.toSorted(byText)).toEqual(commands().toSorted(byText));
});

describe('docs/job-file.md', () => {
  const rows = tableRows(readText(root, 'docs/job-file.md'));
  const settings = settingsOf(jobJsonSchema(), '');

  test('names every setting of the schema once, and no other', () => {
    expect(rows.map(({ key }) => key).toSorted(byText)).toEqual([...settings.keys()].toSorted(byText));
  });

  test.each([...settings])('%s has the default and the choices of the schema', (key, { fallback, choices }) => {
    const cells = rows.find((row) => row.key === key)?.cells ?? [];
    const shownDefault = /^`(.*)`$/.exec(cells[1] ?? '')?.[1];
    expect(shownDefault === undefined ? undefined : asValue(shownDefault)).toEqual(fallback);
    expect(choices.filter((choice) => !cells.join(' ').includes(`\`${choice}\``))).toEqual([]);
  });
});

describe('docs/events.md', () => {
  const sections = codeSections(readText(root, 'docs/events.md'));
  const source = readText(root, 'packages/training/src/events.ts');
  const errors = readText(root, 'packages/training/src/errors.ts');
  const union = source.slice(source.indexOf('export type RunEventBody'), source.indexOf('export type RunEvent ='));
  const events = unionMembers(union, 'event');
  const types = ['Metrics', 'FinalMetrics', 'ClassFigures', 'Kept', 'StepPhases', 'WorkerMeasure', 'RunSummary'];
  const report = readText(root, 'packages/training/src/class-report.ts');

  test('describes every event and type, and no other', () => {
    expect([...sections.keys()].toSorted(byText)).toEqual([...events.keys(), ...types].toSorted(byText));
  });

  test.each([...events])('%s: every field, and no other', (name, text) => {
    const body = text.slice(0, endOfObject(text));
    // `run_failed` closes its object before it borrows fields from the envelope.
    const picked = /^[^{]*Pick<\s*ErrorEnvelope,([^>]*)>/.exec(text.slice(body.length))?.[1] ?? '';
    const envelope = fieldsIn(interfaceBody(errors, 'ErrorEnvelope'));
    const fromEnvelope = envelope.filter((field) => picked.includes(`'${field.replace('?', '')}'`));
    expect(fieldsOfSection(name)).toEqual([...fieldsIn(body), ...fromEnvelope].toSorted(byText));
  });

  test.each(types)('%s: every field, and no other', (name) => {
    expect(fieldsOfSection(name)).toEqual(
      fieldsIn(interfaceBody(name === 'ClassFigures' ? report : source, name)).toSorted(byText),
    );
  });

  function fieldsOfSection(name: string): readonly string[] {
    return tableRows(sections.get(name) ?? '')
      .map(({ key }) => key)
      .toSorted(byText);
  }
});

describe('docs/errors.md', () => {
  const rows = tableRows(readText(root, 'docs/errors.md'));
  const facts = interfaceBody(readText(root, 'packages/training/src/errors.ts'), 'ErrorFacts');
  const codes = [...facts.matchAll(/^\s*'([A-Z_.]+)':/gm)].map(([, code]) => code as ErrorCode);

  test('explains every code once, and no other', () => {
    expect(codes.length).toBeGreaterThan(30);
    expect(rows.map(({ key }) => key).toSorted(byText)).toEqual(codes.toSorted(byText));
  });

  test.each(codes)('%s has its exit code, a meaning and something to do', (code) => {
    const [exitCode, meaning = '', remedy = ''] = rows.find(({ key }) => key === code)?.cells ?? [];
    expect(exitCode).toBe(String(exitCodeOf(code)));
    expect(Math.min(meaning.length, remedy.length)).toBeGreaterThan(10);
  });
});

test('docs/logs-and-traces.md names every span, and no other', () => {
  const rows = tableRows(readText(root, 'docs/logs-and-traces.md'));
  expect(rows.map(({ key }) => key).toSorted(byText)).toEqual([...SPAN_NAMES].toSorted(byText));
});

test('docs/README.md leads to every document beside it', () => {
  const linked = linksOf(readText(root, 'docs/README.md'));
  const beside = documents.filter((path) => dirname(path) === 'docs' && path !== 'docs/README.md');
  expect(beside.map((path) => path.slice('docs/'.length)).filter((name) => !linked.includes(name))).toEqual([]);
});

describe('docs/metrics.md', () => {
  test('names every metric once, with its type and help text, and no other', async () => {
    const build = { version: '0', kernel: 'js/1' };
    const text = readText(root, 'docs/metrics.md');
    for (const [service, metrics] of [
      ['Coordinator', createCoordinatorMetrics(build)],
      ['Worker', createWorkerMetrics(build, 1)],
    ] as const) {
      const exposed = await metrics.text();
      const helps = new Map([...exposed.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => [name, help]));
      const types = [...exposed.matchAll(/^# TYPE (ropeteam_\S+) (\S+)$/gm)];
      const section = new RegExp(`^## ${service}$([\\s\\S]*?)^## `, 'm').exec(text)?.[1] ?? '';
      const shown = tableRows(section).map(({ key, cells }) => [key, cells[0], cells[2]]);
      const served = types.map(([, name, type]) => [name, type, helps.get(name)]);
      expect(served.length).toBeGreaterThan(10);
      expect(shown).toEqual(served);
    }
  });
});

/** The order of code points: `sort` on its own is for anything, and the linter wants to know. */
function byText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** One setting of the schema. */
interface Setting {
  /** Undefined where there is none, or where it is a group that fills itself in. */
  readonly fallback: string | number | boolean | undefined;
  readonly choices: readonly (string | number)[];
}

interface SchemaNode {
  readonly default?: unknown;
  readonly const?: string;
  readonly enum?: readonly (string | number)[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
}

/** Every setting that can be written, by its path: `train.optimizer.adam.beta1`, `model.layers[].dense`. Groups too. */
function settingsOf(node: SchemaNode, path: string): ReadonlyMap<string, Setting> {
  const found = new Map<string, Setting>();
  const forms = [node, ...(node.anyOf ?? [])];
  for (const form of forms) {
    for (const [name, child] of Object.entries(form.properties ?? {})) {
      const childPath = path === '' ? name : `${path}.${name}`;
      const group = child.properties !== undefined && Object.keys(child.properties).length > 0;
      if (!group) found.set(childPath, settingOf(child));
      for (const [below, setting] of settingsOf(child, childPath)) found.set(below, setting);
    }
    if (form.items !== undefined)
      for (const [below, setting] of settingsOf(form.items, `${path}[]`)) found.set(below, setting);
  }
  return found;
}

function settingOf(node: SchemaNode): Setting {
  const { default: fallback } = node;
  const scalar = typeof fallback === 'string' || typeof fallback === 'number' || typeof fallback === 'boolean';
  const forms = [node, ...(node.anyOf ?? []), ...(node.items?.anyOf ?? [])];
  const named = forms.flatMap((form) => [...(form.enum ?? []), ...(form.const === undefined ? [] : [form.const])]);
  return { fallback: scalar ? fallback : undefined, choices: named.filter((choice) => typeof choice === 'string') };
}

/** As YAML would read it. */
function asValue(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return Number.isNaN(Number(text)) ? text : Number(text);
}

/** The `}` that closes the object a text is inside of. */
function endOfObject(text: string): number {
  let depth = 1;
  for (const [index, character] of [...text].entries()) {
    depth += character === '{' ? 1 : character === '}' ? -1 : 0;
    if (depth === 0) return index;
  }
  return text.length;
}

/** Options by command: `train`, and `certs issue` for those of `certs`. */
const known = new Map<string, ReadonlySet<string>>();

function optionsOf(command: string): ReadonlySet<string> {
  if (known.size === 0) {
    const note = (found: readonly KnownCommand[], above: string): void => {
      for (const { name, options, commands: below } of found) {
        known.set(above + name, new Set(options.map((option) => option.name)));
        note(below, `${above}${name} `);
      }
    };
    note(knownCommands(buildProgram(recordContext().context, () => undefined)), '');
  }
  return known.get(command) ?? new Set();
}

/** The commands of the command line. */
function commands(): readonly string[] {
  optionsOf('');
  return [...known.keys()].filter((name) => !name.includes(' '));
}
