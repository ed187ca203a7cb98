// The layers of shared.nets.Generator for one picture, in WebAssembly SIMD. generator.js lays out
// the memory, folds the batch norms into the weights and calls the layers one after the other.
// `make wasm` builds generator.wasm; there is no C library, and no memory is allocated here.
//
// Feature maps are channels-last, (side + 2, side + 2, channels), with a border of zeros: the
// padding of the convolutions, without a test at every pixel. The border is never written to, so
// it stays as zero as WebAssembly's memory begins. All channels are multiples of BLOCK.

#include <wasm_simd128.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define INLINE static inline __attribute__((always_inline))

typedef float f4 __attribute__((vector_size(16)));

enum { PIXELS = 4, BLOCK = 8 };  // a tile of sums that stays in registers: 4 pixels, 8 channels

INLINE f4 load(const float *from) { return (f4)wasm_v128_load(from); }

// ReLU is slope 0, LeakyReLU 0.2, nothing 1.
INLINE f4 activate(f4 x, float slope) { return (f4)wasm_f32x4_pmax(x * slope, x); }

// Adds one row of a convolution's taps to the sums of 4 neighbouring pixels and 4 * vectors
// channels. Neighbours in a row lie one after the other, so that all taps of the row are a single
// run of `length` numbers, and each weight is loaded once for 4 pixels.
INLINE void add_row(f4 sums[PIXELS][2], int vectors, const float *in, int channels, int length,
                    const float *weights) {
  for (int i = 0; i < length; i++) {
    for (int v = 0; v < vectors; v++) {
      f4 weight = load(weights + 4 * (vectors * i + v));
      for (int p = 0; p < PIXELS; p++) sums[p][v] += weight * in[p * channels + i];
    }
  }
}

// A fingerprint of this file, by which a test sees that generator.wasm was built from it.
EXPORT(source) unsigned source(void) { return SOURCE; }

// out (rows) = activation of weights * in (columns) + bias. Rows are a multiple of BLOCK.
// weights: (rows / BLOCK, columns, BLOCK), bias: (rows)
EXPORT(linear)
void linear(const float *in, const float *weights, const float *bias, float *out, int rows,
            int columns, float slope) {
  for (int row = 0; row < rows; row += BLOCK) {
    f4 low = load(bias + row), high = load(bias + row + 4);
    for (int i = 0; i < columns; i++, weights += BLOCK) {
      low += load(weights) * in[i];
      high += load(weights + 4) * in[i];
    }
    wasm_v128_store(out + row, (v128_t)activate(low, slope));
    wasm_v128_store(out + row + 4, (v128_t)activate(high, slope));
  }
}

// Doubles the size by repeating pixels, then a 3 x 3 convolution and its activation.
//
// Of the 9 pixels that a tap meets after the doubling only 4 differ. So each of the four parities
// of an output pixel (even or odd row, even or odd column) is a 2 x 2 convolution of the small
// picture, whose weights are sums of the nine: 2.25 times less work for the same result.
//
// in: (side + 2, side + 2, wide), out: (2 side + 2, 2 side + 2, narrow), side a multiple of 4
// weights: (2, 2, narrow / BLOCK, 2, 2, wide, BLOCK): parities, block, taps; bias: (narrow)
EXPORT(upsample_conv)
void upsample_conv(const float *in, const float *weights, const float *bias, float *out, int side,
                   int wide, int narrow, float slope) {
  int in_row = (side + 2) * wide, out_row = (2 * side + 2) * narrow;
  for (int parity = 0; parity < 4; parity++) {
    int down = parity >> 1, right = parity & 1;
    for (int block = 0; block < narrow; block += BLOCK, weights += 4 * wide * BLOCK) {
      for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x += PIXELS) {
          f4 sums[PIXELS][2];
          for (int p = 0; p < PIXELS; p++)
            for (int v = 0; v < 2; v++) sums[p][v] = load(bias + block + 4 * v);
          const float *corner = in + (y + down) * in_row + (x + right) * wide;
          add_row(sums, 2, corner, wide, 2 * wide, weights);
          add_row(sums, 2, corner + in_row, wide, 2 * wide, weights + 2 * wide * BLOCK);
          float *to = out + (2 * y + down + 1) * out_row + (2 * x + right + 1) * narrow + block;
          for (int p = 0; p < PIXELS; p++)
            for (int v = 0; v < 2; v++)
              wasm_v128_store(to + 2 * p * narrow + 4 * v, (v128_t)activate(sums[p][v], slope));
        }
      }
    }
  }
}

// tanh from the first seven terms of Lambert's continued fraction: off by less than 1e-4, and a
// step between two colours is 8e-3. Beyond the limit it would leave [-1, 1].
INLINE f4 tanh4(f4 x) {
  f4 limit = {4.97f, 4.97f, 4.97f, 4.97f};
  x = (f4)wasm_f32x4_max(wasm_f32x4_min(x, limit), -limit);
  f4 s = x * x;
  return x * (((s + 378) * s + 17325) * s + 135135) / (((28 * s + 3150) * s + 62370) * s + 135135);
}

// Colours in [-1, 1] to bytes, rounded as torch rounds: halves to the even number.
INLINE v128_t to_bytes(f4 color) {
  return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest((tanh4(color) + 1) * 127.5f));
}

// The last 3 x 3 convolution and tanh, as the opaque RGBA pixels of a canvas.
// in: (side + 2, side + 2, wide), weights: (3, 3, wide, 4), the last of 4 unused; bias: (4)
// out: (side, side, 4)
EXPORT(to_picture)
void to_picture(const float *in, const float *weights, const float *bias, unsigned char *out,
                int side, int wide) {
  int in_row = (side + 2) * wide;
  for (int y = 0; y < side; y++) {
    for (int x = 0; x < side; x += PIXELS) {
      f4 sums[PIXELS][2];
      for (int p = 0; p < PIXELS; p++) sums[p][0] = load(bias);
      for (int tap = 0; tap < 3; tap++)
        add_row(sums, 1, in + (y + tap) * in_row + x * wide, wide, 3 * wide,
                weights + tap * 3 * wide * 4);
      v128_t left = wasm_i16x8_narrow_i32x4(to_bytes(sums[0][0]), to_bytes(sums[1][0]));
      v128_t right = wasm_i16x8_narrow_i32x4(to_bytes(sums[2][0]), to_bytes(sums[3][0]));
      v128_t opaque = wasm_i32x4_splat(0xff000000);
      wasm_v128_store(out + 4 * (y * side + x),
                      wasm_v128_or(wasm_u8x16_narrow_i16x8(left, right), opaque));
    }
  }
}
