/* Tensors -> what the codecs with static tables (huffman, rans) code of them: each becomes symbols
 * and open bits in the way that would need the fewest bits with a table of its own. Then the
 * tensors as a sequence of numbers and runs of distances, the inverse of runtime/static_model.h. */
#include "static_model.h"
#include <math.h>
#include <string.h>

enum {
  ONE = 16, /* factors */
  LIMIT = 15,
  INTEGERS_8 = 3,
  MOST_ONES = 31, /* Rice codes */
  MOST_LOW = 24,
  BASES = 32,
  ZERO_BITS = 3,    /* that a zero takes where it is rare, about */
  ZERO_TABLE = 256, /* bits that rows take to say which one they are of, about */
  LAG_SETS = 8      /* that are tried */
};

static uint32_t bit_length(uint32_t x) { return x ? 32 - (uint32_t)__builtin_clz(x) : 0; }

/* ------------------------------------------------------------------ symbols */

uint32_t qn_symbol_of(int32_t distance) {
  if (distance == 0) return 0;
  uint32_t x = (uint32_t)(distance < 0 ? -distance : distance) + 3, open = bit_length(x) - 3;
  return 1 + (open << 2 | (x >> open & 3));
}

static uint32_t symbol_of(const qn_static_form *form, int32_t distance) {
  return form->levels ? (uint32_t)(distance + QN_LEVEL_0) : qn_symbol_of(distance);
}

bool qn_are_levels(const qn_coded_tensor *tensors, int count) {
  for (int i = 0; i < count; i++) {
    const int8_t *w = tensors[i].data;
    for (uint32_t k = 0; tensors[i].kind == QN_CODED_WEIGHTS && k < tensors[i].bytes; k++)
      if (w[k] < -QN_LEVEL_0 || w[k] >= QN_SYMBOLS - QN_LEVEL_0) return false;
  }
  return true;
}

/* Bits that symbols need with a code made for them, and what they leave open. */
static double histogram_bits(const uint64_t count[QN_SYMBOLS]) {
  double total = 0, bits = 0;
  for (uint32_t s = 0; s < QN_SYMBOLS; s++) total += (double)count[s];
  for (uint32_t s = 0; s < QN_SYMBOLS; s++) {
    if (count[s] == 0) continue;
    bits += (double)count[s] * (log2(total / (double)count[s]) + qn_open_bits(s) + (s > 0));
  }
  return bits;
}

static uint32_t row_place(const qn_coded_tensor *t, uint32_t row) {
  return t->transposed ? row : row * t->cols;
}

static int32_t predict(const qn_prediction *p, const uint8_t *image, uint32_t place,
                       uint32_t phase) {
  int32_t sum = ONE / 2;
  for (uint32_t i = 0; i < p->lags; i++)
    if (p->factor[phase][i]) sum += p->factor[phase][i] * (int8_t)image[place - p->lag[i]];
  return sum >> 4;
}

/* Distances and peaks of x's weights; false when a distance, in *out_phase, is -128, which has no
 * symbol. */
static bool measure(qn_static_tensor *x, const uint8_t *image, const qn_static_form *form,
                    uint64_t count[QN_SYMBOLS], uint32_t *out_phase) {
  const qn_coded_tensor *t = x->from;
  uint32_t step = t->transposed ? t->rows : 1;
  memset(count, 0, QN_SYMBOLS * sizeof *count);
  for (uint32_t r = 0; r < t->rows; r++) {
    uint32_t first = t->base + t->offset + row_place(t, r);
    bool zero = qn_is_zero_row(image + first, t->cols, step);
    x->peak[r] = x->peaks ? qn_find_peak(image + first, t->cols, step) : t->cols;
    for (uint32_t k = 0; k < t->cols; k++) {
      if (zero) {
        x->distance[r * t->cols + k] = 0;
        continue;
      }
      if (k == x->peak[r]) continue;
      uint32_t place = first + k * step;
      int32_t guess = x->predicted ? predict(&x->p, image, place, k / x->p.phase) : 0;
      int8_t distance = (int8_t)(uint8_t)((int8_t)image[place] - guess);
      if (distance == INT8_MIN) {
        *out_phase = k / x->p.phase;
        return false;
      }
      x->distance[r * t->cols + k] = distance;
      count[symbol_of(form, distance)]++;
    }
  }
  return true;
}

