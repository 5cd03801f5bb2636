// Makes flights-train.parquet and flights-test.parquet beside itself: three million flights out of the npm package
// vega-datasets, which is fetched for it, or taken from the folder it is given. Memory: about 1.5 GB, time: a minute.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asyncBufferFromFile, parquetMetadataAsync, parquetScan } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetWriteFile } from 'hyparquet-writer';

const PACKAGE = 'vega-datasets@3.2.1';
const SHA256 = 'dbeb920c90f59b6ccaff823dcc3d08f25a97fa1ce128d93f40be4e931f5900b0';
/** Airports with columns of their own; the rest are one. */
const AIRPORTS = 20;
/** Shares of the time in which the training flights left; the test flights left after it. */
const TRAINED = 0.9;
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const here = fileURLToPath(new URL('.', import.meta.url));

const folder = process.argv[2];
const work = mkdtempSync(join(tmpdir(), 'flights-'));
try {
  const unpacked = folder ?? fetchPackage(work);
  await prepare(join(unpacked, 'data/flights-3m.parquet'));
} finally {
  rmSync(work, { recursive: true, force: true });
}

function fetchPackage(into) {
  execFileSync('npm', ['pack', PACKAGE, '--silent', '--pack-destination', into], { stdio: 'inherit' });
  execFileSync('tar', ['-xzf', join(into, `${PACKAGE.replace('@', '-')}.tgz`), '-C', into]);
  return join(into, 'package');
}

async function prepare(path) {
  const found = createHash('sha256').update(readFileSync(path)).digest('hex');
  if (found !== SHA256) throw new Error(`${path} is another file than the one this example is about: sha256 ${found}`);
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const names = ['date', 'delay', 'distance', 'origin', 'destination'];
  const scan = await parquetScan({ file, metadata, columns: names, compressors });
  const columns = names.map(() => []);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    for (const [index, column] of names.entries()) {
      for (const value of await scan.readColumn({ column, rowStart, rowEnd })) columns[index].push(value);
    }
    rowStart = rowEnd;
  }
  const [dates, delays, distances, origins, destinations] = columns;
  const flights = dates.map((_, row) => row).filter((row) => delays[row] !== null);
  flights.sort((left, right) => dates[left] - dates[right] || left - right);
  // Which airports are large is learned from the flights that are trained on.
  const trained = flights.slice(0, Math.floor(flights.length * TRAINED));
  const large = new Set(busiest(trained.map((row) => origins[row])));
  const airport = (name) => (large.has(name) ? name : 'other');
  for (const [name, rows] of [
    ['train', trained],
    ['test', flights.slice(trained.length)],
  ]) {
    const column = (title, type, of) => ({ name: title, type, data: rows.map(of) });
    parquetWriteFile({
      filename: join(here, `flights-${name}.parquet`),
      rowGroupSize: 250_000,
      columnData: [
        column('hour', 'DOUBLE', (row) => dates[row].getUTCHours() + dates[row].getUTCMinutes() / 60),
        column('weekday', 'STRING', (row) => WEEKDAYS[dates[row].getUTCDay()]),
        column('distance', 'INT32', (row) => Number(distances[row])),
        column('origin', 'STRING', (row) => airport(origins[row])),
        column('destination', 'STRING', (row) => airport(destinations[row])),
        column('late', 'STRING', (row) => (delays[row] >= 15 ? 'yes' : 'no')),
      ],
    });
    const [first, last] = [rows[0], rows.at(-1)].map((row) => dates[row].toISOString().slice(0, 10));
    const late = rows.filter((row) => delays[row] >= 15).length / rows.length;
    console.log(
      `flights-${name}.parquet: ${rows.length} flights, ${first} to ${last}, ${(100 * late).toFixed(2)} % late`,
    );
  }
}

function busiest(airports) {
  const counts = new Map();
  for (const name of airports) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .sort((left, right) => right[1] - left[1])
    .slice(0, AIRPORTS)
    .map(([name]) => name);
}
