/* quern run: samples through a model, results stacked on axis 0 into .npy files. */
#include "command.h"

/* The type of count stacked results: axis 0 counts samples. */
static qn_type stacked_type(const qn_type *one, int64_t count) {
  qn_type all = *one;
  all.q = (qn_quant){0};
  if (all.rank == 0) {
    all.rank = 1;
    all.dim[0] = 1;
  }
  all.dim[0] *= count;
  return all;
}

static qn_status run_model(const qn_options *o, qn_runner *r) {
  if (o->output.count != r->f->result_count)
    return qn_io_error("quern", "the model has %d result%s, got %d -o", r->f->result_count,
                       r->f->result_count == 1 ? "" : "s", o->output.count);
  int64_t count;
  void *results[QN_MAX_IN];
  QN_TRY(qn_run_samples(r, &o->input, &count, results));
  qn_output list[QN_MAX_IN];
  for (int i = 0; i < r->f->result_count; i++) {
    list[i] =
        (qn_output){.what = qn_format(&r->m->arena, "result %d", i + 1), .path = o->output.at[i]};
    qn_type type = stacked_type(&r->f->results[i]->type, count);
    QN_TRY(qn_encode_npy(&r->m->arena, &type, results[i], &list[i]));
  }
  QN_TRY(qn_check_outputs(list, r->f->result_count, r->m->arena.files));
  return qn_write_outputs(list, r->f->result_count);
}

qn_status command_run(const qn_options *o) {
  const char *path;
  QN_TRY(qn_one_operand(o, &path));
  if (o->profile) return qn_profile(o, path);
  if (o->tune) return qn_tune(o, path);
  qn_runner r;
  QN_TRY(qn_open_runner(path, o, &r));
  qn_status status = run_model(o, &r);
  qn_close_runner(&r);
  return status;
}