/* Distances of -128 come from large predictions with the wrong sign: makes those of a phase
 * smaller. Returns whether there was anything left. */
static bool shrink_factors(qn_prediction *p, uint32_t phase) {
  int8_t *largest = &p->factor[phase][0];
  for (uint32_t i = 1; i < p->lags; i++)
    if (p->factor[phase][i] * p->factor[phase][i] > *largest * *largest)
      largest = &p->factor[phase][i];
  if (*largest == 0) return false;
  *largest = (int8_t)(*largest - (*largest > 0 ? 1 : -1));
  return true;
}

static bool measure_way(qn_static_tensor *x, const uint8_t *image, const qn_static_form *form,
                        uint64_t count[QN_SYMBOLS]) {
  uint32_t phase;
  while (!measure(x, image, form, count, &phase))
    if (!x->predicted || !shrink_factors(&x->p, phase)) return false;
  return true;
}

/* What lags are multiples of. */
static uint32_t lag_unit(const qn_prediction *p, const qn_coded_tensor *t) {
  return p->phase * (t->transposed ? t->rows : 1);
}

static bool has_lag(uint32_t lags, uint32_t lag) {
  bool has = lag == 0;
  for (; lags; lags >>= 4) has = has || (lags & 15) == lag;
  return has;
}

static bool has_lags(uint32_t all, uint32_t some) {
  for (; some; some >>= 4)
    if (!has_lag(all, some & 15)) return false;
  return true;
}

/* The lags of a way as features have them, ascending, behind zeros; 0 when there is no way to say
 * them. */
static uint32_t lags_of(const qn_prediction *p, const qn_coded_tensor *t) {
  uint32_t unit = lag_unit(p, t), lags = 0, shift = 0;
  if (t->cols % p->phase || t->cols / p->phase > 1 + QN_STATIC_PHASES) return 0;
  if (t->cols == p->phase) return 0;
  for (uint32_t i = 0; i < p->lags; i++)
    if (p->lag[i] % unit || p->lag[i] / unit > 15) return 0;
  for (uint32_t lag = 15; lag >= 1; lag--)
    for (uint32_t i = 0; i < p->lags; i++)
      if (p->lag[i] == lag * unit && !has_lag(lags, lag)) lags |= lag << (12 - 4 * shift++);
  return lags;
}

/* Bits of a peak's place; of zero rows that is cols. */
static uint32_t place_bits(const qn_coded_tensor *t) {
  uint32_t step = t->transposed ? t->rows : 1, most = t->cols - 1;
  for (uint32_t r = 0; r < t->rows; r++)
    if (qn_is_zero_row((const uint8_t *)t->data + row_place(t, r), t->cols, step)) most = t->cols;
  return bit_length(most);
}

/* Bits that each way takes, without and with peaks, about; INFINITY where it cannot be. */
static void measure_ways(qn_static_tensor *x, const uint8_t *image, const qn_static_form *form) {
  const qn_coded_tensor *t = x->from;
  uint64_t symbols[QN_SYMBOLS];
  bool has_peaks = qn_has_peaks(t) && t->cols > 1;
  for (int way = 0; way < x->way_count; way++) {
    x->lags[way] = way ? lags_of(&x->ways[way], t) : 0;
    for (int peaks = 0; peaks <= 1; peaks++) {
      x->p = x->ways[way];
      x->predicted = way > 0;
      x->peaks = peaks;
      x->bits[way][peaks] = INFINITY;
      if ((way && x->lags[way] == 0) || (peaks && !has_peaks)) continue;
      if (!measure_way(x, image, form, symbols)) continue;
      double bits = histogram_bits(symbols) + (peaks ? t->rows * (1.0 + place_bits(t)) : 0);
      if (way) bits += 20 * (1 + (t->cols - 1) / x->p.phase);
      x->bits[way][peaks] = bits;
    }
  }
}

