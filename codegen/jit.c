/* The object for a row of this machine's kind, the very bytes that `quern compile` writes, loaded
 * into this process. */
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <stdlib.h>
#include "../runtime/quern.h"
#include "unit.h"

struct qn_program {
  qn_jit jit;
  const quern_model *model;
  void *memory;
  const char **kernels;
  const char *const **alternatives;
  size_t plan_offset; /* decoded weights come first */
};

static qn_status orc_bug(LLVMErrorRef error) {
  char *why = LLVMGetErrorMessage(error);
  qn_status status = qn_bug("loading: %s", why);
  LLVMDisposeErrorMessage(why);
  return status;
}

qn_status qn_link(const char *bytes, size_t size, const char *symbol, qn_jit *jit,
                  uintptr_t *out) {
  *jit = NULL;
  LLVMErrorRef error = LLVMOrcCreateLLJIT(jit, NULL);
  if (error) return orc_bug(error);
  LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(bytes, size, symbol);
  error = LLVMOrcLLJITAddObjectFile(*jit, LLVMOrcLLJITGetMainJITDylib(*jit), buffer);
  if (error) return orc_bug(error);
  LLVMOrcExecutorAddress address;
  error = LLVMOrcLLJITLookup(*jit, &address, symbol);
  if (error) return orc_bug(error);
  *out = (uintptr_t)address;
  return QN_OK;
}

void qn_unlink(qn_jit jit) {
  if (!jit) return;
  LLVMErrorRef error = LLVMOrcDisposeLLJIT(jit);
  if (error) LLVMConsumeError(error);
}

static qn_status start_model(qn_program *p) {
  size_t align = p->model->memory_align;
  size_t bytes = (p->model->memory_bytes + align) / align * align;
  p->memory = aligned_alloc(align, bytes);
  if (!p->memory) return qn_io_error("quern", "no memory for the model's %zu bytes", bytes);
  int32_t code = p->model->init(p->memory);
  return code == QUERN_OK ? QN_OK : qn_bug("the model's init returns %d", (int)code);
}

qn_status qn_load(qn_module *m, const qn_compile_options *options, qn_program **out) {
  qn_compile_options host = *options;
  *out = NULL;
  if (!host.as_row) host.target = qn_find_target("host");
  bool can;
  QN_TRY(qn_can_run(host.target, &can));
  if (!can) return qn_io_error("quern", "this machine cannot run code for '%s'", host.target->name);
  host.emit = QN_EMIT_OBJ;
  host.pic = true;
  host.soft = host.split = host.selftest = false;
  qn_object object;
  QN_TRY(qn_compile(m, &host, &object));
  qn_program *p = calloc(1, sizeof *p);
  if (!p) return qn_io_error("quern", "no memory for the model");
  p->plan_offset = (size_t)object.plan_offset;
  p->kernels = object.kernels;
  p->alternatives = object.alternatives;
  uintptr_t model;
  const char *symbol = qn_format(&m->arena, "%s_model", host.name);
  qn_status status = qn_link(object.bytes, object.size, symbol, &p->jit, &model);
  if (status == QN_OK) p->model = (const quern_model *)model;
  if (status == QN_OK) status = start_model(p);
  if (status == QN_OK)
    *out = p;
  else
    qn_unload(p);
  return status;
}

qn_status qn_run(qn_program *p, const void *const *inputs, void *const *outputs) {
  int32_t code = p->model->run(p->memory, inputs, outputs);
  return code == QUERN_OK ? QN_OK : qn_bug("the model's run returns %d", (int)code);
}

const void *qn_memory_of(const qn_program *p) { return (const char *)p->memory + p->plan_offset; }

const char *const *qn_kernels_of(const qn_program *p) { return p->kernels; }

const char *const *const *qn_alternatives_of(const qn_program *p) { return p->alternatives; }

void qn_unload(qn_program *p) {
  qn_unlink(p->jit);
  free(p->memory);
  free(p);
}
