/* Statistics of calibration samples as YAML, so that shards of a data set can be run by any job
 * system and merged.
 *
 *   quern_statistics: 1
 *   model: kws
 *   fingerprint: "9e3779b97f4a7c15"
 *   samples: 100
 *   values:
 *     - {name: x, samples: 100, count: 49000, zeros: 12, min: -1, max: 2.5, sum_min: -80.25,
 *        sum_max: 190, bins: "3 0*12 5"}
 *
 * An input whose elements are few different ones also has them: `distinct: "0 0.5 1"`.
 * bins are the counts from the bin of min to the bin of max, 0*12 for twelve empty ones; their grid
 * follows from min and max (qn_fit_grid). */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "yaml_model.h"
#include "command.h"

/* ------------------------------------------------------------------ writing */

static void put_bins(FILE *to, const qn_statistic *s) {
  for (int32_t i = 0; i < s->used;) {
    int32_t run = 0;
    while (i + run < s->used && s->bins[i + run] == 0) run++;
    if (run > 1)
      fprintf(to, "%s0*%d", i ? " " : "", run);
    else
      fprintf(to, "%s%" PRId64, i ? " " : "", s->bins[i]);
    i += run > 1 ? run : 1;
  }
}

static void put_distinct(FILE *to, const qn_statistic *s) {
  fputs(", distinct: \"", to);
  for (int32_t i = 0; i < s->distinct_count; i++) {
    if (i) fputc(' ', to);
    qn_print_float(to, s->distinct[i]);
  }
  fputc('"', to);
}

static void put_value(FILE *to, const qn_statistic *s) {
  fprintf(to, "  - {name: \"%s\", samples: %" PRId64 ", count: %" PRId64 ", zeros: %" PRId64,
          s->name, s->samples, s->count, s->zeros);
  fputs(", min: ", to);
  qn_print_float(to, s->min);
  fputs(", max: ", to);
  qn_print_float(to, s->max);
  fprintf(to, ", sum_min: %.17g, sum_max: %.17g", s->sum_min, s->sum_max);
  if (s->distinct) put_distinct(to, s);
  fputs(", bins: \"", to);
  put_bins(to, s);
  fputs("\"}\n", to);
}

qn_status qn_write_statistics(const char *path, const char *model, const qn_statistics *all) {
  qn_arena texts = {0};
  qn_output out = {.path = path};
  qn_text text;
  QN_TRY(qn_open_text(path, &text));
  FILE *to = text.to;
  fprintf(to, "quern_statistics: 1\nmodel: \"%s\"\nfingerprint: \"%016" PRIx64 "\"\n", model,
          all->fingerprint);
  fprintf(to, "samples: %" PRId64 "\nvalues:\n", all->samples);
  for (int i = 0; i < all->count; i++) put_value(to, &all->at[i]);
  qn_close_text(&texts, &text, &out);
  qn_status status = qn_write_outputs(&out, 1);
  qn_free_arena(&texts);
  return status;
}

/* ------------------------------------------------------------------ reading */

enum { MOST_VALUES = 100000 };
static const int64_t most_count = (int64_t)1 << 60;

static qn_status need(qn_yaml_reader *r, const qn_node *map, const char *key, const qn_node **out) {
  *out = qn_find_key(map, key);
  if (!*out) return qn_error(r->src, map->loc, "missing key '%s'", key);
  return qn_expect_node(r, *out, QN_NODE_SCALAR, key);
}

static qn_status read_count(qn_yaml_reader *r, const qn_node *map, const char *key, int64_t *out) {
  const qn_node *n;
  QN_TRY(need(r, map, key, &n));
  char *end;
  errno = 0;
  *out = strtoll(n->text, &end, 10);
  if (errno || end == n->text || *end || *out < 0 || *out > most_count)
    return qn_error(r->src, n->loc, "'%s' must be a count", key);
  return QN_OK;
}

static qn_status read_real(qn_yaml_reader *r, const qn_node *map, const char *key, double *out) {
  const qn_node *n;
  QN_TRY(need(r, map, key, &n));
  *out = qn_is_number(n) ? strtod(n->text, NULL) : NAN;
  if (!isfinite(*out)) return qn_error(r->src, n->loc, "'%s' must be a number", key);
  return QN_OK;
}

/* The next item of bins: a count, and how often. */
static bool next_bin(const char **p, int64_t *out_count, int64_t *out_run) {
  char *end;
  errno = 0;
  *out_run = 1;
  *out_count = strtoll(*p, &end, 10);
  if (errno || end == *p || *out_count < 0 || *out_count > most_count) return false;
  if (*end == '*') {
    *p = end + 1;
    *out_run = strtoll(*p, &end, 10);
    if (errno || end == *p || *out_run < 1 || *out_run > QN_BINS) return false;
  }
  *p = end + strspn(end, " ");
  return *end == ' ' || *end == 0;
}