/* Whether a way needs some of these lags only, none of which is too long for its tensor. */
static bool is_possible(const qn_static_tensor *x, int way, uint32_t lags) {
  if (way == 0) return true;
  uint32_t longest = lags >> 12;
  return has_lags(lags, x->lags[way]) &&
         longest * lag_unit(&x->ways[way], x->from) <= x->from->offset;
}

/* The best of the allowed ways, by some of these lags; returns its bits. */
static double choose_way(qn_static_tensor *x, uint32_t lags, bool peaks) {
  int best = 0, best_peaks = 0;
  for (int way = 0; way < x->way_count; way++) {
    for (int p = 0; p <= peaks; p++) {
      if (!is_possible(x, way, lags) || x->bits[way][p] >= x->bits[best][best_peaks]) continue;
      best = way;
      best_peaks = p;
    }
  }
  x->p = x->ways[best];
  x->predicted = best > 0;
  x->peaks = best_peaks;
  return x->bits[best][best_peaks];
}

static double choose_all(qn_static_tensor *x, int count, uint32_t lags, bool peaks) {
  double bits = 0;
  for (int i = 0; i < count; i++)
    if (x[i].kind == QN_CODED_WEIGHTS) bits += choose_way(&x[i], lags, peaks);
  return bits;
}

/* The lags that save most, of those that some tensor has; 0 when they do not pay for their code. */
static uint32_t choose_lags(qn_static_tensor *x, int count) {
  double least = choose_all(x, count, 0, true) - 8 * QN_PREDICTION_CODE;
  uint32_t best = 0, tried[LAG_SETS];
  int sets = 0;
  for (int i = 0; i < count; i++) {
    for (int way = 1; x[i].kind == QN_CODED_WEIGHTS && way < x[i].way_count; way++) {
      int set = 0;
      while (set < sets && tried[set] != x[i].lags[way]) set++;
      if (set < sets || sets == LAG_SETS || x[i].lags[way] == 0) continue;
      tried[sets++] = x[i].lags[way];
      double bits = choose_all(x, count, x[i].lags[way], true);
      if (bits >= least) continue;
      least = bits;
      best = x[i].lags[way];
    }
  }
  return best;
}

/* Predictions and peaks are for all tensors, where they pay for their code, or for none. */
static void choose_ways(qn_static_model *m, const uint8_t *image) {
  uint64_t symbols[QN_SYMBOLS];
  qn_static_tensor *x = m->at;
  for (int i = 0; i < m->count; i++)
    if (x[i].kind == QN_CODED_WEIGHTS) measure_ways(&x[i], image, &m->form);
  m->lags = choose_lags(x, m->count);
  double all = choose_all(x, m->count, m->lags, true);
  bool peaks = choose_all(x, m->count, m->lags, false) - all >= 8 * QN_PEAK_CODE;
  (void)choose_all(x, m->count, m->lags, peaks);
  for (int i = 0; i < m->count; i++)
    if (x[i].kind == QN_CODED_WEIGHTS) (void)measure_way(&x[i], image, &m->form, symbols);
}

static void count_rows(qn_static_tensor *x, const qn_static_form *form, bool zeros) {
  const qn_coded_tensor *t = x->from;
  for (uint32_t r = 0; r < t->rows; r++) {
    qn_histogram *row = &x->row[r];
    row->zero = row->zero && zeros;
    for (uint32_t k = 0; k < t->cols && !row->zero; k++) {
      int8_t d = x->distance[r * t->cols + k];
      if (k != x->peak[r]) row->count[symbol_of(form, d)]++;
    }
  }
}

/* Finds the zero rows, and whether a table for them is worth its bytes; if not there are none. */
static bool find_zero_rows(const qn_static_model *m, const uint8_t *image) {
  uint64_t saved = 0;
  qn_static_tensor *x = m->at;
  int count = m->count;
  for (int i = 0; i < count; i++) {
    const qn_coded_tensor *t = x[i].from;
    for (uint32_t r = 0; x[i].kind == QN_CODED_WEIGHTS && r < t->rows; r++) {
      const uint8_t *row = image + t->base + t->offset + row_place(t, r);
      x[i].row[r].zero = qn_is_zero_row(row, t->cols, t->transposed ? t->rows : 1);
      if (x[i].row[r].zero) saved += ZERO_BITS * t->cols;
    }
  }
  bool pays = saved > ZERO_TABLE;
  for (int i = 0; i < count; i++)
    if (x[i].kind == QN_CODED_WEIGHTS) count_rows(&x[i], &m->form, pays);
  return pays;
}

