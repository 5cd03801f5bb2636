/**
 * Coefficients of the elementary functions, shared by both engines: the assembly imports this very file. Every value
 * here is exactly a float32.
 *
 * e^x, x <= 0: x = n·ln 2 + r, |r| <= ln 2 / 2; e^x = 2^n · (1 + r + r²·q(r)).
 * tanh x: x + x³·p(x²) below 0.625, beyond it 1 - 2e / (1 + e) with e = e^-2|x|.
 * Both polynomials interpolate at the Chebyshev nodes of their interval, fitted in double, then rounded.
 *
 * Φ(x), the normal distribution's cumulative function: Φ(-a) = e^(-a²/2) · p(t)·t for a >= 0, t = 1 / (1 + NORMAL_T·a),
 * and Φ(a) = 1 - Φ(-a); the form of Abramowitz and Stegun 26.2.17, their t, more terms. The polynomial is a weighted
 * least-squares fit that levels the relative error, 1.3e-7 at most up to a = 13.2, where e^(-a²/2) ends.
 */

export const LOG2_E = 1.4426950216293335;
/** ln 2 in two parts; n · LN2_HIGH is exact for every n in use (Cody and Waite, 1980). */
export const LN2_HIGH = 0.693359375;
export const LN2_LOW = -0.00021219444170128554;
/** 1.5 · 2²³: adding and taking it away again rounds a float32 to a whole number, ties to even. */
export const ROUNDING_SHIFT = 12582912.0;
/** Below ln 2⁻¹²⁶ the result is set to 0: it would not be a normal float32. */
export const EXP_UNDERFLOW = -87.33654022216797;

export const EXP_0 = 0.5;
export const EXP_1 = 0.16666576266288757;
export const EXP_2 = 0.041666556149721146;
export const EXP_3 = 0.008363190107047558;
export const EXP_4 = 0.0013926198007538915;

export const TANH_POLYNOMIAL_END = 0.625;
export const TANH_0 = -0.333333283662796;
export const TANH_1 = 0.1333276927471161;
export const TANH_2 = -0.053850892931222916;
export const TANH_3 = 0.020997125655412674;
export const TANH_4 = -0.006096654571592808;

export const NORMAL_T = 0.23164190351963043;
export const NORMAL_0 = 0.09253138303756714;
export const NORMAL_1 = 0.0902925506234169;
export const NORMAL_2 = 0.10338495671749115;
export const NORMAL_3 = 0.011286968365311623;
export const NORMAL_4 = 0.2292974293231964;
export const NORMAL_5 = -0.20585013926029205;
export const NORMAL_6 = 0.25002363324165344;
export const NORMAL_7 = -0.07096672803163528;
/** 1 / sqrt(2π). */
export const NORMAL_PEAK = 0.3989422917366028;
