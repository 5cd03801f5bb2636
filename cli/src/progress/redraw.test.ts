import { Terminal as Screen } from '@xterm/headless';
import { expect, test } from 'vitest';
import { openRedraw } from './redraw.js';

/** A screen of these columns, as a terminal shows what is written to it. */
function openScreen(columns: number, rows = 12) {
  const screen = new Screen({ cols: columns, rows, allowProposedApi: true, convertEol: true, scrollback: 100 });
  let size = columns;
  const stream = { write: (text: string) => screen.write(text) } as unknown as NodeJS.WritableStream;
  const sized = Object.defineProperties(stream, { columns: { get: () => size }, rows: { get: () => rows } });
  return {
    block: openRedraw(sized, () => size),
    say: (text: string) => void stream.write(`${text}\n`),
    resize: async (to: number) => {
      await written(screen);
      size = to;
      screen.resize(to, rows);
    },
    /** Every line there is, those that have scrolled away included. */
    lines: async () => {
      await written(screen);
      const { active } = screen.buffer;
      const all = Array.from({ length: active.length }, (_, row) => active.getLine(row)?.translateToString(true) ?? '');
      return all.join('\n').trimEnd().split('\n');
    },
  };
}

const written = (screen: Screen): Promise<void> => new Promise((done) => screen.write('', done));

test('a block takes the place of the one before, longer or shorter', async () => {
  const { block, say, lines } = openScreen(40);
  say('before');
  block.draw(['one', 'two', 'three']);
  block.draw(['four']);
  block.draw(['five', 'six']);
  expect(await lines()).toEqual(['before', 'five', 'six']);
  block.clear();
  say('a word');
  block.draw(['seven']);
  block.done();
  say('after');
  expect(await lines()).toEqual(['before', 'a word', 'seven', 'after']);
});

test('a terminal made narrower, and wider again, shows the block once and leaves what is above it', async () => {
  const { block, say, resize, lines } = openScreen(60);
  say('before');
  block.draw(['a'.repeat(58), 'b'.repeat(31), 'c']);
  await resize(30);
  block.draw(['a'.repeat(30), 'b'.repeat(30), 'c']);
  expect(await lines()).toEqual(['before', 'a'.repeat(30), 'b'.repeat(30), 'c']);
  await resize(80);
  block.draw(['a'.repeat(70), 'c']);
  expect(await lines()).toEqual(['before', 'a'.repeat(70), 'c']);
});

test('a block higher than the terminal is cut, so that it can be taken away again', async () => {
  const { block, lines } = openScreen(20, 5);
  for (let time = 0; time < 5; time++) block.draw(Array.from({ length: 9 }, (_, line) => `line ${line} of ${time}`));
  expect(await lines()).toEqual(['line 0 of 4', 'line 1 of 4', 'line 2 of 4', 'line 3 of 4']);
});