static qn_status read_bins(qn_yaml_reader *r, const qn_node *map, qn_statistic *s) {
  const qn_node *n;
  QN_TRY(need(r, map, "bins", &n));
  int64_t filled = 0, total = s->zeros;
  for (const char *p = n->text; *p;) {
    int64_t count, run;
    if (!next_bin(&p, &count, &run) || filled + run > s->used)
      return qn_error(r->src, n->loc, "'bins' must be %d counts", (int)s->used);
    for (; run > 0; run--) {
      s->bins[filled++] = count;
      total = total + count < most_count ? total + count : most_count;
    }
  }
  if (filled != s->used || total != s->count)
    return qn_error(r->src, n->loc, "'bins' must be %d counts, with 'zeros' 'count' in all",
                    (int)s->used);
  return QN_OK;
}

static qn_status read_distinct(qn_yaml_reader *r, const qn_node *n, qn_statistic *s) {
  if (!n) return QN_OK;
  QN_TRY(qn_expect_node(r, n, QN_NODE_SCALAR, "'distinct'"));
  qn_open_distinct(&r->m->arena, s);
  for (const char *p = n->text; *p;) {
    size_t size = qn_number_span(p);
    float x = size ? strtof(p, NULL) : NAN;
    if (!isfinite(x) || (p[size] != ' ' && p[size] != 0))
      return qn_error(r->src, n->loc, "'distinct' must be numbers");
    qn_see_distinct(s, &x, 1);
    p += size + strspn(p + size, " ");
  }
  return QN_OK;
}

static qn_status read_value(qn_yaml_reader *r, const qn_node *n, qn_statistic *out) {
  static const char *const keys[] = {"name",    "samples", "count",    "zeros", "min", "max",
                                     "sum_min", "sum_max", "distinct", "bins",  NULL};
  QN_TRY(qn_expect_node(r, n, QN_NODE_MAP, "a value"));
  QN_TRY(qn_check_keys(r, n, keys, "a value"));
  const qn_node *name;
  double min, max;
  QN_TRY(need(r, n, "name", &name));
  qn_open_statistic(&r->m->arena, name->text, out);
  QN_TRY(read_count(r, n, "samples", &out->samples));
  QN_TRY(read_count(r, n, "count", &out->count));
  QN_TRY(read_count(r, n, "zeros", &out->zeros));
  QN_TRY(read_real(r, n, "min", &min));
  QN_TRY(read_real(r, n, "max", &max));
  QN_TRY(read_real(r, n, "sum_min", &out->sum_min));
  QN_TRY(read_real(r, n, "sum_max", &out->sum_max));
  out->min = (float)min;
  out->max = (float)max;
  if (!isfinite(out->min) || !isfinite(out->max) || min > max)
    return qn_error(r->src, n->loc, "'min' and 'max' must be in order");
  if (out->samples == 0 || out->count == 0)
    return qn_error(r->src, n->loc, "'%s' has no samples", name->text);
  qn_fit_grid(out->min, out->max, &out->exponent, &out->first, &out->used);
  QN_TRY(read_distinct(r, qn_find_key(n, "distinct"), out));
  return read_bins(r, n, out);
}

static qn_status read_fingerprint(qn_yaml_reader *r, const qn_node *root, uint64_t *out) {
  const qn_node *n;
  QN_TRY(need(r, root, "fingerprint", &n));
  char *end;
  *out = strtoull(n->text, &end, 16);
  if (strlen(n->text) == 16 && *end == 0) return QN_OK;
  return qn_error(r->src, n->loc, "'fingerprint' must be 16 hexadecimal digits");
}

static qn_status read_root(qn_yaml_reader *r, const qn_node *root, qn_statistics *out) {
  static const char *const keys[] = {"quern_statistics", "model",  "fingerprint",
                                     "samples",          "values", NULL};
  QN_TRY(qn_expect_node(r, root, QN_NODE_MAP, "statistics"));
  const qn_node *version = qn_find_key(root, "quern_statistics");
  if (!version || version->kind != QN_NODE_SCALAR || strcmp(version->text, "1") != 0)
    return qn_error(r->src, root->loc,
                    "neither .npy samples nor statistics, which begin with 'quern_statistics: 1'");
  QN_TRY(qn_check_keys(r, root, keys, "statistics"));
  const qn_node *model;
  QN_TRY(need(r, root, "model", &model));
  out->model = model->text;
  QN_TRY(read_fingerprint(r, root, &out->fingerprint));
  QN_TRY(read_count(r, root, "samples", &out->samples));
  const qn_node *values = qn_find_key(root, "values");
  if (!values) return qn_error(r->src, root->loc, "missing key 'values'");
  QN_TRY(qn_expect_node(r, values, QN_NODE_LIST, "'values'"));
  if (values->count > MOST_VALUES)
    return qn_error(r->src, values->loc, "more than %d values", MOST_VALUES);
  out->at = qn_alloc(&r->m->arena, ((size_t)values->count + 1) * sizeof *out->at);
  for (; out->count < values->count; out->count++)
    QN_TRY(read_value(r, values->item[out->count], &out->at[out->count]));
  return QN_OK;
}

qn_status qn_read_statistics(qn_module *m, const char *path, qn_statistics *out) {
  qn_source *src = qn_alloc(&m->arena, sizeof *src);
  QN_TRY(qn_read_file(&m->arena, path, src));
  const qn_node *root;
  QN_TRY(qn_read_yaml_tree(&m->arena, src, &root));
  qn_yaml_reader r = {.m = m, .src = src, .dir = ""};
  *out = (qn_statistics){0};
  return read_root(&r, root, out);
}
