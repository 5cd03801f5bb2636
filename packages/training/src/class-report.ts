/** What a confusion matrix says about each class. Pure: the same counts give the same figures, whoever counted. */

export interface ClassFigures {
  readonly label: string;
  /** Samples of this class. */
  readonly samples: number;
  /** Of those taken for this class, the share that is: 0 where none was. */
  readonly precision: number;
  /** Of those of this class, the share that was found: 0 where there are none. */
  readonly recall: number;
  /** 2 · precision · recall / (precision + recall), 0 where both are. */
  readonly f1: number;
}

export interface ClassReport {
  /** Plain means over the classes that occur among the labels or the predictions. */
  readonly macroPrecision: number;
  readonly macroRecall: number;
  readonly macroF1: number;
  readonly classes: readonly ClassFigures[];
  /** Row: the class of the sample; column: what it was taken for. */
  readonly confusion: readonly (readonly number[])[];
}

/** @param confusion [C, C] counts, row after row: sample's class, then predicted class */
export function reportClasses(confusion: ArrayLike<number>, labels: readonly string[]): ClassReport {
  const C = labels.length;
  const count = (actual: number, predicted: number): number => confusion[actual * C + predicted] ?? 0;
  const indexes = labels.map((_, index) => index);
  const rows = indexes.map((actual) => indexes.map((predicted) => count(actual, predicted)));
  const found = labels.map((label, index) => {
    const samples = sum(rows[index] ?? []);
    const taken = sum(indexes.map((actual) => count(actual, index)));
    const right = count(index, index);
    const precision = taken === 0 ? 0 : right / taken;
    const recall = samples === 0 ? 0 : right / samples;
    const f1 = samples + taken === 0 ? 0 : (2 * right) / (samples + taken);
    return { figures: { label, samples, precision, recall, f1 }, occurs: samples + taken > 0 };
  });
  const occurring = found.filter(({ occurs }) => occurs).map(({ figures }) => figures);
  const mean = (of: (figures: ClassFigures) => number): number =>
    occurring.length === 0 ? 0 : sum(occurring.map(of)) / occurring.length;
  return {
    macroPrecision: mean(({ precision }) => precision),
    macroRecall: mean(({ recall }) => recall),
    macroF1: mean(({ f1 }) => f1),
    classes: found.map(({ figures }) => figures),
    confusion: rows,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
