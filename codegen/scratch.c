/* The scratch of every job, and of every layer that is streamed -> where it is in memory: in what
 * the memory plan leaves free while the job runs, or behind it.
 *
 * At an op the values are alive that it computes, and those computed before that it or a later op
 * reads. The scratch goes to the lowest place that overlaps none of them. */
#include <stdlib.h>
#include "arithmetic.h"
#include "unit.h"

enum { ALIGNMENT = 64 };

typedef struct {
  int64_t from, to; /* bytes of the plan's memory */
  int32_t first, last;
} range;

/* The range of a value's bytes, made when it is not there yet; NULL when it is not in memory. */
static range *range_of(range *ranges, const qn_numbering *n, const qn_place *places,
                       const qn_value *v) {
  int32_t number = qn_number_of(n, v);
  if (number < 0 || places[number].kind != QN_IN_MEMORY) return NULL;
  const qn_value *root = places[number].value;
  range *r = &ranges[qn_number_of(n, root)];
  r->from = places[number].offset;
  r->to = r->from + qn_bytes(&root->type);
  return r;
}

/* One range per value; empty ones for values that are elsewhere, or views of others. */
static range *find_ranges(const qn_unit *u, qn_arena *a, int32_t *out_count) {
  qn_numbering n;
  qn_number_values(a, u->f, &n);
  const qn_place *places = qn_find_places(a, u->f, &n);
  range *ranges = qn_alloc(a, ((size_t)n.count + 1) * sizeof *ranges);
  int32_t step = 0;
  for (const qn_op *op = u->f->first; op; op = op->next, step++) {
    range *r = range_of(ranges, &n, places, op->out);
    if (r && places[qn_number_of(&n, op->out)].value == op->out) r->first = step; /* no view */
    if (r) r->last = u->options->keep_values ? INT32_MAX : step;
    for (int i = 0; i < op->in_count; i++) {
      r = op->in[i] ? range_of(ranges, &n, places, op->in[i]) : NULL;
      if (r && r->last < step) r->last = step;
    }
  }
  *out_count = n.count;
  return ranges;
}

static int compare(const void *a, const void *b) {
  const range *x = a, *y = b;
  return (x->from > y->from) - (x->from < y->from);
}

/* The lowest multiple of the alignment with so many bytes free. */
static int64_t find_gap(range *alive, int32_t count, int64_t bytes) {
  int64_t at = 0;
  qsort(alive, (size_t)count, sizeof *alive, compare);
  for (int32_t i = 0; i < count && alive[i].from < at + bytes; i++) {
    if (alive[i].to > at) at = qn_align_up(alive[i].to, ALIGNMENT);
  }
  return at;
}

/* What is wanted of the place for an op. */
typedef struct {
  int64_t bytes, *place;
  range taken; /* what the plan has given the op's kernel */
} request;

static request request_of(const qn_unit *u, const qn_op *op, int32_t step) {
  request r = {0};
  qn_job *job = u->jobs[step];
  qn_panels *panels = u->panels[step];
  if (job) r = (request){.bytes = job->scratch_bytes, .place = &job->scratch};
  if (!panels || panels->by_init) return r;
  r = (request){.bytes = qn_panel_scratch_of(u, panels).bytes, .place = &panels->scratch};
  qn_call call;
  qn_bind(op, &call);
  if (call.scratch_bytes > 0 && !panels->job)
    r.taken = (range){.from = op->scratch, .to = op->scratch + call.scratch_bytes};
  return r;
}

void qn_place_scratch(qn_unit *u) {
  qn_arena *a = &u->m->arena;
  int32_t count = 0, step = 0;
  range *ranges = find_ranges(u, a, &count);
  range *alive = qn_alloc(a, ((size_t)count + 2) * sizeof *alive);
  for (const qn_op *op = u->f->first; op; op = op->next, step++) {
    request want = request_of(u, op, step);
    if (want.bytes == 0) continue;
    int32_t living = 0;
    for (int32_t i = 0; i < count; i++) {
      const range *r = &ranges[i];
      if (r->to > r->from && r->first <= step && r->last >= step) alive[living++] = *r;
    }
    if (want.taken.to > want.taken.from) alive[living++] = want.taken;
    *want.place = u->plan_offset + find_gap(alive, living, want.bytes);
    if (*want.place + want.bytes > u->memory_bytes) u->memory_bytes = *want.place + want.bytes;
  }
}