/* ------------------------------------------------------------------ integers */

static uint32_t integer_at(const qn_static_tensor *x, uint32_t i) {
  const uint8_t *at = (const uint8_t *)x->from->data + i * x->from->elem_bytes;
  return x->from->elem_bytes == 4 ? qn_load_u32(at) : (uint32_t)(int8_t)*at;
}

/* What is Rice coded for integer i: the sign is the lowest bit. */
static uint32_t folded(const qn_static_tensor *x, uint32_t i) {
  uint32_t d = integer_at(x, i) - x->base;
  return d << 1 ^ -(d >> 31);
}

/* Bits with x's k and base; UINT64_MAX when some are too large. */
static uint64_t rice_bits(const qn_static_tensor *x) {
  uint64_t bits = 0;
  for (uint32_t i = 0; i < x->from->bytes / x->from->elem_bytes; i++) {
    uint32_t ones = folded(x, i) >> x->k;
    if (ones > MOST_ONES) return UINT64_MAX;
    bits += ones + 1 + x->k;
  }
  return bits;
}

static bool choose_rice(qn_static_tensor *x) {
  uint64_t least = UINT64_MAX;
  uint32_t best_k = 0, best_base = 0;
  for (x->base = 0; x->base < (x->kind == INTEGERS_8 ? BASES : 1); x->base++) {
    for (x->k = 0; x->k <= MOST_LOW; x->k++) {
      uint64_t bits = rice_bits(x);
      if (bits >= least) continue;
      least = bits;
      best_k = x->k;
      best_base = x->base;
    }
  }
  x->k = best_k;
  x->base = best_base;
  return least < UINT64_MAX;
}

/* ------------------------------------------------------------------ all tensors */

/* What t is to this codec; false when it has no way to say it. */
static bool prepare(qn_arena *a, const qn_coded_tensor *t, const qn_static_form *form,
                    qn_static_tensor *x) {
  *x = (qn_static_tensor){.from = t, .row = x->row};
  x->kind = qn_check_coded(a, t, &x->factor, &x->mantissas);
  if (x->kind == QN_CODED_BYTES && t->elem_bytes == 1) x->kind = QN_CODED_INTEGERS;
  if (x->kind == QN_CODED_BYTES) return false;
  if (x->kind == QN_CODED_INTEGERS) {
    if (t->elem_bytes == 1) x->kind = INTEGERS_8;
    return choose_rice(x);
  }
  if (x->kind != QN_CODED_WEIGHTS) return true;
  x->distance = qn_alloc(a, (size_t)t->bytes + 1);
  x->peak = qn_alloc(a, ((size_t)t->rows + 1) * sizeof *x->peak);
  x->way_count = 1;
  x->ways[0] = (qn_prediction){.phase = t->cols};
  if (!form->flat && !form->levels)
    x->way_count = qn_find_predictions(a, t, false, ONE, LIMIT, x->ways);
  return true;
}

/* The rows' histograms as one array, in order. */
static qn_histogram *share_rows(qn_arena *a, qn_static_tensor *x, const qn_coded_tensor *tensors,
                                int count, int *out_count) {
  int64_t total = 0;
  for (int i = 0; i < count; i++)
    if (tensors[i].kind == QN_CODED_WEIGHTS) total += tensors[i].rows;
  qn_histogram *rows = qn_alloc(a, ((size_t)total + 1) * sizeof *rows), *next = rows;
  for (int i = 0; i < count; i++) {
    x[i].row = next;
    if (tensors[i].kind == QN_CODED_WEIGHTS) next += tensors[i].rows;
  }
  *out_count = (int)total;
  return rows;
}

