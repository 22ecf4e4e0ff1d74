/* A scheme and a model's file -> the flash and RAM that the object would take: quantized with all
 * samples, compiled for the user's target, with --weights auto solved for the budgets. Judged by
 * what they lose (judge.c), candidates of a search meet their budgets here. */
#include "command.h"

qn_status qn_compile_within(const qn_options *o, qn_module *m, const qn_func *f, bool tell,
                            qn_compile_options *options, qn_budgets *budgets, qn_object *out) {
  QN_TRY(qn_get_budgets(o, budgets));
  bool solve = options->weights == QN_WEIGHTS_AUTO && (o->budget_flash || o->budget_ram);
  if (solve) QN_TRY(qn_solve_weights(budgets, m, f, tell, !o->optimize, options, out));
  if (solve && options->emit == QN_EMIT_OBJ) return qn_plan_as_compiled(m, options);
  if (o->budget_flash && options->optimize == QN_OPTIMIZE_SPEED && !options->tuning &&
      options->weights == QN_WEIGHTS_RAW)
    return qn_afford_kernels(m, f, budgets->flash, tell, options, out);
  return qn_compile(m, options, out);
}

static qn_status compile_candidate(const qn_judge *j, const qn_scheme *scheme, qn_module *m,
                                   qn_budgets *budgets, qn_object *out) {
  qn_quantization q = *j->q;
  qn_pass_options passes;
  qn_compile_options options;
  q.scheme = *scheme;
  q.recovery_chosen = true;
  QN_TRY(qn_get_pass_options(&j->o, &passes));
  QN_TRY(qn_load_model(j->path, m));
  qn_name_model(m, j->path);
  QN_TRY(qn_apply_quantization(&j->o, &q, m));
  QN_TRY(qn_run_passes(m, qn_default_pipeline, &passes));
  QN_TRY(qn_get_compile_options(&j->o, m, &options));
  return qn_compile_within(&j->o, m, qn_main_func(m), false, &options, budgets, out);
}

qn_status qn_try_size(const qn_judge *j, const qn_scheme *scheme, bool *out_fits,
                      int64_t *out_flash, int64_t *out_ram) {
  qn_budgets budgets;
  qn_object object;
  qn_module *m = qn_new_module();
  qn_status status = compile_candidate(j, scheme, m, &budgets, &object);
  if (status == QN_OK) {
    *out_flash = object.flash_bytes;
    *out_ram = qn_ram_of(&object);
    *out_fits = *out_flash <= budgets.flash && *out_ram <= budgets.ram;
  }
  qn_free_module(m);
  return status;
}
