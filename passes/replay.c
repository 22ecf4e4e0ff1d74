/* The teacher and the pupil side by side on all calibration samples: one layer for all samples,
 * then the next. So a pass that changes a layer of the pupil costs no more than one run of both
 * networks, and each layer is taught with what the mended layers before it really answer.
 *
 * Values live until their last use, for all samples at once. Where that would be more than
 * MOST_BYTES, or all samples take more than MOST_WORK, the first samples that fit are used. */
#include <string.h>
#include "recover.h"

#define MOST_BYTES ((int64_t)1 << 30)
#define MOST_WORK  INT64_C(20000000000) /* multiply-accumulates of one network: half a minute */

/* A function between two of its ops. Arrays are by number of the value. */
typedef struct {
  const qn_func *f;
  qn_numbering numbers;
  int64_t samples;
  const void **data; /* [value * samples + sample] */
  qn_arena *own;     /* what data points to */
  int32_t *last;     /* index of the op that reads the value last; results: none does */
  const qn_op *at;   /* the next op */
  int32_t index;     /* its */
} stream;

typedef struct {
  qn_module *m;
  const qn_pass_options *options;
  stream pupil, teacher;
  qn_teach teach;
  void *of;
} replay;

/* ------------------------------------------------------------------ lifetimes */

static void find_last_uses(stream *s) {
  int32_t index = 0;
  for (int32_t i = 0; i < s->numbers.count; i++) s->last[i] = -1;
  for (const qn_op *op = s->f->first; op; op = op->next, index++) {
    s->last[qn_number_of(&s->numbers, op->out)] = index;
    for (int i = 0; i < op->in_count; i++)
      if (op->in[i]->kind != QN_CONST) s->last[qn_number_of(&s->numbers, op->in[i])] = index;
  }
}

static void open_stream(qn_arena *a, const qn_func *f, stream *out) {
  *out = (stream){.f = f, .at = f->first};
  qn_number_values(a, f, &out->numbers);
  out->own = qn_alloc(a, ((size_t)out->numbers.count + 1) * sizeof *out->own);
  out->last = qn_alloc(a, ((size_t)out->numbers.count + 1) * sizeof *out->last);
  find_last_uses(out);
}

static void close_stream(stream *s) {
  for (int32_t i = 0; i < s->numbers.count; i++) qn_free_arena(&s->own[i]);
}

/* Bytes of one sample's values at the place where they are the most. */
static int64_t peak_bytes(const stream *s) {
  int64_t live = 0, peak = 0;
  int32_t index = 0;
  for (const qn_value *p = s->f->params; p; p = p->next) live += qn_bytes(&p->type);
  for (const qn_op *op = s->f->first; op; op = op->next, index++) {
    live += qn_bytes(&op->out->type);
    if (live > peak) peak = live;
    for (int32_t i = 0; i < s->numbers.count; i++)
      if (s->last[i] == index) live -= qn_bytes(&s->numbers.values[i]->type);
  }
  return peak > live ? peak : live;
}

/* ------------------------------------------------------------------ one op, all samples */

static const void **slots_of(const stream *s, const qn_value *v) {
  return &s->data[qn_number_of(&s->numbers, v) * s->samples];
}

static void run_sample(const stream *s, const qn_op *op, int64_t sample, void *out) {
  const void *in[QN_MAX_IN];
  for (int i = 0; i < op->in_count; i++) {
    const qn_value *v = op->in[i];
    in[i] = v->kind == QN_CONST ? v->data : slots_of(s, v)[sample];
  }
  qn_eval_op(op, in, out);
}

/* Operands are the same for all samples. */
static bool is_constant(const qn_op *op) {
  for (int i = 0; i < op->in_count; i++)
    if (op->in[i]->kind != QN_CONST) return false;
  return true;
}

