import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CsvRecord, guessDelimiter, locateCell, type OpenQuote, readRecords, WHITESPACE } from './csv-records.js';

interface Read {
  /** Cells of each record, and the line it begins in. */
  readonly rows: readonly (readonly [readonly string[], number])[];
  readonly stray: readonly (readonly [line: number, cell: number])[];
  readonly open: OpenQuote | undefined;
}

async function read(...chunks: readonly string[]): Promise<Read> {
  const records: CsvRecord[] = [];
  async function* text() {
    yield* chunks;
  }
  const open = await readRecords(text(), ',', (record) => records.push(record));
  return {
    rows: records.filter(({ strayQuote }) => strayQuote === undefined).map(({ cells, line }) => [cells, line]),
    stray: records.flatMap(({ strayQuote, line }) => (strayQuote === undefined ? [] : [[line, strayQuote] as const])),
    open,
  };
}

test('written cells come back with the line their record begins in, however the text is cut', async () => {
  const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', ' ', '1', '\n', 'é'), maxLength: 6 });
  const record = fc.record({
    cells: fc.array(fc.tuple(cell, fc.boolean()), { minLength: 2, maxLength: 5 }),
    blankLines: fc.constantFrom('', '', '\n', ' \n\n'),
  });
  const written = ([text, quoted]: [string, boolean]): string =>
    quoted || /[",\n]|^ /.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 6 }), fc.nat(), async (records, seed) => {
      let text = '';
      const rows: [string[], number][] = [];
      for (const { cells, blankLines } of records) {
        text += blankLines;
        rows.push([cells.map(([value]) => value), text.split('\n').length]);
        text += `${cells.map(written).join(',')}\n`;
      }
      const cut = seed % text.length;
      expect(await read(text.slice(0, cut), text.slice(cut))).toEqual({ rows, stray: [], open: undefined });
    }),
    { numRuns: 300 },
  );
});

test('a stray quote spoils its own row and no other', async () => {
  const { rows, stray } = await read('a,5" pipe\n1,"5"" pipe"\n"a"x,b\n3,4\n');
  expect(rows.map(([cells]) => cells)).toEqual([
    ['1', '5" pipe'],
    ['3', '4'],
  ]);
  expect(stray).toEqual([
    [1, 1],
    [3, 0],
  ]);
});

test('a quote left open that a later one closes is not taken for a cell over several lines', async () => {
  expect((await read('1,"red,5\n2,"blue",6\n7,8,9\n')).stray).toEqual([[1, 1]]);
});

test('a quote that is never closed is reported with the record it opens in', async () => {
  expect(await read('a,b\n\n"x\ny",1\n\n1,"x\n2,3\n')).toMatchObject({
    rows: [
      [['a', 'b'], 1],
      [['x\ny', '1'], 3],
    ],
    open: { line: 6, cell: 1 },
  });
});

test('a quote that stays open for a megabyte ends the reading instead of filling the memory', async () => {
  let lines = 0;
  async function* text() {
    yield 'a,b\na,"\n';
    for (; lines < 1000; lines++) yield `${'x'.repeat(9_999)}\n`;
  }
  expect(await readRecords(text(), ',', () => undefined)).toEqual({ line: 2, cell: 1 });
  expect(lines).toBeLessThan(110);
});

test('the delimiter is the one that both first lines agree on', () => {
  expect(guessDelimiter('a,b,c', '1,2,3')).toBe(',');
  expect(guessDelimiter('a;b;c', '1,5;2,5;3')).toBe(';');
  expect(guessDelimiter('a\tb, or so', '1\t2')).toBe('\t');
  expect(guessDelimiter('"a;b;c"|d', 'x|y')).toBe('|');
  expect(guessDelimiter('alone', '1')).toBe(',');
});

test('a cell is located by characters, quoted delimiters not counted', () => {
  expect(locateCell('a,"b,c",dd', ',', 2)).toEqual({ column: 9, length: 2 });
  expect(locateCell('a,,c', ',', 1)).toEqual({ column: 3, length: 1 });
  expect(locateCell('a,2",c', ',', 1)).toEqual({ column: 3, length: 2 });
  expect(locateCell('a,"open', ',', 1)).toEqual({ column: 3, length: 5 });
  expect(locateCell('a,"open,', ',', 2)).toBeUndefined();
});

test('runs of blanks separate cells, those within quotes and at the ends of a line aside', async () => {
  const records: CsvRecord[] = [];
  async function* text() {
    yield '  mpg\tcar  name \n18.0   "buick  skylark"\t8\n';
    yield '\n   9.5\t\tford 6   \n';
  }
  await readRecords(text(), WHITESPACE, (record) => records.push(record));
  expect(records.map(({ cells, line, text: written }) => [cells, line, written])).toEqual([
    [['mpg', 'car', 'name'], 1, 'mpg car name'],
    [['18.0', 'buick  skylark', '8'], 2, '18.0 "buick  skylark" 8'],
    [['9.5', 'ford', '6'], 4, '9.5 ford 6'],
  ]);
  expect(locateCell('  18.0   "buick  skylark"\t8', WHITESPACE, 1)).toEqual({ column: 10, length: 16 });
  expect(locateCell('18.0', WHITESPACE, 1)).toBeUndefined();
});

test('whitespace is guessed where nothing else separates, and cuts both lines alike', () => {
  expect(guessDelimiter('x1  x2   y', ' 1.5 2\t3')).toBe(WHITESPACE);
  expect(guessDelimiter('first name,y', 'a b,1')).toBe(',');
  expect(guessDelimiter('a sentence', 'of other words')).toBe(',');
  expect(guessDelimiter('x', '1')).toBe(',');
});
