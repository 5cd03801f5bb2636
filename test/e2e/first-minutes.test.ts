/** A newcomer's first five minutes in a clone, typed into a terminal and read off its screen. */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { CHECKOUT } from '../support/command.js';
import { type Done, openPseudoTerminal, type PseudoTerminal } from '../support/pseudo-terminal.js';

/** What they are promised. The test itself takes some 40 s on two cores that have nothing else to do. */
const FIVE_MINUTES = 300;

let folder = '';
let clone = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-newcomer-'));
  clone = join(folder, 'ropeteam');
  await mkdir(clone);
  // What git would give, and what npm install and the build make of it, with the times the build goes by.
  const left = new Set(['.git', 'node_modules', 'runs']);
  const entries = (await readdir(CHECKOUT)).filter((name) => !left.has(name)).map((name) => join(CHECKOUT, name));
  execFileSync('cp', ['-a', ...entries, clone]);
  await symlink(join(CHECKOUT, 'node_modules'), join(clone, 'node_modules'));
  await mkdir(join(clone, 'fruit'));
  await writeFile(join(clone, 'fruit/fruit.csv'), fruit(300));
  await cp(join(clone, 'fruit/fruit.csv'), join(clone, 'fruit/new.csv'));
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Weights and lengths of three kinds that do not overlap much. */
function fruit(rows: number): string {
  const kinds = [
    ['apple', 150, 7],
    ['banana', 120, 18],
    ['cherry', 8, 2],
  ] as const;
  const lines = Array.from({ length: rows }, (_, row) => {
    const [kind, weight, length] = kinds[row % 3] ?? kinds[0];
    return `${(weight * (0.8 + ((row * 37) % 40) / 100)).toFixed(1)},${(length * (0.8 + ((row * 53) % 40) / 100)).toFixed(1)},${kind}`;
  });
  return `weight,length,kind\n${lines.join('\n')}\n`;
}

/** As a login shell has it: neither what npm sets for its scripts nor what makes a terminal dumb. */
function environment(): Readonly<Record<string, string | undefined>> {
  const unwanted = /^(npm_|CI$|NO_COLOR$|FORCE_COLOR$|NODE_ENV$|VITEST)/;
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name)));
  // npx makes a note of each folder it was called in.
  return { ...kept, npm_config_cache: join(folder, 'npm') };
}

const open = (): Promise<PseudoTerminal> => openPseudoTerminal({ directory: clone, environment: environment() });
const hashIn = ({ screen }: Done): string => /sha256 ([0-9a-f]{64})/.exec(screen)?.[1] ?? `no hash in: ${screen}`;

test('a newcomer sees what they were promised within five minutes', { timeout: 400_000 }, async () => {
  await using terminal = await open();
  await using second = await open();
  const begun = performance.now();
  const sinceBegun = (): number => (performance.now() - begun) / 1000;
  const note = (step: string, { seconds }: { readonly seconds: number }): void =>
    console.log(`${seconds.toFixed(1).padStart(6)} s  ${step}`);

  const start = terminal.type('npm start');
  await start.shows(/loss \d/, 60);
  note('until the first loss', { seconds: sinceBegun() });
  const first = await start.done(120);
  note('npm start', first);
  // Else the seconds would be npm's and the compiler's.
  expect(first.screen).not.toMatch(/ropeteam: (installing|building)/);
  expect(first).toMatchObject({ status: 0, screen: expect.stringMatching(/test accuracy 9\d\.\d\d? %/) });
  for (const word of ['weights', 'ledger', 'model', 'next'])
    expect(first.screen).toMatch(new RegExp(`^ +${word} `, 'm'));
  const calm = hashIn(first);

  const changed = await terminal.run(
    "sed -i 's/epochs: 30/epochs: 2/' examples/digits/job.yaml && npx ropeteam train examples/digits/job.yaml",
  );
  note('a number changed', changed);
  expect(changed).toMatchObject({ status: 0, screen: expect.stringContaining('epoch 2/2') });
  expect(hashIn(changed)).toMatch(/^[0-9a-f]{64}$/);
  expect(hashIn(changed)).not.toBe(calm);

  const typo = await terminal.run(
    "sed -i 's/epochs: 2/epohcs: 30/' examples/digits/job.yaml && npx ropeteam train examples/digits/job.yaml",
  );
  note('a typo, refused', typo);
  expect(typo.status).toBe(2);
  expect(typo.screen).toContain('CONFIG.UNKNOWN_KEY');
  expect(typo.screen).toMatch(/examples\/digits\/job\.yaml:\d+:\d+/);
  expect(typo.screen).toContain('did you mean "epochs"?');

  const explained = await terminal.run('npx ropeteam explain CONFIG.UNKNOWN_KEY');
  note('explain', explained);
  expect(explained).toMatchObject({ status: 0, screen: expect.stringMatching(/^ {2}to do +\S/m) });

  const init = await terminal.run('npx ropeteam init fruit/job.yaml --data fruit/fruit.csv --target kind');
  note('init on a file of their own', init);
  expect(init).toMatchObject({
    status: 0,
    screen: expect.stringContaining('300 rows, 2 inputs, classification into 3 classes'),
  });
  const next = /next +(.*)$/m.exec(init.screen)?.[1] ?? '';
  const own = await terminal.run(`${next} --run-id fruit`);
  note('train it', own);
  expect(own).toMatchObject({ status: 0, screen: expect.stringMatching(/✓ fruit +test accuracy (9\d|100)\./) });

  const predicted = await terminal.run('npx ropeteam predict runs/fruit --input fruit/new.csv | head -3');
  note('predict', predicted);
  expect(predicted.screen).toContain('weight,length,kind,predicted_kind');
  expect(predicted.screen).toMatch(/,apple,apple,/);

  const stopping = terminal.type(
    "sed -i 's/epohcs/epochs/' examples/digits/job.yaml && npx ropeteam train examples/digits/job.yaml --run-id stopped",
  );
  await stopping.shows(/epoch ([3-9]|1\d)\/30/, 60);
  stopping.pressCtrlC();
  const stopped = await stopping.done(60);
  note('Ctrl-C in the middle', stopped);
  expect(stopped.status).toBe(130);
  const resume = /next +(npx ropeteam resume \S+)/.exec(stopped.screen)?.[1] ?? `no resume in: ${stopped.screen}`;
  const resumed = await terminal.run(resume, 120);
  note('resume', resumed);
  expect(resumed.status).toBe(0);
  expect(hashIn(resumed)).toBe(calm);

  const alone = await terminal.run('npx ropeteam runs --coordinator 127.0.0.1:1');
  note('runs, with nobody there', alone);
  expect(alone).toMatchObject({ status: 3, screen: expect.stringContaining('ropeteam up') });
  const up = second.type('npx ropeteam up --port 0 --http-port 0');
  const [, address] = await up.shows(/gRPC +(127\.0\.0\.1:\d+)/);
  const runs = await terminal.run(`npx ropeteam runs --coordinator ${address}`);
  note('up, and runs', runs);
  expect(runs.status).toBe(0);
  for (const run of ['fruit', 'stopped']) expect(runs.screen).toMatch(new RegExp(`^ *${run} .*finished`, 'm'));
  up.pressCtrlC();
  expect((await up.done(60)).status).toBe(130);

  note('all of it, from the first key on', { seconds: sinceBegun() });
  expect(sinceBegun()).toBeLessThanOrEqual(FIVE_MINUTES);
  for (const each of [terminal, second]) {
    await vi.waitFor(async () => expect(await each.offspring()).toEqual([]), { timeout: 20_000 });
  }
});