/* Computes op for all samples, whether or not it was before. */
static void run_op(stream *s, const qn_op *op) {
  qn_arena *own = &s->own[qn_number_of(&s->numbers, op->out)];
  const void **slots = slots_of(s, op->out);
  bool once = is_constant(op);
  for (int64_t n = 0; n < s->samples; n++) {
    void *out = once && n ? (void *)slots[0] : qn_alloc(own, (size_t)qn_bytes(&op->out->type));
    if (!once || n == 0) run_sample(s, op, n, out);
    slots[n] = out;
  }
}

static void go_on(stream *s) {
  for (int32_t i = 0; i < s->numbers.count; i++)
    if (s->last[i] == s->index) qn_free_arena(&s->own[i]);
  s->at = s->at->next;
  s->index++;
}

static qn_op without_activation(const qn_op *op) {
  qn_op linear = *op;
  *qn_activation_of(&linear) = QN_ACTIVATION_none;
  return linear;
}

float **qn_answer(qn_arena *a, const qn_lesson *lesson) {
  const qn_pupil *p = &lesson->pupil;
  qn_op linear = without_activation(p->op);
  const qn_op *back = p->op->in[1]->def;
  float *w = qn_alloc(a, (size_t)qn_bytes(&back->out->type));
  qn_eval_op(back, &(const void *){p->stored->data}, w);
  float *b = qn_alloc(a, (size_t)p->layout.channels * sizeof *b);
  for (int32_t c = 0; c < p->layout.channels; c++) b[c] = (float)qn_bias_at(p->op, c);
  float **answers = qn_alloc(a, (size_t)lesson->samples * sizeof *answers);
  for (int64_t n = 0; n < lesson->samples; n++) {
    const void *in[QN_MAX_IN] = {lesson->x[n], w, b};
    answers[n] = qn_alloc(a, (size_t)qn_bytes(&p->op->out->type));
    qn_eval_op(&linear, in, answers[n]);
  }
  return answers;
}

/* ------------------------------------------------------------------ lessons */

/* Brings the teacher in front of twin; false when it is past it. */
static bool reach(stream *teacher, const qn_op *twin) {
  for (const qn_op *op = teacher->at; op != twin; op = op->next)
    if (!op) return false;
  while (teacher->at != twin) {
    run_op(teacher, teacher->at);
    go_on(teacher);
  }
  return true;
}

static void clamp_all(const stream *s, const qn_op *op) {
  qn_interval i = qn_activation_interval(*qn_activation_of((qn_op *)op));
  int64_t count = qn_count(&op->out->type);
  for (int64_t n = 0; n < s->samples; n++) {
    float *x = (float *)slots_of(s, op->out)[n];
    for (int64_t k = 0; k < count; k++) x[k] = x[k] < i.low ? i.low : x[k] > i.high ? i.high : x[k];
  }
}

/* The teacher's op runs without its activation, which is applied when the lesson is over. */
static qn_status teach_layer(replay *r, qn_pupil *pupil, const qn_op *twin) {
  qn_op linear = without_activation(twin);
  run_op(&r->teacher, &linear);
  qn_lesson lesson = {.pupil = *pupil,
                      .twin = twin,
                      .samples = r->pupil.samples,
                      .x = (const float *const *)slots_of(&r->pupil, pupil->op->in[0]),
                      .want = (const float *const *)slots_of(&r->teacher, twin->out)};
  QN_TRY(r->teach(&lesson, r->of));
  clamp_all(&r->teacher, twin);
  go_on(&r->teacher);
  run_op(&r->pupil, pupil->op->in[1]->def); /* the weights, as they are now */
  return QN_OK;
}

