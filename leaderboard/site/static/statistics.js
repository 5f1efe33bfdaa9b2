// The paired bootstrap of harness/statistics, for two runs in the browser: same estimator, same BCa, other random numbers.
"use strict";
detoxbench.statistics = (() => {
  // Small, fast and good enough for resampling (Vigna's xoshiro128** would be longer); seeded, so that a page repeats.
  function generator(seed) {
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // Normal distribution: Abramowitz and Stegun 7.1.26 is too coarse for tails, so erfc by Numerical Recipes' Chebyshev
  // fit (relative error 1.2e-7), and its inverse by Acklam's rational fit with one Newton step.
  function cdf(x) {
    const z = Math.abs(x) / Math.SQRT2, t = 1 / (1 + 0.5 * z);
    const tail = 0.5 * t * Math.exp(-z * z - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 +
      t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))));
    return x > 0 ? 1 - tail : tail;
  }
  function inverse(p) {
    if (p <= 0) return -Infinity;
    if (p >= 1) return Infinity;
    const a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
    const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
    const c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
    const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
    const poly = (k, x) => k.reduce((sum, term) => sum * x + term, 0);
    let x;
    if (p < 0.02425 || p > 0.97575) {
      const q = Math.sqrt(-2 * Math.log(Math.min(p, 1 - p)));
      x = (poly(c, q) / (poly(d, q) * q + 1)) * (p < 0.5 ? 1 : -1);
    } else {
      const q = p - 0.5, r = q * q;
      x = (poly(a, r) * q) / (poly(b, r) * r + 1);
    }
    return x - ((cdf(x) - p) * Math.sqrt(2 * Math.PI)) / Math.exp((-x * x) / 2);
  }

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const ratio = (n, d) => sum(n) / sum(d);

  // group: {an, ad, bn, bd}, arrays over shared prompts. Prompts that one of the two has not measured are left out.
  function shared(group) {
    const keep = group.ad.map((_, i) => group.ad[i] > 0 && group.bd[i] > 0);
    const only = (values) => Float64Array.from(values.filter((_, i) => keep[i]));
    return { an: only(group.an), ad: only(group.ad), bn: only(group.bn), bd: only(group.bd) };
  }

  function replicates(group, resamples, random) {
    const { an, ad, bn, bd } = group, n = an.length, found = new Float64Array(resamples);
    for (let r = 0; r < resamples; r += 1) {
      let w = 0, x = 0, y = 0, z = 0;
      for (let i = 0; i < n; i += 1) {
        const j = (random() * n) | 0;
        w += an[j]; x += ad[j]; y += bn[j]; z += bd[j];
      }
      found[r] = y / z - w / x;
    }
    return found;
  }

  function influences({ an, ad, bn, bd }) {
    const [w, x, y, z] = [an, ad, bn, bd].map(sum);
    return Array.from(an, (_, i) => {
      const a = x > ad[i] ? (ad[i] * (w / x) - an[i]) / (x - ad[i]) : 0;
      const b = z > bd[i] ? (bd[i] * (y / z) - bn[i]) / (z - bd[i]) : 0;
      return b - a;
    });
  }

  // The macro-average of b less that of a over groups, with what harness.statistics.Difference has.
  function difference(groups, { resamples = 10_000, confidence = 0.95, seed = 20201124 } = {}) {
    const kept = groups.map(shared);
    const none = { value: NaN, low: NaN, high: NaN, p: NaN, error: NaN, detectable: NaN, prompts: sum(kept.map((g) => g.an.length)) };
    if (!kept.length || kept.some((group) => !group.an.length)) return none;
    const value = sum(kept.map((g) => ratio(g.bn, g.bd) - ratio(g.an, g.ad))) / kept.length;
    const random = generator(seed);
    const drawn = new Float64Array(resamples);
    let squares = 0, cubes = 0, unlike = 0;
    for (const group of kept) {
      const found = replicates(group, resamples, random), n = group.an.length;
      for (let r = 0; r < resamples; r += 1) drawn[r] += found[r] / kept.length;
      const change = influences(group), mean = sum(change) / n;
      for (const one of change) { const u = ((n - 1) / n) * (mean - one); squares += u ** 2; cubes += u ** 3; }
      for (let i = 0; i < n; i += 1) unlike += group.an[i] !== group.bn[i] || group.ad[i] !== group.bd[i];
    }
    const spread = Math.sqrt(sum(drawn.map((x) => (x - value) ** 2)) / resamples);
    if (!(spread > 1e-12)) return { ...none, value, low: value, high: value, p: unlike ? Math.min(1, 2 ** (1 - unlike)) : 1 };
    drawn.sort();
    const tolerance = 1e-12 * (1 + Math.abs(value));
    let below = 0, tied = 0, notAbove = 0, notBelow = 0;
    for (const x of drawn) {
      below += x < value - tolerance; tied += Math.abs(x - value) <= tolerance;
      notAbove += x <= tolerance; notBelow += x >= -tolerance;
    }
    const bias = inverse((below + tied / 2) / resamples), acceleration = squares ? cubes / (6 * squares ** 1.5) : NaN;
    const tails = [(1 - confidence) / 2, (1 + confidence) / 2];
    const corrected = tails.map((tail) => {
      const shifted = bias + inverse(tail), stretch = 1 - acceleration * shifted;
      return Number.isFinite(shifted) && stretch > 0 ? cdf(bias + shifted / stretch) : NaN;
    });
    const bca = corrected.every((tail) => !Number.isNaN(tail));
    const [low, high] = (bca ? corrected : tails).map((tail) => {
      const at = tail * (resamples - 1), floor = Math.floor(at);
      return drawn[floor] + (at - floor) * ((drawn[floor + 1] ?? drawn[floor]) - drawn[floor]);
    });
    const tailOf = (share) => {
      const t = inverse(share) - (bca ? bias : 0), stretch = 1 + (bca ? acceleration : 0) * t;
      return stretch > 0 ? cdf(t / stretch - (bca ? bias : 0)) : Number(t > 0);
    };
    const share = (count) => Math.min((1 + count) / (resamples + 1), resamples / (resamples + 1));
    const p = Math.min(1, Math.max(2 * Math.min(tailOf(share(notAbove)), 1 - tailOf(1 - share(notBelow))), 2 / (resamples + 1), 2 ** (1 - unlike)));
    return { value, low, high, p, error: spread, detectable: (1.959964 + 0.841621) * spread, prompts: none.prompts };
  }

  // Benjamini and Hochberg (1995); NaN stays NaN and is not counted.
  function adjusted(values) {
    const order = values.map((p, i) => [p, i]).filter(([p]) => !Number.isNaN(p)).sort((a, b) => b[0] - a[0]);
    const found = values.map(() => NaN);
    let least = 1;
    order.forEach(([p, i], place) => { least = Math.min(least, (p * order.length) / (order.length - place)); found[i] = least; });
    return found;
  }
  return { difference, adjusted, cdf, inverse };
})();
