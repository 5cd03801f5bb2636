import { expect, test } from 'vitest';
import { mergeExpositions } from './observe-queues.js';

test('a metric of two texts is declared once, and keeps the samples of both together', () => {
  const one =
    '# HELP a_count Jobs\n# TYPE a_count gauge\na_count{queue="x"} 1\n# HELP b_total Done\n# TYPE b_total counter\nb_total{queue="x"} 5';
  const merged = mergeExpositions([one, one.replaceAll('"x"', '"y"')]);
  expect(merged).toBe(
    '# HELP a_count Jobs\n# TYPE a_count gauge\na_count{queue="x"} 1\na_count{queue="y"} 1\n' +
      '# HELP b_total Done\n# TYPE b_total counter\nb_total{queue="x"} 5\nb_total{queue="y"} 5\n',
  );
  expect(mergeExpositions([])).toBe('');
});
