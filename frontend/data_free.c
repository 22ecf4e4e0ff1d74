/* Calibration without samples: the ranges that the model's inputs can have -> noise within them,
 * evenly spread, which runs through the float network as samples would.
 *
 * Ranges are those of --input-range or of the key input_range, or written into the model. The first
 * two elements are the ends of the range, so that exactly it is seen. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "command.h"

enum { NOISE_SAMPLES = 32 };

/* ------------------------------------------------------------------ ranges */

/* `LOW:HIGH`. */
static bool parse_range(const char *text, float out[2]) {
  char *middle, *end;
  out[0] = strtof(text, &middle);
  if (middle == text || *middle != ':') return false;
  out[1] = strtof(middle + 1, &end);
  return end != middle + 1 && !*end && isfinite(out[0]) && isfinite(out[1]) && out[0] < out[1];
}

static qn_status set_range(qn_value *input, const char *text) {
  float range[2];
  if (input->type.elem != QN_f32)
    return qn_io_error("--input-range", "'%s' is for the input '%s', which is %s and not real",
                       text, input->name, qn_elem_name(input->type.elem));
  if (!parse_range(text, range))
    return qn_io_error("--input-range", "'%s' is no range LOW:HIGH, like 0:1", text);
  input->has_range = true;
  input->range[0] = range[0];
  input->range[1] = range[1];
  return QN_OK;
}

qn_status qn_set_input_ranges(qn_module *m, const qn_texts *ranges) {
  const qn_func *f = qn_main_func(m);
  int inputs = 0, i = 0;
  if (!f || ranges->count == 0) return QN_OK;
  for (const qn_value *p = f->params; p; p = p->next) inputs++;
  if (ranges->count != inputs)
    return qn_io_error("quern", "the model has %d input%s, got %d of --input-range", inputs,
                       inputs == 1 ? "" : "s", ranges->count);
  for (qn_value *p = f->params; p; p = p->next) QN_TRY(set_range(p, ranges->at[i++]));
  return QN_OK;
}

bool qn_has_input_ranges(const qn_func *f) {
  for (const qn_value *p = f->params; p; p = p->next)
    if (p->type.elem != QN_f32 || !p->has_range) return false;
  return true;
}

/* ------------------------------------------------------------------ noise */

/* 0 <= x < 1: SplitMix64. */
static double next_random(uint64_t *state) {
  uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return ldexp((double)((x ^ (x >> 31)) >> 11), -53);
}

void qn_make_noise(qn_arena *a, const qn_func *f, qn_inputs *out) {
  uint64_t state = 1;
  int i = 0;
  out->count = NOISE_SAMPLES;
  for (const qn_value *p = f->params; p; p = p->next) {
    int64_t count = NOISE_SAMPLES * qn_count(&p->type);
    double low = (double)p->range[0], high = (double)p->range[1];
    float *x = qn_alloc(a, (size_t)count * sizeof *x);
    for (int64_t k = 0; k < count; k++) x[k] = (float)(low + (high - low) * next_random(&state));
    x[0] = p->range[0];
    x[1] = p->range[1];
    out->at[i++] = x;
  }
}