/* Weights as one row each. */
static qn_coded_tensor *flatten(qn_arena *a, const qn_coded_tensor *tensors, int count) {
  qn_coded_tensor *flat = qn_alloc(a, ((size_t)count + 1) * sizeof *flat);
  for (int i = 0; i < count; i++) {
    flat[i] = tensors[i];
    flat[i].rows = flat[i].taps_h = flat[i].taps_w = 1;
    flat[i].cols = tensors[i].bytes;
    flat[i].transposed = false;
  }
  return flat;
}

bool qn_prepare_static(qn_arena *a, qn_coded_tensor *tensors, int count, const uint8_t *images,
                       qn_static_form form, qn_static_model *out) {
  bool all = true;
  *out = (qn_static_model){.form = form, .count = count};
  const qn_coded_tensor *from = form.flat ? flatten(a, tensors, count) : tensors;
  out->at = qn_alloc(a, ((size_t)count + 1) * sizeof *out->at);
  out->rows = share_rows(a, out->at, from, count, &out->row_count);
  for (int i = 0; i < count; i++) {
    if (prepare(a, &from[i], &form, &out->at[i])) continue;
    tensors[i].coded_bits = QN_NOT_CODED;
    all = false;
  }
  if (!all) return false;
  choose_ways(out, images);
  out->zeros = find_zero_rows(out, images);
  return true;
}

/* Of a tensor: the first number in the stream; flat: with weights that have no rows. */
static uint32_t count_of(const qn_static_tensor *x, bool flat) {
  bool is_rows = x->kind == QN_CODED_WEIGHTS && !flat;
  return is_rows ? x->from->rows : x->from->bytes / x->from->elem_bytes;
}

/* Weights in a phase, as far as the stream is concerned. */
static uint32_t phase_of(const qn_static_tensor *x) {
  return x->predicted ? x->p.phase : x->from->cols;
}

static uint32_t number_width(const qn_static_model *m) {
  uint32_t all = 1;
  for (int i = 0; i < m->count; i++) {
    const qn_static_tensor *x = &m->at[i];
    all |= count_of(x, m->form.flat) - 1;
    if (x->kind == QN_CODED_WEIGHTS && !m->form.flat) all |= phase_of(x) - 1;
  }
  return bit_length(all);
}

uint32_t qn_static_features(const qn_static_model *m, int number_bits) {
  const qn_static_tensor *x = m->at;
  int count = m->count;
  uint32_t features = number_width(m) | (uint32_t)number_bits << 5 | m->lags << QN_STATIC_LAGS;
  if (m->form.flat) features |= QN_STATIC_FLAT;
  if (m->form.levels) features |= QN_STATIC_LEVELS;
  for (int i = 0; i < count; i++) {
    if (x[i].kind == QN_CODED_WEIGHTS && x[i].from->transposed) features |= QN_STATIC_TRANSPOSED;
    if (x[i].predicted) features |= QN_STATIC_PREDICTED;
    if (x[i].peaks) features |= QN_STATIC_PEAKS;
    if (x[i].kind != QN_CODED_WEIGHTS) features |= QN_STATIC_INTEGERS;
    if (x[i].kind == QN_CODED_MULTIPLIERS) features |= QN_STATIC_MULTIPLIERS;
    if (x[i].kind == INTEGERS_8) features |= QN_STATIC_BYTES;
  }
  return features;
}

/* ------------------------------------------------------------------ their sequence */

static void put(qn_static_writer *w, uint32_t x, uint32_t bits) { w->put(w, x, bits); }

/* x > 0 */
static void put_number(qn_static_writer *w, uint32_t x) { put(w, x - 1, w->features & 31); }

/* A tensor's second field of 5 bits, where there is any use for it. */
static void put_second(qn_static_writer *w, uint32_t x) {
  const uint32_t used = QN_STATIC_MULTIPLIERS | QN_STATIC_BYTES | QN_STATIC_PREDICTED;
  if (w->features & used) put(w, x, 5);
}

/* All but the first. */
static uint32_t predicted_phases(const qn_static_tensor *x) {
  return x->predicted ? x->from->cols / x->p.phase - 1 : 0;
}

