/* A byte offset for every value in memory and every kernel's scratch: qn_value.offset,
 * qn_op.scratch.
 *
 * Requires: a verified module; which values are in memory says qn_place_of (views share, inputs and
 * outputs are the caller's). Leaves: offsets that are multiples of 16 and overlap only where no op
 * needs both; scratch of a target's kernel is at multiples of 64. Earlier plans are overwritten.
 *
 * A block is a range of bytes for a range of steps (op k runs in step k): a value from the op that
 * computes it to the last that reads it, a scratch for one step. Where qn_bind or the op itself
 * allows it and the operand dies at the op, the result takes the operand's bytes: it joins the
 * operand's block if both are equally large, and may start at its offset if it is smaller. The
 * result of an op that allows QN_AHEAD may overlap the operand and start in front of it.
 *
 * Packing blocks is NP-hard. Each of several heuristics orders the blocks and puts one after the
 * other into a gap; a bounded search then shuffles the best order. The lower bound is the largest
 * sum of what lives in one step: where it is met, the plan is optimal. */
#include <stdlib.h>
#include <string.h>
#include "passes.h"

enum {
  ALIGNMENT = 16,
  SEARCHED_BLOCKS = 200, /* more are not searched: the heuristics' plan stands */
  MANY_BLOCKS = 4096,    /* more are packed once, the quickest way */
  SEARCH_WORK = 40000000 /* comparisons of blocks, about */
};

typedef struct {
  int64_t bytes, align;   /* multiples of ALIGNMENT */
  int32_t first, last;    /* steps, inclusive */
  int32_t heir, testator; /* who may start in my bytes at my last step; the reverse; -1: none */
  int64_t lead; /* with a testator: I start so far in front of it or more; -1: where it does */
  int64_t offset, overlap; /* overlap: bytes of all that live at the same time */
} block;

typedef struct {
  qn_func *f;
  bool keep_all;          /* every value keeps its bytes to the end */
  const qn_place *places; /* by number */
  int32_t count, steps;
  block *blocks;
  int32_t *block_of_value, *block_of_scratch; /* by number, by step; -1: none */
  int32_t *placed;                            /* blocks by offset, while packing */
  int64_t lower_bound;
} plan;

/* ------------------------------------------------------------------ blocks */

static int64_t align_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

static int64_t round_up(int64_t bytes) { return align_up(bytes, ALIGNMENT); }

static int32_t add_block(plan *p, int64_t bytes, int32_t first, int32_t last) {
  p->blocks[p->count] = (block){round_up(bytes), ALIGNMENT, first, last, -1, -1, -1, 0, 0};
  return p->count++;
}

/* -1: op needs none. */
static int32_t block_for_scratch(plan *p, const qn_op *op, int32_t step) {
  qn_call call;
  qn_bind(op, &call);
  qn_scratch s = qn_scratch_of(op, &call);
  if (s.bytes == 0) return -1;
  int32_t made = add_block(p, s.bytes, step, step);
  p->blocks[made].align = s.align;
  return made;
}

/* The number of the value whose bytes v has, -1 when they are not in memory. */
static int32_t number_in_memory(const plan *p, const qn_numbering *n, const qn_value *v) {
  int32_t number = qn_number_of(n, v);
  if (number < 0 || p->places[number].kind != QN_IN_MEMORY) return -1;
  return qn_number_of(n, p->places[number].value);
}

/* last[number] = the last step that reads or writes the value's bytes. */
static void find_last_steps(const plan *p, const qn_numbering *n, int32_t *last) {
  int32_t step = 0;
  for (const qn_op *op = p->f->first; op; op = op->next, step++) {
    int32_t at = number_in_memory(p, n, op->out);
    if (at >= 0) last[at] = step;
    for (int i = 0; i < op->in_count; i++) {
      at = number_in_memory(p, n, op->in[i]);
      if (at >= 0) last[at] = step;
    }
  }
  for (int32_t i = 0; p->keep_all && i < n->count; i++) last[i] = step;
}