static qn_status run_lessons(replay *r) {
  qn_func *f = qn_main_func(r->m);
  for (qn_op *op = f->first; op; op = op->next) {
    qn_pupil pupil;
    const qn_op *twin = qn_twin_of(r->teacher.f, f, op);
    if (twin && qn_pupil_of(r->m, f, op, &pupil) && reach(&r->teacher, twin))
      QN_TRY(teach_layer(r, &pupil, twin));
    run_op(&r->pupil, op);
    go_on(&r->pupil);
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ samples */

typedef struct {
  stream *s;
  int64_t most, count; /* samples to keep, and that there are */
  const void ***at;    /* [number of the parameter][sample] */
  qn_arena *arena;
  int64_t room;
} reading;

static qn_status read_value(void *of, int64_t sample, const qn_value *v, const void *data) {
  reading *r = of;
  r->count = sample + 1;
  if (sample >= r->most) return QN_OK;
  if (sample >= r->room) {
    int64_t room = r->room ? 2 * r->room : 64;
    for (int32_t i = 0; i < r->s->numbers.count; i++) {
      if (r->s->numbers.values[i]->kind != QN_PARAM) continue;
      const void **more = qn_alloc(r->arena, (size_t)room * sizeof *more);
      for (int64_t n = 0; n < r->room; n++) more[n] = r->at[i][n];
      r->at[i] = more;
    }
    r->room = room;
  }
  int32_t number = qn_number_of(&r->s->numbers, v);
  size_t bytes = (size_t)qn_bytes(&v->type);
  void *copy = qn_alloc(&r->s->own[number], bytes);
  memcpy(copy, data, bytes);
  r->at[number][sample] = copy;
  return QN_OK;
}

/* The samples of s's parameters, at most `most`. */
static qn_status read_samples(qn_arena *a, const qn_sampler *sampler, stream *s, int64_t most,
                              int64_t *out_count) {
  reading r = {.s = s, .most = most, .arena = a};
  r.at = qn_alloc(a, ((size_t)s->numbers.count + 1) * sizeof *r.at);
  QN_TRY(sampler->read(sampler->context, s->f, read_value, &r));
  *out_count = r.count;
  s->samples = r.count < most ? r.count : most;
  s->data = qn_alloc(a, ((size_t)s->numbers.count * (size_t)s->samples + 1) * sizeof *s->data);
  for (const qn_value *p = s->f->params; p; p = p->next) {
    int32_t i = qn_number_of(&s->numbers, p);
    for (int64_t n = 0; n < s->samples; n++) s->data[i * s->samples + n] = r.at[i][n];
  }
  return QN_OK;
}

/* As many as are worth their time and memory. */
static int64_t most_samples(const replay *r) {
  int64_t work = 1, bytes = peak_bytes(&r->pupil) + peak_bytes(&r->teacher) + 1;
  for (const qn_op *op = r->teacher.f->first; op; op = op->next) work += qn_macs(op);
  int64_t most = MOST_BYTES / bytes < MOST_WORK / work ? MOST_BYTES / bytes : MOST_WORK / work;
  return most > 1 ? most : 1;
}

static qn_status open_samples(qn_arena *a, replay *r) {
  int64_t count, most = most_samples(r);
  QN_TRY(read_samples(a, r->options->sampler, &r->pupil, most, &count));
  QN_TRY(read_samples(a, r->options->sampler, &r->teacher, most, &count));
  if (count > most)
    qn_note(&r->m->src, qn_nowhere, "only the first %lld of %lld calibration samples are used",
            (long long)most, (long long)count);
  return QN_OK;
}

qn_status qn_replay(qn_module *m, const qn_pass_options *options, const char *pass, qn_teach teach,
                    void *of) {
  replay r = {.m = m, .options = options, .teach = teach, .of = of};
  const qn_func *teacher;
  QN_TRY(qn_find_teacher(m, &teacher));
  if (!options->sampler)
    return qn_error(&m->src, qn_nowhere,
                    "%s needs calibration samples, --calibrate X.npy; statistics are not enough",
                    pass);
  qn_arena a = {0};
  open_stream(&a, qn_main_func(m), &r.pupil);
  open_stream(&a, teacher, &r.teacher);
  qn_status status = open_samples(&a, &r);
  if (status == QN_OK) status = run_lessons(&r);
  close_stream(&r.pupil);
  close_stream(&r.teacher);
  qn_free_arena(&a);
  return status;
}
