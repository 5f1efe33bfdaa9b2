// The tests of core/statistics/signflip.py and skewness.py, for two runs in the browser: same scores, tails and bounds.
// What a function means and where it comes from stands there; nothing is drawn at random, so that the two agree.
"use strict";
detoxbench.statistics = (() => {
  const ENUMERATED = 12, ALIKE = 1e-9, STEPS = 60, LEVEL = 1 - 0.95, TINY = Number.MIN_VALUE * 2 ** 52;
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const largest = (values) => values.reduce((most, value) => Math.max(most, value), 0);

  // -- distributions ---------------------------------------------------------------------------------------------
  // Abramowitz and Stegun 7.1.26 is too coarse for tails, so erfc by Numerical Recipes' Chebyshev fit (relative error
  // 1.2e-7), and its inverse by Acklam's rational fit with one Newton step.
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
    const poly = (k, x) => k.reduce((total, term) => total * x + term, 0);
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
  // P(X >= least) of a fair coin thrown n times.
  function coin(least, n) {
    if (least > n / 2) {
      // Terms of C(n, k) / 2^n from k = n down, each from the one before; by logarithms where 2^-n is no number.
      let log = -n * Math.LN2, term = 0.5 ** n, total = 0;
      for (let k = n; k >= least; k -= 1) {
        total += n <= 1000 ? term : Math.exp(log);
        const next = k / (n - k + 1);
        term *= next;
        log += Math.log(next);
      }
      return total;
    }
    return least <= 0 ? 1 : 1 - coin(n - least + 1, n);
  }

  // Student's: P(T >= t), by the incomplete beta function's continued fraction (Lentz), and its quantile by bisection.
  function logGamma(x) {
    const terms = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 0.1208650973866179e-2, -0.5395239384953e-5];
    const base = x + 5.5;
    return Math.log((2.5066282746310005 * terms.reduce((total, term, i) => total + term / (x + 1 + i), 1.000000000190015)) / x) - base + (x + 0.5) * Math.log(base);
  }
  function fraction(x, a, b) {
    const safe = (value) => (Math.abs(value) < 1e-300 ? 1e-300 : value);
    let c = 1, d = 1 / safe(1 - ((a + b) * x) / (a + 1)), found = d;
    for (let m = 1; m <= 500; m += 1) {
      const before = found;
      for (const step of [(m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)), (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))]) {
        d = 1 / safe(1 + step * d);
        c = safe(1 + step / c);
        found *= d * c;
      }
      if (Math.abs(found - before) <= 1e-14 * Math.abs(found)) break;
    }
    return found;
  }
  function incompleteBeta(x, a, b) {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
    return x < (a + 1) / (a + b + 2) ? (front * fraction(x, a, b)) / a : 1 - (front * fraction(1 - x, b, a)) / b;
  }
  function student(t, freedom) {
    const both = incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
    return t >= 0 ? both / 2 : 1 - both / 2;
  }
  function studentQuantile(upper, freedom) {
    let low = 0, high = 1;
    while (student(high, freedom) > upper) high *= 2;
    for (let turn = 0; turn < 100; turn += 1) { const middle = (low + high) / 2; if (student(middle, freedom) > upper) low = middle; else high = middle; }
    return (low + high) / 2;
  }

  // -- scores: z(delta) = alpha - delta * beta --------------------------------------------------------------------
  // group: {an, ad, bn, bd}, arrays over shared prompts. Prompts that one of the two has not measured are left out.
  function shared(group) {
    const keep = Array.from(group.ad, (_, i) => group.ad[i] > 0 && group.bd[i] > 0);
    const only = (values) => Float64Array.from(values.filter((_, i) => keep[i]));
    return { an: only(group.an), ad: only(group.ad), bn: only(group.bn), bd: only(group.bd) };
  }
  const ratio = (group, n, d) => sum(group[n]) / sum(group[d]);
  const own = (group) => ratio(group, "bn", "bd") - ratio(group, "an", "ad");

  function scores({ an, ad, bn, bd }) {
    const totalA = sum(ad), totalB = sum(bd), both = totalA + totalB, pooled = (sum(an) + sum(bn)) / both;
    const alpha = an.map((_, i) => {
      const score = bn[i] - an[i] - pooled * (bd[i] - ad[i]);
      // Differences of rounding's size are exactly 0.
      return Math.abs(score) <= 1e-12 * (Math.abs(an[i]) + Math.abs(bn[i]) + Math.abs(pooled) * (ad[i] + bd[i])) ? 0 : score;
    });
    return { alpha, beta: an.map((_, i) => (totalA * bd[i] + totalB * ad[i]) / both) };
  }
  const at = ({ alpha, beta }, delta) => alpha.map((score, i) => score - delta * beta[i]);
  const mirrored = ({ alpha, beta }) => ({ alpha: alpha.map((score) => -score), beta });

  // Of the mean over languages, each centred on its own difference.
  function combined(groups, estimates, mean) {
    const alpha = [], beta = [];
    groups.forEach((group, place) => {
      const n = group.alpha.length, weight = 1 / (groups.length * sum(group.beta)), stretch = Math.sqrt(n / Math.max(n - 1, 1));
      const centred = at(group, estimates[place]);
      // A single prompt has no spread around its own mean: it stands by itself.
      centred.forEach((score, i) => {
        alpha.push((n > 1 ? score * stretch + mean * group.beta[i] : group.alpha[i]) * weight);
        beta.push(group.beta[i] * weight);
      });
    });
    return { alpha: Float64Array.from(alpha), beta: Float64Array.from(beta) };
  }

  // -- tails and bounds ------------------------------------------------------------------------------------------
  // Sums over all subsets: subset s has the prompts whose bits it has.
  function subsets(values) {
    const sums = new Float64Array(2 ** values.length);
    values.forEach((value, place) => { for (let s = 0, bit = 2 ** place; s < bit; s += 1) sums[bit + s] = sums[s] + value; });
    return sums;
  }
  // P(sum of z with random signs >= sum of z).
  function tail(z) {
    const used = z.filter((score) => score !== 0), sizes = used.map(Math.abs), n = used.length, most = largest(sizes);
    if (n && sizes.every((size) => size >= most * (1 - ALIKE))) return coin(used.filter((score) => score > 0).length, n);
    if (n <= ENUMERATED) {
      const least = 1e-12 * sum(sizes), flipped = subsets(used);
      return flipped.filter((found) => found <= least).length / flipped.length;
    }
    const total = sum(used), upper = saddlepoint(sizes, Math.abs(total), most);
    return total >= 0 ? upper : 1 - upper;
  }
  function saddlepoint(sizes, total, most) {
    const x = sizes.map((size) => size / most), target = total / most, least = 0.5 ** x.length;
    if (target >= sum(x) * (1 - ALIKE)) return least;
    let t = target / sum(x.map((size) => size * size)), curvature = 1;
    for (let turn = 0; turn < STEPS; turn += 1) {
      let slope = 0, bend = 0;
      for (const size of x) { const tanh = Math.tanh(t * size); slope += size * tanh; bend += size * size * (1 - tanh * tanh); }
      curvature = Math.max(bend, TINY);
      const step = (target - slope) / curvature;
      t += step;
      if (Math.abs(step) <= 1e-9 * (1 + t)) break;
    }
    const cumulant = sum(x.map((size) => t * size + Math.log1p(Math.exp(-2 * t * size)) - Math.LN2));
    const w = Math.sqrt(Math.max(2 * (t * target - cumulant), 0)), u = t * Math.sqrt(curvature);
    // The two terms cancel in the middle, where the normal tail is exact.
    const correction = w < 1e-3 ? 0 : (Math.exp((-w * w) / 2) / Math.sqrt(2 * Math.PI)) * (1 / u - 1 / w);
    return Math.min(0.5, Math.max(least, cdf(-w) + correction));
  }

  // The shifts at which either one-sided test is significant at LEVEL / 2 and no more; infinite where none is.
  function bounds(given, estimate) {
    if (given.beta.length > ENUMERATED) return [searched(given, estimate), -searched(mirrored(given), -estimate)];
    const over = subsets(given.alpha), under = subsets(given.beta);
    const means = over.subarray(1).map((total, place) => total / under[place + 1]).sort();
    const cut = Math.ceil((LEVEL / 2) * (means.length + 1)) - 1;
    return cut >= 1 ? [means[cut - 1], means[means.length - cut]] : [-Infinity, Infinity];
  }
  function searched(given, estimate) {
    const wanted = -inverse(LEVEL / 2), error = Math.sqrt(sum(at(given, estimate).map((score) => score * score))) / sum(given.beta);
    let outer = given.alpha.reduce((least, score, i) => Math.min(least, score / given.beta[i]), estimate), inner = estimate;
    let shift = Math.max(estimate - wanted * error, outer);
    for (let turn = 0; turn < STEPS; turn += 1) {
      const quantile = -inverse(tail(at(given, shift)));
      if (quantile >= wanted) outer = shift; else inner = shift;
      const proposal = estimate - (estimate - shift) * (quantile > 1e-3 ? wanted / quantile : 2);
      const following = proposal > outer && proposal < inner ? proposal : (outer + inner) / 2;
      const done = Math.abs(following - shift) <= 1e-9 * (Math.abs(shift) + error) || inner - outer <= 1e-9 * error;
      shift = following;
      if (done) break;
    }
    return shift;
  }

  // NaN where there is none: no two prompts differ, or there is only one. Scores of several groups are stretched already.
  function standardError(given, value, groups) {
    const n = given.alpha.length, size = largest(given.alpha.map(Math.abs));
    const centred = at(given, value).map((score) => (Math.abs(score) <= 1e-12 * size ? 0 : score));
    const error = Math.sqrt((groups === 1 ? n / Math.max(n - 1, 1) : 1) * sum(centred.map((score) => score * score))) / sum(given.beta);
    return error > 0 && n > 1 ? error : NaN;
  }

  // -- Johnson's modified t ----------------------------------------------------------------------------------------
  const FAR = 3, end = (g) => (g / 6) * (1 + 2 * FAR ** 2);
  function corrected(t, g) {
    const near = t + (g / 6) * (1 + 2 * Math.min(t * t, FAR ** 2));
    return t < FAR ? Math.min(near, FAR + end(g)) : near;
  }
  function reach(critical, g) {
    const inner = critical - g / 6, near = (2 * inner) / (1 + Math.sqrt(Math.max(1 + (4 / 3) * g * inner, 0))), far = critical - end(g);
    return far >= FAR ? far : Math.min(near, FAR);
  }
  // Tails and bounds; those that leave everything to the sign-flip test where there is no spread.
  function johnson(given, value, error, groups) {
    const centred = at(given, value), squares = sum(centred.map((score) => score * score)), freedom = given.alpha.length - groups;
    if (!Number.isFinite(error) || !(squares > 0) || freedom <= 0) return { above: 0, below: 0, low: value, high: value };
    const g = sum(centred.map((score) => score ** 3)) / squares ** 1.5, t = value / error, critical = studentQuantile(LEVEL / 2, freedom);
    return {
      above: student(corrected(t, g), freedom), below: student(corrected(-t, -g), freedom),
      low: value - reach(critical, g) * error, high: value + reach(critical, -g) * error,
    };
  }

  // The macro-average of b less that of a over groups, with what core.statistics.Difference has. `a` and `b` are the
  // macro-averages on the prompts that both measured; bounds are NaN where there are none, and `reason` says why.
  function difference(groups) {
    const kept = groups.map(shared), prompts = sum(kept.map((group) => group.an.length));
    const found = { value: NaN, a: NaN, b: NaN, low: NaN, high: NaN, p: NaN, error: NaN, detectable: NaN, prompts, method: "undefined", reason: "no prompt has it in both" };
    if (!kept.length || kept.some((group) => !group.an.length)) return found;
    const estimates = kept.map(own);
    found.a = sum(kept.map((group) => ratio(group, "an", "ad"))) / kept.length;
    found.b = sum(kept.map((group) => ratio(group, "bn", "bd"))) / kept.length;
    const mean = sum(estimates) / kept.length;
    found.value = Math.abs(mean) <= 1e-12 * (Math.abs(found.a) + Math.abs(found.b)) ? 0 : mean;
    const each = kept.map(scores), given = each.length === 1 ? each[0] : combined(each, estimates, found.value);
    found.error = standardError(given, found.value, kept.length);
    found.detectable = (inverse(0.975) + inverse(0.8)) * found.error;
    // As sure as the less sure of two tests.
    const other = johnson(given, found.value, found.error, kept.length);
    const above = Math.max(tail(given.alpha), other.above), below = Math.max(tail(mirrored(given).alpha), other.below);
    found.p = Math.min(1, 2 * Math.min(above, below));
    let [low, high] = bounds(given, found.value);
    [low, high] = [Math.min(low, other.low), Math.max(high, other.high)];
    if (!Number.isFinite(low) || !Number.isFinite(high)) {
      return { ...found, method: "degenerate", reason: `${prompts} ${prompts === 1 ? "prompt" : "prompts"}: too few for an interval of a difference` };
    }
    // Shares of prompts: the test at 0 has ties that it has at no shift beside it. The two are made to agree.
    if (found.p >= LEVEL) { low = Math.min(low, 0); high = Math.max(high, 0); } else if (low <= 0 && high >= 0) found.p = LEVEL;
    const same = above === 1 && below === 1;
    return { ...found, low, high, method: same ? "degenerate" : "sign-flip", reason: same ? "no prompt differs" : "" };
  }

  // The mean over groups of the mean over prompts of log(b / a), as a ratio with its bounds.
  function geometric(groups) {
    const logs = groups.map(({ an, ad, bn, bd }) => {
      const both = Array.from(an, (_, i) => i).filter((i) => an[i] > 0 && ad[i] > 0 && bn[i] > 0 && bd[i] > 0);
      const ones = both.map(() => 1);
      return { an: both.map((i) => Math.log(an[i] / ad[i])), ad: ones, bn: both.map((i) => Math.log(bn[i] / bd[i])), bd: ones };
    });
    return ["value", "low", "high"].map((name) => Math.exp(difference(logs)[name]));
  }

  // Benjamini and Hochberg (1995); NaN stays NaN and is not counted.
  function adjusted(values) {
    const order = values.map((p, i) => [p, i]).filter(([p]) => !Number.isNaN(p)).sort((a, b) => b[0] - a[0]);
    const found = values.map(() => NaN);
    let least = 1;
    order.forEach(([p, i], place) => { least = Math.min(least, (p * order.length) / (order.length - place)); found[i] = least; });
    return found;
  }
  return { difference, geometric, adjusted, cdf, inverse, LEVEL };
})();
