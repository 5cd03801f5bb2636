import { describe, expect, test } from 'vitest';
import { checkArchitecture, importsOf, type PartRule, type SourceFile } from './architecture-rules.js';

const rules: Readonly<Record<string, PartRule>> = {
  kernel: { parts: [], packages: [], node: false },
  training: { parts: ['kernel'], packages: [], node: true },
  queues: { parts: ['training'], packages: ['bullmq', '@scope/name'], node: true },
  'services/worker': { parts: ['queues', 'training'], packages: [], node: true },
  'services/coordinator': { parts: ['queues'], packages: [], node: true },
  cli: { parts: ['training'], packages: [], node: true, starts: ['services/worker'] },
};

const sound: readonly SourceFile[] = [
  { path: 'packages/kernel/src/index.ts', text: "export { fold } from './fold.js';\n" },
  { path: 'packages/kernel/src/fold.ts', text: 'export const fold = 1;\n' },
  { path: 'packages/training/src/index.ts', text: "import { fold } from '#kernel';\nexport const x = fold;\n" },
  { path: 'packages/queues/src/index.ts', text: "import { Queue } from 'bullmq';\nimport '@scope/name/deep';\n" },
  { path: 'services/worker/src/main.ts', text: "import { q } from '#queues';\nimport fs from 'node:fs';\n" },
  { path: 'cli/src/main.ts', text: "const proto = new URL('../../../proto/a.proto', import.meta.url);\n" },
];

/** The sound tree with one more file, and what the checker says of it. */
function messagesWith(path: string, text: string): readonly string[] {
  return checkArchitecture([...sound, { path, text }], rules).map(({ rule, message }) => `${rule}: ${message}`);
}

test('a sound tree breaks no rule', () => {
  expect(checkArchitecture(sound, rules)).toEqual([]);
});

describe('the checker finds', () => {
  test.each([
    [
      'an arrow that is not in the table',
      'packages/training/src/a.ts',
      "import { q } from '#queues';\n",
      'arrow: "training" may not import "queues"',
    ],
    [
      'an arrow of a type import',
      'packages/training/src/a.ts',
      "import type { Q } from '#queues';\n",
      'arrow: "training" may not import "queues"',
    ],
    [
      'an arrow of an import over several lines',
      'cli/src/a.ts',
      "import {\n  a,\n  b,\n} from '#queues';\n",
      'arrow: "cli" may not import "queues"',
    ],
    [
      'an arrow of a re-export',
      'cli/src/a.ts',
      "export { q } from '#queues';\n",
      'arrow: "cli" may not import "queues"',
    ],
    [
      'an arrow of a dynamic import',
      'cli/src/a.ts',
      "const q = await import('#queues');\n",
      'arrow: "cli" may not import "queues"',
    ],
    [
      'a third-party package',
      'packages/training/src/a.ts',
      "import { z } from 'zod';\n",
      'package: "training" may not import the package "zod"',
    ],
    [
      'a scoped package',
      'cli/src/a.ts',
      "import { z } from '@grpc/grpc-js';\n",
      'package: "cli" may not import the package "@grpc/grpc-js"',
    ],
    [
      'Node in a part that may import nothing',
      'packages/kernel/src/a.ts',
      "import { a } from 'node:os';\n",
      'node: "kernel" may import nothing, not even node:os',
    ],
    [
      'Node without its prefix',
      'packages/kernel/src/a.ts',
      "import { a } from 'os';\n",
      'node: "kernel" may import nothing, not even os',
    ],
    [
      'a path into another part',
      'cli/src/a.ts',
      "import { f } from '../../packages/kernel/src/fold.js';\n",
      'deep: ../../packages/kernel/src/fold.js reaches into "kernel" past its index',
    ],
    [
      'a service that imports the other',
      'services/worker/src/a.ts',
      "import { f } from '../../coordinator/src/main.js';\n",
      'deep: ../../coordinator/src/main.js reaches into "services/coordinator" past its index',
    ],
    [
      'a file of another part by URL',
      'cli/src/a.ts',
      "new URL('../../packages/kernel/src/fold.js', import.meta.url);\n",
      'deep: ../../packages/kernel/src/fold.js reaches into "kernel" past its index',
    ],
    ['a file that is too long', 'cli/src/a.ts', 'x;\n'.repeat(401), 'length: 401 lines, at most 400'],
    ['a folder named after nothing', 'cli/src/utils/a.ts', '', 'name: "utils" says nothing about what is in it'],
    ['a file named after nothing', 'cli/src/helpers.ts', '', 'name: "helpers" says nothing about what is in it'],
    ['a default export', 'cli/src/a.ts', 'export default 1;\n', 'export: a default export'],
    ['export *', 'cli/src/a.ts', "export * from './b.js';\n", 'export: "export *" hides what a part promises'],
    [
      'an import that cannot be checked',
      'cli/src/a.ts',
      'await import(name);\n',
      'export: a computed import cannot be checked',
    ],
    [
      'a second index',
      'packages/kernel/src/maths/index.ts',
      '',
      'index: its one index.ts is src/index.ts, found packages/kernel/src/index.ts, packages/kernel/src/maths/index.ts',
    ],
    ['a part nobody made a rule for', 'packages/magic/src/index.ts', '', 'unknown-part: no rule for the part "magic"'],
  ])('%s', (_what, path, text, message) => {
    expect(messagesWith(path, text)).toEqual([message]);
  });

  test('a package without an index', () => {
    const without = sound.filter(({ path }) => path !== 'packages/training/src/index.ts');
    const tree = [...without, { path: 'packages/training/src/a.ts', text: '' }];
    expect(checkArchitecture(tree, rules)).toMatchObject([{ rule: 'index', path: 'packages/training' }]);
  });

  test('a cycle, even of arrows that are allowed one by one', () => {
    const kernel = { parts: ['training'], packages: [], node: false };
    const backwards = { path: 'packages/kernel/src/a.ts', text: "import { x } from '#training';\n" };
    const found = checkArchitecture([...sound, backwards], { ...rules, kernel });
    expect(found).toMatchObject([{ rule: 'cycle', message: 'kernel -> training -> kernel' }]);
  });
});

test('what a part starts as a process it may name but not import', () => {
  const start = "new URL('../../services/worker/src/main.js', import.meta.url);\n";
  expect(messagesWith('cli/src/a.ts', start)).toEqual([]);
  expect(messagesWith('cli/src/a.ts', start.replace('worker', 'coordinator'))).toHaveLength(1);
  expect(messagesWith('cli/src/a.ts', "import { f } from '../../services/worker/src/main.js';\n")).toHaveLength(1);
});

test('tests and fixtures may import what they like', () => {
  expect(messagesWith('packages/kernel/src/a.test.ts', "import fc from 'fast-check';\n")).toEqual([]);
  expect(messagesWith('packages/kernel/src/a.fixture.ts', "import { q } from '#queues';\n")).toEqual([]);
});

test('an import in a comment is none', () => {
  expect(importsOf("/**\n * import { a } from 'x';\n */\n// import 'y';\n")).toEqual([]);
});

test('one statement does not borrow the source of the next', () => {
  expect(importsOf("export const a = 1;\nimport { b } from 'b';\n")).toEqual([{ by: 'import', specifier: 'b' }]);
});
