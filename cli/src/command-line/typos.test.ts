/** Slips of the keyboard in commands, options and settings: how often is the right word suggested? */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jobJsonSchema, nearest } from '#job';
import { reportFailure } from '../failure.js';
import { recordContext } from '../terminal.fixture.js';
import { runCommandLine } from './program.js';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** Every word one edit away: a letter left out, put in, exchanged for another or for its neighbour. */
function slips(word: string, from: number): readonly string[] {
  const all = new Set<string>();
  for (let at = from; at <= word.length; at++) {
    const [before, after] = [word.slice(0, at), word.slice(at)];
    for (const letter of LETTERS) {
      all.add(before + letter + after);
      if (after !== '') all.add(before + letter + after.slice(1));
    }
    all.add(before + after.slice(1));
    if (after.length > 1) all.add(before + after[1] + after[0] + after.slice(2));
  }
  all.delete(word);
  return [...all];
}

/** A few hundred, always the same. */
function drawn(words: readonly string[], from: number): readonly { word: string; typo: string }[] {
  const known = new Set(words);
  const all = words.flatMap((word) => slips(word, from).map((typo) => ({ word, typo })));
  const wrong = all.filter(({ typo }) => typo.length > from && !known.has(typo));
  return fc.sample(fc.constantFrom(...wrong), { numRuns: 400, seed: 1 });
}

async function suggestionFor(words: readonly string[]): Promise<string> {
  const { context, terminal, talk } = recordContext();
  await runCommandLine(words, context).catch((error: unknown) =>
    reportFailure(error, terminal, { debug: false, commandName: 'ropeteam' }),
  );
  return talk();
}

async function helpOf(words: readonly string[]): Promise<string> {
  const { context, terminal, results } = recordContext();
  await runCommandLine(words, context).catch((error: unknown) =>
    reportFailure(error, terminal, { debug: false, commandName: 'ropeteam' }),
  );
  return results();
}

describe('at least 95 of 100 words with one slip get the right word', () => {
  test('of commands', async () => {
    const help = await helpOf([]);
    const commands = [...help.matchAll(/^ {2}([a-z]+)(?= {2}| [<[])/gm)].map(([, name]) => name ?? '');
    expect(commands.length).toBeGreaterThan(15);
    const cases = drawn(commands, 0);
    let right = 0;
    for (const { word, typo } of cases) if ((await suggestionFor([typo])).includes(word)) right++;
    expect(right / cases.length).toBeGreaterThanOrEqual(0.95);
  });

  test('of options', async () => {
    const options = [...(await helpOf(['train', '--help'])).matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(
      ([, name]) => name ?? '',
    );
    expect(options.length).toBeGreaterThan(10);
    const cases = drawn(options, 2);
    let right = 0;
    for (const { word, typo } of cases) if ((await suggestionFor(['train', 'job', typo])).includes(word)) right++;
    expect(right / cases.length).toBeGreaterThanOrEqual(0.95);
  });

  test('of settings of a job', () => {
    const keys = [
      ...JSON.stringify(jobJsonSchema()).matchAll(/"([a-zA-Z]{3,})":\{"(?:description|default|type|anyOf)"/g),
    ];
    const settings = [...new Set(keys.map(([, key]) => key ?? ''))];
    expect(settings.length).toBeGreaterThan(20);
    const cases = drawn(settings, 0);
    const right = cases.filter(({ word, typo }) => nearest(typo, settings) === word).length;
    expect(right / cases.length).toBeGreaterThanOrEqual(0.95);
  });
});
