/* Answers compared: with labels, and with another model's answers to the same samples. */
#include <inttypes.h>
#include <math.h>
#include "command.h"

/* The index of the largest of one sample's elements; the first of several. */
int64_t qn_argmax(const qn_type *t, const void *data, int64_t sample) {
  int64_t size = qn_count(t), best = 0;
  for (int64_t i = 1; i < size; i++)
    if (qn_real_at(t, data, sample * size + i) > qn_real_at(t, data, sample * size + best))
      best = i;
  return best;
}

/* Labels as real numbers, one per sample; NULL when none are given. */
qn_status qn_read_labels(qn_arena *a, const char *path, int64_t samples, double **out) {
  qn_stack stack;
  *out = NULL;
  if (!path) return QN_OK;
  QN_TRY(qn_read_stack(a, path, &stack));
  const qn_type *type = &stack.type;
  if (type->elem != QN_u8 && type->elem != QN_i8 && type->elem != QN_i16 && type->elem != QN_i32 &&
      type->elem != QN_i64)
    return qn_error(&stack.src, qn_nowhere, "labels must be integers, got %s",
                    qn_elem_name(type->elem));
  if (qn_count(type) != samples)
    return qn_error(&stack.src, qn_nowhere, "%" PRId64 " labels for %" PRId64 " samples",
                    qn_count(type), samples);
  *out = qn_alloc(a, (size_t)samples * sizeof **out);
  for (int64_t n = 0; n < samples; n++) (*out)[n] = (double)qn_int_at(type->elem, stack.data, n);
  return QN_OK;
}

/* How many samples' largest elements are the labels'; -1 without labels. */
int64_t qn_count_right(const qn_type *t, const void *results, const double *labels,
                       int64_t samples) {
  int64_t right = 0;
  for (int64_t n = 0; labels && n < samples; n++)
    right += (double)qn_argmax(t, results, n) == labels[n];
  return labels ? right : -1;
}

double qn_decibels(double signal, double noise) {
  return noise == 0 ? INFINITY : 10 * log10(signal / noise);
}

double qn_sqnr(const qn_type *t, const void *x, const qn_type *ref_type, const void *ref,
               int64_t count) {
  double signal = 0, noise = 0;
  for (int64_t i = 0; i < count; i++) {
    double want = qn_real_at(ref_type, ref, i), got = qn_real_at(t, x, i);
    signal += want * want;
    noise += (want - got) * (want - got);
  }
  return qn_decibels(signal, noise);
}
