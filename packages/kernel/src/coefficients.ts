/**
 * Coefficients of the elementary functions, shared by both engines: the assembly imports this very file. Every value
 * here is exactly a float32.
 *
 * e^x, x <= 0: x = n·ln 2 + r, |r| <= ln 2 / 2; e^x = 2^n · (1 + r + r²·q(r)).
 * tanh x: x + x³·p(x²) below 0.625, beyond it 1 - 2e / (1 + e) with e = e^-2|x|.
 * Both polynomials interpolate at the Chebyshev nodes of their interval, fitted in double, then rounded.
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
