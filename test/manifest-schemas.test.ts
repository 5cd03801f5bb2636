/** Every rendered object against the schema and the types of its kind: together they find a wrong value and a wrong field. */
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { unpackKubectl } from './support/kubectl.js';
import { knownObjects, schemaError, typeErrors } from './support/manifest-schemas.js';
import { renderWith, VARIANTS } from './support/manifests.js';

const kubectl = unpackKubectl((folder) => rmSync(folder, { recursive: true, force: true }));
if (kubectl === undefined) console.error('! manifests are not tested: this machine cannot unzip and run kubectl');
afterAll(() => kubectl?.[Symbol.dispose]());
const DEADLINE_MS = 120_000;

// reason for the skip: this machine cannot unzip and run kubectl; said above
describe.skipIf(kubectl === undefined)('what kubectl renders', () => {
  const rendered = VARIANTS.map(({ overlay, components }) =>
    knownObjects(kubectl === undefined ? [] : renderWith(kubectl, overlay, components)),
  );

  test('is valid by the schema of each kind', () => {
    expect(rendered.flat().length).toBeGreaterThan(60);
    expect(
      rendered
        .flat()
        .map(schemaError)
        .filter((error) => error !== undefined),
    ).toEqual([]);
  });

  test('has no field that its kind does not know', () => expect(typeErrors(rendered.flat())).toBe(''), DEADLINE_MS);

  test(
    'would be found wrong: a text for a number by the schema, a misspelt field by the types',
    () => {
      const worker = rendered[0]?.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === 'worker');
      if (worker === undefined) throw new Error('no worker is rendered');
      const spec = worker.spec as Readonly<Record<string, unknown>>;
      expect(schemaError({ ...worker, spec: { ...spec, replicas: 'three' } })).toMatch(/replicas must be integer/);
      expect(schemaError({ ...worker, spec: { ...spec, replicaz: 3 } })).toBeUndefined();
      expect(typeErrors([{ ...worker, spec: { ...spec, replicaz: 3 } }])).toMatch(/replicaz.* does not exist in type/);
    },
    DEADLINE_MS,
  );
});