/* The block that op's result may overlap if it starts `distance` bytes in front of it: an operand's
 * that dies here, wherever op reads it (mul %a, %a). -1: none. */
static int32_t find_testator(const plan *p, const qn_numbering *n, const int32_t *last,
                             const qn_op *op, const qn_call *call, int32_t step, int64_t distance) {
  int32_t at[QN_MAX_IN];
  for (int i = 0; i < op->in_count; i++) at[i] = number_in_memory(p, n, op->in[i]);
  for (int i = 0; i < op->in_count; i++) {
    if (at[i] < 0 || last[at[i]] != step) continue;
    bool may = true;
    for (int j = 0; j < op->in_count; j++)
      may = may && (at[j] != at[i] || qn_may_overlap(op, call, j, 0, distance));
    if (may) return p->block_of_value[at[i]];
  }
  return -1;
}

static void make_heir(plan *p, int32_t made, int32_t testator, int64_t lead) {
  p->blocks[made].testator = testator;
  p->blocks[made].lead = lead;
  p->blocks[testator].heir = made;
}

static int32_t block_for_result(plan *p, const qn_numbering *n, const int32_t *last_steps,
                                const qn_op *op, int32_t step) {
  qn_call call;
  qn_bind(op, &call);
  int32_t last = last_steps[qn_number_of(n, op->out)];
  int32_t testator = find_testator(p, n, last_steps, op, &call, step, 0);
  int64_t bytes = round_up(qn_room(op->out)), lead = round_up(op->lead);
  if (testator >= 0 && bytes == p->blocks[testator].bytes) {
    p->blocks[testator].last = last;
    return testator;
  }
  int32_t made = add_block(p, bytes, step, last);
  if (testator >= 0 && bytes < p->blocks[testator].bytes) make_heir(p, made, testator, -1);
  if (op->overlap != QN_AHEAD || lead >= bytes) return made;
  int32_t led = find_testator(p, n, last_steps, op, &call, step, lead);
  if (led >= 0 && (testator < 0 || testator == led)) make_heir(p, made, led, lead);
  return made;
}

static void make_blocks(qn_arena *a, plan *p, const qn_numbering *n) {
  for (const qn_op *op = p->f->first; op; op = op->next) p->steps++;
  size_t values = (size_t)n->count + 1, steps = (size_t)p->steps + 1;
  p->blocks = qn_alloc(a, 2 * steps * sizeof *p->blocks);
  p->placed = qn_alloc(a, 2 * steps * sizeof *p->placed);
  p->block_of_value = qn_alloc(a, values * sizeof *p->block_of_value);
  p->block_of_scratch = qn_alloc(a, steps * sizeof *p->block_of_scratch);
  int32_t *last = qn_alloc(a, values * sizeof *last);
  find_last_steps(p, n, last);
  int32_t step = 0;
  for (qn_op *op = p->f->first; op; op = op->next, step++) {
    p->block_of_scratch[step] = block_for_scratch(p, op, step);
    int32_t own = qn_number_of(n, op->out);
    p->block_of_value[own] = -1;
    if (number_in_memory(p, n, op->out) != own) continue;
    p->block_of_value[own] = block_for_result(p, n, last, op, step);
  }
}

/* How much more a block and its testator take together than the latter. */
static int64_t joint_growth(const plan *p, const block *b) {
  int64_t others = p->blocks[b->testator].bytes;
  int64_t both = b->lead < 0 ? others : b->lead + others;
  return (both > b->bytes ? both : b->bytes) - others;
}

/* The largest sum of blocks in one step; a result that overlaps its operand counts as a whole from
 * the next on. */
static void find_lower_bound(qn_arena *a, plan *p) {
  int64_t *change = qn_alloc(a, ((size_t)p->steps + 2) * sizeof *change), live = 0;
  for (int32_t i = 0; i < p->count; i++) {
    const block *b = &p->blocks[i];
    int64_t less = b->testator >= 0 ? b->bytes - joint_growth(p, b) : 0;
    change[b->first] += b->bytes - less;
    change[b->first + 1] += less;
    change[b->last + 1] -= b->bytes;
  }
  for (int32_t step = 0; step < p->steps; step++) {
    live += change[step];
    if (live > p->lower_bound) p->lower_bound = live;
  }
}

