/** The how-to's commands, as far as they can be checked without a cluster: what they name must be there. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CHECKOUT, runCommand } from './support/command.js';
import { readText } from './support/documents.js';
import { type Manifest, unpackKubectl } from './support/kubectl.js';

const kubectl = unpackKubectl((folder) => rmSync(folder, { recursive: true, force: true }));
if (kubectl === undefined) console.error('! the how-to is not tested: this machine cannot unzip and run kubectl');
afterAll(() => kubectl?.[Symbol.dispose]());

/** Lines of all shell blocks, continued ones joined, without comments; a pipe's parts are lines of their own. */
function commandsOf(text: string): readonly string[] {
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
    .flatMap(([, block = '']) => block.replaceAll(/\\\n\s*/g, '').split('\n'))
    .flatMap((line) => line.replace(/\s+#.*$| &$/, '').split(' | '))
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

const documents = ['docs/kubernetes.md'];
const commands = documents.flatMap((document) => commandsOf(readText(CHECKOUT, document)));
const overlays = commands.flatMap((command) => /^kubectl apply -k (\S+)$/.exec(command)?.[1] ?? []);
const OPTIONS_WITH_VALUE = /\s--?(?:n|namespace|f|k)[ =]\S+/g;

test('there is a way from an empty cluster to a board: every step is a command', () => {
  const steps = [/^docker build/, /^kind create/, /redis-secret\.sh$/, /overlays\/dev$/, /ropeteam submit/, /grafana/];
  expect(steps.filter((step) => !commands.some((command) => step.test(command)))).toEqual([]);
});

// reason for the skip: this machine cannot unzip and run kubectl; said above
describe.skipIf(kubectl === undefined)('kubectl', () => {
  const objects = overlays.flatMap((path): readonly Manifest[] => kubectl?.render(join(CHECKOUT, path)) ?? []);
  const there = new Set(objects.map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`));

  test('applies overlays that render', () => {
    expect(overlays.length).toBeGreaterThanOrEqual(4);
    expect(objects.length).toBeGreaterThan(overlays.length * 10);
  });

  test('names objects that are rendered, in their namespace', () => {
    const ours = commands.filter((command) => command.startsWith('kubectl -n ropeteam'));
    const named = ours.flatMap((command) => [...command.matchAll(/\b(?:deployment|statefulset|service|job)\/[\w-]+/g)]);
    expect(named.length).toBeGreaterThan(5);
    expect(named.map(([name]) => name).filter((name) => !there.has(name))).toEqual([]);
    expect(objects.filter(({ kind, metadata }) => kind !== 'Namespace' && metadata.namespace !== 'ropeteam')).toEqual(
      [],
    );
  });

  test('is asked in words that it has', () => {
    const asked = commands.filter((command) => command.startsWith('kubectl '));
    const verbs = asked.map((command) => command.replaceAll(OPTIONS_WITH_VALUE, '').split(/\s+/).slice(1, 3));
    for (const [verb = '', second = ''] of verbs) {
      const words = ['create', 'rollout'].includes(verb) ? [verb, second] : [verb];
      expect(kubectl?.help(words), words.join(' ')).toContain('Usage:');
    }
  });
});

test('files that the commands name are in the checkout', () => {
  const paths = commands.flatMap((command) => command.match(/\b(?:deploy|examples)\/[\w./-]+/g) ?? []);
  expect(paths.length).toBeGreaterThan(6);
  expect(paths.filter((path) => !existsSync(join(CHECKOUT, path)))).toEqual([]);
});

const own = commands.filter((command) => command.startsWith('npx ropeteam '));
test.each([...new Set(own)])('%s: the command has these options', async (command) => {
  const [, , ...words] = command.split(/\s+/);
  const firstOption = words.findIndex((word) => word.startsWith('--'));
  const { code, stdout } = await runCommand([...words.slice(0, firstOption === -1 ? 1 : firstOption), '--help']);
  expect(code).toBe(0);
  for (const option of words.filter((word) => word.startsWith('--'))) expect(stdout).toContain(option.split('=')[0]);
});
