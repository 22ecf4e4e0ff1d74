/* quern import: a model of another format -> YAML, with its weights in a .safetensors beside it. */
#include "command.h"

static qn_status import(const qn_options *o, const char *path, qn_module *m) {
  if (o->output.count != 1) return qn_io_error("quern", "import needs one output, -o MODEL.yaml");
  QN_TRY(qn_load_model(path, m));
  return qn_write_yaml(o->output.at[0], m);
}

qn_status command_import(const qn_options *o) { return qn_on_operand(o, import); }