/* The factor of a lag, 0 where there is no such lag. */
static int32_t factor_of(const qn_static_tensor *x, uint32_t phase, uint32_t lag) {
  for (uint32_t i = 0; i < x->p.lags; i++)
    if (x->p.lag[i] == lag * lag_unit(&x->p, x->from)) return x->p.factor[phase][i];
  return 0;
}

static void put_prediction(qn_static_writer *w, const qn_static_tensor *x) {
  for (uint32_t phase = 1; phase <= predicted_phases(x); phase++)
    for (uint32_t i = 0; i < QN_CODEC_LAGS; i++)
      put(w, (uint32_t)(ONE - factor_of(x, phase, w->features >> (QN_STATIC_LAGS + 4 * i) & 15)),
          5);
}

/* Of a row; zero rows have one of their own. */
static uint32_t table_of(const qn_static_writer *w, const qn_histogram *row) {
  return (uint32_t)(row->zero ? w->zeros : row->table);
}

static void put_row(qn_static_writer *w, const qn_static_tensor *x, uint32_t r, uint32_t bits) {
  const qn_coded_tensor *t = x->from;
  const qn_histogram *row = &x->row[r];
  const int8_t *distance = x->distance + (size_t)r * t->cols;
  uint32_t peak = x->peak[r];
  put(w, table_of(w, row), w->features >> 5 & 3);
  if (x->peaks) {
    uint32_t place = row_place(t, r) + peak * (t->transposed ? t->rows : 1);
    bool negative = peak < t->cols && ((const int8_t *)t->data)[place] < 0;
    put(w, peak << 1 | negative, bits + 1);
  }
  if (row->zero) return;
  w->put_run(w, row->table, distance, peak);
  if (peak < t->cols) w->put_run(w, row->table, distance + peak + 1, t->cols - peak - 1);
}

static void put_integers(qn_static_writer *w, const qn_static_tensor *x, uint32_t count) {
  put(w, x->k, 5);
  put_second(w, x->base);
  for (uint32_t i = 0; i < count; i++) {
    for (uint32_t ones = folded(x, i) >> x->k; ones > 0; ones--) put(w, 1, 1);
    put(w, 0, 1);
    put(w, folded(x, i) & ((1u << x->k) - 1), x->k);
  }
}

static void put_flat(qn_static_writer *w, const qn_static_tensor *x) {
  put(w, table_of(w, x->row), 5);
  put_second(w, 0);
  if (!x->row->zero) w->put_run(w, x->row->table, x->distance, x->from->cols);
}

static void put_weights(qn_static_writer *w, const qn_static_tensor *x) {
  uint32_t bits = place_bits(x->from);
  put(w, x->peaks ? bits + 1 : 0, 5);
  put_second(w, predicted_phases(x));
  if (w->features & QN_STATIC_PREDICTED) put_prediction(w, x);
  for (uint32_t r = 0; r < x->from->rows; r++) put_row(w, x, r, bits);
}

void qn_put_static(qn_static_writer *w, const qn_static_tensor *x, const qn_static_tensor *before) {
  const qn_coded_tensor *t = x->from;
  bool is_weights = x->kind == QN_CODED_WEIGHTS, flat = w->features & QN_STATIC_FLAT;
  uint32_t n = count_of(x, flat);
  bool new_size = (is_weights && !flat) || !before || count_of(before, flat) != n;
  uint32_t head = (uint32_t)new_size << 2 | (x->kind ^ x->kind >> 1);
  if (is_weights && t->transposed) head |= 8;
  put(w, head, w->features & QN_STATIC_TRANSPOSED ? 4 : 3);
  if (new_size) put_number(w, n);
  if (new_size && !flat) put_number(w, is_weights ? phase_of(x) : 1);
  if (is_weights && flat) {
    put_flat(w, x);
  } else if (is_weights) {
    put_weights(w, x);
  } else if (x->kind == QN_CODED_MULTIPLIERS) {
    put(w, (uint32_t)(x->factor >> 20), 20);
    put(w, x->factor & 0xFFFFF, 20);
    for (uint32_t i = 0; i < n; i++) put(w, x->mantissas[i] & 0x7FFFFF, 23);
  } else {
    put_integers(w, x, n);
  }
}
