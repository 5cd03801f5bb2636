import { expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { parseJob } from './parse-job.js';
import { allKeys, alternatives, jobShape, keysAt, parentsOf, type Shape } from './schema-shape.js';
import { nearest } from './suggest.js';

const letters = 'abcdefghijklmnopqrstuvwxyz';

/** Every word one edit away: a letter left out, doubled, put in, replaced, or exchanged with its neighbour. */
function typosOf(word: string): readonly string[] {
  const typos = new Set<string>();
  for (let at = 0; at <= word.length; at++) {
    const [before, after] = [word.slice(0, at), word.slice(at)];
    typos.add(before + after.slice(1));
    typos.add(before + after.slice(1, 2) + after.slice(0, 1) + after.slice(2));
    for (const letter of letters) {
      typos.add(before + letter + after);
      if (after !== '') typos.add(before + letter + after.slice(1));
    }
  }
  typos.delete(word);
  typos.delete('');
  return [...typos];
}

test('at least 95 % of all one-edit typos of every key get that key suggested where it belongs', () => {
  const missed: string[] = [];
  let tried = 0;
  for (const key of allKeys()) {
    for (const parent of parentsOf(key)) {
      const here = keysAt(parent);
      for (const typo of typosOf(key)) {
        if (here.includes(typo)) continue;
        tried++;
        if (nearest(typo, here) !== key) missed.push(typo);
      }
    }
  }
  expect(tried).toBeGreaterThan(10_000);
  expect(missed.length / tried, missed.slice(0, 50).join(' ')).toBeLessThan(0.05);
});

/** A job that has every group of the schema, so that a typo can be put into any of them. */
const complete = {
  apiVersion: 'ropeteam/v1',
  name: 'x',
  data: { source: 'a.csv', target: 'y', split: {} },
  model: { layers: [{ dense: 4 }] },
  train: { optimizer: {}, schedule: {}, stop: {} },
  checkpoint: {},
};

test('a typo of any key, put into its group of a job file, is answered with that key', () => {
  let asked = 0;
  const wrong: string[] = [];
  for (const key of allKeys()) {
    for (const parent of parentsOf(key)) {
      for (const typo of [`${key}x`, key.slice(0, -1), `${key.slice(1, 2)}${key.slice(0, 1)}${key.slice(2)}`]) {
        if (typo === key || typo === '' || allKeys().includes(typo)) continue;
        asked++;
        const text = JSON.stringify(withKey(complete, parent, typo));
        const hint = hintFor(text, typo);
        if (hint?.includes(`"${key}"`) !== true) wrong.push(`${parent.join('.')}.${typo}: ${hint ?? 'nothing'}`);
      }
    }
  }
  expect(asked).toBeGreaterThan(100);
  expect(wrong.length / asked, wrong.join('\n')).toBeLessThan(0.05);
});

function withKey(value: unknown, [step, ...rest]: readonly (string | number)[], key: string): unknown {
  if (step === undefined) return { ...(typeof value === 'object' ? value : {}), [key]: 1 };
  if (Array.isArray(value)) return value.map((item, index) => (index === step ? withKey(item, rest, key) : item));
  const group = (typeof value === 'object' ? value : {}) as Record<string, unknown>; // made above from plain groups
  return { ...group, [step]: withKey(group[step] ?? {}, rest, key) };
}

function hintFor(text: string, key: string): string | undefined {
  try {
    parseJob(text, 'job.yaml');
  } catch (error) {
    if (!(error instanceof RopeteamError)) throw error;
    const all = error.problems.length > 0 ? error.problems : [error];
    return all.find((problem) => problem.message.includes(`unknown setting "${key}"`))?.hint;
  }
  return undefined;
}

test('a word far from every key gets no suggestion', () => {
  expect(nearest('kubernetes', allKeys())).toBeUndefined();
  expect(nearest('x', ['to'])).toBeUndefined();
});

test('every key has a description, and a default or an example unless it holds nothing but defaults', () => {
  const bare: string[] = [];
  const walk = (shape: Shape, path: string): void => {
    for (const one of alternatives(shape)) {
      for (const [key, below] of Object.entries(one.properties ?? {})) {
        const here = `${path}.${key}`;
        if (below.description === undefined) bare.push(`${here}: description`);
        if (below.default === undefined && below.examples === undefined) bare.push(`${here}: example`);
        walk(below, here);
      }
      if (one.items !== undefined) walk(one.items, `${path}[]`);
    }
  };
  walk(jobShape, '');
  expect(bare).toEqual([]);
});
