/** The how-tos on data of one's own and on recovering a run: their commands as they stand, in a folder with such data. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startCommand } from '../support/command.js';
import { blocksOf, CHECKOUT, hashIn, runBlock } from '../support/shell-blocks.js';

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-how-to-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Houses whose price, in units of 100,000, follows from size, age and town, and a little from nothing. */
function houses(begin: number, count: number, withPrice: boolean): string {
  const rows = Array.from({ length: count }, (_, index) => {
    const at = begin + index;
    const size = 50 + ((at * 37) % 150);
    const age = (at * 53) % 90;
    const town = ['Bern', 'Chur', 'Genf'][(at * 7) % 3] ?? '';
    const price = size / 40 - age / 60 + town.length / 8 + (((at * 29) % 11) - 5) / 50;
    return [size, age, town, ...(withPrice ? [price.toFixed(3)] : [])].join();
  });
  return `${[['size', 'age', 'town', ...(withPrice ? ['price'] : [])].join(), ...rows].join('\n')}\n`;
}

test('data of your own: from a file to predictions', { timeout: 240_000 }, async () => {
  const folder = await emptyFolder();
  await writeFile(join(folder, 'houses.csv'), houses(0, 400, true));
  await writeFile(join(folder, 'unseen.csv'), houses(400, 50, true));
  await writeFile(join(folder, 'new.csv'), houses(450, 20, false));
  const lines = (await blocksOf('docs/how-to/your-own-data.md')).join('').trim().split('\n');
  expect(lines).toHaveLength(6);
  const outputs = lines.map((line) => {
    const { status, output } = runBlock(line, folder);
    expect({ line, status, output }).toMatchObject({ status: 0 });
    return output;
  });
  const [, validated = '', trained = ''] = outputs;
  expect(validated).toContain('400 rows of 3 columns and 1 target');
  expect(Number(/test r2 (0\.\d+)/.exec(trained)?.[1])).toBeGreaterThan(0.9);
  const predicted = await readFile(join(folder, 'predicted.csv'), 'utf8');
  expect(predicted.trim().split('\n')).toHaveLength(21);
});

test('a run that is interrupted is resumed, verified, and has the bits of one that was not', {
  timeout: 240_000,
}, async () => {
  const folder = await emptyFolder();
  await copyFile(join(CHECKOUT, 'examples/digits/job.yaml'), join(folder, 'job.yaml'));
  await copyFile(join(CHECKOUT, 'examples/digits/digits.csv'), join(folder, 'digits.csv'));
  const blocks = await blocksOf('docs/how-to/recover-a-run.md');
  const [train = '', resume = ''] = blocks;
  const verify = blocks.find((block) => block.includes('verify')) ?? '';
  const calm = runBlock(train.replace('--run-id first', '--run-id calm'), folder);
  expect(calm).toMatchObject({ status: 0 });
  const words = train.replace('npx ropeteam ', '').trim().split(' ');
  await using command = startCommand([...words, '--json'], {}, folder);
  await command.event('step_committed');
  command.process.kill('SIGINT');
  expect((await command.ended).code).toBe(130);
  const resumed = runBlock(resume, folder);
  expect(resumed).toMatchObject({ status: 0 });
  expect(hashIn(resumed.output)).toBe(hashIn(calm.output));
  expect(runBlock(verify, folder)).toMatchObject({ status: 0 });
});
