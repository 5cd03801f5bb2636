/**
 * Area under the ROC curve: the share of pairs (a sample of the class, one of another) in which the former has the higher
 * score, ties counted half. Exact, by ranks: (Σ ranks of the positives - n₊·(n₊+1)/2) / (n₊·n₋), tied scores sharing the
 * mean of their ranks (Mann and Whitney, 1947).
 * @param isPositive one byte a score
 * @returns undefined where one of the two sides is empty
 */
export function rocAuc(scores: Float64Array, isPositive: Uint8Array): number | undefined {
  const order = Uint32Array.from(scores, (_, index) => index).sort((a, b) => scores[a]! - scores[b]!);
  let positives = 0;
  let rankSum = 0;
  for (let begin = 0; begin < order.length; ) {
    let end = begin + 1;
    while (end < order.length && scores[order[end]!] === scores[order[begin]!]) end++;
    const rank = (begin + 1 + end) / 2;
    for (let at = begin; at < end; at++) {
      if (isPositive[order[at]!] === 0) continue;
      positives++;
      rankSum += rank;
    }
    begin = end;
  }
  const negatives = scores.length - positives;
  if (positives === 0 || negatives === 0) return undefined;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}