/* ------------------------------------------------------------------ packing */

static bool meet(const block *a, const block *b) {
  return a->first <= b->last && b->first <= a->last;
}

/* Whether x may overlap y, its heir or testator, at a distance. */
static bool is_led(const plan *p, const block *x, const block *y) {
  return (x->testator >= 0 && &p->blocks[x->testator] == y && x->lead >= 0) ||
         (x->heir >= 0 && &p->blocks[x->heir] == y && y->lead >= 0);
}

/* Behind `from`, where b may start as far as its alignment and the kin that it is led by, or leads,
 * are concerned. Only scratch, which has no kin, is aligned beyond ALIGNMENT. */
static int64_t skip_kin(const plan *p, const block *b, int64_t from) {
  const block *testator = b->testator >= 0 ? &p->blocks[b->testator] : NULL;
  const block *heir = b->heir >= 0 ? &p->blocks[b->heir] : NULL;
  for (int i = 0; i < 2; i++) { /* past one may be within the other */
    if (heir && heir->offset >= 0 && heir->lead >= 0 && from + b->bytes > heir->offset &&
        from < heir->offset + heir->lead)
      from = heir->offset + heir->lead;
    if (testator && testator->offset >= 0 && b->lead >= 0 && from + b->lead > testator->offset &&
        from < testator->offset + testator->bytes)
      from = testator->offset + testator->bytes;
  }
  return align_up(from, b->align);
}

/* The place for b among the blocks placed so far, in order of their offsets: the first gap, or the
 * smallest one, that is large enough. */
static int64_t find_gap(const plan *p, int32_t placed, const block *b, bool smallest) {
  int64_t end = 0, best = -1, best_room = INT64_MAX;
  for (int32_t i = 0; i < placed; i++) {
    const block *other = &p->blocks[p->placed[i]];
    if (!meet(b, other) || is_led(p, b, other)) continue;
    int64_t at = skip_kin(p, b, end), room = other->offset - end;
    if (other->offset - at >= b->bytes && room < best_room) {
      if (!smallest) return at;
      best = at;
      best_room = room;
    }
    if (other->offset + other->bytes > end) end = other->offset + other->bytes;
  }
  return best >= 0 ? best : skip_kin(p, b, end);
}

/* Whether b fits at `offset` when block `but` does not count. */
static bool fits_at(const plan *p, int32_t placed, const block *b, int64_t offset, int32_t but) {
  for (int32_t i = 0; i < placed; i++) {
    const block *other = &p->blocks[p->placed[i]];
    if (p->placed[i] == but || !meet(b, other) || is_led(p, b, other)) continue;
    if (offset < other->offset + other->bytes && other->offset < offset + b->bytes) return false;
  }
  return true;
}

/* b's offset; at its heir's or testator's, if that is placed, where that is lower. */
static int64_t choose_offset(const plan *p, int32_t placed, const block *b, bool smallest) {
  int64_t offset = find_gap(p, placed, b, smallest);
  int32_t kin[2] = {b->testator, b->heir};
  for (int i = 0; i < 2; i++) {
    if (kin[i] < 0 || is_led(p, b, &p->blocks[kin[i]])) continue;
    int64_t at = p->blocks[kin[i]].offset;
    if (at < 0 || at >= offset || skip_kin(p, b, at) != at) continue;
    if (fits_at(p, placed, b, at, kin[i])) offset = at;
  }
  return offset;
}

/* How many of the blocks placed live in `step` or later: they move to the front. */
static int32_t keep_alive(plan *p, int32_t placed, int32_t step) {
  int32_t kept = 0;
  for (int32_t i = 0; i < placed; i++) {
    if (p->blocks[p->placed[i]].last >= step) p->placed[kept++] = p->placed[i];
  }
  return kept;
}

