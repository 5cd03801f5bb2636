import { FUSED_TILE_ROWS, PLAIN_TILE_ROWS, TILE_COLUMNS } from './tile-sizes.js';

/** A matrix product cut into `rowCuts` × `columnCuts` rectangles of nearly equal size. */
export interface ProductCut {
  readonly rowCuts: number;
  readonly columnCuts: number;
}

/** Rows and columns `[begin, end)` of a product. */
export interface Rectangle {
  readonly rowBegin: number;
  readonly rowEnd: number;
  readonly columnBegin: number;
  readonly columnEnd: number;
}

/** How finely a kind of kernel has its products cut. */
export interface CutRule {
  /** No side of a rectangle is longer, */
  readonly longestSide: number;
  /** except where longer ones still leave so many rectangles. */
  readonly large?: { readonly longestSide: number; readonly fewest: number };
  /** Threads that finish last leave the others idle for up to a rectangle's time: aim at no less than this many. */
  readonly enough: number;
}

/**
 * For our own engines. Each rectangle packs its rows and columns anew, but what it has packed (256 KiB of columns) stays
 * in the L2 cache: measured at 128 x 2048 x 2048 and 2048 x 2048 x 128, rectangles of 128 to 512 a side take between 4 %
 * less and 3 % more time together than the whole product.
 */
export const OWN_CUT: CutRule = { longestSide: 256, enough: 32 };
/**
 * For a library that packs both operands anew at every call, and whose products are cut alike when a thread is alone.
 * Measured with OpenBLAS at layers of 256 to 4096 and 128 to 1024 samples, against the product in one call, best of
 * nine turns, mean of 42 shapes: sides of at most 512 leave 96 % of its speed, 1024 leave 97.5 %, 2048 leave 99 %. But
 * with 2048 a layer of 2048 units would be one thread's work: they are for products that are four rectangles even so.
 */
export const LIBRARY_CUT: CutRule = { longestSide: 1024, enough: 1, large: { longestSide: 2048, fewest: 4 } };
/** A multiple of either engine's register tile. */
const EDGE_ROWS = (PLAIN_TILE_ROWS * FUSED_TILE_ROWS) / 2;
/** No side is cut below this: packing would begin to count. */
const SHORTEST_SIDE = 64;
/** Multiply-adds of the smallest rectangle worth taking from a shared counter and meeting after: some 50 µs. */
const SMALLEST = 2 ** 20;

/**
 * How threads share a product [rows, depth] · [depth, columns]. Follows from the shape alone, never from who takes part:
 * an engine whose sums depend on the shape of a call gives the same bits for any number of threads this way.
 */
export function cutProduct(rows: number, columns: number, depth: number, rule: CutRule = OWN_CUT): ProductCut {
  const cuts = (size: number, longestSide: number) => Math.max(1, Math.ceil(size / longestSide)); // a micro-batch may be empty
  const large = rule.large ?? { longestSide: rule.longestSide, fewest: 1 };
  const many = cuts(rows, large.longestSide) * cuts(columns, large.longestSide) >= large.fewest;
  const longestSide = many ? large.longestSide : rule.longestSide;
  let rowCuts = cuts(rows, longestSide);
  let columnCuts = cuts(columns, longestSide);
  for (;;) {
    const height = rows / rowCuts;
    const width = columns / columnCuts;
    const longer = Math.max(height, width);
    const enough = rowCuts * columnCuts >= rule.enough || height * width * depth < 2 * SMALLEST;
    if (enough || longer < 2 * SHORTEST_SIDE) return { rowCuts, columnCuts };
    if (height > width) rowCuts *= 2;
    else columnCuts *= 2;
  }
}

/** Rectangle `piece` of a cut, row by row. Edges lie between register tiles; a small product leaves some empty. */
export function rectangleOf(
  { rowCuts, columnCuts }: ProductCut,
  rows: number,
  columns: number,
  piece: number,
): Rectangle {
  const row = Math.floor(piece / columnCuts);
  const column = piece % columnCuts;
  return {
    rowBegin: edge(rows, rowCuts, row, EDGE_ROWS),
    rowEnd: edge(rows, rowCuts, row + 1, EDGE_ROWS),
    columnBegin: edge(columns, columnCuts, column, TILE_COLUMNS),
    columnEnd: edge(columns, columnCuts, column + 1, TILE_COLUMNS),
  };
}

/** Where cut `index` of `cuts` begins, a multiple of `unit` (or the end). */
function edge(size: number, cuts: number, index: number, unit: number): number {
  return Math.min(size, unit * Math.floor((Math.ceil(size / unit) * index) / cuts));
}