/* How an order of blocks is packed. */
typedef struct {
  bool smallest; /* gap, else the first */
  bool by_start; /* the order: what ends before a block begins is in nobody's way any more */
} manner;

/* Offsets for all blocks, taken in this order; the bytes that they need. */
static int64_t pack(plan *p, const int32_t *order, manner how) {
  int64_t total = 0;
  int32_t placed = 0;
  for (int32_t i = 0; i < p->count; i++) p->blocks[i].offset = -1;
  for (int32_t i = 0; i < p->count; i++) {
    block *b = &p->blocks[order[i]];
    if (how.by_start) placed = keep_alive(p, placed, b->first);
    b->offset = choose_offset(p, placed, b, how.smallest);
    if (b->offset + b->bytes > total) total = b->offset + b->bytes;
    int32_t at = placed++;
    for (; at > 0 && p->blocks[p->placed[at - 1]].offset > b->offset; at--)
      p->placed[at] = p->placed[at - 1];
    p->placed[at] = order[i];
  }
  return total;
}

/* ------------------------------------------------------------------ orders */

static int compare(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int by_start(const block *a, const block *b) { return compare(a->first, b->first); }
static int by_end(const block *a, const block *b) { return compare(b->last, a->last); }
static int by_size(const block *a, const block *b) { return compare(b->bytes, a->bytes); }
static int by_overlap(const block *a, const block *b) { return compare(b->overlap, a->overlap); }
static int by_area(const block *a, const block *b) {
  return compare(b->bytes * (b->last - b->first + 1), a->bytes * (a->last - a->first + 1));
}

typedef struct {
  const char *name;
  int (*before)(const block *a, const block *b);
  manner how;
} heuristic;

static const heuristic heuristics[] = {
    {"greedy-by-size", by_size, {false, false}},
    {"greedy-by-start", by_start, {false, true}},
    {"greedy-by-area", by_area, {false, false}},
    {"greedy-by-overlap", by_overlap, {false, false}},
    {"best-fit-by-size", by_size, {true, false}},
    {"best-fit-by-start", by_start, {true, true}},
    {"best-fit-by-area", by_area, {true, false}},
    {"best-fit-by-overlap", by_overlap, {true, false}},
    {"greedy-by-end", by_end, {false, false}}, /* what may be in front of an operand comes first */
};
enum { HEURISTICS = sizeof heuristics / sizeof *heuristics, QUICKEST = 1 };

static void find_overlaps(plan *p) {
  for (int32_t i = 0; i < p->count; i++) {
    for (int32_t j = 0; j < i; j++) {
      if (!meet(&p->blocks[i], &p->blocks[j])) continue;
      p->blocks[i].overlap += p->blocks[j].bytes;
      p->blocks[j].overlap += p->blocks[i].bytes;
    }
  }
}

/* Stable merge sort: equal blocks stay in the order of their first step. */
static void sort_order(const plan *p, int32_t *order, int32_t *spare, int32_t count,
                       int (*before)(const block *, const block *)) {
  if (count < 2) return;
  int32_t half = count / 2, i = 0, j = half;
  sort_order(p, order, spare, half, before);
  sort_order(p, order + half, spare, count - half, before);
  for (int32_t k = 0; k < count; k++) {
    bool left = j == count || (i < half && before(&p->blocks[order[i]], &p->blocks[order[j]]) <= 0);
    spare[k] = left ? order[i++] : order[j++];
  }
  memcpy(order, spare, (size_t)count * sizeof *order);
}

/* ------------------------------------------------------------------ the best of all */

/* A plan to beat. */
typedef struct {
  int64_t bytes;
  int32_t *order;
  manner how;
} attempt;

static uint32_t next_random(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

/* Moves a random block of the order to a random place, keeps what is not worse. Deterministic. */
static void search(plan *p, attempt *best, int32_t *order) {
  best->how.by_start = false;
  uint32_t state = 2463534242u;
  uint32_t n = (uint32_t)p->count;
  int64_t rounds = SEARCH_WORK / ((int64_t)n * n + 1);
  if (rounds > 4000) rounds = 4000;
  for (int64_t r = 0; r < rounds && best->bytes > p->lower_bound; r++) {
    uint32_t from = next_random(&state) % n, to = next_random(&state) % n;
    memcpy(order, best->order, n * sizeof *order);
    int32_t moved = order[from];
    if (from < to) memmove(order + from, order + from + 1, (to - from) * sizeof *order);
    if (from > to) memmove(order + to + 1, order + to, (from - to) * sizeof *order);
    order[to] = moved;
    int64_t bytes = pack(p, order, best->how);
    if (bytes > best->bytes) continue;
    best->bytes = bytes;
    memcpy(best->order, order, n * sizeof *order);
  }
}

/* bytes: by heuristic; -1: was not tried. */
static void report(const plan *p, const attempt *best, const int64_t bytes[HEURISTICS]) {
  fprintf(stderr, "memory: %lld bytes in %d buffer%s, lower bound %lld, best of",
          (long long)best->bytes, (int)p->count, p->count == 1 ? "" : "s",
          (long long)p->lower_bound);
  const char *comma = "";
  for (int h = 0; h < HEURISTICS; h++) {
    if (bytes[h] < 0) continue;
    fprintf(stderr, "%s %s %lld", comma, heuristics[h].name, (long long)bytes[h]);
    comma = ",";
  }
  if (p->count <= SEARCHED_BLOCKS) fprintf(stderr, ", search %lld", (long long)best->bytes);
  fputc('\n', stderr);
}

static void pack_best(qn_arena *a, plan *p, bool remarks) {
  size_t count = (size_t)p->count + 1;
  int32_t *order = qn_alloc(a, count * sizeof *order), *spare = qn_alloc(a, count * sizeof *spare);
  attempt best = {.bytes = INT64_MAX, .order = qn_alloc(a, count * sizeof *order)};
  int64_t bytes[HEURISTICS];
  bool many = p->count > MANY_BLOCKS;
  if (!many) find_overlaps(p);
  for (int h = 0; h < HEURISTICS; h++) {
    bytes[h] = -1;
    if (many && h != QUICKEST) continue;
    for (int32_t i = 0; i < p->count; i++) order[i] = i;
    sort_order(p, order, spare, p->count, heuristics[h].before);
    bytes[h] = pack(p, order, heuristics[h].how);
    if (bytes[h] >= best.bytes) continue;
    best.bytes = bytes[h];
    best.how = heuristics[h].how;
    memcpy(best.order, order, (size_t)p->count * sizeof *order);
  }
  if (p->count > 1 && p->count <= SEARCHED_BLOCKS) search(p, &best, order);
  if (!many) pack(p, best.order, best.how); /* which need not have been the last */
  if (remarks) report(p, &best, bytes);
}

static void write_offsets(plan *p, const qn_numbering *n) {
  int32_t step = 0;
  for (qn_op *op = p->f->first; op; op = op->next, step++) {
    int32_t value = p->block_of_value[qn_number_of(n, op->out)];
    int32_t scratch = p->block_of_scratch[step];
    op->out->offset = value >= 0 ? p->blocks[value].offset : -1;
    op->scratch = scratch >= 0 ? p->blocks[scratch].offset : -1;
  }
}

qn_status pass_plan_memory(qn_module *m, const qn_pass_options *options) {
  for (qn_func *f = m->funcs; f; f = f->next) {
    qn_arena work = {0};
    qn_numbering n;
    qn_number_values(&work, f, &n);
    plan p = {.f = f, .keep_all = options->keep_all, .places = qn_find_places(&work, f, &n)};
    make_blocks(&work, &p, &n);
    find_lower_bound(&work, &p);
    pack_best(&work, &p, options->remarks);
    write_offsets(&p, &n);
    int64_t bytes = qn_memory_bytes(f);
    qn_free_arena(&work);
    if (bytes > INT32_MAX)
      return qn_error(&m->src, f->loc, "'@%s' needs %lld bytes of memory, at most %d are possible",
                      f->name, (long long)bytes, INT32_MAX);
  }
  return QN_OK;
}
